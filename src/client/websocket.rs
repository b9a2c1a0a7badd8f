//! WebSocket: a transport that carries the bytes of NATS in WebSocket messages over another one.
//!
//! Where messages begin and end means nothing: what is read is one stream of bytes, and a write
//! becomes one message. Pings of the server are answered along the way, which is why there may be
//! something to flush after a read.
//!
//! Messages are not compressed. At log level `trace`, the library writes what is sent into the log,
//! credentials included; that cannot be turned off here.

#[cfg(test)]
mod tests;

use crate::event_loop::Registration;
use crate::event_loop::Transport;
use bytes::{Buf, Bytes};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use tungstenite::client::IntoClientRequest;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// Longest message to read: the largest payload a server can be made to take, and room for heads.
const READ_LEN: usize = (64 + 1) * 1024 * 1024;
/// Longest message to write.
const WRITE_LEN: usize = 64 * 1024;
/// Messages that one read takes at most: those without a payload would let it go on for ever.
const READ_MESSAGES: usize = 32;

/// Puts WebSocket on a transport: for a host as it stands in the URL, with its port if it is not
/// the usual one, and a path. The handshake is part of
/// [`finish_connecting`](Transport::finish_connecting).
pub(crate) fn connect(
    transport: Box<dyn Transport>,
    host: &str,
    path: &str,
) -> io::Result<Box<dyn Transport>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // of the scheme the request shows nothing; TLS is the transport's affair
    let request = format!("ws://{host}/{path}").into_client_request().map_err(invalid_url)?;
    let config =
        WebSocketConfig::default().max_message_size(Some(READ_LEN)).max_frame_size(Some(READ_LEN));
    let handshake =
        ClientHandshake::start(transport, request, Some(config)).map_err(invalid_url)?;
    Ok(Box::new(WebSocketStream {
        state: State::ShakingHands(handshake),
        is_connected: false,
        message: Bytes::new(),
        may_have_more: false,
        is_ended: false,
        has_unflushed: false,
        error: None,
    }))
}

struct WebSocketStream {
    state: State,
    /// The transport below is connected.
    is_connected: bool,
    /// What is left of the last message.
    message: Bytes,
    /// There may be more than the last message that nobody reports.
    may_have_more: bool,
    /// The server has closed.
    is_ended: bool,
    has_unflushed: bool,
    /// To be reported when what came before it has been read.
    error: Option<io::Error>,
}

type Socket = WebSocket<Box<dyn Transport>>;

enum State {
    ShakingHands(MidHandshake<ClientHandshake<Box<dyn Transport>>>),
    Open(Box<Socket>),
    /// The handshake has failed, and the transport is gone with it.
    Failed,
}

impl State {
    fn transport(&self) -> Option<&dyn Transport> {
        match self {
            Self::ShakingHands(handshake) => Some(&**handshake.get_ref().get_ref()),
            Self::Open(socket) => Some(&**socket.get_ref()),
            Self::Failed => None,
        }
    }

    fn transport_mut(&mut self) -> io::Result<&mut dyn Transport> {
        match self {
            Self::ShakingHands(handshake) => Ok(&mut **handshake.get_mut().get_mut()),
            Self::Open(socket) => Ok(&mut **socket.get_mut()),
            Self::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn socket(&mut self) -> io::Result<&mut Socket> {
        match self {
            Self::Open(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl WebSocketStream {
    /// Goes on with the handshake.
    fn shake_hands(&mut self) -> io::Result<()> {
        match mem::replace(&mut self.state, State::Failed) {
            State::ShakingHands(handshake) => match handshake.handshake() {
                Ok((socket, _)) => {
                    self.state = State::Open(Box::new(socket));
                    // messages may have come along with the answer
                    self.may_have_more = true;
                    Ok(())
                }
                Err(HandshakeError::Interrupted(handshake)) => {
                    self.state = State::ShakingHands(handshake);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Err(HandshakeError::Failure(error)) => Err(handshake_error(error)),
            },
            state => {
                self.state = state;
                self.state.socket().map(drop)
            }
        }
    }

    /// Reads one message.
    fn receive(&mut self) -> io::Result<()> {
        match self.state.socket()?.read() {
            Ok(Message::Binary(bytes)) => self.message = bytes,
            Ok(Message::Text(text)) => self.message = text.into(),
            Ok(Message::Ping(_)) => self.answer(),
            Ok(Message::Close(_)) => {
                self.is_ended = true;
                self.answer();
            }
            Ok(_) => {}
            // closed, or gone without that: how makes no difference to NATS
            Err(
                Error::ConnectionClosed
                | Error::AlreadyClosed
                | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            ) => self.is_ended = true,
            Err(error) => return Err(io_error(error)),
        }
        Ok(())
    }

    /// Sends the answer that the library has put in its buffer. What goes wrong will be seen by
    /// the next write.
    fn answer(&mut self) {
        self.has_unflushed = true;
        let _ = self.flush();
    }

    fn take_bytes(&mut self, room: &mut [u8]) -> usize {
        let count = room.len().min(self.message.len());
        self.message.copy_to_slice(&mut room[..count]);
        count
    }
}

impl Transport for WebSocketStream {
    fn register(&mut self, registration: &Registration) -> io::Result<()> {
        self.state.transport_mut()?.register(registration)
    }

    fn deregister(&mut self, registration: &Registration) {
        if let Ok(transport) = self.state.transport_mut() {
            transport.deregister(registration);
        }
        if registration.is_forked() {
            // the connection is the parent's: nothing must be sent when this is dropped
            self.state = State::Failed;
        }
    }

    fn has_buffered(&self) -> bool {
        !self.message.is_empty()
            || self.may_have_more
            || self.is_ended
            || self.error.is_some()
            || self.state.transport().is_some_and(|transport| transport.has_buffered())
    }

    fn has_unflushed(&self) -> bool {
        self.has_unflushed
            || self.state.transport().is_some_and(|transport| transport.has_unflushed())
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        if !self.is_connected {
            self.state.transport_mut()?.finish_connecting()?;
            self.is_connected = true;
        }
        self.shake_hands()
    }
}

impl Read for WebSocketStream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let mut messages = 0;
        while self.error.is_none() {
            filled += self.take_bytes(&mut room[filled..]);
            if filled == room.len() || self.is_ended {
                return Ok(filled);
            }
            if messages == READ_MESSAGES {
                // the rest shows in `has_buffered`, and has another turn
                return if filled > 0 { Ok(filled) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
            messages += 1;
            match self.receive() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.may_have_more = false;
                    return if filled > 0 { Ok(filled) } else { Err(error) };
                }
                Err(error) => self.error = Some(error),
            }
            self.may_have_more = true;
        }
        match self.error.take_if(|_| filled == 0) {
            Some(error) => Err(error),
            None => Ok(filled),
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
        self.flush()?;
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>().min(WRITE_LEN);
        let mut bytes = Vec::with_capacity(len);
        for slice in slices {
            let count = slice.len().min(len - bytes.len());
            bytes.extend_from_slice(&slice[..count]);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        self.has_unflushed = true;
        let written = self.state.socket()?.write(Message::binary(bytes)).map_err(io_error);
        match written.and_then(|()| self.flush()) {
            // the library has the message in its buffer in this case, too
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(len),
            Err(error) => Err(error),
            Ok(()) => Ok(len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.has_unflushed() {
            match self.state.socket()?.flush().map_err(io_error) {
                Ok(()) => self.has_unflushed = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for WebSocketStream {
    /// Tells the server that the end is meant, if that can be done without waiting.
    fn drop(&mut self) {
        if let State::Open(socket) = &mut self.state {
            let _ = socket.close(None);
        }
    }
}

impl fmt::Debug for WebSocketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketStream").finish_non_exhaustive()
    }
}

fn invalid_url(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// An error of the transport stays what it is, so that what TLS has to say can be told from it.
fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::SendAfterClosing) => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

fn handshake_error(error: Error) -> io::Error {
    let (kind, text) = match error {
        Error::Io(error) => return error,
        Error::Protocol(ProtocolError::HandshakeIncomplete) => (
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection during the WebSocket handshake".to_owned(),
        ),
        Error::Http(response) => {
            let text = format!("the server refuses WebSocket here: HTTP {}", response.status());
            (io::ErrorKind::InvalidData, text)
        }
        error => {
            let text = format!("the server did not answer with WebSocket: {error}");
            (io::ErrorKind::InvalidData, text)
        }
    };
    io::Error::new(kind, text)
}
