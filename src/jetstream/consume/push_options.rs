//! How a push consumer's messages are taken.

use super::pull::option_error::PullOptionError;
use crate::jetstream::wire::setters;
use std::time::Duration;

/// How a push consumer's messages are taken. How many come, and when, is the consumer's own:
/// `max_ack_pending`, `rate_limit_bps`, `flow_control`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushOptions {
    /// Ends after this many messages. Default: never.
    pub stop_after: Option<u64>,
    /// As [`ConsumeOptions::auto_ack`](super::ConsumeOptions::auto_ack). Default: no.
    pub auto_ack: bool,
    /// As [`ConsumeOptions::nak_on_error`](super::ConsumeOptions::nak_on_error). Default: no.
    pub nak_on_error: bool,
    /// As [`ConsumeOptions::in_progress_every`](super::ConsumeOptions::in_progress_every). Default:
    /// never.
    pub in_progress_every: Option<Duration>,
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
    value auto_ack: bool,
    value nak_on_error: bool,
    some in_progress_every: Duration,
});
