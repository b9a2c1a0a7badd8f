//! A watcher's life: its stream is opened, and opened again when it has ended.

use crate::callback::{Ran, State};
use crate::error::Error as AnyError;
use crate::mongo::bridge::StreamOptions;
use crate::mongo::changes::class::{Class, classify};
use crate::mongo::changes::destination::News;
use crate::mongo::changes::options::Start;
use crate::mongo::changes::polling::poll;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::watch::{Phase, Watch};
use crate::mongo::error::Error;
use std::rc::Rc;
use std::time::Duration;

impl Watch {
    pub(super) fn open(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut work = self.work.borrow_mut();
        work.phase = Phase::Opening;
        work.opening += 1;
        work.is_invalidated = false;
        work.tally.openings += 1;
        let (opening, position) = (work.opening, work.position.clone());
        let start = match (&work.beginning, &position) {
            (Some(beginning), _) => beginning.clone(),
            (None, Some(point)) => Start::After(point.token.clone()),
            (None, None) => Start::Now,
        };
        drop(work);
        let (stream, stall) = (self.stream.clone(), self.bridge.options().stall_timeout);
        let options = StreamOptions { limits: stream.limits, silence: stream.silence(stall) };
        let (items, end) = (self.clone(), self.clone());
        let flow = self.bridge.stream(
            options,
            move |client, feed| poll(client, stream, start, feed),
            move |state, polled, bytes| items.handle_polled(state, opening, polled, bytes),
            Box::new(move |state, ended| end.handle_end(state, opening, ended)),
        );
        self.work.borrow_mut().flow = Some(flow);
        self.tell(state, WatchState::Opening(position))
    }

    /// The stream has ended: the server has, or it has failed, or it was asked to.
    fn handle_end(
        self: &Rc<Self>,
        state: &mut State,
        opening: u64,
        ended: Result<(), Error>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.opening != opening {
            return Ok(());
        }
        work.flow = None;
        let was_open = work.phase == Phase::Live;
        drop(work);
        if self.is_ending() {
            return self.go_on(state);
        }
        if self.bridge.is_closed() {
            return self.stop(state, StopReason::Failed(Error::Closed));
        }
        match ended {
            Ok(()) => {
                let made_progress = self.work.borrow().failures == 0;
                match made_progress {
                    true => {
                        self.work.borrow_mut().failures = 1;
                        self.enter(Phase::Draining);
                        self.go_on(state)
                    }
                    false => {
                        let cause = Rc::new(Error::StreamEnded.into());
                        self.fail(state, cause, |_| StopReason::Failed(Error::StreamEnded))
                    }
                }
            }
            Err(error) => match classify(&error, was_open) {
                Class::Lasting => self.stop(state, StopReason::Failed(error)),
                Class::PositionLost => self.handle_lost(state, error),
                Class::Passing => {
                    let cause = Rc::new(error.clone().into());
                    self.fail(state, cause, |_| StopReason::Failed(error))
                }
            },
        }
    }

    /// Something has failed that may work later: it is tried again after a pause, unless it was tried often
    /// enough.
    pub(super) fn fail(
        self: &Rc<Self>,
        state: &mut State,
        cause: Rc<AnyError>,
        reason: impl FnOnce(Rc<AnyError>) -> StopReason,
    ) -> Ran {
        if self.is_ending() {
            return Ok(());
        }
        let failures = self.work.borrow().failures;
        let random = self.bridge.event_loop().random();
        let Some(pause) = self.stream.backoff.pause(failures, random) else {
            return self.stop(state, reason(cause));
        };
        let waiting = self.begin_pause(cause, pause);
        self.tell(state, waiting)
    }

    /// As [`fail`](Self::fail), however often it was tried.
    pub(super) fn pause_in_any_case(self: &Rc<Self>, cause: Rc<AnyError>) -> WatchState {
        let random = self.bridge.event_loop().random();
        let failures = self.work.borrow().failures;
        let pause = self.stream.backoff.pause_in_any_case(failures, random);
        self.begin_pause(cause, pause)
    }

    /// Begins the pause, and returns what is to be told of it.
    fn begin_pause(self: &Rc<Self>, cause: Rc<AnyError>, pause: Duration) -> WatchState {
        let watch = self.clone();
        let over = move |state: &mut State| watch.end_pause(state);
        let timer = self.bridge.event_loop().set_timer(pause, Box::new(over));
        let mut work = self.work.borrow_mut();
        work.failures = work.failures.saturating_add(1);
        let failures = work.failures;
        work.phase = Phase::Pausing;
        work.timer = Some(timer);
        // of the stream that has failed, nothing counts any more
        work.opening += 1;
        let flow = work.flow.take();
        drop(work);
        if let Some(flow) = flow {
            flow.stop();
        }
        WatchState::Waiting { cause, failures, pause }
    }

    fn end_pause(self: &Rc<Self>, state: &mut State) -> Ran {
        self.work.borrow_mut().timer = None;
        if self.phase() != Phase::Pausing {
            return Ok(());
        }
        self.enter(Phase::Draining);
        self.go_on(state)
    }

    /// Opens the stream again when what was given out is done, so that nothing comes twice.
    pub(super) fn go_on(self: &Rc<Self>, state: &mut State) -> Ran {
        if self.phase() == Phase::Draining {
            self.inform(News::Over);
        }
        let work = self.work.borrow();
        let (phase, is_drained, is_loaded) = (work.phase, work.is_drained(), work.is_loaded);
        let is_at_the_end = work.is_invalidated && self.stream.stops_at_invalidate;
        drop(work);
        match phase {
            Phase::Draining if is_drained && is_at_the_end => {
                self.stop(state, StopReason::Invalidated)
            }
            Phase::Draining if is_drained && is_loaded => self.open(state),
            Phase::Draining if is_drained => {
                self.load();
                Ok(())
            }
            Phase::Stopping => self.go_on_stopping(state),
            _ => Ok(()),
        }
    }
}
