//! What a watch is at.

use std::time::Instant;

/// What a watch is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchState {
    /// There is a consumer that feeds it.
    Live,
    /// There is none, and one is made, the first one or another.
    Recreating {
        /// Since then.
        since: Instant,
    },
    /// It was stopped, or has ended.
    Ended,
}
