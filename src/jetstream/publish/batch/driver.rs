//! The driver of a batch: its machine's steps as requests, and its outcome as a callback.
//!
//! Requests that are under way keep it alive, and nothing else in the crate does: a batch that is
//! given up is gone with the last answer.

use super::machine::{Draft, Machine, Step};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::publish::pub_ack::PubAck;
use evnats_protocol::{Message, OutgoingMessage};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub(super) struct Driver {
    api: Api,
    machine: RefCell<Machine>,
    /// The callback of the commit.
    on_committed: Cell<Option<Answer<Result<PubAck, Error>>>>,
    /// The hook for a failure before that.
    on_failed: Cell<Option<Answer<Error>>>,
}

impl Driver {
    pub(super) fn new(api: &Api, max_waiting: usize) -> Rc<Self> {
        let random = || api.port().random();
        let id = format!("{:016x}{:06x}", random(), random() >> 40);
        Rc::new(Self {
            api: api.clone(),
            machine: RefCell::new(Machine::new(id, max_waiting)),
            on_committed: Cell::new(None),
            on_failed: Cell::new(None),
        })
    }

    pub(super) fn with_machine<T>(&self, look: impl FnOnce(&mut Machine) -> T) -> T {
        look(&mut self.machine.borrow_mut())
    }

    pub(super) fn add(self: &Rc<Self>, message: Draft) -> Result<(), Error> {
        self.with_machine(|machine| machine.add(message))?;
        self.advance();
        // the message may need what the server lacks
        self.finish_later();
        Ok(())
    }

    /// Commits as the machine is told to, and answers with the outcome.
    pub(super) fn commit(
        self: &Rc<Self>,
        command: impl FnOnce(&mut Machine),
        answer: Answer<Result<PubAck, Error>>,
    ) {
        self.on_committed.set(Some(answer));
        self.with_machine(command);
        self.advance();
        self.finish_later();
    }

    pub(super) fn set_on_failed(self: &Rc<Self>, hook: Answer<Error>) {
        self.on_failed.set(Some(hook));
        self.finish_later();
    }

    pub(super) fn abandon(&self) {
        self.with_machine(Machine::abandon);
    }

    fn advance(self: &Rc<Self>) {
        loop {
            let step = self.with_machine(Machine::poll);
            match step {
                None => return,
                Some(Step::AskLevel) => self.ask_level(),
                Some(Step::Send { number, message }) => self.send(number, message),
            }
        }
    }

    fn ask_level(self: &Rc<Self>) {
        let driver = self.clone();
        self.api.with_level(move |told| {
            driver.with_machine(|machine| machine.handle_level(told));
            driver.advance();
            driver.finish_later();
        });
    }

    fn send(self: &Rc<Self>, number: u64, message: Draft) {
        let Draft { subject, headers, payload, timeout, .. } = message;
        let message = OutgoingMessage::new(&subject, payload).headers(&headers);
        let driver = self.clone();
        self.api.port().request(message, timeout, move |state, _, reply| {
            let reply = reply.map(Message::payload);
            driver.with_machine(|machine| machine.handle_reply(number, reply));
            driver.advance();
            driver.finish(state)
        });
    }

    /// Reports the outcome, if there is one, in the next turn.
    fn finish_later(self: &Rc<Self>) {
        if self.machine.borrow().outcome().is_some() {
            let driver = self.clone();
            self.api.port().defer(move |state| driver.finish(state));
        }
    }

    /// Reports the outcome, if there is one, to whoever has not heard of it.
    fn finish(&self, state: &mut State) -> Ran {
        let Some(outcome) = self.machine.borrow().outcome().cloned() else { return Ok(()) };
        let on_failed = self.on_failed.take();
        match (self.on_committed.take(), on_failed, outcome) {
            (Some(answer), _, outcome) => answer(state, outcome),
            (None, Some(hook), Err(error)) => hook(state, error),
            _ => Ok(()),
        }
    }
}
