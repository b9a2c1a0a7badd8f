//! The simulated platform: a clock that jumps while the loop waits, and a network in memory.

use super::world::Simulation;
use super::world::{Step, World};
use crate::event_loop::{
    LookUp, LoopOptions, Platform, Readiness, Selector, SetReadiness, Transport, Wake,
};
use mio::{Registry, Token};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

struct Simulated {
    world: Rc<World>,
    /// Something was left for the loop while it waited.
    woken: Arc<AtomicBool>,
    /// Never readable: only there because a loop has a descriptor.
    #[cfg(unix)]
    descriptor: mio::Poll,
}

impl Simulated {
    /// # Errors
    /// The system has no descriptor left.
    fn new(simulation: Simulation) -> io::Result<Self> {
        Ok(Self {
            world: simulation.world().clone(),
            woken: Arc::default(),
            #[cfg(unix)]
            descriptor: mio::Poll::new()?,
        })
    }
}

impl LoopOptions {
    /// A loop in a simulation, where time passes only by waiting.
    #[must_use]
    pub fn simulated(self, simulation: &Simulation) -> Self {
        self.on_platform(Simulated::new(simulation.clone()))
    }
}

impl Selector for Simulated {
    fn registry(&self) -> Option<&Registry> {
        None
    }
}

impl Platform for Simulated {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn system_time(&self) -> SystemTime {
        self.world.system_time()
    }

    fn random(&self) -> u64 {
        self.world.random()
    }

    fn wait(
        &self,
        timeout: Option<Duration>,
        _: &mut dyn FnMut(Token, Readiness),
    ) -> io::Result<bool> {
        let end = timeout.map(|timeout| self.now() + timeout);
        while !self.woken.swap(false, Ordering::SeqCst) {
            let left = end.map(|end| end.saturating_duration_since(self.now()));
            match self.world.step(left) {
                Step::Happened => {}
                Step::TimeOut => break,
                Step::Standstill => {
                    let reason = "the simulation stands still: nothing will ever happen";
                    return Err(io::Error::new(io::ErrorKind::Deadlock, reason));
                }
            }
        }
        Ok(false)
    }

    fn waker(&self) -> Wake {
        let woken = self.woken.clone();
        Box::new(move || woken.store(true, Ordering::SeqCst))
    }

    fn look_up(&self, host: &str, port: u16, done: SetReadiness) -> io::Result<Box<dyn LookUp>> {
        Ok(Box::new(self.world.look_up(host, port, done)))
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(self.world.connect(address)))
    }

    fn connect_unix(&self, _path: &Path) -> io::Result<Box<dyn Transport>> {
        let reason = "a simulation has no Unix sockets";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    #[cfg(unix)]
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.registry().as_fd()
    }
}
