//! Timers on every handle: the methods that a client, a bucket or a subscription has in common with
//! the loop, with itself as the second argument of the callback.

/// Gives a handle type `set_timer`. `$shared` finds the loop's shared part.
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
                let callback = move |state: &mut $crate::callback::State| {
                    let ran = callback($crate::callback::lend(state), &handle);
                    $crate::callback::Outcome::into_ran(ran)
                };
                let shared: fn(&Self) -> &std::rc::Rc<$crate::event_loop::Shared> = $shared;
                shared(self).set_timer(delay, Box::new(callback))
            }
        }
    };
}

pub(crate) use timers_on;
