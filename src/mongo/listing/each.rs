//! A whole list, row by row.

use super::error::ListError;
use super::fetch::Fetched;
use super::query::Query;
use super::reading::{behind, read_rows};
use super::span::Span;
use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::event_loop::TimerId;
use crate::mongo::bridge::{Bridge, Tenant};
use crate::mongo::cursor::position::Position;
use crate::mongo::error::Error;
use bson::RawDocumentBuf;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How many rows a turn gives to the callback at most.
const MAX_ROWS: usize = 256;

pub(super) type OnRow = Box<dyn FnMut(&mut State, RawDocumentBuf) -> Ran>;
pub(super) type OnEnd = Answer<Result<ListEnd, Error>>;

/// How a list has ended that was read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListEnd {
    /// How many rows were given to the callback.
    pub rows: u64,
    /// Whether it was [stopped](Listing::stop).
    pub is_stopped: bool,
}

/// A list that is read as a whole. A cheap handle: dropping it changes nothing.
pub struct Listing<S: 'static = ()> {
    whole: Rc<Whole>,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Listing<S> {
    pub(super) fn new(whole: Rc<Whole>) -> Self {
        Self { whole, state: PhantomData }
    }

    /// No row comes from now on, and no page is asked for, until it is [resumed](Self::resume).
    pub fn pause(&self) {
        self.whole.is_paused.set(true);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.whole.is_paused.set(false);
        self.whole.go_on_later();
    }

    /// No row comes from now on. The end is told in the next turn.
    pub fn stop(&self) {
        self.whole.is_stopped.set(true);
        self.whole.go_on_later();
    }
}

pub(super) struct Whole {
    bridge: Rc<Bridge>,
    query: Result<Arc<Query>, ListError>,
    rows: RefCell<VecDeque<RawDocumentBuf>>,
    next: Cell<Option<Position>>,
    has_more: Cell<bool>,
    is_fetching: Cell<bool>,
    is_paused: Cell<bool>,
    is_stopped: Cell<bool>,
    /// The turn in which it goes on.
    timer: Cell<Option<TimerId>>,
    given: Cell<u64>,
    on_row: CallbackSlot<OnRow>,
    on_end: Cell<Option<OnEnd>>,
}

impl Whole {
    pub(super) fn new(bridge: Rc<Bridge>, query: Result<Query, ListError>) -> Rc<Self> {
        Rc::new(Self {
            bridge,
            query: query.map(Arc::new),
            rows: RefCell::default(),
            next: Cell::new(None),
            has_more: Cell::new(true),
            is_fetching: Cell::new(false),
            is_paused: Cell::new(false),
            is_stopped: Cell::new(false),
            timer: Cell::new(None),
            given: Cell::new(0),
            on_row: CallbackSlot::default(),
            on_end: Cell::new(None),
        })
    }

    pub(super) fn begin(self: &Rc<Self>, on_row: OnRow, on_end: OnEnd) {
        if let Err(error) = &self.query {
            let whole = self.clone();
            let tell = move |state: &mut State, ended| {
                // it is there until it has been told
                let _whole = whole;
                on_end(state, ended)
            };
            return self.bridge.defer(Box::new(tell), Err(error.clone().into()));
        }
        self.on_row.replace(on_row);
        self.on_end.set(Some(on_end));
        self.bridge.take_in(self.clone());
        self.go_on_later();
    }

    fn go_on_later(self: &Rc<Self>) {
        let timer = self.timer.take().unwrap_or_else(|| {
            let whole = self.clone();
            let task = move |state: &mut State| {
                whole.timer.set(None);
                whole.go_on(state)
            };
            self.bridge.event_loop().set_timer(Duration::ZERO, Box::new(task))
        });
        self.timer.set(Some(timer));
    }

    fn go_on(self: &Rc<Self>, state: &mut State) -> Ran {
        for _ in 0..MAX_ROWS {
            if self.is_stopped.get() {
                return self.end(state, Ok(()));
            }
            if self.is_paused.get() {
                return Ok(());
            }
            let row = self.rows.borrow_mut().pop_front();
            match row {
                Some(row) => {
                    self.given.set(self.given.get() + 1);
                    // an error leaves the loop, and the list goes on when it is run again
                    if let Err(error) = self.on_row.run(|on_row| on_row(state, row)) {
                        self.go_on_later();
                        return Err(error);
                    }
                }
                None if self.is_fetching.get() => return Ok(()),
                None if self.has_more.get() => {
                    self.fetch();
                    return Ok(());
                }
                None => return self.end(state, Ok(())),
            }
        }
        self.go_on_later();
        Ok(())
    }

    fn fetch(self: &Rc<Self>) {
        let Ok(query) = &self.query else { return };
        self.is_fetching.set(true);
        let whole = self.clone();
        let on_fetched = move |state: &mut State, fetched: Result<Fetched, Error>| {
            whole.is_fetching.set(false);
            match fetched {
                Ok(fetched) => {
                    whole.has_more.set(fetched.has_more);
                    whole.rows.borrow_mut().extend(fetched.rows);
                    whole.next.set(behind(fetched.ends));
                    whole.go_on(state)
                }
                Err(error) => whole.end(state, Err(error)),
            }
        };
        let position = self.next.take();
        read_rows(&self.bridge, query, Span::at(position), None, Box::new(on_fetched));
    }

    fn end(self: &Rc<Self>, state: &mut State, outcome: Result<(), Error>) -> Ran {
        let Some(on_end) = self.on_end.take() else { return Ok(()) };
        self.bridge.let_go(self);
        let end = ListEnd { rows: self.given.get(), is_stopped: self.is_stopped.get() };
        self.has_more.set(false);
        let (on_row, rows) = (self.on_row.take(), self.rows.take());
        // user code may run in the drop of a callback
        drop((on_row, rows));
        on_end(state, outcome.map(|()| end))
    }
}

impl Tenant for Whole {
    fn handle_closed(self: Rc<Self>, state: &mut State) -> Ran {
        self.end(state, Err(Error::Closed))
    }
}

impl<S> Clone for Listing<S> {
    fn clone(&self) -> Self {
        Self { whole: self.whole.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Listing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("rows", &self.whole.given.get())
            .field("is_paused", &self.whole.is_paused.get())
            .finish_non_exhaustive()
    }
}
