//! The loss of a connection, and what a session does on the next one.
//!
//! What the server had been told is told to the next server, in one write before anything else:
//! the request inbox, the subscriptions, what is left of their maximums. Of what waits to be
//! written, whole messages stay, and so do subscriptions that no server has heard of. Everything
//! else gets its outcome: what was sent is unknown, what was cut in the middle is never continued.

use super::command_error::CommandError;
use super::event::{EndReason, Event, FlushError, RequestError};
use super::peer::{Peer, Stage};
use super::{DrainStage, Mux, Session, Waiting};
use crate::disconnect::DisconnectReason;
use crate::tables::outgoing::HalfWritten;
use crate::tables::requests::{self, Request};
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::message::Message;
use crate::wire::op::ClientOp;

impl<S, R, F> Session<S, R, F> {
    /// Ends the session because there will be no other connection.
    pub fn give_up(&mut self, reason: DisconnectReason) {
        self.finish(reason);
    }

    /// The connection, or the attempt to make one, is over.
    #[cold]
    pub(super) fn lose_connection(&mut self, reason: DisconnectReason) {
        if self.over {
            return;
        }
        let stood = self.is_open();
        if self.config.resume && self.peer.stage == Stage::Idle {
            // what was lost has been reported
            return;
        }
        if !self.config.resume {
            if !stood {
                self.events.push_back(Event::ConnectFailed(reason.clone()));
            }
            return self.finish(reason);
        }
        self.forget_move();
        self.abandon_delayed_drains();
        self.peer = Peer::new(&self.config);
        if stood {
            self.events.push_back(Event::Disconnected(reason));
            self.give_outcomes();
        } else {
            self.events.push_back(Event::ConnectFailed(reason));
        }
    }

    /// Tells everybody who was waiting for the lost connection, and keeps the rest for the next.
    fn give_outcomes(&mut self) {
        let half = self.outgoing.cut();
        self.leave_subscriptions();
        self.report_half_written(half);
        let sent = self.outgoing.total_sent();
        let was_sent = |request: &Request<R>| request.was_sent(sent);
        if self.config.keep_requests {
            self.requests.iter_mut().filter(|r| was_sent(r)).for_each(|r| r.position = None);
        } else {
            for Request { context, .. } in self.requests.take_if(was_sent) {
                self.fail_request(context, RequestError::OutcomeUnknown);
            }
        }
        self.fail_all_fences();
        self.keep_unsent();
        if self.mux == Mux::Subscribed {
            self.mux = Mux::ToRestore;
        }
        if self.drain.is_some() {
            self.drain = Some(DrainStage::Requested);
        }
    }

    /// Ends subscriptions that were being drained, and marks those that the server knew.
    fn leave_subscriptions(&mut self) {
        let all_drain = self.drain.is_some();
        let mut drained = Vec::new();
        let sent = self.outgoing.total_sent();
        for (id, entry) in self.subscriptions.iter_mut() {
            if entry.draining || all_drain {
                drained.push(id);
            } else if entry.position.is_none_or(|position| position < sent) {
                entry.position = None;
                entry.received_before = entry.received;
                entry.has_moved = false;
            }
        }
        for id in drained {
            self.end_subscription(id, EndReason::Disconnected);
        }
    }

    fn report_half_written(&mut self, half: Option<HalfWritten>) {
        let Some(HalfWritten { subject, reply }) = half else { return };
        let token = reply.as_deref().and_then(|reply| reply.strip_prefix(&self.inbox));
        match token {
            Some(token) => {
                // the server has not got the end of it, and without the end it does nothing
                if let Some(Request { context, .. }) = self.requests.take(token.as_bytes()) {
                    self.fail_request(context, RequestError::NeverSent);
                }
            }
            None => {
                let error = CommandError::HalfWritten;
                self.events.push_back(Event::PublishFailed { subject, error });
            }
        }
    }

    /// Drops from the outgoing stream what the next server is told in another way, or need not
    /// know.
    fn keep_unsent(&mut self) {
        let mut waiting = Waiting::default();
        self.filter_outgoing(|session, op| match op {
            ClientOp::Publish(message) => {
                waiting.note(message.len(), !message.headers().is_empty());
                !session.is_ghost(message)
            }
            ClientOp::Subscribe { sid, .. } | ClientOp::Unsubscribe { sid, .. } => {
                let id = SubscriptionId::from_sid(*sid);
                let entry = id.and_then(|id| session.subscriptions.get_mut(id));
                entry.is_some_and(|entry| entry.position.is_some())
            }
            ClientOp::Connect(_) | ClientOp::Ping | ClientOp::Pong => false,
        });
        self.waiting = waiting;
    }

    /// Takes operations out of the outgoing stream, which stands between two of them.
    pub(super) fn filter_outgoing(&mut self, mut keeps: impl FnMut(&mut Self, &ClientOp) -> bool) {
        let mut decoder = self.outgoing.take();
        // these are the session's own bytes, so they decode
        while let Ok(Some(op)) = decoder.next_op() {
            if keeps(self, &op) {
                self.note_position(&op);
                op.encode(self.outgoing.buffer());
            }
        }
    }

    /// An operation stands at another place of the outgoing stream from now on.
    fn note_position(&mut self, op: &ClientOp) {
        let position = self.outgoing.position();
        match op {
            ClientOp::Publish(message) => {
                let request = self.token(message).map(<[u8]>::to_vec);
                let request = request.and_then(|token| self.requests.find_mut(&token));
                if let Some(request) = request {
                    request.position = Some(position);
                }
            }
            ClientOp::Subscribe { sid, .. } => {
                let id = SubscriptionId::from_sid(*sid);
                if let Some(entry) = id.and_then(|id| self.subscriptions.get_mut(id)) {
                    entry.position = Some(position);
                }
            }
            _ => {}
        }
    }

    /// What names the request that a message is, if it is one.
    pub(super) fn token<'m>(&self, message: &'m Message) -> Option<&'m [u8]> {
        message.reply_bytes()?.strip_prefix(self.inbox.as_bytes())
    }

    /// Whether a message is a request that has its outcome already.
    pub(super) fn is_ghost(&mut self, message: &Message) -> bool {
        let token = self.token(message);
        token.is_some_and(|token| self.requests.find_mut(token).is_none())
    }

    pub(super) fn fail_all_fences(&mut self) {
        while let Some(fence) = self.fences.pop() {
            self.fail_fence(fence.purpose, FlushError::Disconnected);
        }
    }

    /// Tells a server that is new to the session what the one before it knew.
    pub(super) fn restore(&mut self) {
        let out = &mut *self.peer.first;
        if self.mux == Mux::ToRestore {
            self.mux = Mux::Subscribed;
            requests::subscribe_inbox(out, &self.inbox);
        }
        for (id, entry) in self.subscriptions.iter() {
            if entry.position.is_none() && !entry.draining && !entry.has_all() {
                entry.encode(id, entry.server_max(), out);
            }
        }
    }

    /// Counts what was published and will never be sent.
    pub(super) fn report_unsent(&mut self) {
        if self.outgoing.len() == 0 {
            return;
        }
        let half = self.outgoing.cut();
        self.report_half_written(half);
        let mut decoder = self.outgoing.take();
        let mut messages = 0;
        while let Ok(Some(op)) = decoder.next_op() {
            if let ClientOp::Publish(message) = op
                && self.token(&message).is_none()
            {
                messages += 1;
            }
        }
        if messages > 0 {
            self.events.push_back(Event::Unsent { messages });
        }
    }
}
