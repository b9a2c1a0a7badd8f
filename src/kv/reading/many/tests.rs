use super::gather::{Answer, Gather, MAX_SUBJECTS, Next, Question};
use crate::jetstream::{StoredMessage, StoredParts};
use crate::kv::reading::proof::reading::Beside;
use proptest::prelude::*;
use smol_str::SmolStr;
use std::collections::BTreeMap;

fn message(sequence: u64) -> StoredMessage {
    StoredMessage::copy_of(StoredParts { sequence, ..StoredParts::default() })
}

fn keys(count: usize) -> Vec<SmolStr> {
    (0..count).map(|n| SmolStr::new(format!("k{n}"))).collect()
}

fn question(next: Next) -> Question {
    match next {
        Next::Ask(question) | Next::AskLater(question, _) => question,
        next => panic!("{next:?}"),
    }
}

/// The keys of a question, and what is beside them.
fn parts(question: &Question) -> (&[usize], &Beside) {
    match question {
        Question::Keys(keys, beside) => (keys, beside),
        question => panic!("{question:?}"),
    }
}

/// A whole answer: what was found, and up to where.
fn whole(found: &[(usize, u64)], up_to: impl Into<Option<u64>>) -> Answer {
    let found = found.iter().map(|(place, sequence)| (*place, message(*sequence))).collect();
    Answer { found, up_to: up_to.into(), is_whole: true }
}

fn revisions(gather: &mut Gather) -> Vec<Option<u64>> {
    let taken = gather.take().into_iter();
    taken.map(|(_, message)| message.map(|message| message.sequence())).collect()
}

#[test]
fn one_answer_that_is_new_enough_will_do() {
    let mut gather = Gather::new(keys(3), 5, None, true);
    let asked = question(gather.next());
    assert_eq!(parts(&asked), (&[0, 1, 2][..], &Beside::Nothing));
    assert_eq!(gather.handle_answer(&asked, whole(&[(0, 2), (2, 4)], 5)), Next::Return);
    assert_eq!(gather.up_to(), Some(5));
    assert_eq!(revisions(&mut gather), [Some(2), None, Some(4)]);
}

#[test]
fn an_answer_that_is_too_old_is_asked_for_again_and_then_behind_a_fence() {
    let mut gather = Gather::new(keys(1), 5, None, true);
    let mut next = gather.next();
    for attempt in 1..4 {
        next = gather.handle_answer(&question(next), whole(&[(0, 2)], 4));
        assert!(matches!(&next, Next::AskLater(_, n) if *n == attempt), "{next:?}");
    }
    assert_eq!(gather.handle_answer(&question(next), whole(&[(0, 2)], 4)), Next::Fence);
    let asked = question(gather.handle_fence(9));
    assert_eq!(parts(&asked).1, &Beside::Fence);
    let next = gather.handle_answer(&asked, whole(&[(0, 2)], 8));
    assert!(matches!(next, Next::AskLater(..)), "{next:?}");
    assert_eq!(gather.handle_answer(&question(next), whole(&[(0, 2)], 9)), Next::Return);
}

#[test]
fn absence_needs_something_beside_it_that_says_how_old_the_answer_is() {
    let mut gather = Gather::new(keys(2), 5, None, true);
    let next = gather.next();
    assert_eq!(gather.handle_answer(&question(next), whole(&[], None)), Next::FindKey);
    let asked = question(gather.handle_key(Some("other".into())));
    assert_eq!(parts(&asked).1, &Beside::Known("other".into()));
    assert_eq!(gather.handle_answer(&asked, whole(&[], 7)), Next::Return);
    assert_eq!(gather.up_to(), Some(7));
    assert_eq!(revisions(&mut gather), [None, None]);
}

#[test]
fn without_anything_that_is_needed_absence_is_taken_as_it_comes() {
    let mut gather = Gather::new(keys(2), 0, None, false);
    let next = gather.next();
    assert_eq!(gather.handle_answer(&question(next), whole(&[], None)), Next::Return);
    assert_eq!(gather.up_to(), None);
}

#[test]
fn the_answers_to_several_questions_are_brought_to_one_sequence_by_what_has_changed_since() {
    let mut gather = Gather::new(keys(MAX_SUBJECTS + 10), 0, None, true);
    let first = question(gather.next());
    assert_eq!(parts(&first).0.len(), MAX_SUBJECTS - 1);
    let second = question(gather.handle_answer(&first, whole(&[(0, 3)], 10)));
    assert_eq!(parts(&second).0.len(), 11);
    // one of the second was written after the first was answered
    let last = MAX_SUBJECTS + 9;
    let changes = question(gather.handle_answer(&second, whole(&[(last, 11)], 12)));
    assert_eq!(changes, Question::Changes(10));
    // a replica that has not got so far
    let later = gather.handle_answer(&changes, whole(&[], None));
    assert!(matches!(&later, Next::AskLater(question, 1) if *question == changes), "{later:?}");
    assert_eq!(gather.handle_answer(&changes, whole(&[(0, 14), (last, 13)], 15)), Next::Return);
    assert_eq!(gather.up_to(), Some(15));
    let revisions = revisions(&mut gather);
    assert_eq!((revisions[0], revisions[1], revisions[last]), (Some(14), None, Some(13)));
}

#[test]
fn if_too_much_has_changed_the_oldest_answers_are_asked_for_again() {
    let mut gather = Gather::new(keys(4), 0, None, true).with_limit(2);
    let first = question(gather.next());
    let second = question(gather.handle_answer(&first, whole(&[(0, 3)], 10)));
    let changes = question(gather.handle_answer(&second, whole(&[(2, 11)], 12)));
    assert_eq!(changes, Question::Changes(10));
    let again = question(gather.handle_too_many());
    assert_eq!(parts(&again).0, parts(&first).0);
    assert_eq!(gather.handle_answer(&again, whole(&[(0, 12)], 13)), Next::Return);
    assert_eq!(gather.up_to(), Some(12));
}

#[test]
fn what_is_missing_from_an_answer_of_several_pages_is_asked_for_again() {
    let mut gather = Gather::new(keys(3), 1, None, true);
    let asked = question(gather.next());
    let pages = Answer { is_whole: false, ..whole(&[(0, 2), (1, 3)], 5) };
    let again = question(gather.handle_answer(&asked, pages));
    assert_eq!(parts(&again).0, [2]);
    // it was replaced while the pages were read: the others are older than that
    let changes = question(gather.handle_answer(&again, whole(&[(2, 6)], 6)));
    assert_eq!(changes, Question::Changes(5));
    assert_eq!(gather.handle_answer(&changes, whole(&[(2, 6)], 6)), Next::Return);
}

#[test]
fn a_question_has_no_more_than_some_bytes_of_keys() {
    let long = |n: usize| SmolStr::new(format!("{n}{}", "x".repeat(100_000)));
    let mut gather = Gather::new((0..3).map(long).collect(), 0, None, true);
    assert_eq!(parts(&question(gather.next())).0, [0]);
}

/// A bucket whose replicas have read up to different sequences.
#[derive(Debug, Clone)]
struct World {
    /// Which key each sequence has written.
    writes: Vec<usize>,
}

impl World {
    /// What a key had at a sequence.
    fn at(&self, key: usize, sequence: u64) -> Option<u64> {
        let until = self.writes.iter().take(sequence as usize).enumerate();
        until.filter(|(_, written)| **written == key).map(|(at, _)| at as u64 + 1).next_back()
    }

    fn answer(&self, asked: &Question, count: usize, up_to: u64, pages: bool) -> Answer {
        let (keys, from, beside) = match asked {
            Question::Keys(keys, beside) => (keys.clone(), 0, *beside != Beside::Nothing),
            Question::Changes(since) => ((0..count).collect(), *since, up_to > *since),
        };
        let mut found: BTreeMap<u64, usize> = BTreeMap::new();
        for key in keys {
            if let Some(revision) = self.at(key, up_to).filter(|revision| *revision > from) {
                found.insert(revision, key);
            }
        }
        // what a later page lacks because it was replaced meanwhile
        let cut = if pages { found.len() / 2 } else { found.len() };
        let shown = found.iter().enumerate().filter(|(at, (_, key))| *at < cut || *key % 2 == 0);
        let found: Vec<_> = shown.map(|(_, (revision, key))| (*key, *revision)).collect();
        let says = (up_to > 0 && (beside || !found.is_empty())).then_some(up_to);
        Answer { is_whole: !pages, ..whole(&found, says) }
    }
}

proptest! {
    /// Whatever the replicas have read when they answer, what comes of it was so at one sequence, which is
    /// not lower than was needed.
    #[test]
    fn what_is_returned_was_so_at_one_point_in_time(
        writes in prop::collection::vec(0..6_usize, 1..40),
        needed in 0..40_u64,
        answers in prop::collection::vec((0..41_u64, any::<bool>()), 0..30),
        count in 1..6_usize,
        limit in 1..6_usize,
        too_many in any::<bool>(),
    ) {
        let world = World { writes };
        let last = world.writes.len() as u64;
        let needed = needed.min(last);
        let mut gather = Gather::new(keys(count), needed, None, false).with_limit(limit);
        let mut next = gather.next();
        let mut answers = answers.into_iter();
        for _ in 0..200 {
            let asked = match next {
                Next::Return => break,
                Next::FindKey => {
                    next = gather.handle_key(Some("other".into()));
                    continue;
                }
                Next::Fence => panic!("it may not be written"),
                Next::Ask(question) | Next::AskLater(question, _) => question,
            };
            if too_many && matches!(asked, Question::Changes(_)) {
                next = gather.handle_too_many();
                continue;
            }
            // in the end, all of them have read everything
            let (up_to, pages) =
                answers.next().map_or((last, false), |(at, pages)| (at.min(last), pages));
            next = gather.handle_answer(&asked, world.answer(&asked, count, up_to, pages));
        }
        prop_assert_eq!(&next, &Next::Return, "it comes to an end");
        let up_to = gather.up_to();
        let found = revisions(&mut gather);
        let is_so = |sequence: u64| {
            found.iter().enumerate().all(|(key, revision)| world.at(key, sequence) == *revision)
        };
        match up_to {
            Some(up_to) => {
                prop_assert!(up_to >= needed);
                prop_assert!(is_so(up_to), "{found:?} at {up_to}");
            }
            None => prop_assert!(needed == 0 && found.iter().all(Option::is_none)),
        }
    }
}
