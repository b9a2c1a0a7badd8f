//! The handle: how callbacks and clients reach the loop they run on.

use super::{Remote, Shared, TimerId};
use crate::client::{Client, Options, Transport};
use crate::error::Result;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A cheap handle to an [`EventLoop`](crate::EventLoop), for the thread that runs it.
///
/// A handle does not keep the loop running. From other threads, use a [`Remote`].
pub struct Handle<S: 'static = ()> {
    shared: Rc<Shared<S>>,
}

impl<S: 'static> Handle<S> {
    pub(super) fn new(shared: Shared<S>) -> Self {
        Self { shared: Rc::new(shared) }
    }

    pub(crate) fn shared(&self) -> &Shared<S> {
        &self.shared
    }

    /// Begins to connect to a server. Commands may be given at once, they wait for the connection.
    ///
    /// # Errors
    /// A URL cannot be used. That a server cannot be reached is reported to `on_error`, that none
    /// can to `on_close` and to the callbacks of what was commanded.
    pub fn connect(&self, options: impl Into<Options>) -> Result<Client<S>> {
        Client::connect(self, options.into())
    }

    /// Talks to a server over a transport that is already open: a tunnel, a connection made by a
    /// dialer of your own, or memory. The URLs in the options are not used, their credentials are.
    /// It cannot be made again: when it is lost, the client closes.
    pub fn connect_over(
        &self,
        transport: impl Transport,
        options: impl Into<Options>,
    ) -> Result<Client<S>> {
        Client::connect_over(self, Box::new(transport), options.into())
    }

    /// Runs a callback once, `delay` from now.
    pub fn set_timer(
        &self,
        delay: Duration,
        callback: impl FnOnce(&mut S, &Handle<S>) + 'static,
    ) -> TimerId {
        let now = Instant::now();
        // a delay beyond what the clock can express is as good as the furthest it can
        let deadline = now.checked_add(delay).unwrap_or(now + Duration::from_secs(1 << 31));
        self.shared.timers.borrow_mut().set(deadline, Box::new(callback))
    }

    /// Cancels a timer. Says whether it was still waiting.
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        let cancelled = self.shared.timers.borrow_mut().cancel(timer);
        cancelled.is_some()
    }

    /// When the current turn began. Reading it costs no system call.
    pub(crate) fn turn_time(&self) -> Instant {
        self.shared.turn_time.get()
    }

    /// Has [`EventLoop::run`](crate::EventLoop::run) return after the current turn, with clients
    /// and timers as they are.
    pub fn stop(&self) {
        self.shared.stopped.set(true);
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote<S> {
        self.shared.inbox.remote()
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
