//! A watcher's life: its position is read, its stream opened, and opened again when it has ended.

use crate::callback::{Ran, State};
use crate::error::Error as AnyError;
use crate::mongo::bridge::StreamOptions;
use crate::mongo::changes::class::{Class, classify};
use crate::mongo::changes::destination::{Beginning, News};
use crate::mongo::changes::options::{HistoryLost, Start};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::polling::poll;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::store::StoredPoint;
use crate::mongo::changes::watch::{Phase, Watch};
use crate::mongo::error::Error;
use std::rc::Rc;

/// How often in a row a position may be lost before it is not set to now any more.
const RESETS: u32 = 3;

impl Watch {
    /// Reads the position, and opens the stream.
    pub(super) fn load(self: &Rc<Self>) {
        let watch = self.clone();
        let loaded = move |state: &mut State, stored| watch.handle_loaded(state, stored);
        match &self.store {
            Some(store) => store.get(Box::new(loaded)),
            None => self.bridge.defer(Box::new(loaded), Ok(None)),
        }
    }

    fn handle_loaded(
        self: &Rc<Self>,
        state: &mut State,
        stored: Result<Option<StoredPoint>, Error>,
    ) -> Ran {
        if self.is_ending() {
            return self.go_on(state);
        }
        match stored {
            Ok(stored) => {
                let mut work = self.work.borrow_mut();
                work.saving.revision = stored.as_ref().map(|stored| stored.revision);
                let point = stored.map(|stored| stored.point);
                let Some(destination) = self.destination.clone() else {
                    drop(work);
                    return self.begin(state, point, None);
                };
                drop(work);
                let (watch, stored) = (self.clone(), point.clone());
                let begin = move |state: &mut State, said| watch.handle_said(state, stored, said);
                destination.begin(self, point.as_ref(), Box::new(begin));
                Ok(())
            }
            Err(error) if error.is_temporary() => {
                self.fail(state, Rc::new(error.clone().into()), move |_| StopReason::Store(error))
            }
            Err(error) => self.stop(state, StopReason::Store(error)),
        }
    }

    /// The place that changes go to has said where to begin.
    fn handle_said(
        self: &Rc<Self>,
        state: &mut State,
        stored: Option<ResumePoint>,
        said: Result<Beginning, Error>,
    ) -> Ran {
        if self.is_ending() {
            return self.go_on(state);
        }
        match said {
            Ok(Beginning::Unknown) => self.begin(state, stored, None),
            Ok(Beginning::At(time)) => self.begin(state, None, Some(Start::At(time))),
            Ok(Beginning::After(point)) => {
                let start = Start::After(point.token.clone());
                self.begin(state, Some(point), Some(start))
            }
            Err(Error::Fenced) => self.stop(state, StopReason::Fenced),
            Err(error) if classify(&error, true) == Class::Passing || error.is_temporary() => {
                self.fail(state, Rc::new(error.clone().into()), move |_| StopReason::Sink(error))
            }
            Err(error) => self.stop(state, StopReason::Sink(error)),
        }
    }

    fn begin(
        self: &Rc<Self>,
        state: &mut State,
        position: Option<ResumePoint>,
        start: Option<Start>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        (work.position, work.start) = (position, start);
        work.is_loaded = true;
        drop(work);
        self.open(state)
    }

    fn open(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut work = self.work.borrow_mut();
        work.phase = Phase::Opening;
        work.opening += 1;
        let (opening, position) = (work.opening, work.position.clone());
        let asked = work.start.clone().or_else(|| self.stream.start.clone());
        drop(work);
        let start = match (&position, asked) {
            // what was asked for counts until there is a position of this watcher's own
            (_, Some(start)) if opening == 1 => start,
            (Some(point), _) => Start::After(point.token.clone()),
            (None, start) => start.unwrap_or(Start::Now),
        };
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

    fn handle_lost(self: &Rc<Self>, state: &mut State, error: Error) -> Ran {
        let mut work = self.work.borrow_mut();
        work.resets += 1;
        if self.stream.history_lost == HistoryLost::Stop || work.resets > RESETS {
            drop(work);
            return self.stop(state, StopReason::HistoryLost(error));
        }
        let from = work.position.take();
        // what is done of it later would lead back to where nothing is any more
        work.in_flight.clear();
        work.saving.unsaved = None;
        drop(work);
        let cause: Rc<AnyError> = Rc::new(error.clone().into());
        self.tell(state, WatchState::Reset { from, cause: cause.clone() })?;
        self.fail(state, cause, |_| StopReason::HistoryLost(error))
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
        let watch = self.clone();
        let over = move |state: &mut State| watch.end_pause(state);
        let timer = self.bridge.event_loop().set_timer(pause, Box::new(over));
        let mut work = self.work.borrow_mut();
        work.failures = failures.saturating_add(1);
        work.phase = Phase::Pausing;
        work.timer = Some(timer);
        // of the stream that has failed, nothing counts any more
        work.opening += 1;
        let flow = work.flow.take();
        drop(work);
        if let Some(flow) = flow {
            flow.stop();
        }
        self.tell(state, WatchState::Waiting { cause, failures: failures + 1, pause })
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
        match self.phase() {
            Phase::Draining if self.work.borrow().in_flight.is_empty() => {
                let is_loaded = self.work.borrow().is_loaded;
                match is_loaded {
                    true => self.open(state),
                    false => {
                        self.load();
                        Ok(())
                    }
                }
            }
            Phase::Stopping => self.go_on_stopping(state),
            _ => Ok(()),
        }
    }
}
