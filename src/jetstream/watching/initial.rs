//! The signal of a watch: when everything that there was at the beginning has come.

use crate::jetstream::watching::hashing::KeyHashes;
use std::collections::HashSet;
use std::hash::BuildHasher;

/// What is counted on the way to the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Keys, once each: the last value of every one was asked for.
    Keys,
    /// Messages: the history was asked for, or everything since a revision.
    Messages,
    /// Only what changes from now on was asked for.
    Nothing,
}

/// What an event means to the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet, or nothing any more.
    Wait,
    /// Everything that this consumer knows of has come, and not what the leader knows of. The leader
    /// has to be asked whether that is still there.
    Ask,
    /// Everything has come. Said once.
    Done,
}

/// Tells when everything that there was at the beginning has come.
///
/// Neither of the two obvious signs will do alone. "Nothing is pending" may never be so under steady
/// writes, and servers before 2.11 say it while keys that were written again are still to come. The
/// count from the beginning is reached too early by such keys: they move behind everything else,
/// while others that moved are counted in their place. So keys are counted once each, the count has
/// to be reached, and then what is pending at that moment, and so on for a few rounds, each of which
/// is as long as the writes during the one before.
///
/// And all of that is what one replica knows, which may lag behind. So the leader says which revision
/// was the last one when the watch began, and one that is not older has to come, or the leader has to
/// say that there is none any more: what was the last may have been purged meanwhile.
#[derive(Debug)]
pub(crate) struct Initial {
    updates_only: bool,
    /// How many messages of the current consumer end the round, once that is known.
    target: Option<u64>,
    rounds_left: u32,
    received: u64,
    /// Hashes of the keys received, where each key counts once. Two keys with one hash only delay
    /// the signal, until the consumer is idle.
    keys: Option<HashSet<u64, KeyHashes>>,
    hashes: KeyHashes,
    /// What was pending after the last message.
    pending: u64,
    /// The consumer has said that it has nothing to deliver.
    idle: bool,
    /// The last revision that was received.
    seen: u64,
    /// A revision that must not be newer than the last one received, once the leader has told.
    needed: Option<u64>,
    /// What is needed is a fence, which was written for this watch: it is on its way, unless the consumer
    /// is idle.
    up_to_fence: bool,
    /// The leader has been asked since the consumer was last idle.
    asked: bool,
    done: bool,
}

/// Rounds after the first. With them, only a reader that is slower than the writers can miss a key,
/// and only one that is written again in every round.
const ROUNDS: u32 = 4;

impl Initial {
    /// The hashes keep writers from choosing keys that count as one.
    pub(crate) fn new(counts: Counts, hashes: KeyHashes) -> Self {
        Self {
            updates_only: counts == Counts::Nothing,
            target: None,
            rounds_left: ROUNDS,
            received: 0,
            keys: (counts == Counts::Keys).then(|| HashSet::with_hasher(hashes.clone())),
            hashes,
            pending: 0,
            idle: false,
            seen: 0,
            needed: None,
            up_to_fence: false,
            asked: true,
            done: false,
        }
    }

    /// Whoever is asked writes a fence, which is the revision that has to come.
    pub(crate) fn set_up_to_fence(&mut self) {
        self.up_to_fence = true;
    }

    /// The last revision is, or was, this one, as the leader says; 0: there is none. The leader is asked
    /// at the beginning, and after every [`Step::Ask`].
    pub(crate) fn handle_leader(&mut self, last: u64) -> Step {
        // if it is an older one now, what was the last is gone, and nothing has taken its place
        self.needed = Some(self.needed.map_or(last, |needed| needed.min(last)));
        self.check()
    }

    /// The leader has not answered. It is asked again when something is heard of the consumer.
    pub(crate) fn handle_unanswered(&mut self) {
        self.asked = false;
    }

    /// Whether the consumer has nothing to deliver, although there is more: it lags behind.
    pub(crate) fn is_behind(&self) -> bool {
        !self.done && self.idle && self.needed.is_some_and(|needed| needed > self.seen)
    }

    /// Whether there has been a consumer.
    pub(crate) fn is_created(&self) -> bool {
        self.target.is_some()
    }

    /// A consumer was created, the first one or another after a reset, which has `expected`
    /// messages to deliver, of which `received` have come already.
    pub(crate) fn handle_created(&mut self, expected: u64, received: u64) -> Step {
        if self.target.is_some() {
            // the one after a reset delivers messages, and not the last one of each key
            self.keys = None;
            self.received = received;
        }
        self.target = Some(expected);
        self.rounds_left = ROUNDS;
        self.idle = false;
        // what was asked at the beginning may still be under way
        self.asked = self.asked && (self.needed.is_none() || self.up_to_fence);
        if received == 0 {
            self.pending = expected;
        }
        if self.updates_only { self.signal() } else { self.check() }
    }

    pub(crate) fn handle_message(&mut self, key: &[u8], revision: u64, pending: u64) -> Step {
        if self.done {
            return Step::Wait;
        }
        let is_new = match &mut self.keys {
            Some(keys) => keys.insert(self.hashes.hash_one(key)),
            None => true,
        };
        self.received = self.received.saturating_add(u64::from(is_new));
        self.pending = pending;
        self.seen = self.seen.max(revision);
        self.idle = false;
        self.check()
    }

    /// The consumer says that it has nothing to deliver: what was to come may have been removed.
    pub(crate) fn handle_idle(&mut self) -> Step {
        (self.idle, self.asked) = (true, false);
        self.check()
    }

    /// Decides. A round that ends before the leader's revision has come does not count: it is over
    /// what a replica knows.
    fn check(&mut self) -> Step {
        let Some(target) = self.target.filter(|_| !self.done) else { return Step::Wait };
        if !self.idle && self.received < target {
            return Step::Wait;
        }
        if self.needed.is_none_or(|needed| needed > self.seen) {
            let asked = std::mem::replace(&mut self.asked, true);
            return if asked { Step::Wait } else { Step::Ask };
        }
        if self.idle || self.pending == 0 || self.rounds_left == 0 {
            return self.signal();
        }
        self.rounds_left -= 1;
        self.target = Some(self.received.saturating_add(self.pending));
        // from here on messages are waited for, whichever keys they are of
        self.keys = None;
        Step::Wait
    }

    fn signal(&mut self) -> Step {
        self.keys = None;
        if std::mem::replace(&mut self.done, true) { Step::Wait } else { Step::Done }
    }
}

#[cfg(test)]
mod tests;
