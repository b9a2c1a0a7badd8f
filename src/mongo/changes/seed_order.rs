//! The original's order: a change's point is saved, then the change is given out, then the next one's is.
//!
//! Invariant: at most one change is given out, and the store has its point.

use crate::callback::{Ran, State};
use crate::mongo::changes::commit_mode::CommitMode;
use crate::mongo::changes::delivery::Delivery;
use crate::mongo::changes::event::ChangeEvent;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::state::WatchState;
use crate::mongo::changes::token::ResumeToken;
use crate::mongo::changes::watch::{Phase, Watch};
use crate::mongo::error::Error;
use std::rc::Rc;
use std::time::Duration;

impl Watch {
    /// A place that has a position of its own saves it with each change, and is in no need of this order.
    pub(super) fn is_in_seed_order(&self) -> bool {
        self.stream.commit == CommitMode::SeedOrder && self.destination.is_none()
    }

    /// Takes in a change, which is given out when those before it are done.
    pub(super) fn line_up(
        self: &Rc<Self>,
        state: &mut State,
        event: Rc<ChangeEvent>,
        bytes: usize,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.sequence.is_before_saved(&event) {
            drop(work);
            self.release(bytes);
            return Ok(());
        }
        work.sequence.push((event, bytes));
        drop(work);
        self.give_next(state)
    }

    /// The server has read up to here: that is where the stream goes on if it fails. It is not saved, because
    /// the last change is to come again.
    pub(super) fn note_position(&self, token: ResumeToken) {
        let mut work = self.work.borrow_mut();
        if work.beginning.is_none() && work.is_drained() {
            work.position = Some(ResumePoint::new(token));
        }
    }

    pub(super) fn give_next_soon(self: &Rc<Self>) {
        let watch = self.clone();
        let give = move |state: &mut State| watch.give_next(state);
        self.bridge.event_loop().set_timer(Duration::ZERO, Box::new(give));
    }

    fn give_next(self: &Rc<Self>, state: &mut State) -> Ran {
        if self.is_ending() || !self.is_leading() {
            return Ok(());
        }
        let mut work = self.work.borrow_mut();
        // a save that is of no interest any more is waited for, too
        if !work.in_flight.is_empty() || work.saving.is_under_way {
            return Ok(());
        }
        let Some((event, bytes)) = work.sequence.pop() else { return Ok(()) };
        let number = work.in_flight.push(event.resume_point(), bytes);
        let needs_saving = self.store.is_some() && !work.sequence.is_saved(&event);
        drop(work);
        let delivery = Delivery { number, event, step: 0, error: None };
        match needs_saving {
            true => {
                self.save_first(delivery);
                Ok(())
            }
            false => self.give_out(state, delivery),
        }
    }

    fn save_first(self: &Rc<Self>, delivery: Delivery) {
        let Some(store) = &self.store else { return };
        let mut work = self.work.borrow_mut();
        if !work.in_flight.holds(delivery.number) {
            return;
        }
        work.saving.is_under_way = true;
        let (revision, term) = (work.saving.revision, work.term);
        drop(work);
        let watch = self.clone();
        let point = delivery.event.resume_point();
        let saved =
            move |state: &mut State, saved| watch.handle_first_saved(state, term, delivery, saved);
        store.save(&point, revision, Box::new(saved));
    }

    fn handle_first_saved(
        self: &Rc<Self>,
        state: &mut State,
        term: u64,
        delivery: Delivery,
        saved: Result<u64, Error>,
    ) -> Ran {
        if !self.end_save(term, &saved) {
            return self.go_on(state);
        }
        let mut work = self.work.borrow_mut();
        if saved.is_ok() {
            work.sequence.note_saved(Some(delivery.event.resume_point()));
        }
        let is_stopping = work.phase == Phase::Stopping;
        if is_stopping {
            // it is saved, if it is, and comes again
            work.in_flight.clear();
        }
        let is_wanted = work.in_flight.holds(delivery.number);
        drop(work);
        match saved {
            Ok(_) if is_wanted => self.give_out(state, delivery),
            Ok(_) => {
                self.give_next_soon();
                self.go_on(state)
            }
            Err(error) if is_stopping => {
                self.tell(state, WatchState::SaveFailed(Rc::new(error.into())))?;
                self.go_on(state)
            }
            Err(error) if error.is_temporary() => {
                match is_wanted {
                    true => self.save_first_later(delivery),
                    false => self.give_next_soon(),
                }
                self.tell(state, WatchState::SaveFailed(Rc::new(error.into())))
            }
            Err(error) => self.handle_save_refused(state, error),
        }
    }

    fn save_first_later(self: &Rc<Self>, delivery: Delivery) {
        let watch = self.clone();
        let save = move |_: &mut State| {
            watch.work.borrow_mut().saving.timer = None;
            watch.save_first(delivery);
            Ok(())
        };
        let timer = self.bridge.event_loop().set_timer(self.stream.save_interval, Box::new(save));
        self.work.borrow_mut().saving.timer = Some(timer);
    }
}
