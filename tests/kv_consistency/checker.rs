//! The checker: whether what clients were told can have happened.
//!
//! Writes of a key are ordered by their revisions, which the stream gives them, and a read stands right
//! behind the write that it has returned. That order is what happened if it agrees with the clock:
//! nothing that began after another operation's end stands before that operation. With the order given,
//! it is enough to look at pairs; there is no search.

use super::history::{
    Content, Expected, NEVER, Operation, Outcome, Read, Tick, Value, What, Write,
};
use evnats::kv::Reads;
use std::collections::{BTreeMap, HashMap};

/// Why a history cannot have happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Violation {
    /// An operation stands before one that had ended before it began.
    Stale { operation: Operation, behind: u64 },
    /// A revision holds two different things, or something that nobody has written.
    Invented { operation: Operation },
    /// A write that was not stored for certain was read.
    NotStoredAndRead { operation: Operation },
    /// A conditional write was stored over another revision than the expected one.
    ConditionIgnored { operation: Operation, over: u64 },
    /// A conditional write was refused although its condition was met all the time.
    FalseConflict { operation: Operation },
}

/// Checks writes, and those reads that are to be linearizable, of all keys.
pub(crate) fn check_linearizable(history: &[Operation]) -> Vec<Violation> {
    let is_read = |reads| reads == Reads::Linearizable;
    keys(history).into_values().flat_map(|operations| check_key(&operations, is_read)).collect()
}

/// Counts the reads of a kind that are not linearizable.
pub(crate) fn count_stale(history: &[Operation], kind: Reads) -> usize {
    let violations = keys(history)
        .into_values()
        .flat_map(|operations| check_key(&operations, |reads| reads == kind));
    violations.filter(is_stale_read).count()
}

fn is_stale_read(violation: &Violation) -> bool {
    matches!(violation, Violation::Stale { operation, .. } if matches!(operation.what, What::Read(_)))
}

/// Checks that each client's reads of a kind see its own writes and never go back.
pub(crate) fn check_sessions(history: &[Operation], kind: Reads) -> Vec<Violation> {
    let mut seen: HashMap<(usize, usize), u64> = HashMap::new();
    let mut by_begin: Vec<_> = history.iter().collect();
    by_begin.sort_by_key(|operation| operation.begun);
    // a client does one thing after the other
    let mut violations = Vec::new();
    for operation in by_begin {
        let newest = seen.entry((operation.client, operation.key)).or_default();
        match &operation.what {
            What::Read(read) => {
                if read.reads == kind && read.revision() < *newest {
                    let (operation, behind) = (operation.clone(), *newest);
                    violations.push(Violation::Stale { operation, behind });
                }
                *newest = (*newest).max(read.revision());
            }
            What::Write(Write { outcome: Outcome::Stored(revision), .. }) => {
                *newest = (*newest).max(*revision);
            }
            What::Write(_) => {}
        }
    }
    violations
}

fn keys(history: &[Operation]) -> BTreeMap<usize, Vec<&Operation>> {
    let mut keys: BTreeMap<usize, Vec<&Operation>> = BTreeMap::new();
    history.iter().for_each(|operation| keys.entry(operation.key).or_default().push(operation));
    keys
}

/// What is known of a revision.
struct Known {
    content: Content,
    begun: Tick,
    ended: Tick,
}

fn check_key(operations: &[&Operation], is_checked: impl Fn(Reads) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let revisions = revisions(operations, &mut violations);
    violations.extend(stale(operations, &revisions, is_checked));
    violations.extend(conditions(operations, &revisions));
    violations
}

/// The revisions that were acknowledged or read, and what they hold.
fn revisions(operations: &[&Operation], violations: &mut Vec<Violation>) -> BTreeMap<u64, Known> {
    let mut known = BTreeMap::new();
    let mut by_value: HashMap<Value, &Operation> = HashMap::new();
    for operation in operations {
        let What::Write(write) = &operation.what else { continue };
        if let Some(value) = write.content {
            by_value.insert(value, operation);
        }
        if let Outcome::Stored(revision) = write.outcome {
            let (begun, ended) = (operation.begun, operation.ended);
            let content = write.content;
            if known.insert(revision, Known { content, begun, ended }).is_some() {
                violations.push(Violation::Invented { operation: (*operation).clone() });
            }
        }
    }
    for operation in operations {
        let What::Read(Read { found: Some((revision, content)), .. }) = &operation.what else {
            continue;
        };
        let invented = Violation::Invented { operation: (*operation).clone() };
        match known.get(revision) {
            Some(known) if known.content == *content => {}
            Some(_) => violations.push(invented),
            None => match writer(operations, &by_value, *content, operation.ended) {
                Ok(begun) => {
                    known.insert(*revision, Known { content: *content, begun, ended: NEVER });
                }
                Err(true) => {
                    violations.push(Violation::NotStoredAndRead { operation: (*operation).clone() })
                }
                Err(false) => violations.push(invented),
            },
        }
    }
    known
}

/// When the write began that has no outcome and was read. `Err(true)`: its outcome is that it was not
/// stored; `Err(false)`: there is none.
fn writer(
    operations: &[&Operation],
    by_value: &HashMap<Value, &Operation>,
    content: Content,
    before: Tick,
) -> Result<Tick, bool> {
    let of = |operation: &Operation| match &operation.what {
        What::Write(write) => Some(write.outcome),
        What::Read(_) => None,
    };
    match content {
        Some(value) => match by_value.get(&value) {
            Some(write) if of(write) == Some(Outcome::Unknown) => Ok(write.begun),
            Some(_) => Err(true),
            None => Err(false),
        },
        // tombstones have no number: any of those without an outcome may be it
        None => lost_tombstones(operations, before).min().ok_or(false),
    }
}

/// When the tombstones began that have no outcome, and may have been stored before a time.
fn lost_tombstones(operations: &[&Operation], before: Tick) -> impl Iterator<Item = Tick> {
    let is_lost = move |operation: &&&Operation| match &operation.what {
        What::Write(write) => {
            write.content.is_none() && write.outcome == Outcome::Unknown && operation.begun < before
        }
        What::Read(_) => false,
    };
    operations.iter().filter(is_lost).map(|operation| operation.begun)
}

/// An operation's place in the order of a key.
struct Placed<'a> {
    revision: u64,
    is_write: bool,
    begun: Tick,
    ended: Tick,
    operation: Option<&'a Operation>,
}

fn stale(
    operations: &[&Operation],
    revisions: &BTreeMap<u64, Known>,
    is_checked: impl Fn(Reads) -> bool,
) -> Vec<Violation> {
    let mut placed: Vec<Placed<'_>> = Vec::new();
    for (revision, known) in revisions {
        let is_its = |operation: &&&Operation| match &operation.what {
            What::Write(write) => write.outcome == Outcome::Stored(*revision),
            What::Read(_) => false,
        };
        placed.push(Placed {
            revision: *revision,
            is_write: true,
            begun: known.begun,
            ended: known.ended,
            operation: operations.iter().find(is_its).copied(),
        });
    }
    for operation in operations {
        if let What::Read(read) = &operation.what
            && is_checked(read.reads)
        {
            placed.push(Placed {
                revision: read.revision(),
                is_write: false,
                begun: operation.begun,
                ended: operation.ended,
                operation: Some(operation),
            });
        }
    }
    let mut by_end: Vec<(Tick, u64)> =
        placed.iter().map(|place| (place.ended, place.revision)).collect();
    by_end.sort_unstable();
    placed.sort_by_key(|place| place.begun);
    let (mut newest, mut ended) = (0, by_end.into_iter().peekable());
    let mut violations = Vec::new();
    for place in placed {
        while let Some((_, revision)) = ended.next_if(|(end, _)| *end < place.begun) {
            newest = newest.max(revision);
        }
        // a write is behind everything that had ended, and a read not before it
        let is_stale = match place.is_write {
            true => place.revision <= newest,
            false => place.revision < newest,
        };
        if is_stale && let Some(operation) = place.operation {
            violations.push(Violation::Stale { operation: operation.clone(), behind: newest });
        }
    }
    violations
}

/// Whether conditional writes were stored and refused as their conditions say.
fn conditions(operations: &[&Operation], revisions: &BTreeMap<u64, Known>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in operations {
        let What::Write(write) = &operation.what else { continue };
        match write.outcome {
            Outcome::Stored(revision) => {
                let before = revisions.range(..revision).next_back();
                let over = before.map_or(0, |(revision, _)| *revision);
                let is_met = match write.expected {
                    Expected::Nothing => true,
                    Expected::Revision(expected) => over == expected,
                    Expected::NoValue => {
                        // a tombstone that nobody has read may stand between
                        before.is_none_or(|(_, known)| known.content.is_none())
                            || lost_tombstones(operations, operation.ended).next().is_some()
                    }
                };
                if !is_met {
                    let operation = (*operation).clone();
                    violations.push(Violation::ConditionIgnored { operation, over });
                }
            }
            Outcome::Conflict if was_met_throughout(operation, write, operations, revisions) => {
                violations.push(Violation::FalseConflict { operation: (*operation).clone() });
            }
            _ => {}
        }
    }
    violations
}

/// Whether the condition of a write was met from its beginning to its end, for certain.
fn was_met_throughout(
    operation: &Operation,
    write: &Write,
    operations: &[&Operation],
    revisions: &BTreeMap<u64, Known>,
) -> bool {
    // what has no outcome may have been stored at any time since it began
    let may_interfere = |other: &&&Operation| match &other.what {
        What::Write(write) => write.outcome == Outcome::Unknown && other.begun < operation.ended,
        What::Read(_) => false,
    };
    if operations.iter().any(|other| may_interfere(&other)) {
        return false;
    }
    let last_before = revisions.iter().rfind(|(_, known)| known.ended < operation.begun);
    let last = last_before.map_or(0, |(revision, _)| *revision);
    let is_met = match write.expected {
        Expected::Nothing => return false,
        Expected::Revision(expected) => expected == last,
        Expected::NoValue => last_before.is_none_or(|(_, known)| known.content.is_none()),
    };
    let next = revisions.range(last + 1..).find(|(_, known)| known.begun < operation.ended);
    is_met && next.is_none()
}

mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(begun: Tick, ended: Tick, content: Content, outcome: Outcome) -> Operation {
        conditional(begun, ended, content, Expected::Nothing, outcome)
    }

    fn conditional(
        begun: Tick,
        ended: Tick,
        content: Content,
        expected: Expected,
        outcome: Outcome,
    ) -> Operation {
        let what = What::Write(Write { content, expected, outcome });
        Operation { client: 0, key: 0, begun, ended, what }
    }

    fn read(begun: Tick, ended: Tick, found: Option<(u64, Content)>) -> Operation {
        let what = What::Read(Read { reads: Reads::Linearizable, found });
        Operation { client: 0, key: 0, begun, ended, what }
    }

    const STORED: fn(u64) -> Outcome = Outcome::Stored;

    #[test]
    fn a_stale_read_after_a_plain_publish_and_a_pong_is_caught() {
        // the tombstone counted as written with the PONG, and its revision was seen later
        let history = [
            write(1, 2, Some(7), STORED(1)),
            write(3, 4, None, STORED(2)),
            read(5, 6, Some((1, Some(7)))),
        ];
        let violations = check_linearizable(&history);
        let stale = Violation::Stale { operation: history[2].clone(), behind: 2 };
        assert_eq!(violations, [stale]);
    }

    #[test]
    fn a_stale_direct_read_is_caught_and_counted() {
        let mut history = vec![write(1, 2, Some(7), STORED(1)), write(3, 4, Some(8), STORED(2))];
        let mut stale = read(5, 6, Some((1, Some(7))));
        stale.what = What::Read(Read { reads: Reads::Replica, found: Some((1, Some(7))) });
        history.push(stale);
        assert_eq!(check_linearizable(&history), []);
        assert_eq!(count_stale(&history, Reads::Replica), 1);
        assert_eq!(check_sessions(&history, Reads::Replica).len(), 1);
    }

    #[test]
    fn a_stale_leader_that_another_client_reads_from_is_caught() {
        let mut old = read(9, 10, Some((1, Some(7))));
        old.client = 1;
        let history = [
            write(1, 2, Some(7), STORED(1)),
            write(3, 4, Some(8), STORED(2)),
            read(5, 6, Some((2, Some(8)))),
            old,
        ];
        assert_eq!(check_linearizable(&history).len(), 1);
        assert_eq!(check_sessions(&history, Reads::Linearizable), [], "it has seen nothing newer");
    }

    #[test]
    fn two_clients_that_read_new_and_old_one_after_the_other_are_caught() {
        // the write is still under way, and whoever has seen it has seen it for all
        let history = [
            write(1, 2, Some(7), STORED(1)),
            write(3, 20, Some(8), STORED(2)),
            read(5, 6, Some((2, Some(8)))),
            read(7, 8, Some((1, Some(7)))),
        ];
        assert_eq!(check_linearizable(&history).len(), 1);
    }

    #[test]
    fn what_overlaps_may_come_in_any_order() {
        let history = [
            write(1, 2, Some(7), STORED(1)),
            write(3, 20, Some(8), STORED(2)),
            read(5, 6, Some((1, Some(7)))),
            read(7, 8, Some((2, Some(8)))),
            write(9, NEVER, None, Outcome::Unknown),
            read(21, 22, Some((2, Some(8)))),
            read(23, 24, Some((3, None))),
        ];
        assert_eq!(check_linearizable(&history), []);
    }

    #[test]
    fn what_was_never_written_or_certainly_not_stored_is_caught() {
        let history = [
            write(1, 2, Some(7), Outcome::NotStored),
            read(3, 4, Some((1, Some(7)))),
            read(5, 6, Some((2, Some(99)))),
            read(7, 8, Some((3, None))),
        ];
        let violations = check_linearizable(&history);
        assert!(matches!(violations[0], Violation::NotStoredAndRead { .. }), "{violations:?}");
        assert_eq!(violations.len(), 3, "{violations:?}");
    }

    #[test]
    fn conditions_that_were_ignored_or_imagined_are_caught() {
        let history = [
            write(1, 2, Some(7), STORED(1)),
            write(3, 4, Some(8), STORED(2)),
            conditional(5, 6, Some(9), Expected::Revision(1), STORED(3)),
            conditional(7, 8, Some(10), Expected::NoValue, STORED(4)),
            conditional(9, 10, Some(11), Expected::Revision(4), Outcome::Conflict),
            write(11, 12, None, STORED(5)),
            conditional(13, 14, Some(12), Expected::NoValue, Outcome::Conflict),
        ];
        let violations = check_linearizable(&history);
        let ignored =
            |violation: &&Violation| matches!(violation, Violation::ConditionIgnored { .. });
        assert_eq!(violations.iter().filter(ignored).count(), 2, "{violations:?}");
        let refused = |violation: &&Violation| matches!(violation, Violation::FalseConflict { .. });
        assert_eq!(violations.iter().filter(refused).count(), 2, "{violations:?}");
    }

    #[test]
    fn conditions_that_held_are_none_of_the_checkers_business() {
        let history = [
            conditional(1, 2, Some(7), Expected::NoValue, STORED(1)),
            conditional(3, 4, Some(8), Expected::Revision(1), STORED(2)),
            conditional(5, 6, Some(9), Expected::Revision(1), Outcome::Conflict),
            write(7, 8, None, STORED(3)),
            conditional(9, 10, Some(10), Expected::NoValue, STORED(4)),
            conditional(11, 12, Some(11), Expected::NoValue, Outcome::Conflict),
        ];
        assert_eq!(check_linearizable(&history), []);
    }

    #[test]
    fn a_tombstone_that_nobody_knows_of_may_stand_before_a_create() {
        let create = conditional(5, 6, Some(8), Expected::NoValue, STORED(9));
        let lost = |begun| write(begun, NEVER, None, Outcome::Unknown);
        let history = [write(1, 2, Some(7), STORED(1)), lost(3), create.clone()];
        assert_eq!(check_linearizable(&history), []);
        // one that began afterwards, or was certainly not stored, or is none
        for other in [
            lost(7),
            write(3, 4, None, Outcome::NotStored),
            write(3, NEVER, Some(9), Outcome::Unknown),
        ] {
            let history = [write(1, 2, Some(7), STORED(1)), other, create.clone()];
            let ignored = Violation::ConditionIgnored { operation: create.clone(), over: 1 };
            assert_eq!(check_linearizable(&history), [ignored]);
        }
    }

    /// A history of one register, where every operation takes effect at one moment between its
    /// beginning and its end.
    fn real_history() -> impl Strategy<Value = Vec<Operation>> {
        let step = (0..40_u64, 0..40_u64, any::<bool>());
        prop::collection::vec(step, 1..30).prop_map(|steps| {
            let (mut operations, mut last) = (Vec::new(), None);
            for (place, (before, after, is_write)) in steps.into_iter().enumerate() {
                // effects are ordered by place, and intervals reach over those of others
                let moment = 1_000 + place as u64 * 10;
                let (begun, ended) = (moment - before, moment + after);
                if is_write {
                    let revision = last.map_or(1, |(revision, _)| revision + 1);
                    last = Some((revision, Some(place as u64)));
                    operations.push(write(begun, ended, Some(place as u64), STORED(revision)));
                } else {
                    operations.push(read(begun, ended, last));
                }
            }
            operations
        })
    }

    proptest! {
        #[test]
        fn what_has_happened_is_accepted(history in real_history()) {
            prop_assert_eq!(check_linearizable(&history), []);
        }

        #[test]
        fn a_read_that_is_put_behind_a_later_write_is_caught(mut history in real_history()) {
            let last = history.iter().filter_map(|operation| match &operation.what {
                What::Write(Write { outcome: Outcome::Stored(revision), .. }) => Some(*revision),
                _ => None,
            }).max();
            let end = history.iter().map(|operation| operation.ended).max().unwrap_or(0);
            prop_assume!(last.is_some());
            history.push(read(end + 1, end + 2, None));
            prop_assert_eq!(check_linearizable(&history).len(), 1);
        }
    }
}
