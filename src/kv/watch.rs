//! Watching a bucket: what is there, the signal that it was all, and then every change.
//!
//! The signal comes exactly once, also for an empty bucket, also when everything was filtered
//! out, and also under steady writes, where "nothing is pending" may never be true: [`Initial`]
//! decides.

use super::entry::{Created, Entry, Operation};
use super::{Error, KeyValue, name};
use crate::jetstream::{DeliverPolicy, Delivery, OrderedConfig, Reader, ReaderEvent};
use evnats_protocol::Message;
use std::collections::{HashSet, hash_map::RandomState};
use std::fmt;
use std::hash::BuildHasher;
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

    /// Shows only what changes from now on. [`Update::Initialized`] comes when the watch stands.
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
    Initialized,
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
    /// The callback runs for every [`Update`], until the watch ends or is stopped. A value that is
    /// replaced before its turn is not seen, unless the bucket's history still holds it: with a
    /// history of one, a put and a delete in a row may show as the delete alone.
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
        let mut initial = Initial::new(options.start);
        let config = self.reader_config(patterns, &options);
        let reader = Reader::start(&self.bucket.js, config, move |state, reader, event| {
            let done = match event {
                ReaderEvent::Message(message, delivery) => {
                    let entry = kv.watched_entry(message, &delivery);
                    let done = initial.handle_message(&entry.key, delivery.pending);
                    if !(options.ignore_deletes && entry.operation.is_tombstone()) {
                        callback(state, &kv, Update::Entry(entry));
                    }
                    done
                }
                ReaderEvent::Created { initial: count, received } => {
                    initial.handle_created(count, received)
                }
                ReaderEvent::Idle => initial.handle_idle(),
                ReaderEvent::Failed(error) => {
                    return callback(state, &kv, Update::Ended(kv.error(error)));
                }
            };
            if done && !reader.is_stopped() {
                callback(state, &kv, Update::Initialized);
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
///
/// Neither of the two obvious signs will do alone. "Nothing is pending" may never be so under steady
/// writes, and servers before 2.11 say it while keys that were written again are still to come. The
/// count from the beginning is reached too early by such keys: they move behind everything else,
/// while others that moved are counted in their place. So keys are counted once each, the count has
/// to be reached, and then what is pending at that moment, and so on for a few rounds, each of which
/// is as long as the writes during the one before.
#[derive(Debug)]
struct Initial {
    updates_only: bool,
    /// How many messages of the current consumer end the round, once that is known.
    target: Option<u64>,
    rounds_left: u32,
    received: u64,
    /// Hashes of the keys received, where each key counts once. Two keys with one hash only delay
    /// the signal, until the consumer is idle.
    keys: Option<HashSet<u64>>,
    hasher: RandomState,
    /// What was pending after the last message.
    pending: u64,
    done: bool,
}

/// Rounds after the first. With them, only a reader that is slower than the writers can miss a key,
/// and only one that is written again in every round.
const ROUNDS: u32 = 4;

impl Initial {
    fn new(start: Start) -> Self {
        Self {
            updates_only: start == Start::Updates,
            target: None,
            rounds_left: ROUNDS,
            received: 0,
            keys: (start == Start::LastPerKey).then(HashSet::new),
            hasher: RandomState::new(),
            pending: 0,
            done: false,
        }
    }

    /// A consumer was created, the first one or another after a reset, which has `expected`
    /// messages to deliver, of which `received` have come already.
    fn handle_created(&mut self, expected: u64, received: u64) -> bool {
        if self.target.is_some() {
            // the one after a reset delivers messages, and not the last one of each key
            self.keys = None;
            self.received = received;
        }
        self.target = Some(expected);
        self.rounds_left = ROUNDS;
        if received == 0 {
            self.pending = expected;
        }
        if self.updates_only { self.signal(true) } else { self.check() }
    }

    fn handle_message(&mut self, key: &[u8], pending: u64) -> bool {
        if self.done {
            return false;
        }
        let is_new = match &mut self.keys {
            Some(keys) => keys.insert(self.hasher.hash_one(key)),
            None => true,
        };
        self.received += u64::from(is_new);
        self.pending = pending;
        self.check()
    }

    /// Says whether the round that ends now was the last one.
    fn check(&mut self) -> bool {
        if self.done || self.target.is_none_or(|target| self.received < target) {
            return false;
        }
        let last = self.pending == 0 || self.rounds_left == 0;
        self.rounds_left = self.rounds_left.saturating_sub(1);
        self.target = Some(self.received + self.pending);
        // from here on messages are waited for, whichever keys they are of
        self.keys = None;
        self.signal(last)
    }

    /// The consumer says that it has nothing to deliver: what was to come may have been removed.
    fn handle_idle(&mut self) -> bool {
        self.signal(self.target.is_some())
    }

    /// Says yes the first time only.
    fn signal(&mut self, complete: bool) -> bool {
        complete && !std::mem::replace(&mut self.done, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says for each message whether it brought the signal.
    fn receive(initial: &mut Initial, messages: &[(&str, u64)]) -> Vec<bool> {
        messages
            .iter()
            .map(|(key, pending)| initial.handle_message(key.as_bytes(), *pending))
            .collect()
    }

    #[test]
    fn an_empty_bucket_is_done_when_the_consumer_stands() {
        assert!(Initial::new(Start::LastPerKey).handle_created(0, 0));
        assert!(Initial::new(Start::Updates).handle_created(7, 0));
    }

    #[test]
    fn the_signal_comes_once() {
        let mut initial = Initial::new(Start::LastPerKey);
        assert!(!initial.handle_created(3, 0));
        let signals = receive(&mut initial, &[("a", 2), ("b", 1), ("c", 0), ("a", 0)]);
        assert_eq!(signals, [false, false, true, false]);
        let mut initial = Initial::new(Start::History);
        assert_eq!(receive(&mut initial, &[("a", 1), ("a", 0)]), [false, false], "not known yet");
        assert!(initial.handle_created(2, 2));
        assert_eq!(receive(&mut initial, &[("a", 0)]), [false]);
    }

    #[test]
    fn keys_written_again_during_the_scan_are_waited_for() {
        let mut initial = Initial::new(Start::LastPerKey);
        assert!(!initial.handle_created(3, 0));
        let messages = [("a", 4), ("new", 3), ("newer", 2), ("b", 1), ("c", 0)];
        assert_eq!(receive(&mut initial, &messages), [false, false, false, false, true]);
    }

    #[test]
    fn a_key_that_comes_twice_counts_once() {
        let mut initial = Initial::new(Start::LastPerKey);
        assert!(!initial.handle_created(3, 0));
        // server 2.10 does not count what was written again as pending
        let messages = [("a", 1), ("b", 0), ("a", 0), ("c", 0)];
        assert_eq!(receive(&mut initial, &messages), [false, false, false, true]);
    }

    #[test]
    fn under_steady_writes_the_signal_still_comes() {
        let mut initial = Initial::new(Start::History);
        assert!(!initial.handle_created(3, 0));
        let messages = (1..1000).find(|_| initial.handle_message(b"k", 5));
        assert_eq!(messages, Some(3 + u64::from(ROUNDS) * 5));
        assert_eq!(receive(&mut initial, &[("k", 0)]), [false]);
    }

    #[test]
    fn an_idle_consumer_has_delivered_everything() {
        let mut initial = Initial::new(Start::LastPerKey);
        assert!(!initial.handle_idle(), "the consumer is not known yet");
        assert!(!initial.handle_created(3, 0));
        assert!(initial.handle_idle(), "all three were purged before their turn");
        assert!(!initial.handle_idle());
    }

    #[test]
    fn the_count_begins_again_with_a_new_consumer() {
        let mut initial = Initial::new(Start::LastPerKey);
        assert!(!initial.handle_created(5, 0));
        assert_eq!(receive(&mut initial, &[("a", 4)]), [false]);
        assert!(!initial.handle_created(2, 0), "after a reset");
        assert_eq!(receive(&mut initial, &[("a", 1), ("a", 0)]), [false, true]);
        let mut initial = Initial::new(Start::LastPerKey);
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
