//! A watcher's end: nothing new is given out, what is under way may come to its end, and the last position
//! is saved.

use crate::callback::{Ran, State};
use crate::mongo::bridge::Tenant;
use crate::mongo::changes::destination::News;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::watch::{Phase, Watch};
use crate::mongo::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// For how long changes that were given out may be answered.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

impl Tenant for Watch {
    fn handle_closed(self: Rc<Self>, state: &mut State) -> Ran {
        self.stop(state, StopReason::Failed(Error::Closed))
    }
}

impl Watch {
    /// Begins to stop. The first reason counts.
    pub(in crate::mongo) fn stop(self: &Rc<Self>, state: &mut State, reason: StopReason) -> Ran {
        if self.is_ending() {
            return Ok(());
        }
        self.begin_to_stop(reason);
        self.go_on_stopping(state)
    }

    /// As [`stop`](Self::stop), from where no callback can be run.
    pub(super) fn stop_soon(self: &Rc<Self>) {
        if self.is_ending() {
            return;
        }
        self.begin_to_stop(StopReason::Stopped);
        let watch = self.clone();
        let go_on = move |state: &mut State| watch.go_on(state);
        self.bridge.event_loop().set_timer(Duration::ZERO, Box::new(go_on));
    }

    fn begin_to_stop(self: &Rc<Self>, reason: StopReason) {
        let is_wanted = matches!(reason, StopReason::Stopped);
        let mut work = self.work.borrow_mut();
        work.phase = Phase::Stopping;
        work.stopping = Some(reason);
        if let Some(flow) = &work.flow {
            flow.stop();
        }
        // a change whose point could not be saved before it is given out
        let is_held_up = self.is_in_seed_order() && work.saving.timer.is_some();
        if !is_wanted || is_held_up {
            work.in_flight.clear();
        }
        work.sequence.clear();
        let held_up = if is_held_up { work.saving.timer.take() } else { None };
        let timers = [work.timer.take(), held_up];
        drop(work);
        for timer in timers.into_iter().flatten() {
            self.bridge.event_loop().cancel_timer(timer);
        }
        let watch = self.clone();
        let give_up = move |state: &mut State| {
            let mut work = watch.work.borrow_mut();
            work.timer = None;
            work.in_flight.clear();
            work.is_resigning = false;
            drop(work);
            watch.go_on(state)
        };
        let timer = self.bridge.event_loop().set_timer(ANSWERS_WITHIN, Box::new(give_up));
        self.work.borrow_mut().timer = Some(timer);
    }

    pub(super) fn go_on_stopping(self: &Rc<Self>, state: &mut State) -> Ran {
        self.inform(News::Over);
        if !self.work.borrow().in_flight.is_empty() {
            return Ok(());
        }
        self.save_in_time();
        let mut work = self.work.borrow_mut();
        if work.flow.is_some() || work.saving.is_under_way || work.is_resigning {
            return Ok(());
        }
        let lease = self.lease.take();
        if let Some(lease) = lease {
            work.is_resigning = true;
            drop(work);
            self.resign(&lease);
            return Ok(());
        }
        let Some(reason) = work.stopping.take() else { return Ok(()) };
        work.phase = Phase::Stopped;
        let timers = [work.timer.take(), work.saving.timer.take()];
        let on_stop = work.on_stop.take();
        drop(work);
        for timer in timers.into_iter().flatten() {
            self.bridge.event_loop().cancel_timer(timer);
        }
        self.inform(News::Stopped);
        // what is told next may fail, and the end is told all the same
        if let Some(on_stop) = on_stop {
            let watch = self.clone();
            let tell = move |state: &mut State, reason| {
                // it is there until it has been told
                let _watch = watch;
                on_stop(state, reason)
            };
            self.bridge.defer(Box::new(tell), reason.clone());
        }
        self.bridge.let_go(self);
        let told = self.tell(state, WatchState::Stopped(reason));
        // they may hold the watcher, which holds them
        drop(self.on_history_lost.take());
        drop((self.on_state.take(), self.chain.iter().map(|slot| slot.take()).collect::<Vec<_>>()));
        told
    }
}
