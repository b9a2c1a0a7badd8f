//! Renewing the time that a value lives: it is read from the leader and written again, as it was, if it
//! is still the last one.

use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::Ttl;
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::reading::get::Found;
use crate::kv::writing::ttl::{self, Behind};
use evnats_protocol::{HeaderMap, Payload};
use std::rc::Rc;

/// How often a value that is written meanwhile is read again.
const ATTEMPTS: u32 = 4;

/// The callback of a touch: the new revision, or that there is no value.
type OnTouched = Answer<Result<Option<u64>, Error>>;

impl<S: 'static> KeyValue<S> {
    /// Renews a value: from now on it lives for this long. It is read from the leader and written again
    /// by compare and set, so that it is a new revision, which watches show, and never an old value over
    /// a newer one; headers of other clients' own stay behind. The callback gets the new revision.
    /// `Ok(None)`: the key has no value, or has lost it meanwhile; nothing was written. [`Ttl::Never`]
    /// has the value live for ever. For the rounding see
    /// [`WriteOptions::ttl`](crate::kv::WriteOptions::ttl). (Server 2.11)
    ///
    /// # Errors
    /// [`Error::WrongRevision`] if others have written the key each time between the reading and the
    /// writing; [`Error::TtlNeedsHistoryOfOne`], [`Error::TtlDisabled`], or as
    /// [`put`](Self::put). Without an acknowledgement the value may have been renewed.
    pub fn touch(
        &self,
        key: &str,
        ttl: impl Into<Ttl>,
        callback: impl Callback<S, KeyValue<S>, Result<Option<u64>, Error>>,
    ) {
        self.shared_bucket().touch(key, ttl.into(), answer(self, callback));
    }
}

impl Bucket {
    fn touch(self: &Rc<Self>, key: &str, ttl: Ttl, answer: OnTouched) {
        let headers = match self.check_key_to_write(key).and_then(|()| ttl::headers(ttl)) {
            Ok(headers) => headers,
            Err(error) => return self.defer(answer, Err(error)),
        };
        let touch = Touch { bucket: self.clone(), key: key.into(), headers, attempts: ATTEMPTS };
        let on_checked = move |state: &mut State, checked: Result<(), Error>| match checked {
            Ok(()) => {
                touch.attempt(answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.check_ttl(ttl, Behind::History, Box::new(on_checked));
    }
}

struct Touch {
    bucket: Rc<Bucket>,
    key: String,
    headers: HeaderMap,
    attempts: u32,
}

impl Touch {
    fn attempt(self, answer: OnTouched) {
        let (bucket, key) = (self.bucket.clone(), self.key.clone());
        let on_found = move |state: &mut State, found: Found| match found {
            Ok(Some(entry)) => {
                self.write(Payload::Shared(entry.value_to_bytes()), entry.revision(), answer);
                Ok(())
            }
            Ok(None) => answer(state, Ok(None)),
            Err(error) => answer(state, Err(error)),
        };
        bucket.get_value(&key, Box::new(on_found));
    }

    fn write(mut self, value: Payload<'static>, revision: u64, answer: OnTouched) {
        let (bucket, key) = (self.bucket.clone(), self.key.clone());
        let headers = self.headers.clone();
        let on_written = move |state: &mut State, written: Result<u64, Error>| match written {
            Err(error) if error.is_conflict() && self.attempts > 1 => {
                self.attempts -= 1;
                self.attempt(answer);
                Ok(())
            }
            written => answer(state, written.map(Some)),
        };
        bucket.write_at(&key, value, headers, revision, Box::new(on_written));
    }
}
