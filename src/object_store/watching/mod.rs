//! Watching objects: what there is, the signal that it was all, and every change.

pub(in crate::object_store) mod options;
pub(in crate::object_store) mod unreadable;
pub(in crate::object_store) mod update;
pub(in crate::object_store) mod watch;
