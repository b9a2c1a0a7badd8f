//! What reports item by item, and then its end: its handle, its reports, and the way to the user's
//! callback.

use crate::callback::{CallbackSlot, Handler, Outcome, Ran, State, lend};
use crate::event_loop::timers_on;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// A report of something that is listed, read message by message, taken as a snapshot, or listened to.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed<T, E = ()> {
    /// The next one.
    Item(T),
    /// The end, or why there is no more: the last report. Not sent after [`Listing::stop`].
    Ended(Result<E, Error>),
}

/// Something that is listed, read message by message, taken as a snapshot, or listened to. A cheap
/// handle: dropping it does not stop it.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<Vec<String>>::new()?;
/// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// use evnats::jetstream::Listed;
/// js.list_stream_names(None, |names: &mut Vec<String>, listing, listed| match listed {
///     Listed::Item(name) => {
///         names.push(name);
///         if names.len() == 100 {
///             listing.stop();
///         }
///     }
///     Listed::Ended(Ok(_)) => println!("these are all: {names:?}"),
///     Listed::Ended(Err(error)) => eprintln!("there may be more: {error}"),
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Listing<S: 'static = ()> {
    js: JetStream<S>,
    source: Rc<dyn Source>,
}

impl<S: 'static> Listing<S> {
    pub(crate) fn new(js: &JetStream<S>, source: Rc<dyn Source>) -> Self {
        Self { js: js.clone(), source }
    }

    /// Ends it: the callback does not run again, and nothing more is asked for.
    pub fn stop(&self) {
        self.source.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.source.is_active()
    }

    /// JetStream, which was asked.
    #[must_use]
    pub fn jetstream(&self) -> &JetStream<S> {
        &self.js
    }
}

timers_on!(Listing, |listing| listing.js.client().port().event_loop());

impl<S> Clone for Listing<S> {
    fn clone(&self) -> Self {
        Self { js: self.js.clone(), source: self.source.clone() }
    }
}

impl<S> fmt::Debug for Listing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("is_active", &self.source.is_active())
            .finish_non_exhaustive()
    }
}

/// Where the reports come from.
pub(crate) trait Source {
    fn stop(&self);

    fn is_active(&self) -> bool;
}

/// The callback, with the type of the state erased.
pub(crate) type OnListed<T, E> = Box<dyn FnMut(&mut State, Rc<dyn Source>, Listed<T, E>) -> Ran>;

/// Makes one of a user's callback.
pub(crate) fn on_listed<S: 'static, T: 'static, E: 'static>(
    js: &JetStream<S>,
    mut callback: impl Handler<S, Listing<S>, Listed<T, E>>,
) -> OnListed<T, E> {
    let js = js.clone();
    Box::new(move |state, source, listed| {
        callback(lend(state), &Listing::new(&js, source), listed).into_ran()
    })
}

/// The way to the callback, open until the end or until it is stopped.
pub(crate) struct Feed<T, E> {
    callback: CallbackSlot<OnListed<T, E>>,
    is_active: Cell<bool>,
}

impl<T, E> Feed<T, E> {
    pub(crate) fn new(callback: OnListed<T, E>) -> Self {
        Self { callback: CallbackSlot::new(callback), is_active: Cell::new(true) }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.is_active.get()
    }

    /// Closes it. Returns whether it was open.
    pub(crate) fn close(&self) -> bool {
        let was_active = self.is_active.replace(false);
        // one that runs is dropped after it
        drop(self.callback.take());
        was_active
    }

    pub(crate) fn item(&self, state: &mut State, source: Rc<dyn Source>, item: T) -> Ran {
        self.callback
            .run_while(|| self.is_active(), |callback| callback(state, source, Listed::Item(item)))
    }

    /// Reports the end, if it is open.
    pub(crate) fn end(
        &self,
        state: &mut State,
        source: Rc<dyn Source>,
        end: Result<E, Error>,
    ) -> Ran {
        self.is_active.set(false);
        let callback = self.callback.take();
        callback.map_or(Ok(()), |mut callback| callback(state, source, Listed::Ended(end)))
    }
}
