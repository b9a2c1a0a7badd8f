//! Watching keys: what there is, the signal that it was all, and every change.

pub(in crate::kv) mod options;
pub(in crate::kv) mod update;
pub(in crate::kv) mod watch;
pub(in crate::kv) mod whole_batches;
