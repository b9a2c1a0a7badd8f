//! The settings of a window.

use crate::jetstream::wire::setters;
use std::time::Duration;

/// How a window publishes.
///
/// ```
/// use evnats::jetstream::WindowOptions;
/// use std::time::Duration;
/// let patient = WindowOptions::new().retry_for(Duration::from_secs(30)).resend_unknown(true);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowOptions {
    /// How many messages may be without an acknowledgement at once. At least 1. Default: 4,000.
    pub max_outstanding: usize,
    /// How long each message waits for its acknowledgement, unless its own options say otherwise.
    /// Default: the timeout of the JetStream handle.
    pub timeout: Option<Duration>,
    /// For how long after it was published first a message is sent again that the stream has
    /// certainly not stored: nobody listened, there were too many requests, or it was never sent. It is
    /// sent again only if a message id or an expectation makes that safe. Default: 500 ms.
    pub retry_for: Duration,
    /// Whether a message is sent again within the same time if it is unknown whether it was stored:
    /// after a disconnect, or without an acknowledgement in time. This, too, only if it is safe;
    /// the stream recognizes a message id for its `duplicate_window`, which should be longer than
    /// [`retry_for`](Self::retry_for). Default: no.
    pub resend_unknown: bool,
    /// How long a full window has to be without any acknowledgement to be
    /// [stalled](super::PublishWindow::on_stalled). Default: 200 ms.
    pub stall_after: Duration,
}

impl WindowOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            max_outstanding: 4_000,
            timeout: None,
            retry_for: Duration::from_millis(500),
            resend_unknown: false,
            stall_after: Duration::from_millis(200),
        }
    }
}

setters!(WindowOptions {
    value max_outstanding: usize,
    some timeout: Duration,
    value retry_for: Duration,
    value resend_unknown: bool,
    value stall_after: Duration,
});
