//! A peer that says exactly what the test tells it to, for what a real server cannot be made to do.
//!
//! Nothing here blocks for ever: reads give up after ten seconds, and dropping the
//! [`ScriptedServer`] shuts down the connection that a script is waiting on. A script that panics
//! (a failed [`Script::expect`], an `assert!` of its own) fails the test: the panic is raised again
//! where the `ScriptedServer` is dropped.

use rustix::net::sockopt::set_socket_linger;
use serde_json::{Map, Value, json};
use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long a script waits for its peer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Listens on a free loopback port and runs a script for each connection.
///
/// ```
/// use evnats_harness::ScriptedServer;
/// use std::io::Read;
///
/// let server = ScriptedServer::start(|mut script| {
///     script.send_info();
///     script.send(b"MSG foo 1 5\r\nhel"); // and closes in the middle of the payload
/// });
/// let mut received = String::new();
/// std::net::TcpStream::connect(("127.0.0.1", server.port()))?.read_to_string(&mut received)?;
/// assert!(received.starts_with("INFO {") && received.ends_with("\r\nhel"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct ScriptedServer {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Starts listening. For each accepted connection, in order and one after the other, the script
    /// runs on the server's thread; while it runs, further connections wait in the backlog.
    ///
    /// # Panics
    ///
    /// When the system has no free port.
    #[track_caller]
    #[must_use]
    pub fn start(mut script: impl FnMut(Script) + Send + 'static) -> ScriptedServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("the address of a bound socket").port();
        let shared = Arc::new(Shared::default());
        let shared_with_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripted server".to_owned())
            .spawn(move || accept_loop(&listener, &shared_with_thread, &mut script))
            .expect("a thread for the scripted server");
        ScriptedServer { port, shared, thread: Some(thread) }
    }

    /// `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port listened on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections have been accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.shut_down();
        // wakes a thread that waits in accept(). If it fails, there is no listener any more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let result = self.thread.take().map(JoinHandle::join);
        if let Some(Err(panic)) = result
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// One accepted connection, in the hands of a script. Dropping it closes the connection.
pub struct Script {
    stream: BufReader<TcpStream>,
    index: usize,
    shared: Arc<Shared>,
}

impl Script {
    /// Which connection this is, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Sends the bytes as they are. That the peer may have closed already is not an error: most
    /// scripts race with it.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends a plausible `INFO` line, of a server 2.15.0 named `scripted`, with headers and
    /// JetStream.
    pub fn send_info(&mut self) {
        self.send_info_with("");
    }

    /// Sends an `INFO` line like [`Script::send_info`]'s with these fields added or replaced, for
    /// instance `"max_payload":100,"auth_required":true`.
    ///
    /// # Panics
    ///
    /// When the text is not what stands between the braces of a JSON object.
    #[track_caller]
    pub fn send_info_with(&mut self, json_fields: &str) {
        let fields: Map<String, Value> = serde_json::from_str(&format!("{{{json_fields}}}"))
            .unwrap_or_else(|error| {
                panic!("{json_fields:?} are not fields of a JSON object: {error}")
            });
        let port = self.stream.get_ref().local_addr().map_or(0, |address| address.port());
        let mut info = json!({
            "server_id": "NSCRIPTED",
            "server_name": "scripted",
            "version": "2.15.0",
            "proto": 1,
            "go": "go1.25",
            "host": "127.0.0.1",
            "port": port,
            "headers": true,
            "max_payload": 1_048_576,
            "jetstream": true,
            "client_id": self.index + 1,
            "client_ip": "127.0.0.1",
        });
        for (name, value) in fields {
            info[name] = value;
        }
        self.send(format!("INFO {info}\r\n").as_bytes());
    }

    /// The next line without its line end. `None` when the peer has closed, or has sent no line for
    /// ten seconds.
    pub fn read_line(&mut self) -> Option<String> {
        self.line().ok()
    }

    /// Reads lines until one starts with `prefix`, and returns it.
    ///
    /// # Panics
    ///
    /// When the peer closes or falls silent first, which fails the test.
    #[track_caller]
    pub fn expect(&mut self, prefix: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.line() {
                Ok(line) if line.starts_with(prefix) => return line,
                Ok(line) => seen.push(line),
                Err(error) => {
                    panic!("waiting for {prefix:?}: {error}; lines before that: {seen:?}")
                }
            }
        }
    }

    /// Reads exactly `length` bytes, for instance a payload with its line end.
    ///
    /// # Panics
    ///
    /// When the peer closes or falls silent first, which fails the test.
    #[track_caller]
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        if let Err(error) = self.stream.read_exact(&mut bytes) {
            panic!("waiting for {length} bytes: {}", silence(error));
        }
        bytes
    }

    /// Does a server's part of the handshake: `INFO`, then waits for `CONNECT` and `PING`, then
    /// `PONG`. Returns the `CONNECT` line.
    ///
    /// # Panics
    ///
    /// When the peer closes or falls silent first, which fails the test.
    #[track_caller]
    pub fn handshake(&mut self) -> String {
        self.send_info();
        let connect = self.expect("CONNECT ");
        self.expect("PING");
        self.send(b"PONG\r\n");
        connect
    }

    /// Waits until the peer closes, or the [`ScriptedServer`] is dropped; discards what comes until
    /// then.
    pub fn hold(&mut self) {
        let _ = self.stream.get_ref().set_read_timeout(None);
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }

    /// Closes the connection with a TCP reset, so that the peer sees an error in place of an end of
    /// file.
    pub fn reset(self) {
        // without linger, closing discards and resets. Shutting down first would make it an orderly
        // close.
        let _ = set_socket_linger(self.stream.get_ref(), Some(Duration::ZERO));
        self.shared.closed(self.index);
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            // the beginning of a line is not a line
            Ok(_) if line.last() != Some(&b'\n') => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => Err(error),
        }
        .map_err(silence)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // the server's own clone of the socket would keep the connection open. After `reset` there
        // is none, and the connection must not be shut down in order.
        if self.shared.closed(self.index) {
            let _ = self.stream.get_ref().shutdown(Shutdown::Both);
        }
    }
}

/// What the server's thread shares with the server and its scripts.
#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicUsize,
    stopping: AtomicBool,
    /// A script was still at work when the server was dropped, so that what it complains about
    /// means nothing.
    cut_off: AtomicBool,
    /// The open connections by index, so that scripts that wait can be woken. More than one only if
    /// a script has handed its connection on, for instance to the test's own thread.
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Shared {
    fn opened(&self, index: usize, stream: TcpStream) {
        self.lock_open().push((index, stream));
    }

    /// Forgets a connection. Whether it was known.
    fn closed(&self, index: usize) -> bool {
        let mut open = self.lock_open();
        let before = open.len();
        open.retain(|(known, _)| *known != index);
        open.len() < before
    }

    fn shut_down(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let open = self.lock_open();
        self.cut_off.store(!open.is_empty(), Ordering::SeqCst);
        for (_, stream) in &*open {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn lock_open(&self) -> MutexGuard<'_, Vec<(usize, TcpStream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept_loop(listener: &TcpListener, shared: &Arc<Shared>, script: &mut impl FnMut(Script)) {
    for stream in listener.incoming() {
        if shared.stopping() {
            return;
        }
        // a connection that was reset before it was accepted
        let Ok(stream) = stream else { continue };
        let index = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let prepared = stream
            .set_read_timeout(Some(READ_TIMEOUT))
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| stream.try_clone());
        let Ok(clone) = prepared else { continue };
        shared.opened(index, clone);
        if shared.stopping() {
            return; // The server was dropped before it could see the connection.
        }
        let one = Script { stream: BufReader::new(stream), index, shared: Arc::clone(shared) };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| script(one))) {
            if !shared.cut_off.load(Ordering::SeqCst) {
                resume_unwind(panic);
            }
            return;
        }
    }
}

/// Gives a read timeout, which systems report in two ways, a text that explains it.
fn silence(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the peer was silent for {READ_TIMEOUT:?}"),
        ),
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the peer has closed"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn connect(server: &ScriptedServer) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap())
    }

    fn line(peer: &mut BufReader<TcpStream>) -> String {
        let mut line = String::new();
        peer.read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn a_handshake_and_a_publish() {
        let (sender, receiver) = mpsc::channel();
        let server = ScriptedServer::start(move |mut script| {
            let connect = script.handshake();
            let publish = script.expect("PUB");
            let payload = script.read_exact(7);
            sender.send((script.index(), connect, publish, payload)).unwrap();
            script.hold();
        });
        for index in 0..2 {
            let mut peer = connect(&server);
            let info: Value =
                serde_json::from_str(line(&mut peer).strip_prefix("INFO ").unwrap()).unwrap();
            assert_eq!(
                (&info["port"], &info["client_id"]),
                (&json!(server.port()), &json!(index + 1))
            );
            peer.get_mut().write_all(b"CONNECT {}\r\nPING\r\n").unwrap();
            assert_eq!(line(&mut peer), "PONG\r\n");
            peer.get_mut().write_all(b"SUB a 1\r\nPUB a 5\r\nhello\r\n").unwrap();
            let got = receiver.recv().unwrap();
            assert_eq!(got, (index, "CONNECT {}".into(), "PUB a 5".into(), b"hello\r\n".to_vec()));
            assert_eq!(server.connections(), index + 1);
        }
    }

    #[test]
    fn info_fields_are_added_and_replaced() {
        let server = ScriptedServer::start(|mut script| {
            script.send_info_with(r#""max_payload":7,"ldm":true"#)
        });
        let mut peer = connect(&server);
        let info: Value =
            serde_json::from_str(line(&mut peer).strip_prefix("INFO ").unwrap()).unwrap();
        assert_eq!(
            (&info["max_payload"], &info["ldm"], &info["proto"]),
            (&json!(7), &json!(true), &json!(1))
        );
        assert_eq!(line(&mut peer), "", "closed when the script ended");
    }

    #[test]
    fn dropping_and_resetting_end_the_connection_differently() {
        let server = ScriptedServer::start(|mut script| {
            script.send(b"x");
            script.expect("go");
            if script.index() == 0 { drop(script) } else { script.reset() }
        });
        let mut ends = Vec::new();
        for _ in 0..2 {
            let mut peer = connect(&server);
            peer.read_exact(&mut [0]).unwrap();
            peer.get_mut().write_all(b"go\r\n").unwrap();
            ends.push(peer.read(&mut [0]).map_err(|error| error.kind()));
        }
        assert_eq!(ends, [Ok(0), Err(io::ErrorKind::ConnectionReset)]);
    }

    #[test]
    fn a_line_cut_short_is_no_line() {
        let (sender, receiver) = mpsc::channel();
        let server = ScriptedServer::start(move |mut script| {
            sender.send((script.read_line(), script.read_line(), script.read_line())).unwrap();
        });
        connect(&server).get_mut().write_all(b"PING\r\nPO").unwrap();
        assert_eq!(receiver.recv().unwrap(), (Some("PING".into()), None, None));
    }

    #[test]
    fn dropping_the_server_ends_a_script_that_waits() {
        let (sender, receiver) = mpsc::channel();
        let server = ScriptedServer::start(move |mut script| {
            sender.send(()).unwrap();
            script.expect("what never comes");
        });
        let _peer = connect(&server);
        receiver.recv().unwrap();
        drop(server); // The script's panic is not the test's.
    }

    #[test]
    #[should_panic(
        expected = "waiting for \"PUB\": the peer has closed; lines before that: [\"PING\"]"
    )]
    fn a_panic_in_a_script_fails_the_test() {
        let server = ScriptedServer::start(|mut script| drop(script.expect("PUB")));
        let mut peer = connect(&server);
        peer.get_mut().write_all(b"PING\r\n").unwrap();
        peer.get_ref().shutdown(Shutdown::Write).unwrap();
        assert_eq!(line(&mut peer), "", "wait until the script has ended");
    }

    #[test]
    fn a_connection_may_be_handed_to_the_test() {
        let (sender, receiver) = mpsc::channel();
        let server = ScriptedServer::start(move |script| sender.send(script).unwrap());
        let mut peers = [connect(&server), connect(&server)];
        let mut scripts: Vec<Script> = vec![receiver.recv().unwrap(), receiver.recv().unwrap()];
        for (peer, script) in peers.iter_mut().zip(&mut scripts) {
            script.send(b"PING\r\n");
            assert_eq!(line(peer), "PING\r\n");
        }
        drop(scripts.remove(0));
        assert_eq!(line(&mut peers[0]), "");
        scripts[0].send(b"PONG\r\n");
        assert_eq!(line(&mut peers[1]), "PONG\r\n");
    }
}
