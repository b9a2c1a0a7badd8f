//! The slot of a callback that runs more than once: empty while it runs.
//!
//! The slot is shared with the code that runs the callback, so no borrow of its owner is alive while
//! user code runs. The callback comes back when it returns and when it panics, wherever its owner
//! has gone meanwhile, unless another one has been put in its place.

use super::erased::Ran;
use std::cell::Cell;
use std::rc::Rc;

pub(crate) struct CallbackSlot<C>(Rc<Cell<Option<C>>>);

impl<C> Default for CallbackSlot<C> {
    fn default() -> Self {
        Self(Rc::new(Cell::new(None)))
    }
}

impl<C> CallbackSlot<C> {
    pub(crate) fn new(callback: C) -> Self {
        Self(Rc::new(Cell::new(Some(callback))))
    }

    /// The same slot.
    #[inline]
    pub(crate) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Puts a callback in, and returns the one that was there.
    pub(crate) fn replace(&self, callback: C) -> Option<C> {
        self.0.replace(Some(callback))
    }

    /// Empties the slot. Nothing is returned while the callback runs.
    pub(crate) fn take(&self) -> Option<C> {
        self.0.take()
    }

    /// Whether there is no callback. One that is running is there.
    pub(crate) fn is_empty(&self) -> bool {
        let callback = self.0.take();
        let is_empty = callback.is_none();
        self.0.set(callback);
        is_empty
    }

    /// Runs the callback, if there is one.
    #[inline]
    pub(crate) fn run(&self, run: impl FnOnce(&mut C) -> Ran) -> Ran {
        let mut lent = Lent { slot: &self.0, callback: self.0.take() };
        match &mut lent.callback {
            Some(callback) => run(callback),
            None => Ok(()),
        }
    }

    /// As [`run`](Self::run), and empties the slot if the callback is not to run again: while it ran, it
    /// could not be dropped.
    #[inline]
    pub(crate) fn run_while(
        &self,
        may_run_again: impl FnOnce() -> bool,
        run: impl FnOnce(&mut C) -> Ran,
    ) -> Ran {
        let ran = self.run(run);
        if !may_run_again() {
            drop(self.take());
        }
        ran
    }
}

/// A callback that is away from its slot.
struct Lent<'a, C> {
    slot: &'a Cell<Option<C>>,
    callback: Option<C>,
}

impl<C> Drop for Lent<'_, C> {
    #[inline]
    fn drop(&mut self) {
        let newer = self.slot.take();
        self.slot.set(newer.or(self.callback.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_callback_comes_back_also_when_it_panics() {
        let slot = CallbackSlot::new(7);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            slot.run(|_| {
                assert_eq!(slot.take(), None, "it is away");
                panic!("a bug in the application");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(slot.take(), Some(7));
    }

    #[test]
    fn one_that_was_put_in_its_slot_stays() {
        let slot = CallbackSlot::new(1);
        let ran = slot.run(|_| {
            assert_eq!(slot.replace(2), None);
            Ok(())
        });
        assert!(ran.is_ok());
        assert_eq!(slot.take(), Some(2));
        assert!(slot.run(|_| panic!("there is none")).is_ok());
    }
}
