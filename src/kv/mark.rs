//! The newest revision that a bucket's handles have written or seen: what a proven read must not be
//! older than.

use smol_str::SmolStr;
use std::cell::{Cell, RefCell};

/// Shared by the handles of a bucket and their clones.
#[derive(Default)]
pub(in crate::kv) struct Mark {
    newest: Cell<u64>,
    /// A key that had a message when it was last seen.
    known_key: RefCell<Option<SmolStr>>,
}

impl Mark {
    pub(in crate::kv) fn newest(&self) -> u64 {
        self.newest.get()
    }

    #[inline]
    pub(in crate::kv) fn note(&self, revision: u64) {
        self.newest.set(self.newest.get().max(revision));
    }

    /// The stream was made anew, or has lost what came after this revision.
    pub(in crate::kv) fn reset(&self, revision: u64) {
        self.newest.set(revision);
        self.forget_key();
    }

    pub(in crate::kv) fn known_key(&self) -> Option<SmolStr> {
        self.known_key.borrow().clone()
    }

    /// A key has a message. One that is known will do, until it turns out to be gone.
    #[inline]
    pub(in crate::kv) fn note_key(&self, key: &str) {
        let mut known = self.known_key.borrow_mut();
        if known.is_none() {
            *known = Some(key.into());
        }
    }

    pub(in crate::kv) fn forget_key(&self) {
        *self.known_key.borrow_mut() = None;
    }
}
