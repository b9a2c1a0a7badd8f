//! Real servers of all releases, started, stopped, killed and frozen by the harness; spoken to with
//! plain sockets.

#[path = "support/processes.rs"]
mod processes;
#[path = "support/waiting.rs"]
mod waiting;

use evnats_harness::{Release, Server, StartError, provision};
use processes::exists;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};
use waiting::{PATIENCE, wait_for};

/// A connection that has done the handshake.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn connect(port: u16) -> Peer {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Peer(BufReader::new(stream));
        assert!(peer.line().starts_with("INFO "));
        peer.send("CONNECT {\"verbose\":false,\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\n");
        // newer servers send a second INFO after the first PONG; after the second PONG, it is out
        // of the way.
        peer.ping();
        peer.ping();
        peer
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ping(&mut self) {
        self.send("PING\r\n");
        while self.line() != "PONG" {}
    }

    fn request(&mut self, subject: &str, payload: &str) -> String {
        self.send(&format!(
            "SUB reply 1\r\nPUB {subject} reply {}\r\n{payload}\r\n",
            payload.len()
        ));
        let line = self.line();
        assert!(line.starts_with("MSG reply 1 "), "{line:?}");
        // the last field, not the fourth: a JetStream acknowledgement has an empty reply subject
        let length = line.split(' ').next_back().and_then(|length| length.parse().ok());
        let length = length.unwrap_or_else(|| panic!("{line:?}"));
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(self.line(), "");
        self.send("UNSUB 1\r\n");
        String::from_utf8(answer).unwrap()
    }
}

/// Makes a stream and stores one message in it.
fn store_one_message(port: u16) {
    let mut peer = Peer::connect(port);
    let created =
        peer.request("$JS.API.STREAM.CREATE.kept", r#"{"name":"kept","subjects":["kept.>"]}"#);
    assert!(created.contains("\"did_create\":true"), "{created}");
    let stored = peer.request("kept.one", "hello");
    assert!(stored.contains("\"seq\":1"), "{stored}");
}

fn assert_one_message(port: u16) {
    let info = Peer::connect(port).request("$JS.API.STREAM.INFO.kept", "");
    assert!(info.contains("\"messages\":1,"), "{info}");
}

#[test]
fn every_release_starts_and_keeps_port_and_streams_over_a_restart() {
    for release in Release::ALL {
        let mut server = Server::builder().release(release).start().unwrap();
        assert!(release.accepts(server.version()), "{release} is {}", server.version());
        assert_eq!(server.url(), format!("nats://127.0.0.1:{}", server.port()));
        store_one_message(server.port());
        let (port, pid) = (server.port(), server.pid());

        server.restart();
        assert_eq!(server.port(), port);
        assert_ne!(server.pid(), pid);
        assert_one_message(port);

        server.kill9();
        assert!(!server.is_running() && !exists(pid));
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        server.start_again();
        assert_one_message(port);
        assert_eq!(server.log().matches("Server is ready").count(), 3, "{}", server.log());
    }
}

#[test]
fn the_default_is_of_the_release_that_the_environment_asks_for() {
    let server = Server::start();
    assert!(Release::from_env().accepts(server.version()));
    assert!(server.directory().join("store").is_dir(), "jetstream is on");
}

#[test]
fn a_paused_server_is_silent_until_it_is_resumed() {
    let mut server = Server::start();
    let mut peer = Peer::connect(server.port());
    server.pause();
    peer.send("PING\r\n");
    peer.0.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    peer.0.fill_buf().unwrap_err();
    server.resume();
    peer.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(peer.line(), "PONG");

    server.pause();
    server.stop(); // Does not wait for the ten seconds after which it would kill.
    assert!(server.log().contains("Server Exiting"), "{}", server.log());
}

#[test]
fn lame_duck_mode_is_announced() {
    let server = Server::builder()
        .jetstream(false)
        .config("lame_duck_duration: \"30s\"")
        .config("lame_duck_grace_period: \"1s\"")
        .start()
        .unwrap();
    let mut peer = Peer::connect(server.port());
    server.lame_duck();
    let info = peer.line();
    assert!(info.starts_with("INFO ") && info.contains("\"ldm\":true"), "{info}");
}

#[test]
fn a_panic_stops_the_server() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let server = Server::builder().jetstream(false).start().unwrap();
        sender.send((server.pid(), server.directory().to_owned())).unwrap();
        panic!("as a failed test does");
    });
    assert!(thread.join().is_err());
    let (pid, directory) = receiver.recv().unwrap();
    assert!(!exists(pid));
    assert!(!directory.exists());
}

/// Run by `an_abort_stops_the_server` in a process of its own.
#[test]
#[ignore = "aborts; run in a child process by an_abort_stops_the_server"]
fn child_that_aborts() {
    let server = Server::builder().jetstream(false).start().unwrap();
    server.pause(); // The harder case: it could not hear a polite signal.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "started {} {}", server.pid(), server.directory().display()).unwrap();
    std::process::abort();
}

#[test]
fn an_abort_stops_the_server() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_aborts", "--ignored"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().find_map(|line| line.strip_prefix("started ")).unwrap();
    let (pid, directory) = line.split_once(' ').unwrap();
    wait_for("the watchdog", || !exists(pid.parse().unwrap()));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn many_servers_start_at_once() {
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Server::builder().jetstream(false).start().unwrap()))
            .collect();
        let mut servers: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        let mut ports: Vec<_> = servers.iter().map(Server::port).collect();
        let mut names: Vec<_> = servers.iter().map(|server| server.name().to_owned()).collect();
        for server in &mut servers {
            server.restart();
            Peer::connect(server.port());
        }
        ports.sort_unstable();
        ports.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((ports.len(), names.len()), (8, 8));
    });
}

#[test]
fn credentials_and_a_port_of_choice() {
    let port = evnats_harness::ReservedPort::any().unwrap().port();
    let server = Server::builder()
        .port(port)
        .config("authorization { user: a, password: b }")
        .start()
        .unwrap();
    assert_eq!(server.port(), port);
    let error = Server::builder().port(port).start().unwrap_err();
    assert!(matches!(error, StartError::Io { .. }), "{error}");
}

#[test]
fn a_bad_configuration_is_explained() {
    let error = Server::builder().config("no_such_field: 1").start().unwrap_err();
    assert!(matches!(error, StartError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no_such_field"), "{error}");
    let error = Server::builder().config("lame_duck_duration: \"1s\"").start().unwrap_err();
    assert!(error.to_string().contains("lame_duck"), "{error}");
}

#[test]
fn a_server_that_ends_by_itself_is_noticed_and_started_again() {
    let mut server = Server::start();
    let pid = server.pid().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    wait_for("the server's end", || !server.is_running());
    server.stop();
    server.start_again();
    Peer::connect(server.port());
}

#[test]
fn a_binary_is_found_again() {
    for release in Release::ALL {
        let binary = provision(release).unwrap();
        assert!(binary.is_absolute() && binary.is_file());
        assert_eq!(provision(release).unwrap(), binary);
    }
}
