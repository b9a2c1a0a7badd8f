//! The signal of a watch: when everything that there was at the beginning has come.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What is counted on the way to the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// Keys, once each: the last value of every one was asked for.
    Keys,
    /// Messages: the history was asked for, or everything since a revision.
    Messages,
    /// Only what changes from now on was asked for.
    Nothing,
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
pub(super) struct Initial {
    updates_only: bool,
    /// How many messages of the current consumer end the round, once that is known.
    target: Option<u64>,
    rounds_left: u32,
    received: u64,
    /// Hashes of the keys received, where each key counts once. Two keys with one hash only delay
    /// the signal, until the consumer is idle.
    keys: Option<HashSet<u64>>,
    seed: u64,
    /// What was pending after the last message.
    pending: u64,
    done: bool,
}

/// Rounds after the first. With them, only a reader that is slower than the writers can miss a key,
/// and only one that is written again in every round.
const ROUNDS: u32 = 4;

impl Initial {
    /// The seed keeps writers from choosing keys that count as one.
    pub(super) fn new(counts: Counts, seed: u64) -> Self {
        Self {
            updates_only: counts == Counts::Nothing,
            target: None,
            rounds_left: ROUNDS,
            received: 0,
            keys: (counts == Counts::Keys).then(HashSet::new),
            seed,
            pending: 0,
            done: false,
        }
    }

    /// A consumer was created, the first one or another after a reset, which has `expected`
    /// messages to deliver, of which `received` have come already.
    pub(super) fn handle_created(&mut self, expected: u64, received: u64) -> bool {
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

    pub(super) fn handle_message(&mut self, key: &[u8], pending: u64) -> bool {
        if self.done {
            return false;
        }
        let is_new = match &mut self.keys {
            Some(keys) => keys.insert(digest(self.seed, key)),
            None => true,
        };
        self.received = self.received.saturating_add(u64::from(is_new));
        self.pending = pending;
        self.check()
    }

    /// Returns whether the round that ends now was the last one.
    fn check(&mut self) -> bool {
        if self.done || self.target.is_none_or(|target| self.received < target) {
            return false;
        }
        let last = self.pending == 0 || self.rounds_left == 0;
        self.rounds_left = self.rounds_left.saturating_sub(1);
        self.target = Some(self.received.saturating_add(self.pending));
        // from here on messages are waited for, whichever keys they are of
        self.keys = None;
        self.signal(last)
    }

    /// The consumer says that it has nothing to deliver: what was to come may have been removed.
    pub(super) fn handle_idle(&mut self) -> bool {
        self.signal(self.target.is_some())
    }

    /// Returns true the first time only.
    fn signal(&mut self, complete: bool) -> bool {
        complete && !std::mem::replace(&mut self.done, true)
    }
}

fn digest(seed: u64, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns for each message whether it brought the signal.
    fn receive(initial: &mut Initial, messages: &[(&str, u64)]) -> Vec<bool> {
        messages
            .iter()
            .map(|(key, pending)| initial.handle_message(key.as_bytes(), *pending))
            .collect()
    }

    #[test]
    fn an_empty_bucket_is_done_when_the_consumer_exists() {
        assert!(Initial::new(Counts::Keys, 7).handle_created(0, 0));
        assert!(Initial::new(Counts::Nothing, 7).handle_created(7, 0));
    }

    #[test]
    fn the_signal_comes_once() {
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_created(3, 0));
        let signals = receive(&mut initial, &[("a", 2), ("b", 1), ("c", 0), ("a", 0)]);
        assert_eq!(signals, [false, false, true, false]);
        let mut initial = Initial::new(Counts::Messages, 7);
        assert_eq!(receive(&mut initial, &[("a", 1), ("a", 0)]), [false, false], "not known yet");
        assert!(initial.handle_created(2, 2));
        assert_eq!(receive(&mut initial, &[("a", 0)]), [false]);
    }

    #[test]
    fn keys_written_again_during_the_scan_are_waited_for() {
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_created(3, 0));
        let messages = [("a", 4), ("new", 3), ("newer", 2), ("b", 1), ("c", 0)];
        assert_eq!(receive(&mut initial, &messages), [false, false, false, false, true]);
    }

    #[test]
    fn a_key_that_comes_twice_counts_once() {
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_created(3, 0));
        // server 2.10 does not count what was written again as pending
        let messages = [("a", 1), ("b", 0), ("a", 0), ("c", 0)];
        assert_eq!(receive(&mut initial, &messages), [false, false, false, true]);
    }

    #[test]
    fn under_steady_writes_the_signal_still_comes() {
        let mut initial = Initial::new(Counts::Messages, 7);
        assert!(!initial.handle_created(3, 0));
        let messages = (1..1000).find(|_| initial.handle_message(b"k", 5));
        // the three of the beginning, and then four rounds of five
        assert_eq!(messages, Some(23));
        assert_eq!(receive(&mut initial, &[("k", 0)]), [false]);
    }

    #[test]
    fn an_idle_consumer_has_delivered_everything() {
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_idle(), "the consumer is not known yet");
        assert!(!initial.handle_created(3, 0));
        assert!(initial.handle_idle(), "all three were purged before their turn");
        assert!(!initial.handle_idle());
    }

    #[test]
    fn the_count_begins_again_with_a_new_consumer() {
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_created(5, 0));
        assert_eq!(receive(&mut initial, &[("a", 4)]), [false]);
        assert!(!initial.handle_created(2, 0), "after a reset");
        assert_eq!(receive(&mut initial, &[("a", 1), ("a", 0)]), [false, true]);
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_created(5, 0));
        assert!(initial.handle_created(0, 0), "the rest was deleted meanwhile");
        let mut initial = Initial::new(Counts::Keys, 7);
        assert!(!initial.handle_created(5, 0));
        assert_eq!(receive(&mut initial, &[("a", 4)]), [false]);
        assert!(initial.handle_created(0, 0), "what was pending in the one before does not count");
    }

    #[test]
    fn a_server_that_counts_beyond_all_measure_does_no_harm() {
        let mut initial = Initial::new(Counts::Messages, 7);
        assert!(!initial.handle_created(1, 0));
        assert_eq!(receive(&mut initial, &[("a", u64::MAX), ("b", u64::MAX)]), [false, false]);
        assert!(initial.handle_idle());
    }
}
