//! Listing: what a watch shows up to its signal, collected.

use super::bucket::Bucket;
use super::entry::Entry;
use super::error::Error;
use super::handle::KeyValue;
use super::watch::{Update, WatchOptions};
use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::event_loop::TimerId;
use crate::jetstream::{self, Reader};
use evnats_protocol::RequestError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Servers take none that is shorter.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

impl<S: 'static> KeyValue<S> {
    /// Lists the keys that have a value, in alphabetical order.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports. A timeout when nothing was heard for the
    /// time of a request.
    #[doc(alias = "Keys")]
    pub fn keys(&self, callback: impl Callback<S, KeyValue<S>, Result<Vec<String>, Error>>) {
        self.keys_matching(&[">"], callback);
    }

    /// Lists the keys that have a value and that any of the patterns matches.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    pub fn keys_matching(
        &self,
        patterns: &[&str],
        callback: impl Callback<S, KeyValue<S>, Result<Vec<String>, Error>>,
    ) {
        let answer = answer(self, callback);
        let on_keys = move |state: &mut State, keys: Result<BTreeSet<String>, Error>| {
            answer(state, keys.map(|keys| keys.into_iter().collect()))
        };
        let options = WatchOptions::new().meta_only();
        Listing::collect(self.shared_bucket(), patterns, options, add_key, Box::new(on_keys));
    }

    /// Reads every revision of a key that the bucket holds, the oldest first, tombstones included.
    /// A key that was never written has none.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    #[doc(alias = "History")]
    pub fn history(
        &self,
        key: &str,
        callback: impl Callback<S, KeyValue<S>, Result<Vec<Entry>, Error>>,
    ) {
        let (bucket, answer) = (self.shared_bucket(), answer(self, callback));
        if let Err(error) = bucket.check_key(key) {
            return bucket.defer(answer, Err(error));
        }
        let options = WatchOptions::new().include_history();
        Listing::collect(bucket, &[key], options, Vec::push, answer);
    }
}

/// A key that is written or deleted during the listing comes again.
fn add_key(keys: &mut BTreeSet<String>, entry: Entry) {
    if entry.operation().is_tombstone() {
        keys.remove(&*entry.key());
    } else {
        keys.insert(entry.key().into_owned());
    }
}

/// A collection in the making. It does not own the watch that feeds it, which owns it.
struct Listing<C> {
    bucket: Rc<Bucket>,
    items: RefCell<C>,
    /// Counts entries, to tell a listing that is long from one that is stuck.
    progress: Cell<u64>,
    /// Taken when it runs, which is once.
    answer: Cell<Option<Answer<Result<C, Error>>>>,
    timer: Cell<Option<TimerId>>,
}

impl<C: Default + 'static> Listing<C> {
    /// Watches until the signal, and answers with what has come.
    fn collect(
        bucket: &Rc<Bucket>,
        patterns: &[&str],
        options: WatchOptions,
        add: fn(&mut C, Entry),
        answer: Answer<Result<C, Error>>,
    ) {
        let listing = Rc::new(Self {
            bucket: bucket.clone(),
            items: RefCell::default(),
            progress: Cell::new(0),
            answer: Cell::new(Some(answer)),
            timer: Cell::new(None),
        });
        // an idle consumer has to be heard of well before the listing counts as stuck
        let heartbeat = bucket.api.timeout() / 4;
        let options = options.heartbeat(heartbeat.clamp(MIN_HEARTBEAT, Duration::from_secs(5)));
        let collecting = listing.clone();
        let reader = bucket.watch(patterns, options, move |state, reader, update| match update {
            Update::Entry(entry) => {
                collecting.progress.set(collecting.progress.get() + 1);
                add(&mut collecting.items.borrow_mut(), entry);
                Ok(())
            }
            Update::Initialized => {
                let items = std::mem::take(&mut *collecting.items.borrow_mut());
                collecting.finish(state, reader, Ok(items))
            }
            Update::Ended(error) => collecting.finish(state, reader, Err(error)),
        });
        if let Some(reader) = reader {
            listing.watch_over(reader, 0);
        }
    }

    fn finish(&self, state: &mut State, reader: Option<&Reader>, result: Result<C, Error>) -> Ran {
        if let Some(reader) = reader {
            reader.stop();
        }
        if let Some(timer) = self.timer.take() {
            self.bucket.api.port().cancel_timer(timer);
        }
        self.answer.take().map_or(Ok(()), |answer| answer(state, result))
    }

    /// Ends the listing when nothing has come for the time of a request.
    fn watch_over(self: Rc<Self>, reader: Reader, seen: u64) {
        let listing = self.clone();
        let on_time = move |state: &mut State| {
            let progress = listing.progress.get();
            if progress > seen {
                listing.watch_over(reader, progress);
                return Ok(());
            }
            let timeout = jetstream::Error::Request(RequestError::Timeout);
            listing.finish(state, Some(&reader), Err(Error::JetStream(timeout)))
        };
        let timeout = self.bucket.api.timeout();
        self.timer.set(Some(self.bucket.api.port().set_timer(timeout, Box::new(on_time))));
    }
}
