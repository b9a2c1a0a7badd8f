//! Hundreds of faults under real work: publishes, subscriptions, requests, streams and buckets,
//! through proxies that delay, trickle, cut, reset, stall and garble at places that a seed says.
//! Whatever happens, every callback runs once, nothing hangs, and what was acknowledged is there.

mod support;

use allocation_counter::{measure, opt_out};
use evnats::jetstream::{self, MessageQuery, ReadFrom, Storage, StreamConfig};
use evnats::{
    Client, CommandError, ConnectionError, ConnectionState, EventLoop, Message, Options,
    RequestError, kv,
};
use evnats_harness::{Direction, Fault, FaultProxy, Server};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{fail, flush, turn_until, unique};

/// Clients that work side by side in a round.
const CLIENTS: usize = 32;
/// How often each of them has its turn in a round.
const STEPS: usize = 40;
/// Connections of a client that are not sound. The ones after them are.
const FAULTY: usize = 3;
/// A round takes a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct App {
    runs: Vec<Run>,
}

/// What one client has done and seen in a round.
#[derive(Default)]
struct Run {
    seed: u64,
    /// Whether bytes were changed: then only the number of outcomes is certain.
    corrupt: bool,
    step: usize,
    /// How often the callback of each request, flush, publish to a stream, put and get has run.
    outcomes: Vec<u8>,
    pending: usize,
    published: u64,
    /// What others have published, and the client has received.
    received: Vec<u64>,
    /// What the client has published, and others have received.
    sent: Vec<u64>,
    /// Number and sequence of what was acknowledged by the stream.
    stored: Vec<(u64, u64)>,
    /// Numbers of what was not sent to the stream.
    never_sent: Vec<u64>,
    /// Key, value and revision of what was acknowledged by the bucket.
    put: Vec<(String, String, u64)>,
    flushed: bool,
    ended: bool,
    connects: usize,
    reconnects: u64,
    closes: usize,
}

/// What the clients of a round share.
#[derive(Clone)]
struct Shared {
    /// A client without faults, on which others publish and listen.
    sound: Client<App>,
    round: String,
    stream: String,
    bucket: String,
}

impl Shared {
    fn subject(&self, what: &str, place: usize) -> String {
        format!("{what}.{}.{place}", self.round)
    }
}

fn number(message: &Message) -> Option<u64> {
    message.text().split('.').next()?.parse().ok()
}

/// A number, and so much more that some hundred messages reach every byte that a fault is at.
fn payload(number: u64) -> String {
    format!("{number}.{:x<400}", "")
}

/// Notes that a callback runs, and gives the number that it is to say when it does.
fn expect_outcome(app: &mut App, place: usize) -> usize {
    let run = &mut app.runs[place];
    run.outcomes.push(0);
    run.pending += 1;
    run.outcomes.len() - 1
}

fn note_outcome(app: &mut App, place: usize, call: usize) -> &mut Run {
    let run = &mut app.runs[place];
    run.outcomes[call] += 1;
    assert_eq!(run.outcomes[call], 1, "seed {}: callback {call} ran again", run.seed);
    run.pending -= 1;
    run
}

/// A client that works until it has done its steps, and closes when it is alive after that.
fn begin(
    event_loop: &EventLoop<App>,
    options: Options,
    place: usize,
    shared: &Shared,
) -> Client<App> {
    let options = options
        .retry_first_connect(true)
        .connect_timeout(Duration::from_millis(300))
        .request_timeout(Duration::from_millis(500))
        .drain_timeout(Duration::from_secs(2))
        .ping_interval(Duration::from_millis(100))
        .reconnect_delay(Duration::from_millis(5))
        .max_reconnect_delay(Duration::from_millis(50))
        .reconnect_jitter(Duration::ZERO)
        .reconnect_jitter_tls(Duration::ZERO);
    let nats = event_loop.connect(options).expect("a client");
    nats.on_connect(move |app: &mut App, _, _| app.runs[place].connects += 1);
    nats.on_close(move |app, nats, _| {
        let run = &mut app.runs[place];
        run.closes += 1;
        run.reconnects = nats.statistics().reconnects;
    });
    nats.subscribe(&shared.subject("in", place), move |app, _, message| {
        app.runs[place].received.extend(number(message));
    })
    .expect("a subscription");
    step(&nats, place, shared.clone());
    nats
}

fn later(nats: &Client<App>, action: impl FnOnce(&mut App, &Client<App>) + 'static) {
    let again = nats.clone();
    nats.handle().set_timer(Duration::from_millis(2), move |app, _| action(app, &again));
}

fn step(nats: &Client<App>, place: usize, shared: Shared) {
    later(nats, move |app, nats| {
        if app.runs[place].step == STEPS {
            return finish(app, nats, place);
        }
        work(app, nats, place, &shared);
        app.runs[place].step += 1;
        // some faults are for a connection that would not come by itself
        if app.runs[place].step == STEPS / 2 && app.runs[place].seed.is_multiple_of(3) {
            nats.reconnect();
        }
        step(nats, place, shared);
    });
}

/// Some of everything.
fn work(app: &mut App, nats: &Client<App>, place: usize, shared: &Shared) {
    let (step, corrupt) = (app.runs[place].step, app.runs[place].corrupt);
    for part in 0..3 {
        let number = (step * 3 + part) as u64;
        let sent = shared.sound.publish(&shared.subject("in", place), payload(number));
        sent.expect("a publish");
        match nats.publish(&shared.subject("out", place), payload(number)) {
            Ok(()) => app.runs[place].published += 1,
            // a garbled INFO has limits that are none
            Err(error) => assert!(corrupt, "seed {}: {error}", app.runs[place].seed),
        }
    }
    let call = expect_outcome(app, place);
    let question = format!("question {place} {step}");
    nats.request(&shared.subject("echo", 0), question.clone(), move |app: &mut App, _, reply| {
        let run = note_outcome(app, place, call);
        if let Ok(reply) = reply {
            assert!(run.corrupt || reply.text() == question, "seed {}: mixed up", run.seed);
        }
    });
    if step % 2 == 0 {
        publish_to_stream(app, nats, place, shared, step as u64);
    } else {
        put_and_get(app, nats, place, shared, step);
    }
    if step % 8 == 0 {
        let call = expect_outcome(app, place);
        nats.flush(move |app: &mut App, _, _| {
            note_outcome(app, place, call);
        });
    }
}

fn publish_to_stream(
    app: &mut App,
    nats: &Client<App>,
    place: usize,
    shared: &Shared,
    number: u64,
) {
    let call = expect_outcome(app, place);
    let js = nats.jetstream();
    let subject = shared.subject("js", place);
    js.publish(&subject, payload(number), move |app: &mut App, _, outcome| {
        let run = note_outcome(app, place, call);
        match outcome {
            Ok(ack) => run.stored.push((number, ack.sequence)),
            Err(jetstream::Error::Request(RequestError::NeverSent)) => run.never_sent.push(number),
            Err(jetstream::Error::Request(
                RequestError::OutcomeUnknown | RequestError::Timeout,
            )) => {}
            Err(error) => assert!(run.corrupt, "seed {}: {error}", run.seed),
        }
    });
}

fn put_and_get(app: &mut App, nats: &Client<App>, place: usize, shared: &Shared, step: usize) {
    let kv = nats.jetstream().key_value(&shared.bucket);
    let (key, value) = (format!("{}.{place}.{}", shared.round, step % 4), payload(step as u64));
    let call = expect_outcome(app, place);
    let (put_key, put_value) = (key.clone(), value.clone());
    kv.put(&key, value, move |app: &mut App, _, outcome| {
        let run = note_outcome(app, place, call);
        if let Ok(revision) = outcome {
            run.put.push((put_key, put_value, revision));
        }
    });
    let call = expect_outcome(app, place);
    kv.get(&key, move |app: &mut App, _, outcome| {
        let run = note_outcome(app, place, call);
        if let Ok(Some(entry)) = outcome {
            let wanted = entry.text().ends_with("xxxx");
            assert!(run.corrupt || wanted, "seed {}: {}", run.seed, entry.text());
        }
    });
}

/// Waits for what is pending, then for a server that has read everything, and ends the client.
fn finish(app: &mut App, nats: &Client<App>, place: usize) {
    let run = &mut app.runs[place];
    if run.pending > 0 {
        return later(nats, move |app, nats| finish(app, nats, place));
    }
    if !run.flushed {
        let call = expect_outcome(app, place);
        return nats.flush(move |app: &mut App, nats, outcome| {
            note_outcome(app, place, call).flushed = outcome.is_ok();
            finish(app, nats, place);
        });
    }
    run.ended = true;
    if run.seed.is_multiple_of(2) { nats.drain() } else { nats.close() }
}

/// What is between a client and its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Plain,
    /// With bytes that are changed on their way.
    Garbled,
    /// Where bytes that were changed are noticed.
    #[cfg(feature = "tls")]
    Encrypted,
    #[cfg(feature = "websocket")]
    WebSocket,
}

impl Wire {
    fn takes(self, faults: &[Fault]) -> bool {
        let any = |pick: fn(&Fault) -> bool| faults.iter().any(pick);
        let garbles = any(|fault| matches!(fault, Fault::Corrupt { .. }));
        let fits = match self {
            Self::Plain => !garbles,
            Self::Garbled => garbles,
            // lines can only be told from others in plain text
            #[cfg(feature = "tls")]
            Self::Encrypted => !any(|fault| matches!(fault, Fault::DropLine { .. })),
            #[cfg(feature = "websocket")]
            Self::WebSocket => !garbles && !any(|fault| matches!(fault, Fault::DropLine { .. })),
        };
        fits && !faults.is_empty()
    }

    /// The faults of a connection, by the seed of its client.
    fn faults(self, seed: u64, index: usize) -> Vec<Fault> {
        if index >= FAULTY {
            return Vec::new();
        }
        let seeds = (0..).map(|attempt| seed * 1_000_003 + (index + FAULTY * attempt) as u64);
        let mut all = seeds.map(Fault::random);
        all.find(|faults| self.takes(faults)).expect("every fault comes some day")
    }
}

/// A server, the way to it, and one client that no fault meets.
struct Setup {
    wire: Wire,
    /// Where proxies forward to.
    port: u16,
    scheme: &'static str,
    /// What every client's options have.
    dress: Box<dyn Fn(Options) -> Options>,
    event_loop: EventLoop<App>,
    sound: Client<App>,
    _server: Server,
}

impl Setup {
    fn new(
        wire: Wire,
        server: Server,
        url: &str,
        dress: impl Fn(Options) -> Options + 'static,
    ) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let options = dress(Options::new(server.url()).request_timeout(PATIENCE));
        let sound = event_loop.connect(options).expect("a client");
        sound.on_disconnect(|_, _, reason| {
            fail(format!("the sound client is disconnected: {reason}"))
        });
        let scheme = if url.starts_with("ws://") { "ws" } else { "nats" };
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { wire, port, scheme, dress: Box::new(dress), event_loop, sound, _server: server }
    }

    fn options(&self, proxy: &FaultProxy) -> Options {
        (self.dress)(Options::new(format!("{}://127.0.0.1:{}", self.scheme, proxy.port())))
    }
}

/// How hard it was.
#[derive(Debug, Default)]
struct Tally {
    faults: usize,
    reconnects: u64,
    acknowledged: usize,
    not_acknowledged: usize,
}

/// A round of clients with seeds of their own.
fn round(setup: &Setup, first_seed: u64, tally: &mut Tally) {
    let Setup { wire, port, event_loop, sound, .. } = setup;
    let (wire, port) = (*wire, *port);
    let corrupt = wire == Wire::Garbled;
    let mut app = App::default();
    let name = format!("r{first_seed}");
    let shared = Shared {
        sound: sound.clone(),
        stream: name.clone(),
        bucket: format!("bucket_{name}"),
        round: name,
    };
    prepare(event_loop, &mut app, &shared);
    let planned = Arc::new(AtomicUsize::new(0));
    let seeds = first_seed..first_seed + CLIENTS as u64;
    let mut listening = Vec::new();
    for (place, seed) in seeds.clone().enumerate() {
        app.runs.push(Run { seed, corrupt, ..Run::default() });
        let sent = sound.subscribe(&shared.subject("out", place), move |app, _, message| {
            app.runs[place].sent.extend(number(message));
        });
        listening.push(sent.expect("a subscription"));
    }
    let echo = sound.subscribe(&shared.subject("echo", 0), move |_, nats, message| {
        let answered = nats.client().respond(message, message.payload());
        assert!(corrupt || answered.is_ok(), "{answered:?}");
    });
    listening.push(echo.expect("a subscription"));
    flush(event_loop, &mut app, sound);

    // the threads of the proxies allocate and free for each other
    let mut proxies = Vec::new();
    opt_out(|| {
        for seed in seeds {
            let planned = planned.clone();
            proxies.push(FaultProxy::start(port, move |index| {
                let faults = wire.faults(seed, index);
                planned.fetch_add(faults.len(), Ordering::SeqCst);
                faults
            }));
        }
    });
    let clients: Vec<_> = proxies
        .iter()
        .enumerate()
        .map(|(place, proxy)| begin(event_loop, setup.options(proxy), place, &shared))
        .collect();
    let limit = Instant::now() + PATIENCE;
    while app.runs.iter().any(|run| run.closes == 0) {
        event_loop.dispatch(&mut app, Some(Duration::from_millis(50))).expect("a turn");
        if Instant::now() > limit {
            let hangs = app.runs.iter().zip(&clients).filter(|(run, _)| run.closes == 0);
            let hangs = hangs.map(|(run, nats)| {
                let Run { seed, step, pending, ended, .. } = run;
                format!("seed {seed}: {:?} {step} {pending} {ended}", nats.state())
            });
            panic!("these hang: {:?}", hangs.take(5).collect::<Vec<_>>());
        }
    }
    for subscription in listening {
        flush(event_loop, &mut app, sound);
        assert!(subscription.unsubscribe(), "it was alive");
    }
    for (run, nats) in app.runs.iter().zip(&clients) {
        check(run, nats);
        tally.reconnects += run.reconnects;
        tally.acknowledged += run.stored.len();
        tally.not_acknowledged += STEPS / 2 - run.stored.len();
    }
    if !corrupt {
        check_stream(event_loop, &mut app, &shared);
        check_bucket(event_loop, &mut app, &shared);
    }
    remove(event_loop, &mut app, &shared);
    opt_out(|| drop(proxies));
    tally.faults += planned.load(Ordering::SeqCst);
}

fn prepare(event_loop: &EventLoop<App>, app: &mut App, shared: &Shared) {
    let js = shared.sound.jetstream();
    let config = StreamConfig::new(shared.stream.clone())
        .subjects([format!("js.{}.*", shared.round)])
        .storage(Storage::Memory);
    js.create_stream(&config, |_: &mut App, _, created| drop(created.expect("a stream")));
    let config = kv::Config::new().history(64).storage(Storage::Memory);
    js.key_value(&shared.bucket).create_bucket(config, |app: &mut App, _, created| {
        created.expect("a bucket");
        app.runs.push(Run::default());
    });
    turn_until(event_loop, app, "a stream and a bucket", |app| !app.runs.is_empty());
    app.runs.clear();
}

fn remove(event_loop: &EventLoop<App>, app: &mut App, shared: &Shared) {
    let js = shared.sound.jetstream();
    app.runs.clear();
    js.delete_stream(&shared.stream, |_: &mut App, _, deleted| deleted.expect("a stream"));
    js.key_value(&shared.bucket).delete_bucket(|app: &mut App, _, deleted| {
        deleted.expect("a bucket");
        app.runs.push(Run::default());
    });
    turn_until(event_loop, app, "they are gone", |app| !app.runs.is_empty());
}

/// What has to be so whatever went wrong.
fn check(run: &Run, nats: &Client<App>) {
    let seed = run.seed;
    assert!(run.ended, "seed {seed}: the client closed by itself");
    assert!(run.outcomes.iter().all(|count| *count == 1), "seed {seed}: {:?}", run.outcomes);
    assert_eq!(run.connects, 1, "seed {seed}: on_connect is for the first connection");
    assert_eq!(run.closes, 1, "seed {seed}: on_close runs once");
    assert_eq!(nats.state(), ConnectionState::Closed, "seed {seed}");
    assert_eq!(nats.request_count(), 0, "seed {seed}");
    assert_eq!(nats.subscription_count(), 0, "seed {seed}");
    if run.corrupt {
        return;
    }
    // one who publishes on one connection is heard in order
    assert!(run.received.is_sorted_by(|one, next| one < next), "seed {seed}: {:?}", run.received);
    // over several connections, a server may come late to what the first of them brought
    if run.reconnects == 0 {
        assert!(run.sent.is_sorted_by(|one, next| one < next), "seed {seed}: {:?}", run.sent);
        assert_eq!(run.sent.len() as u64, run.published, "seed {seed}: some are missing");
    }
    let mut once = run.sent.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), run.sent.len(), "seed {seed}: something was sent twice");
}

/// Reads the stream back, and compares it with what was acknowledged.
fn check_stream(event_loop: &EventLoop<App>, app: &mut App, shared: &Shared) {
    type Stored = HashMap<(usize, u64), Vec<u64>>;
    let stored: std::rc::Rc<std::cell::RefCell<Option<Stored>>> = Default::default();
    let left = std::rc::Rc::new(std::cell::Cell::new(usize::MAX));
    let (found, count) = (stored.clone(), left.clone());
    shared.sound.jetstream().stream_info(&shared.stream, move |_: &mut App, js, info| {
        let info = info.expect("a stream");
        found.replace(Some(Stored::new()));
        count.set(info.state.last_sequence as usize);
        for sequence in 1..=info.state.last_sequence {
            let (found, count) = (found.clone(), count.clone());
            let query = MessageQuery::Sequence(sequence);
            js.stored_message(&info.config.name, query, ReadFrom::Leader, move |_, _, message| {
                let message = message.expect("a message");
                let place =
                    message.subject().rsplit('.').next().and_then(|place| place.parse().ok());
                let text = String::from_utf8_lossy(message.payload()).into_owned();
                let number = text.split('.').next().and_then(|number| number.parse().ok());
                let key = (place.expect("a place"), number.expect("a number"));
                assert_eq!(text, payload(key.1), "message {sequence}");
                let mut found = found.borrow_mut();
                found.as_mut().expect("set").entry(key).or_default().push(sequence);
                count.set(count.get() - 1);
            });
        }
    });
    turn_until(event_loop, app, "the stream", |_| left.get() == 0);
    let stored = stored.take().expect("read");
    for (place, run) in app.runs.iter().enumerate() {
        let seed = run.seed;
        for (number, sequence) in &run.stored {
            let found = stored.get(&(place, *number));
            assert_eq!(found, Some(&vec![*sequence]), "seed {seed}: {number} was acknowledged");
        }
        for number in &run.never_sent {
            assert_eq!(stored.get(&(place, *number)), None, "seed {seed}: {number} was not sent");
        }
    }
    let twice = stored.iter().find(|(_, sequences)| sequences.len() > 1);
    let seed = |place: usize| app.runs[place].seed;
    assert_eq!(twice.map(|((place, number), _)| (seed(*place), number)), None, "seed, number");
}

/// Reads every acknowledged revision back.
fn check_bucket(event_loop: &EventLoop<App>, app: &mut App, shared: &Shared) {
    let kv = shared.sound.jetstream().key_value(&shared.bucket);
    let left = std::rc::Rc::new(std::cell::Cell::new(0));
    for run in &app.runs {
        for (key, value, revision) in run.put.clone() {
            left.set(left.get() + 1);
            let (seed, left) = (run.seed, left.clone());
            kv.get_revision(&key, revision, move |_, _, found| {
                let entry = found.expect("an answer");
                let text = entry.map(|entry| entry.text().into_owned());
                assert_eq!(text, Some(value), "seed {seed}: revision {revision}");
                left.set(left.get() - 1);
            });
        }
    }
    turn_until(event_loop, app, "the bucket", |_| left.get() == 0);
}

/// A client through a proxy that does nothing works.
fn check_clean_connection(setup: &Setup) {
    let proxy = FaultProxy::start(setup.port, |_| Vec::new());
    let mut app = App::default();
    let nats = setup.event_loop.connect(setup.options(&proxy)).expect("a client");
    nats.subscribe("clean", |_, nats, message| {
        nats.client().respond(message, "yes").expect("an answer")
    })
    .expect("a subscription");
    nats.request("clean", "?", |app: &mut App, nats, reply| {
        assert_eq!(reply.expect("a reply").text(), "yes");
        app.runs.push(Run::default());
        nats.close();
    });
    turn_until(&setup.event_loop, &mut app, "a reply", |app| app.runs.len() == 1);
}

/// Rounds until there were so many faults.
fn run(setup: &Setup, first_seed: u64, wanted: usize) {
    let (mut tally, mut seed, mut kept) = (Tally::default(), first_seed, Vec::new());
    while tally.faults < wanted {
        let memory = measure(|| round(setup, seed, &mut tally));
        kept.push(memory.bytes_current);
        seed += CLIENTS as u64;
    }
    check_clean_connection(setup);
    println!("{tally:?}, bytes kept by the rounds: {kept:?}");
    // tables have grown to their size in the first rounds
    let later = &kept[kept.len() / 2..];
    let left: i64 = later.iter().sum();
    assert!(left / (later.len() as i64) < 16 * 1024, "bytes kept by the rounds: {kept:?}");
    let hits = tally.reconnects as usize;
    assert!(hits > tally.faults / 20, "faults that hit nothing prove nothing: {tally:?}");
    assert!(tally.acknowledged > tally.not_acknowledged, "too much was lost: {tally:?}");
}

fn plain(wire: Wire) -> Setup {
    let server = Server::start();
    let url = server.url();
    Setup::new(wire, server, &url, |options| options)
}

#[test]
fn hundreds_of_faults_lose_nothing_that_was_acknowledged_and_leave_no_memory_behind() {
    run(&plain(Wire::Plain), 0, 1_500);
}

#[test]
fn bytes_that_were_changed_on_their_way_hang_nothing() {
    run(&plain(Wire::Garbled), 1_000_000, 600);
}

#[cfg(feature = "tls")]
#[test]
fn faults_of_every_kind_within_tls_lose_nothing_that_was_acknowledged() {
    use evnats_harness::{Certificates, ServerCertificate, TlsOptions};
    let certificates = Certificates::new();
    let tls = certificates.server_config(ServerCertificate::Valid, &TlsOptions::default());
    let server = Server::builder().config(tls).start().expect("a server");
    let (url, trusting) = (server.url(), evnats::Tls::new().ca_file(certificates.ca()));
    let dress = move |options: Options| options.tls(trusting.clone());
    run(&Setup::new(Wire::Encrypted, server, &url, dress), 2_000_000, 400);
}

#[cfg(feature = "websocket")]
#[test]
fn faults_of_a_websocket_lose_nothing_that_was_acknowledged() {
    let server = Server::builder().websocket().start().expect("a server");
    let url = server.websocket_url();
    run(&Setup::new(Wire::WebSocket, server, &url, |options| options), 3_000_000, 400);
}

/// The numbers of messages that a server has got, of a client whose writes were cut.
#[derive(Default)]
struct Cut {
    received: Vec<u64>,
    half: Vec<u64>,
    errors: Vec<String>,
    outcomes: Vec<(u64, Result<(), RequestError>)>,
}

fn last_number(subject: &str) -> u64 {
    subject.rsplit('.').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Fills the connection of a client until no more can be written, and ends it there. What the
/// sockets have taken is lost, what they have not taken arrives, and nothing is continued.
fn cut_a_write(
    server: &Server,
    len: usize,
    send: impl Fn(&Client<Cut>, &str, Vec<u8>, u64),
) -> Cut {
    const BYTES: usize = 16 << 20;
    let direction = Direction::ToServer;
    let proxy = FaultProxy::start(server.port(), move |index| match index {
        0 => vec![Fault::Stall { direction, at: 100_000 }],
        _ => Vec::new(),
    });
    let event_loop: EventLoop<Cut> = EventLoop::new().expect("an event loop");
    let mut cut = Cut::default();
    let sound = event_loop.connect(server.url()).expect("a client");
    let base = unique("cut");
    sound
        .subscribe(&format!("{base}.*"), move |cut: &mut Cut, sound, message| {
            assert!(message.payload().len() == len, "{} bytes", message.payload().len());
            cut.received.push(last_number(&message.subject()));
            sound.client().respond(message, "got it").expect("an answer");
        })
        .expect("a subscription");
    flush(&event_loop, &mut cut, &sound);
    let options = Options::new(proxy.url())
        .ping_interval(Duration::from_millis(100))
        .request_timeout(PATIENCE)
        .reconnect_jitter(Duration::ZERO)
        .reconnect_jitter_tls(Duration::ZERO);
    let nats = event_loop.connect(options).expect("a client");
    nats.on_error(|cut: &mut Cut, _, error| match error {
        ConnectionError::PublishFailed { subject, error: CommandError::HalfWritten } => {
            cut.half.push(last_number(subject));
        }
        other => cut.errors.push(other.to_string()),
    });
    turn_until(&event_loop, &mut cut, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    let count = (BYTES / len) as u64;
    for number in 0..count {
        send(&nats, &format!("{base}.{number}"), vec![b'x'; len], number);
    }
    turn_until(&event_loop, &mut cut, "another connection", |_| nats.statistics().reconnects == 1);
    send(&nats, &format!("{base}.{count}"), vec![b'x'; len], count);
    turn_until(&event_loop, &mut cut, "the last message", |cut| {
        cut.received.last() == Some(&count)
    });
    turn_until(&event_loop, &mut cut, "outcomes", |_| nats.request_count() == 0);
    flush(&event_loop, &mut cut, &nats);
    assert!(cut.received.is_sorted_by(|one, next| one < next), "order, and no duplicate");
    assert_eq!(nats.statistics().reconnects, 1, "the server understands what comes");
    assert_eq!(cut.errors, [""; 0]);
    cut
}

#[test]
fn a_write_that_was_cut_in_the_middle_is_never_continued() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let mut halves = 0;
    for len in [1_000, 10_007, 100_003, 1_000_000] {
        for is_given in [false, true] {
            let cut = cut_a_write(&server, len, |nats, subject, payload, _| {
                let published = match is_given {
                    true => nats.publish(subject, payload),
                    false => nats.publish(subject, &*payload),
                };
                published.expect("a publish");
            });
            assert!(cut.half.len() <= 1, "{:?}", cut.half);
            halves += cut.half.len();
            for half in &cut.half {
                let behind = cut.received.iter().position(|number| number > half);
                let behind = &cut.received[behind.expect("the last one")..];
                assert!(!cut.received.contains(half), "{half} was continued");
                // what stood behind it was not written, so it is not lost
                assert_eq!(behind[0], half + 1);
                assert!(behind.windows(2).all(|pair| pair[0] + 1 == pair[1]), "one is missing");
            }
        }
    }
    assert!(halves >= 4, "only {halves} of 8 were cut in the middle of a message");
}

#[test]
fn a_request_that_was_cut_in_the_middle_was_never_sent() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let mut never_sent = 0;
    for len in [10_007, 1_000_000] {
        let cut = cut_a_write(&server, len, |nats, subject, payload, number| {
            nats.request(subject, payload, move |cut: &mut Cut, _, outcome| {
                cut.outcomes.push((number, outcome.map(drop)));
            });
        });
        assert_eq!(cut.outcomes.len() as u64, (16 << 20) / len as u64 + 1);
        for (number, outcome) in &cut.outcomes {
            let is_received = cut.received.contains(number);
            match outcome {
                Ok(()) => assert!(is_received, "{number} was answered"),
                Err(RequestError::NeverSent) => assert!(!is_received, "{number} was never sent"),
                Err(error) => assert_eq!(*error, RequestError::OutcomeUnknown, "{number}"),
            }
        }
        let halves = cut.outcomes.iter().filter(|(_, one)| *one == Err(RequestError::NeverSent));
        never_sent += halves.count();
    }
    assert!(never_sent <= 2, "{never_sent}: one for each connection, at most");
    assert!(never_sent >= 1, "none was cut in the middle");
}

#[test]
fn failed_attempts_and_reconnects_leave_no_memory_behind() {
    const TIMES: u64 = 150;
    let server = Server::builder().jetstream(false).start().expect("a server");
    let proxy = FaultProxy::start(server.port(), |_| Vec::new());
    let event_loop: EventLoop<App> = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let options = Options::new(proxy.url()).reconnect_delay_with(|_| Duration::from_millis(1));
    let nats = event_loop.connect(options).expect("a client");
    nats.subscribe("nobody", |_, _, _| {}).expect("a subscription");
    flush(&event_loop, &mut app, &nats);
    let mut kept = Vec::new();
    for _ in 0..4 {
        let memory = measure(|| {
            proxy.refuse(true);
            proxy.cut_all();
            let attempts = proxy.connections() + TIMES as usize;
            turn_until(&event_loop, &mut app, "failed attempts", |_| {
                proxy.connections() >= attempts
            });
            proxy.refuse(false);
            turn_until(&event_loop, &mut app, "a connection", |_| {
                nats.state() == ConnectionState::Connected
            });
            for _ in 0..TIMES {
                let times = nats.statistics().reconnects + 1;
                nats.reconnect();
                turn_until(&event_loop, &mut app, "a reconnect", |_| {
                    nats.statistics().reconnects == times
                        && nats.state() == ConnectionState::Connected
                });
            }
            flush(&event_loop, &mut app, &nats);
        });
        kept.push(memory.bytes_current);
    }
    assert!(kept[1..].iter().sum::<i64>() < 16 * 1024, "{kept:?}");
    println!("{kept:?}");
}

/// What a watch and listings beside it have shown.
#[derive(Default)]
struct Watched {
    seed: u64,
    revisions: Vec<u64>,
    signals: usize,
    /// How often it ended before it was set up, and was begun anew.
    begun_anew: usize,
    listed: usize,
    refused: usize,
}

fn watch(kv: &kv::KeyValue<Vec<Watched>>, place: usize) {
    let options = kv::WatchOptions::new().heartbeat(Duration::from_millis(200));
    kv.watch(">", options, move |app: &mut Vec<Watched>, kv, update| {
        let watched = &mut app[place];
        match update {
            kv::Update::Entry(entry) => watched.revisions.push(entry.revision()),
            kv::Update::Initialized => watched.signals += 1,
            // once it is set up, a watch does not end; before, it is a request like others
            kv::Update::Ended(_) if kv.bucket().client().state() == ConnectionState::Closed => {}
            kv::Update::Ended(error) => {
                assert_eq!(watched.signals, 0, "seed {}: {error}", watched.seed);
                assert!(error.is_timeout(), "seed {}: {error}", watched.seed);
                watched.revisions.clear();
                watched.begun_anew += 1;
                watch(kv.bucket(), place);
            }
            _ => {}
        }
    });
}

/// Lists keys again and again: all that were there from the beginning, or an error.
fn list(kv: &kv::KeyValue<Vec<Watched>>, place: usize, first_keys: usize) {
    kv.keys_matching(&["first.*"], move |app: &mut Vec<Watched>, kv, keys| {
        let watched = &mut app[place];
        match keys {
            Ok(keys) => {
                assert_eq!(keys.len(), first_keys, "seed {}", watched.seed);
                watched.listed += 1;
            }
            Err(_) => watched.refused += 1,
        }
        if kv.client().state() != ConnectionState::Closed {
            let again = kv.clone();
            kv.client().handle().set_timer(Duration::from_millis(10), move |_, _| {
                list(&again, place, first_keys);
            });
        }
    });
}

#[test]
fn watches_under_faults_show_every_revision_once_and_in_order_and_listings_are_whole() {
    const FIRST: u64 = 20;
    const LATER: u64 = 180;
    let server = Server::start();
    let event_loop: EventLoop<Vec<Watched>> = EventLoop::new().expect("an event loop");
    let mut app: Vec<Watched> = Vec::new();
    let sound = event_loop.connect(server.url()).expect("a client");
    let mut hits = 0;
    for first_seed in [0, 1_000, 2_000] {
        let seeds = 4_000_000 + first_seed..4_000_000 + first_seed + CLIENTS as u64;
        app.clear();
        app.extend(seeds.clone().map(|seed| Watched { seed, ..Watched::default() }));
        let bucket = unique("watched");
        let write = sound.jetstream().key_value(&bucket);
        let stored = Rc::new(Cell::new(0));
        let config = kv::Config::new().storage(Storage::Memory);
        let put = |kv: &kv::KeyValue<Vec<Watched>>, key: String, stored: &Rc<Cell<u64>>| {
            let stored = stored.clone();
            kv.put(&key, payload(0), move |_, _, revision| {
                assert_eq!(revision.expect("a revision"), stored.get() + 1);
                stored.set(stored.get() + 1);
            });
        };
        let count = stored.clone();
        write.create_bucket(config, move |_: &mut Vec<Watched>, kv, created| {
            created.expect("a bucket");
            (0..FIRST).for_each(|number| put(kv, format!("first.{number}"), &count));
        });
        turn_until(&event_loop, &mut app, "first values", |_| stored.get() == FIRST);
        let proxies: Vec<_> = seeds
            .map(|seed| {
                FaultProxy::start(server.port(), move |index| Wire::Plain.faults(seed, index))
            })
            .collect();
        let mut clients = Vec::new();
        for (place, proxy) in proxies.iter().enumerate() {
            let options = Options::new(proxy.url())
                .retry_first_connect(true)
                .connect_timeout(Duration::from_millis(300))
                .request_timeout(Duration::from_millis(500))
                .ping_interval(Duration::from_millis(100))
                .reconnect_delay(Duration::from_millis(5))
                .max_reconnect_delay(Duration::from_millis(50))
                .reconnect_jitter(Duration::ZERO)
                .reconnect_jitter_tls(Duration::ZERO);
            let nats = event_loop.connect(options).expect("a client");
            let kv = nats.jetstream().key_value(&bucket);
            watch(&kv, place);
            list(&kv, place, FIRST as usize);
            clients.push(nats);
        }
        for number in 0..LATER {
            put(&write, format!("later.{number}"), &stored);
            let wanted = FIRST + number + 1;
            turn_until(&event_loop, &mut app, "values", |_| stored.get() == wanted);
        }
        let all: Vec<_> = (1..=FIRST + LATER).collect();
        let limit = Instant::now() + PATIENCE;
        let is_done = |watched: &Watched| {
            watched.revisions.last() == all.last() && watched.signals > 0 && watched.listed > 0
        };
        while !app.iter().all(is_done) && Instant::now() < limit {
            event_loop.dispatch(&mut app, Some(Duration::from_millis(50))).expect("a turn");
        }
        for (watched, nats) in app.iter().zip(&clients) {
            let Watched { seed, revisions, signals, begun_anew, listed, refused } = watched;
            let what = format!(
                "seed {seed}, begun anew {begun_anew}, {listed} listings, {refused} refused, {:?}",
                nats.state()
            );
            assert!(*revisions == all, "{what}: {:?}", gaps(revisions));
            assert_eq!(*signals, 1, "{what}");
            assert!(*listed > 0, "{what}");
            hits += nats.statistics().reconnects;
        }
        clients.iter().for_each(Client::close);
        turn_until(&event_loop, &mut app, "the end", |_| {
            clients.iter().all(|nats| nats.state() == ConnectionState::Closed)
        });
    }
    assert!(hits > 20, "faults that hit nothing prove nothing: {hits}");
}

/// Where a list of revisions does not go on with the next one.
fn gaps(revisions: &[u64]) -> Vec<(u64, u64)> {
    let pairs = revisions.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.filter(|(one, next)| one + 1 != *next).take(5).collect()
}
