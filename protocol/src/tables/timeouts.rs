//! The timeouts of requests: queues of keys whose clocks were started together.
//!
//! Nearly all requests have one of a few timeouts, so those that were made first are due first, and
//! a queue for each timeout keeps them in order: a request costs no more than a place in it, and a
//! turn one deadline for all that it has started. Timeouts that differ from request to request go
//! into a heap. Nearly every request is answered in time, so removal has to cost nothing: a key that
//! is done stays until it is the first, or until those that are done outnumber the others. It reads
//! no clock.

use super::deadlines::{Deadlines, earlier};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For so many timeouts there are queues.
const QUEUES: usize = 4;
/// So many keys are not worth freeing.
const KEPT: usize = 1024;
/// So many keys that are done may wait in a queue whatever happens.
const SLACK: usize = 64;

#[derive(Debug)]
pub(crate) struct Timeouts<K> {
    queues: Vec<Queue<K>>,
    others: Deadlines<K>,
    /// The others whose clocks have not been started.
    unstarted: Vec<(K, Duration)>,
    /// Keys have been added since clocks were started.
    has_unstarted: bool,
    /// When to look again, until a key is done or due.
    next: Option<Option<Instant>>,
}

#[derive(Debug)]
struct Queue<K> {
    timeout: Duration,
    keys: VecDeque<K>,
    turns: VecDeque<Turn>,
    /// How many keys have left the queue.
    left: u64,
    /// How many keys have had their clocks started, those that have left included.
    started: u64,
}

/// The keys whose clocks were started in one turn.
#[derive(Debug)]
struct Turn {
    deadline: Instant,
    /// How many keys have come into the queue, these included.
    end: u64,
}

impl<K> Default for Timeouts<K>
where
    K: Ord,
{
    fn default() -> Self {
        let others = Deadlines::default();
        Self { queues: Vec::new(), others, unstarted: Vec::new(), has_unstarted: false, next: None }
    }
}

impl<K: Ord + Copy> Timeouts<K> {
    /// Adds a key, whose clock is started by [`start`](Self::start).
    #[inline]
    pub(crate) fn add(&mut self, key: K, timeout: Duration) {
        self.has_unstarted = true;
        match self.queues.iter_mut().find(|queue| queue.timeout == timeout) {
            Some(queue) => queue.keys.push_back(key),
            None => self.add_first(key, timeout),
        }
    }

    /// Adds a key with a timeout that there is no queue for.
    #[cold]
    fn add_first(&mut self, key: K, timeout: Duration) {
        let keys = VecDeque::from([key]);
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.keys.is_empty()) {
            (queue.timeout, queue.keys) = (timeout, keys);
        } else if self.queues.len() < QUEUES {
            let turns = VecDeque::new();
            self.queues.push(Queue { timeout, keys, turns, left: 0, started: 0 });
        } else {
            self.unstarted.push((key, timeout));
        }
    }

    /// Whether some clocks have not been started.
    pub(crate) fn has_unstarted(&self) -> bool {
        self.has_unstarted
    }

    /// Starts the clocks of the keys added since the last call. `live` is the number of keys that
    /// are still needed, `is_live` tells them from the others.
    #[inline]
    pub(crate) fn start(&mut self, now: Instant, live: usize, is_live: impl Fn(K) -> bool) {
        if !std::mem::take(&mut self.has_unstarted) {
            return;
        }
        if !self.unstarted.is_empty() {
            self.start_others(now, live, &is_live);
        }
        let mut next = self.others.next(live, &is_live);
        for queue in &mut self.queues {
            queue.drop_done(&is_live);
            if queue.has_unstarted() {
                queue.start(now, live, &is_live);
            }
            next = earlier(next, queue.deadline());
        }
        self.next = Some(next);
    }

    #[cold]
    fn start_others(&mut self, now: Instant, live: usize, is_live: impl Fn(K) -> bool) {
        for (key, timeout) in self.unstarted.drain(..) {
            self.others.push(deadline(now, timeout), key, live, &is_live);
        }
        // the memory of a peak
        if self.unstarted.capacity() > KEPT {
            self.unstarted = Vec::new();
        }
    }

    /// The next key whose deadline has passed. It may be one that is done already.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        self.next = None;
        let queues = self.queues.iter_mut().filter(|queue| queue.deadline().is_some());
        let first = queues.min_by_key(|queue| queue.deadline());
        let other = self.others.first().unwrap_or(now);
        match first.filter(|queue| queue.deadline() <= Some(other.min(now))) {
            Some(queue) => queue.pop(),
            None => self.others.pop_due(now),
        }
    }

    /// Takes note that a key which was live is done.
    #[inline]
    pub(crate) fn handle_done(&mut self) {
        self.next = None;
    }

    /// When to look again: no later than the earliest deadline of a live key. Rarely earlier, if
    /// [`handle_done`](Self::handle_done) was called for those that are done.
    #[inline]
    pub(crate) fn next(&mut self, live: usize, is_live: impl Fn(K) -> bool) -> Option<Instant> {
        match self.next {
            Some(next) => next,
            None => self.look(live, is_live),
        }
    }

    /// Looks for the first deadlines of live keys.
    #[inline(never)]
    fn look(&mut self, live: usize, is_live: impl Fn(K) -> bool) -> Option<Instant> {
        let mut next = self.others.next(live, &is_live);
        for queue in &mut self.queues {
            queue.drop_done(&is_live);
            next = earlier(next, queue.deadline());
        }
        self.next = Some(next);
        next
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A timeout beyond what the clock can express is as good as the furthest it can.
fn deadline(now: Instant, timeout: Duration) -> Instant {
    now.checked_add(timeout).unwrap_or_else(|| furthest(now))
}

#[cold]
#[inline(never)]
fn furthest(now: Instant) -> Instant {
    now + Duration::from_secs(1 << 31)
}

impl<K: Copy> Queue<K> {
    /// How many keys have come into the queue.
    fn end(&self) -> u64 {
        self.left + self.keys.len() as u64
    }

    fn has_unstarted(&self) -> bool {
        self.end() > self.started
    }

    /// Starts the clocks of the keys that came last.
    fn start(&mut self, now: Instant, live: usize, is_live: impl Fn(K) -> bool) {
        self.started = self.end();
        self.turns.push_back(Turn { deadline: deadline(now, self.timeout), end: self.started });
        if self.keys.len() > 2 * live + SLACK {
            self.sweep(is_live);
        }
    }

    /// The deadline of the first key, if its clock has been started.
    fn deadline(&self) -> Option<Instant> {
        self.turns.front().map(|turn| turn.deadline)
    }

    /// Takes the first key out, whose clock has been started.
    fn pop(&mut self) -> Option<K> {
        self.turns.front()?;
        let key = self.keys.pop_front()?;
        self.left += 1;
        self.drop_turns();
        Some(key)
    }

    /// Drops keys that are done, up to the first one that is not. With one request at a time, those are
    /// all that have been started, and their turns go with them.
    #[inline]
    fn drop_done(&mut self, is_live: impl Fn(K) -> bool) {
        let before = self.left;
        while self.keys.front().is_some_and(|key| !is_live(*key)) {
            self.keys.pop_front();
            self.left += 1;
        }
        if self.left > before {
            self.drop_turns();
        }
    }

    /// Drops the turns whose keys have all left.
    #[inline(always)]
    fn drop_turns(&mut self) {
        if self.left >= self.started {
            // some may have been done before their clocks were started
            self.started = self.left;
            self.turns.clear();
        } else {
            self.drop_first_turns();
        }
        if self.keys.capacity() > KEPT {
            self.shrink();
        }
    }

    fn drop_first_turns(&mut self) {
        while self.turns.front().is_some_and(|turn| turn.end <= self.left) {
            self.turns.pop_front();
        }
    }

    /// Frees the memory of a peak.
    #[cold]
    fn shrink(&mut self) {
        if self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(2 * self.keys.len());
            self.turns.shrink_to(2 * self.turns.len());
        }
    }

    /// Drops all keys that are done.
    #[cold]
    fn sweep(&mut self, is_live: impl Fn(K) -> bool) {
        let Self { keys, turns, left, started, .. } = self;
        let mut kept = VecDeque::new();
        turns.retain_mut(|turn| {
            let before = kept.len();
            let count = (turn.end - *left) as usize;
            kept.extend(keys.drain(..count).filter(|key| is_live(*key)));
            *left = turn.end;
            turn.end = kept.len() as u64;
            kept.len() > before
        });
        (*started, *left) = (kept.len() as u64, 0);
        *keys = kept;
        turns.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(u64),
        Start,
        /// The key that was added so long ago is done.
        Done(u64),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => prop_oneof![Just(10), Just(50), 0..9_u64, 0..100_u64].prop_map(Step::Add),
            2 => Just(Step::Start),
            3 => (0..50_u64).prop_map(Step::Done),
            1 => (0..40_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Against a plain map of deadlines.
        #[test]
        fn keys_come_due_in_order_and_never_early(steps in prop::collection::vec(step(), 0..300)) {
            let mut now = Instant::now();
            let (mut timeouts, mut added) = (Timeouts::default(), 0_u64);
            let mut unstarted = Vec::new();
            let mut live: BTreeMap<u64, Option<Instant>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Add(timeout) => {
                        added += 1;
                        timeouts.add(added, milliseconds(timeout));
                        unstarted.push((added, timeout));
                        live.insert(added, None);
                    }
                    Step::Start => {
                        for (key, timeout) in unstarted.drain(..) {
                            if let Some(deadline) = live.get_mut(&key) {
                                *deadline = Some(now + milliseconds(timeout));
                            }
                        }
                        timeouts.start(now, live.len(), |key| live.contains_key(&key));
                    }
                    Step::Done(ago) => {
                        if live.remove(&added.saturating_sub(ago)).is_some() {
                            timeouts.handle_done();
                        }
                    }
                    Step::Wait(time) => {
                        now += milliseconds(time);
                        let mut last = None;
                        while let Some(key) = timeouts.pop_due(now) {
                            if let Some(deadline) = live.remove(&key) {
                                let deadline = deadline.expect("its clock was started");
                                prop_assert!(deadline <= now && last <= Some(deadline));
                                last = Some(deadline);
                            }
                        }
                    }
                }
                prop_assert_eq!(timeouts.has_unstarted(), !unstarted.is_empty());
                let next = timeouts.next(live.len(), |key| live.contains_key(&key));
                let first = live.values().flatten().min().copied();
                prop_assert!(next.is_some() || first.is_none());
                prop_assert!(first.is_none() || next <= first);
            }
        }
    }

    #[test]
    fn keys_that_are_done_do_not_pile_up() {
        let start = Instant::now();
        let mut timeouts = Timeouts::default();
        // the first one is never done
        for key in 0..100_000_u64 {
            timeouts.add(key, milliseconds(1000));
            timeouts.start(start, 10, |live| live == 0 || live + 9 > key);
        }
        let queue = &timeouts.queues[0];
        assert!(queue.keys.len() <= 2 * 10 + SLACK + 1);
        assert!(queue.turns.len() <= queue.keys.len());
    }

    #[test]
    fn a_timeout_that_is_not_used_any_more_leaves_its_queue_to_another() {
        let start = Instant::now();
        let mut timeouts = Timeouts::default();
        for key in 0..100 {
            timeouts.add(key, milliseconds(key));
            timeouts.start(start, 1, |live| live == key);
            assert_eq!(timeouts.next(1, |live| live == key), Some(start + milliseconds(key)));
            assert_eq!(timeouts.pop_due(start + milliseconds(key)), Some(key));
        }
        assert_eq!(timeouts.queues.len(), 1);
    }

    #[test]
    fn with_one_key_at_a_time_there_is_one_deadline() {
        let start = Instant::now();
        let mut timeouts = Timeouts::default();
        for key in 0..10_000_u64 {
            let now = start + milliseconds(key);
            timeouts.add(key, milliseconds(1000));
            timeouts.start(now, 1, |live| live == key);
            assert_eq!(timeouts.next(1, |live| live == key), Some(now + milliseconds(1000)));
            let queue = &timeouts.queues[0];
            assert_eq!((queue.keys.len(), queue.turns.len()), (1, 1));
            timeouts.handle_done();
        }
        assert_eq!(timeouts.next(0, |_| false), None, "the last one is done");
        assert_eq!(timeouts.queues[0].turns.len(), 0);
    }

    #[test]
    fn a_key_that_is_done_before_its_clock_is_started_has_no_deadline() {
        let start = Instant::now();
        let mut timeouts = Timeouts::default();
        for key in 0..3_u64 {
            timeouts.add(key, milliseconds(1000));
        }
        timeouts.handle_done();
        timeouts.start(start, 1, |key| key == 2);
        assert_eq!(timeouts.next(1, |key| key == 2), Some(start + milliseconds(1000)));
        timeouts.add(3, milliseconds(1000));
        timeouts.add(4, milliseconds(1000));
        timeouts.handle_done();
        let later = start + milliseconds(5);
        timeouts.start(later, 1, |key| key == 4);
        assert_eq!(timeouts.next(1, |key| key == 4), Some(later + milliseconds(1000)));
        timeouts.add(5, milliseconds(1000));
        timeouts.handle_done();
        timeouts.start(later, 0, |_| false);
        assert_eq!(timeouts.next(0, |_| false), None);
        assert_eq!(timeouts.pop_due(later + milliseconds(1000)), None);
        timeouts.add(6, milliseconds(10));
        timeouts.start(later, 1, |key| key == 6);
        assert_eq!(timeouts.pop_due(later + milliseconds(10)), Some(6));
    }

    proptest! {
        /// With one timeout: the loop that it wakes is woken for something.
        #[test]
        fn the_next_deadline_is_that_of_the_first_live_key(
            turns in prop::collection::vec((0..5_u64, prop::collection::vec(0..20_u64, 0..6)), 0..100)
        ) {
            let mut now = Instant::now();
            let (mut timeouts, mut added) = (Timeouts::default(), 0_u64);
            let mut live: BTreeMap<u64, Instant> = BTreeMap::new();
            for (new, done) in turns {
                now += milliseconds(1);
                for _ in 0..new {
                    added += 1;
                    timeouts.add(added, milliseconds(1_000_000));
                    live.insert(added, now + milliseconds(1_000_000));
                }
                // also some whose clocks have not been started
                for ago in done {
                    if live.remove(&added.saturating_sub(ago)).is_some() {
                        timeouts.handle_done();
                    }
                }
                timeouts.start(now, live.len(), |key| live.contains_key(&key));
                let first = live.values().min().copied();
                prop_assert_eq!(timeouts.next(live.len(), |key| live.contains_key(&key)), first);
            }
        }
    }

    #[test]
    fn many_different_timeouts_are_kept_in_order_too() {
        let start = Instant::now();
        let mut timeouts = Timeouts::default();
        for key in (0..100).rev() {
            timeouts.add(key, milliseconds(key));
        }
        timeouts.start(start, 100, |_| true);
        assert_eq!(timeouts.queues.len(), QUEUES);
        for key in 0..100 {
            assert_eq!(timeouts.pop_due(start + milliseconds(key)), Some(key));
        }
    }
}
