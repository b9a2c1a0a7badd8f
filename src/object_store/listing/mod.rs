//! Listing objects: collected, or as they come. Both on a watch.

pub(in crate::object_store) mod collected;
pub(in crate::object_store) mod item;
pub(in crate::object_store) mod listed;
pub(in crate::object_store) mod lister;
pub(in crate::object_store) mod options;
pub(in crate::object_store) mod sieve;
