//! Boxes that are used again, for what awaits the replies of operations that are made by the thousand: to
//! allocate and free one for each of them costs a tenth of all that is done for it.
//!
//! Invariant, kept by who puts a box back: it holds nothing of a user's any more, and not its owner either.

use std::cell::RefCell;

/// So many boxes are kept at most.
const MOST: usize = 1024;

/// The spare boxes of one kind of operations.
pub(crate) struct Spares<T>(RefCell<Vec<Box<T>>>);

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

/// Puts into a box that is used again what it is for now. There is nothing in it to drop, and to find that
/// out costs a call.
#[inline(always)]
pub(crate) fn fill<T>(empty: &mut Option<T>, value: T) {
    std::mem::forget(empty.replace(value));
}

impl<T> Spares<T> {
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.0.borrow_mut().pop()
    }

    #[inline(always)]
    pub(crate) fn put_back(&self, spare: Box<T>) {
        let mut spares = self.0.borrow_mut();
        if spares.len() < MOST {
            spares.push(spare);
        }
    }
}
