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
        let is_due = saving.changes >= self.stream.save_every || work.phase == Phase::Stopping;
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
        let mut work = self.work.borrow_mut();
        let saving = &mut work.saving;
        if saving.is_under_way || self.store.is_none() {
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
        let handle = move |state: &mut State, outcome| watch.handle_saved(state, saved, outcome);
        if let Some(store) = &self.store {
            store.save(&point, revision, Box::new(handle));
        }
    }

    fn handle_saved(
        self: &Rc<Self>,
        state: &mut State,
        point: ResumePoint,
        outcome: Result<u64, Error>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        work.saving.is_under_way = false;
        match outcome {
            Ok(revision) => {
                work.saving.revision = Some(revision);
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
                let reason = match &error {
                    Error::Fenced => StopReason::Fenced,
                    _ => StopReason::Store(error.clone()),
                };
                if is_stopping {
                    self.tell(state, WatchState::SaveFailed(Rc::new(error.into())))?;
                    return self.go_on(state);
                }
                self.stop(state, reason)
            }
        }
    }
}
