//! A peer that looks like the primary of a replica set and says what the test wants, for what a real
//! server cannot be made to do: to fall silent in the middle of a command with its connections open, to
//! send what nobody can read, errors of any number, and any batches.

mod connections;
mod reply;
mod request;
mod usual;

pub use reply::{CursorBatch, Reply};
pub use request::Request;

use super::message::Message;
use connections::Connections;
use std::{
    collections::HashMap,
    fmt,
    io::BufReader,
    net::{Ipv4Addr, TcpListener, TcpStream},
    panic::resume_unwind,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a test waits for a command before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

type Handler = Box<dyn FnMut(&Request) -> Reply + Send>;

/// Listens on a free loopback port and answers each command as a handler says.
///
/// ```
/// use evnats_harness::{MongoStandIn, Reply};
///
/// let stand_in = MongoStandIn::start(|request| match request.command() {
///     "find" => Reply::error(43, "CursorNotFound"),
///     "insert" => Reply::Silence,
///     _ => Reply::Usual,
/// });
/// println!("{}", stand_in.uri());
/// ```
///
/// The usual replies are those of a primary without data: its change streams have no events, and a
/// `getMore` waits as long as it was told to. Dropping the value closes every connection; a panic of the
/// handler is raised again there.
pub struct MongoStandIn {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What the stand-in shares with the threads of its connections.
struct Shared {
    handler: Mutex<Handler>,
    connections: Connections,
    /// How often each command has come.
    seen: Mutex<HashMap<String, usize>>,
    seen_another: Condvar,
}

impl MongoStandIn {
    /// Starts listening. The handler is asked for the reply to each command of each connection, one at a
    /// time; it must not block.
    ///
    /// # Panics
    ///
    /// When the system has no free port.
    #[track_caller]
    #[must_use]
    pub fn start(handler: impl FnMut(&Request) -> Reply + Send + 'static) -> MongoStandIn {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("the address of a bound socket").port();
        let shared = Arc::new(Shared {
            handler: Mutex::new(Box::new(handler)),
            connections: Connections::default(),
            seen: Mutex::default(),
            seen_another: Condvar::new(),
        });
        let accepting = spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, port, &shared)
        });
        MongoStandIn { port, shared, accepting: Some(accepting) }
    }

    /// The connection string: `mongodb://127.0.0.1:PORT/?directConnection=true`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("mongodb://{}:{}/?directConnection=true", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The port listened on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections have been accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.accepted()
    }

    /// How many connections are open now.
    #[must_use]
    pub fn active(&self) -> usize {
        self.shared.connections.open()
    }

    /// How often a command has come so far.
    #[must_use]
    pub fn seen(&self, command: &str) -> usize {
        lock(&self.shared.seen).get(command).copied().unwrap_or_default()
    }

    /// Waits until a command has come so often in all.
    ///
    /// # Panics
    ///
    /// When that takes longer than 20 seconds.
    #[track_caller]
    pub fn wait_seen(&self, command: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = lock(&self.shared.seen);
        loop {
            let count = seen.get(command).copied().unwrap_or_default();
            if count >= times {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{command} has come {count} times, not {times}: {seen:?}");
            let waited = self.shared.seen_another.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for MongoStandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStandIn").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for MongoStandIn {
    fn drop(&mut self) {
        self.shared.connections.end();
        // wakes the thread that waits in accept(). If it fails, there is no listener any more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let result = self.accepting.take().map(JoinHandle::join);
        if let Some(Err(panic)) = result
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

/// Accepts connections until the end; then joins their threads, the panic of one of which becomes its
/// own.
fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    let mut serving = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let Some(index) = shared.connections.add(&stream) else { break };
        let shared = Arc::clone(shared);
        serving.push(spawn(move || {
            let _open = shared.connections.guard(index);
            // the peer has gone, or sends what is no message: the connection ends
            let _ = serve(&shared, stream, index, port);
        }));
    }
    let panics: Vec<_> = serving.into_iter().filter_map(|thread| thread.join().err()).collect();
    if let Some(panic) = panics.into_iter().next() {
        resume_unwind(panic);
    }
}

/// Answers the commands of one connection, one after the other.
fn serve(shared: &Shared, stream: TcpStream, index: usize, port: u16) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(message) = Message::read(&mut stream)? {
        let request = Request::new(index, port, message);
        let reply = (lock(&shared.handler))(&request);
        let reply = match reply {
            Reply::Usual => {
                shared.connections.pause(usual::pause(&request));
                usual::reply(&request)
            }
            other => other,
        };
        shared.note(request.command());
        if !reply.send(&request, stream.get_mut())? {
            break;
        }
    }
    Ok(())
}

impl Shared {
    fn note(&self, command: &str) {
        *lock(&self.seen).entry(command.to_owned()).or_default() += 1;
        self.seen_another.notify_all();
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name("mongo stand-in".to_owned()).spawn(run);
    thread.expect("a thread for the stand-in")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
