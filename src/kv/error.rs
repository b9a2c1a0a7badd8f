//! What can go wrong in Key-Value.

use crate::error::layer_error;
use crate::jetstream::{self, BatchError, ErrorCode};
use crate::kv::codec::coding::{CodecError, CodecStep};
use evnats_protocol::{CommandError, RequestError};
use thiserror::Error;

/// Why a Key-Value operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A key that cannot be one.
    #[error("invalid key {key:?}: {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it, with the byte and its place where it is one.
        reason: String,
    },
    /// A watch or a listing of no patterns at all. All keys are the pattern `>`.
    #[error("no pattern was given; all keys are the pattern \">\"")]
    NoPatterns,
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
    /// There is no such bucket.
    #[error("bucket {bucket:?} not found")]
    BucketNotFound {
        /// Its name.
        bucket: String,
    },
    /// There is such a bucket, and nobody who leads its stream at the moment: a write was not stored,
    /// which is certain. The same call may well succeed a moment later.
    #[error("nobody leads the stream of bucket {bucket:?} at the moment; nothing was stored")]
    NoLeader {
        /// Its name.
        bucket: String,
    },
    /// The bucket is a mirror of another one, whose keys have the other's subjects, and this handle was
    /// made without knowing it. [`KeyValue::bind`](crate::kv::KeyValue::bind) gives one that can read the
    /// mirror and writes to its origin.
    #[error("bucket {bucket:?} is a mirror of the stream {origin:?}: bind it first")]
    Mirror {
        /// Its name.
        bucket: String,
        /// The stream that it is a copy of.
        origin: String,
    },
    /// The stream is there, and is none that can be a bucket.
    #[error("the stream of bucket {bucket:?} is none of a bucket: {reason}")]
    NotABucket {
        /// The bucket's name.
        bucket: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The handle is [read-only](crate::kv::KeyValue::read_only), or the bucket is a copy that cannot be
    /// written to. Nothing was sent.
    #[error("bucket {bucket:?} can only be read with this handle")]
    ReadOnly {
        /// Its name.
        bucket: String,
    },
    /// [`Reads::Linearizable`](crate::kv::Reads::Linearizable) is not possible here. Nothing was sent.
    #[error("bucket {bucket:?} cannot be read linearizably: {reason}")]
    NotLinearizable {
        /// Its name.
        bucket: String,
        /// Why not.
        reason: &'static str,
    },
    /// Only direct reads can be proven, and the bucket does not allow them. Its stream can be updated
    /// with `allow_direct`.
    #[error("bucket {bucket:?} does not allow direct reads, and no others can be proven")]
    NoDirectReads {
        /// Its name.
        bucket: String,
    },
    /// No replica has proven in time that its answer is not old. The same call may well succeed a moment
    /// later; without a proof, [`Reads::Leader`](crate::kv::Reads::Leader) answers.
    #[error("no replica has proven in time that what it has of key {key:?} is not old")]
    Unproven {
        /// The key.
        key: String,
    },
    /// The bucket exists, with another configuration.
    #[error("bucket {bucket:?} exists with another configuration")]
    BucketExists {
        /// Its name.
        bucket: String,
    },
    /// The key has a value, so it cannot be created.
    #[error("key {key:?} exists")]
    KeyExists {
        /// The key.
        key: String,
        /// The revision of its value, where the server says.
        revision: Option<u64>,
    },
    /// The key's last revision is not the expected one.
    #[error("key {key:?} is not at revision {expected}{}", at(.actual))]
    WrongRevision {
        /// The key.
        key: String,
        /// The revision that was expected.
        expected: u64,
        /// The key's last revision, where the server says.
        actual: Option<u64>,
    },
    /// The bucket takes no time to live of single keys.
    #[error(
        "bucket {bucket:?} takes no TTL of a key: create or update it with per_key_ttl or \
         limit_marker_ttl"
    )]
    TtlDisabled {
        /// Its name.
        bucket: String,
    },
    /// A value that may have others behind it was to have a time to live: when it is over, the last
    /// of them would be the key's value again. Nothing was written.
    #[error(
        "a TTL on a value needs a history of 1, and bucket {bucket:?} keeps {}: the value before \
         would come back", values(.history)
    )]
    TtlNeedsHistoryOfOne {
        /// Its name.
        bucket: String,
        /// How many values it keeps for each key. `None`: all of them.
        history: Option<u64>,
    },
    /// Of what was to be done for many keys, some was done, and then something failed. The same call
    /// again goes on with the rest.
    #[error("{done} of {of} were done, and then: {cause}")]
    Incomplete {
        /// For how many keys it was done.
        done: u64,
        /// How many there were.
        of: u64,
        /// What failed first.
        #[source]
        cause: Box<Error>,
    },
    /// Another one holds the lock.
    #[error("{owner:?} holds the lock {key:?}")]
    Locked {
        /// The lock's key.
        key: String,
        /// Who holds it, as it calls itself.
        owner: String,
        /// The last revision that its holder has written.
        revision: u64,
    },
    /// The lock was not held when it was given back, or was given back before it was acquired.
    #[error("the lock {key:?} is not held")]
    NotHeld {
        /// The lock's key.
        key: String,
    },
    /// The key has a value that is none of a lock. It was left as it is.
    #[error("the value of key {key:?} is none of a lock")]
    NotALock {
        /// The key.
        key: String,
    },
    /// The bucket takes no atomic batches.
    #[error("bucket {bucket:?} takes no batches: create or update it with atomic_batches")]
    BatchesDisabled {
        /// Its name.
        bucket: String,
    },
    /// A key is in a batch twice. Nothing was written.
    #[error("key {key:?} is in the batch twice")]
    KeyTwiceInBatch {
        /// The key.
        key: String,
    },
    /// A codec has failed ([`KeyValue::with_codecs`](crate::kv::KeyValue::with_codecs)). If it was to encode,
    /// nothing was sent.
    #[error("cannot {step} {key:?}: {cause}")]
    Codec {
        /// What it was about to do.
        step: CodecStep,
        /// The key or the pattern: the one in the bucket if that could not be decoded.
        key: String,
        /// Why it failed.
        #[source]
        cause: CodecError,
    },
    /// The value is larger than the bucket's or the server's limit.
    #[error("value too large: {reason}")]
    ValueTooLarge {
        /// Which limit.
        reason: String,
    },
    /// A cache would hold more than it may ([`CacheOptions::max_bytes`](crate::kv::CacheOptions::max_bytes)).
    #[error("the cache would hold more than the {limit} bytes that it may")]
    CacheFull {
        /// How much it may hold, in bytes.
        limit: usize,
    },
    /// What JetStream reports.
    #[error(transparent)]
    JetStream(jetstream::Error),
}

fn at(actual: &Option<u64>) -> String {
    actual.map(|actual| format!(" but at {actual}")).unwrap_or_default()
}

fn values(history: &Option<u64>) -> String {
    history.map_or("all".into(), |history| history.to_string())
}

impl Error {
    /// What has failed, also if some of it was done.
    fn cause(&self) -> &Self {
        match self {
            Self::Incomplete { cause, .. } => cause,
            error => error,
        }
    }

    /// Whether there is no such bucket.
    pub fn is_bucket_not_found(&self) -> bool {
        matches!(self.cause(), Self::BucketNotFound { .. })
    }

    /// Whether another writer was first: the key exists, or is at another revision, or one of a batch's
    /// is, of which the server does not say which.
    pub fn is_conflict(&self) -> bool {
        match self.cause() {
            Self::KeyExists { .. } | Self::WrongRevision { .. } => true,
            Self::JetStream(error) => error.is_wrong_last_sequence(),
            _ => false,
        }
    }

    /// Whether there was no answer in time. A write may have happened then.
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause(), Self::JetStream(error) if error.is_timeout())
    }

    /// Whether what was asked for does not exist: the bucket.
    pub fn is_not_found(&self) -> bool {
        match self.cause() {
            Self::BucketNotFound { .. } => true,
            Self::JetStream(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether the client is over, or draining.
    pub fn is_closed(&self) -> bool {
        matches!(self.cause(), Self::JetStream(error) if error.is_closed())
    }

    /// Whether nobody answers for the bucket's stream.
    pub fn is_no_responders(&self) -> bool {
        match self.cause() {
            Self::NoLeader { .. } => true,
            Self::JetStream(error) => error.is_no_responders(),
            _ => false,
        }
    }

    /// Whether the server does not permit it.
    pub fn is_denied(&self) -> bool {
        matches!(self.cause(), Self::JetStream(error) if error.is_denied())
    }

    /// Whether a write may or may not have happened.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self.cause(), Self::JetStream(error) if error.is_outcome_unknown())
    }

    /// Whether the same call may well succeed a moment later: there is no leader at the moment, no
    /// connection, or no answer in time.
    pub fn is_temporary(&self) -> bool {
        match self.cause() {
            Self::NoLeader { .. } | Self::Unproven { .. } => true,
            Self::JetStream(error) => error.is_temporary(),
            _ => false,
        }
    }

    /// That nothing was heard in time.
    pub(in crate::kv) fn timeout() -> Self {
        Self::JetStream(jetstream::Error::Request(RequestError::Timeout))
    }

    /// That the client is over.
    pub(in crate::kv) fn closed() -> Self {
        Self::JetStream(jetstream::Error::Closed)
    }

    /// Sorts what JetStream reports into what it means here.
    pub(in crate::kv) fn from_jetstream(error: jetstream::Error) -> Self {
        use jetstream::Error::{Api, Batch, Request};
        match &error {
            Api(api) | Batch(BatchError::Refused(api))
                if api.err_code() == ErrorCode::MESSAGE_TOO_LARGE =>
            {
                Self::ValueTooLarge { reason: api.to_string() }
            }
            Request(RequestError::Command(command @ CommandError::PayloadTooLarge { .. })) => {
                Self::ValueTooLarge { reason: command.to_string() }
            }
            _ => Self::JetStream(error),
        }
    }
}

pub(in crate::kv) fn is_stream_not_found(error: &jetstream::Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::STREAM_NOT_FOUND)
}

pub(in crate::kv) fn is_batch_disabled(error: &jetstream::Error) -> bool {
    matches!(error, jetstream::Error::Batch(BatchError::Disabled(_)))
}

pub(in crate::kv) fn is_ttl_disabled(error: &jetstream::Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::TTL_DISABLED)
}

impl Error {
    /// The request that has failed, if that is the reason, or what comes to the same.
    pub(crate) fn request_error(&self) -> Option<&RequestError> {
        match self.cause() {
            Self::JetStream(error) => error.request_error(),
            Self::NoLeader { .. } => Some(&RequestError::NoResponders { subject: None }),
            _ => None,
        }
    }
}

layer_error!(Error);
