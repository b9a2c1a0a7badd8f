//! A stream: a transport that the loop knows, and what is known of its readiness.

use crate::event_loop::{Readiness, Registration, Transport};
use mio::Token;
use std::io::{self, IoSlice};

/// A transport that the loop knows, and whether a read is worth trying.
pub(super) struct Stream {
    transport: Box<dyn Transport>,
    registration: Registration,
    /// Whether a read that does not fill its room has taken all, in the transport as well.
    reads_all: bool,
    readable: bool,
    /// The peer has ended the stream, or it has failed: reads are tried until they say so.
    is_over: bool,
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    Read(usize),
    WouldBlock,
    End,
}

impl Stream {
    pub(super) fn new(
        mut transport: Box<dyn Transport>,
        registration: Registration,
    ) -> io::Result<Self> {
        transport.register(&registration)?;
        let reads_all = transport.reads_all();
        // an edge may have passed before the transport came here, so a read is tried
        Ok(Self { transport, registration, reads_all, readable: true, is_over: false })
    }

    pub(super) fn deregister(&mut self) {
        self.transport.deregister(&self.registration);
    }

    /// The same stream with another layer around it.
    pub(super) fn wrap(
        self,
        layer: impl FnOnce(Box<dyn Transport>) -> io::Result<Box<dyn Transport>>,
    ) -> io::Result<Self> {
        let transport = layer(self.transport)?;
        Ok(Self { reads_all: transport.reads_all(), transport, ..self })
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

    /// Takes note, if it is this stream that became ready.
    pub(super) fn handle_ready(&mut self, id: Token, readiness: Readiness) {
        if id == self.registration.id() {
            self.is_over |= readiness.is_read_closed() || readiness.is_error();
            self.readable |= readiness.is_readable() || self.is_over;
        }
    }

    /// Whether a read is worth its system call.
    pub(super) fn is_readable(&self) -> bool {
        self.readable || !self.reads_all && self.transport.has_buffered()
    }

    /// A write has failed: what the peer sent before is still to be read.
    pub(super) fn set_readable(&mut self) {
        self.readable = true;
    }

    #[inline(always)]
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<ReadOutcome> {
        loop {
            match self.transport.read(room) {
                Ok(0) => return Ok(ReadOutcome::End),
                Ok(count) => {
                    let took_all = count < room.len() && self.reads_all;
                    self.readable &= !took_all || self.is_over;
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

    /// Writes what it can, in one call. 0: the socket is full.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_with(|transport| transport.write(bytes))
    }

    /// As [`write`](Self::write), for bytes that lie in pieces.
    #[inline(never)]
    pub(super) fn write_pieces<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        const PIECES: usize = 64;
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        self.write_with(|transport| transport.write_vectored(&slices[..count]))
    }

    #[inline]
    fn write_with(
        &mut self,
        mut write: impl FnMut(&mut dyn Transport) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match write(&mut *self.transport) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
