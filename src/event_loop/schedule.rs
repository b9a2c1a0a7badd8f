//! The schedule: which sources have a turn now, and which have one when.
//!
//! It keeps the loop's bookkeeping, so that a source knows nothing of it. Where a source is in its
//! life is one state in its slot: it cannot be queued twice, nor be queued and forgotten. A source
//! that is over stays known for as long as something holds it, and comes back with its next wake.
//! Nothing here looks at all sources: what is idle costs nothing in a turn.
//!
//! No source is called here, so the schedule can be borrowed while one runs.

use super::source::{Progress, Source};
use slab::Slab;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::mem;
use std::rc::{Rc, Weak};
use std::time::Instant;

/// Where a source is in the schedule. Given to another one only after the source is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(usize);

#[derive(Default)]
pub(super) struct Schedule {
    slots: Slab<Slot>,
    /// Sources that have something to do without waiting, in the order of their turns.
    queue: VecDeque<SlotId>,
    /// Entries stay when a deadline moves: the slot tells whether one still counts.
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
    /// How many sources are not dormant.
    live: usize,
}

struct Slot {
    source: Weak<dyn Source>,
    /// The source, unless it is dormant.
    held: Option<Rc<dyn Source>>,
    standing: Standing,
    deadline: Option<Instant>,
    /// The slot's one entry among the deadlines that counts: no later than its deadline.
    entry: Option<Instant>,
    /// Whether a wake would change nothing, where the source can see it: most commands are given
    /// to a source that is queued already.
    is_awake: Rc<Cell<bool>>,
}

/// Where a source is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Over, or not yet begun. The loop does not hold it.
    Dormant,
    /// Waiting for events or for its deadline.
    Idle,
    Queued,
    /// Having its turn, which ends with [`finish`](Schedule::finish).
    Turning,
}

impl Slot {
    /// Notes that the source is queued, and counts it if it was dormant. Returns whether that is news.
    #[inline]
    fn wake(&mut self, live: &mut usize) -> bool {
        match self.standing {
            Standing::Queued | Standing::Turning => return false,
            Standing::Idle => {}
            Standing::Dormant => {
                self.held = self.source.upgrade();
                if self.held.is_none() {
                    return false;
                }
                *live += 1;
            }
        }
        self.standing = Standing::Queued;
        self.is_awake.set(true);
        true
    }
}

impl Schedule {
    /// Makes a source known. It is dormant until its first wake. Also returns whether it is awake,
    /// from now on: queued or having its turn.
    pub(super) fn insert(&mut self, source: Weak<dyn Source>) -> (SlotId, Rc<Cell<bool>>) {
        let is_awake = Rc::new(Cell::new(false));
        let id = self.slots.insert(Slot {
            source,
            held: None,
            standing: Standing::Dormant,
            deadline: None,
            entry: None,
            is_awake: is_awake.clone(),
        });
        (SlotId(id), is_awake)
    }

    /// Forgets a source that is being dropped.
    pub(super) fn remove(&mut self, id: SlotId) {
        self.slots.try_remove(id.0);
    }

    /// Queues a source for a turn. Returns whether it was not queued before.
    pub(super) fn wake(&mut self, id: SlotId) -> bool {
        let Some(slot) = self.slots.get_mut(id.0) else { return false };
        let is_news = slot.wake(&mut self.live);
        if is_news {
            self.queue.push_back(id);
        }
        is_news
    }

    /// As [`wake`](Self::wake). Returns the source, as long as somebody holds it.
    pub(super) fn wake_and_get(&mut self, id: SlotId) -> Option<Rc<dyn Source>> {
        let slot = self.slots.get_mut(id.0)?;
        if slot.wake(&mut self.live) {
            self.queue.push_back(id);
        }
        slot.held.clone()
    }

    /// The source of a slot, as long as somebody holds it.
    pub(super) fn source(&self, id: SlotId) -> Option<Rc<dyn Source>> {
        self.slots.get(id.0)?.source.upgrade()
    }

    /// Takes the next source for its turn.
    pub(super) fn begin(&mut self) -> Option<(SlotId, Rc<dyn Source>)> {
        loop {
            let id = self.queue.pop_front()?;
            let Some(slot) = self.slots.get_mut(id.0) else { continue };
            if slot.standing == Standing::Queued
                && let Some(source) = slot.held.clone()
            {
                slot.standing = Standing::Turning;
                return Some((id, source));
            }
        }
    }

    /// Ends a turn. The caller holds the source, so that it is not dropped in here.
    pub(super) fn finish(&mut self, id: SlotId, progress: Progress) {
        let Some(slot) = self.slots.get_mut(id.0) else { return };
        slot.is_awake.set(progress == Progress::More);
        match progress {
            Progress::Idle(deadline) => {
                slot.standing = Standing::Idle;
                slot.deadline = deadline;
                // one that moves away costs nothing: its entry is looked at when its time comes
                if let Some(deadline) = deadline
                    && slot.entry.is_none_or(|entry| deadline < entry)
                {
                    slot.entry = Some(deadline);
                    self.add_entry(deadline, id);
                }
            }
            Progress::More => {
                slot.standing = Standing::Queued;
                self.queue.push_back(id);
            }
            Progress::Over => {
                slot.standing = Standing::Dormant;
                (slot.held, slot.deadline) = (None, None);
                self.live -= 1;
            }
        }
    }

    /// Queues the sources whose deadlines have passed.
    pub(super) fn wake_due(&mut self, now: Instant) {
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let Some(Reverse((_, index))) = self.deadlines.pop() else { return };
            let slot = &mut self.slots[index];
            (slot.deadline, slot.entry) = (None, None);
            self.wake(SlotId(index));
        }
    }

    /// The earliest deadline of a source.
    #[inline(always)]
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        match self.deadlines.as_slice() {
            [] => None,
            // no other source has a deadline, or it would have an entry
            [Reverse((_, index))] => self.slots.get(*index)?.deadline,
            _ => self.first_of_many(),
        }
    }

    /// The earliest deadline, if there are several entries. Those of deadlines that have moved away
    /// are moved, as far as they come first.
    #[inline(never)]
    fn first_of_many(&mut self) -> Option<Instant> {
        loop {
            let mut first = self.deadlines.peek_mut()?;
            let Reverse((entry, index)) = *first;
            let slot = self.slots.get_mut(index).filter(|slot| slot.entry == Some(entry));
            let deadline = slot.as_ref().and_then(|slot| slot.deadline);
            if deadline == Some(entry) {
                return deadline;
            }
            if let Some(slot) = slot {
                slot.entry = deadline;
            }
            match deadline {
                // it takes its new place among the entries
                Some(later) => first.0.0 = later,
                None => {
                    PeekMut::pop(first);
                }
            }
        }
    }

    #[inline(never)]
    fn add_entry(&mut self, deadline: Instant, id: SlotId) {
        self.deadlines.push(Reverse((deadline, id.0)));
        self.sweep();
    }

    /// Removes the entries that no longer count when they are the larger part.
    fn sweep(&mut self) {
        const SLACK: usize = 64;
        if self.deadlines.len() > 2 * self.slots.len() + SLACK {
            let slots = &self.slots;
            let counts = |at, index| slots.get(index).is_some_and(|slot| slot.entry == Some(at));
            self.deadlines.retain(|Reverse((at, index))| counts(*at, *index));
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Number of sources that are not dormant.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Lets go of every source, for the loop's end, also of those that are dormant: they may keep what
    /// only ends with the loop. They are returned to be dropped where the schedule is not borrowed.
    pub(super) fn close(&mut self) -> Vec<Rc<dyn Source>> {
        self.queue.clear();
        self.deadlines.clear();
        self.live = 0;
        let sources = self.slots.iter_mut().filter_map(|(_, slot)| {
            (slot.deadline, slot.entry) = (None, None);
            slot.is_awake.set(false);
            let held = slot.held.take();
            match mem::replace(&mut slot.standing, Standing::Dormant) {
                Standing::Idle | Standing::Queued => held,
                Standing::Dormant => slot.source.upgrade(),
                Standing::Turning => None,
            }
        });
        sources.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::{Ran, State};
    use crate::event_loop::readiness::Readiness;
    use proptest::prelude::*;
    use std::time::Duration;

    struct Nothing;

    impl Source for Nothing {
        fn handle_ready(&self, _: mio::Token, _: Readiness) {}

        fn turn(self: Rc<Self>, _: &mut State, _: Instant) -> Ran {
            Ok(())
        }

        fn settle(&self, _: Instant) -> Progress {
            Progress::Over
        }

        fn abandon(&self) {}
    }

    type Sources = Vec<(SlotId, Rc<dyn Source>)>;

    /// A schedule and some sources in it.
    fn schedule(count: usize) -> (Schedule, Sources) {
        let mut schedule = Schedule::default();
        let sources = (0..count).map(|_| {
            let source: Rc<dyn Source> = Rc::new(Nothing);
            (schedule.insert(Rc::downgrade(&source)).0, source)
        });
        let sources = sources.collect();
        (schedule, sources)
    }

    /// Ends the turns of all that are queued; returns how many there were.
    fn finish_all(schedule: &mut Schedule, progress: Progress) -> usize {
        let count = schedule.queued();
        for _ in 0..count {
            let (id, _source) = schedule.begin().expect("queued");
            schedule.finish(id, progress);
        }
        count
    }

    #[test]
    fn a_source_is_queued_once_and_not_during_its_turn() {
        let (mut schedule, sources) = schedule(1);
        let id = sources[0].0;
        assert!(schedule.wake(id));
        assert!(!schedule.wake(id));
        let _turn = schedule.begin().expect("queued");
        assert!(!schedule.wake(id), "the end of the turn decides");
        assert!(schedule.begin().is_none());
        schedule.finish(id, Progress::More);
        assert_eq!(schedule.queued(), 1);
    }

    #[test]
    fn a_source_that_is_over_is_let_go_and_comes_back_with_its_next_wake() {
        let (mut schedule, mut sources) = schedule(1);
        let (id, source) = sources.remove(0);
        for _ in 0..3 {
            assert!(schedule.wake(id));
            assert_eq!((schedule.live(), Rc::strong_count(&source)), (1, 2));
            finish_all(&mut schedule, Progress::Over);
            assert_eq!((schedule.live(), Rc::strong_count(&source)), (0, 1));
        }
        drop(source);
        assert!(!schedule.wake(id), "nobody holds it");
        schedule.remove(id);
    }

    #[test]
    fn deadlines_come_due_in_order_and_only_while_they_count() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut schedule, sources) = schedule(3);
        for ((id, _), ms) in sources.iter().zip([30, 10, 20]) {
            schedule.wake(*id);
            let (begun, _) = schedule.begin().expect("queued");
            assert_eq!(begun, *id);
            schedule.finish(*id, Progress::Idle(Some(at(ms))));
        }
        schedule.wake_due(at(9));
        assert_eq!(schedule.queued(), 0);
        // the second moves away, the third has none any more
        for (index, deadline) in [(1, Some(at(40))), (2, None)] {
            let (id, _) = &sources[index];
            schedule.wake(*id);
            schedule.begin().expect("queued");
            schedule.finish(*id, Progress::Idle(deadline));
        }
        assert_eq!(schedule.next_deadline(), Some(at(30)));
        schedule.wake_due(at(39));
        assert_eq!(schedule.begin().map(|(id, _)| id), Some(sources[0].0));
        assert!(schedule.begin().is_none());
        schedule.wake_due(at(40));
        assert_eq!(schedule.begin().map(|(id, _)| id), Some(sources[1].0));
        assert_eq!(schedule.next_deadline(), None);
    }

    proptest! {
        /// Against a plain list of deadlines: some are set, some pass.
        #[test]
        fn the_next_deadline_is_the_earliest_one_that_counts(
            steps in prop::collection::vec((0..4_usize, prop::option::of(0..100_u64)), 0..200),
            pauses in prop::collection::vec(0..3_u64, 200),
        ) {
            let mut now = Instant::now();
            let (mut schedule, sources) = schedule(4);
            let mut deadlines = [None; 4];
            for ((index, ms), pause) in steps.into_iter().zip(pauses) {
                let (id, _) = &sources[index];
                schedule.wake(*id);
                schedule.begin().expect("queued");
                deadlines[index] = ms.map(|ms| now + Duration::from_millis(ms));
                schedule.finish(*id, Progress::Idle(deadlines[index]));
                let earliest = || deadlines.iter().flatten().min().copied();
                prop_assert_eq!(schedule.next_deadline(), earliest());
                now += Duration::from_millis(pause);
                schedule.wake_due(now);
                let due = deadlines.iter_mut().filter(|deadline| {
                    deadline.is_some_and(|deadline| deadline <= now)
                });
                let due = due.map(|deadline| deadline.take()).count();
                prop_assert_eq!(finish_all(&mut schedule, Progress::Idle(None)), due);
            }
        }
    }

    #[test]
    fn a_deadline_of_the_only_source_that_has_one_moves_as_that_of_others() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let (mut schedule, sources) = schedule(2);
        let finish = |schedule: &mut Schedule, source: usize, deadline| {
            schedule.wake(sources[source].0);
            schedule.begin().expect("queued");
            schedule.finish(sources[source].0, Progress::Idle(deadline));
        };
        finish(&mut schedule, 0, at(10));
        for ms in 20..30 {
            finish(&mut schedule, 0, at(ms));
            assert_eq!(schedule.next_deadline(), at(ms));
        }
        // another one comes in between
        finish(&mut schedule, 1, at(15));
        assert_eq!(schedule.next_deadline(), at(15));
        schedule.wake_due(start + Duration::from_millis(28));
        assert_eq!(finish_all(&mut schedule, Progress::Idle(None)), 1);
        assert_eq!(schedule.next_deadline(), at(29));
        finish(&mut schedule, 0, None);
        assert_eq!(schedule.next_deadline(), None);
        finish(&mut schedule, 0, at(40));
        assert_eq!(schedule.next_deadline(), at(40));
        schedule.remove(sources[0].0);
        assert_eq!(schedule.next_deadline(), None, "its entry counts no longer");
    }

    #[test]
    fn entries_that_no_longer_count_do_not_pile_up() {
        let start = Instant::now();
        let (mut schedule, sources) = schedule(1);
        let (id, _) = &sources[0];
        for n in 0..10_000_u64 {
            schedule.wake(*id);
            schedule.begin().expect("queued");
            let earlier = start + Duration::from_secs(100_000 - n);
            schedule.finish(*id, Progress::Idle(Some(earlier)));
        }
        assert!(schedule.deadlines.len() <= 2 + 64 + 1);
        assert_eq!(schedule.next_deadline(), Some(start + Duration::from_secs(100_000 - 9_999)));
    }

    #[test]
    fn closing_lets_go_of_all() {
        let (mut schedule, sources) = schedule(3);
        sources.iter().for_each(|(id, _)| assert!(schedule.wake(*id)));
        assert_eq!(schedule.close().len(), 3);
        assert_eq!((schedule.live(), schedule.queued()), (0, 0));
        assert!(sources.iter().all(|(_, source)| Rc::strong_count(source) == 1));
    }
}
