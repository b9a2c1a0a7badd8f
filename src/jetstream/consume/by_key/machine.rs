//! A consumption by key, as the driver knows it. A pure state machine: no socket, no clock.
//!
//! It keeps what comes in lanes, hands over what is free, and is told how it is settled. What is not
//! answered for good comes again from the server, and its key waits for it. Meanwhile the server is told
//! that everything else that is here is under way, so that nothing comes again for having waited.
//!
//! The invariants are those of the lanes, and three more. What is held counts as untaken for the machine
//! that asks for messages. As long as a key waits for a message, the server is asked for messages, even if
//! there is no room for them. No key waits for ever: what does not come in time is skipped, and told. There
//! is exactly one end, when nothing is held any more.

use super::lanes::{Held, Lanes, Work};
use super::losses::Losses;
use super::terms::Terms;
use super::waits::{Wait, Waits};
use crate::event_loop::after;
use crate::jetstream::consume::consumer_error::ConsumerError;
use crate::jetstream::consume::delivery_info::DeliveryInfo;
use crate::jetstream::consume::machine::{Action, KeyOf, Machine, Told, Verdict, counted};
use crate::jetstream::consume::outcome::{ConsumeEnd, ConsumeEvent};
use crate::jetstream::consume::pull::{ConsumeOptions, Pull};
use crate::jetstream::consume::settling::Settled;
use crate::jetstream::error::Error;
use crate::jetstream::manage::{AckPolicy, ConsumerInfo};
use evnats_protocol::Message;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For so long it is gathered what others have handed back.
const GATHERING: Duration = Duration::from_millis(250);

/// One consumption by key.
pub(super) struct KeyedPull {
    pull: Pull,
    key_of: KeyOf,
    lanes: Lanes,
    waits: Waits,
    losses: Losses,
    terms: Terms,
    phase: Phase,
    connected: bool,
    paused: bool,
    start: Start,
    /// The consumer's information is to tell whether what has not come can be given up.
    is_confirming: bool,
    /// When a message has come last.
    heard: Option<Instant>,
    /// The server that has the consumer, as it was told last.
    leader: Option<Option<String>>,
    /// When the server is told what is under way.
    prolongs: Option<Instant>,
    /// What the program has been handed and has not taken: the numbers and the bytes.
    handed: VecDeque<(u64, u64)>,
    actions: VecDeque<Action<ConsumeEnd>>,
    /// The time of the last input.
    now: Instant,
}

/// How the handing over begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// When it is told of the consumer, or that it cannot be.
    Told,
    /// At this time: what others have handed back has no order until it is here.
    At(Instant),
    Over,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// Nothing more comes. What is held is handed over before the end, as far as it can be.
    Closing(ConsumeEnd),
    /// The program takes nothing any more. These messages are for somebody else, after the end.
    Leaving(Vec<(u64, Message)>),
    Ended,
}

impl KeyedPull {
    /// A consumption whose first actions are waiting already.
    pub(super) fn new(
        options: ConsumeOptions,
        key_of: KeyOf,
        max_keys: usize,
        seed: u64,
        now: Instant,
    ) -> Self {
        Self {
            terms: Terms::new(options.in_progress_every),
            pull: Pull::new(options, seed, now),
            key_of,
            lanes: Lanes::new(max_keys),
            waits: Waits::default(),
            losses: Losses::default(),
            phase: Phase::Running,
            connected: true,
            paused: false,
            start: Start::Told,
            is_confirming: false,
            heard: None,
            leader: None,
            prolongs: None,
            handed: VecDeque::new(),
            actions: VecDeque::from([Action::AskConsumer]),
            now,
        }
    }

    /// Whether a message can come that is waited for.
    fn can_come(&self) -> bool {
        self.connected && !self.paused && matches!(self.phase, Phase::Running)
    }

    fn receive(&mut self, key: &[u8], message: &Message, now: Instant) -> Verdict {
        self.now = now;
        let bytes = counted(message);
        let Some(info) = message.reply_bytes().and_then(DeliveryInfo::parse) else {
            // there is no order for what has no number
            let verdict = Machine::handle_message(&mut self.pull, message, now);
            if verdict == Verdict::Deliver {
                self.handed.push_back((0, bytes));
            }
            return verdict;
        };
        let sequence = info.stream_sequence;
        self.heard = Some(now);
        self.losses.note(&info, &self.terms, now);
        let verdict = if self.lanes.is_at_work(sequence) || self.lanes.renew(key, sequence, message)
        {
            self.pull.spend(bytes, now);
            Verdict::Skip
        } else {
            match Machine::handle_message(&mut self.pull, message, now) {
                Verdict::Deliver => {
                    self.waits.remove(sequence);
                    self.lanes.hold(key, Held { sequence, message: message.clone(), bytes });
                    Verdict::Kept
                }
                verdict => verdict,
            }
        };
        self.follow(now);
        verdict
    }

    /// What follows from how a message was settled, for its key.
    fn note_settled(&mut self, sequence: u64, work: &Work, settled: Settled, now: Instant) {
        let delay = match settled {
            Settled::Done => None,
            Settled::Unanswered if !self.terms.wants_answers => None,
            Settled::Again(delay) => Some(delay),
            Settled::Unanswered => Some(self.terms.ack_wait),
        };
        let info = work.message.reply_bytes().and_then(DeliveryInfo::parse);
        let is_last = info.is_some_and(|info| self.terms.is_last(info.delivered));
        match delay {
            None => self.lanes.pass_over(&work.key, sequence),
            Some(_) if is_last => {
                self.tell_skipped(sequence);
                self.lanes.pass_over(&work.key, sequence);
            }
            Some(delay) => {
                self.lanes.expect(&work.key, sequence);
                let patience = self.terms.patience(delay);
                let (due, gives_up) = (after(now, delay), after(now, patience));
                self.waits.add(sequence, Wait { key: work.key.clone(), due, gives_up, patience });
            }
        }
    }

    fn tell_skipped(&mut self, stream_sequence: u64) {
        self.actions.push_back(Action::Tell(ConsumeEvent::Skipped { stream_sequence }));
    }

    /// Does what has become due: after every input.
    fn follow(&mut self, now: Instant) {
        self.now = now;
        if self.can_come() {
            self.look_for_what_is_late(now);
        }
        self.lanes.set_barrier(self.losses.barrier());
        if matches!(self.start, Start::At(at) if at <= now) {
            self.start = Start::Over;
        }
        if self.start == Start::Over && matches!(self.phase, Phase::Running | Phase::Closing(_)) {
            while let Some(next) = self.lanes.take() {
                self.handed.push_back((next.sequence, next.bytes));
                self.actions.push_back(Action::HandOver(next.message));
            }
        }
        self.close();
        self.prolong(now);
    }

    /// Asks for what should have come, and gives up what does not come.
    fn look_for_what_is_late(&mut self, now: Instant) {
        let (waits, losses) = (self.waits.look(now), self.losses.look(now));
        for look in [waits, losses].into_iter().flatten().filter(|look| look.overdue > 0) {
            self.pull.ask_beyond(look.overdue, look.is_late, now);
        }
        if waits.is_some_and(|look| look.has_lapsed) && !self.is_confirming {
            self.is_confirming = true;
            self.actions.push_back(Action::AskConsumer);
        }
    }

    /// Goes on without what does not come, unless nothing could come.
    fn confirm(&mut self, info: Result<&ConsumerInfo, &Error>, now: Instant) {
        let heard = self.heard;
        let skipped = match info {
            Ok(info) if info.paused => Vec::new(),
            // what has come meanwhile shows that messages do come
            Err(error) if !error.is_denied() => self.waits.take_lapsed(now, |wait| {
                let since = if error.is_timeout() { wait.gives_up } else { wait.due };
                heard.is_some_and(|heard| heard > since)
            }),
            _ => self.waits.take_lapsed(now, |_| true),
        };
        for (sequence, key) in skipped {
            self.tell_skipped(sequence);
            self.lanes.pass_over(&key, sequence);
        }
        self.waits.postpone_lapsed(now);
    }

    /// Waits anew if nobody has the consumer at the moment, or another server than before: there all waits
    /// have begun anew.
    fn note_leader(&mut self, info: Result<&ConsumerInfo, &Error>, now: Instant) {
        let has_moved = match info {
            Ok(info) => {
                let leader = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone());
                let before = self.leader.replace(leader.clone());
                before.is_some_and(|before| before != leader)
            }
            Err(error) => error.is_timeout(),
        };
        if has_moved {
            self.waits.restart(now);
            self.losses.restart(&self.terms, now);
        }
    }

    fn learn(&mut self, info: &ConsumerInfo) {
        let Some(config) = &info.config else { return };
        self.terms.learn(config);
        // the period may be another one
        self.prolongs = None;
        if config.ack_policy == AckPolicy::All && matches!(self.phase, Phase::Running) {
            let held = self.lanes.take_held();
            self.leave(held);
            self.pull.fail(ConsumerError::AcksAll.into());
        }
    }

    /// The program takes nothing any more.
    fn leave(&mut self, mut left: Vec<(u64, Message)>) {
        left.sort_by_key(|(sequence, _)| *sequence);
        self.waits.clear();
        self.losses.clear();
        match std::mem::replace(&mut self.phase, Phase::Leaving(left)) {
            Phase::Closing(end) => self.end(end),
            Phase::Ended => self.phase = Phase::Ended,
            Phase::Running | Phase::Leaving(_) => {}
        }
    }

    /// Hands back what cannot be handed over any more, and ends when nothing is left.
    fn close(&mut self) {
        if !matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        let stuck = self.lanes.take_stuck();
        self.actions.extend(stuck.into_iter().map(|(_, message)| Action::HandBack(message)));
        if self.lanes.held() > 0 {
            return;
        }
        if let Phase::Closing(end) = std::mem::replace(&mut self.phase, Phase::Ended) {
            self.actions.push_back(Action::End(end));
        }
    }

    /// Nothing comes any more.
    fn end(&mut self, end: ConsumeEnd) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Leaving(left) => {
                // only after the end, as the server would deliver it to a request that waits
                self.actions.push_back(Action::End(end));
                self.actions.extend(left.into_iter().map(|(_, message)| Action::HandBack(message)));
            }
            Phase::Running | Phase::Closing(_) => {
                self.waits.clear();
                self.phase = Phase::Closing(end);
                self.follow(self.now);
            }
            Phase::Ended => {}
        }
    }

    /// Tells the server what is under way, when it is time.
    fn prolong(&mut self, now: Instant) {
        let has_messages = self.lanes.held() > 0 || self.lanes.has_work();
        if !has_messages || !self.connected || !self.terms.wants_answers {
            self.prolongs = None;
        } else if self.prolongs.is_none_or(|due| due <= now) {
            if self.prolongs.is_some() {
                self.actions.extend(self.lanes.messages().cloned().map(Action::Prolong));
            }
            self.prolongs = Some(after(now, self.terms.period));
        }
    }
}

impl Machine for KeyedPull {
    type End = ConsumeEnd;

    const FOLLOWS_ANSWERS: bool = true;

    fn failure(end: &ConsumeEnd) -> Option<&Error> {
        end.failure()
    }

    fn poll_action(&mut self) -> Option<Action<ConsumeEnd>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            match self.pull.poll_action()? {
                Action::End(end) => self.end(end),
                action => return Some(action),
            }
        }
    }

    fn key_of(&self) -> Option<KeyOf> {
        Some(self.key_of.clone())
    }

    fn handle_message(&mut self, message: &Message, now: Instant) -> Verdict {
        self.receive(message.subject_bytes(), message, now)
    }

    fn handle_keyed(&mut self, key: Vec<u8>, message: &Message, now: Instant) -> Verdict {
        self.receive(&key, message, now)
    }

    fn handle_settled(&mut self, stream_sequence: u64, settled: Settled, now: Instant) {
        if let Some(work) = self.lanes.settle(stream_sequence) {
            self.note_settled(stream_sequence, &work, settled, now);
            self.follow(now);
        }
    }

    fn release(&mut self, bytes: u64, now: Instant) {
        // as it was counted when it came: it may have come again with a longer subject
        let bytes = self.handed.pop_front().map_or(bytes, |(_, bytes)| bytes);
        self.pull.release(bytes, now);
    }

    fn handle_status(&mut self, number: u64, message: &Message, now: Instant) {
        Machine::handle_status(&mut self.pull, number, message, now);
        self.follow(now);
    }

    fn handle_told(&mut self, told: Told<'_>, now: Instant) {
        if let Told::Consumer(info) = told {
            if self.start == Start::Told {
                let has_unanswered = info.is_ok_and(|info| info.num_ack_pending > 0);
                let wait = if has_unanswered { GATHERING } else { Duration::ZERO };
                self.start = Start::At(after(now, wait));
            }
            if let Ok(info) = info {
                self.learn(info);
            }
            self.note_leader(info, now);
            if std::mem::take(&mut self.is_confirming) {
                self.confirm(info, now);
            }
        }
        self.pull.handle_told(told, now);
        self.follow(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.pull.handle_timeout(now);
        self.follow(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let late = [self.waits.next(), self.losses.next()];
        let late = late.into_iter().flatten().min().filter(|_| self.can_come());
        let start = match self.start {
            Start::At(at) => Some(at),
            Start::Told | Start::Over => None,
        };
        [self.pull.next_deadline(), late, self.prolongs, start].into_iter().flatten().min()
    }

    fn handle_disconnected(&mut self, now: Instant) {
        self.connected = false;
        self.pull.handle_disconnected(now);
        self.follow(now);
    }

    fn handle_reconnected(&mut self, now: Instant) {
        self.pull.handle_reconnected(now);
        self.connected = true;
        self.waits.restart(now);
        self.losses.restart(&self.terms, now);
        if matches!(self.phase, Phase::Running) {
            self.actions.push_back(Action::AskConsumer);
        }
        // nobody could be told meanwhile
        self.prolongs = Some(now);
        self.follow(now);
    }

    fn pause(&mut self, now: Instant) {
        self.paused = true;
        self.pull.pause(now);
        self.follow(now);
    }

    fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.pull.resume(now);
        self.waits.restart(now);
        self.losses.restart(&self.terms, now);
        self.follow(now);
    }

    fn drain(&mut self, now: Instant) {
        self.pull.drain(now);
        self.follow(now);
    }

    /// What the program has not taken is handed back from here, in the order of the stream.
    fn forgo(&mut self, count: usize, now: Instant) -> bool {
        self.now = now;
        let mut left = self.lanes.take_held();
        let untaken = self.handed.split_off(self.handed.len().saturating_sub(count));
        for (sequence, _) in untaken {
            if let Some(work) = self.lanes.settle(sequence) {
                self.lanes.pass_over(&work.key, sequence);
                left.push((sequence, work.message));
            }
        }
        self.leave(left);
        false
    }

    fn stop(&mut self, now: Instant) {
        self.now = now;
        self.pull.stop();
    }

    fn fail(&mut self, error: Error) {
        if let Phase::Leaving(left) = &mut self.phase {
            left.clear();
        }
        if error.is_closed() {
            self.lanes.clear();
            self.prolongs = None;
            self.start = Start::Over;
        }
        self.pull.fail(error);
    }

    fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Ended) && !self.lanes.has_work()
    }
}

#[cfg(test)]
mod tests;
