//! What both platforms of the system have in common: everything but the waiting.

use super::contract::{LookUp, Platform};
use super::random::Random;
use super::resolver::Resolver;
use crate::event_loop::alarm::Wake;
use crate::event_loop::readiness::{Readiness, SetReadiness};
use crate::event_loop::selector::Selector;
use crate::event_loop::transport::Transport;
use mio::{Registry, Token};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub(crate) struct System {
    registry: Registry,
    random: Random,
    resolver: Resolver,
    process: u32,
}

impl System {
    pub(super) fn new(registry: Registry) -> io::Result<Self> {
        let (random, process) = (Random::new()?, std::process::id());
        Ok(Self { registry, random, resolver: Resolver::default(), process })
    }
}

/// Who waits for the system's events, and how. See [`Platform`] and [`Selector`] for what the same
/// names mean there.
pub(crate) trait Waiting {
    fn system(&self) -> &System;

    fn first_token(&self) -> usize {
        0
    }

    fn tokens(&self) -> usize;

    fn wait(
        &self,
        timeout: Option<Duration>,
        report: &mut dyn FnMut(Token, Readiness),
    ) -> io::Result<bool>;

    fn can_wait(&self) -> bool {
        true
    }

    fn waker(&self) -> Wake;

    fn handle_event(&self, _event: &mio::event::Event) -> bool {
        false
    }
}

impl<W: Waiting> Selector for W {
    fn registry(&self) -> Option<&Registry> {
        Some(&self.system().registry)
    }

    fn first_token(&self) -> usize {
        Waiting::first_token(self)
    }

    fn tokens(&self) -> usize {
        Waiting::tokens(self)
    }

    fn is_forked(&self) -> bool {
        std::process::id() != self.system().process
    }
}

impl<W: Waiting> Platform for W {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_time(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self) -> u64 {
        self.system().random.next()
    }

    fn wait(
        &self,
        timeout: Option<Duration>,
        report: &mut dyn FnMut(Token, Readiness),
    ) -> io::Result<bool> {
        Waiting::wait(self, timeout, report)
    }

    fn can_wait(&self) -> bool {
        Waiting::can_wait(self)
    }

    fn waker(&self) -> Wake {
        Waiting::waker(self)
    }

    fn handle_event(&self, event: &mio::event::Event) -> bool {
        Waiting::handle_event(self, event)
    }

    fn look_up(&self, host: &str, port: u16, done: SetReadiness) -> io::Result<Box<dyn LookUp>> {
        self.system().resolver.look_up(host, port, done)
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(mio::net::TcpStream::connect(address)?))
    }

    #[cfg(unix)]
    fn connect_unix(&self, path: &Path) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(mio::net::UnixStream::connect(path)?))
    }

    #[cfg(not(unix))]
    fn connect_unix(&self, _path: &Path) -> io::Result<Box<dyn Transport>> {
        let reason = "this system has no Unix sockets";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    #[cfg(unix)]
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.system().registry.as_fd()
    }
}
