//! Deleting objects, and removing chunks that belong to none.

use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::{self, PurgeOptions};
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::ObjectInfo;
use crate::object_store::name::check_object;
use crate::object_store::objects::meta::Found;
use crate::object_store::objects::meta_write::Written;
use crate::object_store::store::Store;
use std::rc::Rc;

impl<S: 'static> ObjectStore<S> {
    /// Deletes an object, and frees its chunks. A link is deleted, and not what it points to. What was
    /// known of the object stays, marked as [deleted](ObjectInfo::deleted).
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is deleted already; [`Error::ChunksLeft`] if it is deleted, and
    /// its chunks could not be freed; [`Error::Sealed`], [`Error::NoWritesThroughPrefix`], or what
    /// JetStream reports.
    #[doc(alias = "Delete")]
    pub fn delete(
        &self,
        name: &str,
        callback: impl Callback<S, ObjectStore<S>, Result<(), Error>>,
    ) {
        self.store().delete_object(name, answer(self, callback));
    }
}

impl Store {
    fn delete_object(self: &Rc<Self>, name: &str, answer: Answer<Result<(), Error>>) {
        if let Err(error) = self.check_writable().and_then(|()| check_object(name)) {
            return self.defer(answer, Err(error));
        }
        let (store, deleted) = (self.clone(), name.to_owned());
        let decide = move |found: &Found| match &found.info {
            // what cannot be read can be deleted all the same
            Some(Err(_)) => Ok(store.tombstone(&deleted, None)),
            _ => {
                let info = store.live_object(&deleted, found.clone())?;
                Ok(store.tombstone(&deleted, Some(info)))
            }
        };
        let store = self.clone();
        let on_written = move |state: &mut State, written: Result<Written, Error>| match written {
            Ok(written) => {
                store.free(written.before.known().cloned(), answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.write_meta(name, None, decide, Box::new(on_written));
    }

    /// What is left of an object that was deleted.
    fn tombstone(&self, name: &str, info: Option<ObjectInfo>) -> ObjectInfo {
        let info = info.unwrap_or_else(|| self.new_info(name));
        ObjectInfo { deleted: true, size: 0, chunks: 0, digest: None, ..info }
    }

    /// An object of which nothing is known.
    pub(in crate::object_store) fn new_info(&self, name: &str) -> ObjectInfo {
        ObjectInfo {
            bucket: self.bucket.to_string(),
            name: name.to_owned(),
            description: None,
            headers: Default::default(),
            metadata: Default::default(),
            link: None,
            chunk_size: None,
            nuid: String::new(),
            size: 0,
            chunks: 0,
            digest: None,
            deleted: false,
            revision: 0,
            modified: None,
        }
    }

    /// Frees the chunks of an object that is not there any more, if it had some.
    pub(in crate::object_store) fn free(
        self: &Rc<Self>,
        replaced: Option<ObjectInfo>,
        answer: Answer<Result<(), Error>>,
    ) {
        let Some(replaced) = replaced.filter(ObjectInfo::has_chunks) else {
            return self.defer(answer, Ok(()));
        };
        let subject = self.chunk_subject(&replaced.nuid);
        let on_removed = move |state: &mut State, removed: Result<(), Error>| {
            let removed = removed.map_err(|removal| Error::ChunksLeft {
                subject,
                cause: None,
                removal: Box::new(removal),
            });
            answer(state, removed)
        };
        self.remove_chunks(&replaced.nuid, Box::new(on_removed));
    }

    /// Removes all chunks that are stored under an identity.
    pub(in crate::object_store) fn remove_chunks(
        self: &Rc<Self>,
        nuid: &str,
        answer: Answer<Result<(), Error>>,
    ) {
        let options = PurgeOptions::new().subject(self.chunk_subject(nuid));
        let store = self.clone();
        let on_purged = move |state: &mut State, purged: Result<u64, jetstream::Error>| {
            answer(state, purged.map(drop).map_err(|error| store.error(error)))
        };
        self.api.purge_stream(&self.stream, &options, Box::new(on_purged));
    }
}
