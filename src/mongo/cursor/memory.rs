//! Cursors in the program's memory.

use super::bytes::ByteStore;
use super::error::CursorError;
use super::json::JsonStorage;
use super::kept::Kept;
use crate::callback::lend;
use crate::event_loop::{Handle, Shared};
use crate::mongo::error::Error;
use crate::mongo::storage_callback::StorageCallback;
use bytes::Bytes;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How long a cursor lives by default.
const TTL: Duration = Duration::from_secs(3600);
/// How many there may be by default.
const CAPACITY: usize = 65_536;

/// Cursors in memory, for one process and for tests: nothing outlives the program. They live for an hour, by the
/// loop's clock, and no more than 65,536 at once; one more is refused with [`CursorError::Full`].
///
/// ```
/// use evnats::mongo::MemoryCursorStorage;
/// use std::time::Duration;
///
/// let event_loop = evnats::EventLoop::<()>::new()?;
/// let cursors = MemoryCursorStorage::new(event_loop.handle())
///     .ttl(Duration::from_secs(600))
///     .capacity(1_000);
/// assert!(cursors.is_empty());
/// # Ok::<(), evnats::Error>(())
/// ```
pub type MemoryCursorStorage<S = ()> = JsonStorage<MemoryBytes<S>>;

/// Memory as a store of bytes, for [`MemoryCursorStorage`].
pub struct MemoryBytes<S: 'static = ()> {
    handle: Handle<S>,
    kept: RefCell<Kept>,
}

impl<S: 'static> JsonStorage<MemoryBytes<S>> {
    /// An empty storage, which goes by the clock of this loop.
    #[must_use]
    pub fn new(handle: &Handle<S>) -> Self {
        let kept = RefCell::new(Kept::new(TTL, CAPACITY));
        Self::over(MemoryBytes { handle: handle.clone(), kept })
    }

    /// How long a cursor lives from when it is stored or touched.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        self.store_of_bytes().kept.borrow_mut().ttl = ttl;
        self
    }

    /// How many cursors there may be at once.
    #[must_use]
    pub fn capacity(self, capacity: usize) -> Self {
        self.store_of_bytes().kept.borrow_mut().capacity = capacity;
        self
    }

    /// How many cursors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let store = self.store_of_bytes();
        store.kept.borrow_mut().len(store.shared().now())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: 'static> MemoryBytes<S> {
    fn shared(&self) -> &Rc<Shared> {
        self.handle.shared()
    }

    /// Tells an outcome in the next turn.
    fn tell<T: 'static>(&self, callback: StorageCallback<S, T>, outcome: Result<T, CursorError>) {
        let outcome = outcome.map_err(Error::from);
        let task = move |state: &mut _| callback(lend(state), outcome).map_err(Box::new);
        self.shared().set_timer(Duration::ZERO, Box::new(task));
    }
}

impl<S: 'static> ByteStore<S> for MemoryBytes<S> {
    fn create(&self, key: &str, bytes: Bytes, callback: StorageCallback<S, u64>) {
        let created = self.kept.borrow_mut().create(key, bytes, self.shared().now());
        self.tell(callback, created);
    }

    fn read(&self, key: &str, callback: StorageCallback<S, Option<(Bytes, u64)>>) {
        let found = self.kept.borrow_mut().read(key, self.shared().now());
        self.tell(callback, Ok(found));
    }

    fn replace(&self, key: &str, bytes: Bytes, revision: u64, callback: StorageCallback<S, u64>) {
        let replaced = self.kept.borrow_mut().replace(key, bytes, revision, self.shared().now());
        self.tell(callback, replaced);
    }

    fn remove(&self, key: &str, callback: StorageCallback<S, ()>) {
        self.kept.borrow_mut().remove(key);
        self.tell(callback, Ok(()));
    }

    fn ping(&self, callback: StorageCallback<S, ()>) {
        self.tell(callback, Ok(()));
    }
}

impl<S> fmt::Debug for MemoryBytes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBytes").finish_non_exhaustive()
    }
}
