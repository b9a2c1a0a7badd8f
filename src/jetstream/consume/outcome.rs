//! What the program is told of a consumption, and why it has ended.

use super::ordered_pull::cause::ResetCause;
use super::pull::silence::Silence;
use super::status::RequestLimit;
use crate::jetstream::error::Error;
use std::fmt;

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
    /// Messages of a push consumer were lost on their way. They are delivered again if the consumer
    /// wants an acknowledgement for them, and otherwise not.
    Lost {
        /// How many.
        count: u64,
    },
    /// This client is the one in its group that is served, under this id.
    Pinned {
        /// The id, which the server has made.
        id: String,
    },
    /// This client is not the one in its group that is served any more.
    Unpinned,
    /// An ordered consumer goes on with another server-side consumer. Nothing is lost or comes twice.
    Reset {
        /// Why the one before was left.
        cause: ResetCause,
    },
    /// A message did not come again that its key has waited for, and the next one of the key goes on:
    /// it was delivered as often as may be (`max_deliver`), or was removed. Of a consumption
    /// [by key](super::ByKey).
    Skipped {
        /// Its number in the stream.
        stream_sequence: u64,
    },
    /// The server says what this version does not know.
    Unknown {
        /// The number.
        code: u16,
        /// The text after it.
        text: String,
    },
}

impl fmt::Display for ConsumeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(silence) => {
                write!(f, "nothing has come for {:?}: {}", silence.lasted, silence.cause)
            }
            Self::Limited(limit) => write!(f, "less is asked for from now on: {limit}"),
            Self::MaxWaiting => f.write_str("as many requests wait as max_waiting permits"),
            Self::MessageTooLarge { max_bytes } => {
                write!(f, "the next message is larger than max_bytes of {max_bytes}")
            }
            Self::Lost { count } => write!(f, "{count} messages were lost on their way"),
            Self::Pinned { id } => write!(f, "this client is pinned, as {id}"),
            Self::Unpinned => f.write_str("this client is not pinned any more"),
            Self::Reset { cause } => write!(f, "goes on with another consumer: {cause}"),
            Self::Skipped { stream_sequence } => {
                write!(f, "message {stream_sequence} does not come again, its key goes on")
            }
            Self::Unknown { code, text } => write!(f, "the server says {code} {text:?}"),
        }
    }
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

impl ConsumeEnd {
    /// The error that it has ended with, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Stopped | Self::Drained | Self::Complete => None,
        }
    }
}
