//! Changes that were given out, and how far they are done in a row. Pure.

use crate::mongo::changes::point::ResumePoint;
use std::collections::VecDeque;

/// A change that was given out.
struct Given {
    point: ResumePoint,
    bytes: usize,
    is_done: bool,
}

/// What is under way, in the order of the stream.
#[derive(Default)]
pub(super) struct InFlight {
    given: VecDeque<Given>,
    /// The number of the first one.
    first: u64,
}

/// What became done with one acknowledgement.
#[derive(Debug, PartialEq)]
pub(super) struct Done {
    /// Everything up to here is done.
    pub(super) point: ResumePoint,
    /// So many changes.
    pub(super) count: u64,
}

impl InFlight {
    /// Takes in what is given out, and returns its number.
    pub(super) fn push(&mut self, point: ResumePoint, bytes: usize) -> u64 {
        self.given.push_back(Given { point, bytes, is_done: false });
        self.first + self.given.len() as u64 - 1
    }

    /// Takes in a position without a change. What is done in a row by that is returned.
    pub(super) fn push_done(&mut self, point: ResumePoint) -> Option<Done> {
        self.given.push_back(Given { point, bytes: 0, is_done: true });
        self.take_done()
    }

    /// Whether this one was given out, and is not done in a row yet.
    pub(super) fn holds(&self, number: u64) -> bool {
        let index = number.checked_sub(self.first);
        index.is_some_and(|index| index < self.given.len() as u64)
    }

    /// How many changes were given out, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let given = self.given.iter().filter(|given| !given.is_done);
        given.fold((0, 0), |(count, bytes), given| (count + 1, bytes + given.bytes))
    }

    /// Notes that one is done, and returns its bytes, the first time.
    pub(super) fn note_done(&mut self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let given = self.given.get_mut(index)?;
        (!std::mem::replace(&mut given.is_done, true)).then_some(given.bytes)
    }

    /// Takes out what is done in a row.
    pub(super) fn take_done(&mut self) -> Option<Done> {
        let mut done = None;
        while self.given.front().is_some_and(|given| given.is_done) {
            let Some(given) = self.given.pop_front() else { break };
            self.first += 1;
            let count = done.map_or(0, |done: Done| done.count) + 1;
            done = Some(Done { point: given.point, count });
        }
        done
    }

    /// The last position that was taken in, if it is not done.
    pub(super) fn last(&self) -> Option<&ResumePoint> {
        Some(&self.given.back()?.point)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Forgets one and all behind it.
    pub(super) fn forget_from(&mut self, number: u64) {
        let kept = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(kept) = kept {
            self.given.truncate(kept);
        }
    }

    /// Forgets everything: what is acknowledged late is of no interest.
    pub(super) fn clear(&mut self) {
        self.first += self.given.len() as u64;
        self.given.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::changes::token::ResumeToken;
    use proptest::prelude::*;

    fn point(number: usize) -> ResumePoint {
        ResumePoint::new(ResumeToken::from_data(number.to_string()))
    }

    #[test]
    fn a_position_without_a_change_counts_when_nothing_is_before_it() {
        let mut in_flight = InFlight::default();
        let first = in_flight.push(point(0), 10);
        assert_eq!(in_flight.push_done(point(1)), None);
        assert_eq!(in_flight.note_done(first), Some(10));
        assert_eq!(in_flight.note_done(first), None, "once");
        assert_eq!(in_flight.take_done(), Some(Done { point: point(1), count: 2 }));
        assert!(in_flight.is_empty());
    }

    #[test]
    fn what_was_forgotten_is_not_taken_for_another_one() {
        let mut in_flight = InFlight::default();
        let old = in_flight.push(point(0), 10);
        in_flight.clear();
        let new = in_flight.push(point(1), 20);
        assert_eq!(in_flight.note_done(old), None);
        assert_eq!(in_flight.note_done(new), Some(20));
    }

    proptest! {
        #[test]
        fn only_what_is_done_in_a_row_counts(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let mut in_flight = InFlight::default();
            let numbers: Vec<_> = (0..40).map(|number| in_flight.push(point(number), 1)).collect();
            let mut acknowledged = [false; 40];
            let mut counted = 0;
            for index in order {
                acknowledged[index] = true;
                prop_assert_eq!(in_flight.note_done(numbers[index]), Some(1));
                if let Some(done) = in_flight.take_done() {
                    counted += done.count;
                    prop_assert_eq!(done.point, point(usize::try_from(counted).expect("small") - 1));
                }
                let in_a_row = acknowledged.iter().take_while(|done| **done).count();
                prop_assert_eq!(counted, in_a_row as u64);
            }
            prop_assert!(in_flight.is_empty());
        }
    }
}
