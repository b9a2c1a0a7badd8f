//! Why a server or a cluster did not start, in words that say what to do: with the log of the server
//! that failed, as a test's output is all that is left of it.

use crate::ProvisionError;
use std::{fmt, io, process::ExitStatus, time::Duration};

/// Why a server did not start. Debugs as it displays, for a log with its line ends escaped, as
/// `unwrap` would show it, is no help.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no binary to start.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The system refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was refused.
        doing: &'static str,
        /// How.
        source: io::Error,
    },
    /// The server ended before it was ready, for instance over its configuration.
    #[error("nats-server ended before it was ready ({status}); its log:\n{log}")]
    #[non_exhaustive]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it logged.
        log: String,
    },
    /// The server runs, but did not answer as it should.
    #[error("nats-server was not ready after {waited:?}: {reason}; its log:\n{log}")]
    #[non_exhaustive]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
        /// What was wrong with its last answer.
        reason: String,
        /// What it logged.
        log: String,
    },
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StartError {
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, StartError::Exited { log, .. } if log.contains("address already in use"))
    }
}
