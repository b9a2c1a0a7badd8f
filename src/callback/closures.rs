//! What closures have to look like, and what they may return.

use super::erased::Ran;
use crate::error::Error;

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
        [$($parameter:ident $(: $(?$bound:ident)? $($lifetime:lifetime)?)?),*], [$($argument:ty),*]
    ) => {
        $(#[$doc])*
        pub trait $alias<$($parameter $(: $(?$bound)? $($lifetime)?)?),*>:
            $function($($argument),*) -> <Self as $returns<$($parameter),*>>::Outcome
            + $returns<$($parameter),*>
            + 'static
        {
        }

        #[doc(hidden)]
        pub trait $returns<$($parameter $(: $(?$bound)? $($lifetime)?)?),*> {
            type Outcome: $crate::callback::Outcome;
        }

        impl<F, R: $crate::callback::Outcome, $($parameter $(: $(?$bound)? $($lifetime)?)?),*> $returns<$($parameter),*> for F
        where
            F: $function($($argument),*) -> R,
        {
            type Outcome = R;
        }

        impl<F, R: $crate::callback::Outcome, $($parameter $(: $(?$bound)? $($lifetime)?)?),*> $alias<$($parameter),*> for F where
            F: $function($($argument),*) -> R + 'static
        {
        }
    };
}

pub(crate) use closure_alias;

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
    /// Runs once, with what it is lent or with an error: `FnOnce(&mut S, &H, Result<&T, E>)`.
    RefCallback, RefCallbackReturns, FnOnce, [S, H, T: ?Sized, E], [&mut S, &H, Result<&T, E>]
}

closure_alias! {
    /// Runs once, later: `FnOnce(&mut S, &H)`.
    Task, TaskReturns, FnOnce, [S, H], [&mut S, &H]
}

closure_alias! {
    /// Runs again and again: `FnMut(&mut S, &H)`.
    RepeatingTask, RepeatingTaskReturns, FnMut, [S, H], [&mut S, &H]
}
