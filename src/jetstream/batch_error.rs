//! Why a batch was not stored. What the server refuses is told apart by its codes, with the limits
//! that its text names.

use super::api_error::{ApiError, ErrorCode};
use evnats_protocol::RequestError;
use thiserror::Error;

/// Why an atomic batch was not stored. Except for [`OutcomeUnknown`](Self::OutcomeUnknown), nothing
/// of it was, and the whole of it can be published again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The stream takes no batches (10174).
    #[error("the stream's configuration has no allow_atomic: {0}")]
    Disabled(#[source] ApiError),
    /// The batch has more messages than the server takes (10199), by default 1000.
    #[error("the batch has more messages than the server takes: {error}")]
    TooLarge {
        /// The server's limit, if it has named it.
        limit: Option<u64>,
        /// The server's words.
        #[source]
        error: ApiError,
    },
    /// Too many batches are open, on the stream (by default 50) or on the server (10210). Servers
    /// before 2.14 say [`Incomplete`](Self::Incomplete) then.
    #[error("too many batches are open; try again when others are over: {0}")]
    TooManyOpen(#[source] ApiError),
    /// The stream does not know the batch, or misses a message of it (10176): it was given up after
    /// some time without a message (by default 10 s), its leader has changed or the server was
    /// restarted, or not all subjects are the same stream's.
    #[error(
        "the stream has given the batch up, or misses a message of it, and has stored nothing: {0}"
    )]
    Incomplete(#[source] ApiError),
    /// A message has a header that batches cannot have (10177).
    #[error("a header cannot be used in a batch: {error}")]
    HeaderNotAllowed {
        /// The header, if the server has named it.
        header: Option<String>,
        /// The server's words.
        #[source]
        error: ApiError,
    },
    /// A message id is in the batch twice, or the stream knows it already (10201).
    #[error("a message id of the batch is not new: {0}")]
    DuplicateMessageId(#[source] ApiError),
    /// The stream refuses a message for another reason: an expectation that does not hold, above
    /// all. Expectations are looked at when the batch is committed.
    #[error("the batch is refused, and nothing of it is stored: {0}")]
    Refused(#[source] ApiError),
    /// A message did not get through before the batch could be committed.
    #[error("a message of the batch did not get through, and nothing of it is stored: {0}")]
    Lost(#[source] RequestError),
    /// There was no answer to the commit: the batch is stored as a whole, or not at all.
    #[error("whether the batch is stored is unknown: {0}")]
    OutcomeUnknown(#[source] RequestError),
    /// It was to be committed without a message in it.
    #[error("the batch has no message")]
    Empty,
}

impl BatchError {
    /// Whether nothing of the batch is stored, which is certain.
    #[must_use]
    pub fn is_nothing_stored(&self) -> bool {
        !matches!(self, Self::OutcomeUnknown(_))
    }

    /// The server's refusal, if it is one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Disabled(error)
            | Self::TooLarge { error, .. }
            | Self::TooManyOpen(error)
            | Self::Incomplete(error)
            | Self::HeaderNotAllowed { error, .. }
            | Self::DuplicateMessageId(error)
            | Self::Refused(error) => Some(error),
            Self::Lost(_) | Self::OutcomeUnknown(_) | Self::Empty => None,
        }
    }

    /// The request that failed, if that is the reason.
    pub(super) fn request(&self) -> Option<&RequestError> {
        match self {
            Self::Lost(error) | Self::OutcomeUnknown(error) => Some(error),
            _ => None,
        }
    }

    pub(super) fn from_refusal(error: ApiError) -> Self {
        let named = error.description().rsplit_once(": ").map(|(_, named)| named.to_owned());
        match error.err_code() {
            ErrorCode::ATOMIC_PUBLISH_DISABLED => Self::Disabled(error),
            ErrorCode::ATOMIC_PUBLISH_TOO_LARGE_BATCH => {
                Self::TooLarge { limit: named.and_then(|limit| limit.parse().ok()), error }
            }
            ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT => Self::TooManyOpen(error),
            ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH => Self::Incomplete(error),
            ErrorCode::ATOMIC_PUBLISH_UNSUPPORTED_HEADER_BATCH => {
                Self::HeaderNotAllowed { header: named, error }
            }
            ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE => Self::DuplicateMessageId(error),
            _ => Self::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_a_batch_has_its_own_name_and_the_server_s_limit() {
        let refusal = |code: u32, text: &str| {
            BatchError::from_refusal(ApiError::new(400, ErrorCode(code), text))
        };
        let large = refusal(10199, "atomic publish batch is too large: 1000");
        assert!(matches!(large, BatchError::TooLarge { limit: Some(1000), .. }), "{large:?}");
        let unnamed = refusal(10199, "too large");
        assert!(matches!(unnamed, BatchError::TooLarge { limit: None, .. }), "{unnamed:?}");
        let header = refusal(10177, "atomic publish unsupported header used: Nats-X");
        let named = matches!(&header, BatchError::HeaderNotAllowed { header, .. }
            if header.as_deref() == Some("Nats-X"));
        assert!(named, "{header:?}");
        for code in 10174..=10210 {
            let error = refusal(code, "words");
            assert_eq!(error.api().map(|api| api.err_code().0), Some(code));
            let is_refused = matches!(error, BatchError::Refused(_));
            let is_named = [10174, 10176, 10177, 10199, 10201, 10210].contains(&code);
            assert_eq!(is_refused, !is_named, "{error:?}");
            assert!(error.is_nothing_stored());
        }
    }
}
