//! What can go wrong with MongoDB.

use super::cursor::error::CursorError;
use super::listing::error::ListError;
use crate::error::layer_error;
use crate::jetstream;
use crate::kv;
use evnats_protocol::RequestError;
use mongodb::error::{ErrorKind, WriteConcernError, WriteError, WriteFailure};
use std::time::Duration;
use thiserror::Error;

/// What stands for the name of an error that has none: servers do not name those of single writes.
const UNNAMED: &str = "a write";

/// Why an operation on MongoDB, or one that needs MongoDB and NATS, failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be used. It is not shown, because it may hold a password.
    #[error("the connection string of MongoDB cannot be used: {reason}")]
    InvalidUri {
        /// What is wrong with it.
        reason: String,
    },
    /// The thread that the driver runs in could not be started.
    #[error("the thread for MongoDB could not be started: {reason}")]
    NotStarted {
        /// What the system says.
        reason: String,
    },
    /// MongoDB has refused the operation.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The driver has failed: no server could be reached or chosen, a reply could not be read.
    #[error("{message}")]
    Driver {
        /// What the driver says.
        message: String,
        /// Whether it is for want of a connection, so that the same call may well succeed later.
        is_network: bool,
    },
    /// The server does not take the credentials of the connection string, or it could not be shown them.
    #[error("MongoDB does not take the credentials: {message}")]
    Authentication {
        /// What the driver says.
        message: String,
    },
    /// What came from a change stream is none of its events.
    #[error("the server has sent something that is no event of a change stream: {reason}")]
    MalformedEvent {
        /// What is wrong with it.
        reason: String,
    },
    /// A position of a change stream that is stored cannot be read.
    #[error("the position under {key:?} cannot be read: {reason}")]
    BadPoint {
        /// Where it is stored.
        key: String,
        /// What is wrong with it.
        reason: String,
        /// The revision that it is stored under, by which it can be replaced. `None`: that cannot be read
        /// either.
        revision: Option<u64>,
    },
    /// Another instance has saved a position for the same watcher meanwhile. Nothing was saved.
    #[error("another instance has saved a position for this watcher")]
    Fenced,
    /// The server has ended a change stream without an `invalidate`, more than once in a row: a stage of its
    /// pipeline may hide it.
    #[error(
        "the server ends the change stream without a word; its pipeline may hide the invalidate"
    )]
    StreamEnded,
    /// There was no outcome in time. What was asked for may have been done.
    #[error("MongoDB has not answered within {within:?}")]
    Timeout {
        /// How long it was waited for.
        within: Duration,
    },
    /// MongoDB was silent to others, and the connections to it were made anew. A change stream is opened again
    /// on the new ones.
    #[error("the connections to MongoDB were made anew, because it was silent")]
    ConnectionsLeft,
    /// So many operations are under way that another one was not begun.
    #[error("{limit} operations on MongoDB are under way; this one was not begun")]
    Busy {
        /// How many there may be.
        limit: usize,
    },
    /// The connection to MongoDB was closed, or the loop has ended.
    #[error("the connection to MongoDB is closed")]
    Closed,
    /// What was called for in the driver's thread has panicked. Whether it was done is not known.
    #[error("an operation on MongoDB has panicked")]
    Panicked,
    /// A cursor cannot be stored, found or used.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// A list cannot be given as it was asked for.
    #[error(transparent)]
    List(#[from] ListError),
    /// The stream that changes are published to has refused one, or cannot be read.
    #[error(transparent)]
    JetStream(#[from] jetstream::Error),
    /// Nobody answers for JetStream: the server, or the account, does not have it.
    #[error("there is no JetStream to publish changes to: its API does not answer")]
    NoJetStream,
    /// An initial copy is one of a collection or of a database.
    #[error("a deployment cannot be copied: watch a database or a collection")]
    NoCopyOfDeployment,
    /// The server does not tell the time of its cluster's clock: it is not part of a replica set.
    #[error("MongoDB does not tell the cluster's time, which a copy begins at")]
    NoClusterTime,
    /// The last message of the stream that changes are to be published to is none of a sink's. The stream has
    /// to be the sink's alone.
    #[error(
        "the message at {sequence} in the stream {stream:?} is none of a change, and the stream has to have nothing else"
    )]
    ForeignMessage {
        /// The stream.
        stream: String,
        /// Where the message is.
        sequence: u64,
    },
    /// The stream takes no message, and does not say why: whatever its last sequence is, another one is
    /// expected.
    #[error(
        "the stream refuses the next change again and again, though its sequence is the expected one"
    )]
    NotTaken,
    /// The bucket that cursors or positions are kept in has failed.
    #[error(transparent)]
    Kv(#[from] kv::Error),
}

/// What MongoDB has answered to a command that it did not carry out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("MongoDB: {message} ({code_name}, {code})")]
#[non_exhaustive]
pub struct ServerError {
    /// The error's number, such as 286.
    pub code: i32,
    /// Its name, such as `ChangeStreamHistoryLost`.
    pub code_name: String,
    /// The text.
    pub message: String,
    /// What the error is labeled with, such as `NonResumableChangeStreamError`.
    pub labels: Vec<String>,
}

impl Error {
    /// Whether what was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Cursor(error) => *error == CursorError::NotFound,
            Self::Kv(error) => error.is_not_found(),
            Self::JetStream(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// The error that caused this one, if it is one of a request to NATS.
    #[must_use]
    pub fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Kv(error) => error.request_error(),
            Self::JetStream(error) => error.request_error(),
            _ => None,
        }
    }

    /// Whether the same call may well succeed a moment later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Timeout { .. } | Self::ConnectionsLeft => true,
            Self::Driver { is_network, .. } => *is_network,
            Self::Server(error) => error.is_temporary(),
            Self::Kv(error) => error.is_temporary(),
            Self::JetStream(error) => error.is_temporary(),
            Self::Cursor(CursorError::Full { .. }) => true,
            _ => false,
        }
    }
}

impl ServerError {
    /// Whether it says that there is no primary at the moment, or that it is shutting down.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        const CODES: [i32; 10] = [6, 7, 89, 91, 189, 9001, 10107, 11600, 11602, 13435];
        CODES.contains(&self.code) || self.has_label("RetryableWriteError")
    }

    /// Whether the error has this label.
    #[must_use]
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|own| own == label)
    }
}

impl From<mongodb::error::Error> for Error {
    fn from(error: mongodb::error::Error) -> Self {
        if let Some(refusal) = refusal(&error.kind) {
            let mut labels: Vec<_> = error.labels().iter().cloned().collect();
            labels.sort();
            return ServerError { labels, ..refusal }.into();
        }
        if let ErrorKind::Authentication { message, .. } = &*error.kind {
            return Self::Authentication { message: message.clone() };
        }
        Self::Driver {
            message: error.to_string(),
            is_network: matches!(
                &*error.kind,
                ErrorKind::Io(_)
                    | ErrorKind::ServerSelection { .. }
                    | ErrorKind::ConnectionPoolCleared { .. }
                    | ErrorKind::DnsResolve { .. }
            ),
        }
    }
}

/// What a server has refused: a command, or a write within one, of which the first one counts. Its labels
/// are the whole error's.
fn refusal(kind: &ErrorKind) -> Option<ServerError> {
    let server_error = |code, code_name: &str, message: &str| ServerError {
        code,
        code_name: code_name.to_owned(),
        message: message.to_owned(),
        labels: Vec::new(),
    };
    let of_write = |error: &WriteError| {
        let name = error.code_name.as_deref().unwrap_or(UNNAMED);
        server_error(error.code, name, &error.message)
    };
    let of_concern =
        |error: &WriteConcernError| server_error(error.code, &error.code_name, &error.message);
    match kind {
        ErrorKind::Command(error) => {
            Some(server_error(error.code, &error.code_name, &error.message))
        }
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(of_write(error)),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(of_concern(error)),
        ErrorKind::InsertMany(error) => {
            let write = error.write_errors.iter().flatten().next().map(|error| {
                let name = error.code_name.as_deref().unwrap_or(UNNAMED);
                server_error(error.code, name, &error.message)
            });
            write.or_else(|| error.write_concern_error.as_ref().map(of_concern))
        }
        ErrorKind::BulkWrite(error) => {
            let first = error.write_errors.iter().min_by_key(|(index, _)| **index);
            let write = first.map(|(_, error)| of_write(error));
            write.or_else(|| error.write_concern_errors.first().map(of_concern))
        }
        _ => None,
    }
}

layer_error!(Error);
