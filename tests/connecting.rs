//! The way to a server: what TLS is demanded of, whose turn comes when an attempt fails, and what is
//! told of it.

#![cfg(all(feature = "nkeys", feature = "tls"))]

mod support;

use evnats::simulation::{Connection, Peer, Simulation};
use evnats::{
    Client, ConnectionError, Credentials, DisconnectReason, EventLoop, Options, Tls, TlsErrorKind,
};
use evnats_harness::{
    Certificates, FaultProxy, ReservedPort, ScriptedServer, Server, ServerCertificate, TlsOptions,
};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;
use support::simulated::SimulatedServer;
use support::{finish_with, flush, turn_until};

#[derive(Debug, Default)]
struct App {
    connects: usize,
    reconnects: usize,
    failures: Vec<DisconnectReason>,
    /// At which servers, in the same order.
    failed_at: Vec<String>,
    closed: Option<DisconnectReason>,
    /// What the client has sent.
    sent: Vec<String>,
}

fn event_loop() -> EventLoop<App> {
    EventLoop::new().expect("an event loop")
}

/// Has a client write down what happens to it.
fn watch(nats: &Client<App>) {
    nats.on_connect(|app, _, _| app.connects += 1);
    nats.on_reconnect(|app, _, _| app.reconnects += 1);
    nats.on_close(|app, _, reason| app.closed = Some(reason.clone()));
    nats.on_error(|app, _, error| {
        if let ConnectionError::ConnectFailed { server, reason } = error {
            app.failures.push(reason.clone());
            app.failed_at.push(server.clone());
        }
    });
}

fn quick(servers: impl Into<String>) -> Options {
    Options::new(servers)
        .reconnect_delay(Duration::from_millis(20))
        .max_reconnect_delay(Duration::from_millis(50))
        .reconnect_jitter(Duration::ZERO)
        .reconnect_jitter_tls(Duration::ZERO)
}

fn tls_kind(reason: &DisconnectReason) -> Option<TlsErrorKind> {
    match reason {
        DisconnectReason::Tls { kind, .. } => Some(*kind),
        _ => None,
    }
}

/// Two servers that know the same token: one that requires TLS, and one that has none.
struct Pair {
    secured: Server,
    plain: Server,
    certificates: Certificates,
}

const TOKEN: &str = "only-through-tls";

impl Pair {
    fn start() -> Self {
        let certificates = Certificates::new();
        let tls = certificates.server_config(ServerCertificate::NameOnly, &TlsOptions::default());
        let start = |config: &str| {
            let token = format!("authorization {{ token: \"{TOKEN}\" }}\n");
            let builder = Server::builder().jetstream(false).config(config).config(token);
            builder.start().expect("a server")
        };
        Self { secured: start(&tls), plain: start(""), certificates }
    }

    /// Options that trust the server, and demand nothing.
    fn options(&self, servers: impl Into<String>) -> Options {
        quick(servers)
            .tls(Tls::new().ca_file(self.certificates.ca()))
            .require_tls(false)
            .credentials(Credentials::token(TOKEN))
    }
}

// ---- what TLS is demanded of ----------------------------------------------------------------------

#[test]
fn a_client_that_was_upgraded_to_tls_demands_it_at_every_later_connection() {
    let pair = Pair::start();
    let proxy = FaultProxy::start(pair.secured.port(), |_| Vec::new());
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = pair.options(format!("nats://localhost:{}", proxy.port()));
    let nats = event_loop.connect(options).expect("a client");
    watch(&nats);
    flush(&event_loop, &mut app, &nats);
    nats.on_frame(|app, _, frame| app.sent.push(frame.to_string()));
    proxy.set_target(pair.plain.port());
    proxy.reset_all();
    turn_until(&event_loop, &mut app, "refusals", |app| app.failures.len() >= 3);
    let kinds: Vec<_> = app.failures.iter().map(tls_kind).collect();
    assert!(kinds.iter().all(|kind| *kind == Some(TlsErrorKind::NotAvailable)), "{kinds:?}");
    // a server that the user names later, and nobody announces, is no exception
    let plain = format!("nats://localhost:{}", pair.plain.port());
    nats.set_servers([plain]).expect("a URL");
    let refused = app.failures.len();
    turn_until(&event_loop, &mut app, "more", |app| app.failures.len() >= refused + 3);
    assert_eq!(app.reconnects, 0);
    assert!(!app.sent.iter().any(|frame| frame.contains("CONNECT")), "{:?}", app.sent);
    let secured = format!("nats://localhost:{}", pair.secured.port());
    nats.set_servers([secured]).expect("a URL");
    turn_until(&event_loop, &mut app, "the server with TLS", |app| app.reconnects == 1);
}

#[test]
fn a_client_that_began_with_tls_does_not_go_on_without() {
    let pair = Pair::start();
    let (event_loop, mut app) = (event_loop(), App::default());
    // TLS because of the URL, and then a server that it was not demanded of
    let first = format!("tls://localhost:{}", pair.secured.port());
    let nats = event_loop.connect(pair.options(first)).expect("a client");
    watch(&nats);
    flush(&event_loop, &mut app, &nats);
    nats.set_servers([pair.plain.url()]).expect("a URL");
    nats.reconnect();
    turn_until(&event_loop, &mut app, "a refusal", |app| !app.failures.is_empty());
    assert_eq!(tls_kind(&app.failures[0]), Some(TlsErrorKind::NotAvailable));
}

/// A connection to a server, as somebody's own dialer makes it.
fn dial(server: &Server) -> mio::net::TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let stream = std::net::TcpStream::connect(address).expect("a connection");
    stream.set_nonblocking(true).expect("a socket");
    mio::net::TcpStream::from_std(stream)
}

#[track_caller]
fn ends_over(server: &Server, options: Options) -> (DisconnectReason, bool) {
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = event_loop.connect_over(dial(server), options).expect("a client");
    watch(&nats);
    nats.on_frame(|app, _, frame| app.sent.push(frame.to_string()));
    nats.flush(|_, nats, _| nats.close());
    finish_with(&event_loop, &mut app);
    let has_spoken = app.sent.iter().any(|frame| frame.contains("CONNECT"));
    (app.closed.expect("an end"), has_spoken)
}

#[test]
fn over_a_given_transport_tls_is_what_the_options_and_the_server_say_and_never_less() {
    let pair = Pair::start();
    let closed = (DisconnectReason::Requested, true);
    let named = || Tls::new().ca_file(pair.certificates.ca()).server_name("localhost");
    let token = || Credentials::token(TOKEN);
    // who names the host: the options of TLS, or the URL
    for options in [
        pair.options("").tls(named()),
        pair.options("").tls(named()).require_tls(false),
        pair.options("nats://localhost"),
        pair.options("tls://localhost"),
        pair.options("localhost").require_tls(true),
        quick(format!("tls://{TOKEN}@localhost")).tls(named()),
    ] {
        assert_eq!(ends_over(&pair.secured, options), closed);
    }
    for (options, expected) in [
        // nobody names it
        (pair.options(""), TlsErrorKind::Configuration),
        (pair.options("nats://elsewhere.example"), TlsErrorKind::WrongHost),
        (quick("").credentials(token()), TlsErrorKind::Configuration),
        (quick("localhost").credentials(token()), TlsErrorKind::UnknownIssuer),
    ] {
        let (reason, has_spoken) = ends_over(&pair.secured, options);
        assert_eq!((tls_kind(&reason), has_spoken), (Some(expected), false), "{reason}");
    }
    for options in [
        pair.options("").require_tls(true),
        pair.options("").tls(named()),
        pair.options("tls://localhost"),
    ] {
        let (reason, has_spoken) = ends_over(&pair.plain, options);
        let expected = (Some(TlsErrorKind::NotAvailable), false);
        assert_eq!((tls_kind(&reason), has_spoken), expected, "{reason}");
    }
    assert_eq!(ends_over(&pair.plain, pair.options("")), closed);
    assert_eq!(ends_over(&pair.plain, quick(format!("{TOKEN}@somewhere"))), closed);
}

#[test]
fn tls_over_a_given_transport_that_nobody_names_says_how_to_name_it() {
    let pair = Pair::start();
    let (reason, _) = ends_over(&pair.secured, pair.options(""));
    assert!(reason.to_string().contains("server_name"), "{reason}");
    let odd = event_loop().connect_over(dial(&pair.plain), Options::new("nats://[odd"));
    assert!(odd.is_err());
}

// ---- whose turn comes -----------------------------------------------------------------------------

const SECOND: Duration = Duration::from_secs(1);

/// What somebody at an address does who is no help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nobody is there.
    Refuses,
    /// Nobody answers, not even to say that.
    BlackHole,
    /// The connection is made, and that is all.
    Silent,
    Closes,
    TalksNonsense,
    /// After its `INFO`.
    ClosesLater,
    Denies,
    /// It takes the credentials and never answers.
    Swallows,
    /// It wants TLS, and does not speak it.
    OnlySaysTls,
}

use Fault::*;
const FAULTS: [Fault; 9] =
    [Refuses, BlackHole, Silent, Closes, TalksNonsense, ClosesLater, Denies, Swallows, OnlySaysTls];

struct Faulty(Fault);

impl Faulty {
    fn start(simulation: &Simulation, address: &str, fault: Fault) {
        match fault {
            Refuses => return,
            BlackHole => simulation.cut(address).expect("an address"),
            _ => {}
        }
        let accept = move |connection: &Connection| {
            match fault {
                Closes => connection.close(),
                TalksNonsense => connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                ClosesLater | Denies | Swallows => connection.send(b"INFO {\"proto\":1}\r\n"),
                OnlySaysTls => connection.send(b"INFO {\"tls_required\":true}\r\n"),
                _ => {}
            }
            Self(fault)
        };
        simulation.listen(address, accept).expect("a free address");
    }
}

impl Peer for Faulty {
    fn handle_bytes(&mut self, connection: &Connection, _: &[u8]) {
        match self.0 {
            ClosesLater => connection.close(),
            Denies => connection.send(b"-ERR 'Authorization Violation'\r\n"),
            OnlySaysTls => connection.send(b"-ERR 'no TLS here'\r\n"),
            _ => {}
        }
    }
}

/// A world in which a name has these faults at its addresses, and then a server.
fn world_with(seed: u64, faults: &[Fault]) -> (Simulation, SimulatedServer) {
    let simulation = Simulation::new(seed);
    let mut addresses = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let address = format!("10.9.0.{}", number + 1);
        Faulty::start(&simulation, &format!("{address}:4222"), *fault);
        addresses.push(address);
    }
    addresses.push("10.9.9.9".into());
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    simulation.set_addresses("many", &addresses).expect("addresses");
    let server = SimulatedServer::start(&simulation, "10.9.9.9:4222");
    (simulation, server)
}

fn simulated(simulation: &Simulation) -> EventLoop<App> {
    simulation.event_loop().expect("a loop")
}

#[test]
fn whatever_fails_at_an_address_the_next_one_has_its_turn_and_its_time() {
    for fault in FAULTS {
        let (simulation, server) = world_with(1, &[fault]);
        let event_loop = simulated(&simulation);
        let options = Options::new("many").randomize_servers(false).connect_timeout(4 * SECOND);
        let nats = event_loop.connect(options).expect("a client");
        watch(&nats);
        nats.flush(|_, nats, flushed| {
            flushed.expect("a connection");
            nats.close();
        });
        let mut app = App::default();
        event_loop.run(&mut app).expect("an end");
        assert_eq!((app.connects, server.connects()), (1, 1), "{fault:?}");
        assert!(simulation.elapsed() < 3 * SECOND, "{fault:?}: {:?}", simulation.elapsed());
        // an address that cannot be reached is nothing to be told of
        let is_told = !matches!(fault, Refuses);
        assert_eq!(app.failures.len(), usize::from(is_told), "{fault:?}: {:?}", app.failures);
        assert!(app.failed_at.iter().all(|server| server.contains("10.9.0.1")), "{app:?}");
        assert_eq!(app.closed, Some(DisconnectReason::Requested), "{fault:?}");
    }
}

#[test]
fn all_that_can_fail_at_the_addresses_of_a_name_leaves_time_for_the_one_that_serves() {
    for seed in 0..40 {
        let (simulation, server) = world_with(seed, &FAULTS);
        let event_loop = simulated(&simulation);
        // no other attempt follows that could make up for it
        let nats = event_loop.connect("many").expect("a client");
        watch(&nats);
        let mut app = App::default();
        turn_until(&event_loop, &mut app, "a connection", |app| app.connects == 1);
        assert!(simulation.elapsed() <= 5 * SECOND, "{:?}", simulation.elapsed());
        // and the same when the connection is lost
        server.restart();
        let lost_at = simulation.elapsed();
        turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
        assert!(simulation.elapsed() - lost_at <= 5 * SECOND, "{:?}", simulation.elapsed());
    }
}

#[test]
fn a_name_whose_addresses_all_fail_is_one_failed_server() {
    let simulation = Simulation::new(1);
    simulation.set_addresses("dead", &["10.8.0.1", "10.8.0.2", "10.8.0.3"]).expect("addresses");
    for address in ["10.8.0.1:4222", "10.8.0.2:4222"] {
        Faulty::start(&simulation, address, Denies);
    }
    let server = SimulatedServer::start(&simulation, "alive:4222");
    let event_loop = simulated(&simulation);
    let options = Options::new("dead,alive").randomize_servers(false);
    let nats = event_loop.connect(options).expect("a client");
    watch(&nats);
    nats.set_timer(SECOND, |_, nats| nats.close());
    let mut app = App::default();
    event_loop.run(&mut app).expect("an end");
    // without retries, each server has one attempt, and each address has one in it
    assert_eq!((app.connects, server.connects()), (1, 1));
    let at: Vec<_> = app.failed_at.iter().map(String::as_str).collect();
    let [first, second, third] = at[..] else { panic!("{at:?}") };
    assert_eq!(
        [first, second, third],
        [
            "nats://dead:4222 at 10.8.0.1",
            "nats://dead:4222 at 10.8.0.2",
            "nats://dead:4222 at 10.8.0.3",
        ]
    );

    let nats = event_loop.connect(Options::new("dead").max_reconnects(2).retry_first_connect(true));
    watch(&nats.expect("a client"));
    let mut app = App::default();
    event_loop.run(&mut app).expect("an end");
    let last = app.failed_at.iter().filter(|server| server.contains("10.8.0.3"));
    assert!(last.count() >= 1, "{app:?}");
    assert!(app.closed.is_some());
}

#[test]
fn clients_spread_over_the_addresses_of_a_name() {
    let simulation = Simulation::new(7);
    let hosts = ["10.7.0.1", "10.7.0.2", "10.7.0.3"];
    simulation.set_addresses("spread", &hosts).expect("addresses");
    let servers = hosts.map(|host| SimulatedServer::start(&simulation, &format!("{host}:4222")));
    let event_loop = simulated(&simulation);
    for _ in 0..90 {
        let nats = event_loop.connect("spread").expect("a client");
        nats.flush(|_, nats, _| nats.close());
    }
    event_loop.run(&mut App::default()).expect("an end");
    let counts = servers.map(|server| server.connects());
    assert_eq!(counts.iter().sum::<u64>(), 90);
    assert!(counts.iter().all(|count| *count >= 15), "{counts:?}");

    let first = SimulatedServer::start(&simulation, "10.7.1.1:4222");
    simulation.set_addresses("ordered", &["10.7.1.1", "10.7.0.2"]).expect("addresses");
    for _ in 0..20 {
        let options = Options::new("ordered").randomize_servers(false);
        let nats = event_loop.connect(options).expect("a client");
        nats.flush(|_, nats, _| nats.close());
    }
    event_loop.run(&mut App::default()).expect("an end");
    assert_eq!(first.connects(), 20);
}

#[test]
fn a_client_that_moves_tries_every_address_of_the_next_server() {
    for fault in FAULTS {
        let (simulation, server) = world_with(3, &[fault, BlackHole]);
        let leaving = server.join("leaving:4222");
        let event_loop = simulated(&simulation);
        let options = Options::new("leaving,many").randomize_servers(false);
        let nats = event_loop.connect(options).expect("a client");
        watch(&nats);
        let mut app = App::default();
        turn_until(&event_loop, &mut app, "a connection", |app| app.connects == 1);
        leaving.lame_duck();
        let began = simulation.elapsed();
        turn_until(&event_loop, &mut app, "a move", |app| app.reconnects == 1);
        let took = simulation.elapsed() - began;
        assert!(took <= 6 * SECOND, "{fault:?}: {took:?}");
        assert_eq!(nats.server_info().map(|info| info.server_name), Some("10.9.9.9:4222".into()));
    }
}

#[test]
fn the_next_address_is_not_tried_for_a_client_that_was_closed_or_given_other_servers() {
    let (simulation, server) = world_with(1, &[Denies]);
    let event_loop = simulated(&simulation);
    let options = || Options::new("many").randomize_servers(false);
    let nats = event_loop.connect(options()).expect("a client");
    nats.on_error(|_, nats, _| nats.close());
    event_loop.run(&mut App::default()).expect("an end");
    assert_eq!(server.connects(), 0);

    let other = SimulatedServer::start(&simulation, "other:4222");
    let nats = event_loop.connect(options()).expect("a client");
    nats.on_error(|_, nats, _| nats.set_servers(["other"]).expect("a URL"));
    nats.flush(|_, nats, _| nats.close());
    event_loop.run(&mut App::default()).expect("an end");
    assert_eq!((server.connects(), other.connects()), (0, 1));
}

#[test]
fn servers_that_fail_at_any_stage_leave_the_turn_to_one_that_serves() {
    let pair = Pair::start();
    let nobody = ReservedPort::any().expect("a port").port();
    let silent = ScriptedServer::start(|mut script| script.hold());
    let closing = ScriptedServer::start(|mut script| script.send_info());
    let lying = ScriptedServer::start(|mut script| {
        script.send_info_with("\"tls_required\":true");
        script.hold();
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let ports = [nobody, silent.port(), closing.port(), lying.port(), pair.secured.port()];
    let options = pair
        .options(ports.map(|port| format!("localhost:{port}")).join(","))
        .randomize_servers(false)
        .connect_timeout(SECOND);
    let nats = event_loop.connect(options).expect("a client");
    watch(&nats);
    nats.flush(|_, nats, _| nats.close());
    finish_with(&event_loop, &mut app);
    assert_eq!((app.connects, app.failures.len()), (1, 4), "{app:?}");
    for (at, port) in app.failed_at.iter().zip(ports) {
        assert_eq!(*at, format!("nats://localhost:{port} at 127.0.0.1"));
    }
}

#[test]
fn a_unix_socket_with_more_callers_than_it_takes_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nats.sock");
    let listener = UnixListener::bind(&path).expect("a listener");
    let mut callers = Vec::new();
    let full = loop {
        match mio::net::UnixStream::connect(&path) {
            Ok(caller) => callers.push(caller),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = event_loop.connect(Options::for_unix_socket(&path)).expect("a client");
    watch(&nats);
    nats.set_timer(Duration::from_millis(100), |app: &mut App, _| app.sent.push("waited".into()));
    turn_until(&event_loop, &mut app, "a moment", |app| !app.sent.is_empty());
    assert_eq!((app.connects, app.failures.len(), &app.closed), (0, 0, &None), "{app:?}");
    let server = thread::spawn(move || {
        for _ in callers {
            drop(listener.accept().expect("a caller"));
        }
        let (mut client, _) = listener.accept().expect("the client");
        client.write_all(b"INFO {\"proto\":1}\r\n").expect("a greeting");
        let mut lines = BufReader::new(client.try_clone().expect("a socket")).lines();
        while lines.next().expect("a line").expect("a line") != "PING" {}
        client.write_all(b"PONG\r\n").expect("an answer");
        lines.count()
    });
    turn_until(&event_loop, &mut app, "a connection", |app| app.connects == 1);
    nats.close();
    finish_with(&event_loop, &mut app);
    server.join().expect("a server");
}

#[test]
fn tls_over_a_unix_socket_that_nobody_names_says_how_to_name_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nats.sock");
    let _listener = UnixListener::bind(&path).expect("a listener");
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = Options::for_unix_socket(&path);
    let first = Tls::new().danger_accept_any_certificate(true).first(true);
    watch(&event_loop.connect(options.tls(first)).expect("a client"));
    finish_with(&event_loop, &mut app);
    let closed = app.closed.expect("an end");
    assert_eq!(tls_kind(&closed), Some(TlsErrorKind::Configuration));
    assert!(closed.to_string().contains("server_name"), "{closed}");
}

#[cfg(feature = "websocket")]
#[test]
fn a_websocket_client_goes_on_at_another_server_of_the_cluster_that_it_was_told_of() {
    let ports = [(); 3].map(|()| ReservedPort::any().expect("a port"));
    let mut builder = evnats_harness::Cluster::builder().jetstream(false);
    for (index, port) in ports.iter().enumerate() {
        let listen =
            format!("websocket {{ listen: \"127.0.0.1:{}\"\n no_tls: true }}", port.port());
        builder = builder.node_config(index, listen);
    }
    let mut cluster = builder.start().expect("a cluster");
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(format!("ws://127.0.0.1:{}", ports[0].port()));
    let nats = event_loop.connect(options).expect("a client");
    watch(&nats);
    flush(&event_loop, &mut app, &nats);
    turn_until(&event_loop, &mut app, "discovery", |_| nats.servers().len() == 3);
    let mut known: Vec<_> = nats.servers().iter().map(|server| server.url.to_string()).collect();
    let mut expected: Vec<_> =
        ports.iter().map(|port| format!("ws://127.0.0.1:{}", port.port())).collect();
    known.sort();
    expected.sort();
    assert_eq!(known, expected);
    cluster.server_mut(0).kill9();
    turn_until(&event_loop, &mut app, "another server", |app| app.reconnects == 1);
    let name = nats.server_info().map(|info| info.server_name);
    assert_ne!(name.as_deref(), Some(cluster.server(0).name()));
}
