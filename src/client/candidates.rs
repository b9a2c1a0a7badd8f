//! The candidates of an attempt: the addresses of a server's name that have not been tried.
//!
//! Invariant: none of them uses up the time of the others. What is left of the time for the attempt
//! is shared by those that are left, and whatever fails at an address, at any stage, makes the next
//! one's turn come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Candidates {
    /// The next one is the last.
    addresses: Vec<SocketAddr>,
    shuffles: bool,
    least: Duration,
    /// When the time for all of them is over; `None` if that is beyond what a clock can express.
    end: Option<Instant>,
}

/// An address gets this part of the time at least, however many there are.
const LEAST_SHARE: u32 = 8;

impl Candidates {
    /// Those of an attempt that begins now, before its addresses are known.
    pub(super) fn new(timeout: Duration, shuffles: bool, now: Instant) -> Self {
        let end = now.checked_add(timeout);
        Self { addresses: Vec::new(), shuffles, least: timeout / LEAST_SHARE, end }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The addresses are known. They are tried in the order given, or in any, so that clients
    /// spread over them.
    pub(super) fn fill(&mut self, addresses: Vec<SocketAddr>, random: impl FnMut() -> u64) {
        self.addresses = addresses;
        self.addresses.reverse();
        if self.shuffles {
            shuffle(&mut self.addresses, random);
        }
    }

    /// The next address, and the time at which its turn is over.
    pub(super) fn next(&mut self, now: Instant) -> Option<(SocketAddr, Option<Instant>)> {
        let sharers = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        let address = self.addresses.pop()?;
        let share = |end: Instant| end.saturating_duration_since(now) / sharers;
        let deadline = self.end.and_then(|end| now.checked_add(share(end).max(self.least)));
        Some((address, deadline))
    }
}

fn shuffle<T>(items: &mut [T], mut random: impl FnMut() -> u64) {
    for end in (1..items.len()).rev() {
        let other = random() % (end as u64 + 1);
        items.swap(end, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (0..count).map(|last| SocketAddr::from(([10, 0, 0, last], 4222))).collect()
    }

    #[test]
    fn the_time_is_shared_by_those_that_are_left() {
        let now = Instant::now();
        let mut candidates = Candidates::new(6 * SECOND, false, now);
        candidates.fill(addresses(3), || 0);
        let all = addresses(3);
        assert_eq!(candidates.next(now), Some((all[0], Some(now + 2 * SECOND))));
        // what failed early leaves its time to the others
        assert_eq!(candidates.next(now), Some((all[1], Some(now + 3 * SECOND))));
        let later = now + 3 * SECOND;
        assert_eq!(candidates.next(later), Some((all[2], Some(now + 6 * SECOND))));
        assert_eq!(candidates.next(later), None);
    }

    #[test]
    fn however_many_there_are_each_has_some_time_and_its_turn() {
        let now = Instant::now();
        let mut candidates = Candidates::new(8 * SECOND, false, now);
        candidates.fill(addresses(100), || 0);
        let mut clock = now;
        let mut count = 0;
        while let Some((_, Some(deadline))) = candidates.next(clock) {
            assert_eq!(deadline - clock, SECOND);
            clock = deadline;
            count += 1;
        }
        assert_eq!(count, 100);
        let mut forever = Candidates::new(Duration::MAX, false, now);
        forever.fill(addresses(2), || 0);
        assert_eq!(forever.next(now), Some((addresses(1)[0], None)));
    }

    #[test]
    fn every_order_comes_up() {
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let now = Instant::now();
            let mut candidates = Candidates::new(SECOND, true, now);
            candidates.fill(addresses(3), &mut random);
            let order: Vec<_> =
                std::iter::from_fn(|| candidates.next(now)).map(|(address, _)| address).collect();
            orders.insert(order);
        }
        assert_eq!(orders.len(), 6);
    }
}
