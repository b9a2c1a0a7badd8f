//! A consumption without end: what is asked for, when, and what follows from what the server says. A
//! pure state machine: no socket, no clock.
//!
//! The invariant: what the window has outstanding and what the program has not taken never are more
//! together than the options permit, in messages and in bytes, whenever more is asked for. What was
//! given up as lost may still come all the same: with each silence that was none, up to a window more,
//! for no longer than its requests live.
//!
//! Whatever the server answers, the number of requests is bounded: by the messages that come, by the
//! losses of the connection and of the pin, and beside those by time, as [`Backoff`] says. Whatever is
//! lost, there is a deadline after which it is asked for again. There is exactly one end.
//!
//! The driver empties `Pull::poll_action` after every input, and keeps the messages that the program
//! has not taken: each one is given back with `Pull::release`, when the program has taken it or its
//! callback has returned.

mod answers;
mod demand;

use super::backoff::Backoff;
use super::keep_alive::KeepAlive;
use super::limits::Limits;
use super::options::ConsumeOptions;
use super::silence::SilenceCause;
use super::window::{Left, Window};
use crate::event_loop::after;
use crate::jetstream::consume::consumer_error::ConsumerError;
use crate::jetstream::consume::machine::{Action, Verdict};
use crate::jetstream::consume::outcome::{ConsumeEnd, ConsumeEvent};
use crate::jetstream::consume::status::{Amount, PullStatus, StatusKind};
use crate::jetstream::error::Error;
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// After so many heartbeats without a sign of the server, its requests are taken for lost …
const MISSED_HEARTBEATS: u32 = 2;
/// … but not sooner than this.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// One consumption.
#[derive(Debug)]
pub(crate) struct Pull {
    options: ConsumeOptions,
    limits: Limits,
    window: Window,
    backoff: Backoff,
    keep_alive: KeepAlive,
    phase: Phase,
    connected: bool,
    paused: bool,
    /// The number of the last request, from 1.
    last_number: u64,
    received: u64,
    /// What has come and was not taken yet.
    untaken: Amount,
    /// So many messages may come before anything follows from one, if each is taken at once.
    calm: u64,
    /// When the server gave a sign last, or was asked last.
    heard: Instant,
    /// A message did not fit into what was left: everything has to be free for the next request.
    needs_whole: bool,
    pin: Option<String>,
    /// The number of the pin, as there may be another one later.
    pin_number: u64,
    /// The consumer's information has been asked for.
    asking: bool,
    /// What it is to explain.
    silent: Option<Silent>,
    /// The cause that was told last, since the server gave a sign.
    told_cause: Option<SilenceCause>,
    /// The warning that was told last.
    told: Option<ConsumeEvent>,
    actions: VecDeque<Action<ConsumeEnd>>,
}

/// What a consumption begins with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PullStart<'a> {
    /// What has come from elsewhere, and the program will take.
    pub(crate) untaken: Amount,
    /// Asks for nothing until it is resumed.
    pub(crate) paused: bool,
    /// The consumer's configuration, if it is known.
    pub(crate) config: Option<&'a ConsumerConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Nothing is asked for any more, and what was asked for is waited for.
    Draining,
    Ended,
}

#[derive(Debug)]
struct Silent {
    since: Instant,
    asked_again: bool,
}

impl Pull {
    /// A consumption whose first request is waiting already. The seed spreads the pauses of many
    /// clients.
    pub(crate) fn new(options: ConsumeOptions, seed: u64, now: Instant) -> Self {
        Self::starting(options, PullStart::default(), seed, now)
    }

    /// As [`new`](Self::new), with what is known already.
    pub(crate) fn starting(
        options: ConsumeOptions,
        start: PullStart<'_>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut pull = Self {
            options,
            limits: Limits::default(),
            window: Window::default(),
            backoff: Backoff::new(seed),
            keep_alive: KeepAlive::new(now),
            phase: Phase::Running,
            connected: true,
            paused: start.paused,
            last_number: 0,
            received: 0,
            untaken: start.untaken,
            calm: 0,
            heard: now,
            needs_whole: false,
            pin: None,
            pin_number: 0,
            asking: false,
            silent: None,
            told_cause: None,
            told: None,
            actions: VecDeque::new(),
        };
        if let Some(config) = start.config {
            pull.learn(config);
        }
        pull.settle(now);
        pull
    }

    /// The next thing to do. Ask until `None` after every input. While the connection is lost, there
    /// is nothing to send.
    pub(crate) fn poll_action(&mut self) -> Option<Action<ConsumeEnd>> {
        self.actions.pop_front()
    }

    /// A message has come, of so many bytes as the server counts them, and with this `Nats-Pin-Id`.
    #[inline]
    pub(crate) fn handle_message(
        &mut self,
        bytes: u64,
        pin_id: Option<&str>,
        now: Instant,
    ) -> Verdict {
        if self.phase == Phase::Ended {
            return Verdict::HandBack;
        }
        self.window.take(bytes);
        self.received += 1;
        self.untaken = self.untaken.plus(Amount { messages: 1, bytes });
        self.heard = now;
        self.backoff.note_progress(now);
        self.told_cause = None;
        self.told.take_if(|told| matches!(told, ConsumeEvent::MessageTooLarge { .. }));
        if let Some(id) = pin_id {
            self.note_pin(id);
        }
        match self.options.stop_after {
            Some(count) if self.received >= count => self.end(ConsumeEnd::Complete),
            _ => self.settle(now),
        }
        Verdict::Deliver
    }

    /// A message has come that the program takes at once. Returns whether nothing follows from it; if
    /// something may, nothing has happened.
    #[inline]
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        let is_calm = self.calm > 0;
        if is_calm {
            self.calm -= 1;
            self.window.pass();
            self.received += 1;
            self.heard = now;
        }
        is_calm
    }

    /// A message has come, of so many bytes, that the program has had already: it is none of those that
    /// are wanted, and it was given to a request all the same.
    pub(crate) fn spend(&mut self, bytes: u64, now: Instant) {
        if self.phase != Phase::Ended {
            self.window.take(bytes);
            self.heard = now;
            self.settle(now);
        }
    }

    /// The program has taken a message of so many bytes.
    #[inline]
    pub(crate) fn release(&mut self, bytes: u64, now: Instant) {
        self.untaken = self.untaken.minus(Amount { messages: 1, bytes });
        if self.untaken.messages == 0 {
            self.untaken.bytes = 0;
            // while the program was busy, nobody listened
            self.heard = now;
        }
        self.settle(now);
    }

    /// A status has come, about the request with this number.
    pub(crate) fn handle_status(&mut self, number: u64, status: &PullStatus<'_>, now: Instant) {
        if self.phase == Phase::Ended {
            return;
        }
        self.heard = now;
        if !status.ends_request() {
            self.told_cause = None;
            return;
        }
        match self.window.end(number, Left::of(status)) {
            Some(request) => self.handle_end_of(&request, status, now),
            // a late one tells nothing, but for what is the same for every request
            None if status.is_about_consumer() => self.fail_for(status),
            None if status.kind == StatusKind::NoResponders && self.keep_alive.is(number) => {
                self.ask_consumer();
            }
            None => {}
        }
        self.settle(now);
    }

    /// The consumer's information, or why it could not be had. It may be given without having been
    /// asked for.
    pub(crate) fn handle_consumer_info(
        &mut self,
        info: Result<&ConsumerInfo, &Error>,
        now: Instant,
    ) {
        self.asking = false;
        let silent = self.silent.take();
        if self.phase == Phase::Ended {
            return;
        }
        match info {
            Ok(info) => {
                if let Some(config) = &info.config {
                    self.learn(config);
                }
            }
            Err(error) => {
                if let Some(error) = error.api().filter(|error| error.is_not_found()) {
                    return self
                        .end(ConsumeEnd::Failed(ConsumerError::NotFound(error.clone()).into()));
                }
            }
        }
        if let Some(silent) = silent.filter(|_| self.options.report_silence) {
            let group = self.options.group.as_deref();
            let cause = SilenceCause::new(info, group, self.pin.as_deref());
            self.tell_silence(silent, cause, now);
        }
        self.settle(now);
    }

    /// The time is `now`. Too early a call does nothing.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Ended || !self.connected {
            return;
        }
        self.window.lapse(now);
        let since = self.heard;
        if self.silence_deadline().is_none_or(|deadline| now < deadline) {
            return self.settle(now);
        }
        self.window.void();
        self.needs_whole = false;
        self.heard = now;
        // the server is asked what it knows of the old requests before it is sent a new one
        self.ask_consumer();
        self.settle(now);
        self.silent = Some(Silent { since, asked_again: !self.window.is_empty() });
    }

    /// When to call `Pull::handle_timeout`. Later after most messages, so that a driver may let its
    /// timer fire early and ask again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.phase == Phase::Ended || !self.connected {
            return None;
        }
        let is_running = self.phase == Phase::Running;
        let again = self.backoff.until().filter(|_| is_running && !self.paused);
        let keep = self.keep_alive.due().filter(|_| is_running && self.is_holding());
        let deadlines = [self.window.next_deadline(), self.silence_deadline(), again, keep];
        deadlines.into_iter().flatten().min()
    }

    /// The connection is lost, and whatever was asked for with it.
    pub(crate) fn handle_disconnected(&mut self, now: Instant) {
        self.connected = false;
        self.window.void();
        self.backoff.reset();
        self.needs_whole = false;
        self.silent = None;
        self.told = None;
        let is_unasked = self.actions.contains(&Action::AskConsumer);
        self.asking &= !is_unasked;
        self.actions.retain(|action| matches!(action, Action::Tell(_) | Action::End(_)));
        self.settle(now);
    }

    /// The connection is another one: the next request leaves at once. Nobody may have said that the
    /// one before was lost.
    pub(crate) fn handle_reconnected(&mut self, now: Instant) {
        self.handle_disconnected(now);
        self.connected = true;
        self.heard = now;
        self.settle(now);
    }

    /// Asks for no more. What was asked for still comes, and is for the driver to keep.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused = true;
        self.settle(now);
    }

    /// Asks again.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.heard = now;
        self.settle(now);
    }

    /// Asks for no more, and ends when everything has come that was asked for.
    pub(crate) fn drain(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
        }
        self.settle(now);
    }

    /// Ends it. What comes later is not for the program.
    pub(crate) fn stop(&mut self) {
        self.end(ConsumeEnd::Stopped);
    }

    /// Ends it with an error that is not the consumer's.
    pub(crate) fn fail(&mut self, error: Error) {
        self.end(ConsumeEnd::Failed(error));
    }

    /// Whether it is one of a group, so that messages may have a pin.
    pub(crate) fn is_grouped(&self) -> bool {
        self.options.group.is_some()
    }

    fn learn(&mut self, config: &ConsumerConfig) {
        self.limits.learn(config);
        self.keep_alive.learn(config);
    }

    /// One answer at a time is waited for, and it is for everything that waits for one.
    fn ask_consumer(&mut self) {
        if !std::mem::replace(&mut self.asking, true) {
            self.actions.push_back(Action::AskConsumer);
        }
    }

    /// When the server has been silent for too long. Not while the program is slow, or has paused: what
    /// was asked for may have come long ago.
    fn silence_deadline(&self) -> Option<Instant> {
        if self.paused || self.untaken.messages > 0 || self.window.is_empty() {
            return None;
        }
        let heartbeat = self.options.heartbeat_within(self.limits.expires(&self.options));
        let patience = heartbeat.saturating_mul(MISSED_HEARTBEATS).max(SHORTEST_SILENCE);
        Some(after(self.heard, patience))
    }

    fn note_pin(&mut self, id: &str) {
        if self.options.group.is_some() && self.pin.as_deref() != Some(id) {
            self.pin = Some(id.to_owned());
            self.pin_number += 1;
            self.actions.push_back(Action::Tell(ConsumeEvent::Pinned { id: id.to_owned() }));
        }
    }

    fn end(&mut self, end: ConsumeEnd) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.calm = 0;
            self.window.void();
            self.actions.retain(|action| matches!(action, Action::Tell(_)));
            self.actions.push_back(Action::End(end));
        }
    }
}

#[cfg(test)]
mod tests;
