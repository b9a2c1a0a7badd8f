//! Writing: put, create, update, delete and purge, each complete with the stream's
//! acknowledgement.
//!
//! Tombstones have a fence (`PING`) behind the acknowledgement, so that a core subscriber that
//! the caller asks afterwards has seen them too.

use super::bucket::{Bucket, OnWritten};
use super::error::Error;
use super::handle::KeyValue;
use super::read::Found;
use crate::callback::{Callback, Outcome, Ran, State, answer, lend};
use crate::client::Reply;
use crate::jetstream::{self, ApiRequest, StreamInfo, acknowledged_sequence};
use evnats_protocol::{HeaderMap, Payload};
use smol_str::SmolStr;
use std::rc::Rc;

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// How often a creation is tried again when tombstones come and go under it.
const CREATE_ATTEMPTS: u32 = 3;

impl<S: 'static> KeyValue<S> {
    /// Gives a key a value. The callback gets the new revision.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::BucketNotFound`], [`Error::ValueTooLarge`],
    /// [`Error::NoLeader`] during an election, or what JetStream reports. Without an acknowledgement (timeout, disconnect) the value may have been
    /// stored.
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
        let kv = self.clone();
        bucket.send(key, value.into(), None, move |state, outcome| {
            match kv.shared_bucket().revision(outcome) {
                Err(error) if is_not_stored(&error) => {
                    kv.shared_bucket().tell_why_not_stored(answer(&kv, callback));
                    Ok(())
                }
                revision => callback(lend(state), &kv, revision).into_ran(),
            }
        });
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
        let answer = answer(self, callback);
        self.shared_bucket().remove(key, purge_headers(), Some(revision), answer);
    }
}

impl Bucket {
    /// Gives a key a value if it has none.
    pub(crate) fn create_key(self: &Rc<Self>, key: &str, value: Payload<'_>, answer: OnWritten) {
        let creation = Creation {
            bucket: self.clone(),
            key: key.into(),
            value: Payload::Shared(value.into_bytes()),
            expected: 0,
            attempts: CREATE_ATTEMPTS,
        };
        creation.attempt(answer);
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

    /// Publishes a key's next revision.
    #[inline]
    fn send(
        &self,
        key: &str,
        value: Payload<'_>,
        headers: Option<&HeaderMap>,
        callback: impl FnOnce(&mut State, Reply<'_>) -> Ran + 'static,
    ) {
        self.put_subject.with_message(key, value, |message| {
            let message = match headers {
                Some(headers) => message.headers(headers),
                None => message,
            };
            self.api.request(message, callback);
        });
    }

    /// Reads the revision out of an acknowledgement.
    #[inline]
    fn revision(&self, outcome: Reply<'_>) -> Result<u64, Error> {
        let revision =
            acknowledged_sequence(outcome, &self.ack).map_err(|error| self.error(error))?;
        self.note_revision(revision);
        Ok(revision)
    }

    fn write(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        headers: &HeaderMap,
        answer: OnWritten,
    ) {
        if let Err(error) = self.check_key_to_write(key) {
            return self.defer(answer, Err(error));
        }
        self.write_known(key, value, headers, answer);
    }

    /// As [`write`](Self::write), with a key that is known to be one.
    pub(super) fn write_known(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        headers: &HeaderMap,
        answer: OnWritten,
    ) {
        let bucket = self.clone();
        self.send(key, value, Some(headers), move |state, outcome| {
            match bucket.revision(outcome) {
                Err(error) if is_not_stored(&error) => {
                    bucket.tell_why_not_stored(answer);
                    Ok(())
                }
                revision => answer(state, revision),
            }
        });
    }

    /// Answers a write that nobody has stored. There may be no bucket, or none that can be written
    /// to, or nobody who leads it at the moment: the API knows, and is asked once for all writes that
    /// wait for it.
    fn tell_why_not_stored(self: &Rc<Self>, answer: OnWritten) {
        let mut unstored = self.unstored.borrow_mut();
        unstored.push(answer);
        if unstored.len() > 1 {
            return;
        }
        drop(unstored);
        let bucket = self.clone();
        let on_info = move |_: &mut State, info: Result<StreamInfo, jetstream::Error>| {
            let error = bucket.why_not_stored(info);
            // each in a turn of its own: a callback may panic, and the next one is to run
            for answer in bucket.unstored.take() {
                bucket.defer(answer, Err(error.clone()));
            }
            Ok(())
        };
        self.api.call(ApiRequest::stream_info(&self.stream), Box::new(on_info));
    }

    fn why_not_stored(&self, info: Result<StreamInfo, jetstream::Error>) -> Error {
        let no_leader = Error::NoLeader { bucket: self.name.to_string() };
        match info {
            Ok(info) => self.note_stream(&info).err().unwrap_or(no_leader),
            // the question may not be answered or permitted; that nothing was stored stays certain
            Err(error) if error.is_denied() || error.is_closed() => {
                Error::JetStream(jetstream::Error::NotStored { subject: None })
            }
            Err(error @ jetstream::Error::NotAvailable) => Error::JetStream(error),
            Err(error) if error.is_temporary() => no_leader,
            Err(error) => self.error(error),
        }
    }

    /// Writes if the key's last revision is the expected one.
    fn write_at(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        headers: HeaderMap,
        expected: u64,
        answer: OnWritten,
    ) {
        let headers = headers.with(EXPECTED, itoa::Buffer::new().format(expected));
        let kept = SmolStr::new(key);
        let on_written = move |state: &mut State, written: Result<u64, Error>| {
            answer(state, written.map_err(|error| wrong_revision(error, &kept, expected)))
        };
        self.write(key, value, &headers, Box::new(on_written));
    }

    /// Writes a tombstone, and sets a fence behind its acknowledgement.
    fn remove(
        self: &Rc<Self>,
        key: &str,
        headers: HeaderMap,
        expected: Option<u64>,
        answer: OnWritten,
    ) {
        let answer = self.fenced(answer);
        match expected {
            Some(expected) => self.write_at(key, Payload::default(), headers, expected, answer),
            None => self.write(key, Payload::default(), &headers, answer),
        }
    }

    /// Puts a fence between a tombstone's acknowledgement and the callback. The tombstone is stored
    /// whatever becomes of the fence.
    fn fenced(self: &Rc<Self>, answer: OnWritten) -> OnWritten {
        let bucket = self.clone();
        Box::new(move |state, written| match written {
            Ok(revision) => {
                let on_fence = move |state: &mut State, _: &_, _| answer(state, Ok(revision));
                bucket.api.port().fence(Box::new(on_fence));
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        })
    }
}

/// A creation that may take several attempts, because a tombstone counts as a message: then the
/// key is created over the tombstone's revision.
struct Creation {
    bucket: Rc<Bucket>,
    key: String,
    value: Payload<'static>,
    /// 0, or the revision of the tombstone that was found.
    expected: u64,
    attempts: u32,
}

impl Creation {
    fn attempt(self, answer: OnWritten) {
        let headers = HeaderMap::new().with(EXPECTED, itoa::Buffer::new().format(self.expected));
        let (bucket, key) = (self.bucket.clone(), self.key.clone());
        let value = self.value.clone();
        let on_written = move |state: &mut State, written| match written {
            Err(Error::JetStream(error)) if error.is_wrong_last_sequence() => {
                self.look_again(error, answer);
                Ok(())
            }
            written => answer(state, written),
        };
        bucket.write(&key, value, &headers, Box::new(on_written));
    }

    /// Something is there: the leader knows whether it is a value. A replica might still show the
    /// one before the tombstone.
    fn look_again(mut self, refusal: jetstream::Error, answer: OnWritten) {
        let (bucket, key) = (self.bucket.clone(), self.key.clone());
        let on_found = move |state: &mut State, found: Found| match found {
            Ok(Some(entry)) if !entry.operation().is_tombstone() => {
                let revision = Some(entry.revision());
                answer(state, Err(Error::KeyExists { key: self.key, revision }))
            }
            Ok(_) if self.attempts == 0 => {
                let revision = refusal.api().and_then(|api| api.current_sequence());
                answer(state, Err(Error::KeyExists { key: self.key, revision }))
            }
            // over the tombstone, or from the beginning if it has expired meanwhile
            Ok(found) => {
                self.expected = found.map_or(0, |entry| entry.revision());
                self.attempts -= 1;
                self.attempt(answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        bucket.get_as_permitted(&key, Box::new(on_found));
    }
}

fn is_not_stored(error: &Error) -> bool {
    matches!(error, Error::JetStream(jetstream::Error::NotStored { .. }))
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
