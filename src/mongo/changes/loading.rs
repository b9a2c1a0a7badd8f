//! The position that the store has is read, before the stream is opened for the first time.

use crate::callback::{Ran, State};
use crate::mongo::changes::class::{Class, classify};
use crate::mongo::changes::destination::Beginning;
use crate::mongo::changes::options::Start;
use crate::mongo::changes::state::StopReason;
use crate::mongo::changes::store::StoredPoint;
use crate::mongo::changes::watch::Watch;
use crate::mongo::error::Error;
use std::rc::Rc;

impl Watch {
    /// Reads the position, and opens the stream.
    pub(super) fn load(self: &Rc<Self>) {
        let (watch, term) = (self.clone(), self.work.borrow().term);
        let loaded = move |state: &mut State, stored| watch.handle_loaded(state, term, stored);
        match &self.store {
            Some(store) => store.get(Box::new(loaded)),
            None => self.bridge.defer(Box::new(loaded), Ok(None)),
        }
    }

    fn handle_loaded(
        self: &Rc<Self>,
        state: &mut State,
        term: u64,
        stored: Result<Option<StoredPoint>, Error>,
    ) -> Ran {
        if self.is_ending() {
            return self.go_on(state);
        }
        if self.work.borrow().term != term {
            return Ok(());
        }
        match stored {
            Ok(stored) => match self.destination.clone() {
                None => {
                    self.take_in(stored);
                    self.open(state)
                }
                Some(destination) => {
                    let (watch, point) =
                        (Rc::downgrade(self), stored.clone().map(|stored| stored.point));
                    // the watcher holds the destination, which may hold this for long
                    let begin = move |state: &mut State, said| match watch.upgrade() {
                        Some(watch) => watch.handle_said(state, term, stored, said),
                        None => Ok(()),
                    };
                    destination.begin(self, point.as_ref(), Box::new(begin));
                    Ok(())
                }
            },
            Err(error @ Error::BadPoint { revision: Some(revision), .. }) => {
                // what cannot be read is replaced, if the program takes it for lost
                let mut work = self.work.borrow_mut();
                work.saving.revision = Some(revision);
                work.is_loaded = true;
                drop(work);
                self.handle_lost(state, error)
            }
            Err(error) if error.is_temporary() => {
                self.fail(state, Rc::new(error.clone().into()), move |_| StopReason::Store(error))
            }
            Err(error) => self.stop(state, StopReason::Store(error)),
        }
    }

    /// The place that changes go to has said where to begin, which counts whatever was asked for.
    fn handle_said(
        self: &Rc<Self>,
        state: &mut State,
        term: u64,
        stored: Option<StoredPoint>,
        said: Result<Beginning, Error>,
    ) -> Ran {
        if self.is_ending() {
            return self.go_on(state);
        }
        if self.work.borrow().term != term {
            return Ok(());
        }
        match said {
            Ok(beginning) => {
                self.take_in(stored);
                self.begin_at(beginning);
                self.open(state)
            }
            Err(Error::Fenced) => self.stop(state, StopReason::Fenced),
            Err(error) if classify(&error, true) == Class::Passing || error.is_temporary() => {
                self.fail(state, Rc::new(error.clone().into()), move |_| StopReason::Sink(error))
            }
            Err(error) => self.stop(state, StopReason::Sink(error)),
        }
    }

    fn begin_at(&self, beginning: Beginning) {
        let mut work = self.work.borrow_mut();
        match beginning {
            Beginning::Unknown => {}
            Beginning::At(time) => {
                (work.position, work.beginning) = (None, Some(Start::At(time)));
            }
            Beginning::After(point) => (work.position, work.beginning) = (Some(point), None),
        }
    }

    fn take_in(&self, stored: Option<StoredPoint>) {
        let mut work = self.work.borrow_mut();
        work.is_loaded = true;
        work.saving.revision = stored.as_ref().map(|stored| stored.revision);
        let point = stored.map(|stored| stored.point);
        work.position = point.clone();
        if !self.is_in_seed_order() {
            return;
        }
        match work.beginning {
            Some(_) => work.sequence.note_saved(point),
            None => work.beginning = work.sequence.resume(point).map(Start::At),
        }
    }
}
