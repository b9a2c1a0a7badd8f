//! Why a connection ended, or could not be made: the one thing that the session and the server pool
//! both have to know.
//!
//! The driver's reasons are here as well, because they come back in events.

use crate::wire::error::{ProtocolError, ServerError};
use std::io::ErrorKind;
use thiserror::Error;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// It was closed by a call of `close`.
    #[error("closed")]
    Requested,
    /// The driver left the server for another one.
    #[error("reconnecting")]
    Reconnect,
    /// A drain is complete.
    #[error("drained")]
    Drained,
    /// A drain was not complete in time.
    #[error("drain timed out")]
    DrainTimeout,
    /// Address look-up, connecting and handshake took too long together.
    #[error("connect timed out")]
    ConnectTimeout,
    /// The server did not answer pings.
    #[error("stale connection: the server stopped answering pings")]
    Stale,
    /// The server closed the connection.
    #[error("the server closed the connection")]
    ServerClosed,
    /// The server refused, and closed the connection.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server sent what is not NATS.
    #[error("protocol violation by the server: {0}")]
    Protocol(#[from] ProtocolError),
    /// No server is left to connect to: every one has used up its attempts.
    #[error("no server is left to try")]
    NoServers,
    /// The server requires TLS, and this connection cannot be upgraded to it.
    #[error("the server requires TLS, which is not available on this connection")]
    TlsRequired,
    /// The server does not support connections that do not get their own messages back (`echo` is
    /// off), which needs protocol level 1.
    #[error("the server does not support connections without echo")]
    NoEchoUnsupported,
    /// More bytes than the limit have arrived while the session was moving to another server. It
    /// stays where it is.
    #[error("more than {limit} bytes have arrived during the move to another server")]
    TooMuchDuringMove {
        /// The limit in bytes, a fixed one of this crate's.
        limit: usize,
    },
    /// The server to move to accepts only smaller messages than the current one, and larger ones
    /// may be waiting. The session stays where it is.
    #[error(
        "the next server accepts only messages of up to {next} bytes, the current one larger ones"
    )]
    SmallerMaxPayload {
        /// The `max_payload` of the current server in bytes.
        current: usize,
        /// The `max_payload` of the next server in bytes.
        next: usize,
    },
    /// TLS could not be agreed on, or was refused.
    #[error("TLS: {message}")]
    Tls {
        /// What is wrong.
        kind: TlsErrorKind,
        /// In words.
        message: String,
    },
    /// The credentials could not be had, so nothing was sent to the server.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The `CONNECT` line is longer than servers read. A large JWT makes it so; then raise
    /// `max_control_line`, here and at the server.
    #[error(
        "the CONNECT line of {size} bytes is longer than max_control_line ({limit} bytes); raise \
         it here and at the server"
    )]
    ConnectLineTooLong {
        /// Its length in bytes.
        size: usize,
        /// The limit in bytes ([`SessionConfig::max_control_line`](crate::SessionConfig)).
        limit: usize,
    },
    /// The transport failed, or could not be opened.
    #[error("{message}")]
    Transport {
        /// The kind of the I/O error.
        kind: ErrorKind,
        /// Its text.
        message: String,
    },
}

impl DisconnectReason {
    pub(crate) fn tls_not_available() -> Self {
        let message = "the server does not offer it, and it is demanded here".into();
        Self::Tls { kind: TlsErrorKind::NotAvailable, message }
    }
}

/// What is wrong with a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is signed by nobody whom the client trusts.
    UnknownIssuer,
    /// The server's certificate is for another host.
    WrongHost,
    /// The server's certificate is bad in another way.
    BadCertificate,
    /// The server refused the client: it wants a certificate, or not this one.
    Refused,
    /// The server has no TLS, and the client demands it.
    NotAvailable,
    /// The client's own files or settings cannot be used.
    Configuration,
    /// Anything else; see the message.
    Other,
}
