//! Any sequence of commands, of the servers' doings, of time and of cuts in the streams: the
//! session keeps its promises.
//!
//! With a `~` at the beginning, the session outlives its connections; with a `^` after that, it may
//! be upgraded to TLS, and be asked for credentials. Then comes a list of steps, one letter each,
//! with digits for choices ([`World::step`] has the alphabet), so that a corpus can be text. Models
//! of the servers read what the session writes, and answer, deliver and reply late, twice or never.
//! Payloads carry the number of the context they are for, which is how a mix-up of ids is seen, and
//! a serial number, which is how a lost message is seen, or one that comes twice.
//!
//! Once a server has sent raw bytes of the input, it may have forged anything, and only the
//! promises that hold against any peer are checked: one outcome each, output that parses, no
//! panic.

mod checks;
mod commands;
mod deliveries;
mod server;

use super::reader::Reader;
use deliveries::Deliveries;
use evnats_protocol::{
    Authentication, CommandError, DisconnectReason, Message, OutgoingMessage, Phase, Security,
    ServerOp, Session, SessionConfig, SubscriptionId, Which,
};
use server::{Cluster, Server, Tls};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

pub fn run(data: &[u8]) {
    let (resumes, data) = after(data, b'~');
    let (is_secure, data) = after(data, b'^');
    let mut input = Reader::new(data);
    let mut world = World::new(&mut input, resumes, is_secure);
    while !input.is_empty() {
        world.step(&mut input);
    }
    world.end();
}

/// Whether the input begins with a letter, and what follows.
fn after(data: &[u8], letter: u8) -> (bool, &[u8]) {
    data.strip_prefix(&[letter]).map_or((false, data), |data| (true, data))
}

struct World {
    session: Session<u32, u32, u32>,
    /// Where messages are put.
    place: Message,
    /// What the last event was a message for.
    delivered: Option<SubscriptionId>,
    now: Instant,
    max_buffered: usize,
    current: Server,
    /// The server that the session is moving to.
    next: Option<Server>,
    /// How many servers there have been.
    servers: u32,
    cluster: Cluster,
    deliveries: Deliveries,
    tls: Tls,
    /// The session asks for credentials, and gets others for each server.
    asks: bool,
    /// The number of the next context.
    contexts: u32,
    subscriptions: BTreeMap<u32, Subscribed>,
    ids: Vec<SubscriptionId>,
    requests: BTreeSet<u32>,
    fences: BTreeSet<u32>,
    /// Fences of drains that wait for the end of a move, so they pass later than their number suggests.
    delayed: BTreeSet<u32>,
    /// The last fence that was passed: fences are passed in order.
    passed: Option<u32>,
    /// Numbers of published messages that may still be sent.
    published: BTreeSet<u32>,
    /// Refusals for want of room that no `Writable` has answered yet.
    refusals: usize,
    /// A message was refused that an empty buffer would take.
    waits_for_room: bool,
    resumes: bool,
    max_unconnected: usize,
    connected: bool,
    disconnected: bool,
    closed: bool,
    /// Connections and moves after the first connection.
    reconnects: u64,
}

struct Subscribed {
    id: SubscriptionId,
    received: u64,
    max: Option<u64>,
    is_shared: bool,
    drains: bool,
    /// It is drained by the current server, and ends with the connection at the latest.
    drains_here: bool,
    must_end: bool,
    /// Its maximum is known; not if it was changed while messages waited, or if some were dropped,
    /// which count too.
    is_certain: bool,
}

impl World {
    fn new(input: &mut Reader<'_>, resumes: bool, is_secure: bool) -> Self {
        let mut config = SessionConfig::default();
        let mut tls = Tls { security: Security::Plain, is_available: false, is_required: false };
        if is_secure {
            let securities =
                [Security::Upgradable, Security::Demanded, Security::Settled, Security::Plain];
            tls.security = securities[input.below(4)];
            (tls.is_available, tls.is_required) = [(true, true), (true, false)][input.below(2)];
            config.ask_authentication = input.flag();
        }
        config.max_buffered = [1 << 20, 120, 0, 400][input.below(4)];
        config.low_water = [1 << 18, 50, 0][input.below(3)];
        config.ping_interval = [Duration::ZERO, SECOND, 9 * SECOND, Duration::MAX][input.below(4)];
        let max_buffered = config.max_buffered;
        config.resume = resumes;
        if resumes {
            config.max_unconnected = [1 << 20, 200, 0][input.below(3)];
            config.keep_requests = input.flag();
        }
        let max_unconnected = config.max_unconnected.min(max_buffered);
        let asks = config.ask_authentication;
        Self {
            session: Session::new(config, || 0x1234_5678_9abc_def0),
            place: Message::default(),
            delivered: None,
            now: Instant::now(),
            max_buffered,
            current: Server::new(0, tls),
            next: None,
            servers: 1,
            cluster: Cluster::default(),
            deliveries: Deliveries::default(),
            tls,
            asks,
            contexts: 0,
            subscriptions: BTreeMap::new(),
            ids: Vec::new(),
            requests: BTreeSet::new(),
            fences: BTreeSet::new(),
            delayed: BTreeSet::new(),
            passed: None,
            published: BTreeSet::new(),
            refusals: 0,
            waits_for_room: false,
            resumes,
            max_unconnected,
            connected: false,
            disconnected: false,
            closed: false,
            reconnects: 0,
        }
    }

    fn step(&mut self, input: &mut Reader<'_>) {
        let before = self.session.phase();
        // every byte is some step: `A` and `!` are the same as `a`
        match char::from(input.byte() & 31 | 0x60) {
            // time and the transport
            'a' => self.advance(input),
            'b' => self.receive(Which::Current, 1 << input.below(10)),
            'c' => self.session.handle_connecting(self.now),
            'e' => _ = self.poll(),
            'l' => self.lose_connection(),
            't' => self.session.handle_turn(self.now),
            'w' => self.write(Which::Current, 1 << input.below(10)),
            'y' => self.exchange(),
            // commands
            'd' => self.session.drain(self.now),
            'f' => self.flush(input),
            'g' => self.drain_subscription(input),
            'p' => self.publish(input),
            'r' => self.request(input),
            's' => self.subscribe(input),
            'u' => self.unsubscribe(input),
            'v' => self.unsubscribe_after(input),
            'z' => self.session.close(),
            '{' => _ = self.id(input).map(|id| self.session.pause(id)),
            '}' => _ = self.id(input).map(|id| self.session.resume(id)),
            // the server
            'h' => self.hello(input),
            'i' => self.info(Which::Current, input),
            'j' => self.reply(Which::Current, input),
            'k' => self.mapped_reply(),
            'm' => self.deliver(Which::Current, input),
            'n' => self.no_responders(input),
            'o' => self.current.pong(),
            'q' => self.current.outbox.extend_from_slice(b"PING\r\n+OK\r\n"),
            'x' => self.raw(Which::Current, input),
            '`' => self.handshake(Which::Current),
            '~' => self.set_pending_limits(input),
            '|' => self.step_of_move(input),
            _ => {}
        }
        if before != Phase::Connecting && self.session.phase() == Phase::Connecting {
            self.current = self.new_server();
        }
        for which in [Which::Current, Which::Next] {
            let leg = self.session.leg(which);
            let chunks: usize = leg.chunks().map(<[u8]>::len).sum();
            assert_eq!(chunks, leg.writable_len());
            if let Some(chunk) = leg.only_chunk() {
                assert!(leg.chunks().flatten().eq(chunk), "the same bytes by either way");
            }
        }
        if !self.session.may_have_events() {
            let event = self.session.poll_event(&mut Message::default());
            assert!(event.is_none(), "a driver may not have polled for it");
        }
        assert!(self.session.request_count() <= self.requests.len());
        assert!(self.session.subscription_count() <= self.subscriptions.len());
    }

    /// The same letters as above, for the server that the session moves to.
    fn step_of_move(&mut self, input: &mut Reader<'_>) {
        match char::from(input.byte() & 31 | 0x60) {
            'b' => self.receive(Which::Next, 1 << input.below(10)),
            'c' => self.begin_move(),
            'd' => self.deliver_by_both(input),
            'h' => {
                self.session.leg(Which::Next).handle_connected(self.tls.security);
                self.info(Which::Next, input);
            }
            'i' => self.info(Which::Next, input),
            'j' => self.reply(Which::Next, input),
            'l' => {
                while self.poll() {}
                self.session.leg(Which::Next).handle_disconnected(DisconnectReason::ServerClosed);
            }
            'm' => self.deliver(Which::Next, input),
            'o' => self.with_next(Server::pong),
            'q' => self.with_next(|next| next.outbox.extend_from_slice(b"PING\r\n+OK\r\n")),
            'w' => self.write(Which::Next, 1 << input.below(10)),
            'x' => self.raw(Which::Next, input),
            '`' => self.handshake(Which::Next),
            _ => {}
        }
    }

    // ---- the transport ------------------------------------------------------------------------

    fn new_server(&mut self) -> Server {
        self.servers += 1;
        Server::new(self.servers, self.tls)
    }

    fn server(&mut self, which: Which) -> Option<&mut Server> {
        match which {
            Which::Current => Some(&mut self.current),
            Which::Next => self.next.as_mut(),
        }
    }

    fn with_next(&mut self, change: impl FnOnce(&mut Server)) {
        if let Some(next) = &mut self.next {
            change(next);
        }
    }

    /// A few bytes of what the session has to write reach the server.
    fn write(&mut self, which: Which, count: usize) {
        let mut leg = self.session.leg(which);
        let server = match which {
            Which::Current => &mut self.current,
            Which::Next => match &mut self.next {
                Some(next) => next,
                None => return assert_eq!(leg.writable_len(), 0, "for nobody"),
            },
        };
        let mut left = count;
        for chunk in leg.chunks() {
            let part = &chunk[..chunk.len().min(left)];
            server.decoder.feed(part);
            left -= part.len();
        }
        leg.handle_written(count - left);
        server.read(&mut self.cluster);
        if leg.phase() == Phase::Ready && leg.writable_len() == 0 {
            assert_eq!(server.decoder.pending(), 0, "half an operation was written");
        }
        self.check_live();
    }

    /// If everything has been written, the server knows of everything. While the session moves, it
    /// may have left the one server, and not have come to the other.
    fn check_live(&mut self) {
        let is_ready = self.session.phase() == Phase::Ready && !self.session.is_moving();
        if !is_ready || self.session.leg(Which::Current).writable_len() > 0 {
            return;
        }
        let knows_inbox = self.current.live.contains(&1);
        assert!(knows_inbox || self.session.request_count() == 0, "replies go nowhere");
        // one with a maximum may have all its messages, held while it is paused
        let is_known = |entry: &Subscribed| {
            let may_be_over = entry.drains || entry.max.is_some();
            may_be_over || self.current.live.contains(&entry.id.sid())
        };
        assert!(self.subscriptions.values().all(is_known), "the server does not know it");
    }

    fn lose_connection(&mut self) {
        while self.poll() {}
        self.session.leg(Which::Current).handle_disconnected(DisconnectReason::ServerClosed);
    }

    /// A few bytes of what the server has sent reach the session.
    fn receive(&mut self, which: Which, count: usize) {
        let server = match which {
            Which::Current => &mut self.current,
            Which::Next => match &mut self.next {
                Some(next) => next,
                None => return,
            },
        };
        let bytes = server.take(count, &mut self.deliveries, self.now);
        self.session.leg(which).handle_bytes(&bytes, self.now);
    }

    /// Does what the session asks of its driver: TLS, or credentials.
    fn handshake(&mut self, which: Which) {
        let phase = self.session.leg(which).phase();
        if phase == Phase::AwaitingTls {
            self.server(which).expect("a server that wants TLS").is_secured = true;
            self.session.leg(which).handle_secured();
        } else if phase == Phase::AwaitingAuthentication {
            assert!(self.asks, "nobody has asked");
            let authentication = Authentication::new().user(format!("user {}", self.context()));
            self.server(which).expect("a server to introduce oneself to").user =
                authentication.user.clone();
            self.session.leg(which).authenticate(authentication);
        }
    }

    /// Everything arrives on all sides, and is dealt with.
    fn exchange(&mut self) {
        loop {
            self.session.handle_turn(self.now);
            for which in [Which::Current, Which::Next] {
                self.receive(which, usize::MAX);
                while self.poll() {}
                // TLS, and then credentials
                self.handshake(which);
                self.handshake(which);
                while self.poll() {}
            }
            let is_written = |world: &mut Self, which| world.session.leg(which).writable_len() == 0;
            if is_written(self, Which::Current) && is_written(self, Which::Next) {
                return self.check_live();
            }
            self.write(Which::Current, usize::MAX);
            self.write(Which::Next, usize::MAX);
        }
    }

    fn advance(&mut self, input: &mut Reader<'_>) {
        let next = self.session.next_deadline();
        self.now += [SECOND / 10, SECOND, 5 * SECOND, 40 * SECOND][input.below(4)];
        assert_eq!(self.session.next_deadline(), next, "time alone moves no deadline");
        self.deliveries.advance(self.now, self.next.as_ref().map(|next| next.id));
        self.session.handle_timeout(self.now);
        let next = self.session.next_deadline();
        assert!(next.is_none_or(|next| next > self.now), "what was due has been done");
    }

    // ---- the server ---------------------------------------------------------------------------

    fn hello(&mut self, input: &mut Reader<'_>) {
        if self.session.phase() == Phase::Connecting {
            // nothing is left of the connection before
            self.current = self.new_server();
        }
        self.session.handle_connecting(self.now);
        self.session.leg(Which::Current).handle_connected(self.tls.security);
        self.info(Which::Current, input);
    }

    fn info(&mut self, which: Which, input: &mut Reader<'_>) {
        let limits = [(1 << 20, true), (100, true), (10, true), (1 << 20, false)];
        let choice = input.byte();
        let choice = usize::from(if choice.is_ascii_digit() { choice - b'0' } else { choice });
        let (max_payload, headers) = limits[choice % 4];
        if let Some(server) = self.server(which) {
            server.info(max_payload, headers, choice / 4 % 2 == 1);
        }
    }

    /// By one server alone, whether it knows of the subscription or not.
    fn deliver(&mut self, which: Which, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let message = self.message_for(id);
        if let (Some(server), (message, serial)) = (self.server(which), message) {
            server.send(message, serial);
        }
    }

    /// By every server that knows of the subscription, as a cluster does; to the members of a queue
    /// group by one of them.
    fn deliver_by_both(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let context = self.cluster.sids[&id.sid()];
        let is_shared = self.subscriptions.get(&context).is_some_and(|entry| entry.is_shared);
        let (message, serial) = self.message_for(id);
        let servers = [Some(&mut self.current), self.next.as_mut()];
        let knows = servers.into_iter().flatten().filter(|server| server.live.contains(&id.sid()));
        let receivers = if is_shared { 1 } else { 2 };
        knows.take(receivers).for_each(|server| server.send(message.clone(), serial));
    }

    fn message_for(&mut self, id: SubscriptionId) -> (Message, u32) {
        let context = self.cluster.sids[&id.sid()];
        let is_shared = self.subscriptions.get(&context).is_some_and(|entry| entry.is_shared);
        let serial = self.deliveries.add(context, is_shared);
        let payload = format!("#{context} {serial}");
        (Message::new("any", id.sid(), None, None, payload.as_bytes()), serial)
    }

    /// To any request that the server has seen, answered or not.
    fn reply(&mut self, which: Which, input: &mut Reader<'_>) {
        let index = input.below(self.cluster.inboxes.len().max(1));
        let Some((inbox, context)) = self.cluster.inboxes.get(index) else { return };
        let subject = String::from_utf8_lossy(inbox);
        let payload = format!("#{context} ").into_bytes();
        let message = Message::new(&subject, 1, None, None, &payload);
        if let Some(server) = self.server(which) {
            ServerOp::Message(message).encode(&mut server.outbox);
        }
    }

    fn no_responders(&mut self, input: &mut Reader<'_>) {
        let index = input.below(self.cluster.inboxes.len().max(1));
        let Some((inbox, _)) = self.cluster.inboxes.get(index) else { return };
        let subject = String::from_utf8_lossy(inbox);
        let message = Message::new(&subject, 1, None, Some(b"NATS/1.0 503\r\n\r\n"), b"");
        ServerOp::Message(message).encode(&mut self.current.outbox);
    }

    /// A reply on a subject that does not tell whose it is.
    fn mapped_reply(&mut self) {
        if !self.cluster.inboxes.is_empty() {
            self.current.outbox.extend_from_slice(b"MSG mapped 1 6\r\nmapped\r\n");
        }
    }

    fn raw(&mut self, which: Which, input: &mut Reader<'_>) {
        let bytes = input.bytes(60);
        let Some(server) = self.server(which) else { return };
        server.outbox.extend_from_slice(bytes);
        self.cluster.raw = true;
    }

    fn is_over(&self) -> bool {
        self.session.phase() == Phase::Closed
    }

    /// At the end everything that is pending has its outcome, and so has what is asked later.
    fn end(mut self) {
        self.session.close();
        while self.poll() {}
        assert!(self.closed);
        self.request(&mut Reader::new(b""));
        self.flush(&mut Reader::new(b""));
        assert_eq!(self.session.publish(OutgoingMessage::new("a", "")), Err(CommandError::Closed));
        while self.poll() {}
        assert!(self.subscriptions.is_empty(), "subscriptions without an end");
        assert!(self.requests.is_empty(), "requests without an outcome");
        assert!(self.fences.is_empty(), "fences without an outcome");
        assert_eq!(
            (self.session.next_deadline(), self.session.leg(Which::Current).writable_len()),
            (None, 0)
        );
        assert!(!self.session.needs_turn());
        assert!(!self.session.is_moving());
        assert_eq!(self.session.statistics().reconnects, self.reconnects);
    }
}

/// The number at the start of a payload.
fn number(payload: &[u8]) -> Option<u32> {
    let digits = payload.strip_prefix(b"#")?.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
