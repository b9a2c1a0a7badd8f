//! What comes from the stream goes through the dispatch functions, and its position counts behind that.

use crate::callback::{Ran, State};
use crate::error::Error as AnyError;
use crate::mongo::changes::delivery::Delivery;
use crate::mongo::changes::destination::News;
use crate::mongo::changes::event::ChangeEvent;
use crate::mongo::changes::in_flight::Done;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::polling::Polled;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::watch::{Phase, Watch};
use bson::RawDocumentBuf;
use std::rc::Rc;

impl Watch {
    pub(super) fn handle_polled(
        self: &Rc<Self>,
        state: &mut State,
        opening: u64,
        polled: Polled,
        bytes: usize,
    ) -> Ran {
        if self.work.borrow().opening != opening || self.is_ending() {
            return Ok(());
        }
        if !self.is_leading() {
            return self.stand_by(state);
        }
        match polled {
            Polled::Opened => {
                self.release(0);
                self.enter(Phase::Live);
                self.tell(state, WatchState::Live)
            }
            Polled::Position(token) => {
                self.release(0);
                if self.is_in_seed_order() {
                    self.note_position(token);
                    return Ok(());
                }
                self.inform(News::Idle);
                let mut work = self.work.borrow_mut();
                let last = work.in_flight.last().or(work.position.as_ref());
                // that of a change says more
                if last.is_some_and(|last| last.token == token) {
                    return Ok(());
                }
                let done = work.in_flight.push_done(ResumePoint::new(token));
                drop(work);
                self.note_done(state, done)
            }
            Polled::Event(raw) => self.handle_event(state, raw, bytes),
        }
    }

    fn handle_event(self: &Rc<Self>, state: &mut State, raw: RawDocumentBuf, bytes: usize) -> Ran {
        let event = match ChangeEvent::new(raw) {
            Ok(event) => Rc::new(event),
            Err(error) => return self.stop(state, StopReason::Failed(error)),
        };
        let mut work = self.work.borrow_mut();
        (work.failures, work.resets) = (work.dispatch_failures, 0);
        work.tally.count_change(event.operation_type(), event.wall_time());
        if self.is_in_seed_order() {
            drop(work);
            return self.line_up(state, event, bytes);
        }
        let number = work.in_flight.push(event.resume_point(), bytes);
        drop(work);
        self.give_out(state, Delivery { number, event, step: 0, error: None })
    }

    pub(super) fn give_out(self: &Rc<Self>, state: &mut State, delivery: Delivery) -> Ran {
        let is_invalidate = delivery.event.is_invalidate();
        self.work.borrow_mut().is_invalidated = is_invalidate;
        self.pass_on(state, delivery)?;
        match is_invalidate && !self.is_ending() {
            true => self.tell(state, WatchState::Invalidated),
            false => Ok(()),
        }
    }

    /// Calls the dispatch functions that are left, until one answers later.
    pub(super) fn pass_on(self: &Rc<Self>, state: &mut State, delivery: Delivery) -> Ran {
        let mut delivery = delivery;
        while let Some(slot) = self.chain.get(delivery.step) {
            let step = delivery.step;
            let mut given = Some(delivery);
            slot.run(|call| {
                if let Some(delivery) = given.take() {
                    given = call(state, self, delivery)?;
                }
                Ok(())
            })?;
            match given {
                Some(passed) if passed.step > step => delivery = passed,
                // a watcher that has ended has no functions any more
                _ => return Ok(()),
            }
        }
        self.finish_delivery(state, delivery)
    }

    fn finish_delivery(self: &Rc<Self>, state: &mut State, delivery: Delivery) -> Ran {
        if let Some(error) = delivery.error {
            return self.handle_failed_dispatch(state, delivery.number, error);
        }
        let mut work = self.work.borrow_mut();
        let Some(bytes) = work.in_flight.note_done(delivery.number) else { return Ok(()) };
        let done = work.in_flight.take_done();
        if done.is_some() {
            work.dispatch_failures = 0;
        }
        drop(work);
        self.release(bytes);
        self.note_done(state, done)
    }

    fn handle_failed_dispatch(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        error: Rc<AnyError>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.in_flight.note_done(number).is_none() {
            return Ok(());
        }
        // neither it nor what was given out behind it counts
        work.in_flight.clear();
        work.sequence.clear();
        work.failures = work.dispatch_failures;
        work.dispatch_failures = work.dispatch_failures.saturating_add(1);
        drop(work);
        match self.stream.retries_dispatch {
            true => self.fail(state, error, StopReason::Dispatch),
            false => self.stop(state, StopReason::Dispatch(error)),
        }
    }

    /// Everything up to a position is done.
    fn note_done(self: &Rc<Self>, state: &mut State, done: Option<Done>) -> Ran {
        let Some(done) = done else { return Ok(()) };
        let mut work = self.work.borrow_mut();
        work.position = Some(done.point.clone());
        work.beginning = None;
        work.sequence.end_repeating();
        if self.is_in_seed_order() {
            let is_more = !work.sequence.is_empty();
            drop(work);
            if is_more {
                self.give_next_soon();
            }
            return self.go_on(state);
        }
        let has_store = self.store.is_some();
        work.saving.unsaved = has_store.then_some(done.point);
        work.saving.changes += done.count;
        drop(work);
        self.save_in_time();
        self.go_on(state)
    }
}
