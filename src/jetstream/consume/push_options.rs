//! How a push consumer's messages are taken.

use super::pull::option_error::PullOptionError;
use crate::jetstream::wire::setters;
use std::time::Duration;

/// How a push consumer's messages are taken. How many come, and when, is the consumer's own:
/// `max_ack_pending`, `rate_limit_bps`, `flow_control`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushOptions {
    /// Ends after this many messages. Default: never.
    pub stop_after: Option<u64>,
    /// How many messages are kept while the consumption is paused. What comes beyond is handed back, and
    /// told as [`ConsumeEvent::Lost`](super::ConsumeEvent::Lost): a consumer that wants no
    /// acknowledgements does not deliver it again. With `flow_control`, less comes than that. Default:
    /// 65,536.
    pub max_untaken: u64,
    /// How many bytes of them are kept, headers and subjects included, beside one message. Default:
    /// 64 MiB.
    pub max_untaken_bytes: u64,
    /// As [`ConsumeOptions::auto_ack`](super::ConsumeOptions::auto_ack). Default: no.
    pub auto_ack: bool,
    /// As [`ConsumeOptions::nak_on_error`](super::ConsumeOptions::nak_on_error). Default: no.
    pub nak_on_error: bool,
    /// As [`ConsumeOptions::in_progress_every`](super::ConsumeOptions::in_progress_every). Default:
    /// never.
    pub in_progress_every: Option<Duration>,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            stop_after: None,
            max_untaken: 65_536,
            max_untaken_bytes: 64 << 20,
            auto_ack: false,
            nak_on_error: false,
            in_progress_every: None,
        }
    }
}

impl PushOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn check(&self) -> Result<(), PullOptionError> {
        match self.stop_after {
            Some(0) => Err(PullOptionError::Zero("stop_after")),
            _ => Ok(()),
        }
    }
}

setters!(PushOptions {
    some stop_after: u64,
    value max_untaken: u64,
    value max_untaken_bytes: u64,
    value auto_ack: bool,
    value nak_on_error: bool,
    some in_progress_every: Duration,
});
