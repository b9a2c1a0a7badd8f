//! The handle: how callbacks and clients reach the loop they run on.

use super::{KeepRunning, Remote, Shared, TimerId};
use crate::callback::{Outcome, RepeatingTask, State, Task, lend};
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
        let task = move |state: &mut State| callback(lend(state), &handle).into_ran();
        self.shared.set_timer(delay, Box::new(task))
    }

    /// Runs a callback again and again, for the first time one `period` from now, until the timer
    /// is [canceled](Self::cancel_timer); from inside the callback, its own timer is the
    /// [current](Self::current_timer) one. It keeps its rhythm: runs that were missed because the
    /// loop was busy are not made up for. With a period of zero it runs in every turn.
    ///
    /// ```
    /// # let event_loop = evnats::EventLoop::<u32>::new()?;
    /// # let period = std::time::Duration::from_millis(1);
    /// event_loop.handle().set_interval(period, |runs: &mut u32, handle| {
    ///     *runs += 1;
    ///     if *runs == 3 {
    ///         handle.cancel_current_timer();
    ///     }
    /// });
    /// # let mut runs = 0;
    /// # event_loop.run(&mut runs)?;
    /// # assert_eq!(runs, 3);
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn set_interval(
        &self,
        period: Duration,
        mut callback: impl RepeatingTask<S, Handle<S>>,
    ) -> TimerId {
        let handle = self.clone();
        let task = move |state: &mut State| callback(lend(state), &handle).into_ran();
        self.shared.set_interval(period, Box::new(task))
    }

    /// Cancels a timer. Returns whether it was still waiting; one that repeats is waiting also while
    /// its callback runs.
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        self.shared.cancel_timer(timer)
    }

    /// The timer whose callback runs, if it is one of a timer.
    pub fn current_timer(&self) -> Option<TimerId> {
        self.shared.current_timer()
    }

    /// Cancels the timer whose callback runs, if it is one that repeats. Returns whether it was.
    pub fn cancel_current_timer(&self) -> bool {
        self.current_timer().is_some_and(|timer| self.cancel_timer(timer))
    }

    /// Has [`EventLoop::run`](crate::EventLoop::run) return after the current turn, with clients
    /// and timers as they are.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Keeps [`EventLoop::run`](crate::EventLoop::run) going until the guard is dropped, although
    /// nothing may be left to run: something will be posted.
    pub fn keep_running(&self) -> KeepRunning {
        KeepRunning::new(self.shared.alarm.clone())
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote<S> {
        Remote::new(self.shared.inbox.clone())
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
