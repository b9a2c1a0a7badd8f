//! A storage with the type of the user's state erased, for what lists.

use super::doc::CursorDoc;
use super::storage::CursorStorage;
use crate::callback::Answer;
use crate::mongo::error::Error;
use crate::mongo::storage_callback::typed;
use std::marker::PhantomData;

pub(in crate::mongo) trait ErasedStorage {
    fn store(&self, key: &str, cursor: &CursorDoc, answer: Answer<Result<u64, Error>>);
    fn load(&self, key: &str, answer: Answer<Result<(CursorDoc, u64), Error>>);
}

pub(in crate::mongo) struct Erased<S, C> {
    storage: C,
    state: PhantomData<fn(&mut S)>,
}

impl<S, C> Erased<S, C> {
    pub(in crate::mongo) fn new(storage: C) -> Self {
        Self { storage, state: PhantomData }
    }
}

impl<S: 'static, C: CursorStorage<S>> ErasedStorage for Erased<S, C> {
    fn store(&self, key: &str, cursor: &CursorDoc, answer: Answer<Result<u64, Error>>) {
        self.storage.store(key, cursor, typed(answer));
    }

    fn load(&self, key: &str, answer: Answer<Result<(CursorDoc, u64), Error>>) {
        self.storage.load(key, typed(answer));
    }
}
