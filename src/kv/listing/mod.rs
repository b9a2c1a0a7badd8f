//! Listing keys and revisions: collected, or as they come.

pub(in crate::kv) mod collected;
pub(in crate::kv) mod key_set;
pub(in crate::kv) mod lister;
pub(in crate::kv) mod page;
pub(in crate::kv) mod patience;
