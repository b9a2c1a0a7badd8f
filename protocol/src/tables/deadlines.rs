//! The deadline queue: a heap of (time, key) that tolerates entries whose key is long done.
//!
//! Almost every deadline is met, so removal has to cost nothing: entries stay until their time
//! comes or until the dead outnumber the living, when one sweep removes them all. A deadline that
//! is later than all others, the usual case, costs one comparison to add. It reads no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// So many entries are not worth freeing.
const KEPT: usize = 1024;

/// The earlier one of two deadlines that may not be there. The second one had better be the rarer one.
#[inline]
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match other {
        Some(other) => Some(one.map_or(other, |one| one.min(other))),
        None => one,
    }
}

#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Adds a deadline. `live` is the number of keys that are still needed, `is_live` tells them
    /// from the others.
    #[inline]
    pub(crate) fn push(
        &mut self,
        deadline: Instant,
        key: K,
        live: usize,
        is_live: impl Fn(K) -> bool,
    ) {
        const SLACK: usize = 64;
        if self.heap.len() > 2 * live + SLACK {
            self.heap.retain(|Reverse((_, key))| is_live(*key));
            self.shrink();
        }
        self.heap.push(Reverse((deadline, key)));
    }

    /// The earliest deadline, which may be that of a key that is done already.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// The next key whose deadline has passed. It may be one that is done already.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let Reverse((deadline, _)) = self.heap.peek()?;
        if *deadline > now {
            return None;
        }
        let due = self.heap.pop().map(|Reverse((_, key))| key);
        self.shrink();
        due
    }

    /// Frees the memory of a peak.
    fn shrink(&mut self) {
        if self.heap.capacity() > KEPT && self.heap.len() < self.heap.capacity() / 4 {
            self.heap.shrink_to(2 * self.heap.len());
        }
    }

    /// When to look again: no later than the earliest deadline of a live key. Earlier only while
    /// the living outnumber the dead, because removing one dead key from the heap costs more than
    /// one unnecessary look.
    pub(crate) fn next(&mut self, live: usize, is_live: impl Fn(K) -> bool) -> Option<Instant> {
        let Reverse((deadline, key)) = self.heap.peek()?;
        if is_live(*key) || self.heap.len() <= 2 * live {
            return Some(*deadline);
        }
        self.heap.retain(|Reverse((_, key))| is_live(*key));
        self.shrink();
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn keys_come_due_in_order_and_never_early() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::default();
        for (ms, key) in [(30, 3), (10, 1), (20, 2)] {
            deadlines.push(at(ms), key, 3, |_| true);
        }
        assert_eq!(deadlines.pop_due(at(9)), None);
        assert_eq!(deadlines.pop_due(at(10)), Some(1));
        assert_eq!(deadlines.next(2, |_| true), Some(at(20)));
        assert_eq!(deadlines.next(0, |key| key != 2), Some(at(30)));
        assert_eq!(deadlines.pop_due(at(30)), Some(3));
    }

    #[test]
    fn entries_that_are_done_do_not_pile_up() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for n in 0..100_000_u64 {
            deadlines.push(start + Duration::from_micros(n), n, 10, |key| key + 10 > n);
        }
        assert!(deadlines.heap.len() <= 2 * 10 + 64 + 1);
    }
}
