//! Telling a program what happens to its service: in a turn of its own, so that a hook which fails costs
//! nobody anything.

use super::event::ServiceEvent;
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::Port;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

pub(super) type OnEvent = Box<dyn FnMut(&mut State, &ServiceEvent) -> Ran>;

pub(super) struct Telling {
    port: Port,
    service: String,
    on_event: CallbackSlot<OnEvent>,
    untold: RefCell<VecDeque<ServiceEvent>>,
    is_due: Cell<bool>,
    /// Whether nothing more will happen.
    is_over: Cell<bool>,
}

impl Telling {
    pub(super) fn new(port: &Port, service: &str) -> Rc<Self> {
        Rc::new(Self {
            port: port.clone(),
            service: service.to_owned(),
            on_event: CallbackSlot::default(),
            untold: RefCell::default(),
            is_due: Cell::default(),
            is_over: Cell::default(),
        })
    }

    pub(super) fn set_on_event(&self, hook: OnEvent) {
        drop(self.on_event.replace(hook));
    }

    pub(super) fn tell(self: &Rc<Self>, event: ServiceEvent) {
        log::warn!("service {}: {event}", self.service);
        self.untold.borrow_mut().push_back(event);
        self.tell_later();
    }

    /// Gives the hook back when it has been told everything.
    pub(super) fn finish(self: &Rc<Self>) {
        self.is_over.set(true);
        self.tell_later();
    }

    /// Gives the hook back.
    pub(super) fn forget(&self) {
        drop(self.on_event.take());
    }

    fn tell_later(self: &Rc<Self>) {
        if !self.is_due.replace(true) {
            let telling = self.clone();
            self.port.defer(move |state| telling.tell_all(state));
        }
    }

    fn tell_all(self: &Rc<Self>, state: &mut State) -> Ran {
        self.is_due.set(false);
        loop {
            let event = self.untold.borrow_mut().pop_front();
            let Some(event) = event else { break };
            if !self.untold.borrow().is_empty() {
                // the hook may fail
                self.tell_later();
            }
            self.on_event.run(|hook| hook(state, &event))?;
        }
        if self.is_over.get() {
            self.forget();
        }
        Ok(())
    }
}
