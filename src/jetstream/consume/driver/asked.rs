//! Those who have asked for a message, each for one, in the order in which they have asked.

use super::handing::Asker;
use crate::client::Port;
use crate::event_loop::TimerId;
use crate::jetstream::consume::machine::Machine;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

pub(in crate::jetstream::consume) struct Asked<M: Machine> {
    waiting: RefCell<VecDeque<Waiting<M>>>,
    last_number: Cell<u64>,
    /// The consumer is asked for a message only when somebody has asked for it.
    is_one_by_one: bool,
}

struct Waiting<M: Machine> {
    number: u64,
    asker: Asker<M>,
    /// Ends the wait.
    timer: Option<TimerId>,
}

impl<M: Machine> Asked<M> {
    pub(in crate::jetstream::consume) fn new(is_one_by_one: bool) -> Self {
        Self { waiting: RefCell::default(), last_number: Cell::new(0), is_one_by_one }
    }

    /// Somebody waits, until the timer that is made with its number.
    pub(super) fn add(&self, asker: Asker<M>, timer: impl FnOnce(u64) -> Option<TimerId>) {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let waiting = Waiting { number, asker, timer: timer(number) };
        self.waiting.borrow_mut().push_back(waiting);
    }

    pub(super) fn is_asked(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Whether the consumer is not to be asked.
    pub(super) fn is_idle(&self) -> bool {
        self.is_one_by_one && !self.is_asked()
    }

    /// Takes whoever has waited longest.
    pub(super) fn next(&self, port: &Port) -> Option<Asker<M>> {
        let waiting = self.waiting.borrow_mut().pop_front()?;
        Some(waiting.done(port))
    }

    pub(super) fn take_all(&self, port: &Port) -> impl Iterator<Item = Asker<M>> {
        let all = self.waiting.take();
        all.into_iter().map(|waiting| waiting.done(port))
    }

    /// Takes the one with this number, whose time is over.
    pub(super) fn take_lapsed(&self, number: u64) -> Option<Asker<M>> {
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.iter().position(|waiting| waiting.number == number)?;
        waiting.remove(place).map(|waiting| waiting.asker)
    }
}

impl<M: Machine> Waiting<M> {
    fn done(self, port: &Port) -> Asker<M> {
        if let Some(timer) = self.timer {
            port.cancel_timer(timer);
        }
        self.asker
    }
}
