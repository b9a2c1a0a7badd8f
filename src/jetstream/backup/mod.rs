//! Backups: what a stream is and has, as bytes that only servers read, and a stream made of them
//! again.

mod chunks;
mod document;
mod options;
mod restore;
mod snapshot;

pub use chunks::SnapshotChunk;
pub use document::StreamBackup;
pub use options::SnapshotOptions;
pub use restore::{Restore, Restoring};
