//! Changing what is known of an object, its name included, without touching its chunks.

use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::jetstream::{self, PurgeOptions};
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::{ObjectInfo, ObjectMeta};
use crate::object_store::name::check_object;
use crate::object_store::objects::meta::Found;
use crate::object_store::objects::meta_write::Written;
use crate::object_store::store::Store;
use std::rc::Rc;

impl<S: 'static> ObjectStore<S> {
    /// Gives an object another description, other headers, metadata, or another name. The size of its
    /// chunks stays what it is.
    ///
    /// A new name has to be free. The object has both names for a moment then; if it is overwritten
    /// under the old one meanwhile, it is not renamed.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Exists`] if there is an object of the new name; [`Error::Changed`] if
    /// it was overwritten meanwhile; [`Error::Unreadable`], [`Error::Sealed`],
    /// [`Error::NoWritesThroughPrefix`], or what JetStream reports.
    #[doc(alias = "UpdateMeta")]
    pub fn update_meta(
        &self,
        name: &str,
        meta: impl Into<ObjectMeta>,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) {
        let (store, meta, answer) = (self.store(), meta.into(), answer(self, callback));
        let checked = check_object(name).and_then(|()| check_object(&meta.name));
        if let Err(error) = store.check_writable().and(checked) {
            return store.defer(answer, Err(error));
        }
        match meta.name == name {
            true => store.describe(meta, answer),
            false => store.rename(name, meta, answer),
        }
    }
}

impl Store {
    fn describe(self: &Rc<Self>, meta: ObjectMeta, answer: Answer<Result<ObjectInfo, Error>>) {
        let (store, name) = (self.clone(), meta.name.clone());
        let decide = move |found: &Found| {
            let info = store.live_object(&meta.name, found.clone())?;
            Ok(described(info, &meta))
        };
        let on_written = move |state: &mut State, written: Result<Written, Error>| {
            answer(state, written.map(|written| written.info))
        };
        self.write_meta(&name, None, decide, Box::new(on_written));
    }

    fn rename(
        self: &Rc<Self>,
        name: &str,
        meta: ObjectMeta,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) {
        let (store, old) = (self.clone(), name.to_owned());
        let on_found = move |state: &mut State, found: Result<Found, Error>| {
            let info = match found.and_then(|found| store.live_object(&old, found)) {
                Ok(info) => info,
                Err(error) => return answer(state, Err(error)),
            };
            store.write_under_new_name(info, meta, answer);
            Ok(())
        };
        self.find_object(name, Box::new(on_found));
    }

    fn write_under_new_name(
        self: &Rc<Self>,
        info: ObjectInfo,
        meta: ObjectMeta,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) {
        let (bucket, renamed) = (self.bucket.to_string(), described(info.clone(), &meta));
        let decide = move |found: &Found| match found.live() {
            Some(other) => Err(Error::Exists { bucket: bucket.clone(), name: other.name.clone() }),
            None => Ok(renamed.clone()),
        };
        let store = self.clone();
        let on_written = move |state: &mut State, written: Result<Written, Error>| match written {
            Ok(written) => {
                store.leave_old_name(info, written.info, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.write_meta(&meta.name, None, decide, Box::new(on_written));
    }

    /// Removes what is known under the old name, if it is that still: what was written there meanwhile
    /// is newer, and stays.
    fn leave_old_name(
        self: &Rc<Self>,
        old: ObjectInfo,
        renamed: ObjectInfo,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) {
        let options = up_to(self.meta_subject(&old.name), old.revision);
        let store = self.clone();
        let on_removed =
            move |state: &mut State, removed: Result<u64, jetstream::Error>| match removed {
                Err(error) => answer(state, Err(store.error(error))),
                Ok(1..) => answer(state, Ok(renamed)),
                Ok(0) => store.check_old_name(old, renamed, answer),
            };
        self.api.purge_stream(&self.stream, &options, Box::new(on_removed));
    }

    /// Nothing was left to remove: somebody has overwritten or deleted the object, and freed its chunks.
    /// So the new name stands for nothing, and is taken back.
    fn check_old_name(
        self: &Rc<Self>,
        old: ObjectInfo,
        renamed: ObjectInfo,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) -> Ran {
        let options = up_to(self.meta_subject(&renamed.name), renamed.revision);
        let store = self.clone();
        let on_removed = move |state: &mut State, removed: Result<u64, jetstream::Error>| {
            let changed = Error::Changed { name: old.name };
            answer(state, Err(removed.map_or_else(|error| store.error(error), |_| changed)))
        };
        self.api.purge_stream(&self.stream, &options, Box::new(on_removed));
        Ok(())
    }
}

/// What is on a subject, up to a sequence.
fn up_to(subject: String, sequence: u64) -> PurgeOptions {
    PurgeOptions::new().subject(subject).before(sequence + 1)
}

fn described(info: ObjectInfo, meta: &ObjectMeta) -> ObjectInfo {
    ObjectInfo {
        name: meta.name.clone(),
        description: meta.description.clone(),
        headers: meta.headers.clone(),
        metadata: meta.metadata.clone(),
        ..info
    }
}
