//! Transports in memory, without a socket: among them a server that answers every request with its
//! payload.

use evnats::{Readiness, Registration, SetReadiness, Transport};
use evnats_protocol::{ClientOp, Decoder, Message, ServerOp};
use std::collections::VecDeque;
use std::io::{self, Read, Write};

const INFO: &[u8] = b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n";

/// Answers `PING`s, and echoes the payload of every message to its reply subject.
pub struct MemoryServer {
    incoming: Decoder<ClientOp>,
    outgoing: Vec<u8>,
    read: usize,
    mux_sid: u64,
    /// The most bytes that ever waited to be read.
    pub peak: usize,
}

impl MemoryServer {
    pub fn new() -> Self {
        let outgoing = INFO.to_vec();
        Self { incoming: Decoder::default(), outgoing, read: 0, mux_sid: 0, peak: 0 }
    }

    fn answer(&mut self, op: ClientOp) {
        match op {
            ClientOp::Ping => ServerOp::Pong.encode(&mut self.outgoing),
            ClientOp::Subscribe { sid, .. } => self.mux_sid = sid,
            ClientOp::Publish(message) => {
                if let Some(reply) = message.reply() {
                    let answer = Message::new(&reply, self.mux_sid, None, None, message.payload());
                    ServerOp::Message(answer).encode(&mut self.outgoing);
                }
            }
            _ => {}
        }
    }
}

impl Read for MemoryServer {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let waiting = &self.outgoing[self.read..];
        if waiting.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = waiting.len().min(room.len());
        room[..count].copy_from_slice(&waiting[..count]);
        self.read += count;
        if self.read == self.outgoing.len() {
            self.outgoing.clear();
            self.read = 0;
        }
        Ok(count)
    }
}

impl Write for MemoryServer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.incoming.feed(bytes);
        while let Some(op) = self.incoming.next_op().map_err(io::Error::other)? {
            self.answer(op);
        }
        self.peak = self.peak.max(self.outgoing.len());
        assert!(self.peak < 64 << 20, "memory grows without bound");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a server in memory says to what it hears.
pub trait Responder: 'static {
    /// Hears an operation other than a `PING`, which is answered.
    fn hear(&mut self, op: ClientOp, say: &mut dyn FnMut(ServerOp));
}

/// A server that says what its responder has to say.
pub struct Responding<R> {
    responder: R,
    incoming: Decoder<ClientOp>,
    outgoing: VecDeque<u8>,
}

impl<R: Responder> Responding<R> {
    pub fn new(responder: R) -> Self {
        Self { responder, incoming: Decoder::default(), outgoing: INFO.iter().copied().collect() }
    }
}

impl<R: Responder> Read for Responding<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.outgoing.read(room)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl<R: Responder> Write for Responding<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.incoming.feed(bytes);
        while let Some(op) = self.incoming.next_op().map_err(io::Error::other)? {
            let mut said = Vec::new();
            let mut say = |op: ServerOp| op.encode(&mut said);
            match op {
                ClientOp::Ping => say(ServerOp::Pong),
                op => self.responder.hear(op, &mut say),
            }
            self.outgoing.extend(said);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Responder> Speaker for Responding<R> {
    fn has_more(&self) -> bool {
        !self.outgoing.is_empty()
    }
}

/// Something that speaks from memory, as a transport without a file descriptor.
pub struct InMemory<T> {
    speaker: T,
    readiness: Option<SetReadiness>,
}

/// What a transport in memory has to say by itself, because no selector knows.
pub trait Speaker: Read + Write + 'static {
    /// Whether there is something to read.
    fn has_more(&self) -> bool;

    /// A speaker that speaks without being spoken to reports it.
    fn register(&mut self, readiness: SetReadiness) {
        drop(readiness);
    }
}

impl Speaker for MemoryServer {
    fn has_more(&self) -> bool {
        self.read < self.outgoing.len()
    }
}

impl<T> InMemory<T> {
    pub fn new(speaker: T) -> Self {
        Self { speaker, readiness: None }
    }
}

impl<T: Read> Read for InMemory<T> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.speaker.read(room)
    }
}

impl<T: Speaker> Write for InMemory<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.speaker.write(bytes)?;
        if let Some(readiness) = self.readiness.as_ref().filter(|_| self.speaker.has_more()) {
            readiness.set_readiness(Readiness::READABLE);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.speaker.flush()
    }
}

impl<T: Speaker> Transport for InMemory<T> {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        self.speaker.register(registration.set_readiness());
        self.readiness = Some(registration.set_readiness());
        Ok(())
    }
}
