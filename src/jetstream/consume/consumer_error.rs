//! Why a consumer gives no messages any more.

use super::status::{PullStatus, StatusKind};
use crate::jetstream::api_error::ApiError;
use thiserror::Error;

/// Why a consumer gives no messages, however often it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The consumer was deleted.
    #[error("the consumer was deleted")]
    ConsumerDeleted,
    /// The consumer or its stream does not exist.
    #[error("the consumer does not exist any more: {0}")]
    NotFound(#[source] ApiError),
    /// It is a push consumer.
    #[error("the consumer has a deliver_subject, so that it cannot be asked for messages")]
    PushBased,
    /// It is a pull consumer.
    #[error("the consumer has no deliver_subject: it has to be asked for messages")]
    PullBased,
    /// An acknowledgement covers every earlier message, of other keys as well.
    #[error(
        "the consumer's ack_policy is all, so that an acknowledgement would cover messages of other \
         keys: set it to explicit"
    )]
    AcksAll,
    /// The server takes the request for a wrong one, and says why.
    #[error("the server refuses such a request: {0}")]
    BadRequest(String),
    /// The server lacks what the request needs.
    #[error("the server does not have the API level that the request needs")]
    RequiredApiLevel,
}

impl ConsumerError {
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
