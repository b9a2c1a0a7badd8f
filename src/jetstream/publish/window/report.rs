//! What a window tells: what has become of its messages, and why it stays full.

use crate::jetstream::error::Error;
use crate::jetstream::publish::diagnosis::Unanswered;

/// What has become of all messages that a window was given, up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowReport {
    /// How many it took.
    pub published: u64,
    /// How many are stored, those that were stored before among them.
    pub stored: u64,
    /// How many of them had been stored before, under the same message id.
    pub duplicates: u64,
    /// How many are certainly not stored.
    pub not_stored: u64,
    /// Of how many it is unknown whether they are stored.
    pub unknown: u64,
    /// How often a message was sent again. Such a one may be stored after later ones.
    pub resent: u64,
    /// The sequence of the message that was acknowledged last; 0: none was.
    pub last_sequence: u64,
    /// The first error that a message failed with.
    pub first_error: Option<Error>,
}

/// A message without a callback of its own that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishFailure {
    /// The number that it was given when it was published.
    pub number: u64,
    /// Its subject.
    pub subject: String,
    /// Why.
    pub error: Error,
}

/// A full window without any acknowledgement; see
/// [`PublishWindow::on_stalled`](super::PublishWindow::on_stalled).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalled {
    /// How many messages are without an acknowledgement.
    pub outstanding: usize,
    /// Why, as far as can be known: of the subject that was refused last.
    pub reason: Unanswered,
}

impl WindowReport {
    /// Whether every message is stored that has been published.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stored == self.published
    }

    #[inline]
    pub(super) fn record(&mut self, sequence: u64, is_duplicate: bool) {
        self.stored += 1;
        self.duplicates += u64::from(is_duplicate);
        self.last_sequence = sequence;
    }

    pub(super) fn record_failure(&mut self, error: &Error) {
        match error.is_outcome_unknown() {
            true => self.unknown += 1,
            false => self.not_stored += 1,
        }
        self.first_error.get_or_insert_with(|| error.clone());
    }
}
