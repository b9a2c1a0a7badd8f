//! The course of a watch: what a reader's events mean to it, whatever its messages show.
//!
//! The signal comes exactly once, also for an empty bucket, also when everything was filtered out, and
//! also under steady writes, where "nothing is pending" may never be true: [`Initial`] decides. The
//! consumer may sit on a replica that lags behind, so the [`Question`] is asked at the beginning which
//! sequence was the last one.
//!
//! Whoever owns it reads the messages, and decides when what they show, the signal and the end are
//! noted: [`handle_step`](Course::handle_step) and [`note_signal`](Course::note_signal) belong behind
//! every event, and [`end`](Course::end) behind an error.

use super::initial::{Initial, Step};
use super::question::Question;
use super::running::Watching;
use super::state::WatchState;
use super::watched::{Told, Watched};
use crate::jetstream::consume::{DeliveryNumbers, Reader, ReaderEvent};
use crate::jetstream::stall::Stall;
use std::rc::Rc;

/// After so many replicas that lag behind, one after the other, the user is told.
const LAGGING_REPLICAS: u32 = 2;

pub(crate) struct Course<W: Watched> {
    watched: Rc<W>,
    initial: Initial,
    question: Rc<Question<W>>,
    /// The stream is one that can be watched, as far as that can be known.
    is_stream_known: bool,
    /// How often the consumer was left because its replica lagged behind.
    behind: u32,
    /// The signal is due, once the stream is known and what belongs before it is reported.
    owes_signal: bool,
    watching: Rc<Watching<W::Update>>,
}

impl<W: Watched> Course<W> {
    pub(crate) fn new(
        watched: &Rc<W>,
        initial: Initial,
        question: &Rc<Question<W>>,
        watching: &Rc<Watching<W::Update>>,
    ) -> Self {
        Self {
            watched: watched.clone(),
            initial,
            question: question.clone(),
            is_stream_known: false,
            behind: 0,
            owes_signal: false,
            watching: watching.clone(),
        }
    }

    pub(crate) fn watching(&self) -> &Rc<Watching<W::Update>> {
        &self.watching
    }

    /// Counts a message, which is about this key.
    #[inline]
    pub(crate) fn handle_message(&mut self, key: &[u8], delivery: &DeliveryNumbers) -> Step {
        self.initial.handle_message(key, delivery.stream_sequence, delivery.pending)
    }

    /// Whether nothing is to be noted before what a message shows, nor behind it, after this step: then
    /// it need not be noted itself.
    #[inline]
    pub(crate) fn is_alone(&self, step: Step) -> bool {
        step == Step::Wait && !self.owes_signal && self.watching.is_all_reported()
    }

    /// Takes an event that is not a message of the owner's, and notes what is told of it.
    pub(crate) fn handle_event(
        &mut self,
        reader: &Reader,
        event: ReaderEvent<'_>,
    ) -> Result<Step, W::Error> {
        match event {
            ReaderEvent::Message(message, delivery) => {
                return Ok(self.handle_message(message.subject_bytes(), &delivery));
            }
            ReaderEvent::Created { initial, received } => {
                if self.initial.is_created() {
                    self.note(Told::Live);
                }
                self.watching.note_live(initial.saturating_sub(received));
                return Ok(self.initial.handle_created(initial, received));
            }
            ReaderEvent::Idle => {
                self.watching.note_caught_up();
                return Ok(self.initial.handle_idle());
            }
            ReaderEvent::Again => return self.handle_answer(reader),
            ReaderEvent::Lost => {
                let since = self.watched.api().port().turn_time();
                self.watching.note_state(WatchState::Recreating { since });
                self.note(Told::Recreating { since });
            }
            ReaderEvent::Stalled(stall) => self.note(Told::Stalled(stall)),
            ReaderEvent::Resumed => self.note(Told::Resumed),
            ReaderEvent::Stream(info) => {
                info.map_or(Ok(()), |info| self.watched.note_stream(info))?;
                self.is_stream_known = true;
            }
            ReaderEvent::Failed(error) => return Err(self.watched.error(error)),
        }
        Ok(Step::Wait)
    }

    /// Does what an event asks for.
    pub(crate) fn handle_step(&mut self, step: Step, reader: &Reader) {
        match step {
            Step::Wait => {}
            Step::Ask => self.question.ask(reader),
            Step::Done => self.owes_signal = true,
        }
    }

    /// Notes the signal, if it is due.
    pub(crate) fn note_signal(&mut self) {
        if !self.owes_signal || !self.is_stream_known {
            return;
        }
        self.owes_signal = false;
        if std::mem::take(&mut self.behind) >= LAGGING_REPLICAS {
            self.note(Told::Resumed);
        }
        self.note(Told::Initialized);
    }

    /// Ends the watch: the error is the last that is reported.
    pub(crate) fn end(&self, reader: &Reader, error: W::Error) {
        reader.stop();
        self.watching.note_end(Told::Ended(error).into());
    }

    fn note(&self, told: Told<W::Error>) {
        self.watching.note(told.into());
    }

    /// Takes what the leader has said.
    fn handle_answer(&mut self, reader: &Reader) -> Result<Step, W::Error> {
        match self.question.take_answer() {
            None => Ok(Step::Wait),
            Some(Ok(last)) => {
                let step = self.initial.handle_leader(last);
                if !self.initial.is_behind() {
                    return Ok(step);
                }
                self.leave_replica(reader);
                Ok(Step::Wait)
            }
            // whoever reads is told of a client that is over, and asks again after the rest
            Some(Err(error)) if W::is_unanswered(&error) => {
                self.initial.handle_unanswered();
                Ok(Step::Wait)
            }
            Some(Err(error)) => Err(error),
        }
    }

    /// A consumer that is idle, and behind what the leader knows, is on a replica that lags: the next
    /// one may be on another.
    fn leave_replica(&mut self, reader: &Reader) {
        log::info!("a replica of {} lags behind, trying another", self.watched.stream());
        reader.restart();
        self.behind += 1;
        if self.behind == LAGGING_REPLICAS {
            self.note(Told::Stalled(Stall::LagsBehind));
        }
    }
}
