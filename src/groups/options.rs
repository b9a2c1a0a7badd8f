//! How a member of a group consumes.

use crate::jetstream::wire::setters;
use crate::jetstream::{ConsumeOptions, ConsumerConfig};

/// How a member of a group consumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupOptions {
    /// What the member's consumer is like: `ack_wait` (default here: 5 s), `max_ack_pending`,
    /// `max_deliver` and so on. Its name, its filters and its priority group are the group's, and in an
    /// elastic group so are the policy of answers (explicit) and the time after which the server removes it
    /// (`ack_wait`).
    pub consumer: ConsumerConfig,
    /// How it is read. The group and the time that a request waits are the group's.
    pub consume: ConsumeOptions,
}

impl GroupOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(GroupOptions {
    value consumer: ConsumerConfig,
    value consume: ConsumeOptions,
});
