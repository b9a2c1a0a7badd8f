//! Where positions are kept.

mod kv;
mod mongo;

pub use kv::KvResumeStore;
pub use mongo::MongoResumeStore;

use crate::callback::{Answer, State};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::error::Error;
use bson::Timestamp;
use std::marker::PhantomData;

/// A callback of a store: to be called exactly once, on the loop.
pub type StoreCallback<S, T> = Box<dyn FnOnce(&mut S, Result<T, Error>) -> crate::error::Result>;

/// A position that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPoint {
    /// The position.
    pub point: ResumePoint,
    /// The revision under which it is stored: the next [`save`](ResumeStore::save) replaces this one only.
    pub revision: u64,
}

/// Keeps the position of one watcher. Each callback is to be called exactly once.
pub trait ResumeStore<S: 'static>: 'static {
    /// The last position. `None`: there is none.
    fn get(&self, done: StoreCallback<S, Option<StoredPoint>>);

    /// When the change of the last position was. `None`: there is no position, or one without a change.
    fn get_time(&self, done: StoreCallback<S, Option<Timestamp>>) {
        self.get(Box::new(move |state, stored| {
            done(state, stored.map(|stored| stored?.point.timestamp))
        }));
    }

    /// Saves a position over that of the `expected` revision; `None`: there must be none. Gives its revision.
    /// If another one was saved meanwhile, nothing is, and the error is [`Error::Fenced`].
    fn save(&self, point: &ResumePoint, expected: Option<u64>, done: StoreCallback<S, u64>);

    /// Deletes a position, if it is the one that is stored under its own key.
    fn delete(&self, point: &ResumePoint, done: StoreCallback<S, ()>);
}

/// A store with the type of the user's state erased.
pub(super) trait Store {
    fn get(&self, answer: Answer<Result<Option<StoredPoint>, Error>>);
    fn save(&self, point: &ResumePoint, expected: Option<u64>, answer: Answer<Result<u64, Error>>);
}

pub(super) struct Erased<S, R> {
    store: R,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static, R: ResumeStore<S>> Erased<S, R> {
    pub(super) fn new(store: R) -> Self {
        Self { store, state: PhantomData }
    }
}

impl<S: 'static, R: ResumeStore<S>> Store for Erased<S, R> {
    fn get(&self, answer: Answer<Result<Option<StoredPoint>, Error>>) {
        self.store.get(callback(answer));
    }

    fn save(&self, point: &ResumePoint, expected: Option<u64>, answer: Answer<Result<u64, Error>>) {
        self.store.save(point, expected, callback(answer));
    }
}

fn callback<S: 'static, T: 'static>(answer: Answer<Result<T, Error>>) -> StoreCallback<S, T> {
    Box::new(move |state: &mut S, outcome| {
        answer(state as &mut State, outcome).map_err(|error| *error)
    })
}
