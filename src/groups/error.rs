//! What can go wrong with a group.

use super::check::GroupError;
use crate::error::layer_error;
use crate::jetstream;
use crate::kv;
use evnats_protocol::RequestError;
use thiserror::Error;

/// Why something could not be done with a group.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that no member can be made of.
    #[error("the configuration of the group is wrong: {0}")]
    InvalidConfig(#[from] GroupError),
    /// What is stored is no configuration.
    #[error("the configuration of the group cannot be read: {0}")]
    Malformed(String),
    /// There is no such group.
    #[error("stream {stream:?} has no group {group:?}")]
    NotFound {
        /// The stream.
        stream: String,
        /// The group.
        group: String,
    },
    /// There is such a group, with another configuration.
    #[error("stream {stream:?} has a group {group:?} with other {member}")]
    Exists {
        /// The stream.
        stream: String,
        /// The group.
        group: String,
        /// What is otherwise, by its name in the stored configuration.
        member: &'static str,
    },
    /// Others have changed the group again and again, and nothing was changed here.
    #[error(
        "group {group:?} of stream {stream:?} was changed by others, {attempts} times in a row"
    )]
    Conflict {
        /// The stream.
        stream: String,
        /// The group.
        group: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// What Key-Value reports of the bucket with the configurations.
    #[error(transparent)]
    KeyValue(#[from] kv::Error),
    /// What JetStream reports.
    #[error(transparent)]
    JetStream(#[from] jetstream::Error),
}

impl Error {
    /// Whether what was asked for does not exist: the group, or its stream.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::KeyValue(error) => error.is_not_found(),
            Self::JetStream(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether the server does not permit it.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::KeyValue(error) => error.is_denied(),
            Self::JetStream(error) => error.is_denied(),
            _ => false,
        }
    }

    /// Whether the client is over, or draining.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::KeyValue(error) => error.is_closed(),
            Self::JetStream(error) => error.is_closed(),
            _ => false,
        }
    }

    /// Whether the same call may well succeed a moment later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::KeyValue(error) => error.is_temporary(),
            Self::JetStream(error) => error.is_temporary(),
            _ => false,
        }
    }

    pub(super) fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::KeyValue(error) => error.request_error(),
            Self::JetStream(error) => error.request_error(),
            _ => None,
        }
    }
}

layer_error!(Error);
