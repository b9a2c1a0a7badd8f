//! Any sequence of commands, of the server's doings, of time and of cuts in the stream: the
//! session keeps its promises.
//!
//! With a `~` at the beginning, the session outlives its connections. Then comes a list of steps, one letter each, with digits for choices ([`World::step`] has
//! the alphabet), so that a corpus can be text. A model of a server reads what the session
//! writes, and answers, delivers and replies late, twice or never. Payloads carry the number of
//! the context they are for, which is how a mix-up of ids is seen.
//!
//! Once the server has sent raw bytes of the input, it may have forged anything, and only the
//! promises that hold against any peer are checked: one outcome each, output that parses, no
//! panic.

use super::reader::Reader;
use evnats_protocol::{
    ClientOp, CommandError, Decoder, DisconnectReason, EndReason, Event, FlushError, HeaderMap,
    Message, OutgoingMessage, Phase, RequestError, Security, ServerOp, Session, SessionConfig,
    SubscriptionId, Which,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

pub fn run(data: &[u8]) {
    let (resumes, data) = match data.strip_prefix(b"~") {
        Some(data) => (true, data),
        None => (false, data),
    };
    let mut input = Reader::new(data);
    let mut world = World::new(&mut input, resumes);
    while !input.is_empty() {
        world.step(&mut input);
    }
    world.end();
}

struct World {
    session: Session<u32, u32, u32>,
    now: Instant,
    max_buffered: usize,
    server: Server,
    /// The number of the next context.
    next: u32,
    subscriptions: BTreeMap<u32, Subscribed>,
    ids: Vec<SubscriptionId>,
    requests: BTreeSet<u32>,
    fences: BTreeSet<u32>,
    /// The last fence that was passed: fences are passed in order.
    passed: Option<u32>,
    /// Numbers of published messages that may still be sent.
    published: BTreeSet<u32>,
    /// Numbers of messages and requests that the server must never see.
    unseen: BTreeSet<u32>,
    /// Refusals for want of room that no `Writable` has answered yet.
    refusals: usize,
    /// A message was refused that an empty buffer would take.
    waits_for_room: bool,
    resumes: bool,
    max_unconnected: usize,
    connected: bool,
    disconnected: bool,
    closed: bool,
}

struct Subscribed {
    id: SubscriptionId,
    received: u64,
    max: Option<u64>,
    drains: bool,
    /// Its maximum is known; not if it was changed while messages waited.
    is_certain: bool,
}

/// The other side. It keeps what a real server would know.
struct Server {
    decoder: Decoder<ClientOp>,
    /// Bytes on their way to the session.
    outbox: Vec<u8>,
    /// Pings that it has read and not answered.
    pings: usize,
    has_ponged: bool,
    /// Context by sid, for every sid there ever was.
    sids: HashMap<u64, u32>,
    /// The subscriptions of this connection.
    live: BTreeSet<u64>,
    inboxes: Vec<(Vec<u8>, u32)>,
    seen: BTreeSet<u32>,
    max_payload: usize,
    headers: bool,
    sent_info: bool,
    /// It has sent bytes that it did not choose.
    raw: bool,
}

impl World {
    fn new(input: &mut Reader<'_>, resumes: bool) -> Self {
        let mut config = SessionConfig::default();
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
        Self {
            session: Session::new(config, 0),
            now: Instant::now(),
            max_buffered,
            server: Server {
                decoder: Decoder::default(),
                outbox: Vec::new(),
                pings: 0,
                has_ponged: false,
                sids: HashMap::new(),
                live: BTreeSet::new(),
                inboxes: Vec::new(),
                seen: BTreeSet::new(),
                max_payload: usize::MAX,
                headers: true,
                sent_info: false,
                raw: false,
            },
            next: 0,
            subscriptions: BTreeMap::new(),
            ids: Vec::new(),
            requests: BTreeSet::new(),
            fences: BTreeSet::new(),
            passed: None,
            published: BTreeSet::new(),
            unseen: BTreeSet::new(),
            refusals: 0,
            waits_for_room: false,
            resumes,
            max_unconnected,
            connected: false,
            disconnected: false,
            closed: false,
        }
    }

    fn step(&mut self, input: &mut Reader<'_>) {
        let before = self.session.phase();
        // every byte is some step: `A` and `!` are the same as `a`
        match char::from(input.byte() & 31 | 0x60) {
            // time and the transport
            'a' => self.advance(input),
            'b' => self.receive(1 << input.below(10)),
            'c' => self.session.handle_connecting(self.now),
            'e' => _ = self.poll(),
            'l' => self.lose_connection(),
            't' => self.session.handle_turn(self.now),
            'w' => self.write(1 << input.below(10)),
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
            'i' => self.info(input),
            'j' => self.reply(input),
            'k' => self.mapped_reply(),
            'm' => self.deliver(input),
            'n' => self.no_responders(input),
            'o' => self.server.pong(),
            'q' => self.server.outbox.extend_from_slice(b"PING\r\n+OK\r\n"),
            'x' => self.raw(input),
            _ => {}
        }
        if before != Phase::Connecting && self.session.phase() == Phase::Connecting {
            self.replace_server();
        }
        let chunks: usize = self.session.leg(Which::Current).chunks().map(<[u8]>::len).sum();
        assert_eq!(chunks, self.session.leg(Which::Current).writable_len());
        assert!(self.session.request_count() <= self.requests.len());
        assert!(self.session.subscription_count() <= self.subscriptions.len());
    }

    // ---- commands -----------------------------------------------------------------------------

    fn context(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn subscribe(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        let subject = ["a", "a.*", ">", "a b", ""][input.below(5)];
        match self.session.subscribe(subject, input.flag().then_some("q"), context) {
            Ok(id) => {
                let subscribed =
                    Subscribed { id, received: 0, max: None, drains: false, is_certain: true };
                assert!(self.subscriptions.insert(context, subscribed).is_none());
                assert!(!self.ids.contains(&id), "an id was given twice");
                assert_eq!(self.session.subscription_mut(id), Some(&mut context.clone()));
                self.ids.push(id);
                self.server.sids.insert(id.sid(), context);
            }
            Err((error, returned)) => {
                assert_eq!(returned, context);
                self.count_refusal(&error);
            }
        }
    }

    /// Any id, dead or alive.
    fn id(&self, input: &mut Reader<'_>) -> Option<SubscriptionId> {
        let index = input.below(self.ids.len().max(1));
        self.ids.get(index).copied()
    }

    fn context_of(&self, id: SubscriptionId) -> Option<u32> {
        self.subscriptions.iter().find(|(_, entry)| entry.id == id).map(|(context, _)| *context)
    }

    fn unsubscribe(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        match self.session.unsubscribe(id) {
            Ok(context) => assert_eq!(self.subscriptions.remove(&context).unwrap().id, id),
            Err(error) => assert_eq!(error, CommandError::UnknownSubscription),
        }
    }

    fn unsubscribe_after(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let max = input.below(4) as u64;
        let waits = self.session.pending(id).is_some_and(|pending| pending.messages > 0);
        if self.session.unsubscribe_after(id, max).is_ok() {
            let context = self.context_of(id).expect("the session knows it");
            let entry = self.subscriptions.get_mut(&context).unwrap();
            entry.is_certain &= !waits;
            // what has received its last message is over, whatever is asked then
            if entry.max != Some(entry.received) {
                entry.max = Some(max.max(entry.received));
            }
        }
    }

    fn drain_subscription(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let context = self.context();
        self.fences.insert(context);
        if let Some(context) = self.context_of(id) {
            self.subscriptions.get_mut(&context).unwrap().drains = true;
        }
        self.session.drain_subscription(id, input.below(4) as u32 * SECOND, context);
    }

    fn flush(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        self.fences.insert(context);
        let timeout = [SECOND, 3 * SECOND, Duration::MAX, Duration::ZERO][input.below(4)];
        self.session.flush(timeout, context);
    }

    /// The payload begins with the context's number.
    fn payload(&self, context: u32, input: &mut Reader<'_>) -> Vec<u8> {
        let mut payload = format!("#{context} ").into_bytes();
        let padding = [0, 50, 200, 70_000][input.below(4)];
        payload.resize(payload.len() + padding, b'x');
        payload
    }

    fn publish(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        let payload = self.payload(context, input);
        let headers = HeaderMap::new().with("A", "1");
        let subject = format!("p.{context}");
        let mut message = OutgoingMessage::new(&subject, payload);
        if input.flag() {
            message = message.headers(&headers);
        }
        match self.session.publish(message) {
            Ok(()) => {
                self.published.insert(context);
            }
            Err(error) => {
                self.unseen.insert(context);
                self.check_full(context, error);
            }
        }
    }

    fn request(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        let payload = self.payload(context, input);
        let timeouts = [SECOND, 3 * SECOND, Duration::MAX, Duration::ZERO];
        // one choice more: a request that cannot be made
        let timeout = timeouts.get(input.below(5)).copied();
        let subject = if timeout.is_some() { "service" } else { "bad subject" };
        let timeout = timeout.unwrap_or(SECOND);
        self.requests.insert(context);
        self.session.request(OutgoingMessage::new(subject, payload), timeout, context);
    }

    fn check_full(&mut self, context: u32, error: CommandError) {
        self.count_refusal(&error);
        if let CommandError::BufferFull { payload, limit } = error {
            assert_eq!(number(&payload), Some(context));
            assert!([self.max_buffered, self.max_unconnected].contains(&limit));
            self.waits_for_room |= payload.len() <= limit;
        }
    }

    fn count_refusal(&mut self, error: &CommandError) {
        let is_refusal =
            matches!(error, CommandError::BufferFull { .. } | CommandError::NotConnected { .. });
        self.refusals += usize::from(is_refusal);
    }

    // ---- the transport ------------------------------------------------------------------------

    /// A few bytes of what the session has to write reach the server.
    fn write(&mut self, count: usize) {
        let mut left = count;
        for chunk in self.session.leg(Which::Current).chunks() {
            let part = &chunk[..chunk.len().min(left)];
            self.server.decoder.feed(part);
            left -= part.len();
        }
        self.session.leg(Which::Current).handle_written(count - left);
        self.server.read(&self.unseen);
        if self.session.phase() == Phase::Ready
            && self.session.leg(Which::Current).writable_len() == 0
        {
            assert_eq!(self.server.decoder.pending(), 0, "half an operation was written");
            // one with a maximum may have all its messages, held while it is paused
            let is_known = |entry: &Subscribed| {
                let may_be_over = entry.drains || entry.max.is_some();
                may_be_over || self.server.live.contains(&entry.id.sid())
            };
            assert!(self.subscriptions.values().all(is_known), "the server does not know it");
        }
    }

    fn lose_connection(&mut self) {
        while self.poll() {}
        self.session.leg(Which::Current).handle_disconnected(DisconnectReason::ServerClosed);
    }

    /// Another server takes the place of this one, and knows nothing.
    fn replace_server(&mut self) {
        self.server.decoder = Decoder::default();
        self.server.outbox.clear();
        self.server.live.clear();
        (self.server.pings, self.server.has_ponged, self.server.sent_info) = (0, false, false);
    }

    /// A few bytes of what the server has sent reach the session.
    fn receive(&mut self, count: usize) {
        let count = count.min(self.server.outbox.len());
        let bytes: Vec<u8> = self.server.outbox.drain(..count).collect();
        self.session.leg(Which::Current).handle_bytes(&bytes, self.now);
    }

    /// Everything arrives on both sides, and is dealt with.
    fn exchange(&mut self) {
        loop {
            self.session.handle_turn(self.now);
            self.receive(usize::MAX);
            while self.poll() {}
            if self.session.leg(Which::Current).writable_len() == 0 {
                break;
            }
            self.write(usize::MAX);
        }
    }

    fn advance(&mut self, input: &mut Reader<'_>) {
        let next = self.session.next_deadline();
        self.now += [SECOND / 10, SECOND, 5 * SECOND, 40 * SECOND][input.below(4)];
        assert_eq!(self.session.next_deadline(), next, "time alone moves no deadline");
        self.session.handle_timeout(self.now);
        let next = self.session.next_deadline();
        assert!(next.is_none_or(|next| next > self.now), "what was due has been done");
    }

    // ---- the server ---------------------------------------------------------------------------

    fn hello(&mut self, input: &mut Reader<'_>) {
        let is_new = self.session.phase() == Phase::Connecting;
        self.session.handle_connecting(self.now);
        self.session.leg(Which::Current).handle_connected(Security::Plain);
        if is_new {
            // half an operation of the connection before went with its decoder
            self.server.decoder = Decoder::default();
        }
        self.info(input);
    }

    /// The first `INFO` sets limits; later ones repeat it, because what is on its way when a
    /// limit changes can break it.
    fn info(&mut self, input: &mut Reader<'_>) {
        let limits = [(1 << 20, true), (100, true), (10, true), (1 << 20, false)];
        let (max_payload, headers) = limits[input.below(4)];
        if !self.server.sent_info {
            self.server.sent_info = true;
            (self.server.max_payload, self.server.headers) = (max_payload, headers);
        }
        let (max_payload, headers) = (self.server.max_payload, self.server.headers);
        let info = format!("INFO {{\"max_payload\":{max_payload},\"headers\":{headers}}}\r\n");
        self.server.outbox.extend_from_slice(info.as_bytes());
    }

    fn deliver(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let context = self.server.sids[&id.sid()];
        let payload = format!("#{context} ").into_bytes();
        let message = Message::new("any", id.sid(), None, None, &payload);
        ServerOp::Message(message).encode(&mut self.server.outbox);
    }

    /// To any request that the server has seen, answered or not.
    fn reply(&mut self, input: &mut Reader<'_>) {
        let index = input.below(self.server.inboxes.len().max(1));
        let Some((inbox, context)) = self.server.inboxes.get(index) else { return };
        let subject = String::from_utf8_lossy(inbox);
        let payload = format!("#{context} ").into_bytes();
        let message = Message::new(&subject, 1, None, None, &payload);
        ServerOp::Message(message).encode(&mut self.server.outbox);
    }

    fn no_responders(&mut self, input: &mut Reader<'_>) {
        let index = input.below(self.server.inboxes.len().max(1));
        let Some((inbox, _)) = self.server.inboxes.get(index) else { return };
        let subject = String::from_utf8_lossy(inbox);
        let message = Message::new(&subject, 1, None, Some(b"NATS/1.0 503\r\n\r\n"), b"");
        ServerOp::Message(message).encode(&mut self.server.outbox);
    }

    /// A reply on a subject that does not tell whose it is.
    fn mapped_reply(&mut self) {
        if !self.server.inboxes.is_empty() {
            self.server.outbox.extend_from_slice(b"MSG mapped 1 6\r\nmapped\r\n");
        }
    }

    fn raw(&mut self, input: &mut Reader<'_>) {
        self.server.raw = true;
        let bytes = input.bytes(60);
        self.server.outbox.extend_from_slice(bytes);
    }

    // ---- events -------------------------------------------------------------------------------

    /// Takes one event and checks it. Says whether there was one.
    fn poll(&mut self) -> bool {
        let Some(event) = self.session.poll_event() else {
            let has_room = self.session.buffered_len() == 0;
            let is_ready = self.session.phase() == Phase::Ready;
            assert!(
                !(self.waits_for_room && has_room && is_ready),
                "nobody says that there is room"
            );
            let is_over =
                |entry: &Subscribed| entry.is_certain && entry.max == Some(entry.received);
            assert!(!self.subscriptions.values().any(is_over), "its end was not reported");
            return false;
        };
        match event {
            Event::Message { subscription, message } => self.check_message(subscription, &message),
            Event::SubscriptionEnded { subscription, context, reason } => {
                let entry = self.subscriptions.remove(&context).expect("ends once");
                assert_eq!(entry.id, subscription);
                assert_eq!(self.session.subscription_mut(subscription), None);
                if reason == EndReason::MaxReached && entry.is_certain {
                    assert_eq!(entry.max, Some(entry.received));
                }
            }
            Event::Reply { context, outcome } => self.check_reply(context, outcome),
            Event::Fence { context, outcome } => {
                assert!(self.fences.remove(&context), "one outcome");
                if outcome.is_ok() {
                    assert!(self.passed < Some(context), "fences are passed in order");
                    self.passed = Some(context);
                }
                match outcome {
                    Err(FlushError::Command(error)) => self.count_refusal(&error),
                    Err(FlushError::Disconnected) => assert!(self.disconnected || self.is_over()),
                    _ => {}
                }
            }
            Event::PublishFailed { subject, .. } => {
                let context = subject[2..].parse().expect("the subject that was published to");
                assert!(self.published.remove(&context), "failed once");
                self.unseen.insert(context);
            }
            Event::Writable => {
                self.waits_for_room = false;
                self.refusals = self.refusals.checked_sub(1).expect("somebody was refused");
            }
            Event::Connected => assert!(!std::mem::replace(&mut self.connected, true)),
            Event::Reconnected => assert!(self.connected && self.disconnected && self.resumes),
            Event::Disconnected(_) => {
                let again = std::mem::replace(&mut self.disconnected, true);
                assert!(self.connected && (self.resumes || !again));
            }
            Event::Closed(_) => assert!(!std::mem::replace(&mut self.closed, true)),
            _ => {}
        }
        true
    }

    fn check_message(&mut self, id: SubscriptionId, message: &Message) {
        let context = self.context_of(id).expect("a live subscription");
        let entry = self.subscriptions.get_mut(&context).unwrap();
        entry.received += 1;
        let is_allowed = entry.max.is_none_or(|max| entry.received <= max);
        assert!(is_allowed || !entry.is_certain, "one too many");
        assert_eq!(self.session.subscription_mut(id).copied(), Some(context));
        assert!(self.server.raw || number(message.payload()) == Some(context), "{message:?}");
    }

    fn check_reply(&mut self, context: u32, outcome: Result<Message, RequestError>) {
        assert!(self.requests.remove(&context), "one outcome");
        match outcome {
            Ok(message) => {
                let is_own = number(message.payload()) == Some(context);
                let is_mapped = message.payload() == b"mapped";
                let was_only = self.session.request_count() == 0;
                let is_mine = is_own || (is_mapped && was_only);
                assert!(self.server.raw || is_mine, "{context}: {message:?}");
            }
            Err(RequestError::Command(error)) => {
                self.unseen.insert(context);
                self.check_full(context, error);
            }
            Err(RequestError::NeverSent) => {
                assert!(!self.server.seen.contains(&context), "it was sent");
                self.unseen.insert(context);
            }
            Err(RequestError::OutcomeUnknown) => assert!(self.disconnected),
            Err(_) => {}
        }
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
    }
}

impl Server {
    /// Reads what has come, and checks that it may come.
    fn read(&mut self, unseen: &BTreeSet<u32>) {
        while let Some(op) = self.decoder.next_op().expect("what is written can be read") {
            let is_handshake = matches!(op, ClientOp::Connect(_) | ClientOp::Ping | ClientOp::Pong);
            assert!(is_handshake || self.has_ponged || self.raw, "{op:?} before the handshake");
            match op {
                ClientOp::Publish(message) => self.read_message(&message, unseen),
                ClientOp::Subscribe { sid, .. } => {
                    assert!(sid == 1 || self.sids.contains_key(&sid));
                    assert!(self.live.insert(sid) || self.raw, "subscribed to twice");
                }
                ClientOp::Unsubscribe { sid, max } => {
                    assert!(self.sids.contains_key(&sid));
                    if max.is_none() {
                        self.live.remove(&sid);
                    }
                }
                ClientOp::Ping => self.pings += 1,
                ClientOp::Connect(_) | ClientOp::Pong => {}
            }
        }
    }

    fn read_message(&mut self, message: &Message, unseen: &BTreeSet<u32>) {
        let context = number(message.payload()).expect("messages carry their number");
        assert!(!unseen.contains(&context), "{context} was said not to be sent");
        assert!(self.seen.last() < Some(&context), "in order, and once");
        self.seen.insert(context);
        assert!(self.raw || message.len() <= self.max_payload, "{} bytes", message.len());
        assert!(self.raw || self.headers || message.headers().is_empty());
        if let Some(inbox) = message.reply_bytes() {
            self.inboxes.push((inbox.to_vec(), context));
        }
    }

    fn pong(&mut self) {
        if self.pings > 0 {
            self.pings -= 1;
            self.has_ponged = true;
            self.outbox.extend_from_slice(b"PONG\r\n");
        }
    }
}

/// The number at the start of a payload.
fn number(payload: &[u8]) -> Option<u32> {
    let digits = payload.strip_prefix(b"#")?.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
