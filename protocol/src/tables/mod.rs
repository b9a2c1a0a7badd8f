//! What a session keeps, one table per file: subscriptions, requests, fences, what waits to be
//! sent.
//!
//! Invariant: no table knows another one's entries, and none knows the session. Time is an
//! argument.

pub(crate) mod deadlines;
pub(crate) mod fences;
mod known_line;
pub(crate) mod known_route;
mod last_head;
pub(crate) mod outgoing;
pub(crate) mod paused;
pub(crate) mod requests;
mod slots;
pub(crate) mod subscriptions;
mod timeouts;
pub(crate) mod token;
