//! Listing keys and revisions: collected, or as they come.

pub(in crate::kv) mod collected;
pub(in crate::kv) mod lister;
