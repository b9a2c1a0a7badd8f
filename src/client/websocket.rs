//! WebSocket: a transport that carries the bytes of NATS in WebSocket frames over another one.
//!
//! Where messages begin and end means nothing: what is read is one stream of bytes, and a write
//! becomes one message. Pings of the server are answered along the way, which is why there may be
//! something to flush after a read. Messages are not compressed. Nothing is logged: what is sent
//! may be secret.

mod frame;
mod handshake;
#[cfg(test)]
mod tests;

use self::frame::{Decoder, Found, Type};
use self::handshake::{Handshake, MAX_ANSWER};
use super::incoming::{Incoming, READ_LEN};
use crate::event_loop::Registration;
use crate::event_loop::Transport;
use evnats_protocol::printable;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};

/// Longest message to write.
const WRITE_LEN: usize = 64 * 1024;
/// Frames without payload that one read takes at most: they would let it go on for ever.
const READ_FRAMES: usize = 32;

/// What masks are made of: 64 bits that nobody can guess.
pub(crate) type Random = Box<dyn Fn() -> u64>;

/// Puts WebSocket on a transport: for a host as it stands in the URL, with its port, and a path. The
/// handshake is part of [`finish_connecting`](Transport::finish_connecting).
pub(crate) fn connect(
    transport: Box<dyn Transport>,
    host: &str,
    path: &str,
    random: Random,
) -> io::Result<Box<dyn Transport>> {
    let key = u128::from(random()) << 64 | u128::from(random());
    let (handshake, request) = Handshake::begin(host, path, key)?;
    Ok(Box::new(WebSocketStream {
        transport,
        random,
        stage: Stage::Connecting(handshake),
        incoming: Incoming::default(),
        decoder: Decoder::default(),
        outgoing: Outgoing { bytes: request, written: 0 },
        answer: None,
        may_have_more: false,
        end: None,
    }))
}

struct WebSocketStream {
    transport: Box<dyn Transport>,
    random: Random,
    stage: Stage,
    incoming: Incoming,
    decoder: Decoder,
    outgoing: Outgoing,
    /// A frame that the server waits for, to be sent before anything else. Of several pongs the
    /// last one is enough.
    answer: Option<(Type, Vec<u8>)>,
    /// There may be more below than what was read, and nobody reports it.
    may_have_more: bool,
    end: Option<End>,
}

#[derive(Debug)]
enum Stage {
    /// The transport below is not connected.
    Connecting(Handshake),
    /// The request is being sent, or the answer is being waited for.
    ShakingHands(Handshake),
    Open,
    /// The handshake has failed, or the connection is another process's now.
    Failed,
}

/// How the stream has ended. It is reported when what came before has been read.
#[derive(Debug)]
enum End {
    /// The server has closed it.
    Closed,
    /// The error is reported once.
    Failed(Option<io::Error>),
}

impl WebSocketStream {
    /// Goes on with the handshake.
    fn shake_hands(&mut self) -> io::Result<()> {
        if let Stage::Connecting(_) = self.stage {
            self.transport.finish_connecting()?;
        }
        self.stage = match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Connecting(handshake) | Stage::ShakingHands(handshake) => {
                match self.exchange(&handshake) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.stage = Stage::ShakingHands(handshake);
                        return Err(error);
                    }
                    exchanged => exchanged?,
                }
                // frames may have come along with the answer
                self.may_have_more = true;
                Stage::Open
            }
            Stage::Open => Stage::Open,
            Stage::Failed => return Err(io::ErrorKind::NotConnected.into()),
        };
        Ok(())
    }

    /// Sends the request, and reads the answer.
    fn exchange(&mut self, handshake: &Handshake) -> io::Result<()> {
        self.outgoing.write_to(&mut self.transport)?;
        self.transport.flush()?;
        loop {
            if let Some(len) = handshake.check(self.incoming.bytes())? {
                self.incoming.consume(len);
                return Ok(());
            }
            if self.incoming.read_more(&mut self.transport)? == 0 {
                let text = "the server closed the connection during the WebSocket handshake";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
        }
    }

    fn check_open(&self) -> io::Result<()> {
        match self.stage {
            Stage::Open => Ok(()),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads as much as there is, or the room takes, or is enough for once.
    fn read_frames(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let (mut filled, mut empty) = (0, 0);
        self.may_have_more = true;
        while filled < room.len() && empty < READ_FRAMES && self.end.is_none() {
            if self.incoming.is_empty() {
                match self.incoming.read_more(&mut self.transport) {
                    Ok(0) => self.end = Some(End::Closed),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.may_have_more = false;
                        break;
                    }
                    Err(error) => self.end = Some(End::Failed(Some(error))),
                }
                continue;
            }
            let (used, found) = match self.decoder.next(self.incoming.bytes(), room.len() - filled)
            {
                Ok(next) => next,
                Err(violation) => {
                    self.end = Some(End::Failed(Some(broken(&violation))));
                    break;
                }
            };
            let bytes = &self.incoming.bytes()[..used];
            match found {
                Found::Payload(count) => {
                    room[filled..filled + count].copy_from_slice(&bytes[used - count..]);
                    filled += count;
                }
                Found::Nothing => {}
                Found::Empty | Found::Pong => empty += 1,
                Found::Ping(payload) => {
                    empty += 1;
                    self.answer = Some((Type::Pong, payload));
                }
                Found::Close(reason) => self.handle_close(reason),
            }
            self.incoming.consume(used);
        }
        Ok(filled)
    }

    /// The server closes, and perhaps says why.
    fn handle_close(&mut self, reason: Option<(u16, String)>) {
        const NORMAL: u16 = 1000;
        let code = reason.as_ref().map(|(code, _)| code.to_be_bytes().to_vec());
        self.answer = Some((Type::Close, code.unwrap_or_default()));
        self.end = Some(match reason {
            None => End::Closed,
            Some((NORMAL, text)) if text.is_empty() => End::Closed,
            Some((code, text)) => End::Failed(Some(closed(code, &text))),
        });
    }

    fn mask(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = (self.random)().to_ne_bytes();
        [a, b, c, d]
    }

    /// Puts a frame behind what is to be sent.
    fn send(&mut self, kind: Type, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mask = self.mask();
        frame::encode(&mut self.outgoing.bytes, kind, len, mask, write);
    }
}

impl Transport for WebSocketStream {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        self.transport.register(registration)
    }

    fn deregister(&mut self, registration: &Registration) {
        self.transport.deregister(registration);
        if registration.is_forked() {
            // the connection is the parent's: nothing must be sent when this is dropped
            self.stage = Stage::Failed;
        }
    }

    fn has_buffered(&self) -> bool {
        !self.incoming.is_empty()
            || self.may_have_more
            || self.end.is_some()
            || self.transport.has_buffered()
    }

    fn has_unflushed(&self) -> bool {
        self.answer.is_some() || !self.outgoing.is_empty() || self.transport.has_unflushed()
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        self.shake_hands()
    }
}

impl Read for WebSocketStream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.check_open()?;
        let filled = self.read_frames(room)?;
        if self.answer.is_some() {
            // what goes wrong will be seen by the next write
            let _ = self.flush();
        }
        match &mut self.end {
            _ if filled > 0 || room.is_empty() => Ok(filled),
            Some(End::Failed(error)) => error.take().map_or(Ok(0), Err),
            Some(End::Closed) => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for WebSocketStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Makes one message of the slices, if the one before has been written. So little is held
    /// here, and messages are as long as they can be.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check_open()?;
        self.flush()?;
        if self.end.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>().min(WRITE_LEN);
        if len == 0 {
            return Ok(0);
        }
        self.send(Type::Binary, len, |out| {
            let mut left = len;
            for slice in slices {
                let count = slice.len().min(left);
                out.extend_from_slice(&slice[..count]);
                left -= count;
            }
        });
        match self.flush() {
            // the message is held here
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(len),
            flushed => flushed.map(|()| len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outgoing.write_to(&mut self.transport)?;
        if let Some((kind, payload)) = self.answer.take() {
            self.send(kind, payload.len(), |out| out.extend_from_slice(&payload));
            self.outgoing.write_to(&mut self.transport)?;
        }
        self.transport.flush()
    }
}

impl Drop for WebSocketStream {
    /// Tells the server that the end is meant, if that can be done without waiting.
    fn drop(&mut self) {
        const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();
        if matches!(self.stage, Stage::Open) && self.end.is_none() && self.flush().is_ok() {
            self.answer = Some((Type::Close, NORMAL.to_vec()));
            let _ = self.flush();
        }
    }
}

impl fmt::Debug for WebSocketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketStream").finish_non_exhaustive()
    }
}

/// The buffer holds an answer to the handshake.
const _: () = assert!(READ_LEN >= MAX_ANSWER);

/// Frames that have not been written completely.
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn write_to(&mut self, transport: &mut impl Write) -> io::Result<()> {
        while !self.is_empty() {
            match transport.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.written = 0;
        Ok(())
    }
}

fn broken(violation: &frame::Violation) -> io::Error {
    let text = format!("the server does not keep to WebSocket: {violation}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn closed(code: u16, reason: &str) -> io::Error {
    let text = match reason {
        "" => format!("the server closed the WebSocket (code {code})"),
        _ => format!("the server closed the WebSocket: {} (code {code})", printable(reason)),
    };
    io::Error::new(io::ErrorKind::ConnectionAborted, text)
}
