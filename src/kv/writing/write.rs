//! Writing: put, create, update, delete and purge, each complete with the stream's
//! acknowledgement.

use crate::callback::{Callback, answer};
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::writing::options::{PurgeOptions, WriteOptions};
use crate::kv::writing::storing::{delete_headers, purge_headers};
use crate::kv::writing::ttl::Behind;
use evnats_protocol::{HeaderMap, Payload};
use smol_str::SmolStr;
use std::rc::Rc;

impl<S: 'static> KeyValue<S> {
    /// Gives a key a value. The callback gets the new revision.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::BucketNotFound`], [`Error::ValueTooLarge`],
    /// [`Error::NoLeader`] during an election, or what JetStream reports. Without an acknowledgement
    /// (timeout, disconnect) the value may have been stored.
    #[inline]
    #[doc(alias = "Put")]
    pub fn put<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        let bucket = self.shared_bucket();
        if let Err(error) = bucket.check_key_to_write(key) {
            return bucket.defer(answer(self, callback), Err(error));
        }
        bucket.send(key, value.into(), None, self.putting(Box::new(callback)));
    }

    /// As [`put`](Self::put), with options (server 2.11).
    ///
    /// A value with a time to live needs a bucket with a history of one value: if there were others
    /// behind it, the last of them would be the key's value again when the time is over. What the
    /// bucket is like is remembered for ten seconds: in the ten seconds after its history was made longer
    /// such a write may still be made. A write with a time to live may be overtaken by later ones without.
    ///
    /// # Errors
    /// [`Error::TtlNeedsHistoryOfOne`]; [`Error::TtlDisabled`] if the bucket takes no time to live;
    /// [`jetstream::Error::Unsupported`](crate::jetstream::Error::Unsupported) if the server is older,
    /// [`InvalidOption`](crate::jetstream::Error::InvalidOption) for less than a second; or as
    /// [`put`](Self::put).
    pub fn put_with<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        options: WriteOptions,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        let (bucket, answer) = (self.shared_bucket(), answer(self, callback));
        bucket.put_key_with(key, value.into(), options, answer);
    }

    /// Gives a key a value if it has none: if it was never written, or was deleted. The callback
    /// gets the new revision.
    ///
    /// # Errors
    /// [`Error::KeyExists`], or as [`put`](Self::put).
    #[doc(alias = "Create")]
    pub fn create<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        self.shared_bucket().create_key(key, value.into(), answer(self, callback));
    }

    /// As [`create`](Self::create), with options (server 2.11). Since the key has no value before,
    /// whatever its history is, no value comes back when a time to live is over: it is possible in
    /// every bucket that takes one.
    ///
    /// # Errors
    /// [`Error::KeyExists`], or as [`put_with`](Self::put_with).
    pub fn create_with<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        options: WriteOptions,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        let (bucket, answer) = (self.shared_bucket(), answer(self, callback));
        bucket.create_key_with(key, value.into(), options, answer);
    }

    /// Gives a key a value if its last revision is `revision` (compare and set); 0: if it was
    /// never written. The callback gets the new revision.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    #[doc(alias = "Update")]
    pub fn update<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        revision: u64,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        self.shared_bucket().update_key(key, value.into(), revision, answer(self, callback));
    }

    /// As [`update`](Self::update), with options (server 2.11).
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put_with`](Self::put_with).
    pub fn update_with<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        revision: u64,
        options: WriteOptions,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        let (bucket, answer) = (self.shared_bucket(), answer(self, callback));
        bucket.update_key_with(key, value.into(), revision, options, answer);
    }

    /// Takes a key's value away; its history stays. A key that has none gets a tombstone too. The
    /// callback gets the tombstone's revision, and runs when the stream has stored it.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    #[doc(alias = "Delete")]
    pub fn delete(&self, key: &str, callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>) {
        self.shared_bucket().delete_key(key, answer(self, callback));
    }

    /// As [`delete`](Self::delete), if the key's last revision is `revision`.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    pub fn delete_at(
        &self,
        key: &str,
        revision: u64,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.shared_bucket().remove(key, delete_headers(), Some(revision), answer);
    }

    /// Takes a key's value away, with its history.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    #[doc(alias = "Purge")]
    pub fn purge(&self, key: &str, callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>) {
        self.shared_bucket().remove(key, purge_headers(), None, answer(self, callback));
    }

    /// As [`purge`](Self::purge), if the key's last revision is `revision`.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    pub fn purge_at(
        &self,
        key: &str,
        revision: u64,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        self.purge_with(key, PurgeOptions::new().at_revision(revision), callback);
    }

    /// As [`purge`](Self::purge), with options: only at a revision, or with a tombstone that goes
    /// after a time (server 2.11).
    ///
    /// # Errors
    /// [`Error::WrongRevision`], [`Error::TtlDisabled`], or as [`put`](Self::put).
    pub fn purge_with(
        &self,
        key: &str,
        options: PurgeOptions,
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        self.shared_bucket().purge_key_with(key, options, answer(self, callback));
    }
}

impl Bucket {
    fn put_key_with(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        options: WriteOptions,
        answer: OnWritten,
    ) {
        let (kept, value) = (SmolStr::new(key), Payload::Shared(value.into_bytes()));
        self.with_ttl(key, options.ttl, Behind::History, answer, move |bucket, headers, answer| {
            bucket.write(&kept, value, &headers, answer);
        });
    }

    fn create_key_with(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        options: WriteOptions,
        answer: OnWritten,
    ) {
        let (kept, value) = (SmolStr::new(key), Payload::Shared(value.into_bytes()));
        self.with_ttl(key, options.ttl, Behind::NoValue, answer, move |bucket, headers, answer| {
            bucket.create_with(&kept, value, headers, answer);
        });
    }

    fn update_key_with(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        revision: u64,
        options: WriteOptions,
        answer: OnWritten,
    ) {
        let (kept, value) = (SmolStr::new(key), Payload::Shared(value.into_bytes()));
        let behind = Behind::revision(revision);
        self.with_ttl(key, options.ttl, behind, answer, move |bucket, headers, answer| {
            bucket.write_at(&kept, value, headers, revision, answer);
        });
    }

    fn purge_key_with(self: &Rc<Self>, key: &str, options: PurgeOptions, answer: OnWritten) {
        let (kept, at) = (SmolStr::new(key), options.at_revision);
        self.with_ttl(key, options.ttl, Behind::NoValue, answer, move |bucket, ttl, answer| {
            let mut headers = purge_headers();
            headers.extend(&ttl);
            bucket.remove(&kept, headers, at, answer);
        });
    }

    /// Gives a key a value if its last revision is the expected one.
    pub(crate) fn update_key(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        revision: u64,
        answer: OnWritten,
    ) {
        self.write_at(key, value, HeaderMap::new(), revision, answer);
    }

    /// Takes a key's value away.
    pub(crate) fn delete_key(self: &Rc<Self>, key: &str, answer: OnWritten) {
        self.remove(key, delete_headers(), None, answer);
    }
}
