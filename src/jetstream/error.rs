//! What can go wrong in JetStream.

use super::api_error::ApiError;
use super::envelope::ResponseError;
use super::ordered::OrderedError;
use evnats_protocol::{CommandError, RequestError};
use thiserror::Error;

/// Why a JetStream call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server understood and refused; it keeps the server's codes and description.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No answer: see the reason. For a publish, whether it was stored may be unknown.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Nobody answers on the API: JetStream is not enabled, or the domain does not exist.
    #[error("JetStream is not available: nobody answers on its API")]
    NotAvailable,
    /// No stream stores the subject that was published to.
    #[error("no stream stores this subject")]
    NoStream,
    /// The reply is not what the endpoint replies.
    #[error("malformed reply: {0}")]
    Malformed(String),
    /// A name that cannot be a stream's or a consumer's.
    #[error("invalid name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The request could not be written as JSON.
    #[error("request cannot be encoded: {0}")]
    Unencodable(String),
    /// An ordered consumer ended for good.
    #[error(transparent)]
    Ordered(#[from] OrderedError),
    /// The connection was closed while a reader was open.
    #[error("the connection is closed")]
    Closed,
}

impl Error {
    /// Whether what was asked for does not exist: stream, consumer or message.
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(ApiError::is_not_found)
    }

    /// Whether an expected sequence was not the actual one (10071 or 10164).
    pub fn is_wrong_last_sequence(&self) -> bool {
        self.api().is_some_and(ApiError::is_wrong_last_sequence)
    }

    /// Whether a stream of that name exists already with another configuration (10058).
    pub fn is_stream_name_in_use(&self) -> bool {
        self.api().is_some_and(ApiError::is_stream_name_in_use)
    }

    /// Whether there was no answer in time. Then the outcome is unknown.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Request(RequestError::Timeout))
    }

    /// The server's refusal, if it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error)
            | Self::Ordered(OrderedError::StreamNotFound(error) | OrderedError::Rejected(error)) => {
                Some(error)
            }
            _ => None,
        }
    }

    /// An API request that got no reply; the API always has somebody who answers.
    pub(super) fn from_api_request(error: RequestError) -> Self {
        match error {
            RequestError::NoResponders => Self::NotAvailable,
            error => Self::Request(error),
        }
    }
}

impl From<ResponseError> for Error {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Api(error) => Self::Api(error),
            ResponseError::Malformed(text) => Self::Malformed(text),
        }
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        Self::Request(error.into())
    }
}
