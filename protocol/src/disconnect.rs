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
    /// The user closed it.
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
    /// Name lookup, connecting and handshake took too long together.
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
    /// No server is left to connect to: all have used up their attempts.
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
        /// The limit in bytes. It cannot be changed.
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
    /// The server to move to does not support headers, as the current one does, and messages with
    /// headers may be waiting. The session stays where it is.
    #[error("the next server does not support headers, as the current one does")]
    NextWithoutHeaders,
    /// TLS could not be established, or was refused.
    #[error("TLS: {message}")]
    Tls {
        /// What is wrong.
        kind: TlsErrorKind,
        /// A description of it.
        message: String,
    },
    /// The driver could not get the credentials, so none were sent to the server. Holds the reason.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The `CONNECT` line is longer than servers accept, usually because of a large JWT. The remedy
    /// is a larger `max_control_line`, here and at the server.
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
    /// Whether something was not complete in time: connecting, a drain, or the answer to pings.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::ConnectTimeout | Self::DrainTimeout | Self::Stale => true,
            Self::Transport { kind, .. } => *kind == ErrorKind::TimedOut,
            Self::Server(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// Whether the user asked for the end: by `close`, or by a drain that is complete.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Requested | Self::Drained)
    }

    /// Whether the server does not accept the client's credentials.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_denied())
    }

    /// Whether connecting may succeed later, with nothing changed on either side.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::ConnectTimeout
            | Self::Stale
            | Self::ServerClosed
            | Self::Reconnect
            | Self::TooMuchDuringMove { .. }
            | Self::Transport { .. } => true,
            Self::Server(error) => error.is_temporary(),
            _ => false,
        }
    }

    pub(crate) fn tls_not_available() -> Self {
        let message = "the server does not offer it, and it is required here".into();
        Self::Tls { kind: TlsErrorKind::NotAvailable, message }
    }
}

/// What is wrong with a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not signed by an authority that the client trusts.
    UnknownIssuer,
    /// The server's certificate is for another host.
    WrongHost,
    /// The server's certificate is bad in another way.
    BadCertificate,
    /// The server refused the client: it requires a client certificate, or rejects this one.
    Refused,
    /// The server does not offer TLS, and the client requires it.
    NotAvailable,
    /// The client's own files or settings cannot be used.
    Configuration,
    /// Anything else; see the message.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_by_what_can_be_done() {
        let server = |text: &str| DisconnectReason::Server(ServerError::new(text));
        let transport = |kind| DisconnectReason::Transport { kind, message: String::new() };
        let shown = |reason: DisconnectReason| {
            let of = [
                (reason.is_timeout(), "timeout"),
                (reason.is_closed(), "closed"),
                (reason.is_denied(), "denied"),
                (reason.is_temporary(), "temporary"),
            ];
            of.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
        };
        let table = [
            (DisconnectReason::Requested, "closed"),
            (DisconnectReason::Drained, "closed"),
            (DisconnectReason::DrainTimeout, "timeout"),
            (DisconnectReason::ConnectTimeout, "timeout temporary"),
            (DisconnectReason::Stale, "timeout temporary"),
            (DisconnectReason::ServerClosed, "temporary"),
            (DisconnectReason::NoServers, ""),
            (DisconnectReason::TlsRequired, ""),
            (transport(ErrorKind::ConnectionRefused), "temporary"),
            (transport(ErrorKind::TimedOut), "timeout temporary"),
            (server("Authorization Violation"), "denied"),
            (server("User Authentication Expired"), "denied"),
            (server("Stale Connection"), "timeout temporary"),
            (server("maximum connections exceeded"), "temporary"),
            (server("Unknown Protocol Operation"), ""),
        ];
        for (reason, expected) in table {
            assert_eq!(shown(reason.clone()), expected, "{reason}");
        }
    }
}
