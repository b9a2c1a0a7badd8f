//! How dead letters are listened to.

use crate::jetstream::wire::setters;
use std::time::Duration;

const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);
const DEFAULT_MAX_WAITING: usize = 10_000;

/// How dead letters are listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterOptions {
    /// Of several listeners in one queue group, also in several processes, each dead letter is told to
    /// one. Default: none, and each listener is told of all.
    pub queue_group: Option<String>,
    /// For how long a message is read again that cannot be read at the moment, because there is no
    /// answer, no leader or no connection. Then the dead letter is told without it. Default: 60 s.
    pub patience: Duration,
    /// How many dead letters wait for their messages at most. What comes beyond them is told at once,
    /// without its message ([`TooManyDeadLetters`](super::super::Error::TooManyDeadLetters)). Default:
    /// 10,000.
    pub max_waiting: usize,
}

impl DeadLetterOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self { queue_group: None, patience: DEFAULT_PATIENCE, max_waiting: DEFAULT_MAX_WAITING }
    }
}

setters!(DeadLetterOptions {
    some_text queue_group: String,
    value patience: Duration,
    value max_waiting: usize,
});
