//! The settings of a fast ingest.

use crate::jetstream::wire::setters;
use std::time::Duration;

/// How an ingest publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestOptions {
    /// Whether the ingest goes on after a message was lost or refused. Default: no, it ends, and
    /// everything before it is stored.
    pub continue_on_gap: bool,
    /// How many messages the server acknowledges at once, at most; it sets the pace itself. Default: 100.
    pub flow: u16,
    /// How many such acknowledgements may be outstanding. Default: 2.
    pub max_outstanding_acks: u16,
    /// Whether the ingest ends where the server or the stream has no fast ingest, with
    /// [`Error::IngestEnded`](crate::jetstream::Error::IngestEnded): its cause is
    /// [`Unsupported`](crate::jetstream::Error::Unsupported), the stream's refusal, or
    /// [`StoredAsOrdinary`](crate::jetstream::Error::StoredAsOrdinary) if the server would not say what it can
    /// do, and has stored the first message. Default: no, the messages go through a window then.
    pub fast_only: bool,
    /// How many messages may be outstanding on a server without fast ingest. Default: 4,000.
    pub max_outstanding: usize,
    /// How long the server may be silent. Default: the timeout of the JetStream handle.
    pub timeout: Option<Duration>,
}

impl IngestOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            continue_on_gap: false,
            flow: 100,
            max_outstanding_acks: 2,
            fast_only: false,
            max_outstanding: 4_000,
            timeout: None,
        }
    }
}

setters!(IngestOptions {
    value continue_on_gap: bool,
    value flow: u16,
    value max_outstanding_acks: u16,
    value fast_only: bool,
    value max_outstanding: usize,
    some timeout: Duration,
});
