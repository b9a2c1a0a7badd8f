//! The session: one connection's protocol as a state machine, without socket and clock.
//!
//! A driver feeds it what happened (`handle_*`), gives it commands, and takes what is to be done
//! (`poll_event`, `chunks`). Three invariants hold whatever the peer and the driver do: every
//! context comes back exactly once, `PONG`s are matched to `PING`s in order, and nothing of what
//! the user sent is written before the handshake is done.
//!
//! It does not reconnect: a session that was disconnected is closed.

mod commands;
mod incoming;
mod recheck;

use crate::decode::{Decoder, Limits};
use crate::encode::{self, Payload};
use crate::error::{ProtocolError, ServerError};
use crate::events::{DisconnectReason, EndReason, Event, FenceError, RequestError, Statistics};
use crate::fences::{Fences, Purpose};
use crate::headers::HeaderMap;
use crate::info::{ConnectInfo, ServerInfo};
use crate::op::ServerOp;
use crate::outgoing::Outgoing;
use crate::requests::{Request, Requests};
use crate::subscriptions::{SubscriptionId, Subscriptions};
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// What a session is to do, and how far it may go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionConfig {
    /// What to say in `CONNECT`. `headers` and `no_responders` are cleared for servers that do
    /// not have headers.
    pub connect: ConnectInfo,
    /// First token or tokens of inboxes. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// Time for look-up, connecting and handshake together. Default: 5 s (ADR-40).
    pub connect_timeout: Duration,
    /// Time between keep-alive pings. Default: 2 min. Zero: none are sent.
    pub ping_interval: Duration,
    /// Unanswered keep-alive pings at which the connection counts as stale. Default: 2.
    pub max_pings_outstanding: u32,
    /// Time for a drain of the connection. Default: 30 s.
    pub drain_timeout: Duration,
    /// Most bytes that wait to be written; commands beyond are refused. Default: 64 MiB.
    pub max_buffered: usize,
    /// Bytes at which a buffer that was full counts as writable again. Default: 16 MiB.
    pub low_water: usize,
    /// Longest control line to send. Default: 4096 bytes, the default of servers, which close the
    /// connection on longer ones.
    pub max_control_line: usize,
    /// What the server may ask the session to hold.
    pub limits: Limits,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            connect: ConnectInfo::new(),
            inbox_prefix: "_INBOX".into(),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(120),
            max_pings_outstanding: 2,
            drain_timeout: Duration::from_secs(30),
            max_buffered: 64 << 20,
            low_water: 16 << 20,
            max_control_line: 4096,
            limits: Limits::default(),
        }
    }
}

/// A message to send: `Publish::new("greet", "hello").headers(&headers)`.
#[derive(Debug, Clone)]
pub struct Publish<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    headers: Option<&'a HeaderMap>,
    payload: Payload<'a>,
    allow_wildcards: bool,
}

impl<'a> Publish<'a> {
    /// A message without reply subject and headers. The subject must be literal.
    #[inline]
    pub fn new(subject: &'a str, payload: impl Into<Payload<'a>>) -> Self {
        let payload = payload.into();
        Self { subject, reply: None, headers: None, payload, allow_wildcards: false }
    }

    /// Says where receivers are to send answers. Requests do not use it, they have an inbox.
    #[must_use]
    pub fn reply(mut self, reply: &'a str) -> Self {
        self.reply = Some(reply);
        self
    }

    /// Adds headers.
    #[must_use]
    #[inline]
    pub fn headers(mut self, headers: &'a HeaderMap) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Lets the subject have wildcards, which servers route literally. Only the subjects of
    /// JetStream's API have a use for it, some of which end with a filter.
    #[must_use]
    pub fn allow_wildcards(mut self) -> Self {
        self.allow_wildcards = true;
        self
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// There is no transport yet.
    Connecting,
    /// The server has not introduced itself.
    AwaitingInfo,
    /// `CONNECT` was sent, its `PING` is not answered.
    AwaitingPong,
    /// Connected.
    Ready,
    /// Connected; what is pending is completed, and then the session closes.
    Draining,
    /// Over.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum DrainStage {
    /// No stage before the handshake is done.
    Requested,
    /// The server has been told to stop deliveries.
    Subscriptions,
    /// Requests and fences are being completed.
    Requests,
    /// The last fence is out; nothing more may be sent.
    Final,
}

/// One connection's protocol. `S`, `R` and `F` are what the driver attaches to subscriptions,
/// requests and fences.
pub struct Session<S, R, F> {
    config: SessionConfig,
    phase: Phase,
    drain: Option<DrainStage>,
    info: ServerInfo,
    info_seen: bool,
    lame_duck_seen: bool,
    decoder: Decoder<ServerOp>,
    /// Handshake bytes; they go before everything in `outgoing`.
    handshake: Vec<u8>,
    outgoing: Outgoing,
    /// A command was refused because the buffer was full.
    refused: bool,
    waiting: Waiting,
    subscriptions: Subscriptions<S>,
    requests: Requests<R>,
    /// `<prefix>.<id>.`: what every reply's subject begins with.
    inbox: String,
    mux_subscribed: bool,
    fences: Fences<F>,
    events: VecDeque<Event<S, R, F>>,
    /// The session is over and `Event::Closed` is still to come, behind everything else.
    closing: bool,
    fatal_error: Option<ServerError>,
    connect_deadline: Option<Instant>,
    drain_deadline: Option<Instant>,
    next_ping: Option<Instant>,
    pings_outstanding: u32,
    /// A subscription whose last message has just been reported.
    finished: Option<SubscriptionId>,
    last_read: Option<Instant>,
    statistics: Statistics,
}

/// What is known of the commands that were taken before the server's limits were.
#[derive(Debug, Default)]
struct Waiting {
    /// Size of the largest message.
    largest: usize,
    /// Whether some have headers.
    headers: bool,
    /// Whether some are requests that have timed out since.
    ghosts: bool,
}

impl<S, R, F> Session<S, R, F> {
    /// A session that waits for its transport. `seed` makes its inbox unique: take it from a good
    /// source of randomness.
    pub fn new(config: SessionConfig, seed: u128) -> Self {
        Self {
            phase: Phase::Connecting,
            drain: None,
            info: ServerInfo::default(),
            info_seen: false,
            lame_duck_seen: false,
            decoder: Decoder::new(config.limits),
            handshake: Vec::new(),
            outgoing: Outgoing::default(),
            refused: false,
            waiting: Waiting::default(),
            subscriptions: Subscriptions::default(),
            requests: Requests::default(),
            inbox: format!("{}.{}.", config.inbox_prefix, base62(seed)),
            mux_subscribed: false,
            fences: Fences::default(),
            events: VecDeque::new(),
            closing: false,
            fatal_error: None,
            connect_deadline: None,
            drain_deadline: None,
            next_ping: None,
            pings_outstanding: 0,
            finished: None,
            last_read: None,
            statistics: Statistics::default(),
            config,
        }
    }

    // ---- the transport ------------------------------------------------------------------------

    /// The driver begins to look for the server: the connect timeout runs from now.
    pub fn handle_connecting(&mut self, now: Instant) {
        if self.phase == Phase::Connecting {
            self.connect_deadline = now.checked_add(self.config.connect_timeout);
        }
    }

    /// The transport is open. Room for what it delivers is in [`read_room`](Self::read_room).
    pub fn handle_connected(&mut self) {
        if self.phase == Phase::Connecting {
            self.phase = Phase::AwaitingInfo;
        }
    }

    /// Room to read into, at least 16 KiB.
    pub fn read_room(&mut self) -> &mut [u8] {
        self.decoder.room()
    }

    /// The transport has put `count` bytes into the room.
    pub fn handle_read(&mut self, count: usize, now: Instant) {
        self.last_read = Some(now);
        self.decoder.filled(count);
    }

    /// The transport delivered bytes that lie elsewhere.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.last_read = Some(now);
        self.decoder.feed(bytes);
    }

    /// The transport is gone. Call it when all that was read before has been polled.
    pub fn handle_disconnected(&mut self, reason: DisconnectReason) {
        let reason = match (reason, self.fatal_error.take()) {
            // the server says why and then closes: the why is the better reason
            (DisconnectReason::ServerClosed | DisconnectReason::Transport { .. }, Some(error)) => {
                DisconnectReason::Server(error)
            }
            (reason, _) => reason,
        };
        self.finish(reason);
    }

    /// What is to be written next, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let outgoing = self.is_open().then(|| self.outgoing.chunks()).into_iter().flatten();
        let handshake = Some(&self.handshake[..]).filter(|bytes| !bytes.is_empty());
        handshake.into_iter().chain(outgoing)
    }

    /// How many bytes the chunks have together.
    #[inline]
    pub fn writable_len(&self) -> usize {
        self.handshake.len() + if self.is_open() { self.outgoing.len() } else { 0 }
    }

    /// Bytes of commands that wait to be written, or for the handshake.
    pub fn buffered_len(&self) -> usize {
        self.outgoing.len()
    }

    /// The transport has taken the first `count` bytes of the chunks.
    pub fn handle_written(&mut self, count: usize) {
        let first = count.min(self.handshake.len());
        self.handshake.drain(..first);
        if count > first {
            self.outgoing.consume(count - first);
        }
        self.report_room();
    }

    // ---- time ---------------------------------------------------------------------------------

    /// Starts the clocks of the requests and fences made since the last call. Call it when what
    /// they wrote is handed to the transport.
    #[inline]
    pub fn handle_turn(&mut self, now: Instant) {
        self.requests.arm(now);
        self.fences.arm(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next. Requests and fences
    /// whose clocks have not been started do not count; see [`needs_turn`](Self::needs_turn).
    pub fn next_deadline(&mut self) -> Option<Instant> {
        [self.connect_deadline, self.drain_deadline, self.next_ping]
            .into_iter()
            .chain([self.requests.next_deadline(), self.fences.next_deadline()])
            .flatten()
            .min()
    }

    /// Whether the driver has something to do without waiting for anybody.
    pub fn needs_turn(&self) -> bool {
        let unpolled = self.is_listening() && self.decoder.has_news();
        let events = !self.events.is_empty() || self.finished.is_some() || self.closing;
        events || unpolled || self.requests.has_unarmed() || self.fences.has_unarmed()
    }

    /// Ends what has taken too long, and sends the keep-alive ping when it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.connect_deadline) {
            return self.finish(DisconnectReason::ConnectTimeout);
        }
        if is_due(self.drain_deadline) {
            return self.finish(DisconnectReason::DrainTimeout);
        }
        while let Some(request) = self.requests.take_due(now) {
            self.waiting.ghosts |= !self.is_open();
            let outcome = Err(RequestError::Timeout);
            self.events.push_back(Event::Reply { context: request.context, outcome });
        }
        while let Some(purpose) = self.fences.take_due(now) {
            self.fail_fence(purpose, FenceError::Timeout);
        }
        if is_due(self.next_ping) {
            self.keep_alive(now);
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        if self.pings_outstanding >= self.config.max_pings_outstanding {
            return self.finish(DisconnectReason::Stale);
        }
        self.pings_outstanding += 1;
        self.next_ping = now.checked_add(self.config.ping_interval);
        self.push_fence(Purpose::KeepAlive);
    }

    // ---- questions ----------------------------------------------------------------------------

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The server's last `INFO`, once it has sent one.
    pub fn server_info(&self) -> Option<&ServerInfo> {
        self.info_seen.then_some(&self.info)
    }

    /// Counts since the session began.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The context of a live subscription.
    #[inline]
    pub fn subscription_mut(&mut self, id: SubscriptionId) -> Option<&mut S> {
        self.subscriptions.get_mut(id).map(|entry| &mut entry.context)
    }

    /// The first token or tokens of inboxes.
    pub fn inbox_prefix(&self) -> &str {
        &self.config.inbox_prefix
    }

    /// Number of live subscriptions, the request inbox not counted.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.slots.len()
    }

    /// Number of requests without an outcome.
    pub fn request_count(&self) -> usize {
        self.requests.len()
    }

    /// Whether what is written goes to the server, and not only into the buffer.
    #[inline]
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Draining)
    }

    /// Whether what the server sends is looked at.
    fn is_listening(&self) -> bool {
        !matches!(self.phase, Phase::Connecting | Phase::Closed)
    }

    /// Tells whoever was refused that the buffer has room again.
    fn report_room(&mut self) {
        if self.refused && self.outgoing.len() <= self.config.low_water {
            self.refused = false;
            self.events.push_back(Event::Writable);
        }
    }

    #[cold]
    fn end_subscription(&mut self, subscription: SubscriptionId, reason: EndReason) {
        if let Some(context) = self.subscriptions.remove(subscription) {
            self.events.push_back(Event::SubscriptionEnded { subscription, context, reason });
        }
    }

    fn end_all_subscriptions(&mut self, reason: EndReason) {
        let all: Vec<_> = self.subscriptions.slots.keys().map(SubscriptionId).collect();
        for id in all {
            self.end_subscription(id, reason);
        }
    }

    fn begin_drain(&mut self) {
        self.phase = Phase::Draining;
        self.drain = Some(DrainStage::Subscriptions);
        for (key, entry) in self.subscriptions.slots.iter() {
            if !entry.draining {
                let sid = SubscriptionId(key).sid();
                encode::unsubscribe(self.outgoing.buffer(), sid, None);
            }
        }
        self.push_fence(Purpose::DrainAll);
    }

    /// Sends the last fence once nothing is pending. Called when there is nothing to report, so
    /// every callback has had its turn.
    #[inline(never)]
    fn advance_drain(&mut self) -> bool {
        let pending = !self.requests.is_empty() || self.fences.is_waited_for();
        if self.drain == Some(DrainStage::Requests) && !pending {
            self.drain = Some(DrainStage::Final);
            self.push_fence(Purpose::Final);
        }
        !self.events.is_empty()
    }

    fn finish_unexpected(&mut self, verb: &'static str) {
        let phase = "the handshake";
        self.finish(DisconnectReason::Protocol(ProtocolError::Unexpected { verb, phase }));
    }

    /// Ends the session: everything that is pending gets its outcome.
    #[cold]
    fn finish(&mut self, reason: DisconnectReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        (self.connect_deadline, self.drain_deadline, self.next_ping) = (None, None, None);
        self.events.push_back(Event::Disconnected(reason));
        let sent = self.outgoing.total_sent();
        for Request { context, position } in self.requests.take_all() {
            let never_sent = position >= sent;
            let error =
                if never_sent { RequestError::NeverSent } else { RequestError::OutcomeUnknown };
            self.events.push_back(Event::Reply { context, outcome: Err(error) });
        }
        while let Some(fence) = self.fences.pop() {
            self.fail_fence(fence.purpose, FenceError::Disconnected);
        }
        self.end_all_subscriptions(EndReason::Closed);
        self.outgoing.clear();
        self.handshake.clear();
        self.refused = false;
        self.closing = true;
    }
}

impl<S, R, F> fmt::Debug for Session<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase)
            .field("server", &self.info.server_name)
            .field("subscriptions", &self.subscriptions.slots.len())
            .field("requests", &self.requests.len())
            .field("buffered", &self.outgoing.len())
            .finish_non_exhaustive()
    }
}

/// 22 characters that stand for the seed, as other clients' ids look.
fn base62(mut seed: u128) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..22)
        .map(|_| {
            let digit = DIGITS[(seed % 62) as usize];
            seed /= 62;
            char::from(digit)
        })
        .collect()
}
