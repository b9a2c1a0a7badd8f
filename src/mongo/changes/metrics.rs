//! What a watcher counts.

use crate::mongo::changes::sink_metrics::SinkMetrics;
use std::time::Duration;

/// What a watcher has done so far, and what it has at hand. A snapshot, by
/// [`ChangeStreamWatcher::metrics`](super::ChangeStreamWatcher::metrics).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WatchMetrics {
    /// Changes that came. One that comes again counts again.
    pub changes: u64,
    /// Those among them whose type this version has no name for: of newer servers.
    pub unknown: u64,
    /// Changes that came and are not done.
    pub in_flight: usize,
    /// Their bytes.
    pub in_flight_bytes: usize,
    /// Positions that were saved.
    pub saves: u64,
    /// Attempts to save one that have failed.
    pub failed_saves: u64,
    /// How often the stream was opened, or was tried to.
    pub openings: u64,
    /// How often the position was lost, and the watcher has gone on all the same.
    pub resets: u64,
    /// How long ago the last change that came was, by this system's clock and that of the server, which may
    /// differ. `None`: none came, or it does not tell (servers before 6.0).
    pub lag: Option<Duration>,
    /// What has become of the messages that the changes are [published](super::WatchBuilder::publish_to) in.
    /// `None`: they are not.
    pub sink: Option<SinkMetrics>,
}

/// The types of changes that servers up to 8 tell of.
const KNOWN: [&str; 16] = [
    "insert",
    "update",
    "replace",
    "delete",
    "drop",
    "rename",
    "dropDatabase",
    "invalidate",
    "create",
    "createIndexes",
    "dropIndexes",
    "modify",
    "shardCollection",
    "reshardCollection",
    "refineCollectionShardKey",
    "migrateChunkToNewShard",
];

/// The counters of a watcher.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) changes: u64,
    pub(super) unknown: u64,
    pub(super) saves: u64,
    pub(super) failed_saves: u64,
    pub(super) openings: u64,
    pub(super) resets: u64,
    /// When the last change was, by the server's clock.
    pub(super) last_change: Option<bson::DateTime>,
}

impl Tally {
    pub(super) fn count_change(&mut self, operation_type: &str, time: Option<bson::DateTime>) {
        self.changes += 1;
        self.unknown += u64::from(!KNOWN.contains(&operation_type));
        self.last_change = time.or(self.last_change);
    }

    pub(super) fn count_save(&mut self, is_saved: bool) {
        self.saves += u64::from(is_saved);
        self.failed_saves += u64::from(!is_saved);
    }

    /// The counters beside what is at hand, and how long ago the last change was at this time.
    pub(super) fn metrics(
        &self,
        now: bson::DateTime,
        (in_flight, in_flight_bytes): (usize, usize),
    ) -> WatchMetrics {
        let lag = self.last_change.map(|last| {
            let millis = now.timestamp_millis().saturating_sub(last.timestamp_millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        });
        WatchMetrics {
            changes: self.changes,
            unknown: self.unknown,
            in_flight,
            in_flight_bytes,
            saves: self.saves,
            failed_saves: self.failed_saves,
            openings: self.openings,
            resets: self.resets,
            lag,
            sink: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::DateTime;

    #[test]
    fn what_is_counted_is_told() {
        let mut tally = Tally::default();
        assert_eq!(tally.metrics(DateTime::from_millis(9), (0, 0)), WatchMetrics::default());
        tally.count_change("insert", Some(DateTime::from_millis(1_000)));
        tally.count_change("transmogrify", None);
        tally.count_save(true);
        tally.count_save(false);
        let metrics = tally.metrics(DateTime::from_millis(3_500), (2, 70));
        assert_eq!((metrics.changes, metrics.unknown), (2, 1));
        assert_eq!((metrics.in_flight, metrics.in_flight_bytes), (2, 70));
        assert_eq!((metrics.saves, metrics.failed_saves), (1, 1));
        assert_eq!(metrics.lag, Some(Duration::from_millis(2_500)));
        let early = tally.metrics(DateTime::from_millis(0), (0, 0));
        assert_eq!(early.lag, Some(Duration::ZERO), "clocks differ");
    }
}
