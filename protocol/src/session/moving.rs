//! Moving to another server while the connection to this one still serves: what the steps of a
//! [`Handoff`] mean for the session's tables.

use super::event::Event;
use super::handoff::{DelayedDrain, Handoff, Step};
use super::leg::Phase;
use super::life::DrainStage;
use super::state::Session;
use crate::disconnect::DisconnectReason;
use crate::tables::deadlines::earlier;
use crate::tables::fences::Purpose;
use crate::tables::requests;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::decode::Decoded;
use crate::wire::encode;
use crate::wire::error::{ServerError, ServerErrorKind};
use crate::wire::message::Message;
use crate::wire::op::ServerOp;
use std::time::Instant;

impl<S, R, F> Session<S, R, F> {
    /// Begins to move to another server, and returns whether it has begun: only if the session is
    /// connected, and neither draining nor moving. The transport to the server is driven as
    /// [`Which::Next`](crate::Which::Next). The move ends with [`Event::Moved`] or
    /// [`Event::MoveFailed`], or with the connection ([`Event::Disconnected`]).
    pub fn begin_move(&mut self, now: Instant) -> bool {
        if self.phase() != Phase::Ready || self.is_moving() {
            return false;
        }
        self.handoff = Some(Box::new(Handoff::new(&self.config, now)));
        true
    }

    /// Whether the session is on its way to another server.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.handoff.is_some()
    }

    /// Whether two servers know of the session.
    pub(super) fn has_joined(&self) -> bool {
        self.handoff.as_ref().is_some_and(|handoff| handoff.has_joined())
    }

    /// Whether the next server has sent something that can be looked at now.
    pub(super) fn has_news_of_move(&self) -> bool {
        self.handoff.as_ref().is_some_and(|handoff| handoff.leg.has_news())
    }

    pub(super) fn move_deadline(&self) -> Option<Instant> {
        let handoff = self.handoff.as_ref().and_then(|handoff| handoff.deadline());
        earlier(handoff, self.inbound.overlap_ends())
    }

    pub(super) fn handle_move_timeout(&mut self, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let due = self.handoff.as_ref().filter(|handoff| is_due(handoff.deadline()));
        match due.map(|handoff| handoff.step()) {
            Some(Step::Handshake | Step::Joining) => {
                self.fail_move(DisconnectReason::ConnectTimeout);
            }
            Some(Step::Overlapping) => self.leave(now),
            Some(Step::Leaving) => self.lose_connection(DisconnectReason::Stale),
            None => {}
        }
        if is_due(self.inbound.overlap_ends()) {
            self.inbound.forget_overlap();
        }
    }

    // ---- what the next server sends -----------------------------------------------------------

    /// Handles what the next server has sent. Returns a message if there is one to deliver.
    #[cold]
    pub(super) fn advance_move(&mut self, place: &mut Message) -> Option<Event<S, R, F>> {
        while let Some(handoff) = self.handoff.as_deref_mut().filter(|h| h.leg.is_listening()) {
            match handoff.leg.next(place) {
                Ok(Some(Decoded::Message)) if handoff.has_joined() => {
                    if let Some(event) = self.handle_next_message(place) {
                        return Some(event);
                    }
                }
                Ok(Some(Decoded::Message)) => {
                    self.handle_next_op(ServerOp::Message(place.clone()));
                }
                Ok(Some(Decoded::Op(op))) => self.handle_next_op(op),
                Ok(None) => return None,
                Err(error) => self.fail_move(DisconnectReason::Protocol(error)),
            }
        }
        None
    }

    fn handle_next_message(&mut self, message: &Message) -> Option<Event<S, R, F>> {
        let id = SubscriptionId::from_sid(message.sid());
        let entry = id.and_then(|id| self.subscriptions.get(id));
        // nobody else gets a reply, or the message of a queue group
        if message.sid() == requests::INBOX_SID || entry.is_some_and(|entry| entry.queue.is_some())
        {
            return self.handle_early_message(message);
        }
        let handoff = self.handoff.as_deref_mut()?;
        let now = handoff.leg.last_read()?;
        if self.inbound.overlap_mut().handle_next(message, now) {
            self.statistics.duplicates += 1;
        } else if let Err(limit) = handoff.keep(message) {
            self.fail_move(DisconnectReason::TooMuchDuringMove { limit });
        }
        None
    }

    fn handle_next_op(&mut self, op: ServerOp) {
        let Some(handoff) = &mut self.handoff else { return };
        if !handoff.has_joined() {
            return match handoff.leg.handshake(op, &self.config) {
                Ok(true) => self.join(),
                Ok(false) => {}
                Err(reason) => self.fail_move(reason),
            };
        }
        match op {
            ServerOp::Pong => handoff.handle_pong(),
            ServerOp::Ping => {
                encode::answer_ping(handoff.leg.first_mut(), self.config.max_buffered);
            }
            ServerOp::Info(info) => handoff.leg.set_info(*info),
            ServerOp::Error(error) => self.handle_next_error(error),
            // messages do not come here
            ServerOp::Ok | ServerOp::Message(_) => {}
        }
    }

    fn handle_next_error(&mut self, error: ServerError) {
        match error.kind() {
            ServerErrorKind::PermissionsViolation => self.handle_server_error(error),
            _ => self.fail_move(DisconnectReason::Server(error)),
        }
    }

    // ---- the steps ----------------------------------------------------------------------------

    /// The handshake with the next server is done: subscribes there to everything.
    fn join(&mut self) {
        let Some(handoff) = self.handoff.as_deref_mut() else { return };
        let (current, next) = (self.current.max_payload(), handoff.leg.max_payload());
        // what was accepted already might not fit it
        if next < current {
            return self.fail_move(DisconnectReason::SmallerMaxPayload { current, next });
        }
        if handoff.leg.refuses_headers() && !self.current.refuses_headers() {
            return self.fail_move(DisconnectReason::NextWithoutHeaders);
        }
        handoff.begin_joining();
        let out = handoff.leg.first_mut();
        self.requests.join_inbox(out);
        self.subscriptions.join(out);
        out.extend_from_slice(encode::PING);
        self.inbound.begin_overlap();
    }

    /// Leaves the old server: what it still sends is delivered before the fence is passed.
    fn leave(&mut self, now: Instant) {
        let Some(handoff) = &mut self.handoff else { return };
        handoff.begin_leaving(self.config.connect_timeout, now);
        self.inbound.overlap_mut().handle_leave();
        self.subscriptions.leave(self.outgoing.buffer());
        self.push_fence(Purpose::Leave);
        self.outgoing.hold();
    }

    /// The old server has answered the last fence, of which it has read every byte, and has nothing
    /// more to send: the next one takes its place.
    pub(super) fn finish_move(&mut self) {
        let Some(handoff) = self.handoff.take() else { return };
        let mut handoff = *handoff;
        let arrived = handoff.take_arrived();
        let old = std::mem::replace(&mut self.current, handoff.leg);
        self.outgoing.release();
        self.statistics.duplicates += self.inbound.handle_moved(arrived, old.last_read());
        self.subscriptions.handle_moved();
        self.statistics.reconnects += 1;
        self.events.push_back(Event::Moved);
        self.report_lame_duck();
        self.begin_delayed(handoff.delayed_drains);
    }

    pub(super) fn fail_move(&mut self, reason: DisconnectReason) {
        match self.handoff.as_deref().map(Handoff::step) {
            None => {}
            // the old server has been told to stop
            Some(Step::Leaving) => self.lose_connection(reason),
            Some(_) => {
                let delayed = self.forget_move();
                self.events.push_back(Event::MoveFailed(reason));
                self.begin_delayed(delayed);
            }
        }
    }

    // ---- its end ------------------------------------------------------------------------------

    /// Drains that have waited for the end of the move begin.
    fn begin_delayed(&mut self, drains: Vec<DelayedDrain<F>>) {
        for DelayedDrain { id, timeout, context } in drains {
            self.drain_subscription(id, timeout, context);
        }
        if self.life.is_at(DrainStage::Requested) && self.is_open() {
            self.begin_drain();
        }
    }

    /// Forgets a move, and what is known of copies, because the connection is lost. Drains that
    /// have waited are lost with it.
    pub(super) fn abandon_move(&mut self) {
        for DelayedDrain { id, timeout, context } in self.forget_move() {
            if let Some(entry) = self.subscriptions.get_mut(id) {
                entry.draining = true;
            }
            // without a PING: all fences fail with the connection
            let purpose = Purpose::Drain { subscription: id, context, timeout };
            self.fences.push(purpose, self.outgoing.position());
        }
    }

    /// Leaves nothing of a move, nor of what came of one. Returns the drains that have waited for
    /// its end.
    fn forget_move(&mut self) -> Vec<DelayedDrain<F>> {
        self.inbound.forget_overlap();
        self.outgoing.release();
        let Some(handoff) = self.handoff.take() else { return Vec::new() };
        self.subscriptions.forget_join();
        handoff.delayed_drains
    }

    /// Whether a message of the current server is to be delivered, and has not been by the one
    /// before.
    #[cold]
    pub(super) fn is_new(&mut self, message: &Message) -> bool {
        let id = SubscriptionId::from_sid(message.sid());
        let entry = id.and_then(|id| self.subscriptions.get(id));
        // the members of a queue group share, they do not each get everything
        let is_plain = entry.is_some_and(|entry| entry.queue.is_none());
        let now = self.current.last_read().filter(|_| is_plain);
        !now.is_some_and(|now| self.inbound.is_copy(message, now))
    }
}
