//! The place of a callback that runs more than once: empty while it runs.
//!
//! The place is shared with whoever runs the callback, so no borrow of its owner is alive while
//! user code runs. The callback comes back when it returns and when it panics, wherever its owner
//! has gone meanwhile, unless another one has been put in its place.

use std::cell::Cell;
use std::rc::Rc;

pub(crate) struct Place<C>(Rc<Cell<Option<C>>>);

impl<C> Default for Place<C> {
    fn default() -> Self {
        Self(Rc::new(Cell::new(None)))
    }
}

impl<C> Place<C> {
    pub(crate) fn new(callback: C) -> Self {
        Self(Rc::new(Cell::new(Some(callback))))
    }

    /// The same place.
    #[inline]
    pub(crate) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Puts a callback in, and returns the one that was there.
    pub(crate) fn replace(&self, callback: C) -> Option<C> {
        self.0.replace(Some(callback))
    }

    /// Empties the place. Nothing is returned while the callback runs.
    pub(crate) fn take(&self) -> Option<C> {
        self.0.take()
    }

    /// Runs the callback, if there is one.
    #[inline]
    pub(crate) fn run(&self, run: impl FnOnce(&mut C)) {
        let mut lent = Lent { place: &self.0, callback: self.0.take() };
        if let Some(callback) = &mut lent.callback {
            run(callback);
        }
    }
}

/// A callback that is away from its place.
struct Lent<'a, C> {
    place: &'a Cell<Option<C>>,
    callback: Option<C>,
}

impl<C> Drop for Lent<'_, C> {
    #[inline]
    fn drop(&mut self) {
        let newer = self.place.take();
        self.place.set(newer.or(self.callback.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_callback_comes_back_also_when_it_panics() {
        let place = Place::new(7);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            place.run(|_| {
                assert_eq!(place.take(), None, "it is away");
                panic!("a bug in the application");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(place.take(), Some(7));
    }

    #[test]
    fn one_that_was_put_in_its_place_stays() {
        let place = Place::new(1);
        place.run(|_| assert_eq!(place.replace(2), None));
        assert_eq!(place.take(), Some(2));
        place.run(|_| panic!("there is none"));
    }
}
