//! Lost connections on real servers: what is restored, what is reported where, and where the client
//! goes. What needs no server is tested in virtual time with the protocol.

mod support;

use evnats::jetstream::{MessageQuery, ReadFrom, StreamConfig};
use evnats::{
    Client, CommandError, ConnectionError, ConnectionState, Credentials, DisconnectReason,
    EventLoop, FlushError, Options, PendingLimits, RequestError, ServerErrorKind, Subscription, kv,
};
use evnats_harness::{Cluster, Direction, Fault, FaultProxy, ReservedPort, ScriptedServer, Server};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::new_cluster::create_stream;
use support::{Log, assert_same, fail, finish_with, flush, note_events, steps, turn_until, unique};

#[derive(Default)]
struct App {
    log: Log,
    numbers: Vec<u64>,
    others: Vec<u64>,
    outcomes: Log,
}

impl AsMut<Log> for App {
    fn as_mut(&mut self) -> &mut Log {
        &mut self.log
    }
}

impl App {
    fn has(&self, line: &str) -> bool {
        self.log.iter().any(|logged| logged.starts_with(line))
    }

    fn count(&self, line: &str) -> usize {
        self.log.iter().filter(|logged| logged.starts_with(line)).count()
    }
}

const SHORT: Duration = Duration::from_millis(20);

/// Options for a client that does not let tests wait.
fn quick(servers: impl Into<String>) -> Options {
    Options::new(servers)
        .randomize_servers(false)
        .reconnect_delay(SHORT)
        .max_reconnect_delay(4 * SHORT)
        .reconnect_jitter(Duration::ZERO)
        .reconnect_jitter_tls(Duration::ZERO)
}

fn event_loop() -> EventLoop<App> {
    EventLoop::new().expect("an event loop")
}

/// A client that writes down what happens to it.
fn connect(event_loop: &EventLoop<App>, options: impl Into<Options>) -> Client<App> {
    let nats = event_loop.connect(options).expect("a client");
    note_events(&nats);
    nats
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).expect("text").parse().expect("a number")
}

fn publish(nats: &Client<App>, subject: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        nats.publish(subject, number.to_string()).expect("a publish");
    }
}

fn subscribe(nats: &Client<App>, subject: &str) -> Subscription<App> {
    let subscription =
        nats.subscribe(subject, |app, _, message| app.numbers.push(number(message.payload())));
    subscription.expect("a subscription")
}

fn echo(nats: &Client<App>, subject: &str) {
    nats.subscribe(subject, |_, nats, message| {
        nats.client().respond(message, message.payload()).expect("an answer");
    })
    .expect("a subscription");
}

/// Sends a request and writes down what becomes of it.
fn ask(nats: &Client<App>, subject: &str, payload: &'static str) {
    nats.request(subject, payload, move |app: &mut App, _, outcome| {
        app.outcomes.push(match outcome {
            Ok(reply) => format!("{payload}: {}", reply.text()),
            Err(error) => format!("{payload}: {error}"),
        });
    });
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

fn reconnects(nats: &Client<App>) -> u64 {
    nats.statistics().reconnects
}

fn until_reconnected(event_loop: &EventLoop<App>, app: &mut App, nats: &Client<App>, times: u64) {
    turn_until(event_loop, app, "a reconnect", |_| {
        reconnects(nats) == times && nats.state() == ConnectionState::Connected
    });
}

fn until_lost(event_loop: &EventLoop<App>, app: &mut App, nats: &Client<App>) {
    turn_until(event_loop, app, "a disconnect", |_| nats.state() == ConnectionState::Reconnecting);
}

fn port_of(nats: &Client<App>) -> u16 {
    nats.server_info().expect("connected").port
}

// ---- one server -----------------------------------------------------------------------------------

/// What has to work after a server was away, however it went.
fn everything_survives(away: impl FnOnce(&mut Server, &EventLoop<App>, &mut App, &Client<App>)) {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(server.url())
        .ping_interval(Duration::from_millis(100))
        .connect_timeout(Duration::from_millis(500));
    let nats = connect(&event_loop, options);
    let (subject, service) = (unique("numbers"), unique("service"));
    subscribe(&nats, &subject);
    for _ in 0..2 {
        nats.queue_subscribe(&subject, "workers", |app, _, message| {
            app.others.push(number(message.payload()));
        })
        .expect("a subscription");
    }
    let ended = nats.subscribe(&subject, |_, _, _| fail("it has ended")).expect("one more");
    assert!(ended.unsubscribe());
    echo(&nats, &service);
    ask(&nats, &service, "before");
    publish(&nats, &subject, 0..10);
    turn_until(&event_loop, &mut app, "an answer", |app| app.outcomes.len() == 1);
    flush(&event_loop, &mut app, &nats);

    away(&mut server, &event_loop, &mut app, &nats);
    until_reconnected(&event_loop, &mut app, &nats, 1);
    ask(&nats, &service, "after");
    publish(&nats, &subject, 10..20);
    turn_until(&event_loop, &mut app, "an answer", |app| app.outcomes.len() == 2);
    flush(&event_loop, &mut app, &nats);

    assert_eq!(app.numbers, numbers(0..20));
    assert_eq!(app.others, numbers(0..20), "of the group, one member had each");
    assert_eq!(app.outcomes, ["before: before", "after: after"]);
    assert_eq!(nats.subscription_count(), 4);
    nats.close();
    finish_with(&event_loop, &mut app);
    let expected = ["connected", "disconnected", "reconnected", "disconnected", "closed"];
    assert_eq!(steps(&app.log), expected, "{:?}", app.log);
}

#[test]
fn a_server_restart_is_one_reconnect_and_everything_is_alive_after_it() {
    everything_survives(|server, _, _, _| server.restart());
}

#[test]
fn a_killed_server_is_one_reconnect_and_everything_is_alive_after_it() {
    everything_survives(|server, event_loop, app, nats| {
        server.kill9();
        until_lost(event_loop, app, nats);
        turn_until(event_loop, app, "failed attempts", |app| app.count("error: ") >= 3);
        server.start_again();
    });
}

#[test]
fn a_server_that_is_frozen_is_left_as_stale_and_taken_back() {
    everything_survives(|server, event_loop, app, nats| {
        server.pause();
        until_lost(event_loop, app, nats);
        assert!(app.has("disconnected: stale connection"), "{:?}", app.log);
        turn_until(event_loop, app, "a failed attempt", |app| app.has("error: "));
        assert!(app.log.iter().any(|line| line.ends_with("connect timed out")), "{:?}", app.log);
        server.resume();
    });
}

#[test]
fn requests_in_flight_are_unknown_and_those_made_while_down_are_answered_after() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    let (silent, service) = (unique("silent"), unique("service"));
    nats.subscribe(&silent, |app: &mut App, _, _| app.numbers.push(0)).expect("a subscription");
    echo(&nats, &service);
    for _ in 0..3 {
        ask(&nats, &silent, "in flight");
    }
    turn_until(&event_loop, &mut app, "the requests", |app| app.numbers.len() == 3);
    assert_eq!(nats.request_count(), 3);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    turn_until(&event_loop, &mut app, "outcomes", |app| app.outcomes.len() == 3);
    assert_eq!(app.outcomes, ["in flight: disconnected, outcome unknown"; 3]);
    app.outcomes.clear();
    ask(&nats, &service, "while down");
    assert_eq!(nats.request_count(), 1);
    server.start_again();
    turn_until(&event_loop, &mut app, "an answer", |app| !app.outcomes.is_empty());
    assert_eq!(app.outcomes, ["while down: while down"]);
    assert_eq!(nats.request_count(), 0);
}

#[test]
fn a_request_made_while_down_that_nobody_waits_for_any_more_is_not_sent() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).request_timeout(SHORT));
    let service = unique("service");
    nats.subscribe(&service, |app, _, m| app.numbers.push(number(m.payload()))).expect("one");
    turn_until(&event_loop, &mut app, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    ask(&nats, &service, "1");
    turn_until(&event_loop, &mut app, "an outcome", |app| !app.outcomes.is_empty());
    assert_eq!(app.outcomes, [format!("1: {}", RequestError::NeverSent)]);
    publish(&nats, &service, 2..3);
    server.start_again();
    turn_until(&event_loop, &mut app, "a message", |app| !app.numbers.is_empty());
    assert_eq!(app.numbers, [2]);
}

#[test]
fn what_is_published_while_down_arrives_after_in_order_and_once() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    let (old, new) = (unique("old"), unique("new"));
    subscribe(&nats, &old);
    flush(&event_loop, &mut app, &nats);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    // a subscription made while down has what is published after it
    nats.subscribe(&new, |app, _, m| app.others.push(number(m.payload()))).expect("a subscription");
    for number in 0..1000 {
        publish(&nats, &old, number..number + 1);
        publish(&nats, &new, number..number + 1);
    }
    server.start_again();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    flush(&event_loop, &mut app, &nats);
    assert_same(&app.numbers, &numbers(0..1000));
    assert_same(&app.others, &numbers(0..1000));
    assert_eq!(nats.buffered(), 0);
}

#[test]
fn the_reconnect_buffer_refuses_what_is_beyond_it_and_says_when_there_is_room() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).reconnect_buffer(1000));
    nats.on_writable(|app, _| app.outcomes.push("writable".into()));
    let subject = unique("numbers");
    subscribe(&nats, &subject);
    flush(&event_loop, &mut app, &nats);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    let mut taken = 0;
    let refused = loop {
        match nats.publish(&subject, taken.to_string().into_bytes()) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1000, "the buffer has no limit");
    };
    let evnats::Error::Command(CommandError::BufferFull { payload, limit }) = refused else {
        panic!("{refused}");
    };
    assert_eq!((payload.as_ref(), limit), (taken.to_string().as_bytes(), 1000));
    // the head of the last message may go beyond
    assert!(nats.buffered() <= 1100, "{} bytes are buffered", nats.buffered());
    assert!(taken > 10, "{taken} messages fit into 1000 bytes");
    server.start_again();
    turn_until(&event_loop, &mut app, "room", |app| !app.outcomes.is_empty());
    publish(&nats, &subject, taken..taken + 5);
    flush(&event_loop, &mut app, &nats);
    assert_same(&app.numbers, &numbers(0..taken + 5));
    assert_eq!(app.outcomes, ["writable"]);
}

#[test]
fn without_a_reconnect_buffer_publishes_and_requests_fail_at_once_and_subscriptions_are_taken() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).reconnect_buffer(0));
    let subject = unique("numbers");
    turn_until(&event_loop, &mut app, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    let refused = nats.publish(&subject, b"1".to_vec()).expect_err("no buffer");
    let evnats::Error::Command(CommandError::NotConnected { payload }) = refused else {
        panic!("{refused}");
    };
    assert_eq!(payload.as_ref(), b"1");
    ask(&nats, &subject, "2");
    turn_until(&event_loop, &mut app, "an outcome", |app| !app.outcomes.is_empty());
    assert_eq!(app.outcomes, ["2: not connected, and nothing is buffered meanwhile"]);
    subscribe(&nats, &subject);
    server.start_again();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    publish(&nats, &subject, 3..4);
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.numbers, [3]);
}

#[test]
fn auto_unsubscribe_counts_what_came_before_and_after_a_restart() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    let subject = unique("numbers");
    let early = subscribe(&nats, &subject);
    early.unsubscribe_after(10).expect("limited");
    let late = nats.subscribe(&subject, |app, _, m| app.others.push(number(m.payload())));
    let late = late.expect("a subscription");
    publish(&nats, &subject, 0..4);
    flush(&event_loop, &mut app, &nats);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    late.unsubscribe_after(7).expect("limited while down");
    server.start_again();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    publish(&nats, &subject, 4..30);
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.numbers, numbers(0..10));
    assert_eq!(app.others, numbers(0..7));
    assert_eq!(nats.subscription_count(), 0);
    assert_eq!(nats.statistics().late_messages, 0, "the server has counted too");
}

#[test]
fn flush_waiters_fail_with_the_connection_and_those_set_while_down_are_passed_after() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    flush(&event_loop, &mut app, &nats);
    server.pause();
    let set = |name: &'static str| {
        nats.flush(move |app: &mut App, _, outcome| {
            app.outcomes.push(match outcome {
                Ok(()) => format!("{name}: passed"),
                Err(FlushError::Disconnected) => format!("{name}: disconnected"),
                Err(error) => format!("{name}: {error}"),
            });
        });
    };
    set("first");
    set("second");
    turn_until(&event_loop, &mut app, "the pings to be written", |_| nats.buffered() == 0);
    server.kill9();
    turn_until(&event_loop, &mut app, "outcomes", |app| app.outcomes.len() == 2);
    set("while down");
    server.start_again();
    turn_until(&event_loop, &mut app, "a fence", |app| app.outcomes.len() == 3);
    let expected = ["first: disconnected", "second: disconnected", "while down: passed"];
    assert_eq!(app.outcomes, expected);
}

#[test]
fn a_drain_while_down_waits_for_the_connection_and_delivers() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let proxy = FaultProxy::start(server.port(), |_| Vec::new());
    let (event_loop, mut app) = (event_loop(), App::default());
    let subject = unique("numbers");
    let receiver = event_loop.connect(server.url()).expect("a client");
    subscribe(&receiver, &subject);
    flush(&event_loop, &mut app, &receiver);
    let nats = connect(&event_loop, quick(proxy.url()));
    turn_until(&event_loop, &mut app, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    proxy.refuse(true);
    proxy.cut_all();
    until_lost(&event_loop, &mut app, &nats);
    publish(&nats, &subject, 0..50);
    nats.drain();
    assert_eq!(nats.state(), ConnectionState::Draining);
    turn_until(&event_loop, &mut app, "failed attempts", |app| app.count("error: ") >= 2);
    assert!(app.numbers.is_empty());
    proxy.refuse(false);
    turn_until(&event_loop, &mut app, "the end", |app| app.has("closed"));
    flush(&event_loop, &mut app, &receiver);
    assert_eq!(app.numbers, numbers(0..50));
    assert_eq!(app.log.last().map(String::as_str), Some("closed: drained"), "{:?}", app.log);
}

#[test]
fn a_drain_while_down_ends_when_its_time_is_up() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).drain_timeout(5 * SHORT));
    flush(&event_loop, &mut app, &nats);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    publish(&nats, "nobody", 0..2);
    nats.drain();
    finish_with(&event_loop, &mut app);
    let end = &app.log[app.log.len() - 2..];
    assert_eq!(end, ["error: 2 published messages were never sent", "closed: drain timed out"]);
}

#[test]
fn closing_while_reconnecting_ends_the_loop_and_tells_everybody() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    flush(&event_loop, &mut app, &nats);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    turn_until(&event_loop, &mut app, "failed attempts", |app| app.count("error: ") >= 2);
    publish(&nats, "nobody", 0..3);
    ask(&nats, "nobody", "asked");
    nats.close();
    finish_with(&event_loop, &mut app);
    assert_eq!(app.outcomes, ["asked: disconnected, the request was never sent"]);
    assert_eq!(steps(&app.log), ["connected", "disconnected", "closed"]);
    let end = &app.log[app.log.len() - 2..];
    assert_eq!(end, ["error: 3 published messages were never sent", "closed: closed"]);
    assert_eq!(nats.state(), ConnectionState::Closed);
    assert!(matches!(nats.publish("x", ""), Err(evnats::Error::Command(CommandError::Closed))));
}

#[test]
fn the_state_is_what_the_callbacks_say() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = event_loop.connect(quick(server.url())).expect("a client");
    let note = |app: &mut App, nats: &Client<App>, what: &str| {
        app.log.push(format!("{what} {:?}", nats.state()));
    };
    nats.on_connect(move |app, nats, _| note(app, nats, "connect"));
    nats.on_disconnect(move |app, nats, _| note(app, nats, "disconnect"));
    nats.on_reconnect(move |app, nats, _| note(app, nats, "reconnect"));
    nats.on_close(move |app, nats, _| note(app, nats, "close"));
    assert_eq!(nats.state(), ConnectionState::Connecting);
    flush(&event_loop, &mut app, &nats);
    server.restart();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    nats.drain();
    assert_eq!(nats.state(), ConnectionState::Draining);
    finish_with(&event_loop, &mut app);
    let expected = [
        "connect Connected",
        "disconnect Reconnecting",
        "reconnect Connected",
        "disconnect Closed",
        "close Closed",
    ];
    assert_eq!(app.log, expected);
    assert_eq!(nats.statistics().reconnects, 1);
}

#[test]
fn a_client_that_does_not_reconnect_closes_with_the_reason() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).reconnect(false));
    flush(&event_loop, &mut app, &nats);
    server.kill9();
    finish_with(&event_loop, &mut app);
    assert_eq!(steps(&app.log), ["connected", "disconnected", "closed"]);
    let reason = |line: usize| app.log[line].split_once(": ").map(|(_, reason)| reason);
    assert_eq!(reason(1), reason(2));
}

// ---- the first connection -------------------------------------------------------------------------

#[test]
fn retry_first_connect_waits_for_a_server_that_comes_up_later() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    server.stop();
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).retry_first_connect(true));
    let subject = unique("numbers");
    subscribe(&nats, &subject);
    publish(&nats, &subject, 0..5);
    turn_until(&event_loop, &mut app, "failed attempts", |app| app.count("error: ") >= 3);
    assert_eq!(nats.state(), ConnectionState::Connecting);
    server.start_again();
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.numbers, numbers(0..5));
    assert_eq!(steps(&app.log), ["connected"], "the first connection is no reconnect");
    assert_eq!(reconnects(&nats), 0);
}

#[test]
fn retry_first_connect_goes_on_after_an_authentication_error() {
    let config = "authorization { token: \"right\" }\n";
    let server = Server::builder().jetstream(false).config(config).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let options = quick(server.url()).retry_first_connect(true).credentials_with(move |_| {
        Ok(Credentials::token(if count.fetch_add(1, Relaxed) == 0 { "wrong" } else { "right" }))
    });
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    assert_eq!(asked.load(Relaxed), 2);
    assert_eq!(app.log.len(), 2, "{:?}", app.log);
    assert!(app.log[0].contains("Authorization Violation"), "{:?}", app.log);
}

#[test]
fn without_retries_the_first_connection_tries_every_server_once() {
    let ports: Vec<_> = (0..3).map(|_| ReservedPort::any().expect("a free port")).collect();
    let urls: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{}", port.port())).collect();
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(urls.join(",")));
    let failed = Rc::new(RefCell::new(Vec::new()));
    let noted = failed.clone();
    nats.on_error(move |_, _, error| match error {
        ConnectionError::ConnectFailed { server, reason: DisconnectReason::Transport { .. } } => {
            noted.borrow_mut().push(server.clone());
        }
        other => panic!("{other}"),
    });
    ask(&nats, "nobody", "asked");
    finish_with(&event_loop, &mut app);
    let expected: Vec<_> = urls.iter().map(|url| format!("nats://{url}")).collect();
    assert_eq!(*failed.borrow(), expected);
    assert_eq!(app.outcomes, ["asked: disconnected, the request was never sent"]);
    assert_eq!(steps(&app.log), ["closed"]);
}

// ---- how often, how fast, and where to ------------------------------------------------------------

#[test]
fn max_reconnects_are_counted_for_each_server_and_then_no_server_is_left() {
    let mut servers = [0, 1].map(|_| Server::builder().jetstream(false).start().expect("a server"));
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(servers.each_ref().map(Server::url).join(",")).max_reconnects(2);
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    servers.iter_mut().for_each(Server::stop);
    finish_with(&event_loop, &mut app);
    for server in &servers {
        let tried = app.log.iter().filter(|line| line.contains(&server.port().to_string()));
        assert_eq!(tried.filter(|line| line.starts_with("error: ")).count(), 2, "{:?}", app.log);
    }
    assert_eq!(app.log.last().map(String::as_str), Some("closed: no server is left to try"));
}

#[test]
fn a_delay_of_ones_own_is_asked_for_with_the_number_of_passes() {
    let port = ReservedPort::any().expect("a free port");
    let (event_loop, mut app) = (event_loop(), App::default());
    let passes = Arc::new(Mutex::new(Vec::new()));
    let noted = passes.clone();
    let options = quick(format!("127.0.0.1:{}", port.port()))
        .retry_first_connect(true)
        .reconnect_delay_with(move |pass| {
            noted.lock().expect("no panic").push(pass);
            Duration::from_millis(1)
        });
    let nats = connect(&event_loop, options);
    turn_until(&event_loop, &mut app, "attempts", |app| app.log.len() == 5);
    nats.close();
    finish_with(&event_loop, &mut app);
    assert_eq!(*passes.lock().expect("no panic"), [1, 2, 3, 4, 5]);
}

#[test]
fn a_delay_of_zero_does_not_spin() {
    let port = ReservedPort::any().expect("a free port");
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(format!("127.0.0.1:{}", port.port()))
        .retry_first_connect(true)
        .reconnect_delay_with(|_| Duration::ZERO);
    let nats = connect(&event_loop, options);
    let closing = nats.clone();
    nats.handle().set_timer(Duration::from_millis(300), move |_, _| closing.close());
    let began = Instant::now();
    finish_with(&event_loop, &mut app);
    let attempts = app.count("error: ");
    // a millisecond each, and on a busy machine fewer
    let most = began.elapsed().as_millis() as usize + 2;
    assert!((2..=most).contains(&attempts), "{attempts} attempts in {most} ms");
}

#[test]
fn choose_server_says_which_server_is_next() {
    let dead = ReservedPort::any().expect("a free port");
    let [mut first, mut second] =
        [0, 1].map(|_| Server::builder().jetstream(false).start().expect("a server"));
    let ports = [first.port(), dead.port(), second.port()];
    let urls = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let (event_loop, mut app) = (event_loop(), App::default());
    let (seen, wanted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (note, goal) = (seen.clone(), wanted.clone());
    let options = quick(urls).choose_server(move |servers| {
        let known: Vec<_> = servers.iter().map(|server| server.url.port()).collect();
        note.lock().expect("no panic").push(known.clone());
        known.iter().position(|port| usize::from(*port) == goal.load(Relaxed))
    });
    wanted.store(ports[2].into(), Relaxed);
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    assert_eq!(port_of(&nats), ports[0], "the first one is not chosen");
    first.stop();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    assert_eq!(port_of(&nats), ports[2]);
    assert_eq!(*seen.lock().expect("no panic"), [vec![ports[0], ports[1], ports[2]]]);
    assert!(!app.has("error: "), "the one between them was passed over: {:?}", app.log);
    // nothing chosen: the usual order, which is the longest untried one
    wanted.store(0, Relaxed);
    first.start_again();
    second.stop();
    until_reconnected(&event_loop, &mut app, &nats, 2);
    assert_eq!(port_of(&nats), ports[0]);
    assert_eq!(seen.lock().expect("no panic")[1][0], ports[2], "the last one tried comes first");
}

#[test]
fn set_servers_replaces_the_servers_and_keeps_the_connection() {
    let [mut first, second] =
        [0, 1].map(|_| Server::builder().jetstream(false).start().expect("a server"));
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(first.url()));
    flush(&event_loop, &mut app, &nats);
    assert!(nats.set_servers(["nats://[broken"]).is_err(), "it cannot be used");
    nats.set_servers([second.url()]).expect("a server");
    flush(&event_loop, &mut app, &nats);
    assert_eq!(port_of(&nats), first.port(), "the connection is kept");
    first.stop();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    assert_eq!(port_of(&nats), second.port());
    let known: Vec<_> = nats.servers().iter().map(|server| server.url.port()).collect();
    assert_eq!(known, [second.port()]);
    assert_eq!(steps(&app.log), ["connected", "disconnected", "reconnected"]);
    assert!(!app.has("error: "), "the old one was tried again: {:?}", app.log);
}

#[test]
fn a_forced_reconnect_can_be_repeated() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    // the usual pause would be noticed
    let long = Duration::from_secs(3600);
    let options = Options::new(server.url()).reconnect_delay(long).max_reconnect_delay(long);
    let nats = connect(&event_loop, options);
    let subject = unique("numbers");
    subscribe(&nats, &subject);
    flush(&event_loop, &mut app, &nats);
    for round in 1..=5 {
        nats.reconnect();
        nats.reconnect();
        until_reconnected(&event_loop, &mut app, &nats, round);
        nats.publish(&subject, round.to_string()).expect("a publish");
        flush(&event_loop, &mut app, &nats);
    }
    assert_eq!(app.numbers, numbers(1..6));
    assert_eq!(app.count("disconnected: reconnecting"), 5, "{:?}", app.log);
    assert!(!app.has("error: "), "{:?}", app.log);
}

#[test]
fn a_forced_reconnect_ends_the_pause_between_attempts() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let long = Duration::from_secs(3600);
    let nats = connect(
        &event_loop,
        Options::new(server.url()).reconnect_delay(long).max_reconnect_delay(long),
    );
    flush(&event_loop, &mut app, &nats);
    server.stop();
    until_lost(&event_loop, &mut app, &nats);
    server.start_again();
    nats.reconnect();
    until_reconnected(&event_loop, &mut app, &nats, 1);
}

#[test]
fn too_many_connections_is_no_reason_to_stop() {
    let config = "max_connections: 1\n";
    let server = Server::builder().jetstream(false).config(config).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    // who has asked whether the server is ready may not be gone yet
    let first = event_loop.connect(quick(server.url()).retry_first_connect(true));
    let first = first.expect("a client");
    flush(&event_loop, &mut app, &first);
    let nats = event_loop.connect(quick(server.url()).retry_first_connect(true)).expect("a client");
    nats.on_error(|app: &mut App, _, error| match error {
        ConnectionError::ConnectFailed { reason: DisconnectReason::Server(error), .. } => {
            assert_eq!(error.kind(), ServerErrorKind::TooManyConnections);
            app.numbers.push(1);
        }
        other => panic!("{other}"),
    });
    turn_until(&event_loop, &mut app, "refusals", |app| app.numbers.len() >= 4);
    first.close();
    flush(&event_loop, &mut app, &nats);
}

#[test]
fn requests_that_are_kept_are_answered_on_the_next_connection() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let proxy = FaultProxy::start(server.port(), |_| Vec::new());
    let (event_loop, mut app) = (event_loop(), App::default());
    let service = unique("service");
    let responder = event_loop.connect(server.url()).expect("a client");
    let replies = Rc::new(RefCell::new(Vec::new()));
    let noted = replies.clone();
    responder
        .subscribe(&service, move |_: &mut App, _, message| {
            noted.borrow_mut().push(message.reply().expect("a request").into_owned());
        })
        .expect("a subscription");
    flush(&event_loop, &mut app, &responder);
    let nats = connect(&event_loop, quick(proxy.url()).keep_requests(true));
    ask(&nats, &service, "kept");
    turn_until(&event_loop, &mut app, "the request", |_| !replies.borrow().is_empty());
    proxy.reset_all();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    flush(&event_loop, &mut app, &nats);
    assert_eq!((app.outcomes.len(), nats.request_count()), (0, 1), "it waits");
    responder.publish(&replies.borrow()[0], "late").expect("an answer");
    turn_until(&event_loop, &mut app, "the reply", |app| !app.outcomes.is_empty());
    assert_eq!(app.outcomes, ["kept: late"]);
    assert_eq!(replies.borrow().len(), 1, "it was sent once");
}

// ---- commands and panics in callbacks -------------------------------------------------------------

#[test]
fn a_buffer_that_was_full_when_the_connection_was_lost_has_room_again_after_it() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let direction = Direction::ToServer;
    let proxy = FaultProxy::start(server.port(), move |index| match index {
        0 => vec![Fault::Stall { direction, at: 10_000 }],
        _ => Vec::new(),
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(proxy.url())
        .outgoing_limit(2 << 20)
        .outgoing_low_water(1 << 20)
        .ping_interval(Duration::from_millis(100));
    let nats = connect(&event_loop, options);
    nats.on_writable(|app, _| app.outcomes.push("writable".into()));
    turn_until(&event_loop, &mut app, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    let payload = vec![b'x'; 100_000];
    // until neither the sockets nor the buffer take any more
    let is_full = (0..1000).any(|_| {
        let published = nats.publish("nobody", &*payload);
        matches!(published, Err(evnats::Error::Command(CommandError::BufferFull { .. })))
    });
    assert!(is_full, "100 MB have gone somewhere");
    turn_until(&event_loop, &mut app, "room", |app| !app.outcomes.is_empty());
    assert_eq!(reconnects(&nats), 1, "there is none before the next connection");
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.outcomes, ["writable"]);
    assert!(!app.has("error: ") || app.count("error: ") == 1, "{:?}", app.log);
}

#[test]
fn a_client_may_be_closed_drained_or_reconnected_in_any_of_its_callbacks() {
    type Command = fn(&Client<App>);
    type Expected = &'static [&'static str];
    let server = Server::builder().jetstream(false).start().expect("a server");
    let table: [(&str, Command, Expected); 9] = [
        ("connect", Client::close, &["connected", "disconnected", "closed"]),
        ("connect", Client::drain, &["connected", "disconnected", "closed"]),
        ("connect", Client::reconnect, &["connected", "disconnected", "reconnected"]),
        ("disconnect", Client::close, &["connected", "disconnected", "closed"]),
        (
            "disconnect",
            Client::drain,
            &["connected", "disconnected", "reconnected", "disconnected", "closed"],
        ),
        ("disconnect", Client::reconnect, &["connected", "disconnected", "reconnected"]),
        (
            "reconnect",
            Client::close,
            &["connected", "disconnected", "reconnected", "disconnected", "closed"],
        ),
        (
            "reconnect",
            Client::drain,
            &["connected", "disconnected", "reconnected", "disconnected", "closed"],
        ),
        (
            "reconnect",
            Client::reconnect,
            &["connected", "disconnected", "reconnected", "disconnected", "reconnected"],
        ),
    ];
    for (place, command, expected) in table {
        let proxy = FaultProxy::start(server.port(), |_| Vec::new());
        let (event_loop, mut app) = (event_loop(), App::default());
        let nats = event_loop.connect(quick(proxy.url())).expect("a client");
        let is_first = Rc::new(Cell::new(true));
        let step = move |app: &mut App, nats: &Client<App>, name: &str, line: &str| {
            app.log.push(line.into());
            if name == place && is_first.replace(false) {
                command(nats);
            }
        };
        let (one, two, three) = (step.clone(), step.clone(), step);
        nats.on_connect(move |app, nats, _| one(app, nats, "connect", "connected"));
        nats.on_disconnect(move |app, nats, _| two(app, nats, "disconnect", "disconnected"));
        nats.on_reconnect(move |app, nats, _| three(app, nats, "reconnect", "reconnected"));
        nats.on_close(|app, _, _| app.log.push("closed".into()));
        turn_until(&event_loop, &mut app, "a connection", |app| !app.log.is_empty());
        if place != "connect" {
            proxy.cut_all();
        }
        turn_until(&event_loop, &mut app, "the steps", |app| app.log.len() >= expected.len());
        assert_eq!(app.log, expected, "in on_{place}");
        if expected.ends_with(&["closed"]) {
            finish_with(&event_loop, &mut app);
            assert_eq!(app.log, expected, "in on_{place}");
        } else {
            flush(&event_loop, &mut app, &nats);
        }
    }
}

#[test]
fn servers_that_are_named_in_on_disconnect_are_the_ones_that_count() {
    let [mut first, second] =
        [0, 1].map(|_| Server::builder().jetstream(false).start().expect("a server"));
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(first.url()));
    let to = second.url();
    nats.on_disconnect(move |_, nats, _| nats.set_servers([&to]).expect("a server"));
    flush(&event_loop, &mut app, &nats);
    first.stop();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    assert_eq!(port_of(&nats), second.port());
    assert_eq!(nats.servers().len(), 1);
}

/// Turns a loop until something is so, and lets callbacks panic.
fn turn_through_panics(
    event_loop: &EventLoop<App>,
    app: &mut App,
    what: &str,
    mut is_so: impl FnMut(&mut App) -> bool,
) -> usize {
    let mut panics = 0;
    loop {
        let turned = catch_unwind(AssertUnwindSafe(|| {
            turn_until(event_loop, app, what, &mut is_so);
        }));
        match turned {
            Ok(()) => return panics,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                assert_eq!(text, Some("a bug in the application"));
                panics += 1;
            }
        }
    }
}

#[test]
fn panics_in_the_callbacks_of_a_connection_do_not_stop_it_nor_a_watch() {
    watch_through_panics(Duration::from_millis(500));
}

#[test]
fn a_watch_is_told_of_a_reconnect_even_if_on_reconnect_panics() {
    // a heartbeat that does not come while the test waits
    watch_through_panics(Duration::from_secs(600));
}

fn watch_through_panics(heartbeat: Duration) {
    let mut server = Server::start();
    let proxy = FaultProxy::start(server.port(), |_| Vec::new());
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = event_loop.connect(quick(proxy.url())).expect("a client");
    nats.on_connect(|_, _, _| fail("a bug in the application"));
    nats.on_disconnect(|_, _, _| fail("a bug in the application"));
    nats.on_reconnect(|_, _, _| fail("a bug in the application"));
    nats.on_error(|_, _, _| fail("a bug in the application"));
    let kv = nats.jetstream().key_value(&unique("bucket"));
    kv.create_bucket(kv::Config::default(), move |_: &mut App, kv, created| {
        created.expect("a bucket");
        let options = kv::WatchOptions::new().heartbeat(heartbeat);
        kv.watch(">", options, |app: &mut App, _, update| match update {
            kv::Update::Entry(entry) => app.numbers.push(entry.revision()),
            kv::Update::Initialized => app.outcomes.push("initialized".into()),
            kv::Update::Ended(error) => panic!("{error}"),
            _ => {}
        });
    });
    let panics =
        turn_through_panics(&event_loop, &mut app, "a watch", |app| !app.outcomes.is_empty());
    assert_eq!(panics, 1, "on_connect");
    proxy.refuse(true);
    // it knows nothing of the watch any more
    server.restart();
    let panics =
        turn_through_panics(&event_loop, &mut app, "failed attempts", |_| proxy.connections() > 4);
    assert!(panics >= 3, "on_disconnect and on_error: {panics}");
    proxy.refuse(false);
    turn_through_panics(&event_loop, &mut app, "a reconnect", |_| {
        nats.state() == ConnectionState::Connected
    });
    kv.put("key", "value", |app: &mut App, _, revision| {
        app.others.push(revision.expect("a revision"));
    });
    turn_through_panics(&event_loop, &mut app, "the watch", |app| app.numbers.len() == 1);
}

#[test]
fn a_panic_in_on_connect_does_not_keep_the_servers_of_the_first_info_unknown() {
    let server = ScriptedServer::start(|mut script| {
        script.send_info_with(r#""connect_urls":["127.0.0.1:1","127.0.0.1:2"]"#);
        script.expect("PING");
        script.send(b"PONG\r\n");
        script.hold();
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = event_loop.connect(quick(server.url())).expect("a client");
    nats.on_connect(|_, _, _| fail("a bug in the application"));
    turn_through_panics(&event_loop, &mut app, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    assert_eq!(nats.servers().len(), 3);
}

#[test]
fn a_panic_in_choose_server_does_not_end_the_attempts() {
    let server = Server::start();
    let (event_loop, mut app) = (event_loop(), App::default());
    let panics = AtomicBool::new(true);
    let options = quick(server.url()).choose_server(move |_| {
        assert!(!panics.swap(false, Relaxed), "a bug in the application");
        None
    });
    let nats = connect(&event_loop, options);
    turn_until(&event_loop, &mut app, "a connection", |_| {
        nats.state() == ConnectionState::Connected
    });
    nats.reconnect();
    turn_through_panics(&event_loop, &mut app, "another connection", |_| {
        reconnects(&nats) == 1 && nats.state() == ConnectionState::Connected
    });
}

#[test]
fn a_reconnect_in_a_callback_loses_nothing_of_what_was_read() {
    let server = ScriptedServer::start(|mut script| {
        script.handshake();
        if script.index() == 0 {
            script.expect("SUB a");
            script.send(b"MSG a 2 1\r\n1\r\nMSG a 2 1\r\n2\r\nMSG a 2 1\r\n3\r\n");
        }
        script.hold();
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    nats.subscribe("a", |app, nats, message| {
        app.numbers.push(number(message.payload()));
        if app.numbers.len() == 1 {
            nats.client().reconnect();
        }
    })
    .expect("a subscription");
    turn_until(&event_loop, &mut app, "another connection", |_| reconnects(&nats) == 1);
    assert_eq!(app.numbers, [1, 2, 3]);
}

// ---- what the client does not know ----------------------------------------------------------------

#[test]
fn an_error_that_nobody_knows_is_reported_and_the_connection_stays() {
    let server = ScriptedServer::start(|mut script| {
        script.handshake();
        script.expect("SUB a");
        script.send(b"-ERR 'The Moon Is In The Wrong House'\r\nMSG a 2 1\r\n1\r\n");
        script.hold();
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    subscribe(&nats, "a");
    turn_until(&event_loop, &mut app, "a message after the error", |app| app.numbers == [1]);
    assert_eq!(app.log, ["connected", "error: server error: The Moon Is In The Wrong House"]);
    assert_eq!((nats.state(), reconnects(&nats)), (ConnectionState::Connected, 0));
}

#[test]
fn a_server_that_closes_for_a_reason_that_nobody_knows_is_tried_again() {
    let server = ScriptedServer::start(|mut script| {
        if script.index() == 1 {
            // in the middle of a handshake
            script.send_info();
            script.expect("CONNECT ");
            return script.send(b"-ERR 'Mercury Is Retrograde'\r\n");
        }
        script.handshake();
        script.expect("SUB a");
        match script.index() {
            0 => script.send(b"-ERR 'The Moon Is In The Wrong House'\r\n"),
            _ => script.hold(),
        }
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    subscribe(&nats, "a");
    turn_until(&event_loop, &mut app, "another connection", |_| reconnects(&nats) == 1);
    assert!(app.has("disconnected: server error: The Moon Is In The Wrong House"), "{:?}", app.log);
    assert!(app.log.iter().any(|line| line.contains("Mercury Is Retrograde")), "{:?}", app.log);
    assert!(!app.has("closed"), "{:?}", app.log);
}

#[test]
fn an_operation_that_nobody_knows_costs_the_connection_and_not_the_client() {
    let server = ScriptedServer::start(|mut script| {
        script.handshake();
        script.expect("SUB a");
        match script.index() {
            0..3 => {
                script.send(b"ZMSG a 2 1\r\n1\r\n");
                script.hold();
            }
            _ => {
                script.send(b"MSG a 2 1\r\n1\r\n");
                script.hold();
            }
        }
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    subscribe(&nats, "a");
    turn_until(&event_loop, &mut app, "a message", |app| app.numbers == [1]);
    let lost = "disconnected: protocol violation by the server: unknown operation \"ZMSG\"";
    assert_eq!(app.count(lost), 3, "{:?}", app.log);
    assert!(!app.has("closed"), "{:?}", app.log);
}

// ---- pausing and looking --------------------------------------------------------------------------

#[test]
fn a_paused_subscription_is_a_slow_consumer_once_an_episode_and_nobody_else_suffers() {
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, support::server().url());
    let publisher = event_loop.connect(support::server().url()).expect("a client");
    let subject = unique("numbers");
    let slow = subscribe(&nats, &subject);
    nats.subscribe(&subject, |app, _, m| app.others.push(number(m.payload()))).expect("the other");
    let id = slow.id();
    nats.on_slow_consumer(move |app, _, slow| {
        assert_eq!(slow.subscription, id);
        app.outcomes.push(format!("slow, {} dropped", slow.dropped));
    });
    slow.set_pending_limits(PendingLimits::new().messages(10)).expect("limits");
    flush(&event_loop, &mut app, &nats);

    let mut first = 0;
    for dropped in [1, 16] {
        slow.pause().expect("paused");
        publish(&publisher, &subject, first..first + 25);
        turn_until(&event_loop, &mut app, "messages", |app| {
            app.others.last() == Some(&(first + 24))
        });
        assert_eq!(app.outcomes.last(), Some(&format!("slow, {dropped} dropped")));
        let snapshot = slow.snapshot().expect("it is alive");
        assert_eq!((snapshot.pending_messages, snapshot.dropped), (10, dropped + 14));
        assert!(!app.numbers.contains(&first), "it is paused");
        slow.resume().expect("resumed");
        flush(&event_loop, &mut app, &nats);
        assert_eq!(slow.snapshot().map(|snapshot| snapshot.pending_messages), Some(0));
        first += 25;
    }
    assert_eq!(app.numbers, [numbers(0..10), numbers(25..35)].concat());
    assert_same(&app.others, &numbers(0..50));
    assert_eq!(app.outcomes.len(), 2, "once each: {:?}", app.outcomes);
    assert_eq!(steps(&app.log), ["connected"], "the connection stays");
}

#[test]
fn a_subscription_that_is_paused_while_the_server_restarts_loses_nothing_it_has_held_back() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    let subject = unique("numbers");
    let paused = subscribe(&nats, &subject);
    paused.unsubscribe_after(8).expect("limited");
    paused.pause().expect("paused");
    publish(&nats, &subject, 0..5);
    flush(&event_loop, &mut app, &nats);
    server.restart();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    publish(&nats, &subject, 5..12);
    flush(&event_loop, &mut app, &nats);
    assert!(app.numbers.is_empty());
    paused.resume().expect("resumed");
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.numbers, numbers(0..8));
    assert_eq!(nats.subscription_count(), 0);
}

#[test]
fn frames_show_what_is_on_the_wire_across_a_reconnect() {
    let mut server = Server::builder().jetstream(false).start().expect("a server");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = event_loop.connect(quick(server.url())).expect("a client");
    nats.on_frame(|app: &mut App, _, frame| {
        let text = frame.to_string();
        let known = ["INFO", "CONNECT"].iter().find(|verb| text[3..].starts_with(**verb));
        app.log.push(known.map_or(text.clone(), |verb| format!("{}{verb}", &text[..3])));
    });
    subscribe(&nats, "frames");
    publish(&nats, "frames", 7..8);
    flush(&event_loop, &mut app, &nats);
    let first = std::mem::take(&mut app.log);
    server.restart();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    publish(&nats, "frames", 8..9);
    flush(&event_loop, &mut app, &nats);
    for (frames, number) in [(&first, 7), (&app.log, 8)] {
        // a server may ping, and describe itself again, when it likes
        let expected = [
            "<- INFO".to_owned(),
            "-> CONNECT".to_owned(),
            "-> PING".to_owned(),
            "<- PONG".to_owned(),
            "-> SUB frames 2".to_owned(),
            format!("-> PUB frames 1\\r\\n{number}"),
            "-> PING".to_owned(),
            format!("<- MSG frames 2 1\\r\\n{number}"),
            "<- PONG".to_owned(),
        ];
        let mut rest = frames.iter();
        for line in &expected {
            assert!(rest.any(|frame| frame == line), "{line:?} is not in its place: {frames:?}");
        }
    }
}

// ---- a cluster ------------------------------------------------------------------------------------

#[test]
fn servers_are_discovered_and_taken_with_the_user_of_the_url_when_the_connected_one_dies() {
    let config = "authorization { user: \"jo\", password: \"p@ss\" }\n";
    let cluster = Cluster::builder().jetstream(false).config(config).start();
    let mut cluster = cluster.expect("a cluster");
    let ports: Vec<_> = cluster.servers().iter().map(Server::port).collect();
    let url = format!("nats://jo:p%40ss@127.0.0.1:{}", ports[0]);
    let known = |nats: &Client<App>| {
        let mut ports: Vec<_> =
            nats.servers().iter().map(|server| (server.url.port(), server.discovered)).collect();
        ports.sort_unstable_by_key(|known| *known != (port_of(nats), known.1));
        ports
    };
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(&url));
    nats.on_discovered_servers(|app, _, new| app.outcomes.extend_from_slice(new));
    let loner = event_loop.connect(quick(&url).discover_servers(false)).expect("a client");
    loner.on_discovered_servers(|_, _, new| fail(format!("{new:?}")));
    let subject = unique("numbers");
    subscribe(&nats, &subject);
    flush(&event_loop, &mut app, &nats);
    flush(&event_loop, &mut app, &loner);
    let mut expected: Vec<_> = ports[1..].iter().map(|port| format!("127.0.0.1:{port}")).collect();
    expected.sort_unstable();
    app.outcomes.sort_unstable();
    assert_eq!(app.outcomes, expected);
    assert_eq!(known(&nats).len(), 3);
    assert_eq!(known(&nats).iter().filter(|(_, discovered)| *discovered).count(), 2);
    assert_eq!(known(&loner), [(ports[0], false)]);

    app.outcomes.clear();
    cluster.server_mut(0).kill9();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    assert_ne!(port_of(&nats), ports[0]);
    assert!(!app.has("error: "), "it went there at once: {:?}", app.log);
    cluster.wait_ready();
    // publish from the other side of the cluster
    let other = ports[1..].iter().find(|port| **port != port_of(&nats)).expect("a third node");
    let publisher = event_loop.connect(format!("nats://jo:p%40ss@127.0.0.1:{other}"));
    let publisher = publisher.expect("a client");
    flush(&event_loop, &mut app, &publisher);
    turn_until(&event_loop, &mut app, "a message through the cluster", |app| {
        let sent = publisher.publish(&subject, "1");
        sent.expect("a publish");
        !app.numbers.is_empty()
    });

    turn_until(&event_loop, &mut app, "the dead node to be announced no more", |_| {
        nats.server_info().is_some_and(|info| info.connect_urls.len() == 2)
    });
    assert_eq!(known(&nats).len(), 3, "a server that the user named is never removed");
    assert!(known(&nats).contains(&(ports[0], false)));
    assert_eq!(app.outcomes, [""; 0], "nothing new");

    assert_eq!(loner.state(), ConnectionState::Reconnecting, "it knows no other");
    cluster.server_mut(0).start_again();
    until_reconnected(&event_loop, &mut app, &loner, 1);
    assert_eq!(port_of(&loner), ports[0]);
}

#[derive(Default)]
struct Load {
    stops: bool,
    next: u64,
    in_flight: usize,
    /// Sequence and number of what was acknowledged.
    acknowledged: Vec<(u64, u64)>,
    /// Numbers of which it is not known.
    unknown: Vec<u64>,
    core_next: u64,
    core: Vec<u64>,
    limited: u64,
    log: Log,
    stored: Vec<(u64, u64)>,
}

impl AsMut<Log> for Load {
    fn as_mut(&mut self) -> &mut Log {
        &mut self.log
    }
}

/// Publishes to the stream with a window, and core messages beside.
fn load(state: &mut Load, nats: &Client<Load>, subject: &str, core: &str) {
    while !state.stops && state.in_flight < 8 {
        let number = state.next;
        state.next += 1;
        state.in_flight += 1;
        let js = nats.jetstream().with_timeout(Duration::from_secs(3));
        js.publish(subject, number.to_string(), move |state: &mut Load, _, outcome| {
            state.in_flight -= 1;
            match outcome {
                Ok(ack) => state.acknowledged.push((ack.sequence, number)),
                Err(_) => state.unknown.push(number),
            }
        });
    }
    if state.stops {
        return;
    }
    nats.publish(core, state.core_next.to_string()).expect("the buffer is large");
    state.core_next += 1;
    let (again, subject, core) = (nats.clone(), subject.to_owned(), core.to_owned());
    nats.handle().set_timer(Duration::from_millis(2), move |state, _| {
        load(state, &again, &subject, &core);
    });
}

#[test]
fn a_full_restart_of_a_cluster_under_load_loses_nothing_that_was_acknowledged() {
    let mut cluster = Cluster::start();
    let event_loop: EventLoop<Load> = EventLoop::new().expect("an event loop");
    let mut state = Load::default();
    let options = quick(cluster.urls().join(",")).randomize_servers(true);
    let nats = event_loop.connect(options.clone()).expect("a client");
    note_events(&nats);
    let receiver = event_loop.connect(options).expect("a client");
    let (subject, core, stream) = (unique("load"), unique("core"), unique("LOAD"));
    receiver
        .subscribe(&core, |state: &mut Load, _, message| {
            state.core.push(number(message.payload()));
        })
        .expect("a subscription");
    let limited = receiver.subscribe(&core, |state: &mut Load, _, _| state.limited += 1);
    let limited = limited.expect("a subscription");
    limited.unsubscribe_after(100_000).expect("limited");
    flush(&event_loop, &mut state, &receiver);
    let config = StreamConfig::new(stream.clone())
        .subjects([subject.clone()])
        .num_replicas(3)
        .allow_direct(true);
    let (publisher, from, beside) = (nats.clone(), subject.clone(), core.clone());
    create_stream(&nats.jetstream(), config, move |state: &mut Load, _, _| {
        load(state, &publisher, &from, &beside);
    });
    turn_until(&event_loop, &mut state, "acknowledgements", |state| {
        state.acknowledged.len() > 100 && state.core.len() > 20
    });

    std::thread::scope(|scope| {
        let restart = scope.spawn(|| cluster.restart_all());
        turn_until(&event_loop, &mut state, "the restart", |_| restart.is_finished());
    });
    turn_until(&event_loop, &mut state, "both clients", |_| {
        nats.state() == ConnectionState::Connected && receiver.state() == ConnectionState::Connected
    });
    let after = state.acknowledged.len();
    let core_after = state.core.len();
    // what is left of it is exact, whatever has come meanwhile
    let max = state.limited + 30;
    limited.unsubscribe_after(max).expect("limited again");
    turn_until(&event_loop, &mut state, "acknowledgements after the restart", |state| {
        state.acknowledged.len() > after + 50 && state.core.len() > core_after + 50
    });
    state.stops = true;
    turn_until(&event_loop, &mut state, "outcomes", |state| state.in_flight == 0);
    flush(&event_loop, &mut state, &nats);
    flush(&event_loop, &mut state, &receiver);
    assert!(nats.statistics().reconnects > 0, "{:?}", state.log);

    // everything is read back
    let js = nats.jetstream();
    js.stream_info(&stream, |state: &mut Load, js, info| {
        let info = info.expect("the stream");
        for sequence in 1..=info.state.last_sequence {
            let query = MessageQuery::Sequence(sequence);
            js.stored_message(
                &info.config.name,
                query,
                ReadFrom::Leader,
                move |state: &mut Load, _, message| {
                    state.in_flight -= 1;
                    state.stored.push((sequence, number(message.expect("a message").payload())));
                },
            );
            state.in_flight += 1;
        }
    });
    turn_until(&event_loop, &mut state, "the stream", |state| {
        state.in_flight == 0 && !state.stored.is_empty()
    });
    state.stored.sort_unstable();
    state.acknowledged.sort_unstable();
    let is_known = |stored: &&(u64, u64)| !state.unknown.contains(&stored.1);
    let stored: Vec<_> = state.stored.iter().filter(is_known).copied().collect();
    assert_same(&stored, &state.acknowledged);
    assert!(state.core.is_sorted_by(|one, next| one < next), "order, and no duplicate");
    assert_eq!(state.core.last(), Some(&(state.core_next - 1)));
    assert_eq!(state.limited, max, "of {} messages", state.core.len());
    assert_eq!(receiver.subscription_count(), 1);
}

// ---- JetStream and Key-Value ----------------------------------------------------------------------

#[test]
fn a_watch_and_a_listing_survive_the_restart_of_the_server() {
    let mut server = Server::start();
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()));
    let writer = event_loop.connect(quick(server.url())).expect("a client");
    let bucket = unique("bucket");
    let (kv, write) = (nats.jetstream().key_value(&bucket), writer.jetstream().key_value(&bucket));
    kv.create_bucket(kv::Config::new().history(5), |app: &mut App, kv, made| {
        made.expect("a bucket");
        let options = kv::WatchOptions::new().heartbeat(Duration::from_millis(500));
        kv.watch(">", options, |app: &mut App, _, update| match update {
            kv::Update::Entry(entry) => app.numbers.push(entry.revision()),
            kv::Update::Initialized => app.outcomes.push("initialized".into()),
            kv::Update::Ended(error) => app.outcomes.push(format!("ended: {error}")),
            _ => {}
        });
        app.outcomes.push("made".into());
    });
    turn_until(&event_loop, &mut app, "the signal", |app| app.outcomes.len() == 2);
    let put = |app: &mut App, keys: std::ops::Range<u64>| {
        let wanted = app.others.len() + (keys.end - keys.start) as usize;
        for key in keys {
            write.put(&format!("key.{key}"), "value", move |app: &mut App, _, revision| {
                app.others.push(revision.expect("a revision"));
            });
        }
        turn_until(&event_loop, app, "puts", |app| app.others.len() == wanted);
    };
    put(&mut app, 0..5);
    turn_until(&event_loop, &mut app, "entries", |app| app.numbers.len() == 5);
    for round in 1..=2 {
        server.restart();
        until_reconnected(&event_loop, &mut app, &writer, round);
        put(&mut app, 0..5);
        let wanted = app.others.len();
        turn_until(&event_loop, &mut app, "entries", |app| app.numbers.len() >= wanted);
    }
    assert_eq!(app.numbers, app.others, "in order, and none twice");
    assert_eq!(app.outcomes, ["made", "initialized"]);
    kv.keys(|app: &mut App, _, keys| app.outcomes = keys.expect("keys"));
    turn_until(&event_loop, &mut app, "keys", |app| app.outcomes.len() == 5);
    assert_eq!(app.outcomes, [0, 1, 2, 3, 4].map(|key| format!("key.{key}")));
    kv.history("key.3", |app: &mut App, _, entries| {
        app.numbers = entries.expect("entries").iter().map(kv::Entry::revision).collect();
    });
    turn_until(&event_loop, &mut app, "a history", |app| app.numbers.len() == 3);
    assert_eq!(app.numbers, [4, 9, 14]);
}

#[test]
fn a_listing_that_loses_its_connection_ends_with_an_answer() {
    let mut server = Server::start();
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).request_timeout(Duration::from_secs(2)));
    let kv = nats.jetstream().key_value(&unique("bucket"));
    kv.create_bucket(kv::Config::default(), |_, kv, created| {
        created.expect("a bucket");
        for key in 0..50 {
            kv.put(&format!("key.{key}"), "value", |app: &mut App, _, stored| {
                app.numbers.push(stored.expect("a revision"));
            });
        }
    });
    turn_until(&event_loop, &mut app, "puts", |app| app.numbers.len() == 50);
    kv.keys(|app: &mut App, _, keys| {
        app.outcomes.push(match keys {
            Ok(keys) => format!("{} keys", keys.len()),
            Err(error) => error.to_string(),
        });
    });
    server.restart();
    turn_until(&event_loop, &mut app, "an answer", |app| !app.outcomes.is_empty());
    // all of them, or an error, but no part of them
    assert!(
        app.outcomes == ["50 keys"] || !app.outcomes[0].ends_with("keys"),
        "{:?}",
        app.outcomes
    );
    app.outcomes.clear();
    until_reconnected(&event_loop, &mut app, &nats, 1);
    kv.keys(|app: &mut App, _, keys| {
        app.outcomes.push(keys.expect("keys").len().to_string());
    });
    turn_until(&event_loop, &mut app, "an answer", |app| !app.outcomes.is_empty());
    assert_eq!(app.outcomes, ["50"]);
}
