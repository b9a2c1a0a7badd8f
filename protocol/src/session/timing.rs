//! The session's clocks: requests, fences, keep-alive, the time limits of connecting, moving and
//! draining.
//!
//! It never reads a clock: the driver passes the time in. A request's or a fence's clock starts
//! with the turn that hands it to the transport.

use super::event::{FlushError, RequestError};
use super::leg::Due;
use super::state::Session;
use crate::disconnect::DisconnectReason;
use crate::tables::deadlines::earlier;
use crate::tables::fences::Purpose;
use crate::tables::requests::Request;
use std::collections::VecDeque;
use std::time::Instant;

/// Room for so many events is not worth freeing.
const EVENTS_KEPT: usize = 1024;

impl<S, R, F> Session<S, R, F> {
    /// Starts the clocks of the requests and fences made since the last call. Call it when what
    /// they wrote is handed to the transport.
    #[inline]
    pub fn handle_turn(&mut self, now: Instant) {
        self.requests.arm(now);
        self.fences.arm(now);
        // the memory of a peak
        if self.events.capacity() > EVENTS_KEPT && self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called next. Requests and fences
    /// whose clocks have not been started do not count; see [`needs_turn`](Self::needs_turn).
    #[must_use]
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let connection = earlier(self.current.next_deadline(), self.move_deadline());
        let commands = earlier(self.requests.next_deadline(), self.fences.next_deadline());
        earlier(earlier(connection, commands), self.life.deadline())
    }

    /// Whether the driver has something to do without waiting: events to poll, or clocks to start.
    #[must_use]
    pub fn needs_turn(&self) -> bool {
        self.may_have_events() || self.requests.has_unarmed() || self.fences.has_unarmed()
    }

    /// Whether [`poll_event`](Self::poll_event) has something to look at. If not, it returns `None`.
    #[inline]
    #[must_use]
    pub fn may_have_events(&self) -> bool {
        !self.events.is_empty()
            || !self.inbound.is_idle()
            || self.current.has_news()
            || self.has_news_of_move()
            || !self.life.is_running() && self.has_news_of_end()
    }

    /// Expires timed-out operations and sends a due keep-alive ping.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.life.deadline().is_some_and(|deadline| deadline <= now) {
            return self.finish(DisconnectReason::DrainTimeout);
        }
        while let Some(request) = self.requests.take_due(now) {
            self.time_out(request);
        }
        while let Some(purpose) = self.fences.take_due(now) {
            if !self.is_open() {
                self.outgoing.record_abandoned();
            }
            self.fail_fence(purpose, FlushError::Timeout);
        }
        self.handle_move_timeout(now);
        match self.current.handle_timeout(&self.config, now) {
            Some(Due::Ping) => self.push_fence(Purpose::KeepAlive),
            Some(Due::Lost(reason)) => self.lose_connection(reason),
            None => {}
        }
    }

    fn time_out(&mut self, request: Request<R>) {
        let is_unsent = !request.was_sent(self.outgoing.total_sent());
        if !is_unsent {
            self.requests.record_unanswered();
        }
        // without a connection, what waits is looked at again before it is sent
        let is_abandoned = is_unsent && !self.is_open();
        if is_abandoned {
            self.outgoing.record_abandoned();
        }
        let error = if is_abandoned { RequestError::NeverSent } else { RequestError::Timeout };
        self.fail_request(request.context, error);
    }
}
