//! How a candidate stands for an election, and what it is told.

use crate::jetstream::wire::setters;
use crate::kv::error::Error;
use crate::kv::lock::Lost;
use std::time::Duration;

/// How a candidate stands for an election:
/// `ElectionOptions::new("host-1").ttl(Duration::from_secs(5))`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElectionOptions {
    /// What the others are told of the candidate: a host, a process. Two may have the same name, and are
    /// two candidates all the same.
    pub name: String,
    /// After how long a leader that is not heard of is replaced. At least one second, at most a year.
    /// Default: 10 s.
    pub ttl: Duration,
}

impl ElectionOptions {
    /// A candidate of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ttl: Duration::from_secs(10) }
    }
}

setters!(ElectionOptions {
    value ttl: Duration,
});

/// What a candidate is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElectionEvent {
    /// This candidate leads now.
    Elected {
        /// The fencing token: higher than that of every leader before. What is led should refuse a lower
        /// one than it has seen.
        revision: u64,
    },
    /// This candidate leads no longer, or has to assume so, and stands again. Not told after
    /// [`resign`](super::Election::resign).
    Lost(Lost),
    /// Who leads, by its name, which may be this candidate's; `None`: nobody. Told when it changes, and
    /// once in the beginning.
    Leader(Option<String>),
    /// The candidate does not stand any more: the bucket is gone, the client is over, or what it needs is
    /// not permitted. The last event. Not told after [`stop`](super::Election::stop).
    Ended(Error),
}
