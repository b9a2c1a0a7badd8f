//! What of an object is wanted.

use std::ops::{Bound, RangeBounds};

/// Which bytes of an object are got: `GetOptions::new().range(4096..8192)`. Default: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    pub(super) start: u64,
    pub(super) end: Option<u64>,
}

impl GetOptions {
    /// All bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These bytes, counted from 0; what is behind the object's end is left out. To go on with a get that
    /// was broken off, begin with the number of bytes that have come. Only the chunks are read that they
    /// are in.
    ///
    /// A range cannot be compared with the object's digest, so it is not
    /// [verified](crate::object_store::Got::is_verified): that the chunks are the right ones and whole is
    /// checked all the same.
    #[must_use]
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        self.start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        self.end = match range.end_bound() {
            Bound::Included(end) => Some(end.saturating_add(1)),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => None,
        };
        self
    }
}
