//! A row against a stream of the tests' own, which loses messages, acknowledgements and ids.

use super::*;
use crate::mongo::sink::draft::Owed;
use evnats_protocol::HeaderMap;
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

/// A message that counts when it is settled.
fn draft(number: usize, settled: &Rc<Cell<usize>>) -> Draft {
    let settled = settled.clone();
    Draft {
        id: number.to_string(),
        token: Some(format!("{number:04}")),
        subject: "s".to_owned(),
        headers: HeaderMap::new(),
        payload: bytes::Bytes::new(),
        bytes: 0,
        owed: Owed::Then(Box::new(move || settled.set(settled.get() + 1))),
    }
}

fn units(sizes: &[usize], settled: &Rc<Cell<usize>>) -> Vec<Unit> {
    let mut next = 0;
    let mut unit = |size: usize| {
        let drafts = (next..next + size).map(|number| draft(number, settled)).collect();
        next += size;
        if size == 1 { Unit::new(drafts, false) } else { Unit::batch(drafts) }
    };
    sizes.iter().map(|size| unit(*size)).collect()
}

/// What becomes of something that is sent.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stored,
    AckLost,
    Lost,
}

/// A stream, which knows the ids of some of its last messages.
struct Stream {
    ids: Vec<String>,
    known: usize,
}

impl Stream {
    /// Stores a unit, or says where it is already. `None`: it is refused.
    fn store(&mut self, next: Next, unit: &Unit) -> Option<(u64, bool)> {
        let id = &unit.drafts[0].id;
        let from = self.ids.len().saturating_sub(self.known);
        if let Some(place) = self.ids[from..].iter().position(|known| known == id) {
            // of a batch that is repeated, nothing is told
            let at = (from + place + 1) as u64;
            return (!unit.is_batch).then_some((at, true));
        }
        if self.ids.len() as u64 != next.expected {
            return None;
        }
        self.ids.extend(unit.drafts.iter().map(|draft| draft.id.clone()));
        Some((self.ids.len() as u64, false))
    }
}

/// Publishes until everything is settled, and returns what is stored.
fn publish(sizes: &[usize], fates: &[Fate], known: usize) -> (Vec<String>, usize) {
    let settled = Rc::new(Cell::new(0));
    let mut row = Row::default();
    units(sizes, &settled).into_iter().for_each(|unit| row.push(unit));
    let mut stream = Stream { ids: Vec::new(), known };
    let mut fates = fates.iter().copied();
    let total: usize = sizes.iter().sum();
    for _ in 0..10_000 {
        if settled.get() == total {
            break;
        }
        let mut has_failed = false;
        let mut acks = Vec::new();
        while let Some(next) = row.next() {
            let fate = fates.next().unwrap_or(Fate::Stored);
            let unit = row.get(next.number).expect("it is in the row");
            let stored = match fate {
                Fate::Lost => None,
                _ => stream.store(next, unit),
            };
            match (stored, fate) {
                (Some(stored), Fate::Stored) => acks.push((next, stored)),
                _ => has_failed = true,
            }
        }
        for (next, (sequence, is_known)) in acks {
            let heard = match is_known {
                true => row.handle_known(next.round, next.number, sequence),
                false => row.handle_stored(next.round, next.number, sequence),
            };
            has_failed |= heard == Heard::Elsewhere;
        }
        if has_failed {
            row.give_up_round();
            if let Some(last) = stream.ids.last() {
                row.settle_through(last);
            }
            row.go_on_at(stream.ids.len() as u64);
        }
    }
    (stream.ids, settled.get())
}

proptest! {
    #[test]
    fn everything_is_stored_once_and_in_its_order(
        sizes in prop::collection::vec(prop_oneof![4 => Just(1_usize), 1 => 2..5_usize], 1..30),
        fates in prop::collection::vec(
            prop::sample::select(vec![Fate::Stored, Fate::Stored, Fate::AckLost, Fate::Lost]), 0..60),
        known in prop::sample::select(vec![0, 3, 1_000]),
    ) {
        let total: usize = sizes.iter().sum();
        let (stored, settled) = publish(&sizes, &fates, known);
        let expected: Vec<_> = (0..total).map(|number| number.to_string()).collect();
        prop_assert_eq!(stored, expected);
        prop_assert_eq!(settled, total, "each is settled once");
    }
}

/// Publishes as an ingest does: many are acknowledged at once, and the first one that is lost ends it. The
/// stream stores what comes at its place. Returns what is stored, how many are settled, and what was counted.
fn ingest(total: usize, rounds: &[(usize, usize)]) -> (Vec<String>, usize, SinkMetrics) {
    let settled = Rc::new(Cell::new(0));
    let mut row = Row::default();
    units(&vec![1; total], &settled).into_iter().for_each(|unit| row.push(unit));
    let mut stream = Stream { ids: Vec::new(), known: 0 };
    let mut rounds = rounds.iter().copied();
    while settled.get() < total {
        let (stored, acknowledged) = rounds.next().unwrap_or((total, total));
        let (round, first) = (row.round(), row.number().expect("nothing is under way"));
        let mut count = 0;
        while let Some(next) = row.next() {
            if count == stored {
                row.take_back();
                break;
            }
            stream.store(next, row.get(next.number).expect("a unit")).expect("its place");
            count += 1;
        }
        let acknowledged = acknowledged.min(count) as u64;
        let heard = row.handle_stored_before(round, first + acknowledged);
        let count = heard.map_or(0, |stored| stored.count);
        assert_eq!(count, acknowledged);
        assert!(heard.is_none_or(|heard| heard.sequence <= stream.ids.len() as u64));
        assert_eq!(row.handle_stored_before(round, first + acknowledged), None, "once");
        row.give_up_round();
        assert_eq!(row.handle_stored_before(round, u64::MAX), None, "it is late");
        if let Some(last) = stream.ids.last() {
            row.settle_through(last);
        }
        row.go_on_at(stream.ids.len() as u64);
    }
    (stream.ids, settled.get(), row.counted())
}

proptest! {
    #[test]
    fn what_is_acknowledged_many_at_once_is_stored_once_and_in_its_order(
        total in 1..60_usize,
        rounds in prop::collection::vec((0..20_usize, 0..20_usize), 0..10),
    ) {
        let (stored, settled, counted) = ingest(total, &rounds);
        let expected: Vec<_> = (0..total).map(|number| number.to_string()).collect();
        prop_assert_eq!(stored, expected);
        prop_assert_eq!(settled, total, "each is settled once");
        prop_assert_eq!(counted.stored + counted.deduplicated, total as u64);
        prop_assert_eq!(counted.resent, 0, "everything that was sent was stored");
    }
}

#[test]
fn what_another_instance_has_stored_is_left_out_also_within_a_batch() {
    let settled = Rc::new(Cell::new(0));
    let mut row = Row::default();
    units(&[1, 3, 1], &settled).into_iter().for_each(|unit| row.push(unit));
    row.settle_until("0002");
    row.go_on_at(7);
    assert_eq!(settled.get(), 3);
    let mut left = Vec::new();
    while let Some(next) = row.next() {
        let unit = row.get(next.number).expect("a unit");
        left.push((unit.drafts[0].id.clone(), unit.is_batch, next.expected));
    }
    assert_eq!(left, [("3".to_owned(), false, 7), ("4".to_owned(), false, 8)]);
}

#[test]
fn nothing_goes_out_behind_a_batch_before_it_is_stored() {
    let settled = Rc::new(Cell::new(0));
    let mut row = Row::default();
    units(&[2, 1], &settled).into_iter().for_each(|unit| row.push(unit));
    let batch = row.next().expect("the batch");
    assert_eq!(row.next(), None);
    assert_eq!(row.handle_stored(batch.round, batch.number, 2), Heard::Stored);
    assert_eq!(row.next().map(|next| next.expected), Some(2));
    row.give_up_round();
    assert_eq!(row.handle_stored(batch.round, batch.number + 1, 3), Heard::Late);
}
