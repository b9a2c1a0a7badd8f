//! Writing values and tombstones, one key or several as one; each is complete with the stream's
//! acknowledgement.

pub(in crate::kv) mod batch;
pub(in crate::kv) mod creation;
pub(in crate::kv) mod fence;
pub(in crate::kv) mod options;
pub(in crate::kv) mod putting;
pub(in crate::kv) mod storing;
pub(in crate::kv) mod touch;
pub(in crate::kv) mod ttl;
pub(in crate::kv) mod write;
