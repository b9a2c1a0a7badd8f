//! Registrations: how a source is known to the loop, through a selector or without one.
//!
//! Every registration has a token of its own, so a source with two sockets knows which of them is
//! ready. A token is given to another registration only after its own was dropped; what is reported
//! late for it is one of the wake-ups in vain that every source has to bear.

use super::alarm::Alarm;
use super::readiness::{Readiness, Reported, SetReadiness};
use super::schedule::SlotId;
use super::selector::Selector;
use mio::{Interest, Registry, Token};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// What a [`Transport`](crate::Transport) is registered with: the selector for those that have a
/// descriptor, and a way to report readiness for those that have none.
pub struct Registration {
    registrar: Rc<Registrar>,
    index: usize,
    in_selector: Cell<bool>,
}

impl Registration {
    /// The selector's registry. There is none in a simulation.
    pub fn registry(&self) -> Option<&Registry> {
        self.registrar.selector.registry()
    }

    /// The token under which the loop knows the source. It stays the same for as long as the
    /// source is registered.
    pub fn token(&self) -> Token {
        Token(self.registrar.selector.first_token() + self.index)
    }

    /// Registers a source of mio's with the selector, for reading and writing.
    ///
    /// # Errors
    /// The selector refuses the source, or there is no selector.
    pub fn register<E: mio::event::Source + ?Sized>(&self, source: &mut E) -> io::Result<()> {
        self.register_for(source, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn register_for<E: mio::event::Source + ?Sized>(
        &self,
        source: &mut E,
        interest: Interest,
    ) -> io::Result<()> {
        let (registry, token) = (self.registry().ok_or_else(no_selector)?, self.token());
        if self.in_selector.get() {
            return source.reregister(registry, token, interest);
        }
        source.register(registry, token, interest)?;
        self.in_selector.set(true);
        Ok(())
    }

    /// Takes a source out of the selector. In a process that was forked off this does nothing: the
    /// selector is the parent's too.
    pub fn deregister<E: mio::event::Source + ?Sized>(&self, source: &mut E) {
        if !self.in_selector.replace(false) || self.is_forked() {
            return;
        }
        if let Some(registry) = self.registry() {
            // all that can fail is that the selector does not know it any more
            let _ = source.deregister(registry);
        }
    }

    /// Whether this process was forked off from the one that made the loop, and shares its
    /// selector and its connections.
    pub(crate) fn is_forked(&self) -> bool {
        self.registrar.selector.is_forked()
    }

    /// A handle by which a source without a descriptor reports that it is ready. It does nothing
    /// any more when the source is not registered any more.
    pub fn set_readiness(&self) -> SetReadiness {
        SetReadiness::new(Token(self.index), self.registrar.reported.clone())
    }

    /// The loop's own name for it, which [`Source::handle_ready`](super::Source) is given.
    pub(crate) fn id(&self) -> Token {
        Token(self.index)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registrar.slots.borrow_mut().try_remove(self.index);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("token", &self.token()).finish_non_exhaustive()
    }
}

/// Gives tokens to registrations, and knows whose they are.
pub(super) struct Registrar {
    selector: Rc<dyn Selector>,
    slots: RefCell<Slab<SlotId>>,
    reported: Arc<Reported>,
}

impl Registrar {
    pub(super) fn new(selector: Rc<dyn Selector>, alarm: Arc<Alarm>) -> Rc<Self> {
        let reported = Arc::new(Reported::new(alarm));
        Rc::new(Self { selector, slots: RefCell::default(), reported })
    }

    /// A registration for a source.
    pub(super) fn register(self: &Rc<Self>, slot: SlotId) -> io::Result<Registration> {
        let mut slots = self.slots.borrow_mut();
        if slots.len() >= self.selector.tokens() {
            return Err(io::Error::other("all tokens that were lent to the event loop are taken"));
        }
        let index = slots.insert(slot);
        Ok(Registration { registrar: self.clone(), index, in_selector: Cell::new(false) })
    }

    /// Whose registration it is.
    pub(super) fn slot(&self, id: Token) -> Option<SlotId> {
        self.slots.borrow().get(id.0).copied()
    }

    pub(super) fn has_reported(&self) -> bool {
        !self.reported.is_empty()
    }

    pub(super) fn take_reported(&self, taken: &mut Vec<(Token, Readiness)>) {
        self.reported.take(taken);
    }
}

fn no_selector() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a simulated event loop has no selector")
}
