//! Which messages belong in a listing: each object once, and what the leader has. A pure machine: no
//! socket, no clock.
//!
//! An object that is put again during the listing comes again from the server, behind everything that
//! there was. And what was removed from the stream without a message in its place, as the old name of an
//! object is, leaves no trace for a replica that lags behind to show. So where there are replicas the
//! leader is asked first what it has: older messages on other subjects are on the replica alone.

use crate::jetstream::watching::{KeyHashes, KeySet};

pub(in crate::object_store) struct Sieve {
    /// What of the subjects that have come stands for names.
    shown: KeySet,
    /// What the leader has, if it was asked.
    leader: Option<Known>,
}

/// What the leader had when it was asked.
struct Known {
    tokens: KeySet,
    /// The stream's last sequence then: what is later, it could not tell.
    last: u64,
}

impl Sieve {
    /// One that the leader was not asked for.
    pub(super) fn new(hashes: KeyHashes) -> Self {
        Self { shown: KeySet::new(hashes), leader: None }
    }

    /// Takes a page of what the leader has, and the last sequence that its stream had. The first page
    /// tells since when others may follow.
    pub(super) fn note_page<'a>(
        &mut self,
        tokens: impl Iterator<Item = &'a str>,
        last: u64,
        hashes: impl FnOnce() -> KeyHashes,
    ) {
        let known =
            self.leader.get_or_insert_with(|| Known { tokens: KeySet::new(hashes()), last });
        for token in tokens {
            known.tokens.insert(token.as_bytes());
        }
    }

    /// Whether a message is shown. Said once of each.
    pub(in crate::object_store) fn passes(&mut self, token: &[u8], revision: u64) -> bool {
        let is_there = |known: &Known| revision > known.last || known.tokens.contains(token);
        self.leader.as_ref().is_none_or(is_there) && self.shown.insert(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_passes_once() {
        let mut sieve = Sieve::new(KeyHashes::fixed());
        let passed = [(b"a", 1), (b"b", 2), (b"a", 3)].map(|(token, at)| sieve.passes(token, at));
        assert_eq!(passed, [true, true, false]);
    }

    #[test]
    fn what_only_a_replica_has_does_not_pass_unless_it_is_newer_than_what_the_leader_told() {
        let mut sieve = Sieve::new(KeyHashes::fixed());
        sieve.note_page(["a", "b"].into_iter(), 5, KeyHashes::fixed);
        // a later page is of a stream that has grown
        sieve.note_page(["c"].into_iter(), 9, KeyHashes::fixed);
        let messages = [(b"a", 1), (b"x", 2), (b"c", 5), (b"y", 6), (b"x", 7), (b"b", 8)];
        let passed = messages.map(|(token, revision)| sieve.passes(token, revision));
        assert_eq!(passed, [true, false, true, true, true, true]);
    }
}
