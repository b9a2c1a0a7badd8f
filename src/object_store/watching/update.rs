//! What a watch reports.

use crate::jetstream::Stall;
pub use crate::jetstream::watching::WatchState;
use crate::jetstream::watching::{self, Told};
use crate::object_store::error::Error;
use crate::object_store::info::ObjectInfo;
use crate::object_store::watching::unreadable::Unreadable;
use std::time::Instant;

/// What a watch reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// What is known of an object, in the order of the bucket, none twice. Of one that was
    /// [deleted](ObjectInfo::deleted), that it was.
    Object(ObjectInfo),
    /// What is stored of an object cannot be read. The watch goes on.
    Unreadable(Unreadable),
    /// Everything that there was when the watch began has been reported: everything that the leader
    /// of the bucket's stream knew of then. Comes exactly once.
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
    /// The watch is over, and this is why. The last report. Not sent after
    /// [`Watcher::stop`](crate::object_store::Watcher::stop).
    ///
    /// A bucket that is deleted is [`Error::BucketNotFound`], one that was created anew
    /// [`OrderedError::StreamRecreated`](crate::jetstream::OrderedError::StreamRecreated): its revisions
    /// are others. The connection may be over, or what the watch needs could not be had in the first
    /// place.
    Ended(Error),
}

/// A watch that is running.
pub(in crate::object_store) type Watching = watching::Watching<Update>;

/// What runs for every update of it.
pub(in crate::object_store) type OnUpdate = watching::OnUpdate<Update>;

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
