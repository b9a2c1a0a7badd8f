//! What a watch shows, and where it begins.

use crate::jetstream::DeliverPolicy;
use crate::jetstream::watching::Counts;
use std::time::Duration;

/// What a watch shows. Default: what is known of every object, deleted ones included, and then every
/// change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    pub(in crate::object_store) start: Start,
    pub(in crate::object_store) ignore_deletes: bool,
    pub(in crate::object_store) heartbeat: Duration,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::object_store) enum Start {
    LastPerObject,
    History,
    Updates,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            start: Start::LastPerObject,
            ignore_deletes: false,
            heartbeat: Duration::from_secs(5),
        }
    }
}

impl WatchOptions {
    /// What is known of every object, and then every change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with everything that the bucket holds of every object, in its order. Whoever writes what
    /// is known of an object replaces what there was before (`Nats-Rollup`), so that it is mostly one of
    /// each; clients that leave that out leave more.
    #[must_use]
    pub fn include_history(mut self) -> Self {
        self.start = Start::History;
        self
    }

    /// Shows only what changes from now on.
    /// [`Update::Initialized`](crate::object_store::Update::Initialized) comes when the watch is
    /// established.
    #[must_use]
    pub fn updates_only(mut self) -> Self {
        self.start = Start::Updates;
        self
    }

    /// Leaves out objects that were deleted.
    #[must_use]
    pub fn ignore_deletes(mut self) -> Self {
        self.ignore_deletes = true;
        self
    }

    /// How often the server reports while nothing changes. After three missed reports the watch
    /// is set up again, after the last change. Default: 5 s.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }
}

impl Start {
    /// What is counted on the way to the signal.
    pub(super) fn counts(self) -> Counts {
        match self {
            Self::LastPerObject => Counts::Keys,
            Self::History => Counts::Messages,
            Self::Updates => Counts::Nothing,
        }
    }

    pub(super) fn policy(self) -> DeliverPolicy {
        match self {
            Self::LastPerObject => DeliverPolicy::LastPerSubject,
            Self::History => DeliverPolicy::All,
            Self::Updates => DeliverPolicy::New,
        }
    }
}
