//! What a storage of cursors has to do.

use super::doc::CursorDoc;
use crate::mongo::storage_callback::StorageCallback;

/// A storage of cursors. [`KvCursorStorage`](super::KvCursorStorage) keeps them in a bucket,
/// [`MemoryCursorStorage`](super::MemoryCursorStorage) in the program; whoever has another store for bytes needs
/// no more than a [`ByteStore`](super::ByteStore).
///
/// A key names one cursor that never changes, so several processes may use it at once. How long cursors live is
/// the storage's own affair. A revision is a number that grows with each write of a key.
pub trait CursorStorage<S: 'static>: 'static {
    /// Stores a cursor under a key that has none. The callback gets its revision.
    ///
    /// # Errors
    /// To the callback: [`CursorError::Exists`](super::CursorError::Exists), or why the store has failed.
    fn store(&self, key: &str, cursor: &CursorDoc, callback: StorageCallback<S, u64>);

    /// Loads a cursor, with its revision. It does not live longer for that.
    ///
    /// # Errors
    /// To the callback: [`CursorError::NotFound`](super::CursorError::NotFound) if it is absent, has expired, or was
    /// deleted; [`CursorError::Unreadable`](super::CursorError::Unreadable); or why the store has failed.
    fn load(&self, key: &str, callback: StorageCallback<S, (CursorDoc, u64)>);

    /// Deletes a cursor, and what is left of it. That there is none is a success.
    ///
    /// # Errors
    /// To the callback: why the store has failed.
    fn delete(&self, key: &str, callback: StorageCallback<S, ()>);

    /// Gives a cursor that is at this revision its whole life again. The callback gets the new revision.
    ///
    /// # Errors
    /// To the callback: [`CursorError::NotFound`](super::CursorError::NotFound);
    /// [`CursorError::Changed`](super::CursorError::Changed) if another one was first; or why the store has failed.
    fn touch(&self, key: &str, revision: u64, callback: StorageCallback<S, u64>);

    /// Asks whether the store is there.
    ///
    /// # Errors
    /// To the callback: why it is not.
    fn ping(&self, callback: StorageCallback<S, ()>);
}
