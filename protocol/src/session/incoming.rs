//! The session's incoming side: operations of the server become events.

use super::{DrainStage, Phase, Session};
use crate::encode;
use crate::error::{ServerError, ServerErrorKind};
use crate::events::{DisconnectReason, EndReason, Event, RequestError};
use crate::fences::{Fence, Purpose};
use crate::info::{ConnectInfo, ServerInfo};
use crate::op::{Message, ServerOp};
use crate::requests::Request;
use crate::subscriptions::{MUX_SID, Received, SubscriptionId};
use std::time::Duration;

impl<S, R, F> Session<S, R, F> {
    /// The next thing that happened, or `None` until the driver has something new.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event<S, R, F>> {
        if let Some(id) = self.finished.take() {
            self.end_subscription(id, EndReason::MaxReached);
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.is_listening() {
                return std::mem::take(&mut self.closing).then_some(Event::Closed);
            }
            match self.decoder.next_op() {
                Ok(Some(ServerOp::Message(message))) => {
                    if let Some(event) = self.handle_message(message) {
                        return Some(event);
                    }
                }
                Ok(Some(op)) => self.handle_op(op),
                Ok(None) if self.advance_drain() => {}
                Ok(None) => return None,
                Err(error) => self.finish(DisconnectReason::Protocol(error)),
            }
        }
    }

    #[inline]
    fn handle_message(&mut self, message: Message) -> Option<Event<S, R, F>> {
        if !self.is_open() {
            self.finish_unexpected("message");
            return None;
        }
        self.statistics.messages_in += 1;
        self.statistics.bytes_in += message.len() as u64;
        if message.sid() == MUX_SID {
            return self.handle_reply(message);
        }
        let id = SubscriptionId::from_sid(message.sid());
        match id.map(|id| (id, self.subscriptions.receive(id))) {
            Some((subscription, Received::More)) => Some(Event::Message { subscription, message }),
            Some((subscription, Received::Last)) => {
                self.finished = Some(subscription);
                Some(Event::Message { subscription, message })
            }
            Some((_, Received::Late)) | None => {
                self.statistics.late_messages += 1;
                None
            }
        }
    }

    #[inline]
    fn handle_reply(&mut self, message: Message) -> Option<Event<S, R, F>> {
        let request = match message.subject_bytes().strip_prefix(self.inbox.as_bytes()) {
            Some(token) => self.requests.take(token),
            // an account's subject mapping can rewrite inboxes; then a lone request is meant
            None => self.requests.take_only(),
        };
        let Some(Request { context, .. }) = request else {
            self.statistics.late_messages += 1;
            return None;
        };
        let outcome = match message.control_status() {
            Some(503) => Err(RequestError::NoResponders),
            _ => Ok(message),
        };
        Some(Event::Reply { context, outcome })
    }

    #[inline(never)]
    fn handle_op(&mut self, op: ServerOp) {
        match op {
            ServerOp::Info(info) => self.handle_info(*info),
            ServerOp::Pong => self.handle_pong(),
            ServerOp::Ping => self.answer_ping(),
            ServerOp::Error(error) => self.handle_server_error(error),
            // +OK comes to verbose connections, and messages do not come here
            ServerOp::Ok | ServerOp::Message(_) => {}
        }
    }

    /// A peer that asks and asks, and reads no answer, gets none beyond the buffer's limit.
    fn answer_ping(&mut self) {
        let out = match self.is_open() {
            true => self.outgoing.buffer(),
            false => &mut self.handshake,
        };
        if out.len() < self.config.max_buffered {
            out.extend_from_slice(encode::PONG);
        }
    }

    fn handle_info(&mut self, info: ServerInfo) {
        self.info = info;
        self.info_seen = true;
        if self.info.ldm && !self.lame_duck_seen {
            self.lame_duck_seen = true;
            self.events.push_back(Event::LameDuck);
        }
        if self.phase != Phase::AwaitingInfo {
            return self.events.push_back(Event::InfoChanged);
        }
        if self.info.tls_required {
            return self.finish(DisconnectReason::Unsupported("TLS"));
        }
        if !self.config.connect.echo && self.info.proto < 1 {
            return self.finish(DisconnectReason::Unsupported("echo"));
        }
        let connect = ConnectInfo {
            headers: self.info.headers,
            no_responders: self.info.headers && self.config.connect.no_responders,
            ..self.config.connect.clone()
        };
        encode::connect(&mut self.handshake, &connect);
        self.handshake.extend_from_slice(encode::PING);
        self.phase = Phase::AwaitingPong;
    }

    fn handle_pong(&mut self) {
        self.pings_outstanding = 0;
        match self.phase {
            Phase::AwaitingPong => self.open(),
            Phase::Ready | Phase::Draining => {
                // a PONG that nobody asked for is odd, and does no harm
                if let Some(fence) = self.fences.pop() {
                    self.pass_fence(fence);
                }
            }
            _ => self.finish_unexpected("PONG"),
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Ready;
        self.connect_deadline = None;
        if self.config.ping_interval > Duration::ZERO {
            let interval = self.config.ping_interval;
            self.next_ping = self.last_read.and_then(|now| now.checked_add(interval));
        }
        let too_large = self.waiting.largest > self.max_payload();
        if too_large || self.waiting.ghosts || (self.waiting.headers && !self.info.headers) {
            self.recheck_outgoing();
            self.report_room();
        }
        self.events.push_back(Event::Connected);
        if self.drain.is_some() {
            self.begin_drain();
        }
    }

    fn handle_server_error(&mut self, error: ServerError) {
        if !self.is_open() {
            return self.finish(DisconnectReason::Server(error));
        }
        let stays = matches!(
            error.kind(),
            ServerErrorKind::PermissionsViolation
                | ServerErrorKind::TooManySubscriptions
                | ServerErrorKind::InvalidSubject
        );
        if !stays {
            self.fatal_error = Some(error.clone());
        }
        self.events.push_back(Event::ServerError(error));
    }

    fn pass_fence(&mut self, fence: Fence<F>) {
        let times = fence.sent.zip(self.last_read);
        let rtt = times.map_or(Duration::ZERO, |(sent, read)| read.duration_since(sent));
        match fence.purpose {
            Purpose::KeepAlive | Purpose::TimedOut { drained: None } => {}
            Purpose::TimedOut { drained: Some(subscription) } => {
                self.end_subscription(subscription, EndReason::Drained);
            }
            Purpose::Flush { context, .. } => {
                self.events.push_back(Event::Fence { context, outcome: Ok(rtt) });
            }
            Purpose::Drain { subscription, context, .. } => {
                self.end_subscription(subscription, EndReason::Drained);
                self.events.push_back(Event::Fence { context, outcome: Ok(rtt) });
            }
            Purpose::DrainAll => {
                self.end_all_subscriptions(EndReason::Drained);
                self.drain = Some(DrainStage::Requests);
            }
            Purpose::Final => self.finish(DisconnectReason::Drained),
        }
    }
}
