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
    pub fn ask<H: 'static, T: 'static>(&self, call: impl FnOnce(Told<H, T>)) -> T {
        self.keep(call, |_, answer| answer)
    }

    /// As [`ask`](Self::ask), with the handle that the callback was given.
    #[track_caller]
    pub fn ask_handle<H: Clone + 'static, T: 'static>(
        &self,
        call: impl FnOnce(Told<H, T>),
    ) -> (H, T) {
        self.keep(call, |handle, answer| (handle.clone(), answer))
    }

    /// Calls, and returns what is kept of what the callback is given.
    #[track_caller]
    fn keep<H: 'static, T: 'static, K: 'static>(
        &self,
        call: impl FnOnce(Told<H, T>),
        keep: impl FnOnce(&H, T) -> K + 'static,
    ) -> K {
        let kept = Rc::new(RefCell::new(None));
        let given = kept.clone();
        call(Box::new(move |(), handle: &H, answer| {
            let before = given.replace(Some(keep(handle, answer)));
            assert!(before.is_none(), "the callback has run twice");
        }));
        assert!(kept.borrow().is_none(), "the callback has run within the call");
        self.until("an answer", || kept.borrow().is_some());
        kept.take().expect("an answer")
    }

    #[track_caller]
    pub fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        turn_until(&self.event_loop, &mut (), what, |()| is_so());
    }
}
