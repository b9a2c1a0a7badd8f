//! A connection on the simulated network: the client's end as a transport, the server's as a peer,
//! and what is on its way between them.
//!
//! Each direction keeps its order, whatever the latencies are. The client's end holds no more than
//! a socket's buffer would; the server may send without limit.

use super::world::Simulation;
use super::world::{Event, World};
use crate::event_loop::{Readiness, Registration, SetReadiness, Transport};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A server's side of one connection. It runs while the loop waits.
pub trait Peer: 'static {
    /// Bytes have arrived, cut as they were sent.
    fn handle_bytes(&mut self, connection: &Connection, bytes: &[u8]);

    /// The client is gone, or the connection was reset. Nothing more will arrive.
    fn handle_closed(&mut self, connection: &Connection) {
        let _ = connection;
    }
}

/// The server's end of a connection. A cheap handle: clones are the same connection.
#[derive(Clone)]
pub struct Connection {
    wire: Rc<Wire>,
}

/// Calls a server for a new connection.
pub(super) type Accept = Box<dyn FnMut(&Connection) -> Box<dyn Peer>>;

impl Connection {
    /// A number that no other connection of the simulation has. They count up.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.wire.id
    }

    /// Sends bytes to the client.
    pub fn send(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.wire.send(Direction::ToClient, Cargo::Bytes(bytes.to_vec()));
        }
    }

    /// Closes the connection after what was sent.
    pub fn close(&self) {
        self.wire.close_server();
        self.wire.send(Direction::ToClient, Cargo::End);
    }

    /// Resets the connection now: what is on its way is lost.
    pub fn reset(&self) {
        self.wire.reset();
    }

    /// The simulation, as long as it lasts.
    #[must_use]
    pub fn simulation(&self) -> Option<Simulation> {
        self.wire.world.upgrade().map(|world| Simulation { world })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// What travels.
enum Cargo {
    Bytes(Vec<u8>),
    Connect,
    Accepted,
    Refused,
    End,
}

/// A connection.
pub(super) struct Wire {
    world: Weak<World>,
    id: u64,
    address: SocketAddr,
    to_server: RefCell<Path>,
    to_client: RefCell<Path>,
    client: RefCell<ClientEnd>,
    /// Away while it runs; none before the connection is accepted and after it has ended.
    peer: RefCell<Option<Box<dyn Peer>>>,
    has_server_closed: Cell<bool>,
}

/// What is on its way in one direction.
#[derive(Default)]
struct Path {
    cargo: VecDeque<Cargo>,
    /// When the last of it arrives.
    last: Duration,
}

struct ClientEnd {
    state: ClientState,
    arrived: VecDeque<u8>,
    /// Bytes that have been written and have not arrived.
    in_flight: usize,
    /// A write has found no room.
    was_full: bool,
    readiness: Option<SetReadiness>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientState {
    Connecting,
    Open,
    /// The server sends no more.
    Ended,
    Failed(io::ErrorKind),
}

/// Bytes that a client can have on their way.
const CAPACITY: usize = 256 * 1024;

impl Wire {
    pub(super) fn new(world: &Rc<World>, id: u64, address: SocketAddr) -> Rc<Self> {
        let client = ClientEnd {
            state: ClientState::Connecting,
            arrived: VecDeque::new(),
            in_flight: 0,
            was_full: false,
            readiness: None,
        };
        Rc::new(Self {
            world: Rc::downgrade(world),
            id,
            address,
            to_server: RefCell::default(),
            to_client: RefCell::default(),
            client: RefCell::new(client),
            peer: RefCell::default(),
            has_server_closed: Cell::new(false),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn path(&self, direction: Direction) -> &RefCell<Path> {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    fn send(self: &Rc<Self>, direction: Direction, cargo: Cargo) {
        self.path(direction).borrow_mut().cargo.push_back(cargo);
        self.plan_arrival(direction);
    }

    /// Has the next cargo of a direction arrive after what is on its way already.
    pub(super) fn plan_arrival(self: &Rc<Self>, direction: Direction) {
        let Some(world) = self.world.upgrade() else { return };
        let soonest = world.elapsed.get().saturating_add(world.latency());
        let mut path = self.path(direction).borrow_mut();
        path.last = path.last.max(soonest);
        world.plan_at(path.last, Event::Arrival(self.clone(), direction));
    }

    pub(super) fn arrive(
        self: &Rc<Self>,
        direction: Direction,
        accept: Option<&Rc<RefCell<Accept>>>,
    ) {
        let cargo = self.path(direction).borrow_mut().cargo.pop_front();
        match (direction, cargo) {
            (_, None) => {}
            (Direction::ToServer, Some(Cargo::Connect)) => self.accept(accept),
            (Direction::ToServer, Some(Cargo::Bytes(bytes))) => self.give_to_peer(&bytes),
            (Direction::ToServer, Some(_)) => self.end_peer(),
            (Direction::ToClient, Some(cargo)) => self.client.borrow_mut().receive(cargo),
        }
    }

    fn accept(self: &Rc<Self>, accept: Option<&Rc<RefCell<Accept>>>) {
        let Some(accept) = accept else {
            return self.send(Direction::ToClient, Cargo::Refused);
        };
        self.send(Direction::ToClient, Cargo::Accepted);
        let peer = accept.borrow_mut()(&Connection { wire: self.clone() });
        if !self.has_server_closed.get() {
            self.peer.replace(Some(peer));
        }
    }

    fn give_to_peer(self: &Rc<Self>, bytes: &[u8]) {
        self.client.borrow_mut().handle_delivered(bytes.len());
        let peer = self.peer.take();
        if let Some(mut peer) = peer {
            peer.handle_bytes(&Connection { wire: self.clone() }, bytes);
            if !self.has_server_closed.get() {
                self.peer.replace(Some(peer));
            }
        }
    }

    fn end_peer(self: &Rc<Self>) {
        self.has_server_closed.set(true);
        let peer = self.peer.take();
        if let Some(mut peer) = peer {
            peer.handle_closed(&Connection { wire: self.clone() });
        }
    }

    fn close_server(&self) {
        self.has_server_closed.set(true);
        let peer = self.peer.take();
        // user code
        drop(peer);
    }

    pub(super) fn reset(self: &Rc<Self>) {
        self.to_client.borrow_mut().cargo.clear();
        self.client.borrow_mut().fail(io::ErrorKind::ConnectionReset);
        self.end_peer();
    }
}

impl ClientEnd {
    fn receive(&mut self, cargo: Cargo) {
        match cargo {
            Cargo::Bytes(bytes) => {
                self.arrived.extend(bytes);
                self.report(Readiness::READABLE);
            }
            Cargo::Accepted => {
                self.state = ClientState::Open;
                self.report(Readiness::WRITABLE);
            }
            Cargo::End => {
                if self.state == ClientState::Open {
                    self.state = ClientState::Ended;
                }
                self.report(Readiness::READABLE | Readiness::READ_CLOSED);
            }
            Cargo::Refused | Cargo::Connect => self.fail(io::ErrorKind::ConnectionRefused),
        }
    }

    fn fail(&mut self, kind: io::ErrorKind) {
        if !matches!(self.state, ClientState::Failed(_)) {
            self.state = ClientState::Failed(kind);
            self.arrived.clear();
            self.report(Readiness::READABLE | Readiness::WRITABLE | Readiness::ERROR);
        }
    }

    fn handle_delivered(&mut self, count: usize) {
        self.in_flight -= count;
        if std::mem::take(&mut self.was_full) {
            self.report(Readiness::WRITABLE);
        }
    }

    fn report(&self, readiness: Readiness) {
        if let Some(own) = &self.readiness {
            own.set_readiness(readiness);
        }
    }
}

/// The client's end of a simulated connection.
pub(crate) struct SimulatedStream {
    wire: Rc<Wire>,
}

impl SimulatedStream {
    pub(super) fn connect(wire: Rc<Wire>) -> Self {
        wire.send(Direction::ToServer, Cargo::Connect);
        Self { wire }
    }
}

impl Read for SimulatedStream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut client = self.wire.client.borrow_mut();
        match client.state {
            ClientState::Failed(kind) => Err(kind.into()),
            ClientState::Ended if client.arrived.is_empty() => Ok(0),
            _ if client.arrived.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => client.arrived.read(room),
        }
    }
}

impl Write for SimulatedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut client = self.wire.client.borrow_mut();
        match client.state {
            ClientState::Failed(kind) => return Err(kind.into()),
            ClientState::Connecting => return Err(io::ErrorKind::WouldBlock.into()),
            ClientState::Open | ClientState::Ended => {}
        }
        let count = bytes.len().min(CAPACITY - client.in_flight);
        client.was_full |= count < bytes.len();
        if count == 0 {
            return if bytes.is_empty() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        client.in_flight += count;
        drop(client);
        self.wire.send(Direction::ToServer, Cargo::Bytes(bytes[..count].to_vec()));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for SimulatedStream {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        self.wire.client.borrow_mut().readiness = Some(registration.set_readiness());
        Ok(())
    }

    fn deregister(&mut self, _registration: &Registration) {
        self.wire.client.borrow_mut().readiness = None;
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        match self.wire.client.borrow().state {
            ClientState::Connecting => Err(io::ErrorKind::WouldBlock.into()),
            ClientState::Failed(kind) => Err(kind.into()),
            ClientState::Open | ClientState::Ended => Ok(()),
        }
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.wire.client.borrow_mut().fail(io::ErrorKind::NotConnected);
        self.wire.send(Direction::ToServer, Cargo::End);
    }
}
