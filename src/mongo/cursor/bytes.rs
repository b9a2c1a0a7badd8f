//! What a store of bytes has to do, to keep cursors as JSON.

use crate::mongo::storage_callback::StorageCallback;
use bytes::Bytes;

/// A store of bytes under keys, for [`JsonStorage`](super::JsonStorage). Callbacks run once, on the loop, and never
/// within the call itself.
pub trait ByteStore<S: 'static>: 'static {
    /// Writes bytes under a key that has none. The callback gets their revision.
    ///
    /// # Errors
    /// To the callback: [`CursorError::Exists`](super::CursorError::Exists) if it has some.
    fn create(&self, key: &str, bytes: Bytes, callback: StorageCallback<S, u64>);

    /// Reads what is under a key, with its revision. `None`: nothing, or nothing any more.
    fn read(&self, key: &str, callback: StorageCallback<S, Option<(Bytes, u64)>>);

    /// Writes over what is at this revision, with its whole life. The callback gets the new revision.
    ///
    /// # Errors
    /// To the callback: [`CursorError::Changed`](super::CursorError::Changed) if it is at another one.
    fn replace(&self, key: &str, bytes: Bytes, revision: u64, callback: StorageCallback<S, u64>);

    /// Removes what is under a key, if there is something.
    fn remove(&self, key: &str, callback: StorageCallback<S, ()>);

    /// Asks whether the store is there.
    fn ping(&self, callback: StorageCallback<S, ()>);
}
