//! Cursors as JSON in a store of bytes.

use super::bytes::ByteStore;
use super::doc::CursorDoc;
use super::error::CursorError;
use super::storage::CursorStorage;
use crate::mongo::error::Error;
use crate::mongo::storage_callback::StorageCallback;
use bytes::Bytes;
use std::rc::Rc;

/// A storage that keeps cursors as JSON in a [`ByteStore`]. Clones are the same storage.
#[derive(Debug)]
pub struct JsonStorage<B> {
    store: Rc<B>,
}

impl<B> JsonStorage<B> {
    /// A storage over a store of bytes.
    #[must_use]
    pub fn over(store: B) -> Self {
        Self { store: Rc::new(store) }
    }

    /// The store of bytes.
    #[must_use]
    pub fn store_of_bytes(&self) -> &B {
        &self.store
    }
}

impl<B> Clone for JsonStorage<B> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone() }
    }
}

impl<S: 'static, B: ByteStore<S>> CursorStorage<S> for JsonStorage<B> {
    fn store(&self, key: &str, cursor: &CursorDoc, callback: StorageCallback<S, u64>) {
        match cursor.to_json() {
            Ok(json) => self.store.create(key, json.into(), callback),
            // the store is asked for nothing but its way back to the loop
            Err(error) => {
                self.store.ping(Box::new(move |state, _| callback(state, Err(error.into()))))
            }
        }
    }

    fn load(&self, key: &str, callback: StorageCallback<S, (CursorDoc, u64)>) {
        let on_read = move |state: &mut S, found: Result<Option<(Bytes, u64)>, Error>| {
            let found = found.and_then(|found| found.ok_or(CursorError::NotFound.into()));
            let cursor =
                found.and_then(|(json, revision)| Ok((CursorDoc::from_json(&json)?, revision)));
            callback(state, cursor)
        };
        self.store.read(key, Box::new(on_read));
    }

    fn delete(&self, key: &str, callback: StorageCallback<S, ()>) {
        self.store.remove(key, callback);
    }

    fn touch(&self, key: &str, revision: u64, callback: StorageCallback<S, u64>) {
        let (store, kept) = (self.store.clone(), key.to_owned());
        let on_read = move |state: &mut S, found: Result<Option<(Bytes, u64)>, Error>| match found {
            Ok(Some((json, at))) if at == revision => {
                store.replace(&kept, json, revision, callback);
                Ok(())
            }
            Ok(Some(_)) => callback(state, Err(CursorError::Changed { expected: revision }.into())),
            Ok(None) => callback(state, Err(CursorError::NotFound.into())),
            Err(error) => callback(state, Err(error)),
        };
        self.store.read(key, Box::new(on_read));
    }

    fn ping(&self, callback: StorageCallback<S, ()>) {
        self.store.ping(callback);
    }
}
