//! What a cache may hold, what it reports, and what it is at.

use crate::jetstream::Stall;
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How a cache is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheOptions {
    pub(in crate::kv) max_bytes: usize,
    pub(in crate::kv) heartbeat: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { max_bytes: usize::MAX, heartbeat: Duration::from_secs(5) }
    }
}

impl CacheOptions {
    /// As much as the bucket holds, with a heartbeat of 5 s.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes of memory it may take, as they are reckoned in [`Cache`](crate::kv::Cache). A cache that
    /// would hold more ends with [`Error::CacheFull`]. Default: as many as it needs.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How often the server reports while nothing changes; see
    /// [`WatchOptions::heartbeat`](crate::kv::WatchOptions::heartbeat). Default: 5 s.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }
}

/// What a cache reports. What is reported has been done to the cache by then.
#[derive(Debug)]
#[non_exhaustive]
pub enum CacheEvent {
    /// The cache holds everything that there was when it began. Comes once; changes come after it.
    Ready,
    /// A key has another value, or none any more.
    Changed(Rc<Entry>),
    /// Changes that were written in one atomic batch, two or more, all of which are in the cache.
    Batch(Vec<Rc<Entry>>),
    /// A key is gone from the bucket without a message that would say so: its time is over, or it was
    /// purged from the stream. This was its entry.
    Removed(Rc<Entry>),
    /// This client has emptied the bucket ([`clear`](crate::kv::KeyValue::clear)).
    Cleared,
    /// The watch is not fed, since then. The cache holds what it held.
    CatchingUp {
        /// When that was noticed.
        since: Instant,
    },
    /// What was reported with `CatchingUp` is over: the cache is exact again.
    Live,
    /// As [`Update::Stalled`](crate::kv::Update::Stalled).
    Stalled(Stall),
    /// As [`Update::Resumed`](crate::kv::Update::Resumed).
    Resumed,
    /// The cache is no longer kept, and this is why. It goes on holding what it held. The last report.
    /// Not sent after [`Cache::stop`](crate::kv::Cache::stop).
    Ended(Error),
}

/// What a cache is at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheState {
    /// It follows the bucket.
    Live,
    /// It may lack something: it is being filled, or the watch was not fed.
    CatchingUp {
        /// Since then.
        since: Instant,
    },
    /// It is no longer kept. `None`: it was stopped.
    Ended(Option<Error>),
}
