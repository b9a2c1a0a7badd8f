//! The handle: how callbacks and clients reach the loop they run on.

use super::{Remote, Shared, TimerId};
use crate::callback::{Outcome, Task, lend};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// A cheap handle to an [`EventLoop`](crate::EventLoop), for the thread that runs it.
///
/// A handle does not keep the loop running. From other threads, use a [`Remote`].
pub struct Handle<S: 'static = ()> {
    shared: Rc<Shared>,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Handle<S> {
    /// The shared part has to be that of a loop with states of this type.
    pub(crate) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, state: PhantomData }
    }

    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Runs a callback once, `delay` from now.
    pub fn set_timer(&self, delay: Duration, callback: impl Task<S, Handle<S>>) -> TimerId {
        let handle = self.clone();
        let callback = move |state: &mut _| callback(lend(state), &handle).into_result();
        self.shared.set_timer(delay, Box::new(callback))
    }

    /// Cancels a timer. Says whether it was still waiting.
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        self.shared.cancel_timer(timer)
    }

    /// Has [`EventLoop::run`](crate::EventLoop::run) return after the current turn, with clients
    /// and timers as they are.
    pub fn stop(&self) {
        self.shared.stopped.set(true);
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote<S> {
        Remote::new(&self.shared.inbox)
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
