//! The way in from other threads: closures posted to the loop, which runs them in its next turn.

use super::alarm::Alarm;
use super::handle::Handle;
use super::inbox::{Inbox, PostError};
use super::shared::Posted;
use crate::callback::{Outcome, Task, lend};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A handle to an [`EventLoop`](crate::EventLoop) for other threads.
///
/// It does not keep the loop running, unless it is asked to.
pub struct Remote<S: 'static = ()> {
    inbox: Arc<Inbox<Posted>>,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Handle<S> {
    /// Keeps [`EventLoop::run`](crate::EventLoop::run) going until the guard is dropped, although
    /// nothing may be left to run: something will be posted.
    pub fn keep_running(&self) -> KeepRunning {
        KeepRunning::new(self.shared().alarm.clone())
    }

    /// A handle for other threads.
    #[must_use]
    pub fn remote(&self) -> Remote<S> {
        Remote::new(self.shared().inbox.clone())
    }
}

impl<S: 'static> Remote<S> {
    pub(super) fn new(inbox: Arc<Inbox<Posted>>) -> Self {
        Self { inbox, state: PhantomData }
    }

    /// Has the loop's thread run a closure in its next turn, in the order of the posts. Only the
    /// first post since the loop looked last costs a system call.
    ///
    /// # Errors
    /// The closure comes back: as many as the loop takes are waiting
    /// ([`LoopOptions::max_posted`](crate::LoopOptions::max_posted)), or the loop is gone.
    pub fn post<F: Task<S, Handle<S>> + Send>(&self, closure: F) -> Result<(), PostError<F>> {
        self.inbox.post(closure, |closure| {
            Box::new(move |state, shared| {
                closure(lend(state), &Handle::new(shared.clone())).into_ran()
            })
        })
    }

    /// As [`Handle::keep_running`], from another thread.
    pub fn keep_running(&self) -> KeepRunning {
        KeepRunning::new(self.inbox.alarm().clone())
    }
}

impl<S> Clone for Remote<S> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Remote<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// Keeps a loop running until it is dropped, on whatever thread; see [`Handle::keep_running`].
#[derive(Debug)]
#[must_use = "dropping it ends its effect"]
pub struct KeepRunning {
    alarm: Arc<Alarm>,
}

impl KeepRunning {
    pub(super) fn new(alarm: Arc<Alarm>) -> Self {
        alarm.add_guard();
        Self { alarm }
    }
}

impl Clone for KeepRunning {
    fn clone(&self) -> Self {
        Self::new(self.alarm.clone())
    }
}

impl Drop for KeepRunning {
    fn drop(&mut self) {
        self.alarm.remove_guard();
    }
}
