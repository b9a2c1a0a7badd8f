//! What the loop turns: clients, and sources of the user's own.

use super::readiness::Readiness;
use crate::callback::{Ran, State};
use mio::Token;
use std::rc::Rc;
use std::time::Instant;

/// Something that waits for events and deadlines, and has turns. It knows nothing of the loop's
/// bookkeeping.
pub(crate) trait Source {
    /// One of the source's registrations became ready. Only takes note.
    fn handle_ready(&self, token: Token, readiness: Readiness);
    /// Runs callbacks, within a budget. [`settle`](Self::settle) follows.
    fn turn(self: Rc<Self>, state: &mut State, now: Instant) -> Ran;
    /// Writes what was commanded, starts its clocks, and returns what the source waits for. Runs
    /// no user code.
    fn settle(&self, now: Instant) -> Progress;
    /// Drops everything, callbacks included, without running any.
    fn abandon(&self);
}

/// What a source waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Events, or a deadline.
    Idle(Option<Instant>),
    /// Nothing: it has more to do.
    More,
    /// Nothing ever, unless it is woken.
    Over,
}
