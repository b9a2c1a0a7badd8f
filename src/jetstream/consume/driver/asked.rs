//! Those who have asked for a message, each for one, in the order in which they have asked.

use crate::client::Port;
use crate::event_loop::TimerId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

pub(in crate::jetstream::consume) struct Asked<A> {
    waiting: RefCell<VecDeque<Waiting<A>>>,
    last_number: Cell<u64>,
    /// The consumer is asked for a message only when somebody has asked for it.
    is_one_by_one: bool,
}

struct Waiting<A> {
    number: u64,
    asker: A,
    /// Ends the wait.
    timer: Option<TimerId>,
}

impl<A> Asked<A> {
    pub(in crate::jetstream::consume) fn new(is_one_by_one: bool) -> Self {
        Self { waiting: RefCell::default(), last_number: Cell::new(0), is_one_by_one }
    }

    /// Somebody waits, until the timer that is made with its number.
    pub(super) fn add(&self, asker: A, timer: impl FnOnce(u64) -> Option<TimerId>) {
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
    pub(super) fn next(&self, port: &Port) -> Option<A> {
        let waiting = self.waiting.borrow_mut().pop_front()?;
        Some(waiting.done(port))
    }

    pub(super) fn take_all(&self, port: &Port) -> impl Iterator<Item = A> {
        let all = self.waiting.take();
        all.into_iter().map(|waiting| waiting.done(port))
    }

    /// Takes the one with this number, whose time is over.
    pub(super) fn take_lapsed(&self, number: u64) -> Option<A> {
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.iter().position(|waiting| waiting.number == number)?;
        waiting.remove(place).map(|waiting| waiting.asker)
    }
}

impl<A> Waiting<A> {
    fn done(self, port: &Port) -> A {
        if let Some(timer) = self.timer {
            port.cancel_timer(timer);
        }
        self.asker
    }
}
