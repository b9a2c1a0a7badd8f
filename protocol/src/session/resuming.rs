//! The outgoing stream between two connections: what the next server gets of it.
//!
//! Invariant: only whole operations are moved. Of what waits, messages stay, and so do
//! subscriptions that no server has heard of; everything else reaches the next server in another
//! way, or not at all. Messages that were accepted before the server's limits were known are
//! checked again when it has introduced itself: what breaks them would make it close the
//! connection.

use super::command_error::CommandError;
use super::event::Event;
use super::state::Session;
use crate::tables::outgoing::Unchecked;
use crate::tables::requests::INBOX_SID;
use crate::tables::subscriptions::{Subscription, SubscriptionId};
use crate::wire::encode;
use crate::wire::message::Message;
use crate::wire::op::ClientOp;

impl<S, R, F> Session<S, R, F> {
    /// Removes from the outgoing stream what the next server learns in another way, or need not
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
            ClientOp::Subscribe { sid, .. } => {
                session.is_waiting(*sid, |entry| entry.position.is_some())
            }
            ClientOp::Unsubscribe { .. } => true,
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
        if has_abandoned {
            self.sweep_outgoing();
        }
        if is_too_large || has_bad_headers {
            self.filter_outgoing(|session, op| match op {
                ClientOp::Publish(message) => session.recheck(message),
                _ => true,
            });
        }
    }

    /// Removes what nobody waits for any more from what waits for a connection: requests and fences
    /// that have timed out, and subscriptions that have ended or have another maximum now. There
    /// must be no connection.
    pub(super) fn sweep_outgoing(&mut self) {
        let mut fences = self.fences.sweep().into_iter();
        let mut left = 0;
        self.filter_outgoing(|session, op| {
            let keeps = match op {
                ClientOp::Publish(message) => !session.requests.is_abandoned(message),
                ClientOp::Subscribe { sid, .. } => {
                    *sid == INBOX_SID || session.is_waiting(*sid, |entry| entry.position.is_some())
                }
                ClientOp::Ping => fences.next().unwrap_or(true),
                _ => true,
            };
            left += usize::from(keeps);
            keeps
        });
        self.outgoing.note_sweep(left);
    }

    /// A message that was counted as sent never will be.
    pub(super) fn uncount_sent(&mut self, size: usize) {
        let statistics = &mut self.statistics;
        statistics.messages_out = statistics.messages_out.saturating_sub(1);
        statistics.bytes_out = statistics.bytes_out.saturating_sub(size as u64);
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

    fn is_waiting(&self, sid: u64, waits: impl FnOnce(&Subscription<S>) -> bool) -> bool {
        let id = SubscriptionId::from_sid(sid);
        id.and_then(|id| self.subscriptions.get(id)).is_some_and(waits)
    }

    /// Removes operations from the outgoing stream, which has to be between two of them. What limits
    /// a subscription to a maximum is written anew, behind its `SUB`; other `UNSUB`s are drains.
    fn filter_outgoing(&mut self, mut keeps: impl FnMut(&mut Self, &ClientOp) -> bool) {
        let mut decoder = self.outgoing.take();
        let mut pings = 0;
        // these are the session's own bytes, so they decode
        while let Ok(Some(op)) = decoder.next_op() {
            let is_maximum = |sid| !self.is_waiting(sid, |entry| entry.draining);
            if matches!(op, ClientOp::Unsubscribe { sid, .. } if is_maximum(sid)) {
                continue;
            }
            if keeps(self, &op) {
                self.record_position(&op);
                op.encode(self.outgoing.buffer());
                if matches!(op, ClientOp::Ping) {
                    self.fences.set_position(pings, self.outgoing.position());
                    pings += 1;
                }
                self.write_maximum(&op);
            } else if let ClientOp::Publish(message) = &op {
                self.uncount_sent(message.len());
            }
        }
    }

    /// Writes the maximum of a subscription behind its `SUB`.
    fn write_maximum(&mut self, op: &ClientOp) {
        let ClientOp::Subscribe { sid, .. } = op else { return };
        let Some(id) = SubscriptionId::from_sid(*sid) else { return };
        let entry = self.subscriptions.get(id).filter(|entry| !entry.draining);
        if let Some(max) = entry.and_then(|entry| entry.server_max()) {
            encode::unsubscribe(self.outgoing.buffer(), *sid, Some(max));
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
