//! What is known of objects: read, written, changed, linked, deleted.

pub(in crate::object_store) mod delete;
mod describe;
mod inform;
mod link;
pub(in crate::object_store) mod meta;
pub(in crate::object_store) mod meta_write;
pub(in crate::object_store) mod resolve;

pub use link::LinkTarget;
