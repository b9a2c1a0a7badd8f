//! The answer of a program that reads its data anew, because changes were lost.

use crate::callback::State;
use crate::error::Error as AnyError;
use crate::mongo::changes::lost::Lost;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::watch::Watch;
use bson::Timestamp;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Changes were lost, and the program is to read what it watches anew. To be answered once: by
/// [`done`](Self::done) when it has, or by [`fail`](Self::fail). One that is dropped has failed.
pub struct Resnapshot {
    watch: Weak<Watch>,
    lost: Lost,
    is_answered: bool,
}

impl Resnapshot {
    pub(super) fn new(watch: &Rc<Watch>, lost: Lost) -> Self {
        Self { watch: Rc::downgrade(watch), lost, is_answered: false }
    }

    /// When this was, by the cluster's clock. The stream goes on right behind it: what is read from now on
    /// has every change up to then, and changes since may come though they are in it. Read with
    /// `readConcern: { afterClusterTime }` when secondaries are read from.
    #[must_use]
    pub fn operation_time(&self) -> Timestamp {
        self.lost.time
    }

    /// The position that was lost. `None`: it could not be read, or there was none.
    #[must_use]
    pub fn from(&self) -> Option<&ResumePoint> {
        self.lost.from.as_ref()
    }

    /// Why it is lost.
    #[must_use]
    pub fn cause(&self) -> &AnyError {
        &self.lost.cause
    }

    /// Everything was read: the stream goes on behind the [time](Self::operation_time), after a pause as after
    /// any failure.
    pub fn done(mut self) {
        let outcome = Ok((self.lost.time, self.lost.cause.clone()));
        self.answer(outcome);
    }

    /// It could not be read. The watcher stops with
    /// [`StopReason::Resnapshot`](super::StopReason::Resnapshot), and the stored position stays.
    pub fn fail(mut self, error: impl Into<AnyError>) {
        self.answer(Err(error.into()));
    }

    fn answer(&mut self, outcome: Result<(Timestamp, Rc<AnyError>), AnyError>) {
        let was_answered = std::mem::replace(&mut self.is_answered, true);
        let Some(watch) = self.watch.upgrade().filter(|_| !was_answered) else { return };
        let (opening, event_loop) = (self.lost.opening, watch.bridge.event_loop().clone());
        let handle = move |state: &mut State| {
            watch.handle_resnapshot(state, opening, outcome.map_err(Rc::new))
        };
        event_loop.set_timer(Duration::ZERO, Box::new(handle));
    }
}

impl Drop for Resnapshot {
    fn drop(&mut self) {
        self.answer(Err(AnyError::other("lost history was left without an answer")));
    }
}

impl fmt::Debug for Resnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resnapshot")
            .field("operation_time", &self.lost.time)
            .field("from", &self.lost.from)
            .finish_non_exhaustive()
    }
}
