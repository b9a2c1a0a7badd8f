//! MongoDB beside NATS: pages of long lists by cursors that are kept in a bucket, and change streams.
//!
//! The official driver runs in a thread of its own, which nobody sees: every result comes by a callback on
//! the loop, which need not be `Send`.

mod error;

pub use bson;
pub use error::{Error, ServerError};
pub use mongodb;
