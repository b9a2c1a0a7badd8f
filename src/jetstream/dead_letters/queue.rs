//! The dead letters that wait for their messages. A pure state machine: no socket, no clock.
//!
//! The invariant: they leave in the order in which they came, each once, with its message or the reason
//! why it has none. Only those at the front are read, so that what has come and cannot leave yet is
//! bounded as well. What is beyond the limit does not come in, and is given back.

use super::letter::{DeadLetter, Notice};
use super::options::DeadLetterOptions;
use crate::event_loop::after;
use crate::jetstream::error::Error;
use crate::jetstream::manage::StoredMessage;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many messages are read at once at most.
const MAX_READS: usize = 64;
/// The pause before a message is read again, which doubles …
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The number of one that waits, by which the answer to its read is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(u64);

/// The dead letters that wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// How many have left.
    left: u64,
    max_waiting: usize,
    patience: Duration,
}

#[derive(Debug)]
struct Waiting {
    notice: Notice,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    NotBegun,
    UnderWay(Attempts),
    /// It is to be read again then.
    Paused(Attempts, Instant),
    Done(Result<StoredMessage, Error>),
}

/// The attempts to read one message.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    give_up_at: Instant,
    next_pause: Duration,
}

impl Queue {
    pub(super) fn new(options: &DeadLetterOptions) -> Self {
        Self {
            waiting: VecDeque::new(),
            left: 0,
            max_waiting: options.max_waiting,
            patience: options.patience,
        }
    }

    /// One has come. It is given back if there is no room for it.
    pub(super) fn handle_notice(&mut self, notice: Notice) -> Option<DeadLetter> {
        let waiting = self.waiting.len();
        if waiting >= self.max_waiting {
            return Some(notice.with(Err(Error::TooManyDeadLetters { waiting })));
        }
        self.waiting.push_back(Waiting { notice, reading: Reading::NotBegun });
        None
    }

    /// The next message to read, by its sequence.
    pub(super) fn poll_read(&mut self, now: Instant) -> Option<(Number, u64)> {
        let (patience, left) = (self.patience, self.left);
        let fresh = || Attempts { give_up_at: after(now, patience), next_pause: FIRST_PAUSE };
        for (waiting, number) in self.waiting.iter_mut().take(MAX_READS).zip(left..) {
            let attempts = match &waiting.reading {
                Reading::NotBegun => fresh(),
                Reading::Paused(attempts, until) if *until <= now => *attempts,
                _ => continue,
            };
            waiting.reading = Reading::UnderWay(attempts);
            return Some((Number(number), waiting.notice.delivery.stream_sequence));
        }
        None
    }

    /// When there is something to read again.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        let until = |waiting: &Waiting| match waiting.reading {
            Reading::Paused(_, until) => Some(until),
            _ => None,
        };
        self.waiting.iter().take(MAX_READS).filter_map(until).min()
    }

    /// What became of a read.
    pub(super) fn handle_read(
        &mut self,
        Number(number): Number,
        outcome: Result<StoredMessage, Error>,
        now: Instant,
    ) {
        let place = number.checked_sub(self.left).and_then(|place| usize::try_from(place).ok());
        let Some(waiting) = place.and_then(|place| self.waiting.get_mut(place)) else { return };
        let Reading::UnderWay(attempts) = waiting.reading else { return };
        let again_at = after(now, attempts.next_pause);
        let may_change = outcome.as_ref().is_err_and(Error::is_temporary);
        waiting.reading = if may_change && again_at < attempts.give_up_at {
            let next_pause = LONGEST_PAUSE.min(attempts.next_pause * 2);
            Reading::Paused(Attempts { next_pause, ..attempts }, again_at)
        } else {
            Reading::Done(outcome)
        };
    }

    /// No more will come, and nobody is to wait for those that are there: what fails is not read again.
    pub(super) fn handle_end(&mut self, now: Instant) {
        self.patience = Duration::ZERO;
        for waiting in &mut self.waiting {
            match &mut waiting.reading {
                Reading::UnderWay(attempts) => attempts.give_up_at = now,
                Reading::Paused(attempts, until) => (attempts.give_up_at, *until) = (now, now),
                Reading::NotBegun | Reading::Done(_) => {}
            }
        }
    }

    /// The next one to be told, if its message is there or will not be.
    pub(super) fn poll_letter(&mut self) -> Option<DeadLetter> {
        match self.waiting.pop_front()? {
            Waiting { notice, reading: Reading::Done(outcome) } => {
                self.left += 1;
                Some(notice.with(outcome))
            }
            waiting => {
                self.waiting.push_front(waiting);
                None
            }
        }
    }

    /// Whether there is one to be told.
    pub(super) fn is_front_done(&self) -> bool {
        matches!(self.waiting.front(), Some(Waiting { reading: Reading::Done(_), .. }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.left += self.waiting.len() as u64;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests;
