//! Transports: what a connection's bytes travel over.

use super::registration::Registration;
use std::io::{self, Read, Write};

/// A stream of bytes to a server, non-blocking: `read` and `write` return
/// [`WouldBlock`](io::ErrorKind::WouldBlock) instead of waiting.
///
/// # Contract
///
/// * Readiness is an edge: after a read has returned `WouldBlock`, the loop reads again when the
///   transport is reported to be readable, and not before; likewise with writes. A read that fills
///   less than its room says nothing, unless [`reads_all`](Transport::reads_all) is true: the loop
///   goes on until `WouldBlock`, or until its budget is used up. `Ok(0)` is the end of the stream.
/// * Who reports is arranged in [`register`](Transport::register): the selector, for a transport
///   with a descriptor, or the transport itself, by
///   [`SetReadiness`](crate::SetReadiness). Reports in vain are allowed, at any time.
/// * What a layer has read from the stream below and holds back is seen by
///   [`has_buffered`](Transport::has_buffered), what it has not written yet by
///   [`has_unflushed`](Transport::has_unflushed): nobody reports it.
///
/// ```
/// use evnats::{Readiness, Registration, SetReadiness, Transport};
/// use std::collections::VecDeque;
/// use std::io::{self, Read, Write};
/// use std::sync::{Arc, Mutex};
///
/// /// Bytes from another thread: what comes is pushed, and then reported.
/// #[derive(Clone, Default)]
/// struct Tunnel(Arc<Mutex<(VecDeque<u8>, Option<SetReadiness>)>>);
///
/// impl Tunnel {
///     fn push(&self, bytes: &[u8]) {
///         let (incoming, readiness) = &mut *self.0.lock().unwrap();
///         incoming.extend(bytes);
///         if let Some(readiness) = readiness {
///             readiness.set_readiness(Readiness::READABLE);
///         }
///     }
/// }
///
/// impl Read for Tunnel {
///     fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
///         match self.0.lock().unwrap().0.read(room)? {
///             0 => Err(io::ErrorKind::WouldBlock.into()),
///             count => Ok(count),
///         }
///     }
/// }
///
/// impl Transport for Tunnel {
///     fn register(&mut self, registration: &Registration) -> io::Result<()> {
///         self.0.lock().unwrap().1 = Some(registration.set_readiness());
///         Ok(())
///     }
/// }
/// # impl Write for Tunnel {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { Ok(bytes.len()) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// ```
pub trait Transport: Read + Write + 'static {
    /// Makes the transport known to the loop, once. One with a descriptor is given to the selector
    /// by [`Registration::register`]; one without keeps a
    /// [`SetReadiness`](Registration::set_readiness). The loop tries a read and a write after it
    /// in any case.
    ///
    /// # Errors
    /// The transport cannot be watched; connecting has failed.
    fn register(&mut self, registration: &Registration) -> io::Result<()>;

    /// Takes back what [`register`](Transport::register) has done, before the transport is dropped:
    /// for one with a descriptor, by [`Registration::deregister`].
    fn deregister(&mut self, registration: &Registration) {
        let _ = registration;
    }

    /// Whether a read would deliver something that nobody reports, because it is in memory already.
    fn has_buffered(&self) -> bool {
        false
    }

    /// Whether a read that fills less than its room has taken all that there was, and whatever comes
    /// after it, the end included, is reported anew. So it is with sockets where the system has epoll
    /// or kqueue, and it spares the read that finds nothing. It is asked once, when the loop gets the
    /// transport, which then has nothing [buffered](Transport::has_buffered) after such a read.
    fn reads_all(&self) -> bool {
        false
    }

    /// Whether bytes that a write has taken are still on their way to the selector's stream. Then
    /// [`flush`](Write::flush) is called when it becomes writable.
    fn has_unflushed(&self) -> bool {
        false
    }

    /// Whether connecting has come to its end: `WouldBlock` while it has not. It is asked again
    /// when the transport is reported to be ready for anything.
    ///
    /// # Errors
    /// `WouldBlock`; any other error is why connecting has failed.
    fn finish_connecting(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the system's selector reports by epoll or kqueue.
const HAS_EDGES: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

impl Transport for mio::net::TcpStream {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        registration.register(self)
    }

    fn deregister(&mut self, registration: &Registration) {
        registration.deregister(self);
    }

    fn reads_all(&self) -> bool {
        HAS_EDGES
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match self.peer_addr() {
            Ok(_) => self.set_nodelay(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
impl Transport for mio::net::UnixStream {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        registration.register(self)
    }

    fn reads_all(&self) -> bool {
        HAS_EDGES
    }

    fn deregister(&mut self, registration: &Registration) {
        registration.deregister(self);
    }
}
