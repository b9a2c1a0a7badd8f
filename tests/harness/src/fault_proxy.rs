//! A TCP proxy in front of a server that makes connections fail at a chosen byte.
//!
//! The invariant: every byte is forwarded once and in order, except as a [`Fault`] says, and after
//! a method that stalls or ends connections has returned, not one more byte is. No more than one
//! buffer of each direction is held here (besides the system's), so that a reader that does not
//! read still blocks its writer. It does not look into TLS or WebSocket frames, and does not
//! rewrite the addresses that a cluster tells its clients:
//! [`ClusterBuilder::advertise`](crate::ClusterBuilder::advertise) does that.
//!
//! Each connection has two threads with sockets that do not block. They wait in `poll` for their
//! socket or for the end of a pipe, which ends when the connection is to be closed. So nothing here
//! blocks for ever, and a reset need not be preceded by a shutdown, which would spoil it.

use crate::{
    fault::{Direction, Ending, Fault, Schedule, Step},
    line_filter::LineFilter,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::sockopt::set_socket_linger,
};
use std::{
    fmt,
    io::{self, ErrorKind, PipeReader, PipeWriter, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::resume_unwind,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How much of a direction is held here at most, besides the beginning of a line.
const BUFFER: usize = 16 * 1024;

/// How long connecting to the target may take. A port of this machine accepts or refuses at once,
/// unless its backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Listens on a free loopback port and forwards each connection to another one, with faults.
///
/// ```no_run
/// use evnats_harness::{Direction, Fault, FaultProxy, Server};
///
/// let server = Server::start();
/// let proxy = FaultProxy::start(server.port(), |index| match index {
///     0 => vec![Fault::Cut { direction: Direction::ToServer, at: 1000 }],
///     _ => vec![], // the second connection is sound
/// });
/// println!("connect to {}", proxy.url());
/// ```
///
/// Dropping it closes every connection.
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts listening. `plan` is asked for the faults of each connection, with the connection's
    /// index, from 0. If it panics, the panic is raised again where the proxy is dropped, and until
    /// then nothing is accepted.
    ///
    /// # Panics
    ///
    /// When the system has no free port.
    #[track_caller]
    #[must_use]
    pub fn start(
        target_port: u16,
        plan: impl FnMut(usize) -> Vec<Fault> + Send + 'static,
    ) -> FaultProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("the address of a bound socket").port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target_port),
            accepted: AtomicUsize::new(0),
            refusing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            plan: Mutex::new(Box::new(plan)),
            open: Mutex::new(Vec::new()),
            closed: Condvar::new(),
        });
        let shared_with_thread = Arc::clone(&shared);
        let accepting = std::thread::Builder::new()
            .name("fault proxy".to_owned())
            .spawn(move || accept_loop(&listener, &shared_with_thread))
            .expect("a thread for the fault proxy");
        FaultProxy { port, shared, accepting: Some(accepting) }
    }

    /// The port listened on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// How many connections have been accepted so far, including those that were refused
    /// ([`FaultProxy::refuse`]). One that is counted and was not refused can be cut.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open now. A connection is open until both directions have come to
    /// their end, so one that a client has closed stays open while its direction is stalled.
    #[must_use]
    pub fn active(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Closes all open connections in order. Returns when they are closed.
    pub fn cut_all(&self) {
        self.shared.close_all(Closing::Cut);
    }

    /// Closes all open connections with a TCP reset. Returns when they are closed.
    pub fn reset_all(&self) {
        self.shared.close_all(Closing::Reset);
    }

    /// From now on nothing is forwarded on the connections that are open now, also not their end;
    /// later ones are not concerned.
    pub fn stall_all(&self) {
        self.shared.for_each_open(|control| lock(&control.state).stalled = true);
    }

    /// Undoes [`FaultProxy::stall_all`]: what has been held back goes on. [`Fault::Stall`] is not
    /// undone.
    pub fn resume_all(&self) {
        self.shared.for_each_open(|control| {
            lock(&control.state).stalled = false;
            control.changed.notify_all();
        });
    }

    /// Forwards new connections to another port. Where nobody listens, the client sees its
    /// connection closed.
    pub fn set_target(&self, port: u16) {
        self.shared.target.store(port, Ordering::SeqCst);
    }

    /// Whether to close new connections at once. They are counted, but `plan` is not asked.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Replaces the plan for new connections. Must not be called by a plan.
    pub fn set_plan(&self, plan: impl FnMut(usize) -> Vec<Fault> + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("port", &self.port)
            .field("target", &self.shared.target)
            .field("connections", &self.connections())
            .field("active", &self.active())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // wakes the thread that waits in accept(). If it fails, there is no listener any more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let result = self.accepting.take().map(JoinHandle::join);
        // only now, as there will be no more of them
        self.shared.close_all(Closing::Cut);
        if let Some(Err(panic)) = result
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

type Plan = Box<dyn FnMut(usize) -> Vec<Fault> + Send>;

/// What the proxy shares with its threads.
struct Shared {
    target: AtomicU16,
    accepted: AtomicUsize,
    refusing: AtomicBool,
    stopping: AtomicBool,
    plan: Mutex<Plan>,
    /// The open connections. A connection's sockets are closed before it leaves this list, and its
    /// threads do nothing more after that.
    open: Mutex<Vec<Arc<Control>>>,
    /// Some connection has left the list.
    closed: Condvar,
}

impl Shared {
    fn for_each_open(&self, act: impl Fn(&Control)) {
        lock(&self.open).iter().for_each(|control| act(control));
    }

    /// Closes what is open now, and waits for it.
    fn close_all(&self, how: Closing) {
        let mut open = lock(&self.open);
        let closing = open.clone();
        closing.iter().for_each(|control| control.close(how));
        while open.iter().any(|one| closing.iter().any(|other| Arc::ptr_eq(one, other))) {
            open = self.closed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Cut,
    Reset,
}

/// What an open connection is controlled by.
struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    stalled: bool,
    closing: Option<Closing>,
    /// Dropped to wake the connection's threads when it is to be closed.
    wake: Option<PipeWriter>,
}

impl Control {
    fn close(&self, how: Closing) {
        let mut state = lock(&self.state);
        state.closing.get_or_insert(how);
        state.wake = None;
        self.changed.notify_all();
    }

    /// The state of a connection that may forward. Waits while it is stalled.
    fn gate(&self) -> Result<MutexGuard<'_, State>, Stop> {
        let mut state = lock(&self.state);
        while state.stalled && state.closing.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closing.is_some() { Err(Stop::Closed) } else { Ok(state) }
    }

    /// Waits for so long, or until the connection is to be closed.
    fn hold(&self, time: Duration) -> Result<(), Stop> {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.state);
        while state.closing.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(Stop::Closed)
    }

    fn wait_until_closed(&self) {
        let mut state = lock(&self.state);
        while state.closing.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn accept_loop(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        // a connection that was reset before it was accepted
        let Ok(client) = client else { continue };
        let index = shared.accepted.load(Ordering::SeqCst);
        let is_refused = shared.refusing.load(Ordering::SeqCst);
        let opened = if is_refused { None } else { open(shared, index) };
        // one that is counted is one of those that can be ended
        shared.accepted.store(index + 1, Ordering::SeqCst);
        let Some((faults, reader, open)) = opened else { continue };
        // not joined: it is over when the connection has left the list
        std::thread::Builder::new()
            .name(format!("fault proxy {index}"))
            .spawn(move || open.serve(client, &faults, &reader))
            .expect("a thread for the connection");
    }
}

/// Puts a connection into the list of those that are open, with what is to happen to it. `None`: there are
/// no descriptors for it, which the client shall see.
fn open(shared: &Arc<Shared>, index: usize) -> Option<(Vec<Fault>, PipeReader, Open)> {
    let faults = (lock(&shared.plan))(index);
    let (reader, writer) = io::pipe().ok()?;
    let state = State { stalled: false, closing: None, wake: Some(writer) };
    let control = Arc::new(Control { state: Mutex::new(state), changed: Condvar::new() });
    lock(&shared.open).push(Arc::clone(&control));
    Some((faults, reader, Open { control, shared: Arc::clone(shared) }))
}

/// A connection's place in the list of those that are open.
struct Open {
    control: Arc<Control>,
    shared: Arc<Shared>,
}

impl Open {
    fn serve(self, client: TcpStream, faults: &[Fault], wake: &PipeReader) {
        let port = self.shared.target.load(Ordering::SeqCst);
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let Ok(server) = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT) else { return };
        for socket in [&client, &server] {
            let prepared = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
            prepared.expect("options of a connected socket");
        }
        let pump = |direction| {
            let (from, to) = match direction {
                Direction::ToClient => (&server, &client),
                Direction::ToServer => (&client, &server),
            };
            Pump {
                control: &self.control,
                wake,
                from,
                to,
                lines: LineFilter::new(faults, direction),
                schedule: Schedule::new(faults, direction),
                forwarded: 0,
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| pump(Direction::ToClient).run());
            pump(Direction::ToServer).run();
        });
        let closing = lock(&self.control.state).closing;
        for socket in [client, server] {
            close(socket, closing.unwrap_or(Closing::Cut));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = lock(&self.shared.open);
        open.retain(|other| !Arc::ptr_eq(other, &self.control));
        self.shared.closed.notify_all();
    }
}

fn close(socket: TcpStream, how: Closing) {
    // errors mean that the peer was first
    match how {
        // without linger, closing discards and resets
        Closing::Reset => drop(set_socket_linger(&socket, Some(Duration::ZERO))),
        Closing::Cut => {
            let _ = socket.shutdown(Shutdown::Both);
            // closing a socket that has something to read resets it, and bytes on their way would
            // be lost. Bounded, for the peer may go on to send.
            let _ = io::copy(&mut (&socket).take(1 << 22), &mut io::sink());
        }
    }
}

/// Why a direction forwards no more.
enum Stop {
    /// The connection is to be closed.
    Closed,
    /// The receiver is gone, or has been told that no more will come.
    Deaf,
    /// By a fault, for good.
    Stalled,
}

/// One direction of one connection.
struct Pump<'a> {
    control: &'a Control,
    wake: &'a PipeReader,
    from: &'a TcpStream,
    to: &'a TcpStream,
    lines: LineFilter,
    schedule: Schedule,
    forwarded: u64,
}

impl Pump<'_> {
    fn run(mut self) {
        match self.forward_all() {
            Ok(()) | Err(Stop::Closed) => {}
            Err(Stop::Stalled) => self.control.wait_until_closed(),
            Err(Stop::Deaf) => self.discard(),
        }
    }

    /// Forwards up to the end of the stream, and that.
    fn forward_all(&mut self) -> Result<(), Stop> {
        let mut buffer = vec![0; BUFFER];
        let mut pending = Vec::new();
        self.forward(&mut pending)?;
        loop {
            let count = match self.read(&mut buffer)? {
                Ok(count) => count,
                Err(_) => {
                    // the sender has reset the connection; so the receiver shall see
                    drop(self.control.gate()?);
                    self.control.close(Closing::Reset);
                    return Err(Stop::Closed);
                }
            };
            if count == 0 {
                self.lines.finish(&mut pending);
                self.forward(&mut pending)?;
                let _gate = self.control.gate()?;
                let _ = self.to.shutdown(Shutdown::Write);
                return Ok(());
            }
            self.lines.filter(&buffer[..count], &mut pending);
            self.forward(&mut pending)?;
        }
    }

    /// Forwards these bytes as the schedule says.
    fn forward(&mut self, pending: &mut Vec<u8>) -> Result<(), Stop> {
        let mut rest = pending.as_mut_slice();
        self.schedule.corrupt(self.forwarded, rest);
        while let Some(step) = self.schedule.step(self.forwarded, rest.len()) {
            match step {
                Step::Forward(count) => {
                    let written = self.write(&rest[..count])?;
                    self.forwarded += written as u64;
                    rest = &mut rest[written..];
                    if count == 1 {
                        // gives the receiver a chance to see a single byte
                        std::thread::yield_now();
                    }
                }
                Step::Hold(time) => self.control.hold(time)?,
                Step::End(ending) => return Err(self.end(ending)?),
            }
        }
        pending.clear();
        Ok(())
    }

    fn end(&mut self, ending: Ending) -> Result<Stop, Stop> {
        let gate = self.control.gate()?;
        let closing = match ending {
            Ending::Stall => return Ok(Stop::Stalled),
            Ending::HalfClose => {
                let _ = self.to.shutdown(Shutdown::Write);
                return Ok(Stop::Deaf);
            }
            Ending::Cut => Closing::Cut,
            Ending::Reset => Closing::Reset,
        };
        drop(gate);
        self.control.close(closing);
        Ok(Stop::Closed)
    }

    /// Reads to nowhere, so that the sender does not notice and its end is seen.
    fn discard(&self) {
        let mut buffer = vec![0; BUFFER];
        while matches!(self.read(&mut buffer), Ok(Ok(1..))) {}
    }

    /// Reads what is there, or waits for it.
    fn read(&self, buffer: &mut [u8]) -> Result<io::Result<usize>, Stop> {
        loop {
            self.wait(self.from, PollFlags::IN)?;
            let mut from = self.from;
            match from.read(buffer) {
                Err(error) if is_transient(&error) => {}
                result => return Ok(result),
            }
        }
    }

    /// Writes some of the bytes, as soon as the receiver takes any.
    fn write(&self, bytes: &[u8]) -> Result<usize, Stop> {
        loop {
            {
                // held while writing, so that nothing is forwarded after a stall
                let _gate = self.control.gate()?;
                let mut to = self.to;
                match to.write(bytes) {
                    Ok(count) => return Ok(count),
                    Err(error) if is_transient(&error) => {}
                    Err(_) => return Err(Stop::Deaf),
                }
            }
            self.wait(self.to, PollFlags::OUT)?;
        }
    }

    /// Waits until the socket is ready. Fails when the connection is to be closed.
    fn wait(&self, socket: &TcpStream, events: PollFlags) -> Result<(), Stop> {
        // nothing is ever written to the pipe: it has ended, or it is silent
        let mut watched = [PollFd::new(socket, events), PollFd::new(self.wake, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut watched, None)).expect("poll of two descriptors");
        if watched[1].revents().is_empty() { Ok(()) } else { Err(Stop::Closed) }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
