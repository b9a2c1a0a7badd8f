//! A local cache, kept by a watch.

pub(in crate::kv) mod event;
pub(in crate::kv) mod handle;
pub(in crate::kv) mod keeper;
pub(in crate::kv) mod table;
