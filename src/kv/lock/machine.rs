//! What a claim to a lock does next, without I/O: the time is an argument, and reads and writes are
//! commands whose outcomes come back.
//!
//! The invariant is that no two claims believe at one time that they hold the lock. A claim believes it
//! only because of an acknowledged write, and only until its time to live, without the
//! [margin](margin), has gone by since that write was *sent*. Another one takes over what it has seen
//! unchanged for the whole time to live since it *saw* it. So clocks are never compared; they only have to
//! run at about the same speed. What an unanswered write has done is found out by reading: every claim
//! has an id of its own, and its own value is written over once more before it counts.

use super::lost::Lost;
use super::record::{Found, Holder, Record};
use crate::kv::error::Error;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Pauses after what brought nothing new: a part of the time to live, within these.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// By how much earlier than others its holder believes a lock to be lost: a tenth.
pub(super) fn margin(ttl: Duration) -> Duration {
    ttl / 10
}

/// What is to be done. The number comes back with the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Read {
        number: u64,
    },
    /// The claim's own value, over this revision; 0: the key has none at all.
    Write {
        number: u64,
        expected: u64,
    },
    Remove {
        number: u64,
        expected: u64,
    },
}

/// What became of a write or a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    Stored(u64),
    /// The key is at another revision.
    Refused,
    /// It may have been stored, or may be yet.
    Unknown(Error),
    /// It was not stored, and will not be if it is tried again.
    Failed(Error),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The revision is the fencing token.
    Acquired(u64),
    Lost(Lost),
    Failed(Error),
    Released(Result<(), Error>),
    /// Another one holds it now, or this one, or nobody.
    Holder(Option<Record>),
}

/// How a claim is made.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) key: String,
    pub(super) record: Record,
    /// Fails as soon as it is known that another one holds the lock.
    pub(super) is_at_once: bool,
    /// Fails then if the lock was not acquired.
    pub(super) give_up: Option<Instant>,
    /// Until then, or until another one holds it, a free lock is left to others.
    pub(super) stands_back: Option<Instant>,
}

pub(super) struct Machine {
    terms: Terms,
    phase: Phase,
    /// What the key has, as far as that is certain enough to act on it.
    known: Option<Found>,
    /// The newest revision of the key that was seen: what is older is old.
    newest: u64,
    /// The other holder's revision, and when it was first seen.
    observed: Option<(u64, Instant)>,
    /// The revision over which a write was refused: whoever still shows it has nothing new.
    refused: Option<u64>,
    under_way: Option<Step>,
    /// Writes that were not waited for any longer, and when they were sent.
    late: Vec<(u64, Instant)>,
    number: u64,
    has_written: bool,
    /// The first number of this phase.
    phase_begins: u64,
    pause_ends: Option<Instant>,
    /// The outcome was told, and what may have been written is removed.
    is_quiet: bool,
    last_error: Option<Error>,
    events: VecDeque<Event>,
    /// The id of the holder that was told of last.
    told: Option<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Contending,
    /// The last write that was acknowledged was sent then.
    Held {
        renewed: Instant,
    },
    Releasing {
        until: Instant,
    },
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    command: Command,
    number: u64,
    sent: Instant,
}

enum Want {
    Read,
    Write(u64),
    Remove(u64),
    /// Nothing before then, or before something is heard.
    Until(Option<Instant>),
    /// There is nothing left to remove.
    Finish,
}

impl Machine {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            phase: Phase::Contending,
            known: None,
            newest: 0,
            observed: None,
            refused: None,
            under_way: None,
            late: Vec::new(),
            number: 0,
            has_written: false,
            is_quiet: false,
            phase_begins: 1,
            pause_ends: None,
            last_error: None,
            events: VecDeque::new(),
            told: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    pub(super) fn is_contending(&self) -> bool {
        self.phase == Phase::Contending
    }

    /// Whether another one has to be waited for.
    pub(super) fn is_waiting(&self) -> bool {
        let is_others = self.known.as_ref().is_some_and(|found| found.holder != Holder::Nobody);
        self.is_contending() && is_others
    }

    /// Whether the lock is held, as far as this claim may believe it.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.believes_until().is_some_and(|end| now < end)
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be done now. One thing at a time is under way.
    pub(super) fn poll_command(&mut self, now: Instant) -> Option<Command> {
        self.note_time(now);
        let is_paused = self.pause_ends.is_some_and(|end| now < end);
        if self.is_over() || self.under_way.is_some() || is_paused {
            return None;
        }
        self.pause_ends = None;
        let number = self.number + 1;
        let command = match self.want(now) {
            Want::Read => Command::Read { number },
            Want::Write(expected) => Command::Write { number, expected },
            Want::Remove(expected) => Command::Remove { number, expected },
            Want::Until(_) => return None,
            Want::Finish => {
                self.finish(Event::Released(Ok(())));
                return None;
            }
        };
        self.number = number;
        self.has_written |= matches!(command, Command::Write { .. });
        self.under_way = Some(Step { command, number, sent: now });
        Some(command)
    }

    /// When [`poll_command`](Self::poll_command) is to be called again, if nothing happens before.
    pub(super) fn next_time(&self, now: Instant) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let step = match (&self.under_way, self.want(now)) {
            (Some(under_way), _) => under_way.sent.checked_add(self.patience()),
            (None, Want::Until(time)) => time,
            (None, _) => Some(now),
        };
        let step = step.map(|time| self.pause_ends.map_or(time, |end| time.max(end)));
        let end = match self.phase {
            Phase::Releasing { until } => Some(until),
            Phase::Held { .. } => self.believes_until(),
            Phase::Contending | Phase::Over => self.terms.give_up,
        };
        step.into_iter().chain(end).min()
    }

    /// What was read for a command.
    pub(super) fn handle_read(&mut self, now: Instant, number: u64, read: Result<Found, Error>) {
        let is_awaited = self.end_step(number).is_some();
        if self.is_over() || self.known.is_some() || number < self.phase_begins {
            return;
        }
        match read {
            Ok(found) => self.learn(now, found),
            Err(error) if is_awaited => self.note_failure(now, error),
            Err(_) => {}
        }
    }

    /// What a watch has shown.
    pub(super) fn handle_seen(&mut self, now: Instant, found: Found) {
        if !self.is_over() && found.revision > self.newest {
            self.learn(now, found);
        }
    }

    /// What is known of the key may not be so any more.
    pub(super) fn handle_doubt(&mut self) {
        self.known = None;
    }

    /// What became of a command to write.
    pub(super) fn handle_written(&mut self, now: Instant, number: u64, written: Written) {
        let awaited = self.end_step(number);
        let late = self.late.iter().position(|(late, _)| *late == number);
        let late = late.map(|at| self.late.swap_remove(at).1);
        if self.is_over() {
            return;
        }
        match (written, awaited) {
            (Written::Stored(revision), _) => {
                let sent = awaited.map(|step| step.sent).or(late);
                sent.into_iter().for_each(|sent| self.handle_stored(now, sent, revision));
            }
            // what is late has been looked into already
            (_, None) => {}
            (Written::Refused, Some(step)) => self.note_refusal(step.command),
            (Written::Unknown(error), _) => self.note_unknown(now, error),
            (Written::Failed(error), _) => self.note_failure(now, error),
        }
    }

    /// What became of a command to remove.
    pub(super) fn handle_removed(&mut self, now: Instant, number: u64, written: Written) {
        let Some(step) = self.end_step(number).filter(|_| !self.is_over()) else { return };
        match written {
            Written::Stored(revision) => {
                self.newest = self.newest.max(revision);
                self.finish(Event::Released(Ok(())));
            }
            Written::Refused => self.note_refusal(step.command),
            Written::Unknown(error) => self.note_unknown(now, error),
            Written::Failed(error) => self.finish(Event::Released(Err(error))),
        }
    }

    /// The lock is given back, or not waited for any longer. From now on it is not held.
    pub(super) fn release(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Contending | Phase::Held { .. }) {
            let until = now + self.terms.record.ttl();
            self.enter(Phase::Releasing { until });
            self.pause_ends = None;
            if !self.has_written {
                self.finish(Event::Released(Ok(())));
            }
        }
    }

    /// Nothing can be done any more: the client is over, or what is watched is.
    pub(super) fn handle_end(&mut self, error: Error) {
        match self.phase {
            Phase::Contending => self.finish(Event::Failed(error)),
            Phase::Held { .. } => self.lose(Lost::NotRenewed { last: Some(error) }),
            Phase::Releasing { .. } => self.finish(Event::Released(Err(error))),
            Phase::Over => {}
        }
    }

    /// Another connection is there: no pause is needed.
    pub(super) fn handle_connected(&mut self) {
        self.pause_ends = None;
    }

    fn want(&self, now: Instant) -> Want {
        let Some(found) = &self.known else { return Want::Read };
        match (self.phase, &found.holder) {
            (Phase::Contending, Holder::Nobody) => {
                match self.terms.stands_back.filter(|end| now < *end) {
                    Some(end) => Want::Until(Some(end)),
                    None => Want::Write(found.revision),
                }
            }
            (Phase::Contending, Holder::Lock(record)) if !self.is_own(record) => {
                match self.may_be_taken(record) {
                    Some(time) if time <= now => Want::Write(found.revision),
                    time => Want::Until(time),
                }
            }
            (Phase::Contending, _) => Want::Write(found.revision),
            (Phase::Held { renewed }, _) => match renewed + self.terms.record.ttl() / 3 {
                time if time <= now => Want::Write(found.revision),
                time => Want::Until(Some(time)),
            },
            (Phase::Releasing { .. }, Holder::Lock(record)) if self.is_own(record) => {
                Want::Remove(found.revision)
            }
            (Phase::Releasing { .. }, _) => Want::Finish,
            (Phase::Over, _) => Want::Until(None),
        }
    }

    /// When the lock of another one, which was not renewed since it was seen, counts as free.
    fn may_be_taken(&self, record: &Record) -> Option<Instant> {
        self.observed.and_then(|(_, since)| since.checked_add(record.ttl()))
    }

    /// What has to happen because of the time alone.
    fn note_time(&mut self, now: Instant) {
        let patience = self.patience();
        let given_up = self.under_way.filter(|step| now >= step.sent + patience);
        if let Some(step) = given_up {
            self.under_way = None;
            self.known = None;
            if matches!(step.command, Command::Write { .. }) {
                self.late.push((step.number, step.sent));
            }
        }
        if matches!(self.phase, Phase::Held { .. }) && !self.is_held(now) {
            let last = self.last_error.take();
            self.lose(Lost::NotRenewed { last });
        }
        match self.phase {
            Phase::Releasing { until } if now >= until => {
                let error = self.last_error.take().unwrap_or_else(Error::timeout);
                self.finish(Event::Released(Err(error)));
            }
            Phase::Contending if self.terms.give_up.is_some_and(|end| now >= end) => {
                let error = self.why_not_acquired();
                self.events.push_back(Event::Failed(error));
                self.is_quiet = true;
                self.release(now);
            }
            _ => {}
        }
    }

    fn why_not_acquired(&mut self) -> Error {
        match &self.known {
            Some(Found { revision, holder: Holder::Lock(record) }) if !self.is_own(record) => {
                let (key, owner) = (self.terms.key.clone(), record.owner.clone());
                Error::Locked { key, owner, revision: *revision }
            }
            _ => self.last_error.take().unwrap_or_else(Error::timeout),
        }
    }

    /// What the key has now, or has had at least.
    fn learn(&mut self, now: Instant, found: Found) {
        let is_old = found.revision != 0 && found.revision < self.newest;
        let is_refused = self.refused.take() == Some(found.revision);
        if is_old || is_refused {
            // a leader that was cut off may say so; a write over it would be refused
            return self.pause(now);
        }
        self.newest = self.newest.max(found.revision);
        let other = match &found.holder {
            Holder::Lock(record) if !self.is_own(record) => Some(record.owner.clone()),
            _ => None,
        };
        if other.is_some() {
            self.terms.stands_back = None;
            let is_same = self.observed.is_some_and(|(revision, _)| revision == found.revision);
            if !is_same {
                self.observed = Some((found.revision, now));
            }
        }
        let is_own = matches!(&found.holder, Holder::Lock(record) if self.is_own(record));
        self.tell_holder(&found.holder);
        match self.phase {
            Phase::Held { .. } if !is_own => return self.lose(Lost::Taken { by: other }),
            Phase::Contending if found.holder == Holder::Foreign => {
                let key = self.terms.key.clone();
                return self.finish(Event::Failed(Error::NotALock { key }));
            }
            _ => {}
        }
        self.known = Some(found);
        if self.is_contending() && self.terms.is_at_once && other.is_some() {
            let error = self.why_not_acquired();
            self.finish(Event::Failed(error));
        }
    }

    fn handle_stored(&mut self, now: Instant, sent: Instant, revision: u64) {
        if revision < self.newest {
            return;
        }
        (self.newest, self.refused, self.last_error) = (revision, None, None);
        let holder = Holder::Lock(self.terms.record.clone());
        self.tell_holder(&holder);
        self.known = Some(Found { revision, holder });
        let held = Phase::Held { renewed: sent };
        match self.phase {
            // one that was acknowledged so late says nothing of now, and is written over
            Phase::Contending if now >= self.end_of_belief(sent) => {}
            Phase::Contending => {
                self.enter(held);
                self.events.push_back(Event::Acquired(revision));
            }
            Phase::Held { renewed } if sent > renewed => self.phase = held,
            Phase::Held { .. } | Phase::Releasing { .. } | Phase::Over => {}
        }
    }

    fn note_refusal(&mut self, command: Command) {
        let (Command::Write { expected, .. } | Command::Remove { expected, .. }) = command else {
            return;
        };
        // something newer may be known by now
        if self.known.as_ref().is_some_and(|found| found.revision == expected) {
            self.known = None;
        }
        self.refused = Some(expected);
    }

    fn note_unknown(&mut self, now: Instant, error: Error) {
        self.last_error = Some(error);
        self.pause(now);
    }

    /// A step has failed. Whoever holds the lock tries again as long as it does.
    fn note_failure(&mut self, now: Instant, error: Error) {
        let is_over = error.is_closed() || (self.is_contending() && !error.is_temporary());
        match is_over {
            true => self.handle_end(error),
            false => self.note_unknown(now, error),
        }
    }

    fn pause(&mut self, now: Instant) {
        self.known = None;
        let length = (self.terms.record.ttl() / 40).clamp(MIN_PAUSE, MAX_PAUSE);
        self.pause_ends = Some(now + length);
    }

    /// Ends the step that is under way, if it has this number, and returns it.
    fn end_step(&mut self, number: u64) -> Option<Step> {
        let step = self.under_way.filter(|step| step.number == number)?;
        self.under_way = None;
        Some(step)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_begins = self.number + 1;
    }

    fn tell_holder(&mut self, holder: &Holder) {
        let record = match holder {
            Holder::Lock(record) => Some(record),
            Holder::Nobody | Holder::Foreign => None,
        };
        let id = record.map(|record| record.id.clone());
        if !self.is_quiet && self.told.as_ref() != Some(&id) {
            self.told = Some(id);
            self.events.push_back(Event::Holder(record.cloned()));
        }
    }

    fn lose(&mut self, lost: Lost) {
        self.finish(Event::Lost(lost));
    }

    fn finish(&mut self, event: Event) {
        self.phase = Phase::Over;
        self.under_way = None;
        if !self.is_quiet {
            self.events.push_back(event);
        }
    }

    fn is_own(&self, record: &Record) -> bool {
        record.id == self.terms.record.id
    }

    /// For how long a step is waited for before it is looked into.
    fn patience(&self) -> Duration {
        self.terms.record.ttl() / 6
    }

    fn end_of_belief(&self, sent: Instant) -> Instant {
        let ttl = self.terms.record.ttl();
        sent + (ttl - margin(ttl))
    }

    fn believes_until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Held { renewed } => Some(self.end_of_belief(renewed)),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
