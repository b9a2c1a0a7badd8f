//! Why a replica set did not start, or did not do what it was told, in words that say what to do.

use super::MongodError;
use bson::Document;
use std::{fmt, io, process::ExitStatus, time::Duration};

/// Why something with MongoDB failed. Debugs as it displays, so that `unwrap` shows it with its line
/// ends.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MongoError {
    /// There is no binary to start.
    #[error(transparent)]
    Provision(#[from] MongodError),
    /// `MONGODB_URI` cannot be used for tests.
    #[error(
        "MONGODB_URI cannot be used for tests: {reason}; it is to be \
         mongodb://HOST:PORT,…/?replicaSet=NAME, of servers without authentication and TLS"
    )]
    #[non_exhaustive]
    Uri {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was refused.
        doing: &'static str,
        /// How.
        source: io::Error,
    },
    /// The server ended before it was ready.
    #[error("mongod ended before it was ready ({status}); its log:\n{log}")]
    #[non_exhaustive]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it logged.
        log: String,
    },
    /// The replica set runs, but is not as it should be.
    #[error("the replica set was not ready after {waited:?}: {reason}; its logs:\n{log}")]
    #[non_exhaustive]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
        /// What was missing.
        reason: String,
        /// What its members logged.
        log: String,
    },
    /// No member has said that it is the primary.
    #[error("the replica set has had no primary for {waited:?}: {reason}")]
    #[non_exhaustive]
    NoPrimary {
        /// How long it was waited for.
        waited: Duration,
        /// What the last member said that was asked.
        reason: String,
    },
    /// A server has answered with an error.
    #[error("mongod: {command}: {reason} ({code_name}, {code})")]
    #[non_exhaustive]
    Command {
        /// The command's name.
        command: String,
        /// The error's number.
        code: i32,
        /// Its name.
        code_name: String,
        /// Its text.
        reason: String,
        /// The whole reply.
        reply: Box<Document>,
    },
}

impl MongoError {
    /// Returns whether there is nothing here to test against, so that a test can only be left.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Provision(MongodError::Unavailable { .. }))
    }

    /// The number of a server's error, such as 286.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Command { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Debug for MongoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes an error out of one of the system's.
pub(super) fn refused(doing: &'static str) -> impl FnOnce(io::Error) -> MongoError {
    move |source| MongoError::Io { doing, source }
}
