//! Positions are saved from time to time, one save after the other.

use crate::callback::{Ran, State};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::watch::{Phase, Watch};
use crate::mongo::error::Error;
use std::rc::Rc;

impl Watch {
    /// Saves the position, at once if there is reason to, or after a while.
    pub(super) fn save_in_time(self: &Rc<Self>) {
        let work = self.work.borrow();
        let saving = &work.saving;
        if saving.unsaved.is_none() || saving.is_under_way {
            return;
        }
        // without any position, the next one would begin with what happens from then on
        let is_first = saving.revision.is_none();
        let is_due =
            is_first || saving.changes >= self.stream.save_every || work.phase == Phase::Stopping;
        let is_waiting = saving.timer.is_some();
        drop(work);
        if is_due {
            self.save();
        } else if !is_waiting {
            let watch = self.clone();
            let save = move |_: &mut State| {
                watch.work.borrow_mut().saving.timer = None;
                watch.save();
                Ok(())
            };
            let timer =
                self.bridge.event_loop().set_timer(self.stream.save_interval, Box::new(save));
            self.work.borrow_mut().saving.timer = Some(timer);
        }
    }

    fn save(self: &Rc<Self>) {
        let is_leading = self.is_leading();
        let mut work = self.work.borrow_mut();
        let term = work.term;
        let saving = &mut work.saving;
        if saving.is_under_way || self.store.is_none() || !is_leading {
            return;
        }
        let Some(point) = saving.unsaved.take() else { return };
        saving.is_under_way = true;
        saving.changes = 0;
        let revision = saving.revision;
        if let Some(timer) = saving.timer.take() {
            self.bridge.event_loop().cancel_timer(timer);
        }
        drop(work);
        let (watch, saved) = (self.clone(), point.clone());
        let handle =
            move |state: &mut State, outcome| watch.handle_saved(state, term, saved, outcome);
        if let Some(store) = &self.store {
            store.save(&point, revision, Box::new(handle));
        }
    }

    fn handle_saved(
        self: &Rc<Self>,
        state: &mut State,
        term: u64,
        point: ResumePoint,
        outcome: Result<u64, Error>,
    ) -> Ran {
        if !self.end_save(term, &outcome) {
            return self.go_on(state);
        }
        let mut work = self.work.borrow_mut();
        match outcome {
            Ok(_) => {
                drop(work);
                self.save_in_time();
                self.go_on(state)
            }
            Err(error) if error.is_temporary() && work.phase != Phase::Stopping => {
                work.saving.unsaved.get_or_insert(point);
                drop(work);
                self.save_in_time();
                self.tell(state, WatchState::SaveFailed(Rc::new(error.into())))
            }
            Err(error) => {
                work.saving.unsaved = None;
                let is_stopping = work.phase == Phase::Stopping;
                drop(work);
                if is_stopping {
                    self.tell(state, WatchState::SaveFailed(Rc::new(error.into())))?;
                    return self.go_on(state);
                }
                self.handle_save_refused(state, error)
            }
        }
    }

    /// A save has an outcome. Returns whether it counts, which it does not if the lead was lost meanwhile.
    pub(super) fn end_save(self: &Rc<Self>, term: u64, outcome: &Result<u64, Error>) -> bool {
        let mut work = self.work.borrow_mut();
        work.saving.is_under_way = false;
        work.tally.count_save(outcome.is_ok());
        let counts = work.term == term;
        if let (true, Ok(revision)) = (counts, outcome) {
            work.saving.revision = Some(*revision);
        }
        let is_waited_for = !counts && work.phase == Phase::Loading;
        drop(work);
        if is_waited_for {
            self.load();
        }
        counts
    }

    /// A save has failed in a way that doing it again does not mend.
    pub(super) fn handle_save_refused(self: &Rc<Self>, state: &mut State, error: Error) -> Ran {
        match error {
            // whoever leads now has saved it
            Error::Fenced if !self.is_leading() => self.stand_by(state),
            Error::Fenced => self.stop(state, StopReason::Fenced),
            error => self.stop(state, StopReason::Store(error)),
        }
    }
}
