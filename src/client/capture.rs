//! Wire capture: every frame in and out, decoded, for debugging.
//!
//! It reads copies of the bytes with decoders of its own, so that what it shows is what was on the
//! wire, whatever the client makes of it. It costs nothing unless it is asked for.

use evnats_protocol::{ClientOp, Decoder, ServerOp, printable};
use std::collections::VecDeque;
use std::fmt;

/// One frame on the wire; see [`Client::on_frame`](crate::Client::on_frame). `Display` shows it in
/// a line, without secrets and without the end of a long message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Frame {
    /// The server has sent it.
    In(ServerOp),
    /// It was written to the server.
    Out(ClientOp),
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 256;
        let mut bytes = Vec::new();
        match self {
            // its JSON would show secrets
            Self::Out(ClientOp::Connect(info)) => return write!(f, "-> CONNECT {info:?}"),
            Self::Out(op) => op.encode(&mut bytes),
            Self::In(op) => op.encode(&mut bytes),
        }
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
        let is_info = matches!(self, Self::In(ServerOp::Info(_)));
        let shown = &bytes[..if is_info { bytes.len() } else { bytes.len().min(SHOWN) }];
        f.write_str(if matches!(self, Self::In(_)) { "<- " } else { "-> " })?;
        write!(f, "{}", printable(&String::from_utf8_lossy(shown)))?;
        match bytes.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "... ({more} bytes more)"),
        }
    }
}

/// What is read from a wire.
#[derive(Default)]
pub(super) struct Wire {
    incoming: Decoder<ServerOp>,
    outgoing: Decoder<ClientOp>,
    frames: VecDeque<Frame>,
}

impl Wire {
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The same wire, with the frames of another one before its own.
    pub(super) fn after(mut self, other: Self) -> Self {
        let own = std::mem::replace(&mut self.frames, other.frames);
        self.frames.extend(own);
        self
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.incoming.feed(bytes);
        // what cannot be decoded ends the connection, which is reported elsewhere
        while let Ok(Some(op)) = self.incoming.next_op() {
            self.frames.push_back(Frame::In(op));
        }
    }

    /// The first `count` bytes of the chunks have been written.
    pub(super) fn wrote<'a>(&mut self, chunks: impl Iterator<Item = &'a [u8]>, count: usize) {
        let mut left = count;
        for chunk in chunks {
            let part = &chunk[..chunk.len().min(left)];
            self.outgoing.feed(part);
            left -= part.len();
        }
        while let Ok(Some(op)) = self.outgoing.next_op() {
            self.frames.push_back(Frame::Out(op));
        }
    }

    /// The connection is over: half a frame will not be completed.
    pub(super) fn reset(self) -> Self {
        Self { frames: self.frames, ..Self::default() }
    }
}
