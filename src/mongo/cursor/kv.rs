//! Cursors in a bucket.

use super::bytes::ByteStore;
use super::error::CursorError;
use super::json::JsonStorage;
use crate::kv::{self, KeyValue, PurgeOptions, WriteOptions};
use crate::mongo::error::Error;
use crate::mongo::storage_callback::StorageCallback;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// Cursors in a Key-Value bucket, which the program has made: how long they live is the bucket's
/// [`ttl`](crate::kv::Config::ttl), counted from when they were stored. All processes that use the bucket share them.
/// A cursor outlives a restart of the server if the bucket is in files.
///
/// ```no_run
/// use evnats::kv::Config;
/// use evnats::mongo::KvCursorStorage;
/// use std::time::Duration;
///
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// let bucket = nats.jetstream().key_value("cursors");
/// bucket.create_bucket(Config::new().ttl(Duration::from_secs(3600)), |_, bucket, created| {
///     created?;
///     let cursors = KvCursorStorage::new(bucket);
///     println!("cursors are kept in {}", cursors.bucket().bucket());
///     Ok(())
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
///
/// Reads are those of the handle that it is given. With [`Reads::Replica`](crate::kv::Reads::Replica), a cursor
/// that was stored a moment ago may not be found.
pub type KvCursorStorage<S = ()> = JsonStorage<KvBytes<S>>;

/// A bucket as a store of bytes, for [`KvCursorStorage`].
pub struct KvBytes<S: 'static = ()> {
    bucket: KeyValue<S>,
    hashes_keys: bool,
    ttl: Option<Duration>,
}

impl<S: 'static> JsonStorage<KvBytes<S>> {
    /// Cursors in a bucket that exists, under the hashes of their tokens.
    #[must_use]
    pub fn new(bucket: &KeyValue<S>) -> Self {
        Self::over(KvBytes { bucket: bucket.clone(), hashes_keys: true, ttl: None })
    }

    /// Whether a cursor's key in the bucket is the SHA-256 of its token, in base64url, instead of the token. So
    /// whoever can read the bucket cannot read on where others are. Default: it is.
    #[must_use]
    pub fn hash_keys(self, hashes_keys: bool) -> Self {
        Self::over(KvBytes { hashes_keys, ..self.store_of_bytes().same() })
    }

    /// How long a cursor lives, in whole seconds, where that is less than the bucket's own TTL. It needs server
    /// 2.11 and a bucket that takes it; see [`WriteOptions::ttl`]. Default: as long as the bucket lets it.
    ///
    /// Where there is none, storing fails with [`Error::Kv`]: [`TtlDisabled`](kv::Error::TtlDisabled) of the
    /// bucket, or [`Unsupported`](crate::jetstream::Error::Unsupported) by the server.
    #[must_use]
    pub fn ttl(self, ttl: impl Into<Option<Duration>>) -> Self {
        Self::over(KvBytes { ttl: ttl.into(), ..self.store_of_bytes().same() })
    }

    /// The bucket's handle.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.store_of_bytes().bucket
    }
}

impl<S: 'static> KvBytes<S> {
    fn same(&self) -> Self {
        Self { bucket: self.bucket.clone(), hashes_keys: self.hashes_keys, ttl: self.ttl }
    }

    fn key(&self, key: &str) -> String {
        match self.hashes_keys {
            true => URL_SAFE_NO_PAD.encode(Sha256::digest(key)),
            false => key.to_owned(),
        }
    }

    fn writing(&self) -> WriteOptions {
        self.ttl.map_or_else(WriteOptions::new, |ttl| WriteOptions::new().ttl(ttl))
    }
}

impl<S: 'static> ByteStore<S> for KvBytes<S> {
    fn create(&self, key: &str, bytes: Bytes, callback: StorageCallback<S, u64>) {
        let on_created = move |state: &mut S, _: &_, created: Result<u64, kv::Error>| {
            let created = created.map_err(|error| match error {
                kv::Error::KeyExists { .. } => CursorError::Exists.into(),
                error => Error::Kv(error),
            });
            callback(state, created)
        };
        self.bucket.create_with(&self.key(key), bytes, self.writing(), on_created);
    }

    fn read(&self, key: &str, callback: StorageCallback<S, Option<(Bytes, u64)>>) {
        self.bucket.get(&self.key(key), move |state: &mut S, _, found| {
            let found =
                found.map(|entry| entry.map(|entry| (entry.value_to_bytes(), entry.revision())));
            callback(state, found.map_err(Error::Kv))
        });
    }

    fn replace(&self, key: &str, bytes: Bytes, revision: u64, callback: StorageCallback<S, u64>) {
        let on_updated = move |state: &mut S, _: &_, updated: Result<u64, kv::Error>| {
            let updated = updated.map_err(|error| match error.is_conflict() {
                true => CursorError::Changed { expected: revision }.into(),
                false => Error::Kv(error),
            });
            callback(state, updated)
        };
        self.bucket.update_with(&self.key(key), bytes, revision, self.writing(), on_updated);
    }

    /// The tombstone lives no longer than the cursor would have.
    fn remove(&self, key: &str, callback: StorageCallback<S, ()>) {
        let purging = self.ttl.map_or_else(PurgeOptions::new, |ttl| PurgeOptions::new().ttl(ttl));
        self.bucket.purge_with(&self.key(key), purging, move |state: &mut S, _, purged| {
            callback(state, purged.map(drop).map_err(Error::Kv))
        });
    }

    fn ping(&self, callback: StorageCallback<S, ()>) {
        self.bucket.status(move |state: &mut S, _, status| {
            callback(state, status.map(drop).map_err(Error::Kv))
        });
    }
}

impl<S> fmt::Debug for KvBytes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvBytes")
            .field("bucket", &self.bucket)
            .field("hashes_keys", &self.hashes_keys)
            .field("ttl", &self.ttl)
            .finish()
    }
}
