//! Listing: what a watch shows up to its signal, collected.
//!
//! The signal says that everything has come that the leader knew of. What was removed from the stream
//! without a message in its place, as by a purge of tombstones, leaves no trace for a replica that
//! lags behind to show. So on a bucket with replicas the leader confirms what was collected.

use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::jetstream::watching::{Page, Patience};
use crate::jetstream::{self, ApiReply, ApiRequest, MessageQuery, StoredMessage, StreamInfo};
use crate::kv::bucket::Bucket;
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::patterns::uncovered;
use crate::kv::reading::reads::Reads;
use crate::kv::watching::options::WatchOptions;
use crate::kv::watching::update::{Update, Watching};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

impl<S: 'static> KeyValue<S> {
    /// Lists the keys that have a value, in alphabetical order, all at once: a million keys of 16 bytes
    /// take about 100 MiB while they are collected. [`list_keys`](Self::list_keys) shows them as they come.
    ///
    /// The list is at least as fresh as a read from the leader that begins at the same time, also if
    /// a replica that lags behind serves it. With [`Reads::Replica`], it is as fresh as the replica. A
    /// server of version 2.9 skips what it has not delivered yet when a key is purged meanwhile, so
    /// that its lists may lack keys beside purges.
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
    /// [`Error::NoPatterns`], or as [`keys`](Self::keys).
    pub fn keys_matching(
        &self,
        patterns: &[&str],
        callback: impl Callback<S, KeyValue<S>, Result<Vec<String>, Error>>,
    ) {
        self.shared_bucket().keys_matching(patterns, self.reads(), answer(self, callback));
    }

    /// Reads every revision of a key that the bucket holds, the oldest first, tombstones included.
    /// A key that was never written has none. As fresh as [`keys`](Self::keys).
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
        Listing::collect(bucket, self.reads(), &[key], options, answer);
    }
}

impl Bucket {
    /// Lists the keys that have a value and that any of the patterns matches.
    pub(crate) fn keys_matching(
        self: &Rc<Self>,
        patterns: &[&str],
        reads: Reads,
        answer: Answer<Result<Vec<String>, Error>>,
    ) {
        let on_keys = move |state: &mut State, keys: Result<BTreeSet<String>, Error>| {
            answer(state, keys.map(|keys| keys.into_iter().collect()))
        };
        let options = WatchOptions::new().meta_only();
        Listing::collect(self, reads, patterns, options, Box::new(on_keys));
    }
}

/// What is collected of the entries that a watch shows.
pub(in crate::kv) trait Collection: Default + 'static {
    fn add(&mut self, entry: Entry);

    fn is_empty(&self) -> bool;

    /// Asks the leader which of it is still there, and finishes the listing.
    fn confirm(listing: &Rc<Listing<Self>>, state: &mut State) -> Ran;
}

/// Keys that have a value.
impl Collection for BTreeSet<String> {
    /// A key that is written or deleted during the listing comes again.
    fn add(&mut self, entry: Entry) {
        if entry.operation().is_tombstone() {
            self.remove(&*entry.key());
        } else {
            self.insert(entry.key().into_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn confirm(listing: &Rc<Listing<Self>>, state: &mut State) -> Ran {
        Subjects { listing: listing.clone(), found: HashSet::new(), page: Page::default() }
            .ask_next(state)
    }
}

/// The revisions of one key.
impl Collection for Vec<Entry> {
    fn add(&mut self, entry: Entry) {
        self.push(entry);
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn confirm(listing: &Rc<Listing<Self>>, state: &mut State) -> Ran {
        let asking = listing.clone();
        let on_first = move |state: &mut State, first: Result<StoredMessage, jetstream::Error>| {
            let first = match first {
                Ok(first) => first.sequence(),
                Err(error) if error.is_no_message() => u64::MAX,
                Err(error) => return asking.fail(state, error),
            };
            asking.items.borrow_mut().retain(|entry| entry.revision() >= first);
            asking.succeed(state)
        };
        let Some(key) = listing.patterns.first() else { return listing.succeed(state) };
        let subject = format!("{}{key}", listing.bucket.subjects);
        let query = MessageQuery::NextBySubject { subject: &subject, from: 1 };
        listing.ask(ApiRequest::stored_message(&listing.bucket.stream, query), on_first);
        Ok(())
    }
}

/// Asks the leader for the subjects that it has messages of, page by page.
struct Subjects {
    listing: Rc<Listing<BTreeSet<String>>>,
    found: HashSet<String>,
    page: Page,
}

impl Subjects {
    fn ask_next(self, state: &mut State) -> Ran {
        let listing = self.listing.clone();
        let (stream, prefix) = (&listing.bucket.stream, &listing.bucket.subjects);
        let Some(request) = self.page.request(stream, prefix, &listing.patterns) else {
            let is_found = |key: &String| self.found.contains(&format!("{prefix}{key}"));
            listing.items.borrow_mut().retain(is_found);
            return listing.succeed(state);
        };
        listing.ask(request, |state, info: Result<StreamInfo, jetstream::Error>| match info {
            Ok(info) => self.note(info).ask_next(state),
            Err(error) => self.listing.fail(state, error),
        });
        Ok(())
    }

    fn note(mut self, info: StreamInfo) -> Self {
        self.page = self.page.next(&info);
        self.found.extend(info.state.subjects.into_keys());
        self
    }
}

/// A collection in the making. It does not own the watch that feeds it, which owns it.
pub(in crate::kv) struct Listing<C> {
    bucket: Rc<Bucket>,
    /// Which keys are listed.
    patterns: Vec<String>,
    items: RefCell<C>,
    patience: Rc<Patience>,
    /// Taken when it runs, which is once.
    answer: Cell<Option<Answer<Result<C, Error>>>>,
}

impl<C: Collection> Listing<C> {
    /// Watches until the signal, and answers with what has come.
    pub(in crate::kv) fn collect(
        bucket: &Rc<Bucket>,
        reads: Reads,
        patterns: &[&str],
        options: WatchOptions,
        answer: Answer<Result<C, Error>>,
    ) {
        let listing = Rc::new(Self {
            bucket: bucket.clone(),
            patterns: uncovered(patterns).into_iter().map(str::to_owned).collect(),
            items: RefCell::default(),
            patience: Patience::new(&bucket.api),
            answer: Cell::new(Some(answer)),
        });
        let options = options.heartbeat(listing.patience.heartbeat());
        let collecting = listing.clone();
        let on_update = move |state: &mut State, watching: &Rc<Watching>, update| match update {
            Update::Entry(entry) => {
                collecting.patience.note_progress();
                collecting.items.borrow_mut().add(entry);
                Ok(())
            }
            Update::Initialized => {
                watching.stop();
                // without replicas, the consumer is where the leader is
                let is_fresh = reads == Reads::Replica || collecting.bucket.replicas.get() <= 1;
                if is_fresh || collecting.items.borrow().is_empty() {
                    return collecting.succeed(state);
                }
                collecting.patience.note_progress();
                C::confirm(&collecting, state)
            }
            Update::Cleared => {
                collecting.items.take();
                Ok(())
            }
            Update::Ended(error) => collecting.finish(state, Err(error)),
            // if it lasts, there is no progress
            _ => Ok(()),
        };
        let watching = bucket.watch(patterns, reads, options, Box::new(on_update));
        let patience = listing.patience.clone();
        patience.begin(move |state| {
            watching.stop();
            listing.finish(state, Err(Error::timeout()))
        });
    }

    /// Asks the leader, unless the listing is over.
    fn ask<T: ApiReply>(
        self: &Rc<Self>,
        request: Result<ApiRequest, jetstream::Error>,
        on_reply: impl FnOnce(&mut State, Result<T, jetstream::Error>) -> Ran + 'static,
    ) {
        let listing = self.clone();
        let on_reply = move |state: &mut State, reply: Result<T, jetstream::Error>| {
            listing.patience.note_progress();
            on_reply(state, reply)
        };
        self.bucket.api.read(request, Box::new(on_reply));
    }

    pub(in crate::kv) fn succeed(&self, state: &mut State) -> Ran {
        let items = self.items.take();
        self.finish(state, Ok(items))
    }

    fn fail(&self, state: &mut State, error: jetstream::Error) -> Ran {
        self.finish(state, Err(self.bucket.error(error)))
    }

    fn finish(&self, state: &mut State, result: Result<C, Error>) -> Ran {
        self.patience.end();
        self.answer.take().map_or(Ok(()), |answer| answer(state, result))
    }
}
