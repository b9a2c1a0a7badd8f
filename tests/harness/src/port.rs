//! Loopback ports that stay ours while nothing listens on them.
//!
//! A port that is merely "free just now" makes two kinds of flaky test. Another test may take it
//! before the server does, or while the server is down for a restart. And a client that keeps
//! reconnecting to a free port of the ephemeral range may be given that very port as its own and
//! connect to itself. On Linux a socket that is bound, but never listens, prevents both: the kernel
//! hands the port to nobody who does not ask for it by number, while a server that sets
//! `SO_REUSEADDR` (as Go's listeners do) may bind it. Elsewhere such a second bind is refused, so
//! the socket is closed at once and the port is a good guess; [`crate::Server`] retries if it turns
//! out wrong.

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::OwnedFd,
};

/// A loopback TCP port for a server to listen on, for instance a route or WebSocket port in
/// [`Builder::config`](crate::Builder::config). On Linux nobody else gets it until the value is
/// dropped, except who asks for it by number.
#[derive(Debug)]
pub struct ReservedPort {
    port: u16,
    /// Keeps the port taken. `None` where that would keep the server out, too.
    _socket: Option<OwnedFd>,
}

impl ReservedPort {
    /// A port that is free now.
    ///
    /// # Errors
    ///
    /// When the system has no free port or no loopback interface.
    pub fn any() -> io::Result<ReservedPort> {
        Self::reserve(0)
    }

    /// This port.
    ///
    /// # Errors
    ///
    /// When the port is in use.
    pub fn exactly(port: u16) -> io::Result<ReservedPort> {
        Self::reserve(port)
    }

    /// The port's number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn reserve(port: u16) -> io::Result<ReservedPort> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        if port != 0 {
            // a port asked for by number may have old connections in TIME_WAIT, which are no
            // obstacle to a server.
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        // only now: if set before, the kernel may choose a port that another such socket has
        // reserved.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        let port = SocketAddr::try_from(getsockname(&socket)?)?.port();
        Ok(ReservedPort { port, _socket: cfg!(target_os = "linux").then_some(socket) })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::TcpListener};

    use super::*;

    #[test]
    fn reserved_ports_differ_and_can_be_listened_on() {
        let reserved: Vec<_> = (0..200).map(|_| ReservedPort::any().unwrap()).collect();
        if cfg!(target_os = "linux") {
            let distinct: HashSet<_> = reserved.iter().map(ReservedPort::port).collect();
            assert_eq!(distinct.len(), reserved.len());
        }
        for reserved in &reserved {
            // std's listeners set SO_REUSEADDR, like Go's
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, reserved.port())).unwrap();
            assert_eq!(listener.local_addr().unwrap().port(), reserved.port());
        }
    }

    #[test]
    fn a_port_that_is_listened_on_is_refused() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = ReservedPort::exactly(listener.local_addr().unwrap().port()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
