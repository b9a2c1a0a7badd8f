//! The ordered consumer as the driver knows it. A pure state machine: no socket, no clock.
//!
//! Each server-side consumer is one *incarnation*, with a number and a name of its own. It acknowledges
//! nothing and keeps its state in memory, so it may vanish at any time. Whenever a delivery is missing,
//! or nothing is heard, or the connection was lost, the incarnation is left, and the next one starts
//! behind the last message that was delivered. What is heard of any incarnation but the current one
//! changes nothing: requests have numbers that never repeat, and messages name their consumer.
//!
//! The invariants: stream sequences that are delivered strictly increase, and between two of them no
//! matching message is missing, apart from those removed from the stream. The next incarnation is made
//! when the one before is known to be deleted, or two seconds after that was asked for. There is exactly
//! one end, and by then the state is back where it came from, for the next read.

mod resets;

use super::cause::ResetCause;
use super::reading::{Came, Judgment, Reading, Start};
use super::state::{OrderedHome, OrderedState};
use crate::jetstream::consume::debts::Debts;
use crate::jetstream::consume::delivery_info::DeliveryInfo;
use crate::jetstream::consume::delivery_numbers::DeliveryNumbers;
use crate::jetstream::consume::machine::{Action, Machine, Told, Verdict, counted};
use crate::jetstream::consume::outcome::ConsumeEvent;
use crate::jetstream::consume::position::{Mark, Step};
use crate::jetstream::consume::pull::request::PullRequest;
use crate::jetstream::consume::pull::status_of;
use crate::jetstream::consume::status::{Amount, StatusKind};
use crate::jetstream::error::{Error, OrderedError};
use crate::jetstream::stall::Stall;
use evnats_protocol::Message;
use std::collections::VecDeque;
use std::time::Instant;

/// An ordered consumer that is being read.
#[derive(Debug)]
pub(crate) struct OrderedPull<M: Reading> {
    state: OrderedState,
    /// Where the state goes when it is final.
    home: Option<OrderedHome>,
    wanted: M::Wanted,
    phase: Phase<M>,
    question: Question,
    debts: Debts,
    connected: bool,
    /// A consumer was left because of the connection, which is to be told.
    lost: bool,
    paused: bool,
    /// The number of the last request, over all incarnations.
    last_number: u64,
    received: Amount,
    untaken: Untaken,
    requests: VecDeque<(u64, PullRequest)>,
    events: VecDeque<ConsumeEvent>,
    /// Why there was no consumer to be had, as it was told last.
    told: Option<Stall>,
    end: Option<M::End>,
    /// The time of the last input.
    now: Instant,
    seed: u64,
}

#[derive(Debug)]
enum Phase<M> {
    /// Between two incarnations: until the pause is over, or the connection is back.
    Waiting,
    /// The next one waits for the question about the stream, and for the deletion of the one before.
    Preparing,
    /// Its creation was handed out.
    Creating,
    Reading(Inner<M>),
    /// The end waits for the deletion of the last one.
    Closing,
    Ended,
}

/// How the current incarnation is read.
#[derive(Debug)]
struct Inner<M> {
    machine: M,
    /// Its numbers begin after this one.
    base: u64,
    /// It has brought what the program had had.
    has_spent: bool,
}

/// The question about the stream, which is asked before a consumer is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Unasked,
    Asked,
    /// Asked for an incarnation that was left since: the answer may be too old.
    AskedBefore,
    Answered,
}

/// What the program has not taken yet.
#[derive(Debug, Default)]
struct Untaken {
    amount: Amount,
    /// Where each of them is.
    marks: VecDeque<Mark>,
    /// Where the last one is that the program has taken.
    taken: Mark,
}

impl Untaken {
    /// Where the one before the last ones is, which the program will not take.
    fn without_last(&mut self, count: usize) -> Mark {
        self.marks.truncate(self.marks.len().saturating_sub(count));
        self.marks.back().copied().unwrap_or(self.taken)
    }
}

impl<M: Reading> OrderedPull<M> {
    /// An ordered consumer that goes on from the state, and brings it home at its end. The first
    /// actions are waiting already.
    pub(crate) fn new(
        state: OrderedState,
        home: OrderedHome,
        wanted: M::Wanted,
        seed: u64,
        now: Instant,
    ) -> Self {
        let untaken = Untaken { taken: state.position.mark(), ..Untaken::default() };
        let mut ordered = Self {
            state,
            home: Some(home),
            wanted,
            phase: Phase::Waiting,
            question: Question::Unasked,
            debts: Debts::default(),
            connected: true,
            lost: false,
            paused: false,
            last_number: 0,
            received: Amount::default(),
            untaken,
            requests: VecDeque::new(),
            events: VecDeque::new(),
            told: None,
            end: None,
            now,
            seed,
        };
        ordered.state.backoff.handle_timeout(now);
        if ordered.state.consumer.is_some() {
            ordered.read(now);
        } else if ordered.state.backoff.until().is_none() {
            ordered.prepare();
        }
        ordered
    }

    /// Reads the consumer that is there.
    fn read(&mut self, now: Instant) {
        let start = Start {
            received: self.received,
            untaken: self.untaken.amount,
            paused: self.paused,
            config: self.state.consumer.as_deref(),
            seed: self.seed.wrapping_add(self.state.serial),
            now,
        };
        match M::begin(&self.wanted, start) {
            Ok(machine) => {
                let base = self.last_number;
                self.phase = Phase::Reading(Inner { machine, base, has_spent: false });
                self.pump(now);
            }
            Err(end) => self.finish(end, now),
        }
    }

    /// Has the machine that reads do something, and does what it asks for then.
    #[inline]
    fn with_inner(&mut self, now: Instant, input: impl FnOnce(&mut Inner<M>)) {
        if let Phase::Reading(inner) = &mut self.phase {
            input(inner);
            self.pump(now);
        }
    }

    /// Takes on what the machine that reads asks for.
    fn pump(&mut self, now: Instant) {
        while let Phase::Reading(inner) = &mut self.phase {
            let Some(action) = inner.machine.poll_action() else { return };
            match action {
                Action::Pull { number, request } => {
                    let number = inner.base + number;
                    self.last_number = self.last_number.max(number);
                    self.requests.push_back((number, request));
                }
                Action::Tell(event) => self.events.push_back(event),
                // it has missed the server, and would ask what is the matter
                Action::AskConsumer => self.reset(ResetCause::MissedHeartbeats, now),
                Action::End(end) => {
                    let came = Came { received: self.received, has_spent: inner.has_spent };
                    self.follow(M::judge(&self.wanted, end, came), now);
                }
                Action::Reply { .. }
                | Action::Listen { .. }
                | Action::StopListening
                | Action::AskStream
                | Action::Create { .. }
                | Action::Delete { .. }
                | Action::HandOver(_)
                | Action::HandBack(_)
                | Action::Prolong(_) => {}
            }
        }
    }

    /// Reading the incarnation has ended.
    fn follow(&mut self, judgment: Judgment<M::End>, now: Instant) {
        match judgment {
            Judgment::End(end) => self.finish(end, now),
            Judgment::Again => self.read(now),
            Judgment::Leave(cause) => self.reset(cause, now),
            Judgment::Gone(cause) => {
                self.state.consumer = None;
                self.reset(cause, now);
            }
        }
    }

    /// The next message has come.
    #[inline]
    fn deliver(&mut self, message: &Message, now: Instant) -> Verdict {
        let amount = Amount { messages: 1, bytes: counted(message) };
        self.received = self.received.plus(amount);
        self.untaken.amount = self.untaken.amount.plus(amount);
        self.untaken.marks.push_back(self.state.position.mark());
        self.note_progress();
        self.with_inner(now, |inner| _ = inner.machine.handle_message(message, now));
        Verdict::Deliver
    }

    /// A delivery has come that brings nothing new.
    fn spend(&mut self, message: &Message, now: Instant) {
        let bytes = counted(message);
        self.with_inner(now, |inner| {
            inner.has_spent = true;
            inner.machine.spend(bytes, now);
        });
    }

    fn note_progress(&mut self) {
        self.state.note_progress();
        self.told = None;
    }
}

impl<M: Reading + 'static> Machine for OrderedPull<M>
where
    M::Wanted: 'static,
{
    type End = M::End;

    fn failure(end: &M::End) -> Option<&Error> {
        M::failure(end)
    }

    fn poll_action(&mut self) -> Option<Action<M::End>> {
        if let Some(event) = self.events.pop_front() {
            return Some(Action::Tell(event));
        }
        if let Some(end) = self.poll_end() {
            return Some(Action::End(end));
        }
        if !self.connected {
            return None;
        }
        if let Some((incarnation, name)) = self.debts.poll(self.now) {
            return Some(Action::Delete { incarnation, name });
        }
        match (&self.phase, self.question) {
            (Phase::Preparing, Question::Unasked) => {
                self.question = Question::Asked;
                Some(Action::AskStream)
            }
            (Phase::Preparing, Question::Answered) if !self.debts.is_waited_for(self.now) => {
                self.phase = Phase::Creating;
                let config = Box::new(self.state.config());
                Some(Action::Create { incarnation: self.state.serial, config })
            }
            _ => {
                let (number, request) = self.requests.pop_front()?;
                Some(Action::Pull { number, request })
            }
        }
    }

    fn handle_message(&mut self, message: &Message, now: Instant) -> Verdict {
        self.now = now;
        let Phase::Reading(_) = &self.phase else { return Verdict::Skip };
        let delivery = message.reply_bytes().and_then(DeliveryInfo::parse);
        let Some(delivery) = delivery.filter(|delivery| delivery.consumer == self.state.name)
        else {
            return Verdict::Skip;
        };
        let delivery = DeliveryNumbers::from(delivery);
        match self.state.position.advance(&delivery) {
            Step::Next => return self.deliver(message, now),
            Step::Repeated if self.state.position.has_started_over(&delivery) => {
                self.reset(ResetCause::ConsumerReset, now);
            }
            Step::Seen | Step::Repeated => self.spend(message, now),
            Step::Gap => self.reset(ResetCause::MessagesLost, now),
            Step::Recreated => self.fail_with(OrderedError::StreamRecreated, now),
        }
        Verdict::Skip
    }

    #[inline]
    fn pass(&mut self, message: &Message, now: Instant) -> bool {
        let Phase::Reading(inner) = &mut self.phase else { return false };
        let delivery = message.reply_bytes().and_then(DeliveryInfo::parse);
        let own = delivery.filter(|delivery| delivery.consumer == self.state.name);
        let next = own.map(DeliveryNumbers::from);
        let Some(delivery) = next.filter(|delivery| self.state.position.is_next(delivery)) else {
            return false;
        };
        if !self.untaken.marks.is_empty() || !inner.machine.pass(message, now) {
            return false;
        }
        self.now = now;
        self.state.position.advance(&delivery);
        self.untaken.taken = self.state.position.mark();
        self.received = self.received.plus(Amount { messages: 1, bytes: counted(message) });
        self.note_progress();
        true
    }

    #[inline]
    fn release(&mut self, bytes: u64, now: Instant) {
        self.now = now;
        self.untaken.amount = self.untaken.amount.minus(Amount { messages: 1, bytes });
        if let Some(mark) = self.untaken.marks.pop_front() {
            self.untaken.taken = mark;
        }
        self.with_inner(now, |inner| inner.machine.release(bytes, now));
    }

    fn handle_status(&mut self, number: u64, message: &Message, now: Instant) {
        self.now = now;
        let Phase::Reading(inner) = &self.phase else { return };
        let base = inner.base;
        if number <= base {
            // it is about an incarnation that was left
            return;
        }
        match status_of(message).kind {
            StatusKind::Heartbeat => {
                let at = self.state.position.consumer_sequence;
                match message.headers().last_number("Nats-Last-Consumer") {
                    Some(last) if last > at => return self.reset(ResetCause::MessagesLost, now),
                    Some(last) if last < at => return self.reset(ResetCause::ConsumerReset, now),
                    _ => self.note_progress(),
                }
            }
            StatusKind::NoResponders => return self.reset(ResetCause::NoResponders, now),
            _ => {}
        }
        self.with_inner(now, |inner| inner.machine.handle_status(number - base, message, now));
    }

    fn handle_told(&mut self, told: Told<'_>, now: Instant) {
        self.now = now;
        match told {
            Told::Consumer(_) | Told::Drained => {}
            Told::Stream(stream) => self.handle_stream(stream, now),
            Told::Created { incarnation, made } => self.handle_created(incarnation, made, now),
            Told::Deleted { incarnation, deleted } => {
                self.debts.handle_deleted(incarnation, deleted, now);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.debts.handle_timeout(now);
        self.with_inner(now, |inner| inner.machine.handle_timeout(now));
        if self.is_between() && M::deadline(&self.wanted).is_some_and(|deadline| deadline <= now) {
            return self.finish(M::late(self.connected), now);
        }
        if let (Phase::Waiting, true) = (&self.phase, self.connected) {
            self.state.backoff.handle_timeout(now);
            if self.state.backoff.until().is_none() {
                self.prepare();
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let inner = match &self.phase {
            Phase::Reading(inner) => inner.machine.next_deadline(),
            _ => None,
        };
        let wanted = M::deadline(&self.wanted).filter(|_| self.is_between());
        let is_waiting = self.connected && matches!(self.phase, Phase::Waiting);
        let again = self.state.backoff.until().filter(|_| is_waiting);
        let waits_for_debts =
            self.connected && matches!(self.phase, Phase::Preparing | Phase::Closing);
        let patience = self.debts.patience_deadline(self.now).filter(|_| waits_for_debts);
        let deletion = self.debts.next_deadline().filter(|_| self.connected);
        [inner, wanted, again, patience, deletion, self.debts.end_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn handle_disconnected(&mut self, now: Instant) {
        self.now = now;
        if !std::mem::replace(&mut self.connected, false) || !self.is_running() {
            return;
        }
        self.lost |= matches!(self.phase, Phase::Reading(_));
        self.leave(now);
    }

    fn handle_reconnected(&mut self, now: Instant) {
        self.handle_disconnected(now);
        self.connected = true;
        self.debts.handle_reconnected(now);
        if self.is_running() {
            if std::mem::take(&mut self.lost) {
                self.events.push_back(ConsumeEvent::Reset { cause: ResetCause::Reconnected });
            }
            self.state.backoff.reset();
            self.prepare();
        }
    }

    fn pause(&mut self, now: Instant) {
        self.now = now;
        self.paused = true;
        self.with_inner(now, |inner| inner.machine.pause(now));
    }

    fn resume(&mut self, now: Instant) {
        self.now = now;
        self.paused = false;
        self.with_inner(now, |inner| inner.machine.resume(now));
    }

    fn drain(&mut self, now: Instant) {
        self.now = now;
        match M::drained() {
            Some(end) if self.is_between() => self.finish(end, now),
            _ => self.with_inner(now, |inner| inner.machine.drain(now)),
        }
    }

    /// They are for the next read.
    fn forgo(&mut self, count: usize, now: Instant) -> bool {
        self.now = now;
        if count > 0 && self.is_running() {
            self.state.position.go_back(self.untaken.without_last(count));
            self.leave(now);
        }
        false
    }

    fn stop(&mut self, now: Instant) {
        self.now = now;
        self.finish(M::stopped(), now);
    }

    fn fail(&mut self, error: Error) {
        self.finish(M::failed(error), self.now);
        self.debts.give_up();
    }

    fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Ended) && self.debts.is_empty()
    }
}

#[cfg(test)]
mod tests;
