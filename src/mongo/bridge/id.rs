//! What is under way is known by this in both threads.

/// A call or a stream. Its place is used again, its serial never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) index: usize,
    pub(super) serial: u64,
}
