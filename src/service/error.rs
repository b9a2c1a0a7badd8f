//! What can go wrong with a service, on either side.

use crate::error::layer_error;
use evnats_protocol::{CommandError, RequestError};
use thiserror::Error;

/// Why a service cannot be had, why it has ended, or why nobody knows which services there are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of a service or of an endpoint is something else than letters, digits, `-` and `_`.
    #[error("invalid name {name:?}: it has to be of letters, digits, '-' and '_'")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The version does not follow SemVer 2.0.
    #[error("invalid version {version:?}: it has to be one of SemVer, such as 1.0.0")]
    InvalidVersion {
        /// The version.
        version: String,
    },
    /// An instance was asked for by its id, and its name was not given.
    #[error("an instance is found by its name and its id, and there is only an id")]
    IdWithoutName,
    /// The service is stopping or has ended, and takes no new endpoint.
    #[error("the service has been stopped")]
    Stopped,
    /// The service has stopped, and requests that were kept had not been answered in time.
    #[error("the service was stopped before {requests} of its requests were answered")]
    Unanswered {
        /// How many.
        requests: usize,
    },
    /// The service has ended with its client.
    #[error("the service has ended with its client")]
    ClientEnded,
    /// A subject or a queue group cannot be listened on, or the client is over.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The services could not be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Error {
    /// Whether the server does not permit it.
    pub fn is_denied(&self) -> bool {
        self.request_error().is_some_and(RequestError::is_denied)
    }

    /// Whether the client is over, or draining.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::ClientEnded => true,
            Self::Command(error) => matches!(error, CommandError::Closed | CommandError::Draining),
            Self::Request(error) => error.is_closed(),
            _ => false,
        }
    }

    /// Whether the same call may well succeed a moment later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Command(error) => error.is_temporary(),
            Self::Request(error) => error.is_temporary(),
            _ => false,
        }
    }

    fn is_not_found(&self) -> bool {
        false
    }

    fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

layer_error!(Error);
