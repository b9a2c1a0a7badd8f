//! Writing with codecs: what is written is encoded first, and nothing is sent if that fails.

use super::handle::CodedKeyValue;
use crate::callback::{Callback, answer, handed};
use crate::jetstream::Ttl;
use crate::kv::error::Error;
use crate::kv::writing::options::{PurgeOptions, WriteOptions};
use evnats_protocol::Payload;

impl<S: 'static> CodedKeyValue<S> {
    /// Gives a key a value, as [`KeyValue::put`](crate::kv::KeyValue::put).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn put<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_value(key, value.into(), answer, |kv, key, value, answer| {
            kv.put(key, value, handed(answer));
        });
    }

    /// As [`put`](Self::put), with options, as [`KeyValue::put_with`](crate::kv::KeyValue::put_with).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn put_with<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        options: WriteOptions,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_value(key, value.into(), answer, |kv, key, value, answer| {
            kv.put_with(key, value, options, handed(answer));
        });
    }

    /// Gives a key a value if it has none, as [`KeyValue::create`](crate::kv::KeyValue::create).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn create<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_value(key, value.into(), answer, |kv, key, value, answer| {
            kv.create(key, value, handed(answer));
        });
    }

    /// As [`create`](Self::create), with options, as [`KeyValue::create_with`](crate::kv::KeyValue::create_with).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn create_with<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        options: WriteOptions,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_value(key, value.into(), answer, |kv, key, value, answer| {
            kv.create_with(key, value, options, handed(answer));
        });
    }

    /// Gives a key a value if its last revision is `revision`, as [`KeyValue::update`](crate::kv::KeyValue::update).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn update<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        revision: u64,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_value(key, value.into(), answer, |kv, key, value, answer| {
            kv.update(key, value, revision, handed(answer));
        });
    }

    /// As [`update`](Self::update), with options, as [`KeyValue::update_with`](crate::kv::KeyValue::update_with).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn update_with<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        revision: u64,
        options: WriteOptions,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_value(key, value.into(), answer, |kv, key, value, answer| {
            kv.update_with(key, value, revision, options, handed(answer));
        });
    }

    /// Takes a key's value away, as [`KeyValue::delete`](crate::kv::KeyValue::delete).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn delete(
        &self,
        key: &str,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_key(key, answer, |kv, key, answer| {
            kv.delete(key, handed(answer));
        });
    }

    /// As [`delete`](Self::delete), if the key's last revision is `revision`.
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn delete_at(
        &self,
        key: &str,
        revision: u64,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_key(key, answer, |kv, key, answer| {
            kv.delete_at(key, revision, handed(answer));
        });
    }

    /// Takes a key's value away, with its history, as [`KeyValue::purge`](crate::kv::KeyValue::purge).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn purge(
        &self,
        key: &str,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_key(key, answer, |kv, key, answer| {
            kv.purge(key, handed(answer));
        });
    }

    /// As [`purge`](Self::purge), if the key's last revision is `revision`.
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn purge_at(
        &self,
        key: &str,
        revision: u64,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_key(key, answer, |kv, key, answer| {
            kv.purge_at(key, revision, handed(answer));
        });
    }

    /// As [`purge`](Self::purge), with options, as [`KeyValue::purge_with`](crate::kv::KeyValue::purge_with).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn purge_with(
        &self,
        key: &str,
        options: PurgeOptions,
        callback: impl Callback<S, CodedKeyValue<S>, Result<u64, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_key(key, answer, |kv, key, answer| {
            kv.purge_with(key, options, handed(answer));
        });
    }

    /// Renews a value: from now on it lives for this long, as [`KeyValue::touch`](crate::kv::KeyValue::touch). It is written again as it
    /// is in the bucket.
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn touch(
        &self,
        key: &str,
        ttl: impl Into<Ttl>,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Option<u64>, Error>>,
    ) {
        let answer = answer(self, callback);
        self.with_key(key, answer, |kv, key, answer| {
            kv.touch(key, ttl, handed(answer));
        });
    }
}
