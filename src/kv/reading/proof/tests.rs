//! Proofs against replicas that lag behind, and that are simulated: whatever they have read, what is
//! returned is never older than what is needed.

use super::*;
use proptest::prelude::*;

/// What a bucket's stream holds: the key of each revision, from 1 on. Only the last one of a key is kept.
#[derive(Debug, Clone, Default)]
struct Log(Vec<u8>);

impl Log {
    fn last_of(&self, key: u8, up_to: usize) -> Option<u64> {
        let read = &self.0[..up_to.min(self.0.len())];
        read.iter().rposition(|written| *written == key).map(|at| at as u64 + 1)
    }

    fn answer(&self, key: u8, beside: Option<u8>, up_to: usize) -> Seen {
        let revision = self.last_of(key, up_to);
        let beside = beside.and_then(|beside| self.last_of(beside, up_to));
        let has_one = revision.or(beside).is_some();
        Seen { revision, up_to: has_one.then_some(up_to.min(self.0.len()) as u64) }
    }
}

const FENCE: u8 = 255;

/// Carries out a proof. `answers` says how far the replica has read that answers next. Returns the
/// revision that was returned, with how far the log was proven to have been read, or nothing if the
/// answers were over first.
fn run(
    log: &mut Log,
    key: u8,
    needed: Option<u64>,
    answers: &[usize],
) -> Option<(Option<u64>, u64)> {
    let mut answers = answers.iter().copied();
    let (mut proof, mut next) = match needed {
        Some(needed) => Proof::no_older_than(needed, None, true),
        None => Proof::fenced(),
    };
    let mut last = Seen::default();
    loop {
        next = match next {
            Next::Ask(beside) | Next::AskLater(beside, _) => {
                let beside = match beside {
                    Beside::Nothing => None,
                    Beside::Known(key) => key.as_bytes().first().copied(),
                    Beside::Fence => Some(FENCE),
                };
                last = log.answer(key, beside, answers.next()?);
                proof.handle_seen(last)
            }
            Next::FindKey => {
                let read = answers.next()?.min(log.0.len());
                let found = log.0[..read].last();
                proof.handle_key(found.map(|key| SmolStr::from(char::from(*key).to_string())))
            }
            Next::Fence => {
                log.0.push(FENCE);
                proof.handle_fence(log.0.len() as u64)
            }
            Next::Return => {
                return Some((last.revision, last.revision.max(last.up_to).unwrap_or(0)));
            }
        };
    }
}

proptest! {
    #[test]
    fn what_is_returned_is_never_older_than_what_is_needed(
        keys in prop::collection::vec(b'a'..b'e', 0..12),
        key in b'a'..b'f',
        needed in 0..12_usize,
        answers in prop::collection::vec(0..16_usize, 0..20),
    ) {
        let mut log = Log(keys);
        let needed = needed.min(log.0.len()) as u64;
        if let Some((revision, read)) = run(&mut log, key, Some(needed), &answers) {
            prop_assert!(read >= needed);
            let own = log.last_of(key, needed as usize);
            prop_assert!(revision >= own, "{revision:?} is older than {own:?}");
        }
    }

    #[test]
    fn a_fenced_read_returns_what_was_last_when_it_began(
        keys in prop::collection::vec(b'a'..b'e', 0..12),
        key in b'a'..b'f',
        answers in prop::collection::vec(0..16_usize, 0..20),
    ) {
        let mut log = Log(keys);
        let last = log.last_of(key, usize::MAX);
        if let Some((revision, _)) = run(&mut log, key, None, &answers) {
            prop_assert_eq!(revision, last);
        }
    }

    #[test]
    fn replicas_that_have_caught_up_bring_every_read_to_its_end(
        keys in prop::collection::vec(b'a'..b'e', 0..12),
        key in b'a'..b'f',
        needed in 0..12_u64,
        lagging in prop::collection::vec(0..12_usize, 0..6),
    ) {
        let mut log = Log(keys);
        let needed = needed.min(log.0.len() as u64);
        let answers: Vec<_> = lagging.into_iter().chain([usize::MAX; 8]).collect();
        prop_assert!(run(&mut log, key, Some(needed), &answers).is_some());
    }
}

#[test]
fn a_handle_that_has_seen_nothing_takes_any_answer() {
    let (mut proof, first) = Proof::no_older_than(0, None, true);
    assert_eq!(first, Next::Ask(Beside::Nothing));
    assert_eq!(proof.handle_seen(Seen::default()), Next::Return);
}

#[test]
fn absence_is_not_believed_without_a_key_beside_it() {
    let (mut proof, _) = Proof::no_older_than(7, Some("known".into()), true);
    assert_eq!(proof.handle_seen(Seen::default()), Next::Ask(Beside::Known("known".into())));
    // the known key is there, and the replica has not read far enough
    let lagging = Seen { revision: None, up_to: Some(6) };
    assert_eq!(proof.handle_seen(lagging), Next::AskLater(Beside::Known("known".into()), 1));
    assert_eq!(proof.handle_seen(Seen { revision: None, up_to: Some(7) }), Next::Return);
}

#[test]
fn a_replica_that_lags_behind_for_long_brings_a_fence_once() {
    let (mut proof, mut next) = Proof::no_older_than(7, None, true);
    let lagging = Seen { revision: Some(3), up_to: Some(6) };
    while next != Next::Fence {
        next = proof.handle_seen(lagging);
    }
    assert_eq!(proof.handle_fence(8), Next::Ask(Beside::Fence));
    for _ in 0..2 * ATTEMPTS {
        assert!(matches!(proof.handle_seen(lagging), Next::AskLater(Beside::Fence, _)));
    }
}

#[test]
fn a_stream_whose_revisions_begin_again_is_told_by_the_fence() {
    let (mut proof, _) = Proof::no_older_than(1_000, None, true);
    assert_eq!(proof.handle_fence(2), Next::Ask(Beside::Fence));
    assert_eq!(proof.handle_seen(Seen { revision: Some(1), up_to: Some(2) }), Next::Return);
}

#[test]
fn without_fences_a_read_goes_on_asking() {
    let (mut proof, _) = Proof::no_older_than(7, None, false);
    let lagging = Seen { revision: Some(3), up_to: Some(6) };
    for _ in 0..3 * ATTEMPTS {
        assert!(matches!(proof.handle_seen(lagging), Next::AskLater(..)));
    }
}
