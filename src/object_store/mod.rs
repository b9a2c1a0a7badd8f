//! Object Store: buckets of objects of any size, on JetStream streams (ADR-20).
//!
//! An object is stored in chunks, and what is known of it in a message of its own, which is written when
//! all chunks are stored.

mod buckets;
mod digest;
mod error;
mod getting;
mod handle;
mod info;
mod name;
mod objects;
mod progress;
mod putting;
mod store;

pub use buckets::config::Config;
pub use buckets::status::Status;
pub use error::Error;
pub use getting::{Get, GetOptions, Got, Object};
pub use handle::ObjectStore;
pub use info::{ObjectHeaders, ObjectInfo, ObjectLink, ObjectMeta};
pub use objects::LinkTarget;
pub use progress::Progress;
pub use putting::{Piece, Put, PutOptions};
