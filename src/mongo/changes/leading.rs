//! Of several instances of a watcher, the one that leads watches.
//!
//! Invariant: who does not lead gives out nothing and begins no save. What was under way when the lead was
//! lost belongs to a term that is over, and changes nothing any more. The store's compare-and-set is what
//! keeps the position right; the lead spares the others the work.

use crate::callback::{Ran, State};
use crate::kv;
use crate::mongo::changes::destination::News;
use crate::mongo::changes::lease::Lease;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::watch::{Phase, Watch};
use std::rc::Rc;
use std::time::Duration;

/// Who has stood by, though nobody has said that the lead is lost, looks again after this time.
const LOOKS_AGAIN: Duration = Duration::from_millis(200);

impl Watch {
    /// Whether this instance may go on, which it may without a lease.
    pub(super) fn is_leading(&self) -> bool {
        self.lease.borrow().as_ref().is_none_or(|lease| (lease.is_leading)())
    }

    pub(super) fn handle_election(
        self: &Rc<Self>,
        state: &mut State,
        event: kv::ElectionEvent,
    ) -> Ran {
        match event {
            kv::ElectionEvent::Elected { .. } => {
                self.take_lead();
                Ok(())
            }
            kv::ElectionEvent::Lost(_) => self.stand_by(state),
            kv::ElectionEvent::Ended(error) => {
                self.work.borrow_mut().saving.unsaved = None;
                self.stop(state, StopReason::Lease(error.into()))
            }
            kv::ElectionEvent::Leader(_) => Ok(()),
        }
    }

    /// Tells that nobody has said yet that this instance leads.
    pub(super) fn tell_standby(self: &Rc<Self>, state: &mut State) -> Ran {
        match self.phase() {
            Phase::Standby => self.tell(state, WatchState::Standby),
            _ => Ok(()),
        }
    }

    fn take_lead(self: &Rc<Self>) {
        if self.phase() != Phase::Standby {
            return;
        }
        self.enter(Phase::Loading);
        let timer = self.work.borrow_mut().timer.take();
        if let Some(timer) = timer {
            self.bridge.event_loop().cancel_timer(timer);
        }
        // what is read before a save has come to its end may be old by then
        let is_saving = self.work.borrow().saving.is_under_way;
        if !is_saving {
            self.load();
        }
    }

    /// Gives out and saves nothing more, until this instance leads again.
    pub(super) fn stand_by(self: &Rc<Self>, state: &mut State) -> Ran {
        if matches!(self.phase(), Phase::Standby | Phase::Stopped) {
            return Ok(());
        }
        let mut work = self.work.borrow_mut();
        work.saving.unsaved = None;
        work.in_flight.clear();
        work.sequence.clear();
        if work.phase == Phase::Stopping {
            drop(work);
            return self.go_on(state);
        }
        work.phase = Phase::Standby;
        work.term += 1;
        work.opening += 1;
        work.is_loaded = false;
        work.position = None;
        if work.sequence.is_repeating() {
            work.beginning = None;
            work.sequence.end_repeating();
        }
        let timers = [work.timer.take(), work.saving.timer.take()];
        let flow = work.flow.take();
        drop(work);
        for timer in timers.into_iter().flatten() {
            self.bridge.event_loop().cancel_timer(timer);
        }
        if let Some(flow) = flow {
            flow.stop();
        }
        self.inform(News::Over);
        self.inform(News::Stopped);
        self.look_again();
        self.tell(state, WatchState::Standby)
    }

    /// A lead that was over by the clock may have been renewed all the same, and then nobody says so.
    fn look_again(self: &Rc<Self>) {
        let watch = self.clone();
        let look = move |_: &mut State| {
            watch.work.borrow_mut().timer = None;
            if watch.is_leading() {
                watch.take_lead();
            }
            Ok(())
        };
        let timer = self.bridge.event_loop().set_timer(LOOKS_AGAIN, Box::new(look));
        self.work.borrow_mut().timer = Some(timer);
    }

    /// Gives the lead back, and goes on to stop.
    pub(super) fn resign(self: &Rc<Self>, lease: &Lease) {
        let watch = self.clone();
        (lease.resign)(Box::new(move |state, _| {
            watch.work.borrow_mut().is_resigning = false;
            watch.go_on(state)
        }));
    }
}
