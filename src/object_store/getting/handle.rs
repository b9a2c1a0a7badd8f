//! Getting objects, as users do.

use crate::callback::{Callback, Handler, Outcome, Ran, RefHandler, State, lend};
use crate::event_loop::timers_on;
use crate::object_store::error::Error;
use crate::object_store::getting::download::{Brought, Download, OnData, OnEnd};
use crate::object_store::getting::options::GetOptions;
use crate::object_store::getting::writing::NewFile;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::ObjectInfo;
use crate::object_store::progress::Progress;
use bytes::Bytes;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

/// An object that is being got. A cheap handle: dropping it does not end the get.
pub struct Get<S: 'static = ()> {
    store: ObjectStore<S>,
    download: Rc<Download>,
}

/// An object, or a part of it, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// What is known of it. If a link was asked for, it is what the link points to.
    pub info: ObjectInfo,
    /// Which of its bytes they are.
    pub range: Range<u64>,
    /// Whether the bytes have the object's digest. They are compared whenever it is the whole object: then
    /// it is `false` only if whoever has put it has noted no digest.
    pub is_verified: bool,
    /// The bytes.
    pub data: Bytes,
}

/// An object, or a part of it, whose bytes have been handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Got {
    /// What is known of it. If a link was asked for, it is what the link points to.
    pub info: ObjectInfo,
    /// Which of its bytes they were.
    pub range: Range<u64>,
    /// Whether the bytes had the object's digest. They are compared whenever it is the whole object: then
    /// it is `false` only if whoever has put it has noted no digest.
    pub is_verified: bool,
}

impl<S: 'static> ObjectStore<S> {
    /// Gets an object into memory. Links are followed.
    ///
    /// The size, the number of chunks and the digest are checked. While the connection or the stream's
    /// leader is away, the get waits and goes on, for six requests' time without a word.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Changed`] if it is overwritten or deleted meanwhile;
    /// [`Error::Damaged`], [`Error::Unreadable`], [`Error::BucketLink`], [`Error::LinkCycle`],
    /// [`Error::BucketNotFound`], [`Error::EmptyName`], or what JetStream reports.
    #[doc(alias = "GetBytes")]
    #[doc(alias = "GetString")]
    pub fn get(
        &self,
        name: &str,
        callback: impl Callback<S, ObjectStore<S>, Result<Object, Error>>,
    ) -> Get<S> {
        self.get_with(name, GetOptions::new(), callback)
    }

    /// As [`get`](Self::get), or a part of it.
    ///
    /// # Errors
    /// [`Error::InvalidRange`], or as [`get`](Self::get).
    pub fn get_with(
        &self,
        name: &str,
        options: GetOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<Object, Error>>,
    ) -> Get<S> {
        let store = self.clone();
        let data = Rc::new(RefCell::new(Vec::new()));
        let filled = data.clone();
        let on_data: OnData = Box::new(move |_, _, bytes| {
            filled.borrow_mut().extend_from_slice(bytes);
            Ok(Ok(()))
        });
        let answer: OnEnd = Box::new(move |state, brought| {
            let object = brought.map(|Brought { info, range, is_verified }| Object {
                info,
                range,
                is_verified,
                data: data.take().into(),
            });
            callback(lend(state), &store, object).into_ran()
        });
        self.begin_get(name, options, on_data, answer)
    }

    /// Gets an object piece by piece: the first callback runs for each, in their order, and the second
    /// one once for the end. The bytes are not known to be the object's before that. So an object of any
    /// size takes the memory of a few chunks.
    ///
    /// # Errors
    /// As [`get_with`](Self::get_with).
    #[doc(alias = "Get")]
    pub fn get_pieces(
        &self,
        name: &str,
        options: GetOptions,
        mut on_data: impl RefHandler<S, Get<S>, [u8]>,
        callback: impl Callback<S, ObjectStore<S>, Result<Got, Error>>,
    ) -> Get<S> {
        let store = self.clone();
        let on_data: OnData = Box::new(move |state, download, bytes| {
            let get = Get { store: store.clone(), download: download.clone() };
            Ok(on_data(lend(state), &get, bytes).into_ran())
        });
        self.begin_get(name, options, on_data, self.on_end(callback))
    }

    /// Gets an object into a writer, which is written to on the loop: what blocks it blocks the loop.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written, or as [`get_with`](Self::get_with).
    pub fn get_to(
        &self,
        name: &str,
        mut writer: impl Write + 'static,
        options: GetOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<Got, Error>>,
    ) -> Get<S> {
        let on_data: OnData = Box::new(move |_, download, bytes| {
            let is_last = download.progress().done == download.progress().total.unwrap_or(0);
            let written = writer.write_all(bytes).and_then(|()| match is_last {
                true => writer.flush(),
                false => Ok(()),
            });
            written.map(Ok).map_err(|error| cannot_write(&error))
        });
        self.begin_get(name, options, on_data, self.on_end(callback))
    }

    /// Gets an object into a file, which is replaced if it exists. It has another name until it is
    /// whole, and is gone if that never comes.
    ///
    /// # Errors
    /// As [`get_to`](Self::get_to).
    #[doc(alias = "GetFile")]
    pub fn get_file(
        &self,
        name: &str,
        path: impl AsRef<Path>,
        options: GetOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<Got, Error>>,
    ) -> Get<S> {
        let random = self.client().port().random();
        // created at once, so that one that cannot be is told without reading anything
        let file = Rc::new(RefCell::new(Some(NewFile::create(path.as_ref(), random))));
        let failed = matches!(&*file.borrow(), Some(Err(_)));
        let written = file.clone();
        let on_data: OnData = Box::new(move |_, _, bytes| match &mut *written.borrow_mut() {
            Some(Ok(file)) => file.write(bytes).map(Ok).map_err(|error| cannot_write(&error)),
            _ => Ok(Ok(())),
        });
        let answer = self.on_end(callback);
        let answer: OnEnd = Box::new(move |state: &mut State, brought| {
            let kept = brought.and_then(|brought| {
                let keep = |file: NewFile| file.keep();
                let kept = file.take().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
                kept.and_then(keep).map(|()| brought).map_err(|error| cannot_write(&error))
            });
            drop(file);
            answer(state, kept)
        });
        if failed {
            let store = self.store();
            let download = Download::new(store, name, options, on_data, answer);
            let ending = download.clone();
            store.api.port().defer(move |state| {
                let nothing = Brought {
                    info: ending.asked.new_info(&ending.name),
                    range: 0..0,
                    is_verified: false,
                };
                // the answer says what is wrong with the file
                ending.end(state, Ok(nothing))
            });
            return Get { store: self.clone(), download };
        }
        self.begin_get(name, options, on_data, answer)
    }

    fn on_end(&self, callback: impl Callback<S, ObjectStore<S>, Result<Got, Error>>) -> OnEnd {
        let store = self.clone();
        Box::new(move |state, brought| {
            let got = brought.map(|Brought { info, range, is_verified }| Got {
                info,
                range,
                is_verified,
            });
            callback(lend(state), &store, got).into_ran()
        })
    }

    fn begin_get(&self, name: &str, options: GetOptions, on_data: OnData, answer: OnEnd) -> Get<S> {
        let download = Download::new(self.store(), name, options, on_data, answer);
        download.start();
        Get { store: self.clone(), download }
    }
}

fn cannot_write(error: &io::Error) -> Error {
    Error::io("write what was got", error)
}

impl<S: 'static> Get<S> {
    /// Runs whenever more of the object has been handed over. It replaces the hook that was set before.
    pub fn on_progress(&self, mut hook: impl Handler<S, Get<S>, Progress>) {
        let store = self.store.clone();
        let hook = move |state: &mut State, download: &Rc<Download>, progress: Progress| -> Ran {
            let get = Get { store: store.clone(), download: download.clone() };
            hook(lend(state), &get, progress).into_ran()
        };
        if self.is_active() {
            // user code, which may use the get
            drop(self.download.on_progress.replace(Box::new(hook)));
        }
    }

    /// How far it has come. The total is known once the object was found.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.download.progress()
    }

    /// Ends the get: nothing more is handed over, and its callback runs with [`Error::Aborted`], unless it
    /// has ended already.
    pub fn abort(&self) {
        self.download.abort();
    }

    /// Whether it goes on: its outcome is still to come, and it was not aborted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.download.is_active()
    }

    /// The bucket that was asked.
    #[must_use]
    pub fn bucket(&self) -> &ObjectStore<S> {
        &self.store
    }
}

timers_on!(Get, |get| get.store.client().port().event_loop());

impl<S> Clone for Get<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), download: self.download.clone() }
    }
}

impl<S> fmt::Debug for Get<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("store", &self.store)
            .field("object", &self.download.name)
            .field("progress", &self.download.progress())
            .finish_non_exhaustive()
    }
}
