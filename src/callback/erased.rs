//! The door between the inside, where the type of the user's state is erased, and the user's closures.

use crate::error::Error;
use std::any::Any;

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
