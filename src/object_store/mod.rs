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
mod listing;
mod name;
mod objects;
mod progress;
mod putting;
mod store;
mod watching;

pub use buckets::config::Config;
pub use buckets::status::Status;
pub use error::Error;
pub use getting::{Get, GetOptions, Got, Object};
pub use handle::ObjectStore;
pub use info::{ObjectHeaders, ObjectInfo, ObjectLink, ObjectMeta};
pub use listing::collected::ObjectList;
pub use listing::listed::{ListedObject, ObjectListing};
pub use listing::options::ListOptions;
pub use objects::LinkTarget;
pub use progress::Progress;
pub use putting::{Piece, Put, PutOptions};
pub use watching::options::WatchOptions;
pub use watching::unreadable::Unreadable;
pub use watching::update::{Update, WatchState};
pub use watching::watch::Watcher;
