//! A list of what could be decoded, and of what could not.

use crate::kv::error::Error;

/// What a list is of, and what had no place in it because it could not be decoded: other clients may write
/// to the bucket, too, and one key or value of theirs does not keep the rest from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded<T> {
    /// What could be decoded.
    pub items: Vec<T>,
    /// What could not. Usually empty.
    pub undecodable: Vec<Undecodable>,
}

/// A key or a value of the bucket that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undecodable {
    /// The key as it is in the bucket, with which [`CodedKeyValue::plain`](super::CodedKeyValue::plain)
    /// reads it.
    pub key: String,
    /// The revision. `None` in a list of keys.
    pub revision: Option<u64>,
    /// What was to be decoded, and why it could not be: [`Error::Codec`].
    pub error: Error,
}

impl<T> Decoded<T> {
    /// Sorts outcomes.
    pub(super) fn sorted(outcomes: impl Iterator<Item = Result<T, Undecodable>>) -> Self {
        let mut decoded = Self { items: Vec::new(), undecodable: Vec::new() };
        for outcome in outcomes {
            match outcome {
                Ok(item) => decoded.items.push(item),
                Err(undecodable) => decoded.undecodable.push(undecodable),
            }
        }
        decoded
    }
}
