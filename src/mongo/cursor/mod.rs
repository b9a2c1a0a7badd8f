//! Where cursors are kept between two pages: in a bucket, in memory, or in a store of the program's own.
//!
//! A cursor is a place between two rows, and is stored once, under a key that nobody can guess. It is never
//! changed, so that several processes can read on from it at once, and go back. What is absent, has expired or
//! was deleted is one error: [`CursorError::NotFound`].
//!
//! | fault | what comes of it |
//! |---|---|
//! | the process that stored a cursor ends | others find it in the bucket; in memory it is gone |
//! | the NATS server restarts | a bucket in files has its cursors, one in memory answers that there are none |
//! | the NATS server cannot be reached | the call fails with [`Error::Kv`](crate::mongo::Error::Kv), within the time of a request |
//! | the answer to a store is lost | the call fails, and a cursor may be left that nobody knows, until it expires |

mod bytes;
mod doc;
mod erased;
pub(in crate::mongo) mod error;
mod json;
mod kept;
mod kv;
mod memory;
pub(in crate::mongo) mod position;
mod storage;

pub use bytes::ByteStore;
pub use doc::CursorDoc;
pub(in crate::mongo) use erased::{Erased, ErasedStorage};
pub use error::CursorError;
pub use json::JsonStorage;
pub use kv::{KvBytes, KvCursorStorage};
pub use memory::{MemoryBytes, MemoryCursorStorage};
pub use position::{Position, Towards};
pub use storage::CursorStorage;
