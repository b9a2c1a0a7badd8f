//! Creating keys: a write that expects that there is no value.

use crate::callback::State;
use crate::jetstream;
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::error::Error;
use crate::kv::reading::get::Found;
use crate::kv::writing::storing::expecting;
use evnats_protocol::{HeaderMap, Payload};
use std::rc::Rc;

/// How often a creation is tried again when tombstones come and go under it.
const ATTEMPTS: u32 = 3;

impl Bucket {
    /// Gives a key a value if it has none.
    pub(crate) fn create_key(self: &Rc<Self>, key: &str, value: Payload<'_>, answer: OnWritten) {
        self.create_with(key, Payload::Shared(value.into_bytes()), HeaderMap::new(), answer);
    }

    /// As [`create_key`](Self::create_key), with headers, which every attempt has.
    pub(in crate::kv) fn create_with(
        self: &Rc<Self>,
        key: &str,
        value: Payload<'static>,
        headers: HeaderMap,
        answer: OnWritten,
    ) {
        let creation = Creation {
            bucket: self.clone(),
            key: key.into(),
            value,
            headers,
            expected: 0,
            attempts: ATTEMPTS,
        };
        creation.attempt(answer);
    }
}

/// A creation that may take several attempts, because a tombstone counts as a message: then the
/// key is created over the tombstone's revision.
struct Creation {
    bucket: Rc<Bucket>,
    key: String,
    value: Payload<'static>,
    /// What the value is written with besides, such as its TTL.
    headers: HeaderMap,
    /// 0, or the revision of the tombstone that was found.
    expected: u64,
    attempts: u32,
}

impl Creation {
    fn attempt(self, answer: OnWritten) {
        let headers = expecting(self.headers.clone(), self.expected);
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
