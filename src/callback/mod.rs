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

mod answer;
mod closures;
mod erased;
mod slot;

pub(crate) use answer::{Typed, answer, handed};
pub(crate) use closures::closure_alias;
pub use closures::{
    Callback, CallbackReturns, Handler, HandlerReturns, Outcome, RefCallback, RefCallbackReturns,
    RefHandler, RefHandlerReturns, RepeatingTask, RepeatingTaskReturns, Task, TaskReturns,
};
pub use erased::Ran;
pub(crate) use erased::{Answer, State, lend};
pub(crate) use slot::CallbackSlot;
