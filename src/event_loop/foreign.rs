//! Foreign sources: sockets and descriptors of the user's own, with callbacks on the loop.
//!
//! A source that stays ready is reported again in every turn, because it is registered again after
//! each callback. So nothing depends on reading until there is no more, which a source that blocks,
//! such as standard input, could not do.

use super::handle::Handle;
use super::readiness::Readiness;
use super::registration::Registration;
use super::shared::{Shared, Slot};
use super::source::{Progress, Source};
use crate::callback::{CallbackSlot, Handler, Outcome, Ran, State, lend};
use crate::error::{Error, Result};
use mio::{Interest, Token, event};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::{Rc, Weak};
use std::time::Instant;

/// A source of the user's own on the loop. A cheap handle: clones are the same source, and dropping
/// them does not remove it. See [`Handle::add_source`].
pub struct ForeignSource<E: 'static, S: 'static = ()> {
    registered: Rc<Registered<E>>,
    state: PhantomData<fn(&mut S)>,
}

impl<E: event::Source + 'static, S: 'static> ForeignSource<E, S> {
    /// Lends the source. `None` if it was removed, or is lent already.
    pub fn with<T>(&self, use_it: impl FnOnce(&mut E) -> T) -> Option<T> {
        let mut source = self.registered.source.try_borrow_mut().ok()?;
        source.as_mut().map(|(source, _)| use_it(source))
    }

    /// Changes what the source is waited for.
    ///
    /// # Errors
    /// The source was removed or is lent, or the selector refuses it.
    pub fn set_interest(&self, interest: Interest) -> io::Result<()> {
        self.registered.interest.set(interest);
        self.registered.register().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
    }

    /// Removes the source from the loop, also from inside its callback, and gives it back. `None`
    /// if it was removed already, or is lent.
    #[expect(clippy::must_use_candidate, reason = "a command, whose answer may be of no interest")]
    pub fn remove(&self) -> Option<E> {
        let removed = self.registered.take_source();
        self.registered.slot.wake();
        removed
    }

    /// The loop that the source is on.
    #[must_use]
    pub fn handle(&self) -> Handle<S> {
        Handle::new(self.registered.slot.event_loop().clone())
    }
}

impl<S: 'static> Handle<S> {
    /// Has a callback run when a source of yours is ready: a socket of mio's, or, on Unix, any
    /// [`Descriptor`](crate::Descriptor). It runs in every turn in which the source is ready, once,
    /// so it need not read until there is no more, but it has to read, or to remove the source; at
    /// the end of a stream, too. The source keeps the loop running until it is
    /// [removed](ForeignSource::remove).
    ///
    /// ```
    /// use evnats::{EventLoop, Readiness};
    /// use mio::Interest;
    ///
    /// let event_loop = EventLoop::<usize>::new()?;
    /// let listener = mio::net::TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
    /// let address = listener.local_addr()?;
    /// event_loop.handle().add_source(listener, Interest::READABLE, |accepted: &mut usize, listener, _| {
    ///     if listener.with(|listener| listener.accept()).is_some_and(|result| result.is_ok()) {
    ///         *accepted += 1;
    ///         listener.remove();
    ///     }
    /// })?;
    /// let _connection = std::net::TcpStream::connect(address)?;
    /// let mut accepted = 0;
    /// event_loop.run(&mut accepted)?;
    /// assert_eq!(accepted, 1);
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// # Errors
    /// The selector refuses the source, or there is none because the loop is simulated, or the loop
    /// has ended.
    pub fn add_source<E: event::Source + 'static>(
        &self,
        source: E,
        interest: Interest,
        mut callback: impl Handler<S, ForeignSource<E, S>, Readiness>,
    ) -> Result<ForeignSource<E, S>> {
        let registered = Registered::new(self.shared(), source, interest)?;
        let weak = Rc::downgrade(&registered);
        registered.callback.replace(Box::new(move |state, readiness| {
            let Some(registered) = weak.upgrade() else { return Ok(()) };
            let source = ForeignSource { registered, state: PhantomData };
            callback(lend(state), &source, readiness).into_ran()
        }));
        Ok(ForeignSource { registered, state: PhantomData })
    }
}

impl<E, S> Clone for ForeignSource<E, S> {
    fn clone(&self) -> Self {
        Self { registered: self.registered.clone(), state: PhantomData }
    }
}

impl<E, S> fmt::Debug for ForeignSource<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignSource").finish_non_exhaustive()
    }
}

type OnReady = Box<dyn FnMut(&mut State, Readiness) -> Ran>;

struct Registered<E> {
    slot: Slot,
    source: RefCell<Option<(E, Registration)>>,
    interest: Cell<Interest>,
    /// Reported, and not yet given to the callback.
    ready: Cell<Readiness>,
    callback: CallbackSlot<OnReady>,
}

impl<E: event::Source + 'static> Registered<E> {
    fn new(shared: &Rc<Shared>, source: E, interest: Interest) -> Result<Rc<Self>> {
        if shared.has_ended() {
            return Err(Error::LoopEnded);
        }
        let registered = Rc::new_cyclic(|weak: &Weak<Self>| Self {
            slot: Slot::new(shared, weak.clone()),
            source: RefCell::default(),
            interest: Cell::new(interest),
            ready: Cell::default(),
            callback: CallbackSlot::default(),
        });
        let registration = registered.slot.register().map_err(Error::EventLoop)?;
        registered.source.replace(Some((source, registration)));
        registered.register().unwrap_or(Ok(())).map_err(Error::EventLoop)?;
        registered.slot.wake();
        Ok(registered)
    }

    /// Registers the source, again if need be. `None` if there is none.
    fn register(&self) -> Option<io::Result<()>> {
        let mut source = self.source.try_borrow_mut().ok()?;
        let (source, registration) = source.as_mut()?;
        Some(registration.register_for(source, self.interest.get()))
    }

    fn take_source(&self) -> Option<E> {
        let (mut source, registration) = self.source.try_borrow_mut().ok()?.take()?;
        registration.deregister(&mut source);
        Some(source)
    }
}

impl<E: event::Source + 'static> Source for Registered<E> {
    fn handle_ready(&self, _: Token, readiness: Readiness) {
        self.ready.set(self.ready.get() | readiness);
    }

    fn turn(self: Rc<Self>, state: &mut State, _: Instant) -> Ran {
        let ready = self.ready.take();
        if ready == Readiness::default() || self.source.borrow().is_none() {
            return Ok(());
        }
        let outcome = self.callback.run(|callback| callback(state, ready));
        if let Some(Err(error)) = self.register() {
            log::error!("a source can no longer be waited for: {error}");
            self.ready.set(Readiness::ERROR);
        }
        outcome
    }

    fn settle(&self, _: Instant) -> Progress {
        if self.source.borrow().is_none() {
            Progress::Over
        } else if self.ready.get() != Readiness::default() {
            Progress::More
        } else {
            Progress::Idle(None)
        }
    }

    fn abandon(&self) {
        let callback = self.callback.take();
        drop((self.take_source(), callback));
    }
}
