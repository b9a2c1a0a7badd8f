//! How a delivery is settled, and who is told: whoever hands out messages by what became of those before.
//!
//! What the callback answers is seen when it returns. For what is answered later, the right to answer
//! carries the way to whoever wants to know. Each delivery is settled once.

use super::ack::Ack;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is answered for good.
    Done,
    /// It is to be delivered again after this time.
    Again(Duration),
    /// Nobody is left who could answer it.
    Unanswered,
}

impl Settled {
    /// What becomes of a delivery by this answer, if anything does.
    #[inline]
    pub(super) fn by(ack: Ack<'_>) -> Option<Self> {
        match ack {
            Ack::Done | Ack::Terminate(_) => Some(Self::Done),
            Ack::Again(delay) => Some(Self::Again(delay.unwrap_or_default())),
            Ack::InProgress => None,
        }
    }
}

/// Is told how deliveries are settled.
pub(super) trait Settling {
    /// The delivery of the message with this number in the stream is settled.
    fn note_settled(self: Rc<Self>, stream_sequence: u64, settled: Settled);
}

/// The way to whoever wants to know of one delivery.
#[derive(Clone)]
pub(super) struct Tracker {
    settling: Weak<dyn Settling>,
    stream_sequence: u64,
}

impl Tracker {
    pub(super) fn new(settling: Weak<dyn Settling>, stream_sequence: u64) -> Self {
        Self { settling, stream_sequence }
    }

    pub(super) fn stream_sequence(&self) -> u64 {
        self.stream_sequence
    }

    pub(super) fn settle(&self, settled: Settled) {
        if let Some(settling) = self.settling.upgrade() {
            settling.note_settled(self.stream_sequence, settled);
        }
    }
}
