//! Listing: what a watch shows up to its signal, collected.

use super::entry::Entry;
use super::watch::{Update, WatchOptions, Watcher};
use super::{Error, KeyValue};
use crate::event_loop::TimerId;
use crate::jetstream;
use evnats_protocol::RequestError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Servers take none that is shorter.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(100);

impl<S: 'static> KeyValue<S> {
    /// Lists the keys that have a value, in alphabetical order.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream says. A timeout when nothing was heard for the
    /// time of a request.
    pub fn keys(
        &self,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<Vec<String>, Error>) + 'static,
    ) {
        self.keys_matching(&[">"], callback);
    }

    /// Lists the keys that have a value and that any of the patterns matches.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    pub fn keys_matching(
        &self,
        patterns: &[&str],
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<Vec<String>, Error>) + 'static,
    ) {
        // a key that is written or deleted during the listing comes again
        let note = |keys: &mut BTreeSet<String>, entry: Entry| {
            if entry.operation().is_tombstone() {
                keys.remove(&*entry.key());
            } else {
                keys.insert(entry.key().into_owned());
            }
        };
        let options = WatchOptions::new().meta_only();
        self.collect(patterns, options, note, move |state, kv, keys: Result<BTreeSet<_>, _>| {
            callback(state, kv, keys.map(|keys| keys.into_iter().collect()));
        });
    }

    /// Reads every revision of a key that the bucket holds, the oldest first, tombstones included.
    /// A key that was never written has none.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    pub fn history(
        &self,
        key: &str,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<Vec<Entry>, Error>) + 'static,
    ) {
        if let Err(error) = self.check_key(key) {
            return self.defer(move |state, kv| callback(state, kv, Err(error)));
        }
        let options = WatchOptions::new().include_history();
        self.collect(&[key], options, Vec::push, callback);
    }

    /// Watches until the signal, and gives a collection of it to the callback.
    fn collect<C: Default + 'static>(
        &self,
        patterns: &[&str],
        options: WatchOptions,
        add: impl Fn(&mut C, Entry) + 'static,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<C, Error>) + 'static,
    ) {
        let listing = Rc::new(Listing {
            collected: RefCell::default(),
            callback: RefCell::new(Some(Box::new(callback))),
            watcher: RefCell::new(None),
            timer: Cell::new(None),
        });
        // an idle consumer has to be heard of well before the listing counts as stuck
        let heartbeat = self.jetstream().timeout() / 4;
        let options = options.heartbeat(heartbeat.clamp(LEAST_HEARTBEAT, Duration::from_secs(5)));
        let collecting = listing.clone();
        let watcher = self.watch_many(patterns, options, move |state, kv, update| match update {
            Update::Entry(entry) => {
                let collected = &mut *collecting.collected.borrow_mut();
                collected.progress += 1;
                add(&mut collected.items, entry);
            }
            Update::Initialized => {
                let items = std::mem::take(&mut collecting.collected.borrow_mut().items);
                collecting.finish(state, kv, Ok(items));
            }
            Update::Ended(error) => collecting.finish(state, kv, Err(error)),
        });
        *listing.watcher.borrow_mut() = Some(watcher);
        listing.watch_over(self, 0);
    }
}

type OnCollected<S, C> = Box<dyn FnOnce(&mut S, &KeyValue<S>, Result<C, Error>)>;

/// A collection in the making.
struct Listing<S: 'static, C> {
    collected: RefCell<Collected<C>>,
    /// Taken when it runs, which is once.
    callback: RefCell<Option<OnCollected<S, C>>>,
    watcher: RefCell<Option<Watcher<S>>>,
    timer: Cell<Option<TimerId>>,
}

#[derive(Default)]
struct Collected<C> {
    items: C,
    /// Counts entries, to tell a listing that is long from one that is stuck.
    progress: u64,
}

impl<S: 'static, C: 'static> Listing<S, C> {
    fn finish(&self, state: &mut S, kv: &KeyValue<S>, result: Result<C, Error>) {
        let watcher = self.watcher.borrow_mut().take();
        if let Some(watcher) = watcher {
            watcher.stop();
        }
        if let Some(timer) = self.timer.take() {
            kv.client().handle().cancel_timer(timer);
        }
        let callback = self.callback.borrow_mut().take();
        if let Some(callback) = callback {
            callback(state, kv, result);
        }
    }

    /// Ends the listing when nothing has come for the time of a request.
    fn watch_over(self: Rc<Self>, kv: &KeyValue<S>, seen: u64) {
        let (listing, watched) = (self.clone(), kv.clone());
        let timeout = kv.jetstream().timeout();
        let timer = kv.client().handle().set_timer(timeout, move |state, _| {
            let progress = listing.collected.borrow().progress;
            if progress > seen {
                return listing.watch_over(&watched, progress);
            }
            let timeout = jetstream::Error::Request(RequestError::Timeout);
            listing.finish(state, &watched, Err(Error::JetStream(timeout)));
        });
        self.timer.set(Some(timer));
    }
}
