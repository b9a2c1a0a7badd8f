//! Why there is no next message.

use super::pull::silence::Silence;
use crate::error::layer_error;
use crate::jetstream::error::Error;
use evnats_protocol::RequestError;
use std::time::Duration;

/// Why [`Messages::next`](super::Messages::next) has no message. The next call may have one, unless it
/// is [`Failed`](Self::Failed).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NextError {
    /// The server has not reported for two heartbeats.
    #[error("the server has not reported for {:?}: {}", .0.lasted, .0.cause)]
    Silent(Silence),
    /// No message has come in the time that it was to wait.
    #[error("no message has come in {0:?}")]
    TimedOut(Duration),
    /// The consumption has failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl NextError {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_not_found())
    }

    pub(crate) fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Failed(error) => error.request_error(),
            Self::Silent(_) | Self::TimedOut(_) => None,
        }
    }

    pub(crate) fn is_temporary(&self) -> bool {
        !matches!(self, Self::Failed(error) if !error.is_temporary())
    }
}

layer_error!(NextError);
