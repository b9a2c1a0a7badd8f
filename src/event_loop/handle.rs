//! The handle: how callbacks and clients reach the loop they run on.

use super::shared::Shared;
use super::timer_methods::timers_on;
use super::timers::TimerId;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// A cheap handle to an [`EventLoop`](crate::EventLoop), for the thread that runs it.
///
/// A handle does not keep the loop running. From other threads, use a
/// [`Remote`](crate::Remote).
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

    /// The timer whose callback runs, if it is one of a timer.
    #[must_use]
    pub fn current_timer(&self) -> Option<TimerId> {
        self.shared.current_timer()
    }

    /// Has [`EventLoop::run`](crate::EventLoop::run) return after the current turn, with clients
    /// and timers as they are.
    pub fn stop(&self) {
        self.shared.stop();
    }
}

timers_on!(Handle, |handle| &handle.shared);

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
