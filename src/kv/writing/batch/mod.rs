//! Atomic batches: writes to several keys of a bucket that are stored together, or not at all.

mod change;
mod commit;

use crate::callback::{Callback, answer};
use crate::jetstream::Ttl;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::writing::options::{PurgeOptions, WriteOptions};
use change::{Change, Kind};
use evnats_protocol::Payload;
use smol_str::SmolStr;
use std::fmt;

impl<S: 'static> KeyValue<S> {
    /// Begins a batch of writes that are stored together, or not at all (server 2.12). Nothing is sent
    /// before it is committed.
    pub fn batch(&self) -> Batch<S> {
        Batch { kv: self.clone(), changes: Vec::new() }
    }
}

/// Writes to several keys that are stored together, or not at all (server 2.12); from
/// [`KeyValue::batch`]. The bucket has to take batches:
/// [`atomic_batches`](crate::kv::Config::atomic_batches), which
/// [`update_bucket`](KeyValue::update_bucket) can switch on.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let accounts = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().key_value("accounts");
/// let transfer = accounts.batch().update("alice", "90", 7).update("bob", "110", 8);
/// transfer.commit(|_, _, committed| match committed {
///     Ok(committed) => println!("alice is at {:?}", committed.revision("alice")),
///     Err(error) if error.is_conflict() => println!("read both again: {error}"),
///     Err(error) => println!("{error}"),
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
///
/// Each key is in it once. What the writes expect, as that a key has no value or is at a revision, is
/// looked at when all of them have arrived, and one that does not hold keeps all of them from being stored.
/// Reads see all of a batch or nothing, at any time; watches get its entries one by one.
///
/// The server takes 1,000 writes in a batch, and 50 batches of a bucket at a time, unless it is configured
/// otherwise. Each write has some 100 bytes of headers, which count for the bucket's
/// [`max_value_size`](crate::kv::Config::max_value_size).
#[must_use = "nothing is sent before the batch is committed"]
pub struct Batch<S: 'static = ()> {
    kv: KeyValue<S>,
    changes: Vec<Change>,
}

impl<S: 'static> Batch<S> {
    /// Gives a key a value, as [`KeyValue::put`].
    pub fn put<'a>(self, key: &str, value: impl Into<Payload<'a>>) -> Self {
        self.put_with(key, value, WriteOptions::new())
    }

    /// As [`put`](Self::put), with options.
    pub fn put_with<'a>(
        self,
        key: &str,
        value: impl Into<Payload<'a>>,
        options: WriteOptions,
    ) -> Self {
        self.with_value(key, Kind::Put, value.into(), options)
    }

    /// Gives a key a value if it has none, as [`KeyValue::create`].
    pub fn create<'a>(self, key: &str, value: impl Into<Payload<'a>>) -> Self {
        self.create_with(key, value, WriteOptions::new())
    }

    /// As [`create`](Self::create), with options.
    pub fn create_with<'a>(
        self,
        key: &str,
        value: impl Into<Payload<'a>>,
        options: WriteOptions,
    ) -> Self {
        self.with_value(key, Kind::Create, value.into(), options)
    }

    /// Gives a key a value if its last revision is `revision`, as [`KeyValue::update`].
    pub fn update<'a>(self, key: &str, value: impl Into<Payload<'a>>, revision: u64) -> Self {
        self.update_with(key, value, revision, WriteOptions::new())
    }

    /// As [`update`](Self::update), with options.
    pub fn update_with<'a>(
        self,
        key: &str,
        value: impl Into<Payload<'a>>,
        revision: u64,
        options: WriteOptions,
    ) -> Self {
        self.with_value(key, Kind::Update(revision), value.into(), options)
    }

    /// Takes a key's value away, as [`KeyValue::delete`].
    pub fn delete(self, key: &str) -> Self {
        self.with(key, Kind::Delete(None), Payload::default(), None)
    }

    /// As [`delete`](Self::delete), if the key's last revision is `revision`.
    pub fn delete_at(self, key: &str, revision: u64) -> Self {
        self.with(key, Kind::Delete(Some(revision)), Payload::default(), None)
    }

    /// Takes a key's value away, with its history, as [`KeyValue::purge`].
    pub fn purge(self, key: &str) -> Self {
        self.purge_with(key, PurgeOptions::new())
    }

    /// As [`purge`](Self::purge), with options.
    pub fn purge_with(self, key: &str, options: PurgeOptions) -> Self {
        self.with(key, Kind::Purge(options.at_revision), Payload::default(), options.ttl)
    }

    /// How many writes are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Stores all of it, or nothing. The callback gets the keys' new revisions.
    ///
    /// If an expectation does not hold, the keys that have one are read from the leader: to say which it
    /// was, and to create keys over their tombstones, which is tried three times.
    ///
    /// # Errors
    /// Nothing was stored, except where it says otherwise. [`Error::KeyExists`] and
    /// [`Error::WrongRevision`] name the first key whose expectation does not hold; where it may not be
    /// read, or has changed again, it is the server's refusal, for which [`Error::is_conflict`] is true,
    /// too. [`Error::KeyTwiceInBatch`], [`Error::BatchesDisabled`];
    /// [`jetstream::Error::Batch`](crate::jetstream::Error::Batch) for what else can keep a batch from
    /// being stored, also if it is empty, and with
    /// [`OutcomeUnknown`](crate::jetstream::BatchError::OutcomeUnknown) if it may have been stored;
    /// [`Unsupported`](crate::jetstream::Error::Unsupported) if the server is older; or as
    /// [`put_with`](KeyValue::put_with).
    pub fn commit(self, callback: impl Callback<S, KeyValue<S>, Result<Committed, Error>>) {
        let Self { kv, changes } = self;
        kv.shared_bucket().commit(changes, answer(&kv, callback));
    }

    fn with_value(self, key: &str, kind: Kind, value: Payload<'_>, options: WriteOptions) -> Self {
        self.with(key, kind, value, options.ttl)
    }

    fn with(mut self, key: &str, kind: Kind, value: Payload<'_>, ttl: Option<Ttl>) -> Self {
        self.changes.push(Change { key: key.into(), kind, value: value.into_bytes(), ttl });
        self
    }
}

impl<S> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("bucket", &self.kv)
            .field("len", &self.changes.len())
            .finish_non_exhaustive()
    }
}

/// What a batch has stored: a revision for each of its keys, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    keys: Vec<SmolStr>,
    last: u64,
}

impl Committed {
    /// The revision of the first key.
    #[must_use]
    pub fn first(&self) -> u64 {
        (self.last + 1).saturating_sub(self.keys.len() as u64)
    }

    /// The revision of the last key.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The revision of a key. `None`: it was not in the batch.
    #[must_use]
    pub fn revision(&self, key: &str) -> Option<u64> {
        self.iter().find(|(written, _)| *written == key).map(|(_, revision)| revision)
    }

    /// The keys in the order of the batch, with their revisions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.keys.iter().map(SmolStr::as_str).zip(self.first()..)
    }
}
