//! Putting objects, as users do.

use crate::callback::{Callback, Handler, Outcome, State, answer, lend};
use crate::event_loop::timers_on;
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::{ObjectInfo, ObjectMeta};
use crate::object_store::progress::Progress;
use crate::object_store::putting::options::PutOptions;
use crate::object_store::putting::piece::Piece;
use crate::object_store::putting::source::{of_bytes, of_reader};
use crate::object_store::putting::upload::{Phase, Source, Upload};
use bytes::Bytes;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

/// An object that is being put. A cheap handle: dropping it does not end the put.
pub struct Put<S: 'static = ()> {
    store: ObjectStore<S>,
    upload: Rc<Upload>,
}

impl<S: 'static> ObjectStore<S> {
    /// Puts an object of bytes that are at hand. What was there under the name is replaced, when the new
    /// object is stored as a whole, and its chunks are freed. The callback gets what is known of it.
    ///
    /// Chunks go by fast ingest where the server (2.14) and the bucket have it, else in a bounded window.
    /// Where the stream is without a leader or overloaded for a while, or the connection is lost, the put
    /// waits and goes on, for six requests' time. A put that fails leaves no chunk behind; if that fails,
    /// too, it says so.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::EmptyName`], [`Error::InvalidChunkSize`], [`Error::Sealed`],
    /// [`Error::NoWritesThroughPrefix`]; [`Error::is_full`] if there is no room; [`Error::Aborted`];
    /// [`Error::ChunksLeft`], also if the object is stored, and the old chunks could not be freed; or
    /// what JetStream reports.
    #[doc(alias = "PutBytes")]
    #[doc(alias = "PutString")]
    pub fn put(
        &self,
        meta: impl Into<ObjectMeta>,
        data: impl Into<Bytes>,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) -> Put<S> {
        self.put_with(meta, data, PutOptions::new(), callback)
    }

    /// As [`put`](Self::put), on conditions.
    ///
    /// # Errors
    /// [`Error::WrongRevision`], or as [`put`](Self::put).
    pub fn put_with(
        &self,
        meta: impl Into<ObjectMeta>,
        data: impl Into<Bytes>,
        options: PutOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) -> Put<S> {
        let data = data.into();
        let total = Some(data.len() as u64);
        self.begin_put(meta.into(), options, total, of_bytes(data), callback)
    }

    /// Puts an object of what a reader gives, a chunk at a time, to its end. It is read on the loop:
    /// what blocks the reader blocks the loop. For what does not come by itself, see
    /// [`put_pieces`](Self::put_pieces).
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, or as [`put_with`](Self::put_with).
    #[doc(alias = "Put")]
    pub fn put_from(
        &self,
        meta: impl Into<ObjectMeta>,
        reader: impl Read + 'static,
        options: PutOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) -> Put<S> {
        self.begin_put(meta.into(), options, None, of_reader(reader), callback)
    }

    /// Puts a file, as [`put_from`](Self::put_from) does.
    ///
    /// # Errors
    /// As [`put_from`](Self::put_from).
    #[doc(alias = "PutFile")]
    pub fn put_file(
        &self,
        meta: impl Into<ObjectMeta>,
        path: impl AsRef<Path>,
        options: PutOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) -> Put<S> {
        match File::open(path) {
            Ok(file) => {
                let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
                let total = metadata.map(|metadata| metadata.len());
                self.begin_put(meta.into(), options, total, of_reader(file), callback)
            }
            Err(error) => {
                let mut error = Some(error);
                let fail = move |_: &mut State, _: &Rc<Upload>, _| {
                    error.take().map_or(Piece::End, Piece::Failed)
                };
                self.begin_put(meta.into(), options, None, Box::new(fail), callback)
            }
        }
    }

    /// Puts an object of pieces that the program hands in when it is asked: the first callback runs
    /// whenever there is room for about so many bytes more. So an object of any size takes the memory of
    /// a few chunks. A panic in it ends the put with [`Error::Aborted`].
    ///
    /// # Errors
    /// [`Error::Io`] with what was handed in as [`Piece::Failed`], or as [`put_with`](Self::put_with).
    pub fn put_pieces(
        &self,
        meta: impl Into<ObjectMeta>,
        options: PutOptions,
        mut next: impl FnMut(&mut S, &Put<S>, usize) -> Piece + 'static,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) -> Put<S> {
        let store = self.clone();
        let source: Source = Box::new(move |state, upload, wanted| {
            let put = Put { store: store.clone(), upload: upload.clone() };
            next(lend(state), &put, wanted)
        });
        self.begin_put(meta.into(), options, None, source, callback)
    }

    fn begin_put(
        &self,
        meta: ObjectMeta,
        options: PutOptions,
        total: Option<u64>,
        source: Source,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) -> Put<S> {
        let answer = answer(self, callback);
        let upload = Upload::new(self.store(), meta, options, total, source, answer);
        upload.start();
        Put { store: self.clone(), upload }
    }
}

impl<S: 'static> Put<S> {
    /// Runs whenever more of the object is known to be stored. It replaces the hook that was set before.
    pub fn on_progress(&self, mut hook: impl Handler<S, Put<S>, Progress>) {
        let store = self.store.clone();
        let hook = move |state: &mut State, upload: &Rc<Upload>, progress: Progress| {
            let put = Put { store: store.clone(), upload: upload.clone() };
            hook(lend(state), &put, progress).into_ran()
        };
        if self.is_active() {
            // user code, which may use the put
            drop(self.upload.on_progress.replace(Box::new(hook)));
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.upload.progress()
    }

    /// Asks for the next piece again, after there was none ([`Piece::Later`]).
    pub fn resume(&self) {
        self.upload.resume();
    }

    /// Ends the put: its chunks are removed, and then its callback runs with [`Error::Aborted`]. When all
    /// chunks are stored, it is too late: then its outcome comes as if nothing had happened.
    pub fn abort(&self) {
        self.upload.fail_later(Error::Aborted);
    }

    /// Whether its outcome is still to come.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.upload.phase() != Phase::Over
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &ObjectStore<S> {
        &self.store
    }
}

timers_on!(Put, |put| put.store.client().port().event_loop());

impl<S> Clone for Put<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), upload: self.upload.clone() }
    }
}

impl<S> fmt::Debug for Put<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("store", &self.store)
            .field("object", &self.upload.meta.name)
            .field("progress", &self.upload.progress())
            .finish_non_exhaustive()
    }
}
