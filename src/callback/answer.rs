//! An answer: a one-shot callback, and the handle that the call was made on.

use super::closures::{Callback, Outcome};
use super::erased::{Answer, lend};

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
