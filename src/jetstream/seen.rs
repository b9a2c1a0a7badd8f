//! What all clones of a handle know of the stream or consumer that it names: what was told last.

use super::error::Error;
use crate::callback::{Answer, State};
use std::cell::RefCell;
use std::rc::Rc;

/// A name, and what was told last of what has it.
pub(super) struct Seen<T> {
    name: Box<str>,
    told: RefCell<Option<Rc<T>>>,
}

/// What a server tells of a stream or a consumer.
pub(super) trait Told: Clone + 'static {
    /// Returns what of it is kept.
    fn to_keep(&self) -> Self {
        self.clone()
    }
}

impl<T: Told> Seen<T> {
    pub(super) fn new(name: &str, told: Option<T>) -> Rc<Self> {
        Rc::new(Self { name: name.into(), told: RefCell::new(told.map(Rc::new)) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn told(&self) -> Option<Rc<T>> {
        self.told.borrow().clone()
    }

    pub(super) fn note(&self, told: &T) {
        *self.told.borrow_mut() = Some(Rc::new(told.to_keep()));
    }

    /// Has what a call tells kept before it is passed on.
    pub(super) fn noting(
        self: &Rc<Self>,
        answer: Answer<Result<T, Error>>,
    ) -> Answer<Result<T, Error>> {
        let seen = self.clone();
        Box::new(move |state, told| {
            if let Ok(told) = &told {
                seen.note(told);
            }
            answer(state, told)
        })
    }

    /// Has it forgotten before a success is passed on.
    pub(super) fn forgetting(
        self: &Rc<Self>,
        answer: Answer<Result<(), Error>>,
    ) -> Answer<Result<(), Error>> {
        let seen = self.clone();
        Box::new(move |state: &mut State, deleted: Result<(), Error>| {
            if deleted.is_ok() {
                seen.told.take();
            }
            answer(state, deleted)
        })
    }

    /// Checks that a configuration is this one's, by its name.
    pub(super) fn check_own(&self, name: &str) -> Result<(), Error> {
        if name == &*self.name {
            return Ok(());
        }
        let reason = "the handle has another name";
        Err(Error::InvalidName { name: name.to_owned(), reason })
    }
}
