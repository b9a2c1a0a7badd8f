//! What clients have asked for and been told, on one clock.
//!
//! The clock counts beginnings and ends of operations, in the order in which the one thread of all
//! clients has seen them. An operation takes effect after its beginning and before its end, so that an
//! end that is seen late makes nothing look wrong that is not.

use evnats::kv::Reads;

/// A point in time.
pub(crate) type Tick = u64;

/// The end of what was never answered.
pub(crate) const NEVER: Tick = Tick::MAX;

/// A value, by its number. No two writes have the same.
pub(crate) type Value = u64;

/// What a key holds at a revision. `None`: a tombstone.
pub(crate) type Content = Option<Value>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) key: usize,
    pub(crate) begun: Tick,
    /// [`NEVER`] if it may still take effect.
    pub(crate) ended: Tick,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Write(Write),
    Read(Read),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Write {
    pub(crate) content: Content,
    pub(crate) expected: Expected,
    pub(crate) outcome: Outcome,
}

/// What a write makes a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Expected {
    Nothing,
    /// The key's last revision is this one.
    Revision(u64),
    /// The key has no value.
    NoValue,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// It was stored as this revision.
    Stored(u64),
    /// The condition was not met.
    Conflict,
    /// It was not stored for certain.
    NotStored,
    /// It may have been stored, or may yet be.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) reads: Reads,
    /// The revision that was read, and what it holds. `None`: the key was never written.
    pub(crate) found: Option<(u64, Content)>,
}

impl Read {
    pub(crate) fn revision(&self) -> u64 {
        self.found.map_or(0, |(revision, _)| revision)
    }
}
