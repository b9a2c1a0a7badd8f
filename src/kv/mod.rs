//! Key-Value: buckets of keys with revisions, on JetStream streams.
//!
//! A value is the last message on the key's subject, its revision the message's sequence. A write
//! is complete when the stream has acknowledged it, never before: a `PONG` says nothing about
//! storage. A read goes to the stream's leader unless told otherwise, so that it sees every write
//! that was complete when it began.

mod bucket;
mod config;
mod entry;
mod error;
mod handle;
mod lifecycle;
mod listing;
mod name;
mod patterns;
mod read;
mod status;
mod watch;
mod watch_initial;
mod write;

pub use config::Config;
pub use entry::{Entry, Operation};
pub use error::Error;
pub use handle::{KeyValue, Reads};
pub use status::Status;
pub use watch::{Update, WatchOptions, Watcher};
