//! The handle of a processor.

use crate::mongo::changes::{ChangeStreamWatcher, WatchMetrics};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// A collection whose documents go to a [`CollectionWatcher`](super::CollectionWatcher) as they change. A
/// cheap handle; dropping it does not [stop](Self::stop) the processor.
pub struct DocumentProcessor<S: 'static = ()> {
    pub(super) watcher: ChangeStreamWatcher<S>,
    pub(super) skipped: Rc<Cell<u64>>,
}

impl<S: 'static> DocumentProcessor<S> {
    /// Stops, at once also during a pause. Changes that were given out have five seconds to be answered, and
    /// the position is saved.
    pub fn stop(&self) {
        self.watcher.stop();
    }

    /// Whether the processor is to stop, or has.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.watcher.is_stopped()
    }

    /// How many changes there is no method for: of other types than inserts, updates, replacements and
    /// deletions. They count as done.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.get()
    }

    /// What the watcher below has done so far, and what it has at hand.
    #[must_use]
    pub fn metrics(&self) -> WatchMetrics {
        self.watcher.metrics()
    }

    /// The watcher below.
    #[must_use]
    pub fn watcher(&self) -> &ChangeStreamWatcher<S> {
        &self.watcher
    }
}

impl<S> Clone for DocumentProcessor<S> {
    fn clone(&self) -> Self {
        Self { watcher: self.watcher.clone(), skipped: self.skipped.clone() }
    }
}

impl<S> fmt::Debug for DocumentProcessor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentProcessor").field("skipped", &self.skipped).finish_non_exhaustive()
    }
}
