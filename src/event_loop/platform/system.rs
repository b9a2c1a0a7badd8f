//! What both platforms of the system have in common: everything but the waiting.

use super::contract::LookUp;
use super::random::Random;
use super::resolver::Resolver;
use crate::event_loop::readiness::SetReadiness;
use crate::event_loop::transport::Transport;
use mio::Registry;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

pub(super) struct System {
    pub(super) registry: Registry,
    random: Random,
    resolver: Resolver,
    process: u32,
}

impl System {
    pub(super) fn new(registry: Registry) -> io::Result<Self> {
        let (random, process) = (Random::new()?, std::process::id());
        Ok(Self { registry, random, resolver: Resolver::default(), process })
    }

    pub(super) fn random(&self) -> u64 {
        self.random.next()
    }

    pub(super) fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    pub(super) fn look_up(
        &self,
        host: &str,
        port: u16,
        done: SetReadiness,
    ) -> io::Result<Box<dyn LookUp>> {
        self.resolver.look_up(host, port, done)
    }

    pub(super) fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(mio::net::TcpStream::connect(address)?))
    }

    #[cfg(unix)]
    pub(super) fn connect_unix(&self, path: &Path) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(mio::net::UnixStream::connect(path)?))
    }

    #[cfg(not(unix))]
    pub(super) fn connect_unix(&self, _path: &Path) -> io::Result<Box<dyn Transport>> {
        let reason = "this system has no Unix sockets";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }
}
