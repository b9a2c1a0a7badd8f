//! TLS: what it is to be like, and a transport that speaks it over another one.
//!
//! Invariants: a read goes on until its room is full or the transport below has nothing more, so
//! a short one means what it means everywhere; what has been decrypted, or could be, without the
//! selector knowing of it shows in `has_buffered`; and what has been encrypted and not been
//! written shows in `has_unflushed`.
//!
//! Sessions are not resumed: certificates may have been renewed since, and a connection to NATS
//! lasts.

mod config;
mod error;
#[cfg(test)]
mod tests;

pub use config::{ClientCertificate, Tls};
pub(crate) use error::classify;

use super::incoming::Incoming;
use crate::event_loop::Registration;
use crate::event_loop::Transport;
use error::TlsError;
use rustls::ClientConnection;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// Reads of the transport in one read of the stream: records may have no payload, and a server may
/// send such records without end.
const READS: usize = 8;
/// Most bytes that wait encrypted.
const WRITE_LEN: usize = 64 * 1024;

impl Tls {
    /// Puts TLS on a transport. Files are read now. The handshake is part of
    /// [`finish_connecting`](Transport::finish_connecting).
    pub(crate) fn connect(
        &self,
        transport: Box<dyn Transport>,
        host: &str,
    ) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(TlsStream::new(transport, self.session(host)?)))
    }

    fn session(&self, host: &str) -> Result<ClientConnection, TlsError> {
        let (config, name) = (Arc::new(self.config()?), self.name(host)?);
        let mut session = ClientConnection::new(config, name).map_err(TlsError::Setup)?;
        session.set_buffer_limit(Some(WRITE_LEN));
        Ok(session)
    }
}

struct TlsStream {
    transport: Box<dyn Transport>,
    session: ClientConnection,
    /// The transport is connected; the handshake may be under way.
    is_connected: bool,
    /// What the session has not taken. Alone, it would read 4 KiB at a time.
    incoming: Incoming,
    /// The session may hold what it has decrypted.
    has_plaintext: bool,
    /// The last read has taken enough for once, and not all that there was.
    may_have_more: bool,
    /// Nothing more will come.
    is_ended: bool,
    /// To be reported when what came before it has been read.
    error: Option<io::Error>,
}

impl TlsStream {
    fn new(transport: Box<dyn Transport>, session: ClientConnection) -> Self {
        Self {
            transport,
            session,
            is_connected: false,
            incoming: Incoming::default(),
            has_plaintext: false,
            may_have_more: false,
            is_ended: false,
            error: None,
        }
    }

    /// Continues the handshake. It is done when the client's last word is on its way, too: the
    /// server may be waiting for it in silence.
    fn continue_handshake(&mut self) -> io::Result<()> {
        loop {
            let flushed = match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                flushed => flushed,
            };
            if !self.session.is_handshaking() {
                return flushed;
            }
            self.receive()?;
            if self.is_ended {
                return Err(TlsError::ClosedInHandshake.into());
            }
        }
    }

    /// Moves some bytes of the transport into the session.
    fn receive(&mut self) -> io::Result<()> {
        if self.incoming.is_empty() {
            self.is_ended |= self.incoming.read_more(&mut self.transport)? == 0;
        }
        match self.is_ended {
            true => Ok(()),
            false => self.decrypt(),
        }
    }

    fn decrypt(&mut self) -> io::Result<()> {
        let count = self.session.read_tls(&mut self.incoming.bytes())?;
        self.incoming.consume(count);
        let processed = self.session.process_new_packets();
        // an answer of the session, or the alert that goes with an error. If it does not get
        // through, a write will say why.
        let _ = self.push();
        match processed {
            Ok(state) => {
                self.has_plaintext |= state.plaintext_bytes_to_read() > 0;
                self.is_ended |= state.peer_has_closed();
                Ok(())
            }
            Err(error) => {
                self.has_plaintext = true;
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Takes what the session has decrypted.
    fn take_plaintext(&mut self, room: &mut [u8]) -> usize {
        let mut filled = 0;
        while self.has_plaintext && filled < room.len() {
            match self.session.reader().read(&mut room[filled..]) {
                // the end is known from elsewhere
                Ok(0) | Err(_) => self.has_plaintext = false,
                Ok(count) => filled += count,
            }
        }
        filled
    }

    /// Writes what the session has encrypted.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.transport) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// As `push`, with the reason if there is one: a server that closes says why in an alert.
    fn push_or_explain(&mut self) -> io::Result<()> {
        self.push().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => error,
            _ => self.alert().unwrap_or(error),
        })
    }

    /// The alert in what the server has sent.
    fn alert(&mut self) -> Option<io::Error> {
        let mut reads = 0;
        while !self.is_ended && reads < READS {
            if let Err(error) = self.receive() {
                return classify(&error).map(|_| error);
            }
            reads += 1;
        }
        None
    }

    /// Encrypts what the caller gives, if all that came before it has been written. So little is
    /// held here, and records are as long as they can be.
    fn write_with(
        &mut self,
        give: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.push_or_explain()?;
        let count = give(&mut self.session.writer())?;
        match self.push_or_explain() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }
}

impl Transport for TlsStream {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        self.transport.register(registration)
    }

    fn deregister(&mut self, registration: &Registration) {
        self.transport.deregister(registration);
        // the connection of a parent process: nothing must be sent when this is dropped
        self.is_connected &= !registration.is_forked();
    }

    fn has_buffered(&self) -> bool {
        self.has_plaintext
            || self.may_have_more
            || !self.incoming.is_empty()
            || self.is_ended
            || self.error.is_some()
            || self.transport.has_buffered()
    }

    fn has_unflushed(&self) -> bool {
        self.session.wants_write() || self.transport.has_unflushed()
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        if !self.is_connected {
            self.transport.finish_connecting()?;
            self.is_connected = true;
        }
        self.continue_handshake()
    }
}

impl Read for TlsStream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let (mut filled, mut reads) = (0, 0);
        self.may_have_more = false;
        while self.error.is_none() {
            filled += self.take_plaintext(&mut room[filled..]);
            let is_over = self.is_ended && !self.has_plaintext;
            if filled == room.len() || is_over {
                return Ok(filled);
            }
            self.may_have_more = reads == READS;
            let received = match self.may_have_more {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => self.receive(),
            };
            reads += 1;
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && filled > 0 => {
                    return Ok(filled);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => self.error = Some(error),
                Ok(()) => {}
            }
        }
        // what came before the error
        filled += self.take_plaintext(&mut room[filled..]);
        match self.error.take_if(|_| filled == 0) {
            Some(error) => Err(error),
            None => Ok(filled),
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|writer| writer.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|writer| writer.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_or_explain()?;
        self.transport.flush()
    }
}

impl Drop for TlsStream {
    /// Tells the server that the end is meant, if that can be done without waiting.
    fn drop(&mut self) {
        if self.is_connected && !self.session.is_handshaking() {
            self.session.send_close_notify();
            let _ = self.push();
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").finish_non_exhaustive()
    }
}
