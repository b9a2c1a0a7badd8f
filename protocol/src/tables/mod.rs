//! What a session keeps, one table a file: who is subscribed, what is asked, what waits to be sent.
//!
//! Invariant: no table knows another one's entries, and none knows the session. Time is an
//! argument.

mod deadlines;
pub(crate) mod fences;
pub(crate) mod outgoing;
pub(crate) mod paused;
pub(crate) mod requests;
mod slots;
pub(crate) mod subscriptions;
