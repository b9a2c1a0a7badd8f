//! A network in memory for the tests of transports: two ends, and in each direction a place for
//! what was sent, another for what has arrived, and a pump between the two that a test works.
//!
//! It keeps what the selector and a socket promise: a read that fills less than its room has
//! emptied the end, and readiness is reported once, as an edge.

use crate::event_loop::{Registration, Transport};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

/// One direction.
struct Direction {
    sent: VecDeque<u8>,
    arrived: VecDeque<u8>,
    capacity: usize,
    is_closed: bool,
    is_broken: bool,
    /// Something has arrived since the receiver was last notified.
    arrival: bool,
    /// There is room again, and the sender has found none before.
    room: bool,
    was_full: bool,
}

impl Direction {
    fn new(capacity: usize) -> Self {
        Self {
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            capacity,
            is_closed: false,
            is_broken: false,
            arrival: false,
            // a socket is writable to begin with
            room: true,
            was_full: false,
        }
    }

    fn pump(&mut self, count: usize) -> bool {
        let count = count.min(self.sent.len());
        self.arrived.extend(self.sent.drain(..count));
        self.arrival |= count > 0;
        self.room |= count > 0 && std::mem::take(&mut self.was_full);
        count > 0
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(self.capacity - self.sent.len());
        self.sent.extend(&bytes[..count]);
        self.was_full |= count < bytes.len();
        match count {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.arrived.is_empty() && !self.is_over() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // a deque reads no further than its end in memory
        self.arrived.make_contiguous();
        self.arrived.read(room)
    }

    /// Nothing more will arrive.
    fn is_over(&self) -> bool {
        self.is_closed && self.sent.is_empty()
    }
}

/// One end of the pair; clones are the same end.
#[derive(Clone)]
pub(super) struct End {
    incoming: Rc<RefCell<Direction>>,
    outgoing: Rc<RefCell<Direction>>,
}

/// Two ends, with room for so many bytes on the way in each direction.
pub(super) fn pair(capacity: usize) -> (End, End) {
    let there = Rc::new(RefCell::new(Direction::new(capacity)));
    let back = Rc::new(RefCell::new(Direction::new(capacity)));
    (
        End { incoming: back.clone(), outgoing: there.clone() },
        End { incoming: there, outgoing: back },
    )
}

impl End {
    /// Moves so many bytes, at most, in each direction. Returns whether there were any.
    pub(super) fn pump(&self, count: usize) -> bool {
        let outgoing = self.outgoing.borrow_mut().pump(count);
        self.incoming.borrow_mut().pump(count) || outgoing
    }

    /// The edges since the last call: readable, writable.
    pub(super) fn take_edges(&self) -> (bool, bool) {
        let readable = std::mem::take(&mut self.incoming.borrow_mut().arrival);
        (readable, std::mem::take(&mut self.outgoing.borrow_mut().room))
    }

    /// Sends no more.
    pub(super) fn close(&self) {
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.is_closed = true;
        outgoing.arrival = true;
    }

    #[cfg(feature = "tls")]
    /// What the other end writes from now on is an error there.
    pub(super) fn refuse_more(&self) {
        self.incoming.borrow_mut().is_broken = true;
    }
}

impl Read for End {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.incoming.borrow_mut().read(room)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for End {
    fn register(&mut self, _: &Registration) -> io::Result<()> {
        Ok(())
    }
}

/// A client as the loop drives it: on edges, and on what the transport says of itself.
pub(super) struct Driver {
    end: End,
    pub(super) transport: Box<dyn Transport>,
    is_connected: bool,
    is_readable: bool,
    pub(super) to_send: VecDeque<u8>,
    pub(super) received: Vec<u8>,
    pub(super) is_ended: bool,
}

impl Driver {
    pub(super) fn new(end: &End, transport: Box<dyn Transport>) -> Self {
        Self {
            end: end.clone(),
            transport,
            is_connected: false,
            is_readable: true,
            to_send: VecDeque::new(),
            received: Vec::new(),
            is_ended: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is_connected && self.to_send.is_empty() && !self.transport.has_unflushed()
    }

    /// Sends what is given from now on.
    #[cfg(feature = "websocket")]
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to_send.extend(bytes);
        self.write()
    }

    /// One turn of the loop, if there is a reason for one.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let (readable, writable) = self.end.take_edges();
        self.is_readable |= readable;
        if !self.is_connected {
            if !readable && !writable {
                return Ok(());
            }
            match self.transport.finish_connecting() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            }
            // as a new stream: an edge may have passed
            (self.is_connected, self.is_readable) = (true, true);
            self.write()?;
        } else if writable {
            if self.transport.has_unflushed() {
                match self.transport.flush() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => result?,
                }
            }
            self.write()?;
        }
        self.read()
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.to_send.is_empty() {
            // in pieces, for write_vectored
            let bytes = self.to_send.make_contiguous();
            let slices: Vec<_> = bytes.chunks(1000).take(64).map(io::IoSlice::new).collect();
            match self.transport.write_vectored(&slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.to_send.drain(..count)),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut room = [0; 777];
        while !self.is_ended && (self.is_readable || self.transport.has_buffered()) {
            match self.transport.read(&mut room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) => return Err(error),
                Ok(0) => self.is_ended = true,
                Ok(count) => {
                    self.received.extend_from_slice(&room[..count]);
                    let is_read_closed = self.end.incoming.borrow().is_over();
                    self.is_readable = count == room.len() || is_read_closed;
                }
            }
        }
        Ok(())
    }
}

/// The far side of a test: a server, and its end of the network.
pub(super) trait Far {
    /// Does what can be done without waiting.
    fn turn(&mut self);
    fn end(&self) -> &End;
}

/// Lets both sides work until they are done, or the client fails. A step says how many bytes the
/// network carries.
pub(super) fn run<F: Far>(
    client: &mut Driver,
    server: &mut F,
    mut step: impl FnMut() -> usize,
    is_done: impl Fn(&Driver, &F) -> bool,
) -> io::Result<()> {
    let mut idle = 0;
    while !is_done(client, server) {
        client.turn()?;
        server.turn();
        match server.end().pump(step()) {
            true => idle = 0,
            false => idle += 1,
        }
        assert!(idle < 100, "stuck");
    }
    Ok(())
}

/// Lets the server work until nothing is left for it.
pub(super) fn run_server_to_the_end(server: &mut impl Far) {
    server.turn();
    while server.end().pump(100) {
        server.turn();
    }
}
