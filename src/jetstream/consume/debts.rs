//! Consumers that were left, and are not known to be deleted: each is deleted until the server has
//! answered, or would have deleted it itself.
//!
//! The invariant: a consumer that may exist is asked to be deleted by one request at a time, at a pace
//! that is bounded. The number of those that are remembered is bounded, too: of more, the oldest ones
//! are left to the server, which deletes what is inactive.

use crate::event_loop::after;
use crate::jetstream::error::Error;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the next consumer waits for the deletion of one before.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before a deletion is asked for again; each further one doubles it …
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// … up to this.
const LAST_PAUSE: Duration = Duration::from_secs(10);
const MAX_DEBTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Debts {
    owed: VecDeque<Debt>,
    /// When the server has deleted all of them.
    given_up: Option<Instant>,
}

#[derive(Debug)]
struct Debt {
    incarnation: u64,
    name: String,
    progress: Progress,
    /// Until when the next consumer waits. `None`: nobody has been asked over this connection.
    patience: Option<Instant>,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Whether it exists is not known yet.
    Creating,
    /// Its deletion is to be asked for.
    Due(Instant),
    /// Its deletion has been asked for.
    Asked,
}

impl Debts {
    /// A consumer was left that exists, or may.
    pub(super) fn add(&mut self, incarnation: u64, name: String, now: Instant) {
        self.push(Debt {
            incarnation,
            name,
            progress: Progress::Due(now),
            patience: None,
            pause: Duration::ZERO,
        });
    }

    /// A consumer was left whose creation is not answered yet.
    pub(super) fn add_creating(&mut self, incarnation: u64, name: String, now: Instant) {
        self.push(Debt {
            incarnation,
            name,
            progress: Progress::Creating,
            patience: Some(after(now, PATIENCE)),
            pause: Duration::ZERO,
        });
    }

    fn push(&mut self, debt: Debt) {
        self.owed.push_back(debt);
        if self.owed.len() > MAX_DEBTS {
            self.owed.pop_front();
        }
    }

    /// The deletion that is to be asked for now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(u64, String)> {
        let is_due = |debt: &&mut Debt| matches!(debt.progress, Progress::Due(at) if at <= now);
        let debt = self.owed.iter_mut().find(is_due)?;
        debt.progress = Progress::Asked;
        debt.patience.get_or_insert_with(|| after(now, PATIENCE));
        Some((debt.incarnation, debt.name.clone()))
    }

    /// The creation is answered of a consumer that was left before.
    pub(super) fn handle_created(&mut self, incarnation: u64, exists: bool, now: Instant) {
        let is_it = |debt: &Debt| debt.incarnation == incarnation;
        let Some(at) = self.owed.iter().position(is_it) else { return };
        match exists {
            true => {
                self.owed[at].progress = Progress::Due(now);
                self.owed[at].patience = None;
            }
            false => _ = self.owed.remove(at),
        }
    }

    /// A deletion was answered, or was not.
    pub(super) fn handle_deleted(
        &mut self,
        incarnation: u64,
        deleted: Result<(), &Error>,
        now: Instant,
    ) {
        if deleted.is_ok() || deleted.is_err_and(|error| !may_work_later(error)) {
            return self.owed.retain(|debt| debt.incarnation != incarnation);
        }
        let is_it = |debt: &&mut Debt| debt.incarnation == incarnation;
        if let Some(debt) = self.owed.iter_mut().find(is_it) {
            debt.pause = debt.pause.saturating_mul(2).clamp(FIRST_PAUSE, LAST_PAUSE);
            debt.progress = Progress::Due(now + debt.pause);
        }
    }

    /// What was not answered over the connection before is asked for over this one.
    pub(super) fn handle_reconnected(&mut self, now: Instant) {
        for debt in &mut self.owed {
            debt.pause = Duration::ZERO;
            debt.patience = match debt.progress {
                Progress::Due(_) => None,
                // an answer is still to come, and be it that there is none
                Progress::Creating | Progress::Asked => Some(after(now, PATIENCE)),
            };
            if let Progress::Due(_) = debt.progress {
                debt.progress = Progress::Due(now);
            }
        }
    }

    /// Gives up at this time whatever is owed then, or earlier if that was said before.
    pub(super) fn give_up_at(&mut self, time: Instant) {
        self.given_up = Some(self.given_up.map_or(time, |before| before.min(time)));
    }

    /// Gives up all of it.
    pub(super) fn give_up(&mut self) {
        self.owed.clear();
    }

    /// The time is `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.given_up.is_some_and(|time| time <= now) {
            self.give_up();
        }
    }

    /// Whether the next consumer has to wait.
    pub(super) fn is_waited_for(&self, now: Instant) -> bool {
        self.owed.iter().any(|debt| debt.patience.is_none_or(|until| now < until))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// When something is to be done about them without having been told anything.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let again = self.owed.iter().filter_map(|debt| match debt.progress {
            Progress::Due(at) => Some(at),
            Progress::Creating | Progress::Asked => None,
        });
        again.min()
    }

    /// When the next consumer has to wait no longer.
    pub(super) fn patience_deadline(&self, now: Instant) -> Option<Instant> {
        self.owed.iter().filter_map(|debt| debt.patience).filter(|until| now < *until).max()
    }

    /// When all of them are given up.
    pub(super) fn end_deadline(&self) -> Option<Instant> {
        self.given_up.filter(|_| !self.owed.is_empty())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.owed.len()
    }
}

/// Whether the same request may be answered another time, so that the consumer may still be there.
fn may_work_later(error: &Error) -> bool {
    error.is_temporary() || error.is_outcome_unknown()
}
