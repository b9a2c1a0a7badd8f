//! The link: the way from a server's URL to an open stream, one step at a time.
//!
//! Names are looked up and sockets opened by the platform of the loop. Which of a name's addresses is
//! tried is the route's business. TLS and WebSocket are layers around the socket; their handshakes
//! are a part of connecting.

use super::home;
use super::stream::Stream;
use crate::event_loop::{LookUp, Readiness, Registration, Slot, Transport};
use mio::Token;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(super) enum Link {
    /// The name is being looked up.
    Resolving {
        look_up: Box<dyn LookUp>,
        /// By which the answer wakes the client.
        registration: Registration,
    },
    /// A Unix socket has more callers than it takes at once. No readiness tells when it has not.
    Busy {
        path: String,
        layers: Layers,
        /// When it is tried again.
        due: Instant,
    },
    /// A connection to an address is being made.
    Connecting(Stream),
    /// TLS is being put around a stream that was open.
    Securing(Stream),
    Open(Stream),
    Closed,
}

/// The pause before a socket is tried again that is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Puts the layers that a server wants around a socket.
pub(super) type Layers = Rc<dyn Fn(Box<dyn Transport>) -> io::Result<Box<dyn Transport>>>;

/// How far a link has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for something.
    Underway,
    /// The name has these addresses, and the link is closed until one of them is chosen.
    Resolved(Vec<SocketAddr>),
    /// The stream has been opened by this step.
    Connected,
    /// TLS has been put around the stream by this step.
    Secured,
    /// Nothing is to be done.
    Rest,
}

impl Link {
    /// Asks for the addresses of a host.
    pub(super) fn resolve(host: &str, port: u16, slot: &Slot) -> io::Result<Self> {
        let registration = slot.register()?;
        let done = registration.set_readiness();
        let look_up = slot.event_loop().platform().look_up(host, port, done)?;
        Ok(Self::Resolving { look_up, registration })
    }

    /// Begins to connect to an address.
    pub(super) fn connect(address: SocketAddr, layers: &Layers, slot: &Slot) -> io::Result<Self> {
        Self::open(slot.event_loop().platform().connect(address)?, layers, slot)
    }

    /// Begins to connect to a Unix socket.
    pub(super) fn connect_unix(path: &str, layers: &Layers, slot: &Slot) -> io::Result<Self> {
        let expanded = home::expand(Path::new(path));
        match slot.event_loop().platform().connect_unix(&expanded) {
            Ok(socket) => Self::open(socket, layers, slot),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let due = slot.event_loop().now() + BUSY_PAUSE;
                Ok(Self::Busy { path: path.to_owned(), layers: layers.clone(), due })
            }
            Err(error) => Err(error),
        }
    }

    /// Uses a transport that is open already, or is being opened.
    pub(super) fn open(
        transport: Box<dyn Transport>,
        layers: &Layers,
        slot: &Slot,
    ) -> io::Result<Self> {
        Ok(Self::Connecting(Stream::new(layers(transport)?, slot.register()?)?))
    }

    /// Takes note of what became ready.
    pub(super) fn handle_ready(&mut self, id: Token, readiness: Readiness) {
        match self {
            Self::Connecting(stream) | Self::Securing(stream) | Self::Open(stream) => {
                stream.handle_ready(id, readiness);
            }
            Self::Resolving { .. } | Self::Busy { .. } | Self::Closed => {}
        }
    }

    /// When there is something to do that no readiness tells of.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Busy { due, .. } => Some(*due),
            _ => None,
        }
    }

    /// Whether there may be a step to take.
    #[inline]
    pub(super) fn is_on_the_way(&self) -> bool {
        !matches!(self, Self::Open(_) | Self::Closed)
    }

    /// Goes on as far as possible without waiting.
    pub(super) fn advance(&mut self, slot: &Slot) -> io::Result<Progress> {
        match std::mem::replace(self, Self::Closed) {
            Self::Resolving { mut look_up, registration } => match look_up.poll() {
                Some(addresses) => Ok(Progress::Resolved(addresses?)),
                None => {
                    *self = Self::Resolving { look_up, registration };
                    Ok(Progress::Underway)
                }
            },
            Self::Busy { path, layers, due } if due <= slot.event_loop().now() => {
                *self = Self::connect_unix(&path, &layers, slot)?;
                Ok(Progress::Underway)
            }
            busy @ Self::Busy { .. } => {
                *self = busy;
                Ok(Progress::Underway)
            }
            Self::Connecting(stream) => self.finish(stream, Self::Connecting, Progress::Connected),
            Self::Securing(stream) => self.finish(stream, Self::Securing, Progress::Secured),
            rest @ (Self::Open(_) | Self::Closed) => {
                *self = rest;
                Ok(Progress::Rest)
            }
        }
    }

    /// Opens a stream, or stays where it is.
    fn finish(
        &mut self,
        mut stream: Stream,
        stay: impl FnOnce(Stream) -> Self,
        progress: Progress,
    ) -> io::Result<Progress> {
        match stream.finish_connecting() {
            Ok(()) => {
                *self = Self::Open(stream);
                Ok(progress)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *self = stay(stream);
                Ok(Progress::Underway)
            }
            Err(error) => {
                stream.deregister();
                Err(error)
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
            Self::Connecting(stream) | Self::Securing(stream) | Self::Open(stream) => {
                stream.deregister();
            }
            Self::Resolving { .. } | Self::Busy { .. } | Self::Closed => {}
        }
        *self = Self::Closed;
    }
}
