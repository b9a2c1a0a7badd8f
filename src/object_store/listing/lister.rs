//! A listing, with the type of the user's state erased: what a watch shows up to its signal, and what
//! passes the [`Sieve`] of that.

use crate::callback::{CallbackSlot, Ran, State};
use crate::jetstream::watching::{Page, Patience, key_hashes};
use crate::jetstream::{StreamConfig, StreamInfo};
use crate::object_store::error::Error;
use crate::object_store::listing::item::ListedObject;
use crate::object_store::listing::options::ListOptions;
use crate::object_store::listing::sieve::Sieve;
use crate::object_store::store::Store;
use crate::object_store::watching::options::WatchOptions;
use crate::object_store::watching::update::{Update, Watching};
use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};

pub(in crate::object_store) type OnListed =
    Box<dyn FnMut(&mut State, &Rc<ObjectLister>, ListedObject) -> Ran>;

pub(in crate::object_store) struct ObjectLister {
    store: Rc<Store>,
    options: ListOptions,
    /// Held by its reader for as long as it is fed, and holds this.
    watching: OnceCell<Weak<Watching>>,
    patience: Rc<Patience>,
    is_active: Cell<bool>,
    callback: CallbackSlot<OnListed>,
}

impl ObjectLister {
    pub(super) fn begin(store: &Rc<Store>, options: ListOptions, on_listed: OnListed) -> Rc<Self> {
        let lister = Rc::new(Self {
            store: store.clone(),
            options,
            watching: OnceCell::new(),
            patience: Patience::new(&store.api),
            is_active: Cell::new(true),
            callback: CallbackSlot::new(on_listed),
        });
        let ending = lister.clone();
        lister.patience.begin(move |state| ending.end(state, Err(Error::timeout())));
        lister.ask_replicas();
        lister
    }

    /// Whether the callback may run again.
    pub(super) fn is_active(&self) -> bool {
        self.is_active.get()
    }

    /// Whether a replica that lags behind may serve the listing has to be known before anything is shown.
    fn ask_replicas(self: &Rc<Self>) {
        let lister = self.clone();
        let on_config = move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| {
            let sieve = Sieve::new(key_hashes(lister.store.api.port()));
            match config {
                Ok(config) if config.num_replicas > 1 => lister.ask_page(sieve, Page::default()),
                // if nobody may say it, nobody can say what the leader has
                Err(error) if !error.is_denied() => return lister.end(state, Err(error)),
                _ => lister.watch(sieve),
            }
            Ok(())
        };
        self.store.with_config(Box::new(on_config));
    }

    /// Asks the leader for what it has, page by page, and then watches.
    fn ask_page(self: &Rc<Self>, sieve: Sieve, page: Page) {
        let prefix = self.store.meta_prefix();
        let Some(request) = page.request(&self.store.stream, &prefix, &[">"]) else {
            return self.watch(sieve);
        };
        if !self.is_active() {
            return;
        }
        self.patience.note_progress();
        let lister = self.clone();
        let on_page = move |state: &mut State, info: Result<StreamInfo, Error>| match info {
            Ok(info) => {
                let sieve = lister.note_page(sieve, &prefix, &info);
                lister.ask_page(sieve, page.next(&info));
                Ok(())
            }
            Err(error) => lister.end(state, Err(error)),
        };
        self.store.read(request, Box::new(on_page));
    }

    fn note_page(&self, mut sieve: Sieve, prefix: &str, info: &StreamInfo) -> Sieve {
        let subjects = info.state.subjects.keys();
        let tokens = subjects.filter_map(|subject| subject.strip_prefix(prefix));
        let hashes = || key_hashes(self.store.api.port());
        sieve.note_page(tokens, info.state.last_sequence, hashes);
        sieve
    }

    fn watch(self: &Rc<Self>, sieve: Sieve) {
        if !self.is_active() {
            return;
        }
        self.patience.note_progress();
        let options = WatchOptions::new().heartbeat(self.patience.heartbeat());
        let options = match self.options.include_deleted {
            true => options,
            false => options.ignore_deletes(),
        };
        let lister = self.clone();
        let on_update = move |state: &mut State, _: &Rc<Watching>, update| match update {
            Update::Object(info) => lister.show(state, ListedObject::Object(info)),
            Update::Unreadable(bad) => lister.show(state, ListedObject::Unreadable(bad)),
            Update::Initialized => lister.end(state, Ok(())),
            Update::Ended(error) => lister.end(state, Err(error)),
            // if it lasts, there is no progress
            _ => Ok(()),
        };
        let watching = self.store.watch(options, Some(sieve), Box::new(on_update));
        self.watching.get_or_init(|| Rc::downgrade(&watching));
    }

    fn show(self: &Rc<Self>, state: &mut State, listed: ListedObject) -> Ran {
        self.patience.note_progress();
        self.callback.run_while(|| self.is_active(), |callback| callback(state, self, listed))
    }

    fn end(self: &Rc<Self>, state: &mut State, end: Result<(), Error>) -> Ran {
        let callback = self.callback.take();
        self.stop();
        callback.map_or(Ok(()), |mut callback| callback(state, self, ListedObject::Ended(end)))
    }

    pub(super) fn stop(&self) {
        self.is_active.set(false);
        self.patience.end();
        if let Some(watching) = self.watching.get().and_then(Weak::upgrade) {
            watching.stop();
        }
        drop(self.callback.take());
    }
}
