//! What comes out of the machines: what the driver has to do, what the program is told, and why it
//! has ended.

use super::request::PullRequest;
use super::silence::Silence;
use crate::jetstream::api_error::ApiError;
use crate::jetstream::consume::status::{PullStatus, RequestLimit, StatusKind};
use thiserror::Error;

/// Something that the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send the request, with a reply subject that ends in its number.
    Pull { number: u64, request: PullRequest },
    /// Ask for the consumer's information, and give it to `Pull::handle_consumer_info` exactly once.
    AskConsumer,
    /// Tell the program.
    Tell(PullEvent),
    /// The end. Nothing follows. Messages that the program has not taken are still for it.
    End(PullEnd),
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is for the program.
    Deliver,
    /// It came after the end. The server will deliver it again.
    Ignore,
}

/// What a program may want to know of a consumption, which goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent {
    /// Nothing comes, not even heartbeats. It is told again when the cause is another one.
    Silent(Silence),
    /// The consumer or the server permits less than was asked for. From now on, no more than this is
    /// asked for at once.
    Limited(RequestLimit),
    /// As many requests wait as the consumer's `max_waiting` permits. It is asked again later.
    MaxWaiting,
    /// The next message has more bytes than [`max_bytes`](super::options::ConsumeOptions::max_bytes)
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
pub enum PullEnd {
    /// It was stopped.
    Stopped,
    /// It was drained, and everything has come that had been asked for.
    Drained,
    /// All messages have come that were wanted.
    Complete,
    /// Asking again cannot help.
    Failed(PullError),
}

/// Why a consumer gives no messages, however often it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PullError {
    /// The consumer was deleted.
    #[error("the consumer was deleted")]
    ConsumerDeleted,
    /// The consumer or its stream does not exist.
    #[error("the consumer does not exist any more: {0}")]
    NotFound(#[source] ApiError),
    /// It is a push consumer.
    #[error("the consumer has a deliver_subject, so that it cannot be asked for messages")]
    PushBased,
    /// The server takes the request for a wrong one, and says why.
    #[error("the server refuses such a request: {0}")]
    BadRequest(String),
    /// The server lacks what the request needs.
    #[error("the server does not have the API level that the request needs")]
    RequiredApiLevel,
}

impl PullError {
    /// What a status means that no other request can change.
    pub(super) fn of(status: &PullStatus<'_>) -> Option<Self> {
        match &status.kind {
            StatusKind::ConsumerDeleted => Some(Self::ConsumerDeleted),
            StatusKind::PushBased => Some(Self::PushBased),
            StatusKind::BadRequest(text) => Some(Self::BadRequest(text.to_string())),
            StatusKind::RequiredApiLevel => Some(Self::RequiredApiLevel),
            _ => None,
        }
    }
}
