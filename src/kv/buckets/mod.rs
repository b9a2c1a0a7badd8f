//! Buckets as a whole: how they are configured, their life, and lists of them.

pub(in crate::kv) mod config;
pub(in crate::kv) mod lifecycle;
pub(in crate::kv) mod list;
pub(in crate::kv) mod status;
pub(in crate::kv) mod stream_form;
