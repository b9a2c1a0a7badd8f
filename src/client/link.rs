//! The link: the way from a server's URL to an open stream, one step at a time.
//!
//! Names are looked up and sockets opened by the platform of the loop. Every address of a name is
//! tried, in order. TLS and WebSocket are layers around the socket; their handshakes are a part of
//! connecting.

use super::home;
use super::stream::Stream;
use crate::event_loop::{LookUp, Readiness, Registration, Slot, Transport};
use evnats_protocol::{Scheme, ServerUrl};
use mio::Token;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

pub(super) enum Link {
    /// The name is being looked up.
    Resolving {
        look_up: Box<dyn LookUp>,
        /// By which the answer wakes the client.
        registration: Registration,
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
    pub(super) fn begin(url: &ServerUrl, layers: Layers, slot: &Slot) -> io::Result<Self> {
        if url.scheme() == Scheme::Unix {
            let path = home::expand(Path::new(url.path()));
            let socket = slot.event_loop().platform().connect_unix(&path)?;
            let stream = Stream::new(layers(socket)?, slot.register()?)?;
            return Ok(Self::Connecting { stream, others: Vec::new().into_iter(), layers });
        }
        match url.host().parse::<IpAddr>() {
            Ok(address) => {
                let addresses = vec![SocketAddr::new(address, url.port())].into_iter();
                Self::connect(addresses, layers, slot)
            }
            Err(_) => Self::resolve(url.host(), url.port(), layers, slot),
        }
    }

    /// Uses a transport that is open already.
    pub(super) fn open(
        transport: Box<dyn Transport>,
        layers: Layers,
        slot: &Slot,
    ) -> io::Result<Self> {
        let stream = Stream::new(layers(transport)?, slot.register()?)?;
        Ok(Self::Connecting { stream, others: Vec::new().into_iter(), layers })
    }

    /// Takes note of what became ready.
    pub(super) fn handle_ready(&mut self, id: Token, readiness: Readiness) {
        match self {
            Self::Connecting { stream, .. } | Self::Securing(stream) | Self::Open(stream) => {
                stream.handle_ready(id, readiness);
            }
            Self::Resolving { .. } | Self::Closed => {}
        }
    }

    /// Goes on as far as possible without waiting.
    pub(super) fn advance(&mut self, slot: &Slot) -> io::Result<Progress> {
        loop {
            match std::mem::replace(self, Self::Closed) {
                Self::Resolving { mut look_up, registration, layers } => match look_up.poll() {
                    Some(addresses) => {
                        *self = Self::connect(addresses?.into_iter(), layers, slot)?;
                    }
                    None => {
                        *self = Self::Resolving { look_up, registration, layers };
                        return Ok(Progress::Underway);
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
                            stream.deregister();
                            if others.len() == 0 {
                                return Err(error);
                            }
                            *self = Self::connect(others, layers, slot)?;
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
                            stream.deregister();
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

    pub(super) fn close(&mut self) {
        match self {
            Self::Connecting { stream, .. } | Self::Securing(stream) | Self::Open(stream) => {
                stream.deregister();
            }
            Self::Resolving { .. } | Self::Closed => {}
        }
        *self = Self::Closed;
    }

    fn resolve(host: &str, port: u16, layers: Layers, slot: &Slot) -> io::Result<Self> {
        let registration = slot.register()?;
        let done = registration.set_readiness();
        let look_up = slot.event_loop().platform().look_up(host, port, done)?;
        Ok(Self::Resolving { look_up, registration, layers })
    }

    fn connect(
        mut others: std::vec::IntoIter<SocketAddr>,
        layers: Layers,
        slot: &Slot,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in others.by_ref() {
            match slot.event_loop().platform().connect(address) {
                Ok(socket) => {
                    let stream = Stream::new(layers(socket)?, slot.register()?)?;
                    return Ok(Self::Connecting { stream, others, layers });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
