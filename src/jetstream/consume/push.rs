//! A push consumer as its client sees it: what is heard on its `deliver_subject`, and what follows. A
//! pure state machine: no socket, no clock.
//!
//! The server sends without being asked. With `flow_control` it waits now and then until it is answered,
//! and the answer is sent when the program has taken everything that came before: so whoever is slow
//! slows the server down. A consumer that has gone says nothing, so after a silence the server is asked
//! for it: after two heartbeats, or after [`UNHEARD`] if it has none.

use super::consumer_error::ConsumerError;
use super::delivery_info::DeliveryInfo;
use super::machine::{Action, Machine, Told, Verdict, counted};
use super::outcome::{ConsumeEnd, ConsumeEvent};
use super::pull::silence::{Silence, SilenceCause};
use super::push_options::PushOptions;
use super::push_status::PushStatus;
use super::status::Amount;
use crate::event_loop::after;
use crate::jetstream::error::Error;
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo};
use evnats_protocol::Message;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// After so many heartbeats without a sign of the server, it is asked for the consumer …
const MISSED_HEARTBEATS: u32 = 2;
/// … and without heartbeats, after this time.
const UNHEARD: Duration = Duration::from_secs(30);
/// A question that was not answered is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What is heard of a push consumer.
#[derive(Debug)]
pub(super) struct Push {
    options: PushOptions,
    phase: Phase,
    connected: bool,
    paused: bool,
    /// The consumer's information was asked for, and has not come.
    asking: bool,
    /// When it is asked for again, if it was not told.
    ask_again: Option<Instant>,
    heartbeat: Option<Duration>,
    /// Whether all of the consumer's messages come here.
    is_alone: bool,
    heard: Instant,
    /// The consumer's number of the last message here.
    last: Option<u64>,
    received: u64,
    /// What has come and the program has not taken.
    untaken: Amount,
    /// How many messages there was no room for meanwhile.
    refused: u64,
    /// What the server waits for, when the program has taken what came before.
    replies: VecDeque<Vec<u8>>,
    told_cause: Option<SilenceCause>,
    actions: VecDeque<Action<ConsumeEnd>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Where the messages come to is not known yet.
    Asking,
    Listening,
    Draining,
    Ended,
}

impl Push {
    /// A consumer about which the server is asked at once.
    pub(super) fn new(options: PushOptions, now: Instant) -> Self {
        Self {
            options,
            phase: Phase::Asking,
            connected: true,
            paused: false,
            asking: true,
            ask_again: None,
            heartbeat: None,
            is_alone: true,
            heard: now,
            last: None,
            received: 0,
            untaken: Amount::default(),
            refused: 0,
            replies: VecDeque::new(),
            told_cause: None,
            actions: VecDeque::from([Action::AskConsumer]),
        }
    }

    fn receive(&mut self, reply: &[u8], bytes: u64, now: Instant) -> Verdict {
        if matches!(self.phase, Phase::Asking | Phase::Ended) {
            return Verdict::HandBack;
        }
        self.hear(now);
        self.last = DeliveryInfo::parse(reply).map(|info| info.consumer_sequence);
        let untaken = self.untaken.plus(Amount { messages: 1, bytes });
        let has_waiting = self.untaken.messages > 0;
        if has_waiting
            && (untaken.messages > self.options.max_untaken
                || untaken.bytes > self.options.max_untaken_bytes)
        {
            self.refused += 1;
            return Verdict::HandBack;
        }
        self.untaken = untaken;
        self.received += 1;
        if self.options.stop_after.is_some_and(|count| self.received >= count) {
            self.end(ConsumeEnd::Complete);
        }
        Verdict::Deliver
    }

    fn take(&mut self, bytes: u64, now: Instant) {
        self.untaken = self.untaken.minus(Amount { messages: 1, bytes });
        if self.untaken.messages == 0 {
            // while the program was busy, nobody listened
            self.heard = now;
            self.answer();
            let refused = std::mem::take(&mut self.refused);
            self.tell_lost(refused);
        }
    }

    fn handle(&mut self, status: &PushStatus<'_>, now: Instant) {
        if !matches!(self.phase, Phase::Listening | Phase::Draining) {
            return;
        }
        self.hear(now);
        if status.is_consumer_deleted() {
            return self.end(ConsumeEnd::Failed(ConsumerError::ConsumerDeleted.into()));
        }
        self.note_losses(status.last_consumer_sequence);
        self.replies.extend(status.wants_replies().map(<[u8]>::to_vec));
        if self.untaken.messages == 0 {
            self.answer();
        }
    }

    /// The server says how many messages it has delivered. What is missing here was lost on its way: it
    /// is delivered again only if it is to be acknowledged.
    fn note_losses(&mut self, delivered: Option<u64>) {
        let Some(delivered) = delivered.filter(|_| self.is_alone) else { return };
        // it says less after the consumer was set back
        let before = self.last.replace(delivered).unwrap_or(delivered);
        self.tell_lost(delivered.saturating_sub(before));
    }

    fn tell_lost(&mut self, count: u64) {
        if count > 0 && self.phase != Phase::Ended {
            self.actions.push_back(Action::Tell(ConsumeEvent::Lost { count }));
        }
    }

    fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.told_cause = None;
        self.ask_again = None;
    }

    fn answer(&mut self) {
        let replies = self.replies.drain(..);
        self.actions.extend(replies.map(|subject| Action::Reply { subject }));
    }

    fn ask(&mut self) {
        self.ask_again = None;
        if self.connected && !std::mem::replace(&mut self.asking, true) {
            self.actions.push_back(Action::AskConsumer);
        }
    }

    /// What is known of the consumer, or why it could not be had.
    fn learn(&mut self, info: Result<&ConsumerInfo, &Error>, now: Instant) {
        self.asking = false;
        let config = match info {
            _ if self.phase == Phase::Ended => return,
            Ok(info) => info.config.as_ref(),
            Err(error) => {
                if let Some(error) = error.api().filter(|error| error.is_not_found()) {
                    return self
                        .end(ConsumeEnd::Failed(ConsumerError::NotFound(error.clone()).into()));
                }
                if self.phase == Phase::Asking && !error.is_temporary() {
                    return self.end(ConsumeEnd::Failed(error.clone()));
                }
                self.ask_again = Some(after(now, ASK_AGAIN));
                None
            }
        };
        match (self.phase, config) {
            (Phase::Asking, Some(config)) => self.listen(config, now),
            (Phase::Asking, None) => {}
            _ => self.tell_silence(info, now),
        }
    }

    fn listen(&mut self, config: &ConsumerConfig, now: Instant) {
        let Some(subject) = config.deliver_subject.clone() else {
            return self.end(ConsumeEnd::Failed(ConsumerError::PullBased.into()));
        };
        let queue_group = config.deliver_group.clone();
        self.phase = Phase::Listening;
        self.heard = now;
        self.heartbeat = config.idle_heartbeat.filter(|heartbeat| !heartbeat.is_zero());
        self.is_alone = queue_group.is_none();
        self.actions.push_back(Action::Listen { subject, queue_group });
    }

    fn tell_silence(&mut self, info: Result<&ConsumerInfo, &Error>, now: Instant) {
        let lasted = now.saturating_duration_since(self.heard);
        if lasted < self.patience() {
            return;
        }
        // the next question is due when as much time has passed again
        self.ask_again = Some(after(now, self.patience()));
        let cause = SilenceCause::new(info, None, None);
        if self.heartbeat.is_some() && self.told_cause.as_ref() != Some(&cause) {
            self.told_cause = Some(cause.clone());
            let silence = Silence { lasted, cause, asked_again: false };
            self.actions.push_back(Action::Tell(ConsumeEvent::Silent(silence)));
        }
    }

    /// How long nothing need be heard.
    fn patience(&self) -> Duration {
        self.heartbeat.map_or(UNHEARD, |heartbeat| heartbeat.saturating_mul(MISSED_HEARTBEATS))
    }

    fn end(&mut self, end: ConsumeEnd) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.actions.retain(|action| matches!(action, Action::Tell(_) | Action::Reply { .. }));
            self.actions.push_back(Action::End(end));
        }
    }
}

impl Machine for Push {
    type End = ConsumeEnd;

    fn failure(end: &ConsumeEnd) -> Option<&Error> {
        end.failure()
    }

    fn listens_to_inbox(&self) -> bool {
        false
    }

    fn poll_action(&mut self) -> Option<Action<ConsumeEnd>> {
        self.actions.pop_front()
    }

    fn handle_message(&mut self, message: &Message, now: Instant) -> Verdict {
        self.receive(message.reply_bytes().unwrap_or_default(), counted(message), now)
    }

    fn release(&mut self, bytes: u64, now: Instant) {
        self.take(bytes, now);
    }

    fn handle_status(&mut self, _: u64, message: &Message, now: Instant) {
        self.handle(&PushStatus::new(message), now);
    }

    fn handle_told(&mut self, told: Told<'_>, now: Instant) {
        match told {
            Told::Consumer(info) => self.learn(info, now),
            Told::Drained => self.end(ConsumeEnd::Drained),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.ask();
        }
    }

    /// While the program is slow, nobody listens.
    fn next_deadline(&self) -> Option<Instant> {
        let is_idle = self.asking || !self.connected || self.paused || self.untaken.messages > 0;
        match self.phase {
            Phase::Asking if !self.asking => self.ask_again.filter(|_| self.connected),
            Phase::Listening if !is_idle => {
                Some(self.ask_again.unwrap_or(after(self.heard, self.patience())))
            }
            _ => None,
        }
    }

    fn handle_disconnected(&mut self, _: Instant) {
        self.connected = false;
        self.told_cause = None;
        // those of another connection mean nothing to the server
        self.replies.clear();
        let is_unasked = self.actions.contains(&Action::AskConsumer);
        self.asking &= !is_unasked;
        self.actions.retain(|action| !matches!(action, Action::Reply { .. } | Action::AskConsumer));
    }

    /// The consumer may be gone, which nobody would say.
    fn handle_reconnected(&mut self, now: Instant) {
        self.handle_disconnected(now);
        self.connected = true;
        self.heard = now;
        if self.phase != Phase::Ended {
            self.ask();
        }
    }

    fn pause(&mut self, _: Instant) {
        self.paused = true;
    }

    fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.heard = now;
    }

    fn drain(&mut self, _: Instant) {
        match self.phase {
            Phase::Asking => self.end(ConsumeEnd::Drained),
            Phase::Listening => {
                self.phase = Phase::Draining;
                self.actions.push_back(Action::StopListening);
            }
            Phase::Draining | Phase::Ended => {}
        }
    }

    fn stop(&mut self, _: Instant) {
        self.end(ConsumeEnd::Stopped);
    }

    fn fail(&mut self, error: Error) {
        self.end(ConsumeEnd::Failed(error));
    }
}

#[cfg(test)]
mod tests;
