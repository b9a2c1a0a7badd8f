//! What the caller asked for and cannot have. Nothing was written, and the connection is as good as
//! before.
//!
//! Errors of the peer are not here: see [`ProtocolError`](crate::ProtocolError) and
//! [`ServerError`](crate::ServerError).

use crate::wire::headers::HeaderError;
use crate::wire::payload::Payload;
use crate::wire::subject::SubjectError;
use thiserror::Error;

/// The caller asked for what cannot be done; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A subject that cannot be published or subscribed to.
    #[error("invalid subject: {0}")]
    Subject(#[from] SubjectError),
    /// A reply subject that is not a literal subject.
    #[error("invalid reply subject: {0}")]
    ReplySubject(SubjectError),
    /// A queue group name that is empty or has white space.
    #[error("invalid queue group: {0}")]
    QueueGroup(SubjectError),
    /// A header that cannot be sent.
    #[error("invalid header: {0}")]
    Header(#[from] HeaderError),
    /// Headers and payload together are larger than the server takes.
    #[error("message of {size} bytes is larger than the server's max_payload of {limit} bytes")]
    PayloadTooLarge {
        /// Size of headers and payload in bytes.
        size: usize,
        /// The server's `max_payload` in bytes.
        limit: usize,
    },
    /// The control line (verb, subjects and sizes) would be longer than a server reads.
    #[error("control line of {size} bytes is longer than the limit of {limit} bytes")]
    ControlLineTooLong {
        /// Size of the control line in bytes.
        size: usize,
        /// The limit in bytes ([`SessionConfig::max_control_line`](crate::SessionConfig)).
        limit: usize,
    },
    /// The server does not support headers.
    #[error("the server does not support headers")]
    HeadersUnsupported,
    /// The outgoing buffer is at its limit: wait for the writable event and try again.
    #[error("the outgoing buffer is full ({limit} bytes); try again when it is writable")]
    BufferFull {
        /// The message's payload, given back. Empty if the caller only lent it.
        payload: Payload<'static>,
        /// The limit in bytes ([`SessionConfig::max_buffered`](crate::SessionConfig)).
        limit: usize,
    },
    /// There is no connection, and the buffer for that case is turned off.
    #[error("not connected, and nothing is buffered meanwhile")]
    NotConnected {
        /// The message's payload, given back. Empty if the caller only lent it.
        payload: Payload<'static>,
    },
    /// The connection was lost while the message was being written. No server has it whole, and it
    /// is not sent again.
    #[error("the connection was lost while the message was being written")]
    HalfWritten,
    /// There are sixteen million subscriptions or requests already.
    #[error("too many at once")]
    TooMany,
    /// The subscription does not exist (any more).
    #[error("no such subscription")]
    UnknownSubscription,
    /// The connection is being drained and takes no new work of this kind.
    #[error("the connection is draining")]
    Draining,
    /// The connection is closed for good.
    #[error("the connection is closed")]
    Closed,
}
