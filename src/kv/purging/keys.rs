//! Purging many keys: a tombstone for each, which watches and caches see.

use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::purging::sweep::{Sweep, Swept};
use crate::kv::reading::reads::Reads;
use crate::kv::writing::storing::purge_headers;
use evnats_protocol::Payload;
use std::rc::Rc;

impl<S: 'static> KeyValue<S> {
    /// Purges every key that has a value and that any of the patterns matches, `>` for all: each gets a
    /// tombstone, which watches and caches see, wherever they are. The callback gets how many there were.
    ///
    /// The keys are listed first, as by [`keys_matching`](Self::keys_matching), which takes some 100 bytes
    /// of memory and their length for each of them. A key that is written after the listing may keep
    /// its value or lose it; one that has none by then is not purged, and keeps its history if there is
    /// one: [`purge_deletes`](Self::purge_deletes) removes that. Up to 64 writes are under way at a time.
    ///
    /// # Errors
    /// [`Error::Incomplete`] with the number of those that were purged if something failed on the way; or
    /// as [`keys`](Self::keys) and [`purge`](Self::purge).
    #[doc(alias = "purge_all")]
    pub fn purge_keys(
        &self,
        patterns: &[&str],
        callback: impl Callback<S, KeyValue<S>, Result<u64, Error>>,
    ) {
        self.shared_bucket().purge_keys(patterns, answer(self, callback));
    }
}

impl Bucket {
    fn purge_keys(self: &Rc<Self>, patterns: &[&str], answer: OnWritten) {
        if let Err(error) = self.check_writable() {
            return self.defer(answer, Err(error));
        }
        let bucket = self.clone();
        let on_keys = move |state: &mut State, keys: Result<Vec<String>, Error>| match keys {
            Ok(keys) => bucket.purge_each(state, keys, answer),
            Err(error) => answer(state, Err(error)),
        };
        self.keys_matching(patterns, Reads::Leader, Box::new(on_keys));
    }

    fn purge_each(self: &Rc<Self>, state: &mut State, keys: Vec<String>, answer: OnWritten) -> Ran {
        let bucket = self.clone();
        let headers = purge_headers();
        let purge = move |key: String, answer: Answer<Result<u64, Error>>| {
            let count = move |state: &mut State, purged: Result<u64, Error>| {
                answer(state, purged.map(|_| 1))
            };
            bucket.write(&key, Payload::default(), &headers, Box::new(count));
        };
        // one fence is behind all of them
        let answer = self.fenced(answer);
        let on_swept = move |state: &mut State, swept: Result<Swept, Error>| {
            answer(state, swept.map(|swept| swept.done))
        };
        Sweep::begin(keys, purge, |_| {}, state, Box::new(on_swept))
    }
}
