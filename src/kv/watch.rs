//! Watching a bucket: what is there, the signal that it was all, and then every change.
//!
//! The signal comes exactly once, also for an empty bucket, also when everything was filtered
//! out, and also under steady writes, where "nothing is pending" may never be true. So it counts:
//! [`Initial`] knows how many entries there were when the reading began.

use super::entry::{Created, Entry, Operation};
use super::{Error, KeyValue, name};
use crate::jetstream::{DeliverPolicy, Delivery, OrderedConfig, Reader, ReaderEvent};
use evnats_protocol::Message;
use std::fmt;
use std::time::Duration;

/// What a watch shows. Default: the last value of every key, and then every change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    start: Start,
    ignore_deletes: bool,
    meta_only: bool,
    heartbeat: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
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
            heartbeat: Duration::from_secs(5),
        }
    }
}

impl WatchOptions {
    /// The last value of every key, and then every change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with every value of the history.
    #[must_use]
    pub fn include_history(mut self) -> Self {
        self.start = Start::History;
        self
    }

    /// Shows only what changes from now on. [`Update::Initialised`] comes when the watch stands.
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

    /// How often the server reports while nothing changes. After three missed reports the watch
    /// is set up anew, behind the last entry. Default: 5 s.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }
}

/// What a watch reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// A revision, in the order of the bucket, none twice.
    Entry(Entry),
    /// Everything that there was when the watch began has been reported. Comes exactly once.
    Initialised,
    /// The watch is over: the bucket or the connection is gone, or could not be reached in the
    /// first place. The last report. Not sent after [`Watcher::stop`].
    Ended(Error),
}

/// A watch. A handle: letting go of it does not stop the watch.
pub struct Watcher<S: 'static = ()> {
    reader: Option<Reader<S>>,
}

impl<S: 'static> Watcher<S> {
    /// Ends the watch: its callback does not run again.
    pub fn stop(&self) {
        if let Some(reader) = &self.reader {
            reader.stop();
        }
    }
}

impl<S> Clone for Watcher<S> {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone() }
    }
}

impl<S> fmt::Debug for Watcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl<S: 'static> KeyValue<S> {
    /// Watches the keys that a pattern matches: a key, a pattern with `*` and `>`, or `>` for all.
    ///
    /// The callback runs for every [`Update`], until the watch ends or is stopped.
    pub fn watch(
        &self,
        pattern: &str,
        options: WatchOptions,
        callback: impl FnMut(&mut S, &KeyValue<S>, Update) + 'static,
    ) -> Watcher<S> {
        self.watch_many(&[pattern], options, callback)
    }

    /// Watches the keys that any of several patterns matches. Patterns that others cover are left
    /// out. More than one needs server 2.10.
    pub fn watch_many(
        &self,
        patterns: &[&str],
        options: WatchOptions,
        mut callback: impl FnMut(&mut S, &KeyValue<S>, Update) + 'static,
    ) -> Watcher<S> {
        let checked = self
            .check_bucket()
            .and_then(|()| patterns.iter().try_for_each(|pattern| name::check_pattern(pattern)));
        if let Err(error) = checked {
            self.defer(move |state, kv| callback(state, kv, Update::Ended(error)));
            return Watcher { reader: None };
        }
        let kv = self.clone();
        let mut initial = Initial::new(options.start == Start::Updates);
        let config = self.reader_config(patterns, &options);
        let reader = Reader::start(&self.bucket.js, config, move |state, reader, event| {
            let done = match event {
                ReaderEvent::Message(message, delivery) => {
                    let entry = kv.watched_entry(message, &delivery);
                    if !(options.ignore_deletes && entry.operation.is_tombstone()) {
                        callback(state, &kv, Update::Entry(entry));
                    }
                    initial.handle_message(delivery.pending)
                }
                ReaderEvent::Created { initial: count, received } => {
                    initial.handle_created(count, received)
                }
                ReaderEvent::Failed(error) => {
                    return callback(state, &kv, Update::Ended(kv.error(error)));
                }
            };
            if done && !reader.is_stopped() {
                callback(state, &kv, Update::Initialised);
            }
        });
        Watcher { reader: Some(reader) }
    }

    fn reader_config(&self, patterns: &[&str], options: &WatchOptions) -> OrderedConfig {
        let filters = uncovered(patterns);
        let subject = |pattern: &&str| format!("{}{pattern}", self.bucket.subjects);
        OrderedConfig {
            stream: self.bucket.stream.clone(),
            name_prefix: format!("evnats_{:016x}", fastrand::u64(..)),
            filter_subjects: filters.iter().map(subject).collect(),
            deliver_policy: match options.start {
                Start::LastPerKey => DeliverPolicy::LastPerSubject,
                Start::History => DeliverPolicy::All,
                Start::Updates => DeliverPolicy::New,
                Start::Revision(revision) => DeliverPolicy::ByStartSequence(revision.max(1)),
            },
            headers_only: options.meta_only,
            idle_heartbeat: options.heartbeat,
            ..OrderedConfig::default()
        }
    }

    fn watched_entry(&self, message: &Message, delivery: &Delivery<'_>) -> Entry {
        let subject = message.subject_to_bytes();
        let prefix = self.bucket.subjects.len();
        Entry {
            bucket: self.bucket.name.clone(),
            key: subject.slice(prefix.min(subject.len())..),
            value: message.payload_to_bytes(),
            revision: delivery.stream_sequence,
            delta: delivery.pending,
            operation: Operation::of(message.headers()),
            created: Created::Time(Some(delivery.timestamp())),
        }
    }
}

/// Patterns that no other one covers: the server refuses overlapping filters (10138).
fn uncovered<'a>(patterns: &[&'a str]) -> Vec<&'a str> {
    let covers = evnats_protocol::subject::matches;
    let is_covered = |index: usize, pattern: &str| {
        patterns.iter().enumerate().any(|(other, by)| {
            let same = *by == pattern;
            other != index && covers(by, pattern) && (!same || other < index)
        })
    };
    let kept = patterns.iter().enumerate().filter(|(index, pattern)| !is_covered(*index, pattern));
    kept.map(|(_, pattern)| *pattern).collect()
}

/// Tells when everything that there was at the beginning has come.
#[derive(Debug)]
struct Initial {
    updates_only: bool,
    /// How many messages the current consumer was to deliver, once that is known.
    expected: Option<u64>,
    /// How many of them have come since the consumer was known to exist, or before.
    received: u64,
    done: bool,
}

impl Initial {
    fn new(updates_only: bool) -> Self {
        Self { updates_only, expected: None, received: 0, done: false }
    }

    /// A consumer was created, the first one or another after a reset.
    fn handle_created(&mut self, expected: u64, received: u64) -> bool {
        self.expected = Some(expected);
        self.received = received;
        self.check(self.updates_only)
    }

    fn handle_message(&mut self, pending: u64) -> bool {
        self.received += 1;
        self.check(pending == 0 && !self.updates_only)
    }

    /// Says so the first time that everything has come.
    fn check(&mut self, certainly: bool) -> bool {
        let all = self.expected.is_some_and(|expected| self.received >= expected);
        let first = !self.done && (certainly || all);
        self.done |= first;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bucket_is_done_when_the_consumer_stands() {
        assert!(Initial::new(false).handle_created(0, 0));
        assert!(Initial::new(true).handle_created(7, 0));
    }

    #[test]
    fn the_signal_comes_once_by_count_or_by_nothing_pending() {
        let mut initial = Initial::new(false);
        assert!(!initial.handle_created(3, 0));
        let signals: Vec<_> = [9, 9, 9, 0].map(|pending| initial.handle_message(pending)).into();
        assert_eq!(signals, [false, false, true, false], "steady writes: something is pending");
        let mut initial = Initial::new(false);
        assert!(!initial.handle_message(1), "before the consumer is known");
        assert!(initial.handle_message(0));
        assert!(!initial.handle_created(2, 2));
    }

    #[test]
    fn the_count_begins_again_with_a_new_consumer() {
        let mut initial = Initial::new(false);
        assert!(!initial.handle_created(5, 0));
        assert!(!initial.handle_message(4));
        assert!(!initial.handle_created(2, 0), "after a reset");
        assert!(!initial.handle_message(8));
        assert!(initial.handle_message(7));
        let mut initial = Initial::new(false);
        assert!(!initial.handle_created(5, 0));
        assert!(initial.handle_created(0, 0), "the rest was deleted meanwhile");
    }

    #[test]
    fn covered_patterns_are_left_out() {
        assert_eq!(uncovered(&["a.b", "a.*", "c"]), ["a.*", "c"]);
        assert_eq!(uncovered(&["a", "a"]), ["a"]);
        assert_eq!(uncovered(&[">", "a.>", "b"]), [">"]);
        assert_eq!(uncovered(&["a.*", "*.b"]), ["a.*", "*.b"]);
    }
}
