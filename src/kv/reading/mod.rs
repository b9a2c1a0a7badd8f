//! Reading values: what a read proves, one key, and many at one point in time.

pub(in crate::kv) mod get;
mod getting;
pub(in crate::kv) mod many;
pub(in crate::kv) mod proof;
mod proving;
pub(in crate::kv) mod reads;
