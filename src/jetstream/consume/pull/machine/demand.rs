//! What the server is asked for, and when: for messages as long as there is room for them, and without
//! room, as often as it takes for the consumer to be kept.

use super::{Phase, Pull};
use crate::event_loop::after;
use crate::jetstream::consume::machine::Action;
use crate::jetstream::consume::outcome::ConsumeEnd;
use crate::jetstream::consume::pull::keep_alive;
use crate::jetstream::consume::pull::options::UNCOUNTED;
use crate::jetstream::consume::pull::request::PullRequest;
use crate::jetstream::consume::pull::window::{GRACE, Open};
use crate::jetstream::consume::status::Amount;
use std::time::Instant;

/// As many messages as the limit says may come beyond it, and so many in any case.
const LEAST_BEYOND: u64 = 64;

/// So many are asked for at least when something is late: others may come before it.
const LATE_BATCH: u64 = 32;

impl Pull {
    /// Does what has become due: after every input.
    pub(super) fn settle(&mut self, now: Instant) {
        self.calm = 0;
        self.do_what_is_due(now);
        self.calm = self.messages_until_something_follows();
    }

    /// How many messages may come before anything follows from one, if each is taken at once: until
    /// more is to be asked for. None, as long as anything is out of the ordinary.
    fn messages_until_something_follows(&self) -> u64 {
        let is_ordinary = self.phase == Phase::Running
            && self.connected
            && !self.paused
            && self.untaken.messages == 0
            && !self.is_grouped()
            && self.options.max_bytes.is_none()
            && self.options.stop_after.is_none()
            && self.backoff.is_idle()
            && self.told.is_none()
            && self.told_cause.is_none();
        match self.limits.messages(&self.options).filter(|_| is_ordinary) {
            Some(limit) => {
                let least = least(limit, self.options.threshold_messages).max(1);
                self.window.outstanding().messages.saturating_sub(least)
            }
            None => 0,
        }
    }

    fn do_what_is_due(&mut self, now: Instant) {
        match self.phase {
            Phase::Ended => return,
            Phase::Draining if self.window.is_empty() => return self.end(ConsumeEnd::Drained),
            Phase::Draining => return,
            Phase::Running => {}
        }
        if !self.connected {
            return;
        }
        self.backoff.handle_timeout(now);
        match self.wanted() {
            Some(asks) => self.pull(asks, now),
            None if self.is_holding() => self.keep_consumer(now),
            None => {}
        }
    }

    /// What is to be asked for now.
    #[inline]
    fn wanted(&self) -> Option<Amount> {
        if self.paused || self.backoff.until().is_some() {
            return None;
        }
        let held = self.window.outstanding().plus(self.untaken);
        let messages = self.limits.messages(&self.options);
        let bytes = self.limits.bytes(&self.options);
        let is_below = is_below(held.messages, messages, self.options.threshold_messages)
            || is_below(held.bytes, bytes, self.options.threshold_bytes);
        let is_free = held.bytes == 0;
        if !is_below || (self.needs_whole && !is_free) {
            return None;
        }
        let mut asks = PullRequest::amount(
            messages.map(|limit| limit.saturating_sub(held.messages)),
            bytes.map(|limit| limit.saturating_sub(held.bytes)),
        );
        for limit in [self.limits.batch(), self.still_wanted()].into_iter().flatten() {
            asks.messages = asks.messages.min(limit);
        }
        let has_room = asks.messages > 0 && (bytes.is_none() || asks.bytes > 0);
        has_room.then_some(asks)
    }

    /// Asks for so many messages although there may be no room for them: the server has some to deliver
    /// again that what was not taken waits for. Nothing is asked for as long as others are on their way,
    /// unless it is late: then those may be lost.
    pub(in crate::jetstream::consume) fn ask_beyond(
        &mut self,
        overdue: u64,
        is_late: bool,
        now: Instant,
    ) {
        let may_ask = self.phase == Phase::Running
            && self.connected
            && !self.paused
            && self.backoff.until().is_none()
            && (is_late || self.window.is_empty());
        let limits =
            [self.limits.batch(), self.still_wanted(), Some(self.beyond(overdue, is_late))];
        let count = limits.into_iter().flatten().fold(u64::MAX, u64::min);
        if may_ask && count > 0 {
            let asks = PullRequest::amount(Some(count), self.limits.bytes(&self.options));
            self.pull(asks, now);
        }
        self.settle(now);
    }

    /// How many messages may be asked for because so many are overdue.
    fn beyond(&self, overdue: u64, is_late: bool) -> u64 {
        let limit = self.limits.messages(&self.options).unwrap_or(UNCOUNTED);
        let most = limit.saturating_add(limit.max(LEAST_BEYOND));
        let held = self.window.outstanding().plus(self.untaken).messages;
        if !is_late {
            return overdue.min(most.saturating_sub(held));
        }
        // what is late is ready at the server, which delivers it before anything new: for that there is as
        // much room again, or what has come instead would keep it away
        let late = overdue.min(most.saturating_mul(2).saturating_sub(held));
        LATE_BATCH.min(most.saturating_sub(held)).max(late)
    }

    /// How many messages the program wants that were not asked for.
    fn still_wanted(&self) -> Option<u64> {
        let count = self.options.stop_after?;
        let asked = self.received.saturating_add(self.window.outstanding().messages);
        Some(count.saturating_sub(asked))
    }

    fn pull(&mut self, asks: Amount, now: Instant) {
        let expires = self.limits.expires(&self.options);
        let pin = self.pin.as_deref();
        let request = PullRequest::consuming(&self.options, asks, expires, pin);
        self.heard = now;
        self.needs_whole = false;
        self.keep_alive.note_request(now);
        let number = self.send(request);
        self.window.add(Open {
            number,
            asks,
            is_whole: self.limits.bytes(&self.options).is_none_or(|limit| asks.bytes == limit),
            sent: now,
            deadline: after(now, expires.saturating_add(GRACE)),
            received_before: self.received,
            pin: self.pin_number,
        });
    }

    /// Nothing is asked for at the moment, because the program wants no more.
    pub(super) fn is_holding(&self) -> bool {
        self.paused || (self.untaken.messages > 0 && self.window.is_empty())
    }

    /// Has the server keep a consumer that nobody asks for messages.
    fn keep_consumer(&mut self, now: Instant) {
        if self.keep_alive.wants_threshold() {
            self.ask_consumer();
        }
        if self.keep_alive.due().is_some_and(|due| due <= now) {
            let expires = self.limits.at_most(keep_alive::EXPIRES);
            let number = self.send(PullRequest::keep_alive(&self.options, expires));
            self.keep_alive.note_keep_alive(number, now);
        }
    }

    fn send(&mut self, request: PullRequest) -> u64 {
        self.last_number += 1;
        self.actions.push_back(Action::Pull { number: self.last_number, request });
        self.last_number
    }
}

/// Whether so little is under way that more is to be asked for.
fn is_below(held: u64, limit: Option<u64>, threshold: Option<u64>) -> bool {
    limit.is_some_and(|limit| held < least(limit, threshold))
}

/// How much is to be under way at least.
fn least(limit: u64, threshold: Option<u64>) -> u64 {
    threshold.map_or(limit.div_ceil(2), |threshold| threshold.min(limit))
}
