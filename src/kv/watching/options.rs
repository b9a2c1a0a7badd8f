//! What a watch shows, and where it begins.

use crate::jetstream::watching::Counts;
use std::time::Duration;

/// What a watch shows. Default: the last value of every key, and then every change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    pub(in crate::kv) start: Start,
    pub(in crate::kv) ignore_deletes: bool,
    pub(in crate::kv) meta_only: bool,
    pub(in crate::kv) whole_batches: bool,
    pub(in crate::kv) heartbeat: Duration,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) enum Start {
    LastPerKey,
    History,
    Updates,
    Revision(u64),
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            start: Start::LastPerKey,
            ignore_deletes: false,
            meta_only: false,
            whole_batches: false,
            heartbeat: Duration::from_secs(5),
        }
    }
}

impl WatchOptions {
    /// The last value of every key, and then every change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with every value of the history.
    #[must_use]
    pub fn include_history(mut self) -> Self {
        self.start = Start::History;
        self
    }

    /// Shows only what changes from now on. [`Update::Initialized`](crate::kv::Update::Initialized) comes when
    /// the watch is established.
    #[must_use]
    pub fn updates_only(mut self) -> Self {
        self.start = Start::Updates;
        self
    }

    /// Begins with this revision, and shows everything since that the bucket still holds.
    #[must_use]
    pub fn from_revision(mut self, revision: u64) -> Self {
        self.start = Start::Revision(revision);
        self
    }

    /// Leaves tombstones out.
    #[must_use]
    pub fn ignore_deletes(mut self) -> Self {
        self.ignore_deletes = true;
        self
    }

    /// Leaves the values out: entries have empty ones.
    #[must_use]
    pub fn meta_only(mut self) -> Self {
        self.meta_only = true;
        self
    }

    /// Reports what was written in one atomic batch (server 2.12) together, as one [`Update::Batch`].
    ///
    /// Servers deliver the entries of a batch one by one, and a watch holds them until the batch is
    /// complete, or until it is known that no more of it comes: the pattern may not match its end, and
    /// among the last values there may be only parts of a batch. So what is held comes at the latest before the next entry that is
    /// not of the batch, or with the next [`heartbeat`](Self::heartbeat), and [`Update::Initialized`]
    /// after it.
    ///
    /// A batch of more than 10,000 entries or 64 MiB comes in several pieces. A server's own limit is
    /// 1,000 messages, unless it is configured otherwise.
    ///
    /// [`Update::Batch`]: crate::kv::Update::Batch
    /// [`Update::Initialized`]: crate::kv::Update::Initialized
    #[must_use]
    pub fn whole_batches(mut self) -> Self {
        self.whole_batches = true;
        self
    }

    /// How often the server reports while nothing changes. After three missed reports the watch
    /// is set up again, after the last entry. Default: 5 s.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }
}

impl Start {
    /// What is counted on the way to the signal.
    pub(in crate::kv) fn counts(self) -> Counts {
        match self {
            Self::LastPerKey => Counts::Keys,
            Self::History | Self::Revision(_) => Counts::Messages,
            Self::Updates => Counts::Nothing,
        }
    }

    /// The first revision that may come.
    pub(in crate::kv) fn first(self) -> u64 {
        match self {
            Self::Revision(first) => first,
            Self::LastPerKey | Self::History | Self::Updates => 0,
        }
    }
}
