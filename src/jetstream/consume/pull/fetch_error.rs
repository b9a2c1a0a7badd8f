//! Why a fetch has failed, though the consumer is there.

use crate::jetstream::consume::status::RequestLimit;
use thiserror::Error;

/// Why a fetch has failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The server has not reported for two heartbeats: the request was lost, or as many wait as the
    /// consumer's `max_waiting` permits.
    #[error("the server has not reported for two heartbeats")]
    MissedHeartbeats,
    /// The time is over, and the server has not said so.
    #[error("the server has not answered in time")]
    Unanswered,
    /// The connection was lost.
    #[error("the connection was lost")]
    Disconnected,
    /// It asks for more than the consumer or the server permits.
    #[error("asks for more than is permitted: {0}")]
    Exceeded(RequestLimit),
    /// As many requests wait as the consumer's `max_waiting` permits.
    #[error("as many requests wait as the consumer's max_waiting permits")]
    MaxWaiting,
    /// The first message has more bytes than were asked for.
    #[error("the next message has more bytes than were asked for")]
    MessageTooLarge,
    /// Another client is pinned.
    #[error("another client is pinned")]
    Unpinned,
    /// The consumer has another leader, or its server is being stopped: ask again.
    #[error("the consumer has another leader, or its server is being stopped")]
    LeaderLost,
    /// Nobody answers for the consumer: it does not exist, or its server is being restarted.
    #[error("nobody answers for the consumer: it may not exist, or its server is being restarted")]
    NoResponders,
    /// The server says what this version does not know.
    #[error("the server says {code} {text:?}")]
    Unknown {
        /// The number.
        code: u16,
        /// The text after it.
        text: String,
    },
}
