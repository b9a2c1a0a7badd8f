//! The answer of a dispatch function that comes later.

use crate::error::Error as AnyError;
use crate::mongo::changes::delivery::Delivery;
use crate::mongo::changes::event::ChangeEvent;
use crate::mongo::changes::watch::Watch;
use std::fmt;
use std::rc::{Rc, Weak};

/// A change that was given out, to be answered once: by [`ok`](Self::ok) when it is done, or by
/// [`fail`](Self::fail). One that is dropped has failed.
pub struct Ack {
    watch: Weak<Watch>,
    event: Rc<ChangeEvent>,
    /// Until it is answered.
    delivery: Option<Delivery>,
}

impl Ack {
    pub(super) fn new(watch: &Rc<Watch>, delivery: Delivery) -> Self {
        let (watch, event) = (Rc::downgrade(watch), delivery.event.clone());
        Self { watch, event, delivery: Some(delivery) }
    }

    /// The change.
    #[must_use]
    pub fn event(&self) -> &ChangeEvent {
        &self.event
    }

    /// What a dispatch function before this one has failed with.
    #[must_use]
    pub fn error(&self) -> Option<&AnyError> {
        self.delivery.as_ref()?.error.as_deref()
    }

    /// The change is done: the next dispatch function is called with it, or its position counts.
    pub fn ok(mut self) {
        self.answer(Ok(()));
    }

    /// The change could not be dealt with.
    pub fn fail(mut self, error: impl Into<AnyError>) {
        self.answer(Err(error.into()));
    }

    /// Takes the change back, whose answer is known at once.
    pub(super) fn take(mut self) -> Option<Delivery> {
        self.delivery.take()
    }

    /// The change is not dealt with, and comes again with the next stream. To be said of the last ones only.
    pub(in crate::mongo) fn withdraw(mut self) {
        if let (Some(delivery), Some(watch)) = (self.delivery.take(), self.watch.upgrade()) {
            watch.work.borrow_mut().in_flight.forget_from(delivery.number);
        }
    }

    fn answer(&mut self, outcome: Result<(), AnyError>) {
        let (Some(delivery), Some(watch)) = (self.delivery.take(), self.watch.upgrade()) else {
            return;
        };
        watch.take_answer(delivery.passed(outcome));
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.answer(Err(AnyError::other("a change was dropped without an answer")));
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("event", &self.event()).finish_non_exhaustive()
    }
}
