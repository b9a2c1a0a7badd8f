//! What the driver's thread leaves for the loop.

use super::id::Id;
use crate::event_loop::{Readiness, SetReadiness};
use crate::mongo::error::Error;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A result or an item; who has asked for it knows its type.
pub(super) type Parcel = Box<dyn Any + Send>;

/// Something that was left for the loop.
pub(super) enum Left {
    /// A call or a stream is over.
    Ended { id: Id, outcome: Result<Parcel, Error> },
    /// An item of a stream.
    Item { id: Id, item: Parcel, bytes: usize },
    /// The thread of a generation has ended.
    Gone { generation: u64 },
}

#[derive(Default)]
pub(super) struct Outbox {
    left: Mutex<VecDeque<Left>>,
    /// Set before anything is left.
    wake: OnceLock<SetReadiness>,
}

impl Outbox {
    pub(super) fn wake_by(&self, wake: SetReadiness) {
        let _ = self.wake.set(wake);
    }

    pub(super) fn leave(&self, left: Left) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push_back(left);
        if let Some(wake) = self.wake.get() {
            wake.set_readiness(Readiness::READABLE);
        }
    }

    /// Takes what was left by now.
    pub(super) fn take(&self) -> VecDeque<Left> {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Leaves the outcome of a job exactly once: if the job panics, when it is dropped.
pub(super) struct Report<'a> {
    outbox: &'a Outbox,
    id: Id,
    is_sent: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(outbox: &'a Outbox, id: Id) -> Self {
        Self { outbox, id, is_sent: false }
    }

    pub(super) fn send(mut self, outcome: Result<Parcel, Error>) {
        self.is_sent = true;
        self.outbox.leave(Left::Ended { id: self.id, outcome });
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.outbox.leave(Left::Ended { id: self.id, outcome: Err(Error::Panicked) });
        }
    }
}
