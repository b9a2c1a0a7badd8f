//! Budget means budget: whatever can bring work into a turn is stormed, and no turn does more than
//! its budget, while everybody else has his turns. The table is the one in the docs of `EventLoop`.

mod support;

use evnats::{
    Client, EventLoop, Frame, Handle, Message, Options, OutgoingMessage, PendingLimits,
    Registration, ServerOp, Transport,
};
use evnats_harness::ScriptedServer;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::memory::{InMemory, MemoryServer, Speaker};
use support::{Log, run_with, server, turn_until, unique};

const SECOND: Duration = Duration::from_secs(1);
/// Callbacks that a client runs in a turn.
const CALLBACKS: usize = 4096;
/// Bytes that a client reads in a turn: what the option says, and what layers read ahead.
const BYTES: usize = (256 + 32) * 1024;

/// What comes faster than a turn can deal with it.
struct Storm {
    name: &'static str,
    /// Most that one turn deals with: callbacks, or bytes.
    budget: usize,
    /// After so many turns at the latest, everybody else has had one.
    patience: usize,
    /// Begins it. What is dealt with is counted.
    begin: fn(&EventLoop<App>, &Count),
    /// How much comes, or how much of it is looked at.
    total: usize,
}

type Count = Rc<Cell<usize>>;

fn add(count: &Count, more: usize) {
    count.set(count.get() + more);
}

const STORMS: &[Storm] = &[
    Storm {
        name: "posts from other threads",
        budget: 1024,
        patience: 12,
        begin: posts,
        total: 10_000,
    },
    Storm { name: "timers", budget: 1024, patience: 12, begin: timers, total: 10_000 },
    // a request takes a handshake and several turns of the client
    Storm { name: "clients", budget: 256, patience: 40, begin: clients, total: 20_000 },
    #[cfg(unix)]
    Storm { name: "foreign sources", budget: 256, patience: 4, begin: sources, total: 5000 },
    Storm { name: "bytes", budget: BYTES, patience: 2, begin: bytes, total: 5_000_000 },
    Storm { name: "messages", budget: CALLBACKS, patience: 2, begin: messages, total: 50_000 },
    Storm { name: "held messages", budget: CALLBACKS, patience: 2, begin: held, total: 30_000 },
    Storm { name: "a listing", budget: 1024, patience: 2, begin: listing, total: 10_000 },
    Storm { name: "timeouts", budget: CALLBACKS, patience: 2, begin: timeouts, total: 30_000 },
    Storm {
        name: "outcomes at the end",
        budget: CALLBACKS,
        patience: 2,
        begin: end,
        total: 30_000,
    },
    Storm { name: "frames", budget: CALLBACKS, patience: 2, begin: frames, total: 50_000 },
    Storm { name: "reports", budget: CALLBACKS, patience: 2, begin: reports, total: 60_000 },
    Storm { name: "the next server", budget: BYTES, patience: 2, begin: moving, total: 5_000_000 },
    #[cfg(feature = "websocket")]
    Storm { name: "empty pongs", budget: BYTES, patience: 2, begin: pongs, total: 200_000 },
    #[cfg(feature = "websocket")]
    Storm { name: "empty pings", budget: BYTES, patience: 2, begin: pings, total: 200_000 },
    #[cfg(feature = "websocket")]
    Storm { name: "pings", budget: BYTES, patience: 2, begin: full_pings, total: 200_000 },
    #[cfg(feature = "websocket")]
    Storm { name: "empty messages", budget: BYTES, patience: 2, begin: empty, total: 200_000 },
    #[cfg(feature = "tls")]
    Storm { name: "TLS tickets", budget: BYTES, patience: 2, begin: tickets, total: 2_000_000 },
];

#[test]
fn no_storm_exceeds_its_budget_and_everybody_else_has_turns() {
    STORMS.iter().for_each(check);
}

fn check(storm: &Storm) {
    let (name, event_loop) = (storm.name, EventLoop::new().expect("an event loop"));
    let (count, mut app) = (Count::default(), App::default());
    (storm.begin)(&event_loop, &count);
    neighbors(&event_loop);
    let mut waited = [0; NEIGHBORS];
    let (mut busy_turns, began) = (0, Instant::now());
    while count.get() < storm.total {
        let (before, turns) = (count.get(), app.turns);
        event_loop.dispatch(&mut app, Some(SECOND)).expect("a turn");
        let done = count.get() - before;
        assert!(done <= storm.budget, "{name}: {done} in a turn, the budget is {}", storm.budget);
        busy_turns += usize::from(done > 0);
        for (neighbor, waited) in waited.iter_mut().enumerate() {
            *waited = if app.turns[neighbor] > turns[neighbor] { 0 } else { *waited + 1 };
            assert!(*waited <= storm.patience, "{name}: neighbor {neighbor} has no turns");
        }
        assert!(began.elapsed() < 60 * SECOND, "{name}: {} of {}", count.get(), storm.total);
    }
    assert!(busy_turns >= 5, "{name}: no storm, it took {busy_turns} turns");
}

/// A transport that counts how often it is asked for anything.
struct Asked(InMemory<MemoryServer>, Count);

impl Read for Asked {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        add(&self.1, 1);
        self.0.read(room)
    }
}

impl Write for Asked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        add(&self.1, 1);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        add(&self.1, 1);
        self.0.flush()
    }
}

impl Transport for Asked {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        self.0.register(registration)
    }

    fn has_buffered(&self) -> bool {
        add(&self.1, 1);
        self.0.has_buffered()
    }

    fn has_unflushed(&self) -> bool {
        add(&self.1, 1);
        self.0.has_unflushed()
    }
}

#[test]
fn a_turn_asks_no_client_that_is_idle() {
    const CLIENTS: usize = 1000;
    let (event_loop, asked) = (EventLoop::new().expect("an event loop"), Count::default());
    for _ in 0..CLIENTS {
        let transport = Asked(InMemory::new(MemoryServer::new()), asked.clone());
        let nats = event_loop.connect_over(transport, Options::new("memory")).expect("a client");
        nats.flush(|connected: &mut usize, _, _| *connected += 1);
    }
    let mut connected = 0;
    turn_until(&event_loop, &mut connected, "connections", |connected| *connected == CLIENTS);
    while event_loop.dispatch(&mut connected, Some(Duration::ZERO)).expect("a turn") {}
    asked.set(0);
    for turn in 1..=100 {
        event_loop.set_timer(Duration::ZERO, |connected: &mut usize, _| *connected += 1);
        event_loop.dispatch(&mut connected, Some(SECOND)).expect("a turn");
        assert_eq!((connected, asked.get()), (CLIENTS + turn, 0));
    }
}

// ---- everybody else -------------------------------------------------------------------------------

const NEIGHBORS: usize = 4;

/// With the smallest budget there is, a client still connects, reads, and comes to its end.
#[test]
fn turns_of_one_callback_get_everything_done() {
    let subject = unique("one");
    let options = Options::new(server().url()).turn_callbacks(1);
    let log: Log = run_with(options, |nats| {
        let answers = nats.subscribe(&subject, |log: &mut Log, answers, request| {
            log.push(request.text().into_owned());
            answers.client().respond(request, b"answer").expect("an answer");
        });
        answers.expect("a subscription");
        for number in 0..3 {
            nats.request(&subject, number.to_string(), move |log: &mut Log, nats, reply| {
                log.push(format!("{} {number}", reply.expect("a reply").text()));
                // the last callback but those of the end: what is left is up to the loop
                nats.drain();
            });
        }
    });
    let mut sorted = log.clone();
    sorted.sort();
    assert_eq!(sorted, ["0", "1", "2", "answer 0", "answer 1", "answer 2"], "{log:?}");
}

/// How many turns each neighbor has had.
#[derive(Default)]
struct App {
    turns: [usize; NEIGHBORS],
}

/// A timer, a post, a client and a source, of which each has something to do in every turn.
fn neighbors(event_loop: &EventLoop<App>) {
    fn tick(app: &mut App, handle: &Handle<App>) {
        app.turns[0] += 1;
        handle.set_timer(Duration::ZERO, tick);
    }
    fn post(app: &mut App, handle: &Handle<App>) {
        app.turns[1] += 1;
        assert!(handle.remote().post(post).is_ok(), "there is room");
    }
    fn request(app: &mut App, nats: &Client<App>) {
        app.turns[2] += 1;
        nats.request("echo", "", |app, nats, reply| {
            reply.expect("a reply");
            request(app, nats);
        });
    }
    event_loop.set_timer(Duration::ZERO, tick);
    event_loop.remote().post(post).unwrap_or_else(|_| panic!("there is room"));
    let nats = over(event_loop, MemoryServer::new());
    nats.set_timer(Duration::ZERO, request);
    #[cfg(unix)]
    readable(event_loop, 1, |app| app.turns[3] += 1);
    #[cfg(not(unix))]
    event_loop.set_interval(Duration::from_nanos(1), |app: &mut App, _| app.turns[3] += 1);
}

fn over(event_loop: &EventLoop<App>, speaker: impl Speaker) -> Client<App> {
    event_loop.connect_over(InMemory::new(speaker), Options::new("memory")).expect("a client")
}

/// Adds sources that always have something to read.
#[cfg(unix)]
fn readable(
    event_loop: &EventLoop<App>,
    sources: usize,
    read: impl Fn(&mut App) + Clone + 'static,
) {
    use std::os::unix::net::UnixStream;
    let (input, mut output) = UnixStream::pair().expect("a pair");
    output.write_all(b"x").expect("written");
    for _ in 0..sources {
        let source = evnats::Descriptor::new(input.try_clone().expect("a descriptor"));
        let read = read.clone();
        let added = event_loop.add_source(source, mio::Interest::READABLE, move |app, _, _| {
            read(app);
        });
        added.expect("a source");
    }
}

// ---- storms of the loop's own ---------------------------------------------------------------------

fn posts(event_loop: &EventLoop<App>, count: &Count) {
    // what is posted can be sent to another thread, and counts there
    let (counted, remote) =
        (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), event_loop.remote());
    for _ in 0..10_000 {
        let counted = counted.clone();
        let post = move |_: &mut App, _: &Handle<App>| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        assert!(remote.post(post).is_ok(), "there is room");
    }
    let count = count.clone();
    event_loop.set_interval(Duration::from_nanos(1), move |_: &mut App, _| {
        count.set(counted.load(std::sync::atomic::Ordering::Relaxed));
    });
}

fn timers(event_loop: &EventLoop<App>, count: &Count) {
    for _ in 0..10_000 {
        let count = count.clone();
        event_loop.set_timer(Duration::ZERO, move |_: &mut App, _| add(&count, 1));
    }
}

fn clients(event_loop: &EventLoop<App>, count: &Count) {
    fn flush(nats: &Client<App>, count: Count) {
        nats.flush(move |_, nats, _| {
            add(&count, 1);
            flush(nats, count);
        });
    }
    for _ in 0..2000 {
        flush(&over(event_loop, MemoryServer::new()), count.clone());
    }
}

#[cfg(unix)]
fn sources(event_loop: &EventLoop<App>, count: &Count) {
    let count = count.clone();
    readable(event_loop, 400, move |_| add(&count, 1));
}

// ---- storms of a server's -------------------------------------------------------------------------

/// Answers once what it is told to, and then says the same for as long as it is read from.
struct Endless {
    /// What is read first.
    ready: Vec<u8>,
    /// What it answers to what the client writes. After that, the storm begins.
    answer: fn(&str) -> Option<String>,
    again: &'static [u8],
    /// How often.
    left: usize,
    has_begun: bool,
    /// Bytes that were read.
    count: Count,
}

impl Endless {
    fn nats(again: &'static [u8], left: usize, count: &Count) -> Self {
        Self {
            ready: b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n".to_vec(),
            answer: |written| written.contains("PING").then(|| "PONG\r\n".into()),
            again,
            left,
            has_begun: false,
            count: count.clone(),
        }
    }
}

impl Read for Endless {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() && self.has_begun && self.left > 0 {
            let times = (room.len() / self.again.len()).clamp(1, 1 << 20).min(self.left);
            self.ready = self.again.repeat(times);
            self.left -= times;
        }
        if self.ready.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.ready.len().min(room.len());
        room[..read].copy_from_slice(&self.ready[..read]);
        self.ready.drain(..read);
        add(&self.count, read);
        Ok(read)
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(answer) = (self.answer)(&String::from_utf8_lossy(bytes)) {
            self.ready.extend(answer.into_bytes());
            self.has_begun = true;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Speaker for Endless {
    fn has_more(&self) -> bool {
        !self.ready.is_empty() || self.has_begun && self.left > 0
    }
}

/// Operations that mean nothing, and so cost a client's turn nothing but their bytes.
fn bytes(event_loop: &EventLoop<App>, count: &Count) {
    over(event_loop, Endless::nats(b"+OK\r\n", usize::MAX, count));
}

const MESSAGE: &[u8] = b"MSG a 2 1\r\nx\r\n";

fn messages(event_loop: &EventLoop<App>, count: &Count) {
    let nats = over(event_loop, Endless::nats(MESSAGE, usize::MAX, &Count::default()));
    let count = count.clone();
    nats.subscribe("a", move |_, _, _| add(&count, 1)).expect("a subscription");
}

fn held(event_loop: &EventLoop<App>, count: &Count) {
    const HELD: usize = 30_000;
    let nats = over(event_loop, Endless::nats(MESSAGE, HELD, &Count::default()));
    let count = count.clone();
    let held = nats.subscribe("a", move |_, _, _| add(&count, 1)).expect("a subscription");
    held.set_pending_limits(PendingLimits::new().messages(HELD)).expect("limits");
    held.pause().expect("paused");
    turn_until(event_loop, &mut App::default(), "messages", |_| {
        held.snapshot().is_some_and(|snapshot| snapshot.pending_messages == HELD)
    });
    held.resume().expect("resumed");
}

/// A page with more names than any server gives out at a time.
fn listing(event_loop: &EventLoop<App>, count: &Count) {
    let answer = |written: &str| {
        let mut answer = String::new();
        if written.contains("PING") {
            answer.push_str("PONG\r\n");
        }
        if let Some((_, asked)) = written.split_once("PUB $JS.API.STREAM.NAMES ") {
            let names: Vec<_> = (0..10_000).map(|name| format!("\"{name}\"")).collect();
            let page = format!("{{\"streams\":[{}]}}", names.join(","));
            let reply = asked.split(' ').next().unwrap_or_default();
            answer.push_str(&format!("MSG {reply} 1 {}\r\n{page}\r\n", page.len()));
        }
        (!answer.is_empty()).then_some(answer)
    };
    let nats = over(event_loop, Endless { answer, ..Endless::nats(b"", 0, &Count::default()) });
    let count = count.clone();
    nats.jetstream().list_stream_names(None, move |_, _, _| add(&count, 1));
}

/// Has requests of which no answer comes.
fn unanswered(event_loop: &EventLoop<App>, timeout: Duration, count: &Count) -> Client<App> {
    let nats = over(event_loop, Endless::nats(b"", 0, &Count::default()));
    for _ in 0..30_000 {
        let count = count.clone();
        nats.send_request(OutgoingMessage::new("a", ""), timeout, move |_, _, reply| {
            assert!(reply.is_err());
            add(&count, 1);
        });
    }
    nats
}

fn timeouts(event_loop: &EventLoop<App>, count: &Count) {
    unanswered(event_loop, Duration::from_millis(1), count);
}

fn end(event_loop: &EventLoop<App>, count: &Count) {
    unanswered(event_loop, 60 * SECOND, count).close();
}

/// Every frame is seen.
fn frames(event_loop: &EventLoop<App>, count: &Count) {
    let nats = over(event_loop, Endless::nats(b"+OK\r\n", usize::MAX, &Count::default()));
    let count = count.clone();
    nats.on_frame(move |_, _, _| add(&count, 1));
}

/// What goes wrong with answers is told in a callback, where another answer goes wrong.
fn reports(event_loop: &EventLoop<App>, count: &Count) {
    fn answer(nats: &Client<App>) {
        let message = Message::new("a", 1, Some("not a subject"), None, b"");
        nats.respond(&message, "").expect("an error is reported and not returned");
    }
    let nats = over(event_loop, MemoryServer::new());
    let count = count.clone();
    nats.on_error(move |_, nats, _| {
        add(&count, 1);
        answer(nats);
    });
    (0..30_000).for_each(|_| answer(&nats));
}

/// A move to a server that talks for as long as it is listened to.
fn moving(event_loop: &EventLoop<App>, count: &Count) {
    const SIZE: usize = 10_000;
    let next = ScriptedServer::start(|mut script| {
        script.handshake();
        let message = format!("MSG nobody 99 {SIZE}\r\n{}\r\n", "x".repeat(SIZE));
        script.send(&message.repeat(1000).into_bytes());
        script.hold();
    });
    let leaving = ScriptedServer::start(|mut script| {
        script.handshake();
        script.send_info_with(r#""ldm":true"#);
        script.hold();
    });
    let options = Options::for_servers([leaving.url(), next.url()]).randomize_servers(false);
    let (nats, count) = (event_loop.connect(options).expect("a client"), count.clone());
    nats.on_frame(move |_, nats, frame| {
        if let Frame::In(ServerOp::Message(message)) = frame {
            add(&count, message.len());
        }
        // the servers live as long as their client's callback
        let _ = (&leaving, &next, nats);
    });
}

// ---- frames and records without payload -----------------------------------------------------------

#[cfg(feature = "websocket")]
fn websocket(event_loop: &EventLoop<App>, frame: &'static [u8], count: &Count) {
    let upgrade = |written: &str| {
        let key = written.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        Some(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ))
    };
    let endless = Endless::nats(frame, usize::MAX, count);
    let server = InMemory::new(Endless { ready: Vec::new(), answer: upgrade, ..endless });
    let options = Options::new("ws://firehose").connect_timeout(120 * SECOND);
    event_loop.connect_over(server, options).expect("a client");
}

#[cfg(feature = "websocket")]
fn pongs(event_loop: &EventLoop<App>, count: &Count) {
    websocket(event_loop, b"\x8a\0", count);
}

#[cfg(feature = "websocket")]
fn pings(event_loop: &EventLoop<App>, count: &Count) {
    websocket(event_loop, b"\x89\0", count);
}

#[cfg(feature = "websocket")]
fn full_pings(event_loop: &EventLoop<App>, count: &Count) {
    websocket(event_loop, b"\x89\x02hi", count);
}

#[cfg(feature = "websocket")]
fn empty(event_loop: &EventLoop<App>, count: &Count) {
    websocket(event_loop, b"\x82\0", count);
}

/// A TLS server that has nothing to say, and gives its client tickets without end. (Records that are
/// empty, alerts and new keys have a limit in rustls.)
#[cfg(feature = "tls")]
struct Tickets {
    session: Option<rustls::ServerConnection>,
    /// What encrypts, once the handshake is done: the key, and the number of the next record.
    key: Option<(ring::aead::LessSafeKey, rustls::crypto::cipher::Iv, u64)>,
    ready: Vec<u8>,
    count: Count,
}

#[cfg(feature = "tls")]
impl Tickets {
    /// The handshake is done: from here on, records are made by hand.
    fn begin(&mut self, session: rustls::ServerConnection) {
        use rustls::ConnectionTrafficSecrets::Aes128Gcm;
        let secrets = session.dangerous_extract_secrets().expect("secrets");
        let (number, Aes128Gcm { key, iv }) = secrets.tx else { panic!("another cipher") };
        let key = ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, key.as_ref());
        self.key = Some((ring::aead::LessSafeKey::new(key.expect("a key")), iv, number));
    }

    /// A record with a ticket: a message of the handshake, and 16 bytes of proof.
    fn add_record(&mut self) {
        // what it is, its length, for how long it is good, what is added to its age, its nonce, the
        // ticket itself, no extensions
        const TICKET: [u8; 20] =
            [4, 0, 0, 15, 0, 0, 0, 60, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, HANDSHAKE];
        const HANDSHAKE: u8 = 22;
        const HEAD: [u8; 5] = [23, 3, 3, 0, 20 + 16];
        let Some((key, iv, number)) = &mut self.key else { return };
        let nonce = rustls::crypto::cipher::Nonce::new(iv, *number).0;
        let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
        let mut record = TICKET.to_vec();
        key.seal_in_place_append_tag(nonce, ring::aead::Aad::from(HEAD), &mut record)
            .expect("encrypted");
        *number += 1;
        self.ready.extend(HEAD);
        self.ready.extend(record);
    }
}

#[cfg(feature = "tls")]
impl Read for Tickets {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.key.is_some() && self.ready.len() < room.len() {
            self.add_record();
        }
        let read = self.ready.len().min(room.len());
        room[..read].copy_from_slice(&self.ready[..read]);
        self.ready.drain(..read);
        add(&self.count, read);
        if read == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(read) }
    }
}

#[cfg(feature = "tls")]
impl Write for Tickets {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len();
        let Some(session) = &mut self.session else { return Ok(len) };
        while !bytes.is_empty() {
            session.read_tls(&mut bytes)?;
            session.process_new_packets().map_err(io::Error::other)?;
        }
        while session.wants_write() {
            session.write_tls(&mut self.ready)?;
        }
        if let Some(session) = self.session.take_if(|session| !session.is_handshaking()) {
            self.begin(session);
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "tls")]
impl Speaker for Tickets {
    fn has_more(&self) -> bool {
        self.key.is_some() || !self.ready.is_empty()
    }
}

#[cfg(feature = "tls")]
fn tickets(event_loop: &EventLoop<App>, count: &Count) {
    use rustls::crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
    use rustls::pki_types::PrivateKeyDer;
    let own = rcgen::generate_simple_self_signed(["firehose".into()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let mut provider = default_provider();
    provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
    let builder = rustls::ServerConfig::builder_with_provider(provider.into());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("a version");
    let chain = vec![own.cert.der().clone()];
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).expect("a server");
    config.enable_secret_extraction = true;
    let session = Some(rustls::ServerConnection::new(config.into()).expect("a session"));
    let server = Tickets { session, key: None, ready: Vec::new(), count: count.clone() };
    let tls = evnats::Tls::new().first(true).danger_accept_any_certificate(true);
    let options = Options::new("tls://firehose").tls(tls).connect_timeout(120 * SECOND);
    event_loop.connect_over(InMemory::new(server), options).expect("a client");
}
