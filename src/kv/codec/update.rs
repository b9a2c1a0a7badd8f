//! What a watch with codecs reports.

use super::codecs::{Codecs, Values};
use super::decoded::{Decoded, Undecodable};
use crate::jetstream::Stall;
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::watching::update::Update;
use std::time::Instant;

/// What a watch with codecs reports: an [`Update`], decoded.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodedUpdate {
    /// As [`Update::Entry`], decoded.
    Entry(Entry),
    /// A revision that could not be decoded, in the place of its entry. The watch goes on.
    Undecodable(Undecodable),
    /// As [`Update::Batch`], decoded, with those of the batch that could not be: together they are all of
    /// it.
    Batch(Decoded<Entry>),
    /// As [`Update::Initialized`]: comes exactly once, whatever could not be decoded.
    Initialized,
    /// As [`Update::Recreating`].
    Recreating {
        /// When that was noticed.
        since: Instant,
    },
    /// As [`Update::Live`].
    Live,
    /// As [`Update::Stalled`].
    Stalled(Stall),
    /// As [`Update::Resumed`].
    Resumed,
    /// As [`Update::Cleared`].
    Cleared,
    /// As [`Update::Ended`]: the last report. It is [`Error::Codec`] if a pattern could not be encoded.
    Ended(Error),
}

impl CodedUpdate {
    pub(super) fn of(update: Update, codecs: &Codecs, values: Values) -> Self {
        match update {
            Update::Entry(entry) => match codecs.decode_one(&entry, values) {
                Ok(entry) => Self::Entry(entry),
                Err(undecodable) => Self::Undecodable(undecodable),
            },
            Update::Batch(entries) => {
                let decode = |entry: &Entry| codecs.decode_one(entry, values);
                Self::Batch(Decoded::sorted(entries.iter().map(decode)))
            }
            Update::Initialized => Self::Initialized,
            Update::Recreating { since } => Self::Recreating { since },
            Update::Live => Self::Live,
            Update::Stalled(stall) => Self::Stalled(stall),
            Update::Resumed => Self::Resumed,
            Update::Cleared => Self::Cleared,
            Update::Ended(error) => Self::Ended(error),
        }
    }
}
