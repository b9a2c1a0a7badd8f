//! The handle of a watcher.

use crate::event_loop::timers_on;
use crate::mongo::changes::metrics::WatchMetrics;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::watch::Watch;
use crate::mongo::handle::Mongo;
use std::fmt;
use std::rc::Rc;

/// A change stream that is watched. A cheap handle; dropping it does not [stop](Self::stop) the watcher,
/// which keeps [`run`](crate::EventLoop::run) going until it has stopped.
pub struct ChangeStreamWatcher<S: 'static = ()> {
    mongo: Mongo<S>,
    watch: Rc<Watch>,
}

impl<S: 'static> ChangeStreamWatcher<S> {
    pub(super) fn new(mongo: &Mongo<S>, watch: &Rc<Watch>) -> Self {
        Self { mongo: mongo.clone(), watch: watch.clone() }
    }

    /// Stops: no change comes any more, those that were given out have five seconds to be answered, and the
    /// position is saved. A watcher that has stopped stays so.
    pub fn stop(&self) {
        self.watch.stop_soon();
    }

    /// Whether the watcher is to stop, or has.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.watch.is_ending()
    }

    /// Everything up to here is done. It may not be saved yet. In
    /// [`SeedOrder`](super::CommitMode::SeedOrder), the position that a watcher starts with is that of the
    /// change that comes again.
    #[must_use]
    pub fn position(&self) -> Option<ResumePoint> {
        self.watch.work.borrow().position.clone()
    }

    /// What the watcher has done so far, and what it has at hand.
    #[must_use]
    pub fn metrics(&self) -> WatchMetrics {
        self.watch.metrics()
    }

    /// The connection to MongoDB.
    #[must_use]
    pub fn mongo(&self) -> &Mongo<S> {
        &self.mongo
    }
}

timers_on!(ChangeStreamWatcher, |watcher| watcher.watch.bridge.event_loop());

impl<S> Clone for ChangeStreamWatcher<S> {
    fn clone(&self) -> Self {
        Self::new(&self.mongo, &self.watch)
    }
}

impl<S> fmt::Debug for ChangeStreamWatcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeStreamWatcher").finish_non_exhaustive()
    }
}
