//! When an acknowledgement is missing, or says otherwise than expected, the tail of the stream decides what
//! is stored, and what is not goes out again behind it.

use super::copy_mark::copy_mark;
use super::running::{Mode, Sink, Work};
use super::tail::{self, Last, Mark, Tail};
use crate::callback::{Ran, State};
use crate::jetstream::{self, ApiError, ErrorCode};
use crate::mongo::changes::{Backoff, StopReason, WatchState};
use crate::mongo::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// How often in a row the tail may say that nothing more is stored before that counts as a refusal.
const MAX_STUCK: u32 = 10;

/// What the tail says.
enum Judged {
    /// The rest goes out.
    GoOn,
    /// Somebody else has published.
    Fenced,
    /// Another instance has copied meanwhile, or an earlier copy of this one was still under way: where to
    /// begin is to be found out again.
    BeginAgain,
    /// The stream is another one.
    Recreated,
}

impl Sink {
    /// Stops publishing, and asks the stream what it has. `cause`: why, if it is more than a sequence that
    /// was not expected.
    pub(super) fn recover(self: &Rc<Self>, cause: Option<jetstream::Error>) {
        let mut work = self.work.borrow_mut();
        if work.mode != Mode::Flowing {
            return;
        }
        work.mode = Mode::Recovering;
        work.row.give_up_round();
        work.recoveries += 1;
        work.stuck += 1;
        let stuck = work.stuck;
        drop(work);
        self.leave_ingest();
        // the first time it may be a single acknowledgement that was lost
        match stuck {
            1 => self.read_tail(cause),
            _ => self.read_tail_later(cause, stuck - 2),
        }
    }

    fn read_tail_later(self: &Rc<Self>, cause: Option<jetstream::Error>, failures: u32) {
        let backoff =
            Backoff::new().first(Duration::from_millis(100)).longest(Duration::from_secs(2));
        let pause = backoff.pause(failures, self.api.port().random());
        let sink = self.clone();
        let read = move |_: &mut State| {
            sink.read_tail(cause);
            Ok(())
        };
        self.api.port().set_timer(pause.unwrap_or_default(), Box::new(read));
    }

    fn read_tail(self: &Rc<Self>, cause: Option<jetstream::Error>) {
        if self.work.borrow().mode != Mode::Recovering {
            return;
        }
        let sink = self.clone();
        let on_tail = move |state: &mut State, tail| sink.handle_tail(state, cause, tail);
        tail::read(&self.api, &self.options.stream, Box::new(on_tail));
    }

    fn handle_tail(
        self: &Rc<Self>,
        state: &mut State,
        cause: Option<jetstream::Error>,
        tail: Result<Tail, jetstream::Error>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.mode != Mode::Recovering {
            return Ok(());
        }
        let tail = match tail {
            Ok(tail) => tail,
            Err(error) if error.is_temporary() || error.is_outcome_unknown() => {
                work.failures = work.failures.saturating_add(1);
                let failures = work.failures;
                drop(work);
                self.read_tail_later(cause, failures);
                return match failures {
                    1 => self.tell(state, WatchState::SinkAway(Rc::new(error.into()))),
                    _ => Ok(()),
                };
            }
            Err(error) => {
                drop(work);
                return self.stop(state, StopReason::Sink(Error::JetStream(error)));
            }
        };
        let was_away = std::mem::take(&mut work.failures) > 0;
        let judged = work.judge(&self.writer, tail);
        work.takes_ingests &= may_ingest_again(work.stuck, cause.as_ref());
        let is_stuck = work.stuck >= MAX_STUCK;
        drop(work);
        match judged {
            Judged::Fenced => self.stop(state, StopReason::Fenced),
            Judged::BeginAgain => {
                self.begin_again();
                self.tell_back(state, was_away)
            }
            Judged::Recreated => {
                let error = Error::JetStream(jetstream::Error::StreamRecreated);
                self.stop(state, StopReason::Sink(error))
            }
            Judged::GoOn if is_stuck => {
                let error = cause.map_or(Error::NotTaken, Error::JetStream);
                self.stop(state, StopReason::Sink(error))
            }
            Judged::GoOn => {
                self.work.borrow_mut().mode = Mode::Flowing;
                self.begin_ingest();
                self.send();
                self.tell_back(state, was_away)
            }
        }
    }

    fn tell_back(&self, state: &mut State, was_away: bool) -> Ran {
        match was_away {
            true => self.tell(state, WatchState::SinkBack),
            false => Ok(()),
        }
    }

    fn tell(&self, state: &mut State, news: WatchState) -> Ran {
        match self.watch() {
            Some(watch) => watch.tell(state, news),
            None => Ok(()),
        }
    }
}

impl Work {
    /// Takes in what the tail says.
    fn judge(&mut self, writer: &str, tail: Tail) -> Judged {
        if tail.sequence < self.sequence {
            return Judged::Recreated;
        }
        match tail.last {
            None => {}
            Some(Last::Own(mark)) if mark.writer == writer => {
                let is_more = self.row.settle_through(&mark.id);
                let is_late = !is_more && !self.has_stored && tail.sequence > self.sequence;
                if is_late && self.copying.is_some() {
                    return Judged::BeginAgain;
                }
                self.has_stored = true;
                if is_more {
                    self.stuck = 0;
                }
            }
            Some(Last::Own(_)) if !self.has_stored && self.copying.is_some() => {
                return Judged::BeginAgain;
            }
            Some(Last::Own(mark)) if self.may_follow(&mark) => self.follow(&mark),
            Some(_) => return Judged::Fenced,
        }
        self.takes_ingests = tail.takes_ingests;
        self.sequence = tail.sequence;
        self.row.go_on_at(tail.sequence);
        Judged::GoOn
    }

    /// Whether messages of others may be gone on behind.
    fn may_follow(&self, mark: &Mark) -> bool {
        !self.has_stored && copy_mark(&mark.point.token).is_none()
    }

    /// Another instance was quicker: its messages count.
    fn follow(&mut self, mark: &Mark) {
        if let Some(token) = mark.point.token.data() {
            self.row.settle_until(token);
            // what is not in the row yet comes later
            if self.taken.as_deref() < Some(token) {
                self.taken = Some(token.to_owned());
            }
        }
    }
}

/// Whether fast ingest may go better the next time: something has come of it, or it was an outage.
fn may_ingest_again(stuck: u32, cause: Option<&jetstream::Error>) -> bool {
    let is_outage = |error: &jetstream::Error| {
        let code = error.api().map(ApiError::err_code);
        error.is_outcome_unknown() || code == Some(ErrorCode::BATCH_PUBLISH_UNKNOWN_BATCH_ID)
    };
    stuck == 0 || stuck == 1 && cause.is_none_or(is_outage)
}
