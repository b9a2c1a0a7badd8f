//! The bridge to the driver: one more thread, in which it runs, and what goes to and fro.
//!
//! Jobs go over as closures and run as tasks of the thread's runtime; what they come to is left in the
//! `outbox`, which wakes the loop. Callbacks stay on the loop's thread, in the table of what is under way:
//! only ids and results cross. Everything is bounded: calls by their number, the items of a stream by the
//! credit of its `line`.
//!
//! A peer that is silent but connected would hold a task for ever, and a future of the driver must not be
//! dropped halfway. So a call that is late is given up on the loop's side only; when several in a row are,
//! or a stream's peer is silent, a new generation of thread, runtime and client takes over, and the old one
//! ends when the last of its calls has.

mod closing;
mod connection;
mod core;
mod feed;
mod generation;
mod generations;
mod id;
mod line;
mod outbox;
mod phase;
mod streams;
mod tenant;
mod tenants;
mod turn;
mod under_way;

pub(in crate::mongo) use self::core::Bridge;
pub(in crate::mongo) use feed::Feed;
pub(in crate::mongo) use line::StreamLimits;
pub(in crate::mongo) use streams::{Flow, StreamEnd, StreamOptions};
pub(in crate::mongo) use tenant::Tenant;
