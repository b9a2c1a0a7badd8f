//! The session: one connection's protocol as a state machine, without socket and clock.
//!
//! A driver feeds it what happened (`handle_*`), gives it commands, and takes what is to be done
//! (`poll_event`, `chunks`). Three invariants hold whatever the peer and the driver do: every
//! context comes back exactly once, `PONG`s are matched to `PING`s in order, and nothing of what
//! the user sent is written before the handshake is done.
//!
//! A session can outlive its connection ([`SessionConfig::resume`]): the driver makes another one,
//! and the session restores on it what the server has to know. Which server that is, and when, is
//! not its business; see [`ServerPool`](crate::ServerPool).

pub(crate) mod command_error;
mod commands;
pub(crate) mod event;
mod incoming;
mod moving;
mod pause;
mod peer;
mod recheck;
mod resume;

pub use moving::NextServer;

use self::event::{EndReason, Event, FlushError, RequestError, Statistics};
use crate::disconnect::DisconnectReason;
use crate::tables::fences::{Fences, Purpose};
use crate::tables::outgoing::Outgoing;
use crate::tables::requests::{Request, Requests};
use crate::tables::subscriptions::{SubscriptionId, Subscriptions};
use crate::wire::decode::Limits;
use crate::wire::encode;
use crate::wire::headers::HeaderMap;
use crate::wire::info::{Authentication, ConnectInfo, ServerInfo};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use moving::{DelayedDrain, Move, Overlap};
use peer::{Peer, Stage};
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
    /// Most bytes that wait for a connection; commands beyond are refused, and with zero all that
    /// send something. Default: 8 MiB.
    pub max_unconnected: usize,
    /// Whether the session outlives its connection and waits for another one. Default: false.
    pub resume: bool,
    /// Whether requests that were sent on a connection that is lost wait for their replies, which
    /// may come on the next one, until their time is up. Default: false, they fail at once.
    pub keep_requests: bool,
    /// Whether the driver says who the client is, by [`Session::authenticate`], when it knows what
    /// the server wants to be signed. Default: false, `connect` says it.
    pub ask_authentication: bool,
    /// Longest control line to send, the `CONNECT` included. Default: 4096 bytes, the default of
    /// servers, which close the connection on longer ones.
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
            max_unconnected: 8 << 20,
            resume: false,
            keep_requests: false,
            ask_authentication: false,
            max_control_line: 4096,
            limits: Limits::default(),
        }
    }
}

/// A message to send: `OutgoingMessage::new("greet", "hello").headers(&headers)`.
#[derive(Debug, Clone)]
pub struct OutgoingMessage<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    headers: Option<&'a HeaderMap>,
    payload: Payload<'a>,
    allow_wildcards: bool,
}

impl<'a> OutgoingMessage<'a> {
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

/// What may become of a transport that has just been opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// It stays without TLS. A server that requires TLS is refused.
    Plain,
    /// The driver can upgrade it to TLS, if the server requires that.
    Upgradable,
    /// It has to be upgraded to TLS. A server without TLS is refused.
    Demanded,
    /// There is nothing to decide: it is TLS already, or something that is no business of the
    /// server's.
    Settled,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// There is no transport: none yet, or none any more.
    Connecting,
    /// The server has not introduced itself.
    AwaitingInfo,
    /// The driver is to upgrade the transport to TLS, and then to call
    /// [`handle_secured`](Session::handle_secured).
    AwaitingTls,
    /// The driver is to call [`authenticate`](Session::authenticate).
    AwaitingAuthentication,
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
    peer: Peer,
    /// The session is over.
    over: bool,
    /// It has been connected before.
    connected_before: bool,
    drain: Option<DrainStage>,
    outgoing: Outgoing,
    /// A command was refused because the buffer was full.
    refused: bool,
    waiting: Waiting,
    subscriptions: Subscriptions<S>,
    requests: Requests<R>,
    /// `<prefix>.<id>.`: what every reply's subject begins with.
    inbox: String,
    mux: Mux,
    fences: Fences<F>,
    events: VecDeque<Event<S, R, F>>,
    /// The session is over and `Event::Closed` is still to come, behind everything else.
    closing: Option<DisconnectReason>,
    drain_deadline: Option<Instant>,
    /// The server that the session is moving to.
    moving: Option<Box<Move>>,
    overlap: Option<Box<Overlap>>,
    /// Drains of subscriptions that wait for the end of a move.
    delayed_drains: Vec<DelayedDrain<F>>,
    /// Messages that the server had sent before it took the place of another one.
    backlog: VecDeque<Message>,
    /// Subscriptions that were resumed and still hold messages.
    resumed: VecDeque<SubscriptionId>,
    /// A subscription whose last message has just been reported.
    finished: Option<SubscriptionId>,
    statistics: Statistics,
}

/// The one subscription for all replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mux {
    /// No request has been made.
    Unused,
    /// Its `SUB` is in the outgoing stream.
    Subscribed,
    /// The connection that its `SUB` was for is lost.
    ToRestore,
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
            peer: Peer::new(&config),
            over: false,
            connected_before: false,
            drain: None,
            outgoing: Outgoing::default(),
            refused: false,
            waiting: Waiting::default(),
            subscriptions: Subscriptions::default(),
            requests: Requests::default(),
            inbox: format!("{}.{}.", config.inbox_prefix, base62(seed)),
            mux: Mux::Unused,
            fences: Fences::default(),
            events: VecDeque::new(),
            closing: None,
            drain_deadline: None,
            moving: None,
            overlap: None,
            delayed_drains: Vec::new(),
            backlog: VecDeque::new(),
            resumed: VecDeque::new(),
            finished: None,
            statistics: Statistics::default(),
            config,
        }
    }

    // ---- the transport ------------------------------------------------------------------------

    /// The driver begins an attempt to connect: the connect timeout runs from now. Every attempt
    /// begins so, and ends with [`Event::Connected`], [`Event::Reconnected`] or
    /// [`Event::ConnectFailed`].
    pub fn handle_connecting(&mut self, now: Instant) {
        if !self.over {
            self.peer.handle_connecting(self.config.connect_timeout, now);
        }
    }

    /// The transport is open. Room for what it delivers is in [`read_room`](Self::read_room).
    pub fn handle_connected(&mut self, security: Security) {
        if !self.over {
            self.peer.handle_connected(security);
        }
    }

    /// The transport has been upgraded to TLS, as [`Phase::AwaitingTls`] asked for.
    pub fn handle_secured(&mut self) {
        if let Err(reason) = self.peer.handle_secured(&self.config) {
            self.lose_connection(reason);
        }
    }

    /// Says who the client is, as [`Phase::AwaitingAuthentication`] asked for.
    pub fn authenticate(&mut self, authentication: Authentication) {
        if let Err(reason) = self.peer.authenticate(authentication, &self.config) {
            self.lose_connection(reason);
        }
    }

    /// Room to read into, at least 16 KiB.
    pub fn read_room(&mut self) -> &mut [u8] {
        self.peer.decoder.room()
    }

    /// The transport has put `count` bytes into the room.
    pub fn handle_read(&mut self, count: usize, now: Instant) {
        self.peer.last_read = Some(now);
        self.peer.decoder.filled(count);
    }

    /// The transport delivered bytes that lie elsewhere.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.peer.last_read = Some(now);
        self.peer.decoder.feed(bytes);
    }

    /// The transport is gone, or could not be had. Call it when all that was read before has been
    /// polled.
    pub fn handle_disconnected(&mut self, reason: DisconnectReason) {
        let reason = match (reason, self.peer.last_error.take()) {
            // the server says why and then closes: the why is the better reason
            (DisconnectReason::ServerClosed | DisconnectReason::Transport { .. }, Some(error)) => {
                DisconnectReason::Server(error)
            }
            (reason, _) => reason,
        };
        self.lose_connection(reason);
    }

    /// What is to be written next, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let outgoing = self.is_open().then(|| self.outgoing.writable_chunks());
        let outgoing = outgoing.into_iter().flatten();
        let first = Some(&self.peer.first[..]).filter(|bytes| !bytes.is_empty());
        first.into_iter().chain(outgoing)
    }

    /// How many bytes the chunks have together.
    #[inline]
    pub fn writable_len(&self) -> usize {
        self.peer.first.len() + if self.is_open() { self.outgoing.writable_len() } else { 0 }
    }

    /// Bytes of commands that wait to be written, or for the handshake.
    #[inline]
    pub fn buffered_len(&self) -> usize {
        self.outgoing.len()
    }

    /// The transport has taken the first `count` bytes of the chunks.
    pub fn handle_written(&mut self, count: usize) {
        let first = count.min(self.peer.first.len());
        if first > 0 {
            self.peer.consume_first(first);
        }
        if count > first && self.is_open() {
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
        [self.peer.connect_deadline, self.drain_deadline, self.peer.next_ping]
            .into_iter()
            .chain([self.requests.next_deadline(), self.fences.next_deadline()])
            .chain([self.move_deadline()])
            .flatten()
            .min()
    }

    /// Whether the driver has something to do without waiting for anybody.
    pub fn needs_turn(&self) -> bool {
        let unpolled = self.is_listening() && self.peer.decoder.has_news();
        let events = !self.events.is_empty()
            || !self.resumed.is_empty()
            || !self.backlog.is_empty()
            || self.has_news_of_move()
            || self.finished.is_some()
            || self.closing.is_some();
        events || unpolled || self.requests.has_unarmed() || self.fences.has_unarmed()
    }

    /// Ends what has taken too long, and sends the keep-alive ping when it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.drain_deadline) {
            return self.finish(DisconnectReason::DrainTimeout);
        }
        while let Some(request) = self.requests.take_due(now) {
            self.time_out(request);
        }
        while let Some(purpose) = self.fences.take_due(now) {
            self.fail_fence(purpose, FlushError::Timeout);
        }
        self.handle_move_timeout(now);
        if is_due(self.peer.connect_deadline) {
            self.lose_connection(DisconnectReason::ConnectTimeout);
        } else if is_due(self.peer.next_ping) {
            self.keep_alive(now);
        }
    }

    fn time_out(&mut self, request: Request<R>) {
        let is_unsent = !request.was_sent(self.outgoing.total_sent());
        // without a connection, what waits is looked at again before it is sent
        let is_ghost = is_unsent && !self.is_open();
        self.waiting.ghosts |= is_ghost;
        let error = if is_ghost { RequestError::NeverSent } else { RequestError::Timeout };
        self.fail_request(request.context, error);
    }

    fn keep_alive(&mut self, now: Instant) {
        if self.peer.pings_outstanding >= self.config.max_pings_outstanding {
            if self.peer.decoder.has_news() {
                // the answer may be in what has been read and not been polled
                let moment = self.config.ping_interval.min(Duration::from_secs(1));
                self.peer.next_ping = now.checked_add(moment);
                return;
            }
            return self.lose_connection(DisconnectReason::Stale);
        }
        self.peer.pings_outstanding += 1;
        self.peer.next_ping = now.checked_add(self.config.ping_interval);
        self.push_fence(Purpose::KeepAlive);
    }

    // ---- questions ----------------------------------------------------------------------------

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        match self.peer.stage {
            _ if self.over => Phase::Closed,
            Stage::Idle | Stage::Connecting => Phase::Connecting,
            Stage::AwaitingInfo => Phase::AwaitingInfo,
            Stage::AwaitingTls => Phase::AwaitingTls,
            Stage::AwaitingAuthentication => Phase::AwaitingAuthentication,
            Stage::AwaitingPong => Phase::AwaitingPong,
            Stage::Open if self.drain.is_some() => Phase::Draining,
            Stage::Open => Phase::Ready,
        }
    }

    /// The last `INFO` of the server that the session is connected or connecting to, once it has
    /// sent one.
    pub fn server_info(&self) -> Option<&ServerInfo> {
        self.peer.info_seen.then_some(&self.peer.info)
    }

    /// Whether the session has ever been connected.
    pub fn was_connected(&self) -> bool {
        self.connected_before
    }

    /// Whether the session is to end when everything pending is complete.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
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

    /// The contexts of all live subscriptions.
    pub fn subscriptions(&self) -> impl Iterator<Item = &S> {
        self.subscriptions.iter().map(|(_, entry)| &entry.context)
    }

    /// The first token or tokens of inboxes.
    pub fn inbox_prefix(&self) -> &str {
        &self.config.inbox_prefix
    }

    /// Number of live subscriptions, the request inbox not counted.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// Number of requests without an outcome.
    pub fn request_count(&self) -> usize {
        self.requests.len()
    }

    /// Whether what is written goes to the server, and not only into the buffer.
    #[inline]
    fn is_open(&self) -> bool {
        self.peer.stage == Stage::Open
    }

    /// Whether what the server sends is looked at.
    fn is_listening(&self) -> bool {
        self.peer.is_listening()
    }

    /// Tells whoever was refused that the buffer has room again.
    fn report_room(&mut self) {
        if self.refused && self.is_open() && self.outgoing.len() <= self.config.low_water {
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
        let all: Vec<_> = self.subscriptions.ids().collect();
        for id in all {
            self.end_subscription(id, reason);
        }
    }

    fn begin_drain(&mut self) {
        self.drain = Some(DrainStage::Subscriptions);
        self.stop_move();
        self.resume_all();
        for (id, entry) in self.subscriptions.iter() {
            if !entry.draining {
                let sid = id.sid();
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

    /// Ends the session: everything that is pending gets its outcome.
    #[cold]
    fn finish(&mut self, reason: DisconnectReason) {
        if self.over {
            return;
        }
        let stood = self.is_open();
        self.forget_move();
        self.abandon_delayed_drains();
        self.over = true;
        self.peer = Peer::new(&self.config);
        self.drain_deadline = None;
        if stood {
            self.events.push_back(Event::Disconnected(reason.clone()));
        }
        self.report_unsent();
        let sent = self.outgoing.total_sent();
        for request in self.requests.take_all() {
            let error = match request.was_sent(sent) {
                true => RequestError::OutcomeUnknown,
                false => RequestError::NeverSent,
            };
            self.fail_request(request.context, error);
        }
        self.fail_all_fences();
        self.end_all_subscriptions(EndReason::Closed);
        self.outgoing.clear();
        self.refused = false;
        self.closing = Some(reason);
    }
}

impl<S, R, F> fmt::Debug for Session<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase())
            .field("server", &self.peer.info.server_name)
            .field("subscriptions", &self.subscriptions.len())
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
