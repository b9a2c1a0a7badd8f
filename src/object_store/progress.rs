//! How far a transfer has come.

use crate::callback::{Ran, State};

/// How far a put or a get has come, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are stored, or that were handed over.
    pub done: u64,
    /// Bytes in all. `None`: that is not known before the end.
    pub total: Option<u64>,
}

/// What runs whenever there is progress.
pub(in crate::object_store) type OnProgress<T> = Box<dyn FnMut(&mut State, &T, Progress) -> Ran>;
