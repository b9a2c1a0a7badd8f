//! Calls whose answers a test waits for, one after the other.

use super::{server, turn_until};
use evnats::{Client, EventLoop, Options};
use std::cell::RefCell;
use std::rc::Rc;

/// A loop without a state, and a client on it.
pub struct Asking {
    pub event_loop: EventLoop<()>,
    pub nats: Client<()>,
}

/// What a call is given to call back.
pub type Told<H, T> = Box<dyn FnOnce(&mut (), &H, T)>;

impl Asking {
    /// A client of the binary's server.
    pub fn new() -> Self {
        Self::with(server().url().as_str())
    }

    pub fn with(options: impl Into<Options>) -> Self {
        let event_loop = EventLoop::new().expect("a loop");
        let nats = event_loop.connect(options).expect("a client");
        Self { event_loop, nats }
    }

    /// Calls, turns the loop until there is an answer, and returns it.
    #[track_caller]
    pub fn ask<H: Clone + 'static, T: 'static>(&self, call: impl FnOnce(Told<H, T>)) -> T {
        self.ask_handle(call).1
    }

    /// As [`ask`](Self::ask), with the handle that the callback was given.
    #[track_caller]
    pub fn ask_handle<H: Clone + 'static, T: 'static>(
        &self,
        call: impl FnOnce(Told<H, T>),
    ) -> (H, T) {
        let told = Rc::new(RefCell::new(None));
        let given = told.clone();
        call(Box::new(move |(), handle: &H, answer| {
            *given.borrow_mut() = Some((handle.clone(), answer));
        }));
        self.until("an answer", || told.borrow().is_some());
        told.take().expect("an answer")
    }

    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        turn_until(&self.event_loop, &mut (), what, |()| is_so());
    }
}
