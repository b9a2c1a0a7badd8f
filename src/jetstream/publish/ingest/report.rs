//! What an ingest tells of itself.

use crate::jetstream::error::Error;
use std::sync::Arc;

/// What has become of an ingest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestReport {
    /// How many messages it took.
    pub published: u64,
    /// How many of them the stream has taken in, as far as is known: those that were lost or refused
    /// meanwhile are not among them.
    pub stored: u64,
    /// How many were lost on their way, or came too late.
    pub lost: u64,
    /// How many the stream has refused.
    pub refused: u64,
    /// The sequence of the last one; 0 until it is known.
    pub last_sequence: u64,
    /// The stream, once it is known.
    pub stream: Option<Arc<str>>,
    /// Whether it was a fast ingest, and not a window on an older server.
    pub is_fast: bool,
}

impl IngestReport {
    /// How many are certainly not stored.
    pub(super) fn missing(&self) -> u64 {
        self.lost.saturating_add(self.refused)
    }
}

/// Messages that did not reach the stream; see [`FastIngest::on_gap`](super::FastIngest::on_gap).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestGap {
    /// The number of the first one that is missing.
    pub from: u64,
    /// The number of the one that has come next. If it is the lower one, that has come too late.
    pub to: u64,
}

/// A message that the stream has refused; see
/// [`FastIngest::on_refused`](super::FastIngest::on_refused).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestRefusal {
    /// Its number.
    pub number: u64,
    /// Why.
    pub error: Error,
}
