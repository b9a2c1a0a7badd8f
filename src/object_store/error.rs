//! What can go wrong in Object Store.

use crate::error::layer_error;
use crate::jetstream::{self, ApiError, ErrorCode};
use evnats_protocol::RequestError;
use std::io;
use thiserror::Error;

/// Why an operation of Object Store failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A bucket's name that cannot be one.
    #[error("invalid bucket name {bucket:?}: {reason}")]
    InvalidBucket {
        /// The name.
        bucket: String,
        /// What is wrong with it, with the byte and its place where it is one.
        reason: String,
    },
    /// A configuration that no bucket can have.
    #[error("invalid bucket configuration: {0}")]
    InvalidConfig(&'static str),
    /// The server is too old for a setting, and has made the bucket without it, silently.
    #[error("the server does not support {setting}, the bucket was made without")]
    Unsupported {
        /// The setting.
        setting: &'static str,
    },
    /// An object without a name.
    #[error("an object needs a name")]
    EmptyName,
    /// Chunks of no bytes, or larger than the server or the bucket takes messages.
    #[error("chunks of {size} bytes are not possible: {limit} at most, and one at least")]
    InvalidChunkSize {
        /// What was asked for.
        size: usize,
        /// The largest that is possible, in bytes.
        limit: usize,
    },
    /// A range that begins behind the object's end, or behind its own.
    #[error("the range from {start} to {end} is not one of an object of {size} bytes")]
    InvalidRange {
        /// Where it begins.
        start: u64,
        /// Where it ends: the first byte that is not wanted.
        end: u64,
        /// The object's size in bytes.
        size: u64,
    },
    /// Buckets are not written to under another prefix or through a domain: the server has no subjects
    /// for that.
    #[error(
        "bucket {bucket:?} cannot be written to under the prefix {prefix:?}: \
         write in its own domain or account"
    )]
    NoWritesThroughPrefix {
        /// The bucket.
        bucket: String,
        /// The API's prefix.
        prefix: String,
    },
    /// There is no such bucket.
    #[error("bucket {bucket:?} not found")]
    BucketNotFound {
        /// Its name.
        bucket: String,
    },
    /// The bucket exists already, with another configuration.
    #[error("bucket {bucket:?} exists with another configuration")]
    BucketExists {
        /// Its name.
        bucket: String,
    },
    /// The stream of that name is none of a bucket of objects.
    #[error("the stream of bucket {bucket:?} is none of objects: {reason}")]
    NotABucket {
        /// The bucket.
        bucket: String,
        /// What it lacks.
        reason: &'static str,
    },
    /// The bucket is sealed: nothing in it changes any more.
    #[error("bucket {bucket:?} is sealed")]
    Sealed {
        /// Its name.
        bucket: String,
    },
    /// There is no such object, or it was deleted.
    #[error("object {name:?} not found in bucket {bucket:?}")]
    NotFound {
        /// The bucket.
        bucket: String,
        /// The object.
        name: String,
    },
    /// There is an object of that name, which is not to be replaced.
    #[error("object {name:?} exists in bucket {bucket:?}")]
    Exists {
        /// The bucket.
        bucket: String,
        /// The object.
        name: String,
    },
    /// The object is not at the revision that was expected. Nothing was changed.
    #[error("object {name:?} is not at revision {expected}, but at {actual}")]
    WrongRevision {
        /// The object.
        name: String,
        /// The expected revision; 0: that it was never there.
        expected: u64,
        /// Its revision; 0: it was never there.
        actual: u64,
    },
    /// A link to a link, which is not made.
    #[error("object {name:?} is a link itself, and links to links are not made")]
    LinkToLink {
        /// The object that was to be linked to.
        name: String,
    },
    /// A link to a whole bucket, of which there is nothing to get or to change.
    #[error("object {name:?} is a link to the bucket {bucket:?}, and not to an object")]
    BucketLink {
        /// The object.
        name: String,
        /// The bucket that it points to.
        bucket: String,
    },
    /// Links that lead back to themselves, or to too many others.
    #[error("the links from object {name:?} lead nowhere, but in a circle")]
    LinkCycle {
        /// The object with which it began.
        name: String,
    },
    /// What is stored of the object cannot be read.
    #[error("what is stored of object {name:?} at {revision} cannot be read: {reason}")]
    Unreadable {
        /// The object.
        name: String,
        /// The sequence in the stream.
        revision: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The object was overwritten, deleted or renamed while it was read or written. What has come of it
    /// until then may not be all.
    #[error("object {name:?} has changed meanwhile")]
    Changed {
        /// The object.
        name: String,
    },
    /// What is stored is not what was put: a chunk is missing, or bytes are others. Servers before 2.11
    /// can lose chunks that they have acknowledged when they are killed.
    #[error("object {name:?} is damaged: {reason}")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What the object's bytes come from could not be read, or what they go to could not be written.
    #[error("cannot {action}: {reason}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What kind of error it is.
        kind: io::ErrorKind,
        /// What the system says.
        reason: String,
    },
    /// It was ended by the program.
    #[error("aborted")]
    Aborted,
    /// Chunks are left that belong to no object: they could not be removed.
    #[error("{}chunks are left under {subject}: {removal}", before_that(cause.as_deref()))]
    ChunksLeft {
        /// Their subject.
        subject: String,
        /// Why the object was not stored. `None`: it was stored or deleted, and they are those of the
        /// object that was there before.
        #[source]
        cause: Option<Box<Error>>,
        /// Why they are left.
        removal: Box<Error>,
    },
    /// What JetStream reports.
    #[error(transparent)]
    JetStream(jetstream::Error),
}

fn before_that(cause: Option<&Error>) -> String {
    cause.map(|cause| format!("{cause}; and ")).unwrap_or_default()
}

impl Error {
    /// What has failed, whatever is left of it.
    fn cause(&self) -> &Self {
        match self {
            Self::ChunksLeft { cause, removal, .. } => cause.as_ref().unwrap_or(removal).cause(),
            error => error,
        }
    }

    fn jetstream(&self) -> Option<&jetstream::Error> {
        match self.cause() {
            Self::JetStream(error) => Some(error),
            _ => None,
        }
    }

    /// Whether what was asked for does not exist: the bucket or the object.
    pub fn is_not_found(&self) -> bool {
        match self.cause() {
            Self::BucketNotFound { .. } | Self::NotFound { .. } => true,
            error => error.jetstream().is_some_and(jetstream::Error::is_not_found),
        }
    }

    /// Whether there is no such bucket.
    pub fn is_bucket_not_found(&self) -> bool {
        matches!(self.cause(), Self::BucketNotFound { .. })
    }

    /// Whether another writer was first.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self.cause(),
            Self::Exists { .. } | Self::WrongRevision { .. } | Self::Changed { .. }
        )
    }

    /// Whether there was no answer in time.
    pub fn is_timeout(&self) -> bool {
        self.jetstream().is_some_and(jetstream::Error::is_timeout)
    }

    /// Whether the client is over, or draining.
    pub fn is_closed(&self) -> bool {
        self.jetstream().is_some_and(jetstream::Error::is_closed)
    }

    /// Whether nobody answers for the bucket's stream.
    pub fn is_no_responders(&self) -> bool {
        self.jetstream().is_some_and(jetstream::Error::is_no_responders)
    }

    /// Whether the server does not permit it.
    pub fn is_denied(&self) -> bool {
        self.jetstream().is_some_and(jetstream::Error::is_denied)
    }

    /// Whether it may have been done all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        self.jetstream().is_some_and(jetstream::Error::is_outcome_unknown)
    }

    /// Whether there is no room for it: the bucket's `max_bytes`, or a limit of the account or the server.
    pub fn is_full(&self) -> bool {
        let api = self.jetstream().and_then(jetstream::Error::api);
        api.map(ApiError::err_code)
            .is_some_and(|code| code == ErrorCode::STORE_FAILED || code.is_resource_limit())
    }

    /// Whether the same call may well succeed a moment later: there is no leader at the moment, no
    /// connection, or no answer in time.
    pub fn is_temporary(&self) -> bool {
        self.jetstream().is_some_and(jetstream::Error::is_temporary)
    }

    /// That nothing was heard in time.
    pub(in crate::object_store) fn timeout() -> Self {
        Self::JetStream(jetstream::Error::Request(RequestError::Timeout))
    }

    /// That the client is over.
    pub(in crate::object_store) fn closed() -> Self {
        Self::JetStream(jetstream::Error::Closed)
    }

    pub(in crate::object_store) fn io(action: &'static str, error: &io::Error) -> Self {
        Self::Io { action, kind: error.kind(), reason: error.to_string() }
    }

    /// The request that has failed, if that is the reason.
    pub(crate) fn request_error(&self) -> Option<&RequestError> {
        self.jetstream().and_then(jetstream::Error::request_error)
    }
}

layer_error!(Error);
