//! Callbacks: what a closure has to look like to be one, and the door through which it gets the
//! user's state.
//!
//! The traits here are aliases for bounds on closures, each implemented for every closure that
//! fits; nobody implements them by hand. A callback returns `()` or a [`Result`],
//! whose error leaves [`EventLoop::run`](crate::EventLoop::run) or
//! [`dispatch`](crate::EventLoop::dispatch) after the callback; the loop stays usable.
//!
//! Inside the crate the type of the user's state is erased, so that everything but the thin typed
//! handles is compiled once, in this crate, and not again in every program. The invariant that
//! makes this sound: a handle of type `…<S>` is only ever made for a loop of type `EventLoop<S>`.

mod slot;
mod timers;

pub(crate) use slot::CallbackSlot;
pub(crate) use timers::timers_on;

use crate::error::{Error, Result};
use std::any::Any;

/// What a callback returns: `()`, or a [`Result`] whose error ends `run` or
/// `dispatch`.
pub trait Outcome: sealed::Sealed + 'static {
    #[doc(hidden)]
    fn into_ran(self) -> Ran;
}

impl Outcome for () {
    #[inline(always)]
    fn into_ran(self) -> Ran {
        Ok(())
    }
}

impl Outcome for Result<(), Error> {
    #[inline(always)]
    fn into_ran(self) -> Ran {
        self.map_err(Box::new)
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for Result<(), crate::error::Error> {}
}

/// An alias for a bound on closures that may return any [`Outcome`].
///
/// The bound is a supertrait, so that the types of a closure's parameters are inferred; what the
/// closure returns is found by way of the second trait, because an alias cannot name it itself.
macro_rules! closure_alias {
    (
        $(#[$doc:meta])*
        $alias:ident, $returns:ident, $function:ident,
        [$($parameter:ident $(: ?$bound:ident)?),*], [$($argument:ty),*]
    ) => {
        $(#[$doc])*
        pub trait $alias<$($parameter $(: ?$bound)?),*>:
            $function($($argument),*) -> <Self as $returns<$($parameter),*>>::Outcome
            + $returns<$($parameter),*>
            + 'static
        {
        }

        #[doc(hidden)]
        pub trait $returns<$($parameter $(: ?$bound)?),*> {
            type Outcome: Outcome;
        }

        impl<F, R: Outcome, $($parameter $(: ?$bound)?),*> $returns<$($parameter),*> for F
        where
            F: $function($($argument),*) -> R,
        {
            type Outcome = R;
        }

        impl<F, R: Outcome, $($parameter $(: ?$bound)?),*> $alias<$($parameter),*> for F where
            F: $function($($argument),*) -> R + 'static
        {
        }
    };
}

closure_alias! {
    /// Runs once, with an outcome: `FnOnce(&mut S, &H, T)`, where `S` is the user's state and `H`
    /// the handle that the call was made on.
    Callback, CallbackReturns, FnOnce, [S, H, T], [&mut S, &H, T]
}

closure_alias! {
    /// Runs for everything that happens: `FnMut(&mut S, &H, T)`.
    Handler, HandlerReturns, FnMut, [S, H, T], [&mut S, &H, T]
}

closure_alias! {
    /// Runs for everything that happens, which it is lent: `FnMut(&mut S, &H, &T)`.
    RefHandler, RefHandlerReturns, FnMut, [S, H, T: ?Sized], [&mut S, &H, &T]
}

closure_alias! {
    /// Runs once, later: `FnOnce(&mut S, &H)`.
    Task, TaskReturns, FnOnce, [S, H], [&mut S, &H]
}

closure_alias! {
    /// Runs again and again: `FnMut(&mut S, &H)`.
    RepeatingTask, RepeatingTaskReturns, FnMut, [S, H], [&mut S, &H]
}

/// How the run of a callback ended. The error is boxed, because this passes through many hands on the
/// hottest path, and as a pointer it costs nothing there.
pub type Ran = std::result::Result<(), Box<Error>>;

/// The user's state while it is lent to the crate's inside.
pub(crate) type State = dyn Any;

/// The state as the user knows it.
#[inline(always)]
pub(crate) fn lend<S: 'static>(state: &mut State) -> &mut S {
    // see the head of this file: another type cannot get here
    state.downcast_mut().expect("a loop has one type of state")
}

/// A one-shot callback with its state's type erased, and the handle in it that the call was made on.
pub(crate) type Answer<T> = Box<dyn FnOnce(&mut State, T) -> Ran>;

/// Makes an [`Answer`] of a user's callback.
pub(crate) fn answer<S: 'static, H: Clone + 'static, T: 'static>(
    handle: &H,
    callback: impl Callback<S, H, T>,
) -> Answer<T> {
    let handle = handle.clone();
    Box::new(move |state, outcome| callback(lend(state), &handle, outcome).into_ran())
}
