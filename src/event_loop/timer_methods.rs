//! Timers on every handle: the methods that a client, a bucket or a subscription has in common with
//! the loop, with itself as the second argument of the callback.

/// Gives a handle type its timers. `$shared` finds the loop's shared part.
macro_rules! timers_on {
    ($handle:ident, $shared:expr) => {
        impl<S: 'static> $handle<S> {
            /// Runs a callback once, `delay` from now, also if what the handle names has ended by
            /// then.
            pub fn set_timer(
                &self,
                delay: std::time::Duration,
                callback: impl $crate::callback::Task<S, $handle<S>>,
            ) -> $crate::TimerId {
                let handle = self.clone();
                let task = move |state: &mut $crate::callback::State| {
                    let ran = callback($crate::callback::lend(state), &handle);
                    $crate::callback::Outcome::into_ran(ran)
                };
                self.loop_of_timers().set_timer(delay, Box::new(task))
            }

            /// Runs a callback again and again, for the first time one `period` from now, until the
            /// timer is [canceled](Self::cancel_timer); from inside the callback, by
            /// [`cancel_current_timer`](Self::cancel_current_timer). It keeps its rhythm: runs that
            /// were missed because the loop was busy are not made up for. With a period of zero it
            /// runs in every turn. It keeps [`run`](crate::EventLoop::run) going.
            pub fn set_interval(
                &self,
                period: std::time::Duration,
                mut callback: impl $crate::callback::RepeatingTask<S, $handle<S>>,
            ) -> $crate::TimerId {
                let handle = self.clone();
                let task = move |state: &mut $crate::callback::State| {
                    let ran = callback($crate::callback::lend(state), &handle);
                    $crate::callback::Outcome::into_ran(ran)
                };
                self.loop_of_timers().set_interval(period, Box::new(task))
            }

            /// Cancels a timer of the loop. Returns whether it was still waiting; one that repeats is
            /// waiting also while its callback runs.
            pub fn cancel_timer(&self, timer: $crate::TimerId) -> bool {
                self.loop_of_timers().cancel_timer(timer)
            }

            /// Cancels the timer whose callback runs, if it is one that repeats. Returns whether it
            /// was.
            pub fn cancel_current_timer(&self) -> bool {
                let event_loop = self.loop_of_timers();
                event_loop.current_timer().is_some_and(|timer| event_loop.cancel_timer(timer))
            }

            fn loop_of_timers(&self) -> &std::rc::Rc<$crate::event_loop::Shared> {
                let shared: fn(&Self) -> &std::rc::Rc<$crate::event_loop::Shared> = $shared;
                shared(self)
            }
        }
    };
}

pub(crate) use timers_on;
