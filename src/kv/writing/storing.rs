//! How a write is carried out: published as a request, and complete with the stream's
//! acknowledgement.
//!
//! Tombstones have a fence (`PING`) behind the acknowledgement, so that a core subscriber that
//! the caller asks afterwards has seen them too.

use crate::callback::State;
use crate::client::{OnReply, Reply};
use crate::jetstream::{self, ApiRequest, StreamInfo, acknowledged_sequence, on_reply};
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::error::Error;
use evnats_protocol::{HeaderMap, Payload};
use smol_str::SmolStr;
use std::rc::Rc;

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

impl Bucket {
    /// Publishes a key's next revision.
    #[inline]
    pub(in crate::kv) fn send(
        &self,
        key: &str,
        value: Payload<'_>,
        headers: Option<&HeaderMap>,
        awaiting: OnReply,
    ) {
        let subject = self.put_subject.ending(key);
        let message = subject.message(value);
        let message = match headers {
            Some(headers) => message.headers(headers),
            None => message,
        };
        self.api.request_for(message, awaiting);
    }

    /// The subject to publish a key's revisions to.
    pub(in crate::kv) fn subject_to_write(&self, key: &str) -> String {
        self.put_subject.ending(key).into_owned()
    }

    /// The revision in an acknowledgement, if that is exactly the usual one. `None` says nothing about the
    /// outcome.
    #[inline(always)]
    pub(in crate::kv) fn usual_revision(&self, outcome: &Reply<'_>) -> Option<u64> {
        let revision = self.ack.sequence(outcome.as_ref().ok()?.payload())?;
        self.note_revision(revision);
        Some(revision)
    }

    /// Reads the revision out of an acknowledgement.
    #[inline]
    pub(in crate::kv) fn revision(&self, outcome: Reply<'_>) -> Result<u64, Error> {
        let revision =
            acknowledged_sequence(outcome, &self.ack).map_err(|error| self.error(error))?;
        self.note_revision(revision);
        Ok(revision)
    }

    pub(in crate::kv) fn write(
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
    pub(in crate::kv) fn write_known(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        headers: &HeaderMap,
        answer: OnWritten,
    ) {
        let bucket = self.clone();
        let on_outcome = move |state: &mut State, outcome: Reply<'_>| match bucket.revision(outcome)
        {
            Err(error) if is_not_stored(&error) => {
                bucket.tell_why_not_stored(answer);
                Ok(())
            }
            revision => answer(state, revision),
        };
        self.send(key, value, Some(headers), on_reply(on_outcome));
    }

    /// Answers a write that nobody has stored. There may be no bucket, or none that can be written
    /// to, or nobody who leads it at the moment: the API knows, and is asked once for all writes that
    /// wait for it.
    pub(in crate::kv) fn tell_why_not_stored(self: &Rc<Self>, answer: OnWritten) {
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
    pub(in crate::kv) fn write_at(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'_>,
        headers: HeaderMap,
        expected: u64,
        answer: OnWritten,
    ) {
        let headers = expecting(headers, expected);
        let kept = SmolStr::new(key);
        let on_written = move |state: &mut State, written: Result<u64, Error>| {
            answer(state, written.map_err(|error| wrong_revision(error, &kept, expected)))
        };
        self.write(key, value, &headers, Box::new(on_written));
    }

    /// Writes a tombstone, and sets a fence behind its acknowledgement.
    pub(in crate::kv) fn remove(
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
    pub(in crate::kv) fn fenced(self: &Rc<Self>, answer: OnWritten) -> OnWritten {
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

/// Adds that the key has to be at a revision; 0: that it was never written.
pub(in crate::kv) fn expecting(headers: HeaderMap, revision: u64) -> HeaderMap {
    headers.with(EXPECTED, itoa::Buffer::new().format(revision))
}

pub(in crate::kv) fn is_not_stored(error: &Error) -> bool {
    matches!(error, Error::JetStream(jetstream::Error::NotStored { .. }))
}

pub(in crate::kv) fn delete_headers() -> HeaderMap {
    HeaderMap::new().with("KV-Operation", "DEL")
}

pub(in crate::kv) fn purge_headers() -> HeaderMap {
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
