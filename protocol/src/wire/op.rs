//! The verbs of the protocol as data, in both directions.
//!
//! Invariant: a value is a whole operation. Bytes become operations and operations become bytes
//! elsewhere: see [`decode`](super::decode) and [`encode`](super::encode).

use super::error::{ProtocolError, ServerError};
use super::info::{ConnectInfo, ServerInfo};
use super::line::{self, ClientLine, ServerLine};
use super::message::{Message, MessageHead};
use super::message_line::{Line, WINDOW, message_line};
use bytes::Bytes;
use serde::Deserialize;

/// An operation that a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerOp {
    /// `INFO`: the server describes itself.
    Info(Box<ServerInfo>),
    /// `MSG` or `HMSG`: a message for a subscription.
    Message(Message),
    /// `+OK`, sent only to verbose connections.
    Ok,
    /// `-ERR`: the server refused something.
    Error(ServerError),
    /// `PING`: asks for a `PONG`.
    Ping,
    /// `PONG`: answers the oldest unanswered `PING`.
    Pong,
}

/// An operation that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOp {
    /// `CONNECT`: the client describes itself.
    Connect(Box<ConnectInfo>),
    /// `PUB` or `HPUB`. The message's sid is 0.
    Publish(Message),
    /// `SUB`.
    Subscribe {
        /// The pattern.
        subject: Bytes,
        /// The queue group.
        queue: Option<Bytes>,
        /// The number that the client gives the subscription.
        sid: u64,
    },
    /// `UNSUB`.
    Unsubscribe {
        /// The subscription's number.
        sid: u64,
        /// Total number of messages after which the subscription ends; `None`: at once.
        max: Option<u64>,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
}

/// The operations of one direction: what a [`Decoder`](crate::Decoder) can be asked to produce.
pub trait Operation: Sized + sealed::Operation {}

impl Operation for ServerOp {}
impl Operation for ClientOp {}

/// A line that is an operation by itself, or the head of a message whose bytes follow.
pub(crate) enum Parsed<Op> {
    Complete(Op),
    Head(MessageHead),
}

pub(crate) mod sealed {
    use super::Parsed;
    use crate::wire::error::ProtocolError;
    use crate::wire::message::Message;
    use crate::wire::message_line::{Line, WINDOW};

    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Operation: Sized {
        #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
        fn parse(line: &[u8]) -> Result<Parsed<Self>, ProtocolError>;
        /// Reads the most frequent line the fast way, if this direction has one.
        #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
        fn message_line(_window: &[u8; WINDOW]) -> Option<Line> {
            None
        }
        fn from_message(message: Message) -> Self;
    }
}

impl sealed::Operation for ServerOp {
    #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
    #[inline(always)]
    fn message_line(window: &[u8; WINDOW]) -> Option<Line> {
        message_line(window)
    }

    #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
    fn parse(line: &[u8]) -> Result<Parsed<Self>, ProtocolError> {
        Ok(Parsed::Complete(match line::server_line(line)? {
            ServerLine::Message(message) => {
                return Ok(Parsed::Head(MessageHead::new(line, message)));
            }
            ServerLine::Info(json) => ServerOp::Info(from_json("INFO", json)?),
            ServerLine::Error(text) => {
                ServerOp::Error(ServerError::new(String::from_utf8_lossy(text)))
            }
            ServerLine::Ok => ServerOp::Ok,
            ServerLine::Ping => ServerOp::Ping,
            ServerLine::Pong => ServerOp::Pong,
        }))
    }

    fn from_message(message: Message) -> Self {
        ServerOp::Message(message)
    }
}

impl sealed::Operation for ClientOp {
    #[allow(private_interfaces, reason = "sealed: nobody outside can name or call it")]
    fn parse(line: &[u8]) -> Result<Parsed<Self>, ProtocolError> {
        Ok(Parsed::Complete(match line::client_line(line)? {
            ClientLine::Publish(message) => {
                return Ok(Parsed::Head(MessageHead::new(line, message)));
            }
            ClientLine::Connect(json) => ClientOp::Connect(from_json("CONNECT", json)?),
            ClientLine::Subscribe { subject, queue, sid } => ClientOp::Subscribe {
                subject: Bytes::copy_from_slice(subject),
                queue: queue.map(Bytes::copy_from_slice),
                sid,
            },
            ClientLine::Unsubscribe { sid, max } => ClientOp::Unsubscribe { sid, max },
            ClientLine::Ping => ClientOp::Ping,
            ClientLine::Pong => ClientOp::Pong,
        }))
    }

    fn from_message(message: Message) -> Self {
        ClientOp::Publish(message)
    }
}

fn from_json<T: for<'de> Deserialize<'de>>(
    verb: &'static str,
    json: &[u8],
) -> Result<Box<T>, ProtocolError> {
    serde_json::from_slice(json)
        .map(Box::new)
        .map_err(|error| ProtocolError::MalformedJson { verb, reason: error.to_string() })
}
