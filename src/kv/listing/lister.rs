//! Keys as they come, each once: what a watch shows up to its signal, without the tombstones.
//!
//! A key that is written again during the listing comes again from the server, behind everything that
//! there was, so those that were shown are remembered. On a bucket with replicas the one that serves the
//! listing may lag behind, and not know of what was removed without a message in its place: there the
//! keys are remembered first, and shown when the leader has confirmed them, page by page.

use crate::callback::{CallbackSlot, Handler, Outcome, Ran, State, lend};
use crate::event_loop::timers_on;
use crate::jetstream::watching::{KeySet, Page, Patience, key_hashes};
use crate::jetstream::{StreamConfig, StreamInfo};
use crate::kv::bucket::Bucket;
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::patterns::uncovered;
use crate::kv::reading::reads::Reads;
use crate::kv::watching::options::WatchOptions;
use crate::kv::watching::update::{Update, Watching};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};

/// Of the keys that are known to be shown, so many in a turn.
const KEYS_A_TURN: usize = 256;

/// A report of a listing of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedKey {
    /// A key that has a value. None comes twice.
    Key(String),
    /// The end, or why there is no more: the last report. Not sent after [`KeyListing::stop`].
    Ended(Result<(), Error>),
}

/// Keys that are being listed. A cheap handle: dropping it does not stop it.
pub struct KeyListing<S: 'static = ()> {
    kv: KeyValue<S>,
    lister: Rc<KeyLister>,
}

impl<S: 'static> KeyListing<S> {
    /// Ends it: the callback does not run again, and nothing more is asked for.
    pub fn stop(&self) {
        self.lister.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.lister.is_active()
    }

    /// The bucket whose keys are listed.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(KeyListing, |listing| listing.kv.client().port().event_loop());

impl<S> Clone for KeyListing<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), lister: self.lister.clone() }
    }
}

impl<S> fmt::Debug for KeyListing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyListing")
            .field("bucket", &self.kv)
            .field("is_active", &self.lister.is_active())
            .finish()
    }
}

impl<S: 'static> KeyValue<S> {
    /// Lists the keys that have a value and that any of the patterns matches, one by one as they come
    /// and in no order; `&[">"]` are all. As fresh as [`keys`](Self::keys). A key that gets its value
    /// during the listing may be missing, and one that loses it may have been shown.
    ///
    /// Values are not transferred. The keys that were shown are remembered, so that none comes twice: a
    /// million keys of 16 bytes take less than 64 MiB (46 measured). On a bucket with replicas, unless with
    /// [`Reads::Replica`], they are shown when the leader has confirmed them, after all of them have come.
    ///
    /// The last report is [`ListedKey::Ended`], with the errors of [`keys`](Self::keys), or with
    /// [`Error::NoPatterns`].
    #[doc(alias = "ListKeys")]
    #[doc(alias = "ListKeysFiltered")]
    pub fn list_keys(
        &self,
        patterns: &[&str],
        mut callback: impl Handler<S, KeyListing<S>, ListedKey>,
    ) -> KeyListing<S> {
        let kv = self.clone();
        let on_listed = move |state: &mut State, lister: &Rc<KeyLister>, listed: ListedKey| {
            let listing = KeyListing { kv: kv.clone(), lister: lister.clone() };
            callback(lend(state), &listing, listed).into_ran()
        };
        let bucket = self.shared_bucket();
        let lister = KeyLister::begin(bucket, self.reads(), patterns, Box::new(on_listed));
        KeyListing { kv: self.clone(), lister }
    }
}

pub(in crate::kv) type OnListed = Box<dyn FnMut(&mut State, &Rc<KeyLister>, ListedKey) -> Ran>;

/// A listing, with the type of the user's state erased.
pub(in crate::kv) struct KeyLister {
    bucket: Rc<Bucket>,
    reads: Reads,
    patterns: Vec<String>,
    /// Those that were shown; or, if the leader has to confirm them, those that are to be.
    keys: RefCell<KeySet>,
    /// The leader has to confirm what has come before it is shown.
    confirms: Cell<bool>,
    /// Held by its reader for as long as it is fed, and holds this.
    watching: OnceCell<Weak<Watching>>,
    /// What has been confirmed, and what follows it.
    confirmed: RefCell<VecDeque<String>>,
    next_page: Cell<Option<Page>>,
    patience: Rc<Patience>,
    is_active: Cell<bool>,
    callback: CallbackSlot<OnListed>,
}

impl KeyLister {
    pub(in crate::kv) fn begin(
        bucket: &Rc<Bucket>,
        reads: Reads,
        patterns: &[&str],
        on_listed: OnListed,
    ) -> Rc<Self> {
        if let Err(error) = bucket.check_patterns(patterns) {
            return Self::refuse(bucket, error, on_listed);
        }
        let lister = Self::new(bucket, reads, patterns, on_listed);
        let ending = lister.clone();
        lister.patience.begin(move |state| ending.end(state, Err(Error::timeout())));
        match reads {
            Reads::Replica => lister.watch(),
            _ => lister.ask_replicas(),
        }
        lister
    }

    /// A listing that cannot begin, which is reported in the next turn.
    pub(in crate::kv) fn refuse(
        bucket: &Rc<Bucket>,
        error: Error,
        on_listed: OnListed,
    ) -> Rc<Self> {
        let lister = Self::new(bucket, Reads::default(), &[], on_listed);
        let refused = lister.clone();
        bucket.api.port().defer(move |state| refused.end(state, Err(error)));
        lister
    }

    fn new(bucket: &Rc<Bucket>, reads: Reads, patterns: &[&str], on_listed: OnListed) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            reads,
            patterns: uncovered(patterns).into_iter().map(str::to_owned).collect(),
            keys: RefCell::new(KeySet::new(key_hashes(bucket.api.port()))),
            confirms: Cell::new(false),
            watching: OnceCell::new(),
            confirmed: RefCell::default(),
            next_page: Cell::new(None),
            patience: Patience::new(&bucket.api),
            is_active: Cell::new(true),
            callback: CallbackSlot::new(on_listed),
        })
    }

    /// Whether the callback may run again.
    pub(in crate::kv) fn is_active(&self) -> bool {
        self.is_active.get()
    }

    /// Whether a replica that lags behind may serve the listing has to be known before anything is shown.
    fn ask_replicas(self: &Rc<Self>) {
        let lister = self.clone();
        let on_config = move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| {
            match config {
                Ok(config) => lister.confirms.set(config.num_replicas > 1),
                // then nobody can say what is to be confirmed
                Err(error) if error.is_denied() => {}
                Err(error) => return lister.end(state, Err(error)),
            }
            lister.watch();
            Ok(())
        };
        self.bucket.with_config(Box::new(on_config));
    }

    fn watch(self: &Rc<Self>) {
        if !self.is_active.get() {
            return;
        }
        self.patience.note_progress();
        let patterns: Vec<&str> = self.patterns.iter().map(String::as_str).collect();
        let options = WatchOptions::new().meta_only().heartbeat(self.patience.heartbeat());
        let lister = self.clone();
        let on_update = move |state: &mut State, _: &Rc<Watching>, update| match update {
            Update::Entry(entry) => lister.handle_entry(state, &entry),
            Update::Initialized => lister.handle_all(state),
            // what was shown stays so
            Update::Cleared if lister.confirms.get() => {
                lister.keys.borrow_mut().clear();
                Ok(())
            }
            Update::Ended(error) => lister.end(state, Err(error)),
            // if it lasts, there is no progress
            _ => Ok(()),
        };
        let watching = self.bucket.watch(&patterns, self.reads, options, Box::new(on_update));
        self.watching.get_or_init(|| Rc::downgrade(&watching));
    }

    fn handle_entry(self: &Rc<Self>, state: &mut State, entry: &Entry) -> Ran {
        self.patience.note_progress();
        let mut keys = self.keys.borrow_mut();
        if entry.operation().is_tombstone() {
            // what was shown stays so, and is not shown again
            if self.confirms.get() {
                keys.remove(entry.key_bytes());
            }
            return Ok(());
        }
        let is_new = keys.insert(entry.key_bytes());
        drop(keys);
        match is_new && !self.confirms.get() {
            true => self.show(state, entry.key().into_owned()),
            false => Ok(()),
        }
    }

    /// Everything has come.
    fn handle_all(self: &Rc<Self>, state: &mut State) -> Ran {
        self.stop_watching();
        if !self.confirms.get() || self.keys.borrow().len() == 0 {
            return self.end(state, Ok(()));
        }
        self.ask_page(state, Page::default())
    }

    /// Asks the leader for subjects that it has messages of.
    fn ask_page(self: &Rc<Self>, state: &mut State, page: Page) -> Ran {
        let (stream, prefix) = (&self.bucket.stream, &self.bucket.subjects);
        let Some(request) = page.request(stream, prefix, &self.patterns) else {
            return self.end(state, Ok(()));
        };
        self.patience.note_progress();
        let lister = self.clone();
        let on_page = move |state: &mut State, info: Result<StreamInfo, Error>| match info {
            Ok(info) => lister.handle_page(state, page, info),
            Err(error) => lister.end(state, Err(error)),
        };
        self.bucket.read(request, Box::new(on_page));
        Ok(())
    }

    fn handle_page(self: &Rc<Self>, state: &mut State, page: Page, info: StreamInfo) -> Ran {
        self.next_page.set(Some(page.next(&info)));
        let mut keys = self.keys.borrow_mut();
        let names = info.state.subjects.into_keys();
        let confirmed = names.filter_map(|subject| {
            let key = subject.strip_prefix(&self.bucket.subjects)?;
            // taken out, so that it is shown once
            keys.remove(key.as_bytes()).then(|| key.to_owned())
        });
        self.confirmed.borrow_mut().extend(confirmed);
        drop(keys);
        self.show_confirmed(state)
    }

    /// Shows some of what was confirmed, and goes on in the next turn.
    fn show_confirmed(self: &Rc<Self>, state: &mut State) -> Ran {
        if !self.is_active.get() {
            return Ok(());
        }
        if self.confirmed.borrow().is_empty() {
            return self.next_page.take().map_or(Ok(()), |page| self.ask_page(state, page));
        }
        let lister = self.clone();
        self.bucket.api.port().defer(move |state| lister.show_confirmed(state));
        self.patience.note_progress();
        for _ in 0..KEYS_A_TURN {
            let Some(key) = self.confirmed.borrow_mut().pop_front() else { break };
            self.show(state, key)?;
        }
        Ok(())
    }

    fn show(self: &Rc<Self>, state: &mut State, key: String) -> Ran {
        let shown = ListedKey::Key(key);
        self.callback.run_while(|| self.is_active(), |callback| callback(state, self, shown))
    }

    fn end(self: &Rc<Self>, state: &mut State, end: Result<(), Error>) -> Ran {
        let callback = self.callback.take();
        self.stop();
        callback.map_or(Ok(()), |mut callback| callback(state, self, ListedKey::Ended(end)))
    }

    pub(in crate::kv) fn stop(&self) {
        self.is_active.set(false);
        self.patience.end();
        self.stop_watching();
        self.confirmed.take();
        drop(self.callback.take());
    }

    fn stop_watching(&self) {
        if let Some(watching) = self.watching.get().and_then(Weak::upgrade) {
            watching.stop();
        }
    }
}
