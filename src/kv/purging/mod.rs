//! Removing much at once: keys, what deleted ones have left, or everything.

pub(in crate::kv) mod cleared;
pub(in crate::kv) mod deletes;
pub(in crate::kv) mod keys;
pub(in crate::kv) mod sweep;
