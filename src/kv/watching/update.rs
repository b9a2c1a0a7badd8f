//! What a watch reports.

use crate::jetstream::Stall;
pub use crate::jetstream::watching::WatchState;
use crate::jetstream::watching::{self, Told};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use std::time::Instant;

/// What a watch reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// A revision, in the order of the bucket, none twice.
    Entry(Entry),
    /// Revisions that were written in one atomic batch, two or more, in the order of the bucket. Only
    /// with [`WatchOptions::whole_batches`](crate::kv::WatchOptions::whole_batches).
    Batch(Vec<Entry>),
    /// Everything that there was when the watch began has been reported: everything that the leader
    /// of the bucket's stream knew of then. Comes exactly once. With [`Reads::Replica`], everything
    /// that the replica knew of which serves the watch.
    ///
    /// [`Reads::Replica`]: crate::kv::Reads::Replica
    Initialized,
    /// The consumer that feeds the watch is gone, or cannot be reached, and another one is made, since
    /// then. What changes meanwhile comes later, and nothing comes twice.
    Recreating {
        /// When that was noticed.
        since: Instant,
    },
    /// There is a consumer again: what was reported with `Recreating` is over.
    Live,
    /// Nothing comes at the moment, for this reason, although the connection is there: consumers
    /// were lost, or could not be made, twice in a row and without progress in between. The watch
    /// goes on trying, and shows everything when it is over. Comes again if the reason changes.
    Stalled(Stall),
    /// What was reported with `Stalled` is over.
    Resumed,
    /// This client has emptied the bucket ([`clear`](crate::kv::KeyValue::clear)): every key that was shown
    /// before has no value any more, unless an entry that comes later says otherwise. When another client
    /// does that, nobody is told.
    Cleared,
    /// The watch is over, and this is why. The last report. Not sent after
    /// [`Watcher::stop`](crate::kv::Watcher::stop).
    ///
    /// A bucket that is deleted is [`Error::BucketNotFound`], one that was created anew
    /// [`OrderedError::StreamRecreated`](crate::jetstream::OrderedError::StreamRecreated): its revisions
    /// are others. The connection may be over, or what the watch needs could not be had in the first
    /// place.
    Ended(Error),
}

/// A watch that is running.
pub(crate) type Watching = watching::Watching<Update>;

/// What runs for every update of it.
pub(crate) type OnUpdate = watching::OnUpdate<Update>;

impl From<Told<Error>> for Update {
    fn from(told: Told<Error>) -> Self {
        match told {
            Told::Initialized => Self::Initialized,
            Told::Recreating { since } => Self::Recreating { since },
            Told::Live => Self::Live,
            Told::Stalled(stall) => Self::Stalled(stall),
            Told::Resumed => Self::Resumed,
            Told::Ended(error) => Self::Ended(error),
        }
    }
}
