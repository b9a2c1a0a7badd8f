//! Candidates: whatever fails at an address of a name, at any stage, the next one's turn comes, and
//! none uses up the time of all. In simulations, with all that can be wrong at an address.

#![cfg(all(feature = "nkeys", feature = "tls"))]

mod support;

use evnats::simulation::{Connection, Peer, Simulation};
use evnats::{DisconnectReason, EventLoop, Options, Tls};
use evnats_harness::{Certificates, ServerCertificate};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use support::seen::{Seen as App, watch};
use support::simulated::SimulatedServer;
use support::turn_until;

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

    let options = Options::new("dead").randomize_servers(false);
    let options = options.max_reconnects(2).retry_first_connect(true);
    watch(&event_loop.connect(options).expect("a client"));
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

/// A server of few words that speaks TLS, as far as it is to, and knows no command but `PING`.
struct TlsServer {
    session: rustls::ServerConnection,
    greets: bool,
}

impl TlsServer {
    fn config(certificates: &Certificates) -> Arc<rustls::ServerConfig> {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let file = certificates.server(ServerCertificate::Valid);
        let chain = CertificateDer::pem_file_iter(file).expect("a file").map(Result::unwrap);
        let key = certificates.server_key(ServerCertificate::Valid);
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let config = builder.with_no_client_auth().with_single_cert(chain.collect(), key);
        Arc::new(config.expect("a certificate"))
    }

    fn start(simulation: &Simulation, address: &str, config: Arc<rustls::ServerConfig>) {
        let accept = move |_: &Connection| {
            let session = rustls::ServerConnection::new(config.clone()).expect("a session");
            Self { session, greets: true }
        };
        simulation.listen(address, accept).expect("a free address");
    }
}

impl Peer for TlsServer {
    fn handle_bytes(&mut self, connection: &Connection, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes).expect("memory");
            self.session.process_new_packets().expect("TLS");
        }
        if !self.session.is_handshaking() && std::mem::take(&mut self.greets) {
            self.session.writer().write_all(b"INFO {\"proto\":1}\r\n").expect("memory");
        }
        let mut plain = Vec::new();
        let _ = self.session.reader().read_to_end(&mut plain);
        if plain.ends_with(b"PING\r\n") {
            self.session.writer().write_all(b"PONG\r\n").expect("memory");
        }
        let mut out = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut out).expect("memory");
        }
        connection.send(&out);
    }
}

#[test]
fn a_handshake_of_tls_that_fails_or_hangs_is_one_address_less() {
    let certificates = Certificates::new();
    let config = TlsServer::config(&certificates);
    for seed in 0..10 {
        let (simulation, _) = world_with(seed, &FAULTS);
        let serving = "10.9.1.1";
        TlsServer::start(&simulation, &format!("{serving}:4222"), config.clone());
        let mut addresses: Vec<_> = (1..=FAULTS.len()).map(|n| format!("10.9.0.{n}")).collect();
        addresses.push(serving.into());
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        simulation.set_addresses("localhost", &addresses).expect("addresses");
        let event_loop = simulated(&simulation);
        // the handshake comes first, so all that was a fault of INFO is one of TLS now
        let tls = Tls::new().ca_file(certificates.ca()).first(true);
        let nats = event_loop.connect(Options::new("localhost").tls(tls)).expect("a client");
        watch(&nats);
        let mut app = App::default();
        turn_until(&event_loop, &mut app, "a connection", |app| app.connects == 1);
        assert!(simulation.elapsed() <= 6 * SECOND, "{:?}", simulation.elapsed());
        assert!(app.closed.is_none(), "{app:?}");
    }
}

#[cfg(feature = "websocket")]
mod websocket {
    use super::*;

    /// A server of few words in WebSocket's frames, which it does not take apart.
    struct WebSocketServer {
        is_open: bool,
    }

    impl Peer for WebSocketServer {
        fn handle_bytes(&mut self, connection: &Connection, bytes: &[u8]) {
            if std::mem::replace(&mut self.is_open, true) {
                return connection.send(b"\x82\x06PONG\r\n");
            }
            let request = String::from_utf8_lossy(bytes);
            let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            let accept = tungstenite::handshake::derive_accept_key(key.expect("a key").as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            connection.send(answer.as_bytes());
            connection.send(b"\x82\x12INFO {\"proto\":1}\r\n");
        }
    }

    #[test]
    fn a_handshake_of_websocket_that_fails_or_hangs_is_one_address_less() {
        for seed in 0..40 {
            let (simulation, _) = world_with(seed, &FAULTS);
            let accept = |_: &Connection| WebSocketServer { is_open: false };
            simulation.listen("10.9.1.1:4222", accept).expect("an address");
            let mut addresses: Vec<_> = (1..=FAULTS.len()).map(|n| format!("10.9.0.{n}")).collect();
            addresses.push("10.9.1.1".into());
            let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
            simulation.set_addresses("many", &addresses).expect("addresses");
            let event_loop = simulated(&simulation);
            let nats = event_loop.connect("ws://many:4222").expect("a client");
            watch(&nats);
            let mut app = App::default();
            turn_until(&event_loop, &mut app, "a connection", |app| app.connects == 1);
            assert!(simulation.elapsed() <= 6 * SECOND, "{:?}", simulation.elapsed());
        }
    }
}
