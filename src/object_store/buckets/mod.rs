//! Buckets: how they are configured, their life, lists of them.

pub(in crate::object_store) mod config;
mod lifecycle;
mod list;
pub(in crate::object_store) mod status;
mod stream_form;
