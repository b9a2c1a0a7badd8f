//! What can go wrong with a trace.

use crate::error::{self, LayerError, sealed};
use evnats_protocol::{CommandError, RequestError};
use std::error::Error as StdError;
use thiserror::Error;

/// Why a message is not traced, or its trace cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The message cannot be sent, or its trace not be subscribed to; nothing was sent.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// There was no connection yet, so that nobody knows whether the server can trace. Nothing was
    /// sent.
    #[error("not connected yet")]
    NotConnected,
    /// The server cannot trace (before 2.11), and would deliver what is to be traced only. Nothing
    /// was sent.
    #[error("the server cannot trace messages: it has version {version}, and 2.11 is needed")]
    Unsupported {
        /// The server's version.
        version: String,
    },
    /// What has come is no trace.
    #[error("malformed trace: {0}")]
    Malformed(String),
}

impl From<Error> for error::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Command(error) => Self::Command(error),
            error => Self::Layer(Box::new(error)),
        }
    }
}

impl sealed::Sealed for Error {}

impl LayerError for Error {
    fn is_not_found(&self) -> bool {
        false
    }

    fn request_error(&self) -> Option<&RequestError> {
        None
    }

    fn is_temporary(&self) -> bool {
        match self {
            Self::Command(error) => error.is_temporary(),
            Self::NotConnected => true,
            Self::Unsupported { .. } | Self::Malformed(_) => false,
        }
    }

    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}
