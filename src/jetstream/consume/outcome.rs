//! What the program is told of a consumption, and why it has ended.

use super::pull::Silence;
use super::status::RequestLimit;
use crate::jetstream::error::Error;

/// What a program may want to know of a consumption, which goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeEvent {
    /// Nothing comes, not even heartbeats. It is told again when the cause is another one.
    Silent(Silence),
    /// The consumer or the server permits less than was asked for. From now on, no more than this is
    /// asked for at once.
    Limited(RequestLimit),
    /// As many requests wait as the consumer's `max_waiting` permits. It is asked again later.
    MaxWaiting,
    /// The next message has more bytes than [`max_bytes`](super::ConsumeOptions::max_bytes)
    /// permits, and can never be delivered to this consumption. It is asked again later, as the
    /// message may be removed.
    MessageTooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// This client is the one in its group that is served, under this id.
    Pinned {
        /// The id, which the server has made.
        id: String,
    },
    /// This client is not the one in its group that is served any more.
    Unpinned,
    /// The server says what this version does not know.
    Unknown {
        /// The number.
        code: u16,
        /// The text after it.
        text: String,
    },
}

/// Why a consumption has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeEnd {
    /// It was stopped.
    Stopped,
    /// It was drained, and everything has come that had been asked for.
    Drained,
    /// All messages have come that were wanted.
    Complete,
    /// It has failed: asking again cannot help, or there is nobody to ask.
    Failed(Error),
}
