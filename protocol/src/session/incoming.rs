//! The session's incoming side: operations of the server become events.
//!
//! Invariant: events are reported in the order in which what caused them arrived, and everything
//! that was decoded before comes before what is decoded next.

use super::event::{EndReason, Event, RequestError};
use super::life::DrainStage;
use super::state::Session;
use crate::disconnect::DisconnectReason;
use crate::tables::fences::{Fence, Purpose};
use crate::tables::requests::{self, Request};
use crate::tables::subscriptions::{Received, SubscriptionId};
use crate::tables::token::TOKEN;
use crate::wire::decode::Decoded;
use crate::wire::encode;
use crate::wire::error::{Denied, ServerError, ServerErrorKind};
use crate::wire::info::ServerInfo;
use crate::wire::message::Message;
use crate::wire::op::ServerOp;
use std::time::Duration;

impl<S, R, F> Session<S, R, F> {
    /// The next thing that happened, or `None` until the driver has something new. If it is a
    /// message or a reply, it lies in `place`, until the next call or [`Message::clear`]: a place is
    /// used again and again, because then no message has to be moved.
    #[inline]
    pub fn poll_event(&mut self, place: &mut Message) -> Option<Event<S, R, F>> {
        if let Some(id) = self.inbound.take_finished() {
            self.end_subscription(id, EndReason::MaxReached);
        }
        loop {
            if !self.events.is_empty() {
                return self.events.pop_front();
            }
            if self.inbound.has_messages() {
                match self.next_waiting_message(place) {
                    None => continue,
                    event => return event,
                }
            }
            if !self.current.is_listening() {
                return self.life.take_end().map(Event::Closed);
            }
            match self.current.next(place) {
                Ok(Some(Decoded::Message)) => {
                    if let Some(event) = self.handle_message(place) {
                        return Some(event);
                    }
                }
                Ok(Some(Decoded::Op(op))) => self.handle_op(op),
                Ok(None) if self.has_news_of_move() => {
                    if let Some(event) = self.advance_move(place) {
                        return Some(event);
                    }
                }
                Ok(None) if self.advance_drain() => {}
                Ok(None) => return None,
                Err(error) => self.lose_connection(DisconnectReason::Protocol(error)),
            }
        }
    }

    /// Puts another message for a subscription into the place, if it has come directly behind the
    /// last one, with the same subject, and nothing else is to be reported before it: messages often
    /// come in long runs, and this costs a fraction of [`poll_event`](Self::poll_event). Returns
    /// whether there was one; if not, nothing has happened.
    #[inline(always)]
    pub fn poll_another(&mut self, subscription: SubscriptionId, place: &mut Message) -> bool {
        if self.is_undisturbed()
            && let Some(entry) = self.subscriptions.get_plain(subscription)
            && self.current.decoder().next_repeated(subscription.sid(), place)
        {
            entry.received += 1;
            self.count_received(place);
            return true;
        }
        false
    }

    /// Takes the short way to the request that the next message is the reply to, if it is the next thing
    /// to be reported; the reply lies in `place` then, as after [`poll_event`](Self::poll_event). `None`
    /// if it is anything else, or has nothing but headers, which may say that there is no reply: then
    /// nothing has happened.
    #[inline]
    pub fn poll_reply(&mut self, place: &mut Message) -> Option<R> {
        let start = self.requests.expected_start()?;
        if !self.is_undisturbed() {
            return None;
        }
        let (message, token) =
            self.current.decoder().expect::<TOKEN>(start, requests::INBOX_SID)?;
        if message.is_only_headers() {
            return None;
        }
        let request = self.requests.take(token)?;
        self.current.decoder().take_expected(message, place);
        self.count_received(place);
        Some(request.context)
    }

    /// Whether the next thing to be reported is what the server sends next.
    #[inline(always)]
    fn is_undisturbed(&self) -> bool {
        self.events.is_empty() && self.inbound.is_clear() && self.current.is_open()
    }

    // ---- messages -----------------------------------------------------------------------------

    #[cold]
    fn next_waiting_message(&mut self, place: &mut Message) -> Option<Event<S, R, F>> {
        if !self.inbound.resumed.is_empty() {
            return self.next_resumed(place);
        }
        *place = self.inbound.next_of_backlog()?;
        self.handle_early_message(place)
    }

    /// As [`handle_message`](Self::handle_message), for messages that do not come straight from the
    /// current server.
    #[cold]
    #[inline(never)]
    pub(super) fn handle_early_message(&mut self, message: &Message) -> Option<Event<S, R, F>> {
        self.handle_message(message)
    }

    #[inline(always)]
    fn handle_message(&mut self, message: &Message) -> Option<Event<S, R, F>> {
        if !self.is_open() {
            self.handle_op(ServerOp::Message(message.clone()));
            return None;
        }
        self.count_received(message);
        if message.sid() == requests::INBOX_SID {
            return self.handle_reply(message);
        }
        if self.inbound.has_overlap() && !self.is_new(message) {
            self.statistics.duplicates += 1;
            return None;
        }
        let id = SubscriptionId::from_sid(message.sid());
        match id.map(|id| (id, self.subscriptions.receive(id))) {
            Some((subscription, Received::More)) => Some(Event::Message { subscription }),
            Some((subscription, Received::Last)) => {
                self.inbound.finish(subscription);
                self.end_at_server(subscription);
                Some(Event::Message { subscription })
            }
            Some((subscription, Received::Held)) => {
                self.hold(subscription, message);
                None
            }
            Some((_, Received::Late)) | None => {
                self.statistics.late_messages += 1;
                None
            }
        }
    }

    #[inline(always)]
    fn count_received(&mut self, message: &Message) {
        self.statistics.messages_in += 1;
        self.statistics.bytes_in += message.len() as u64;
    }

    #[inline]
    fn handle_reply(&mut self, message: &Message) -> Option<Event<S, R, F>> {
        let Some(request) = self.requests.take_answered(message.subject_bytes()) else {
            self.statistics.late_messages += 1;
            return None;
        };
        let outcome = match message.control_status() {
            Some(503) => Err(RequestError::no_responders(message)),
            _ => Ok(()),
        };
        Some(Event::Reply { context: request.context, outcome })
    }

    /// Ends a subscription at the server, if the server cannot know that it has ended.
    #[cold]
    pub(super) fn end_at_server(&mut self, id: SubscriptionId) {
        let Some(entry) = self.subscriptions.get(id) else { return };
        if entry.is_counted_elsewhere() {
            let position = entry.position;
            self.write_unsubscribe(id, position, None);
        }
    }

    // ---- other operations ---------------------------------------------------------------------

    #[inline(never)]
    fn handle_op(&mut self, op: ServerOp) {
        if !self.is_open() {
            return self.handshake(op);
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

    fn handshake(&mut self, op: ServerOp) {
        let is_another_info =
            matches!(op, ServerOp::Info(_)) && self.current.server_info().is_some();
        match self.current.handshake(op, &self.config) {
            Ok(true) => self.handle_open(),
            Ok(false) if is_another_info => self.events.push_back(Event::InfoChanged),
            Ok(false) => {}
            Err(reason) => self.lose_connection(reason),
        }
    }

    /// The handshake is done.
    fn handle_open(&mut self) {
        self.recheck_outgoing();
        self.requests.restore_inbox(self.current.first_mut());
        self.subscriptions.restore(self.current.first_mut());
        if std::mem::replace(&mut self.was_connected, true) {
            self.statistics.reconnects += 1;
            self.events.push_back(Event::Reconnected);
        } else {
            self.events.push_back(Event::Connected);
        }
        self.report_lame_duck();
        self.report_room();
        if self.life.is_draining() {
            self.begin_drain();
        }
    }

    fn handle_info(&mut self, info: ServerInfo) {
        self.current.set_info(info);
        self.report_lame_duck();
        self.events.push_back(Event::InfoChanged);
    }

    pub(super) fn report_lame_duck(&mut self) {
        if self.current.take_lame_duck() {
            self.events.push_back(Event::LameDuck);
        }
    }

    /// Reports that the buffer has room again, if a command was refused.
    #[inline]
    pub(super) fn report_room(&mut self) {
        if self.is_open() && self.outgoing.take_room(self.config.low_water) {
            self.events.push_back(Event::Writable);
        }
    }

    // ---- fences -------------------------------------------------------------------------------

    fn handle_pong(&mut self) {
        self.current.handle_pong();
        // a PONG that nobody asked for is odd, and does no harm
        if let Some(fence) = self.fences.pop_answered(self.outgoing.total_sent()) {
            self.pass_fence(fence);
        }
    }

    fn pass_fence(&mut self, fence: Fence<F>) {
        let times = fence.sent.zip(self.current.last_read());
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
                self.life.enter(DrainStage::Requests);
            }
            Purpose::Leave => self.finish_move(),
            Purpose::Final => self.finish(DisconnectReason::Drained),
        }
    }

    // ---- errors -------------------------------------------------------------------------------

    pub(super) fn handle_server_error(&mut self, error: ServerError) {
        match error.kind() {
            // one denial has one report: to whom it concerns, or else to everybody
            ServerErrorKind::PermissionsViolation if self.find_denied(&error) => return,
            ServerErrorKind::PermissionsViolation
            | ServerErrorKind::TooManySubscriptions
            | ServerErrorKind::InvalidSubject => {}
            _ => self.current.set_last_error(error.clone()),
        }
        self.events.push_back(Event::ServerError(error));
    }

    /// Ends what the server does not permit, and returns whether there was anything. The server's
    /// errors carry no id, only what they are about.
    fn find_denied(&mut self, error: &ServerError) -> bool {
        let before = self.events.len();
        match error.denied() {
            Some(Denied::Publish { subject }) => {
                let sent = self.outgoing.total_sent();
                let request = self.requests.take_first_on(subject.as_bytes(), sent);
                self.deny_requests(request, error);
            }
            Some(Denied::Reply { subject }) => {
                let request = self.requests.take_by_reply(subject);
                self.deny_requests(request, error);
            }
            // no reply can arrive
            Some(Denied::Subscription { subject, .. }) if self.requests.is_inbox(subject) => {
                let requests = self.requests.deny_inbox(self.outgoing.total_sent());
                self.deny_requests(requests, error);
            }
            Some(Denied::Subscription { subject, queue, sid }) => {
                for id in self.subscriptions.find(subject, queue, sid) {
                    let error = error.clone();
                    self.events.push_back(Event::SubscriptionDenied { subscription: id, error });
                    self.end_subscription(id, EndReason::Denied);
                }
            }
            None => {}
        }
        self.events.len() > before
    }

    fn deny_requests(
        &mut self,
        requests: impl IntoIterator<Item = Request<R>>,
        error: &ServerError,
    ) {
        for request in requests {
            self.fail_request(request.context, RequestError::Denied(error.clone()));
        }
    }
}
