//! The link: the way from a server's address to an open stream, one step at a time.
//!
//! Name look-up is the only thing here that cannot be done without blocking, so it has a thread of
//! its own, which ends with its answer. Every address of a name is tried, in order.

use super::options::Address;
use super::transport::{Stream, Transport};
use crate::event_loop::Waker;
use mio::{Registry, Token};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

pub(super) enum Link {
    /// The name is being looked up.
    Resolving(Receiver<io::Result<Vec<SocketAddr>>>),
    /// A connection to one of the addresses is being made; the others follow if it fails.
    Connecting {
        stream: Stream,
        others: std::vec::IntoIter<SocketAddr>,
    },
    Open(Stream),
    Closed,
}

impl Link {
    /// Takes the first step towards an address.
    pub(super) fn begin(
        address: &Address,
        waker: Arc<Waker>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        match address {
            Address::Unix(path) => {
                let stream = mio::net::UnixStream::connect(path)?;
                Self::open(Box::new(stream), registry, token)
            }
            Address::Tcp(host, port) => match host.parse::<IpAddr>() {
                Ok(address) => Self::connect(
                    vec![SocketAddr::new(address, *port)].into_iter(),
                    registry,
                    token,
                ),
                Err(_) => Self::resolve(host.clone(), *port, waker),
            },
        }
    }

    /// Uses a transport that is open already.
    pub(super) fn open(
        transport: Box<dyn Transport>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = Stream::new(transport);
        stream.register(registry, token)?;
        Ok(Self::Open(stream))
    }

    /// Goes on as far as possible without waiting. Says whether the stream is open now.
    pub(super) fn advance(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        loop {
            match self {
                Self::Resolving(answer) => match answer.try_recv() {
                    Ok(addresses) => {
                        *self = Self::connect(addresses?.into_iter(), registry, token)?;
                    }
                    Err(TryRecvError::Empty) => return Ok(false),
                    Err(TryRecvError::Disconnected) => {
                        return Err(io::Error::other("the look-up of the host name died"));
                    }
                },
                Self::Connecting { stream, others } => match stream.finish_connecting() {
                    Ok(()) => {
                        let Self::Connecting { stream, .. } = std::mem::replace(self, Self::Closed)
                        else {
                            return Ok(false);
                        };
                        *self = Self::Open(stream);
                        return Ok(true);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => {
                        stream.deregister(registry);
                        let others = std::mem::take(others);
                        if others.len() == 0 {
                            return Err(error);
                        }
                        *self = Self::connect(others, registry, token)?;
                    }
                },
                Self::Open(_) => return Ok(true),
                Self::Closed => return Ok(false),
            }
        }
    }

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Connecting { stream, .. } | Self::Open(stream) => Some(stream),
            Self::Resolving(_) | Self::Closed => None,
        }
    }

    pub(super) fn close(&mut self, registry: &Registry) {
        if let Some(stream) = self.stream() {
            stream.deregister(registry);
        }
        *self = Self::Closed;
    }

    fn resolve(host: String, port: u16, waker: Arc<Waker>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        thread::Builder::new().name("evnats-resolver".into()).spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // a client that is gone by now wants neither the answer nor the call
            if sender.send(addresses).is_ok() {
                let _ = waker.wake();
            }
        })?;
        Ok(Self::Resolving(receiver))
    }

    fn connect(
        mut others: std::vec::IntoIter<SocketAddr>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in others.by_ref() {
            match mio::net::TcpStream::connect(address) {
                Ok(stream) => {
                    let mut stream = Stream::new(Box::new(stream));
                    stream.register(registry, token)?;
                    return Ok(Self::Connecting { stream, others });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
