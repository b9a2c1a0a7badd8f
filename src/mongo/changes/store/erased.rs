//! A store with the type of the user's state erased.

use super::resume_store::{ResumeStore, StoredPoint};
use crate::callback::Answer;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::error::Error;
use crate::mongo::storage_callback::typed;
use std::marker::PhantomData;

pub(in crate::mongo::changes) trait Store {
    fn get(&self, answer: Answer<Result<Option<StoredPoint>, Error>>);
    fn save(&self, point: &ResumePoint, expected: Option<u64>, answer: Answer<Result<u64, Error>>);
}

pub(in crate::mongo::changes) struct Erased<S, R> {
    store: R,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static, R: ResumeStore<S>> Erased<S, R> {
    pub(in crate::mongo::changes) fn new(store: R) -> Self {
        Self { store, state: PhantomData }
    }
}

impl<S: 'static, R: ResumeStore<S>> Store for Erased<S, R> {
    fn get(&self, answer: Answer<Result<Option<StoredPoint>, Error>>) {
        self.store.get(typed(answer));
    }

    fn save(&self, point: &ResumePoint, expected: Option<u64>, answer: Answer<Result<u64, Error>>) {
        self.store.save(point, expected, typed(answer));
    }
}
