//! The loop's side of the bridge: calls, and who is told of their outcomes.

use super::connection::Connection;
use super::generations::Generations;
use super::id::Id;
use super::outbox::{Left, Outbox, Parcel, Report};
use super::phase::Closing;
use super::tenant::Tenant;
use super::under_way::{Kind, Table, UnderWay};
use crate::callback::{Answer, Ran, State};
use crate::event_loop::{Registration, Shared, Slot};
use crate::mongo::error::Error;
use crate::mongo::options::Options;
use mongodb::Client;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// After so many late calls in a row, with no word from the driver between them, its connections are
/// given up.
const LATE_IN_A_ROW: u32 = 3;

pub(in crate::mongo) struct Bridge {
    pub(super) slot: Slot,
    pub(super) registration: OnceCell<Registration>,
    pub(super) options: Options,
    pub(super) outbox: Arc<Outbox>,
    pub(super) table: RefCell<Table>,
    pub(super) generations: RefCell<Generations>,
    /// Taken from the outbox, and not yet told.
    pub(super) arrived: RefCell<VecDeque<Left>>,
    pub(super) closing: RefCell<Option<Closing>>,
    pub(super) late_in_a_row: Cell<u32>,
    pub(super) tenants: RefCell<Vec<Rc<dyn Tenant>>>,
}

impl Bridge {
    pub(in crate::mongo) fn start(
        event_loop: &Rc<Shared>,
        options: Options,
    ) -> crate::error::Result<Rc<Self>> {
        if event_loop.has_ended() {
            return Err(crate::error::Error::LoopEnded);
        }
        let bridge = Rc::new_cyclic(|weak: &Weak<Self>| Self {
            slot: Slot::new(event_loop, weak.clone()),
            registration: OnceCell::new(),
            options,
            outbox: Arc::default(),
            table: RefCell::default(),
            generations: RefCell::default(),
            arrived: RefCell::default(),
            closing: RefCell::default(),
            late_in_a_row: Cell::new(0),
            tenants: RefCell::default(),
        });
        let registration = bridge.slot.register().map_err(crate::error::Error::EventLoop)?;
        bridge.outbox.wake_by(registration.set_readiness());
        let _ = bridge.registration.set(registration);
        bridge.renew()?;
        Ok(bridge)
    }

    pub(in crate::mongo) fn event_loop(&self) -> &Rc<Shared> {
        self.slot.event_loop()
    }

    pub(in crate::mongo) fn options(&self) -> &Options {
        &self.options
    }

    /// Has the driver do something. The answer comes exactly once, `within` at the latest.
    pub(in crate::mongo) fn call<T, F>(
        self: &Rc<Self>,
        within: Duration,
        operation: impl FnOnce(Client) -> F + Send + 'static,
        answer: Answer<Result<T, Error>>,
    ) where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let unpacked = move |state: &mut State, outcome| answer(state, unpack(outcome));
        let Some(id) = self.admit(Kind::Call, Box::new(unpacked)) else { return };
        let outbox = self.outbox.clone();
        let run = async move |connection: Arc<Connection>| {
            let report = Report::new(&outbox, id);
            let outcome = async { operation(connection.client().await?).await };
            report.send(outcome.await.map(|value| Box::new(value) as Parcel));
        };
        let weak = Rc::downgrade(self);
        let give_up = move |state: &mut State| match weak.upgrade() {
            Some(bridge) => bridge.give_up(state, id, within),
            None => Ok(()),
        };
        let timer = self.event_loop().set_deadline(within, Box::new(give_up));
        self.note_timer(id, timer);
        self.generations.borrow().run(Box::new(move |connection| Box::pin(run(connection))));
    }

    /// Takes something new in, unless there is a reason to refuse it, which is told in the next turn.
    pub(super) fn admit(&self, kind: Kind, on_end: Answer<Result<Parcel, Error>>) -> Option<Id> {
        let refused = match self.begin() {
            Err(error) => error,
            Ok(generation) => {
                let id = self.table.borrow_mut().insert(generation, kind, on_end);
                self.slot.wake();
                return Some(id);
            }
        };
        self.defer(on_end, Err(refused));
        None
    }

    /// Answers in the next turn: what is known at once.
    pub(in crate::mongo) fn defer<T: 'static>(&self, answer: Answer<T>, outcome: T) {
        let task = move |state: &mut State| answer(state, outcome);
        self.event_loop().set_timer(Duration::ZERO, Box::new(task));
    }

    /// The generation that takes something new. If its thread has died, there is another one now.
    fn begin(&self) -> Result<u64, Error> {
        let limit = self.options.max_calls;
        if self.closing.borrow().is_some() {
            return Err(Error::Closed);
        }
        if self.table.borrow().len() >= limit {
            return Err(Error::Busy { limit });
        }
        if let Some(number) = self.generations.borrow_mut().begin() {
            return Ok(number);
        }
        self.renew()?;
        self.generations.borrow_mut().begin().ok_or(Error::Closed)
    }

    pub(super) fn renew(&self) -> Result<(), Error> {
        self.late_in_a_row.set(0);
        self.generations.borrow_mut().renew(&self.options, &self.outbox)
    }

    /// Takes something out of the table, and its timer with it.
    pub(super) fn finish(&self, id: Id) -> Option<UnderWay> {
        let ended = self.table.borrow_mut().remove(id)?;
        if let Some(timer) = ended.timer {
            self.event_loop().cancel_timer(timer);
        }
        self.generations.borrow_mut().finish(ended.generation);
        Some(ended)
    }

    pub(super) fn note_timer(&self, id: Id, timer: crate::event_loop::TimerId) {
        if let Some(under_way) = self.table.borrow_mut().get_mut(id) {
            under_way.timer = Some(timer);
        }
    }

    /// A call is late. The driver goes on with it, and nobody hears of it any more.
    fn give_up(&self, state: &mut State, id: Id, within: Duration) -> Ran {
        let Some(late) = self.finish(id) else { return Ok(()) };
        // one of a generation that was left already says nothing about the connections of now
        if self.generations.borrow().is_current(late.generation) {
            self.note_late();
        }
        // there may be nothing left to do now
        self.slot.wake();
        (late.on_end)(state, Err(Error::Timeout { within }))
    }

    fn note_late(&self) {
        self.late_in_a_row.set(self.late_in_a_row.get() + 1);
        if self.late_in_a_row.get() >= LATE_IN_A_ROW {
            self.leave_silent_peer();
        }
    }

    /// Goes on with new connections, and with new streams on them: an old one that still gets answers would
    /// keep the old thread for as long as it does.
    pub(super) fn leave_silent_peer(&self) {
        log::warn!("MongoDB is silent: the connections to it are made anew");
        match self.renew() {
            Ok(()) => self.end_old_streams(),
            Err(error) => log::error!("the connections to MongoDB stay as they are: {error}"),
        }
    }

    fn end_old_streams(&self) {
        let generations = self.generations.borrow();
        let is_old = |generation| !generations.is_current(generation);
        let old = self.table.borrow().hang_up_streams_of(is_old);
        let left = |id| Left::Ended { id, outcome: Err(Error::ConnectionsLeft) };
        self.arrived.borrow_mut().extend(old.into_iter().map(left));
    }
}

/// What has come over is what was sent: the job and the answer are made in one place.
fn unpack<T: 'static>(outcome: Result<Parcel, Error>) -> Result<T, Error> {
    outcome?.downcast().map(|value| *value).map_err(|_| Error::Panicked)
}
