//! The way to a server: what TLS is demanded of, sockets of all kinds, and what is told of an attempt
//! that fails. What the addresses of a name have to do with it is in `candidates.rs`.

#![cfg(all(feature = "nkeys", feature = "tls"))]

mod support;

use evnats::{Credentials, DisconnectReason, EventLoop, Options, Tls, TlsErrorKind};
use evnats_harness::{
    Certificates, FaultProxy, ReservedPort, ScriptedServer, Server, ServerCertificate, TlsOptions,
};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;
use support::seen::{Seen as App, watch};
use support::{Log, finish_with, flush, run_with, turn_until};

fn event_loop() -> EventLoop<App> {
    EventLoop::new().expect("an event loop")
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

const SECOND: Duration = Duration::from_secs(1);

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

// ---- Unix sockets ---------------------------------------------------------------------------------

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

// ---- servers in a row -----------------------------------------------------------------------------

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

// ---- WebSocket ------------------------------------------------------------------------------------

#[cfg(feature = "websocket")]
mod websocket {
    use super::*;
    use evnats_harness::Cluster;

    #[test]
    fn a_websocket_client_goes_on_at_another_server_of_the_cluster_that_it_was_told_of() {
        let ports = [(); 3].map(|()| ReservedPort::any().expect("a port"));
        let mut builder = Cluster::builder().jetstream(false);
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
        let mut known: Vec<_> =
            nats.servers().iter().map(|server| server.url.to_string()).collect();
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
}

/// A read that fills less than its room has taken everything, and no other one is tried before the next
/// report: the end of the stream is reported, too, whenever it comes.
#[test]
fn an_end_right_behind_the_last_bytes_is_noticed() {
    const CONNECTIONS: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("its address"));
    let server = thread::spawn(move || {
        for number in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().expect("a client");
            let info =
                b"INFO {\"server_id\":\"S\",\"version\":\"2.15.0\",\"max_payload\":1000}\r\n";
            stream.write_all(info).expect("written");
            let mut lines = BufReader::new(stream.try_clone().expect("the same stream")).lines();
            assert!(lines.any(|line| line.is_ok_and(|line| line == "PING")));
            stream.write_all(b"PONG\r\n").expect("written");
            assert!(lines.any(|line| line.is_ok_and(|line| line == "PUB last 0")));
            stream.write_all(b"PING\r\n").expect("written");
            // the client may have read that, or not
            if number % 2 == 0 {
                thread::yield_now();
            }
            drop((lines, stream));
        }
    });
    for _ in 0..CONNECTIONS {
        let closed: Log = run_with(Options::new(url.as_str()).reconnect(false), |nats| {
            nats.on_connect(|_, nats, _| nats.publish("last", "").expect("a publish"));
            nats.on_close(|log: &mut Log, _, _| log.push("closed".into()));
        });
        assert_eq!(closed, ["closed"]);
    }
    server.join().expect("the server");
}
