//! What all clones of a handle know of the stream or consumer that it names: what was told last, and
//! of which stream, so that another one that has its name later is not taken for it.

use super::creation::Creation;
use super::error::Error;
use crate::callback::{Answer, State};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

/// A name, and what was told last of what has it.
pub(super) struct Seen<T> {
    name: Box<str>,
    told: RefCell<Option<Rc<T>>>,
    creation: Cell<Creation>,
}

/// What a server tells of a stream or a consumer.
pub(super) trait Told: Clone + 'static {
    /// Returns what of it is kept.
    fn to_keep(&self) -> Self {
        self.clone()
    }

    /// Returns when the stream was created, if it is told of one.
    fn stream_created(&self) -> Option<SystemTime> {
        None
    }
}

impl<T: Told> Seen<T> {
    pub(super) fn new(name: &str, told: Option<T>) -> Rc<Self> {
        let told = RefCell::new(told.map(Rc::new));
        Rc::new(Self { name: name.into(), told, creation: Cell::default() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn told(&self) -> Option<Rc<T>> {
        self.told.borrow().clone()
    }

    /// Keeps what a call tells, if it is told of what was told of before.
    pub(super) fn note(&self, told: &T) -> Result<(), Error> {
        let mut creation = self.creation.get();
        let is_another = creation.is_another(told.stream_created());
        self.creation.set(creation);
        if is_another {
            return Err(Error::StreamRecreated);
        }
        *self.told.borrow_mut() = Some(Rc::new(told.to_keep()));
        Ok(())
    }

    fn forget(&self) {
        self.told.take();
        self.creation.take();
    }

    /// Has what a call tells kept before it is passed on.
    pub(super) fn noting(
        self: &Rc<Self>,
        answer: Answer<Result<T, Error>>,
    ) -> Answer<Result<T, Error>> {
        let seen = self.clone();
        Box::new(move |state, told| {
            let told = told.and_then(|told| seen.note(&told).map(|()| told));
            answer(state, told)
        })
    }

    /// As [`noting`](Self::noting), for what may have been created by the call.
    pub(super) fn beginning(
        self: &Rc<Self>,
        answer: Answer<Result<T, Error>>,
    ) -> Answer<Result<T, Error>> {
        self.forgetting(self.noting(answer))
    }

    /// Has it forgotten before a success is passed on.
    pub(super) fn forgetting<R: 'static>(
        self: &Rc<Self>,
        answer: Answer<Result<R, Error>>,
    ) -> Answer<Result<R, Error>> {
        let seen = self.clone();
        Box::new(move |state: &mut State, outcome: Result<R, Error>| {
            if outcome.is_ok() {
                seen.forget();
            }
            answer(state, outcome)
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
