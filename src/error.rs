//! What can go wrong above the protocol. Each floor has its own error; this is the client's.

use evnats_protocol::{CommandError, DisconnectReason, ServerError, SubscriptionId, UrlError};
use std::io;
use thiserror::Error;

/// The result of a call that reports its errors at once, and not by callback.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL of a server cannot be used.
    #[error("invalid server URL {url:?}: {reason}")]
    InvalidUrl {
        /// The URL, without its user information.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system's selector failed.
    #[error("event loop: {0}")]
    EventLoop(#[source] io::Error),
    /// The loop was run from inside one of its callbacks.
    #[error("the event loop is running already")]
    Reentrant,
    /// The command cannot be carried out; nothing was sent.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Errors of the transport name the server themselves.
fn connect_failed(server: &str, reason: &DisconnectReason) -> String {
    match reason {
        DisconnectReason::Transport { .. } => reason.to_string(),
        _ => format!("cannot connect to {server}: {reason}"),
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        Self::InvalidUrl { url: error.url, reason: error.reason }
    }
}

/// Something that went wrong on a connection and that no single call can be blamed for; see
/// [`Client::on_error`](crate::Client::on_error).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The server refused something (`-ERR`).
    #[error(transparent)]
    Server(#[from] ServerError),
    /// An attempt to connect has failed.
    #[error("{}", connect_failed(server, reason))]
    ConnectFailed {
        /// The server, without user information.
        server: String,
        /// Why.
        reason: DisconnectReason,
    },
    /// The server does not permit a subscription, which has ended.
    #[error("{error}")]
    SubscriptionDenied {
        /// The subscription.
        subscription: SubscriptionId,
        /// What the server said.
        error: ServerError,
    },
    /// A message was published and not sent after all: it was taken before the server's limits were
    /// known and does not fit them, or the connection was lost in the middle of it.
    #[error("message to {subject:?} not sent: {error}")]
    PublishFailed {
        /// The message's subject.
        subject: String,
        /// What came in between.
        error: CommandError,
    },
    /// The connection is over, and messages that waited for it were not sent.
    #[error("{messages} published messages were never sent")]
    Unsent {
        /// How many.
        messages: u64,
    },
}
