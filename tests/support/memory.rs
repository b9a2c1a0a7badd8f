//! A server in memory: a transport that answers every request with its payload, without a socket.

use evnats::Transport;
use evnats_protocol::{ClientOp, Decoder, Message, ServerOp};
use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};

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
        let outgoing = b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n".to_vec();
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

impl Source for MemoryServer {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for MemoryServer {
    fn has_buffered(&self) -> bool {
        self.read < self.outgoing.len()
    }
}
