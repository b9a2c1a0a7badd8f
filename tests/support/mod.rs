//! What the tests of the client share: one server for a test binary, and a loop with a time limit.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod asking;
pub mod buckets;
pub mod filled;
pub mod filled_bucket;
pub mod memory;
pub mod metas;
pub mod new_cluster;
pub mod objects;
pub mod seen;
pub mod session;
pub mod simulated;

use evnats::jetstream::{Error, ErrorCode, JetStream, Storage, StreamConfig};
use evnats::{Client, EventLoop, Options};
use evnats_harness::Server;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The binary's server. It ends with the process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start();
        keep_a_stream(&server);
        server
    })
}

/// Creates a stream that nobody deletes. With the last one of an account, servers remove its directory,
/// also if another test is about to have a stream stored in it.
fn keep_a_stream(server: &Server) {
    run_with(server.url().as_str(), |nats: &Client<()>| {
        let config = StreamConfig::new("KEPT").storage(Storage::Memory);
        nats.jetstream().create_stream(&config, |(), js, created| {
            created.expect("a stream");
            js.client().close();
        });
    });
}

/// Creates a stream for the subjects under its own name, and goes on with it.
pub fn with_stream_on(
    nats: &Client<Log>,
    adjust: impl FnOnce(StreamConfig) -> StreamConfig,
    go_on: impl FnOnce(&mut Log, &JetStream<Log>, &'static str) + 'static,
) {
    let name: &'static str = unique("S").leak();
    let config = StreamConfig::new(name).subjects([format!("{name}.>")]).allow_direct(true);
    let config = adjust(config);
    // now and then server 2.9 fails to make a store when many come and go
    new_cluster::create_stream(&nats.jetstream(), config, move |log, js, info| {
        assert_eq!((info.config.name.as_str(), info.state.messages), (name, 0));
        go_on(log, js, name);
    });
}

/// As [`with_stream_on`], with a client of the binary's server.
pub fn with_stream(
    adjust: impl FnOnce(StreamConfig) -> StreamConfig,
    go_on: impl FnOnce(&mut Log, &JetStream<Log>, &'static str) + 'static,
) -> Log {
    run(|nats| with_stream_on(nats, adjust, go_on))
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.expect_err("a refusal").api().expect("the server's words").err_code()
}

/// The prefix under which the guests of [`server_with_guests`] have the API.
pub const IMPORTED: &str = "owner";

/// A server whose JetStream belongs to `admin`. To `guest` it is another account's, imported, and
/// nothing tells its level before it is used: the question is not permitted, and `INFO` is about
/// the account at hand. What goes to `batched.>` is the owner's, too.
pub fn server_with_guests() -> Server {
    let config = "accounts { \
        OWNER { jetstream: enabled, users: [{user: admin, password: p}], \
            exports: [{service: \"$JS.API.>\"}, {service: \"batched.>\"}] }, \
        GUEST { users: [{user: guest, password: p, permissions: {publish: {deny: \"owner.INFO\"}}}], \
            imports: [{service: {account: OWNER, subject: \"$JS.API.>\"}, to: \"owner.>\"}, \
                {service: {account: OWNER, subject: \"batched.>\"}}] } }";
    Server::builder().config(config).start().expect("a server")
}

/// The address for a user of a server whose password is `p`.
pub fn url_for(server: &Server, user: &str) -> String {
    server.url().replace("://", &format!("://{user}:p@"))
}

/// The API level of the binary's server, as its version has it.
pub fn level() -> u32 {
    let version = server().version();
    match (version.major, version.minor) {
        (2, ..=10) => 0,
        (2, 11) => 1,
        (2, 12) => 2,
        (2, 13 | 14) => 4,
        _ => 5,
    }
}

/// What a test saw, in order.
pub type Log = Vec<String>;

/// Runs a client of the binary's server until nothing is left to do.
pub fn run<S: Default + 'static>(setup: impl FnOnce(&Client<S>)) -> S {
    run_with(server().url().as_str(), setup)
}

/// Runs a client with options of its own.
pub fn run_with<S: Default + 'static>(
    options: impl Into<Options>,
    setup: impl FnOnce(&Client<S>),
) -> S {
    let event_loop = EventLoop::new().expect("an event loop");
    let client = event_loop.connect(options).expect("a client");
    setup(&client);
    finish(&event_loop)
}

/// Runs a loop to its end, and fails if there is none.
pub fn finish<S: Default + 'static>(event_loop: &EventLoop<S>) -> S {
    let mut state = S::default();
    finish_with(event_loop, &mut state);
    state
}

/// As [`finish`], with a state that is there already.
pub fn finish_with<S: 'static>(event_loop: &EventLoop<S>, state: &mut S) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !event_loop.is_empty() {
        event_loop.dispatch(state, Some(Duration::from_secs(1))).expect("a turn");
        assert!(Instant::now() < limit, "the loop has not come to an end");
    }
}

/// Runs a loop until something is so, and fails if that takes too long.
#[track_caller]
pub fn turn_until<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    what: &str,
    mut is_so: impl FnMut(&mut S) -> bool,
) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !is_so(state) {
        event_loop.dispatch(state, Some(Duration::from_millis(50))).expect("a turn");
        assert!(Instant::now() < limit, "not within a minute: {what}");
    }
}

/// Panics, as an expression of the type that a callback has to have.
pub fn fail(text: impl std::fmt::Display) {
    panic!("{text}")
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Has a client write down what happens to its connection, a line each: `connected`,
/// `disconnected: REASON`, `reconnected`, `closed: REASON`, `error: TEXT`.
pub fn note_events<S: AsMut<Log> + 'static>(nats: &Client<S>) {
    nats.on_connect(|state: &mut S, _, _| state.as_mut().push("connected".into()));
    nats.on_reconnect(|state, _, _| state.as_mut().push("reconnected".into()));
    nats.on_disconnect(|state, _, reason| state.as_mut().push(format!("disconnected: {reason}")));
    nats.on_close(|state, _, reason| state.as_mut().push(format!("closed: {reason}")));
    nats.on_error(|state, _, error| state.as_mut().push(format!("error: {error}")));
}

/// What of it is no error, without the reasons.
pub fn steps(log: &[String]) -> Vec<&str> {
    let steps = log.iter().filter(|line| !line.starts_with("error: "));
    steps.map(|line| line.split(':').next().unwrap_or_default()).collect()
}

/// Turns a loop until the server has read everything, and everything from it has had its callback.
#[track_caller]
pub fn flush<S: 'static>(event_loop: &EventLoop<S>, state: &mut S, nats: &Client<S>) {
    let outcome = std::rc::Rc::new(std::cell::Cell::new(None));
    let given = outcome.clone();
    nats.flush(move |_, _, flushed| given.set(Some(flushed)));
    let mut flushed = None;
    turn_until(event_loop, state, "a flush", |_| {
        flushed = outcome.take();
        flushed.is_some()
    });
    assert_eq!(flushed, Some(Ok(())), "a flush");
}

/// Compares two long lists, and shows no more of them than is needed.
#[track_caller]
pub fn assert_same<T: PartialEq + std::fmt::Debug>(actual: &[T], expected: &[T]) {
    let same = actual.iter().zip(expected).take_while(|(one, other)| one == other).count();
    let show = |list: &[T]| format!("{:?}", list[same..].iter().take(5).collect::<Vec<_>>());
    assert!(
        same == actual.len() && same == expected.len(),
        "{} items, and {} expected; the first {same} are right, then come {} in the place of {}",
        actual.len(),
        expected.len(),
        show(actual),
        show(expected),
    );
}
