//! Writing: put, create, update, delete and purge, each complete with the stream's
//! acknowledgement.
//!
//! Tombstones have a fence (`PING`) behind the acknowledgement, so that a core subscriber that
//! the caller asks afterwards has seen them too.

use super::{Error, KeyValue};
use crate::client::Client;
use crate::jetstream::{self, parse_pub_ack, publish_error, scan_sequence};
use evnats_protocol::{HeaderMap, Message, OutgoingMessage, Payload, RequestError};
use smol_str::SmolStr;

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// How often a creation is tried again when tombstones come and go under it.
const CREATE_ATTEMPTS: u32 = 3;

impl<S: 'static> KeyValue<S> {
    /// Gives a key a value. The callback gets the new revision.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::BucketNotFound`], [`Error::ValueTooLarge`], or what
    /// JetStream says. Without an acknowledgement (timeout, disconnect) the value may have been
    /// stored.
    #[inline]
    pub fn put<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        self.write(key, value.into(), None, callback);
    }

    /// Gives a key a value if it has none: if it was never written, or was deleted. The callback
    /// gets the new revision.
    ///
    /// # Errors
    /// [`Error::KeyExists`], or as [`put`](Self::put).
    pub fn create<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        let attempt = Creation {
            key: key.into(),
            value: Payload::Shared(value.into().into_bytes()),
            expected: 0,
            attempts: CREATE_ATTEMPTS,
        };
        attempt.try_on(self, callback);
    }

    /// Gives a key a value if its last revision is `revision` (compare and set); 0: if it was
    /// never written. The callback gets the new revision.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    pub fn update<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        revision: u64,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        self.write_at(key, value.into(), HeaderMap::new(), revision, callback);
    }

    /// Takes a key's value away; its history stays. A key that has none gets a tombstone too. The
    /// callback gets the tombstone's revision, and runs when the stream has stored it.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(
        &self,
        key: &str,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        self.write(key, Payload::default(), Some(&delete_headers()), fenced(callback));
    }

    /// As [`delete`](Self::delete), if the key's last revision is `revision`.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    pub fn delete_at(
        &self,
        key: &str,
        revision: u64,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        self.write_at(key, Payload::default(), delete_headers(), revision, fenced(callback));
    }

    /// Takes a key's value away, with its history.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn purge(
        &self,
        key: &str,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        self.write(key, Payload::default(), Some(&purge_headers()), fenced(callback));
    }

    /// As [`purge`](Self::purge), if the key's last revision is `revision`.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    pub fn purge_at(
        &self,
        key: &str,
        revision: u64,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        self.write_at(key, Payload::default(), purge_headers(), revision, fenced(callback));
    }

    /// Writes if the key's last revision is the expected one.
    fn write_at(
        &self,
        key: &str,
        value: Payload<'_>,
        headers: HeaderMap,
        expected: u64,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        let headers = headers.with(EXPECTED, itoa::Buffer::new().format(expected));
        let kept = SmolStr::new(key);
        self.write(key, value, Some(&headers), move |state, kv, written| {
            let written = written.map_err(|error| wrong_revision(error, &kept, expected));
            callback(state, kv, written);
        });
    }

    #[inline]
    fn write(
        &self,
        key: &str,
        value: Payload<'_>,
        headers: Option<&HeaderMap>,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        if let Err(error) = self.check_key(key) {
            return self.defer(move |state, kv| callback(state, kv, Err(error)));
        }
        let kv = self.clone();
        let timeout = self.bucket.js.timeout();
        self.with_subject(&self.bucket.put_subjects, key, |subject| {
            let mut message = OutgoingMessage::new(subject, value);
            if let Some(headers) = headers {
                message = message.headers(headers);
            }
            let on_reply = move |state: &mut S, _: &Client<S>, outcome: Result<Message, _>| {
                let revision = kv.revision(outcome);
                callback(state, &kv, revision);
            };
            self.client().request_message(message, timeout, on_reply);
        });
    }

    /// Reads the revision out of an acknowledgement.
    #[inline]
    fn revision(&self, outcome: Result<Message, RequestError>) -> Result<u64, Error> {
        let reply = outcome.map_err(|error| self.error(publish_error(error)))?;
        match scan_sequence(reply.payload()) {
            Some(sequence) => Ok(sequence),
            None => match parse_pub_ack(reply.payload()) {
                Ok(ack) => Ok(ack.sequence),
                Err(error) => Err(self.error(error.into())),
            },
        }
    }
}

/// A creation that may take several attempts, because a tombstone counts as a message: then the
/// key is created over the tombstone's revision.
struct Creation {
    key: String,
    value: Payload<'static>,
    /// 0, or the revision of the tombstone that was found.
    expected: u64,
    attempts: u32,
}

impl Creation {
    fn try_on<S: 'static>(
        self,
        kv: &KeyValue<S>,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        let headers = HeaderMap::new().with(EXPECTED, itoa::Buffer::new().format(self.expected));
        let (key, value) = (self.key.clone(), self.value.clone());
        kv.write(&key, value, Some(&headers), move |state, kv, written| match written {
            Err(Error::JetStream(error)) if error.is_wrong_last_sequence() => {
                self.look_again(kv, error, callback);
            }
            written => callback(state, kv, written),
        });
    }

    /// Something is there: the leader knows whether it is a value. A replica might still show the
    /// one before the tombstone.
    fn look_again<S: 'static>(
        mut self,
        kv: &KeyValue<S>,
        refusal: jetstream::Error,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
    ) {
        let key = self.key.clone();
        kv.get_from_leader(&key, move |state, kv, found| match found {
            Ok(Some(entry)) if !entry.operation().is_tombstone() => {
                let revision = Some(entry.revision());
                callback(state, kv, Err(Error::KeyExists { key: self.key, revision }));
            }
            Ok(_) if self.attempts == 0 => {
                let revision = refusal.api().and_then(|api| api.current_sequence());
                callback(state, kv, Err(Error::KeyExists { key: self.key, revision }));
            }
            // over the tombstone, or from the beginning if it has expired meanwhile
            Ok(found) => {
                self.expected = found.map_or(0, |entry| entry.revision());
                self.attempts -= 1;
                self.try_on(kv, callback);
            }
            Err(error) => callback(state, kv, Err(error)),
        });
    }
}

fn delete_headers() -> HeaderMap {
    HeaderMap::new().with("KV-Operation", "DEL")
}

fn purge_headers() -> HeaderMap {
    HeaderMap::new().with("KV-Operation", "PURGE").with("Nats-Rollup", "sub")
}

fn wrong_revision(error: Error, key: &str, expected: u64) -> Error {
    match error {
        Error::JetStream(error) if error.is_wrong_last_sequence() => {
            let actual = error.api().and_then(|api| api.current_sequence());
            Error::WrongRevision { key: key.to_owned(), expected, actual }
        }
        error => error,
    }
}

/// Puts a fence between a tombstone's acknowledgement and the callback. The tombstone is stored
/// whatever becomes of the fence.
fn fenced<S: 'static>(
    callback: impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static,
) -> impl FnOnce(&mut S, &KeyValue<S>, Result<u64, Error>) + 'static {
    move |state, kv, written| match written {
        Ok(revision) => {
            let fenced = kv.clone();
            kv.client().flush(move |state, _, _| callback(state, &fenced, Ok(revision)));
        }
        Err(error) => callback(state, kv, Err(error)),
    }
}
