//! What goes wrong on a connection and that no single call can be blamed for.

use evnats_protocol::{CommandError, DisconnectReason, ServerError, SubscriptionId};
use thiserror::Error;

/// Something that went wrong on a connection and that no single call can be blamed for; see
/// [`Client::on_error`](crate::Client::on_error).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The server refused something (`-ERR`). What it does not permit a request or a subscription is
    /// told there alone: as [`RequestError::Denied`](crate::RequestError::Denied), and as
    /// [`SubscriptionDenied`](Self::SubscriptionDenied).
    #[error(transparent)]
    Server(#[from] ServerError),
    /// An attempt to connect has failed.
    #[error("{}", connect_failed(server, reason))]
    ConnectFailed {
        /// The server's URL, without what may be secret in it, and which of its addresses if it has
        /// several.
        server: String,
        /// Why.
        reason: DisconnectReason,
    },
    /// The server does not permit a subscription, which has ended.
    #[error("{error}")]
    SubscriptionDenied {
        /// The subscription.
        subscription: SubscriptionId,
        /// The server's words.
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
    /// An answer to a message could not be sent, for a reason that is not the caller's: the
    /// client drains or is closed, its buffer is full, the server takes no message of this size, or
    /// the reply subject is none.
    #[error("answer to {subject:?} not sent: {error}")]
    AnswerFailed {
        /// The reply subject of the message.
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

/// Errors of the transport name the server themselves.
fn connect_failed(server: &str, reason: &DisconnectReason) -> String {
    match reason {
        DisconnectReason::Transport { .. } => reason.to_string(),
        _ => format!("cannot connect to {server}: {reason}"),
    }
}
