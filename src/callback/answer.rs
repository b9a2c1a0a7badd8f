//! An answer: a one-shot callback, and the handle that the call was made on.
//!
//! Two forms. An [`Answer`] has the handle in it, and goes through all layers. A [`Typed`] callback is given
//! it, so that a closure which captures nothing takes no memory at all.

use super::closures::{Callback, Outcome};
use super::erased::{Answer, Ran, lend};

/// Makes an [`Answer`] of a user's callback.
pub(crate) fn answer<S: 'static, H: Clone + 'static, T: 'static>(
    handle: &H,
    callback: impl Callback<S, H, T>,
) -> Answer<T> {
    let handle = handle.clone();
    Box::new(move |state, outcome| callback(lend(state), &handle, outcome).into_ran())
}

/// Makes a callback of an [`Answer`], which does without the handle.
pub(crate) fn handed<S: 'static, H: 'static, T: 'static>(
    answer: Answer<T>,
) -> impl Callback<S, H, T> {
    move |state: &mut S, _: &H, outcome: T| answer(state, outcome).map_err(|error| *error)
}

/// A one-shot callback of the user's, boxed. The box of a closure that captures nothing is free.
pub(crate) type Typed<S, H, T> = Box<dyn Told<S, H, T>>;

/// What is called with an outcome. To call it costs less than to call a boxed closure, for which a large
/// outcome is moved once more.
pub(crate) trait Told<S, H, T> {
    fn tell(self: Box<Self>, state: &mut S, handle: &H, outcome: T) -> Ran;
}

impl<S, H, T, C: Callback<S, H, T>> Told<S, H, T> for C {
    #[inline]
    fn tell(self: Box<Self>, state: &mut S, handle: &H, outcome: T) -> Ran {
        (*self)(state, handle, outcome).into_ran()
    }
}
