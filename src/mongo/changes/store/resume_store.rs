//! What keeps a position.

use crate::mongo::changes::point::ResumePoint;
use crate::mongo::storage_callback::StorageCallback;
use bson::Timestamp;

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
    fn get(&self, done: StorageCallback<S, Option<StoredPoint>>);

    /// When the change of the last position was. `None`: there is no position, or one without a change.
    fn get_time(&self, done: StorageCallback<S, Option<Timestamp>>) {
        self.get(Box::new(move |state, stored| {
            done(state, stored.map(|stored| stored?.point.timestamp))
        }));
    }

    /// Saves a position over that of the `expected` revision; `None`: there must be none. Gives its revision.
    /// If another one was saved meanwhile, nothing is, and the error is
    /// [`Error::Fenced`](crate::mongo::Error::Fenced).
    fn save(&self, point: &ResumePoint, expected: Option<u64>, done: StorageCallback<S, u64>);

    /// Deletes a position, if it is the one that is stored under its own key.
    fn delete(&self, point: &ResumePoint, done: StorageCallback<S, ()>);
}
