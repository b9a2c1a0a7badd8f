//! The session's incoming side: operations of the server become events.

use super::event::{EndReason, Event, RequestError};
use super::{DrainStage, Mux, Session, Waiting};
use crate::disconnect::DisconnectReason;
use crate::tables::fences::{Fence, Purpose};
use crate::tables::requests::{self, Request};
use crate::tables::subscriptions::{Received, SubscriptionId};
use crate::wire::encode;
use crate::wire::error::{Denied, ServerError, ServerErrorKind};
use crate::wire::info::ServerInfo;
use crate::wire::message::Message;
use crate::wire::op::ServerOp;
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
            if self.has_waiting_messages() {
                match self.next_waiting_message() {
                    None => continue,
                    event => return event,
                }
            }
            if !self.is_listening() {
                return self.closing.take().map(Event::Closed);
            }
            match self.peer.decoder.next_op() {
                Ok(Some(ServerOp::Message(message))) => {
                    if let Some(event) = self.handle_message(message) {
                        return Some(event);
                    }
                }
                Ok(Some(op)) => self.handle_op(op),
                Ok(None) if self.has_news_of_move() => {
                    if let Some(event) = self.advance_move() {
                        return Some(event);
                    }
                }
                Ok(None) if self.advance_drain() => {}
                Ok(None) => return None,
                Err(error) => self.lose_connection(DisconnectReason::Protocol(error)),
            }
        }
    }

    /// Whether messages have been decoded before, and not been delivered.
    #[inline]
    fn has_waiting_messages(&self) -> bool {
        !self.resumed.is_empty() || !self.backlog.is_empty()
    }

    #[cold]
    fn next_waiting_message(&mut self) -> Option<Event<S, R, F>> {
        if !self.resumed.is_empty() {
            return self.next_resumed();
        }
        let message = self.backlog.pop_front()?;
        self.handle_early_message(message)
    }

    /// As [`handle_message`](Self::handle_message), for messages that do not come straight from the
    /// server of today.
    #[cold]
    #[inline(never)]
    pub(super) fn handle_early_message(&mut self, message: Message) -> Option<Event<S, R, F>> {
        self.handle_message(message)
    }

    #[inline(always)]
    fn handle_message(&mut self, message: Message) -> Option<Event<S, R, F>> {
        if !self.is_open() {
            self.handle_op(ServerOp::Message(message));
            return None;
        }
        self.statistics.messages_in += 1;
        self.statistics.bytes_in += message.len() as u64;
        if message.sid() == requests::INBOX_SID {
            return self.handle_reply(message);
        }
        if self.overlap.is_some() && !self.is_new(&message) {
            self.statistics.duplicates += 1;
            return None;
        }
        let id = SubscriptionId::from_sid(message.sid());
        match id.map(|id| (id, self.subscriptions.receive(id))) {
            Some((subscription, Received::More)) => Some(Event::Message { subscription, message }),
            Some((subscription, Received::Last)) => {
                self.finished = Some(subscription);
                self.end_at_server(subscription);
                Some(Event::Message { subscription, message })
            }
            Some((subscription, Received::Held)) => {
                self.hold(subscription, &message);
                None
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
        if !self.is_open() {
            return self.shake_hands(op);
        }
        match op {
            ServerOp::Info(info) => self.handle_info(*info),
            ServerOp::Pong => self.handle_pong(),
            ServerOp::Ping => {
                encode::answer_ping(self.outgoing.buffer(), self.config.max_buffered);
            }
            ServerOp::Error(error) => self.handle_server_error(error),
            // +OK comes to verbose connections, and messages do not come here
            ServerOp::Ok | ServerOp::Message(_) => {}
        }
    }

    fn shake_hands(&mut self, op: ServerOp) {
        let is_another_info = matches!(op, ServerOp::Info(_)) && self.peer.info_seen;
        match self.peer.handshake(op, &self.config) {
            Ok(true) => self.open(),
            Ok(false) if is_another_info => self.events.push_back(Event::InfoChanged),
            Ok(false) => {}
            Err(reason) => self.lose_connection(reason),
        }
    }

    fn handle_info(&mut self, info: ServerInfo) {
        self.peer.info = info;
        self.report_lame_duck();
        self.events.push_back(Event::InfoChanged);
    }

    pub(super) fn report_lame_duck(&mut self) {
        if self.peer.info.ldm && !self.peer.lame_duck_seen {
            self.peer.lame_duck_seen = true;
            self.events.push_back(Event::LameDuck);
        }
    }

    /// Tells the server of a subscription's end, if it cannot know it.
    #[cold]
    pub(super) fn end_at_server(&mut self, id: SubscriptionId) {
        let Some(entry) = self.subscriptions.get(id) else { return };
        if entry.has_moved || entry.received_at_join.is_some() {
            let position = entry.position;
            self.write_unsubscribe(id, position, None);
        }
    }

    fn handle_pong(&mut self) {
        self.peer.pings_outstanding = 0;
        // a PONG that nobody asked for is odd, and does no harm
        if let Some(fence) = self.fences.pop() {
            self.pass_fence(fence);
        }
    }

    /// The handshake is done.
    fn open(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Waiting { largest, headers, ghosts } = waiting;
        if largest > self.max_payload() || ghosts || (headers && !self.peer.info.headers) {
            self.recheck_outgoing();
        }
        self.restore();
        if std::mem::replace(&mut self.connected_before, true) {
            self.statistics.reconnects += 1;
            self.events.push_back(Event::Reconnected);
        } else {
            self.events.push_back(Event::Connected);
        }
        self.report_lame_duck();
        self.report_room();
        if self.drain.is_some() {
            self.begin_drain();
        }
    }

    pub(super) fn handle_server_error(&mut self, error: ServerError) {
        match error.kind() {
            ServerErrorKind::PermissionsViolation => self.find_denied(&error),
            ServerErrorKind::TooManySubscriptions | ServerErrorKind::InvalidSubject => {}
            _ => self.peer.last_error = Some(error.clone()),
        }
        self.events.push_back(Event::ServerError(error));
    }

    /// Ends what the server does not permit. Its errors carry no id, only what they are about.
    fn find_denied(&mut self, error: &ServerError) {
        match error.denied() {
            Some(Denied::Publish { subject }) => {
                let sent = self.outgoing.total_sent();
                if let Some(request) = self.requests.take_first_on(subject.as_bytes(), sent) {
                    self.fail_request(request.context, RequestError::Denied(error.clone()));
                }
            }
            Some(Denied::Reply { subject }) => {
                let token = subject.strip_prefix(&self.inbox);
                let request = token.and_then(|token| self.requests.take(token.as_bytes()));
                if let Some(request) = request {
                    self.fail_request(request.context, RequestError::Denied(error.clone()));
                }
            }
            Some(Denied::Subscription { subject, queue, sid }) => {
                if subject.strip_suffix('*') == Some(&self.inbox) {
                    return self.lose_inbox(error);
                }
                for id in self.subscriptions.find(subject, queue, sid) {
                    let error = error.clone();
                    self.events.push_back(Event::SubscriptionDenied { subscription: id, error });
                    self.end_subscription(id, EndReason::Denied);
                }
            }
            None => {}
        }
    }

    /// No reply can come. The next request asks for the inbox again.
    fn lose_inbox(&mut self, error: &ServerError) {
        self.mux = Mux::Unused;
        let sent = self.outgoing.total_sent();
        for request in self.requests.take_if(|request| request.was_sent(sent)) {
            self.fail_request(request.context, RequestError::Denied(error.clone()));
        }
    }

    fn pass_fence(&mut self, fence: Fence<F>) {
        let times = fence.sent.zip(self.peer.last_read);
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
            Purpose::Leave => self.pass_leave(),
            Purpose::Final => self.finish(DisconnectReason::Drained),
        }
    }
}
