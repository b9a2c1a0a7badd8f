//! Transports: what a connection's bytes travel over.

use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};

/// A stream of bytes to a server, non-blocking: `read` and `write` return
/// [`WouldBlock`](io::ErrorKind::WouldBlock) instead of waiting.
///
/// The loop registers it with its selector, edge-triggered. A transport without a file descriptor
/// registers nothing and says by [`has_buffered`](Transport::has_buffered) that there is something
/// to read.
pub trait Transport: Read + Write + Source + 'static {
    /// Whether a read would deliver something that the selector does not know of, because it is
    /// in memory already.
    fn has_buffered(&self) -> bool {
        false
    }

    /// Whether bytes that a write has taken are still on their way to the selector's stream. Then
    /// [`flush`](Write::flush) is called when it becomes writable.
    fn has_unflushed(&self) -> bool {
        false
    }

    /// Whether connecting has come to its end: `WouldBlock` while it has not.
    fn finish_connecting(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for mio::net::TcpStream {
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

impl Transport for mio::net::UnixStream {}

/// An open transport and what the selector has said of it.
pub(super) struct Stream {
    transport: Box<dyn Transport>,
    readable: bool,
    /// The peer has closed its side: reads go on until the end of the stream.
    read_closed: bool,
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    Read(usize),
    WouldBlock,
    End,
}

impl Stream {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        // an edge may have passed before the transport came here, so a read is tried
        Self { transport, readable: true, read_closed: false }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.transport.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // all that can fail is that it is not registered
        let _ = self.transport.deregister(registry);
    }

    /// The same stream with another layer around it.
    pub(super) fn wrap(
        self,
        layer: impl FnOnce(Box<dyn Transport>) -> io::Result<Box<dyn Transport>>,
    ) -> io::Result<Self> {
        Ok(Self { transport: layer(self.transport)?, ..self })
    }

    pub(super) fn finish_connecting(&mut self) -> io::Result<()> {
        self.transport.finish_connecting()
    }

    /// Whether something that was written is not yet on its way.
    pub(super) fn has_unflushed(&self) -> bool {
        self.transport.has_unflushed()
    }

    /// Sends what was written on its way, as far as it goes without waiting.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.transport.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    pub(super) fn handle_ready(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_error();
        self.read_closed |= event.is_read_closed() || event.is_error();
    }

    /// Whether a read is worth its system call.
    pub(super) fn is_readable(&self) -> bool {
        self.readable || self.transport.has_buffered()
    }

    /// A write has failed: what the peer sent before is still to be read.
    pub(super) fn set_readable(&mut self) {
        self.readable = true;
        self.read_closed = true;
    }

    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<ReadOutcome> {
        loop {
            match self.transport.read(room) {
                Ok(0) => return Ok(ReadOutcome::End),
                Ok(count) => {
                    // a short read has emptied the socket, and what comes later is a new edge;
                    // only the end of the stream may have come with the same one
                    self.readable = count == room.len() || self.read_closed;
                    return Ok(ReadOutcome::Read(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(ReadOutcome::WouldBlock);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what it can of the chunks, in one call. 0: the socket is full.
    pub(super) fn write<'a>(
        &mut self,
        chunks: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        const PIECES: usize = 64;
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        loop {
            let written = match &slices[..count] {
                [] => return Ok(0),
                [slice] => self.transport.write(slice),
                slices => self.transport.write_vectored(slices),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
