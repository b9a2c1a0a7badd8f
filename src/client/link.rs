//! The link: the way from a server's URL to an open stream, one step at a time.
//!
//! Name look-up is the only thing here that cannot be done without blocking, so it has a thread of
//! its own, which ends with its answer. Every address of a name is tried, in order. TLS and
//! WebSocket are layers around the socket; their handshakes are a part of connecting.

use super::transport::{Stream, Transport};
use crate::event_loop::Waker;
use evnats_protocol::{Scheme, ServerUrl};
use mio::{Registry, Token};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

pub(super) enum Link {
    /// The name is being looked up.
    Resolving {
        answer: Receiver<io::Result<Vec<SocketAddr>>>,
        layers: Layers,
    },
    /// A connection to one of the addresses is being made; the others follow if it fails.
    Connecting {
        stream: Stream,
        others: std::vec::IntoIter<SocketAddr>,
        layers: Layers,
    },
    /// TLS is being put around a stream that was open.
    Securing(Stream),
    Open(Stream),
    Closed,
}

/// Puts the layers that a server wants around a socket.
pub(super) type Layers = Rc<dyn Fn(Box<dyn Transport>) -> io::Result<Box<dyn Transport>>>;

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for something.
    Underway,
    /// The stream has been opened by this step.
    Connected,
    /// TLS has been put around the stream by this step.
    Secured,
    /// Nothing is to be done.
    Rest,
}

impl Link {
    /// Takes the first step towards a server.
    pub(super) fn begin(
        url: &ServerUrl,
        layers: Layers,
        waker: Arc<Waker>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        if url.scheme() == Scheme::Unix {
            let stream = mio::net::UnixStream::connect(url.path())?;
            let stream = open(layers(Box::new(stream))?, registry, token)?;
            return Ok(Self::Connecting { stream, others: Vec::new().into_iter(), layers });
        }
        match url.host().parse::<IpAddr>() {
            Ok(address) => {
                let addresses = vec![SocketAddr::new(address, url.port())].into_iter();
                Self::connect(addresses, layers, registry, token)
            }
            Err(_) => Self::resolve(url.host().to_owned(), url.port(), layers, waker),
        }
    }

    /// Uses a transport that is open already.
    pub(super) fn open(
        transport: Box<dyn Transport>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        Ok(Self::Open(open(transport, registry, token)?))
    }

    /// Goes on as far as possible without waiting.
    pub(super) fn advance(&mut self, registry: &Registry, token: Token) -> io::Result<Progress> {
        loop {
            match std::mem::replace(self, Self::Closed) {
                Self::Resolving { answer, layers } => match answer.try_recv() {
                    Ok(addresses) => {
                        *self = Self::connect(addresses?.into_iter(), layers, registry, token)?;
                    }
                    Err(TryRecvError::Empty) => {
                        *self = Self::Resolving { answer, layers };
                        return Ok(Progress::Underway);
                    }
                    Err(TryRecvError::Disconnected) => {
                        return Err(io::Error::other("the look-up of the host name died"));
                    }
                },
                Self::Connecting { mut stream, others, layers } => {
                    match stream.finish_connecting() {
                        Ok(()) => {
                            *self = Self::Open(stream);
                            return Ok(Progress::Connected);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            *self = Self::Connecting { stream, others, layers };
                            return Ok(Progress::Underway);
                        }
                        Err(error) => {
                            stream.deregister(registry);
                            if others.len() == 0 {
                                return Err(error);
                            }
                            *self = Self::connect(others, layers, registry, token)?;
                        }
                    }
                }
                Self::Securing(mut stream) => {
                    return match stream.finish_connecting() {
                        Ok(()) => {
                            *self = Self::Open(stream);
                            Ok(Progress::Secured)
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            *self = Self::Securing(stream);
                            Ok(Progress::Underway)
                        }
                        Err(error) => {
                            stream.deregister(registry);
                            Err(error)
                        }
                    };
                }
                rest @ (Self::Open(_) | Self::Closed) => {
                    *self = rest;
                    return Ok(Progress::Rest);
                }
            }
        }
    }

    /// Begins to put another layer around the open stream.
    pub(super) fn secure(&mut self, layer: &Layers) -> io::Result<()> {
        if let Self::Open(stream) = std::mem::replace(self, Self::Closed) {
            *self = Self::Securing(stream.wrap(|transport| layer(transport))?);
        }
        Ok(())
    }

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Connecting { stream, .. } | Self::Securing(stream) | Self::Open(stream) => {
                Some(stream)
            }
            Self::Resolving { .. } | Self::Closed => None,
        }
    }

    pub(super) fn close(&mut self, registry: &Registry) {
        if let Some(stream) = self.stream() {
            stream.deregister(registry);
        }
        *self = Self::Closed;
    }

    fn resolve(host: String, port: u16, layers: Layers, waker: Arc<Waker>) -> io::Result<Self> {
        let (sender, answer) = channel();
        thread::Builder::new().name("evnats-resolver".into()).spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // a client that is gone by now wants neither the answer nor the call
            if sender.send(addresses).is_ok() {
                let _ = waker.wake();
            }
        })?;
        Ok(Self::Resolving { answer, layers })
    }

    fn connect(
        mut others: std::vec::IntoIter<SocketAddr>,
        layers: Layers,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in others.by_ref() {
            match mio::net::TcpStream::connect(address) {
                Ok(stream) => {
                    let stream = open(layers(Box::new(stream))?, registry, token)?;
                    return Ok(Self::Connecting { stream, others, layers });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn open(transport: Box<dyn Transport>, registry: &Registry, token: Token) -> io::Result<Stream> {
    let mut stream = Stream::new(transport);
    stream.register(registry, token)?;
    Ok(stream)
}
