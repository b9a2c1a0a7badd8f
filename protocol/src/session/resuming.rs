//! The outgoing stream between two connections: what the next server gets of it.
//!
//! Invariant: only whole operations are moved. Of what waits, messages stay, and so do
//! subscriptions that no server has heard of; everything else is told to the next server in another
//! way, or not at all. Messages that were accepted before the server's limits were known are
//! checked again when it has introduced itself: what breaks them would make it close the
//! connection.

use super::command_error::CommandError;
use super::event::Event;
use super::state::Session;
use crate::tables::outgoing::Unchecked;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::message::Message;
use crate::wire::op::ClientOp;

impl<S, R, F> Session<S, R, F> {
    /// Removes from the outgoing stream what the next server is told in another way, or need not
    /// know.
    pub(super) fn keep_unsent(&mut self) {
        // counted again, because only some of it is kept
        self.outgoing.take_unchecked();
        self.filter_outgoing(|session, op| match op {
            ClientOp::Publish(message) => {
                let has_headers = !message.headers().is_empty();
                session.outgoing.record_unchecked(message.len(), has_headers);
                !session.requests.is_abandoned(message)
            }
            ClientOp::Subscribe { sid, .. } | ClientOp::Unsubscribe { sid, .. } => {
                let id = SubscriptionId::from_sid(*sid);
                let entry = id.and_then(|id| session.subscriptions.get(id));
                entry.is_some_and(|entry| entry.position.is_some())
            }
            ClientOp::Connect(_) | ClientOp::Ping | ClientOp::Pong => false,
        });
    }

    /// Goes through the commands that were accepted before the server introduced itself, and
    /// removes what it would close the connection for, and requests that have timed out: nobody
    /// waits for what they would set in motion.
    pub(super) fn recheck_outgoing(&mut self) {
        let Unchecked { largest, has_headers, has_abandoned } = self.outgoing.take_unchecked();
        let is_too_large = largest > self.current.max_payload();
        let has_bad_headers = has_headers && self.current.refuses_headers();
        if is_too_large || has_bad_headers || has_abandoned {
            self.filter_outgoing(|session, op| match op {
                ClientOp::Publish(message) => session.recheck(message),
                _ => true,
            });
        }
    }

    /// Returns whether a message may still be sent; reports its outcome if not.
    fn recheck(&mut self, message: &Message) -> bool {
        let token = self.requests.token(message);
        let (size, limit) = (message.len(), self.current.max_payload());
        let error = if size > limit {
            CommandError::PayloadTooLarge { size, limit }
        } else if !message.headers().is_empty() && self.current.refuses_headers() {
            CommandError::HeadersUnsupported
        } else {
            return !self.requests.is_abandoned(message);
        };
        match token.map(|token| self.requests.take(token)) {
            Some(Some(request)) => self.fail_request(request.context, error.into()),
            Some(None) => {}
            None => {
                let subject = message.subject().into_owned();
                self.events.push_back(Event::PublishFailed { subject, error });
            }
        }
        false
    }

    /// Removes operations from the outgoing stream, which has to be between two of them.
    fn filter_outgoing(&mut self, mut keeps: impl FnMut(&mut Self, &ClientOp) -> bool) {
        let mut decoder = self.outgoing.take();
        // these are the session's own bytes, so they decode
        while let Ok(Some(op)) = decoder.next_op() {
            if keeps(self, &op) {
                self.record_position(&op);
                op.encode(self.outgoing.buffer());
            }
        }
    }

    /// An operation is at another place of the outgoing stream from now on.
    fn record_position(&mut self, op: &ClientOp) {
        let position = self.outgoing.position();
        match op {
            ClientOp::Publish(message) => self.requests.set_position(message, position),
            ClientOp::Subscribe { sid, .. } => {
                let id = SubscriptionId::from_sid(*sid);
                if let Some(entry) = id.and_then(|id| self.subscriptions.get_mut(id)) {
                    entry.position = Some(position);
                }
            }
            _ => {}
        }
    }
}
