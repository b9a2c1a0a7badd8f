//! A simulated world: its clock, its randomness, and what happens in it when.

use super::network::Network;
use super::wire::{Connection, Direction, Peer, SimulatedStream, Wire};
use crate::error::Result;
use crate::event_loop::{EventLoop, LookUp, LoopOptions, Readiness, SetReadiness};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// A simulated world: its clock, its randomness and its network. A cheap handle: clones are the
/// same world.
#[derive(Clone)]
pub struct Simulation {
    pub(super) world: Rc<World>,
}

pub(crate) struct World {
    start: Instant,
    pub(super) elapsed: Cell<Duration>,
    random: RefCell<fastrand::Rng>,
    /// What is to happen, in order; the number keeps the order of what happens at the same time.
    events: RefCell<BTreeMap<(Duration, u64), Event>>,
    next_event: Cell<u64>,
    network: RefCell<Network>,
}

pub(super) enum Event {
    /// Something that the test, or the network itself, has planned.
    Script(Box<dyn FnOnce()>),
    /// The next thing on its way in one direction of a connection arrives.
    Arrival(Rc<Wire>, Direction),
}

/// How a wait in a simulation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something has happened.
    Happened,
    /// Nothing will happen before the wait is over.
    TimeOut,
    /// Nothing will ever happen.
    Standstill,
}

impl Simulation {
    /// A world without servers. Everything that is random in it follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World {
            start: Instant::now(),
            elapsed: Cell::default(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            events: RefCell::default(),
            next_event: Cell::default(),
            network: RefCell::default(),
        };
        Self { world: Rc::new(world) }
    }

    /// A loop in this world. It is an error for it to wait for ever while nothing will ever happen.
    ///
    /// # Errors
    /// The system has no descriptor left, one of which a loop has also here.
    pub fn event_loop<S: 'static>(&self) -> Result<EventLoop<S>> {
        EventLoop::with_options(LoopOptions::new().simulated(self))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// The time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.elapsed.get()
    }

    /// A random number, from the seed.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.world.random()
    }

    /// Has something happen later, while the loop waits: a fault of the network, a server's timer.
    pub fn after(&self, delay: Duration, happening: impl FnOnce() + 'static) {
        self.world.plan(delay, Event::Script(Box::new(happening)));
    }

    /// Has a server listen at `host:port`. The host is an address, or a name, which gets an address
    /// the first time it is used. `accept` is called for every connection.
    ///
    /// # Errors
    /// Something listens there, or it is no address.
    pub fn listen<P: Peer>(
        &self,
        address: &str,
        mut accept: impl FnMut(&Connection) -> P + 'static,
    ) -> io::Result<()> {
        let accept = move |connection: &Connection| Box::new(accept(connection)) as Box<dyn Peer>;
        self.world.network.borrow_mut().listen(address, Box::new(accept))
    }

    /// Ends a server's listening: further connections are refused, those that are open stay.
    ///
    /// # Errors
    /// It is no address.
    pub fn stop_listening(&self, address: &str) -> io::Result<()> {
        let accept = self.world.network.borrow_mut().host(address)?.accept.take();
        // user code
        drop(accept);
        Ok(())
    }

    /// Gives a name several addresses, which are other names' first ones or addresses themselves.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn set_addresses(&self, name: &str, hosts: &[&str]) -> io::Result<()> {
        self.world.network.borrow_mut().set_addresses(name, hosts)
    }

    /// Cuts a server off: nothing arrives on its connections in either direction, and new ones
    /// neither succeed nor fail, until it is [healed](Self::heal). Nothing is lost.
    ///
    /// # Errors
    /// It is no address.
    pub fn cut(&self, address: &str) -> io::Result<()> {
        self.world.network.borrow_mut().host(address)?.is_cut = true;
        Ok(())
    }

    /// Ends a [cut](Self::cut): what was sent meanwhile arrives.
    ///
    /// # Errors
    /// It is no address.
    pub fn heal(&self, address: &str) -> io::Result<()> {
        let parked = {
            let mut network = self.world.network.borrow_mut();
            let host = network.host(address)?;
            host.is_cut = false;
            std::mem::take(&mut host.parked)
        };
        for (wire, direction) in parked {
            wire.plan_arrival(direction);
        }
        Ok(())
    }

    /// Resets all connections of a server at once, as its machine does when the process is killed.
    ///
    /// # Errors
    /// It is no address.
    pub fn reset(&self, address: &str) -> io::Result<()> {
        let wires = self.world.network.borrow_mut().host(address)?.wires();
        wires.iter().for_each(|wire| wire.reset());
        Ok(())
    }

    /// Ends the world: everything that was planned, is on its way or listens is dropped. A server that
    /// holds the simulation, to plan something or to toss a coin, is held by it in turn, and without
    /// this neither of the two is ever dropped.
    pub fn end(&self) {
        let events = self.world.events.take();
        let network = self.world.network.take();
        // user code
        drop((events, network));
    }

    /// How long things are on their way: something within the range, for each of them. Default: 0.1
    /// to 1 ms. Connections keep their order.
    pub fn set_latency(&self, range: Range<Duration>) {
        self.world.network.borrow_mut().latency = range;
    }

    pub(crate) fn world(&self) -> &Rc<World> {
        &self.world
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn now(&self) -> Instant {
        self.start + self.elapsed.get()
    }

    /// Every world begins in 1970.
    pub(crate) fn system_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.elapsed.get()
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// Lets the next thing happen, if it does so within the time. The clock moves on to it, or to
    /// the end of the wait. Runs user code.
    pub(crate) fn step(&self, timeout: Option<Duration>) -> Step {
        let end = timeout.map(|timeout| self.elapsed.get().saturating_add(timeout));
        let first = self.events.borrow().first_key_value().map(|(key, _)| *key);
        match (first, end) {
            (Some((at, number)), end) if end.is_none_or(|end| at <= end) => {
                self.elapsed.set(at.max(self.elapsed.get()));
                let event = self.events.borrow_mut().remove(&(at, number));
                match event {
                    Some(Event::Script(happening)) => happening(),
                    Some(Event::Arrival(wire, direction)) => self.arrive(&wire, direction),
                    None => {}
                }
                Step::Happened
            }
            (_, Some(end)) => {
                self.elapsed.set(end);
                Step::TimeOut
            }
            (_, None) => Step::Standstill,
        }
    }

    /// Begins to connect. Whether the address is listened to is known when the request arrives.
    pub(crate) fn connect(self: &Rc<Self>, address: SocketAddr) -> SimulatedStream {
        let id = self.network.borrow_mut().next_connection();
        let wire = Wire::new(self, id, address);
        self.network.borrow_mut().host_at(address).add(&wire);
        SimulatedStream::connect(wire)
    }

    pub(crate) fn look_up(self: &Rc<Self>, name: &str, port: u16, done: SetReadiness) -> Answer {
        let answer = Answer::default();
        let (given, world, name) = (answer.0.clone(), Rc::downgrade(self), name.to_owned());
        let look = move || {
            let Some(world) = world.upgrade() else { return };
            given.set(Some(world.network.borrow().look_up(&name, port)));
            done.set_readiness(Readiness::READABLE);
        };
        self.plan(self.latency(), Event::Script(Box::new(look)));
        answer
    }

    fn plan(&self, delay: Duration, event: Event) {
        self.plan_at(self.elapsed.get().saturating_add(delay), event);
    }

    pub(super) fn plan_at(&self, at: Duration, event: Event) {
        let number = self.next_event.get();
        self.next_event.set(number + 1);
        self.events.borrow_mut().insert((at, number), event);
    }

    pub(super) fn latency(&self) -> Duration {
        let Range { start, end } = self.network.borrow().latency.clone();
        let width = u64::try_from(end.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX);
        start + Duration::from_nanos(self.random.borrow_mut().u64(0..width.max(1)))
    }

    fn arrive(&self, wire: &Rc<Wire>, direction: Direction) {
        let mut network = self.network.borrow_mut();
        let host = network.host_at(wire.address());
        if host.is_cut {
            return host.parked.push((wire.clone(), direction));
        }
        let accept = host.accept.clone();
        drop(network);
        wire.arrive(direction, accept.as_ref());
    }
}

/// The answer to a look-up, when its time has come.
#[derive(Default)]
pub(crate) struct Answer(Rc<Cell<Option<io::Result<Vec<SocketAddr>>>>>);

impl LookUp for Answer {
    fn poll(&mut self) -> Option<io::Result<Vec<SocketAddr>>> {
        self.0.take()
    }
}
