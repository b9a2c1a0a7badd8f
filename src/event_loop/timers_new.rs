//! Timers: callbacks at points in time, once or again and again, in the order of their deadlines.
//!
//! Setting and canceling cost O(log n); an entry whose timer was canceled stays in the heap until
//! its time comes or such entries are the larger part. A callback is away from its timer while it
//! runs, so it may cancel any timer, its own included. One that panics keeps a repeating timer.

use crate::error::Result;
use slab::Slab;
use std::any::Any;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// A timer that was set. Dropping it does not cancel the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    index: usize,
    /// Tells timers apart that had the same place.
    serial: u64,
}

pub(crate) type TimerCallback = Box<dyn FnMut(&mut dyn Any) -> Result<()>>;

#[derive(Default)]
pub(super) struct Timers {
    timers: Slab<Timer>,
    /// (deadline, serial of the run, place). A serial is never used twice, and keeps the order of
    /// timers with the same deadline.
    runs: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    next_serial: u64,
    /// The timer whose callback runs.
    current: Option<TimerId>,
    is_closed: bool,
}

struct Timer {
    id: TimerId,
    /// The entry among the runs that counts; none of a one-shot timer that runs.
    run: Option<u64>,
    period: Option<Duration>,
    /// Away while it runs.
    callback: Option<TimerCallback>,
}

impl Timers {
    /// Sets a timer. If the loop has ended, the callback comes back, to be dropped where no borrow
    /// is alive.
    pub(super) fn set(
        &mut self,
        deadline: Instant,
        period: Option<Duration>,
        callback: TimerCallback,
    ) -> (TimerId, Option<TimerCallback>) {
        let serial = self.take_serial();
        let entry = self.timers.vacant_entry();
        let id = TimerId { index: entry.key(), serial };
        if self.is_closed {
            return (id, Some(callback));
        }
        entry.insert(Timer { id, run: Some(serial), period, callback: Some(callback) });
        self.runs.push(Reverse((deadline, serial, id.index)));
        (id, None)
    }

    /// Cancels a timer, also while its callback runs. `None` if it is not waiting any more. The
    /// callback is returned to be dropped where no borrow is alive.
    pub(super) fn cancel(&mut self, id: TimerId) -> Option<Option<TimerCallback>> {
        if self.timers.get(id.index)?.id != id {
            return None;
        }
        let timer = self.timers.remove(id.index);
        self.sweep();
        // a one-shot timer that runs is not waiting
        timer.run.map(|_| timer.callback)
    }

    /// The timer whose callback runs.
    pub(super) fn current(&self) -> Option<TimerId> {
        self.current
    }

    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        loop {
            let Reverse((deadline, serial, index)) = *self.runs.peek()?;
            if self.counts(serial, index) {
                return Some(deadline);
            }
            self.runs.pop();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Drops nothing itself: the callbacks are returned.
    pub(super) fn close(&mut self) -> Vec<TimerCallback> {
        self.is_closed = true;
        self.runs.clear();
        self.timers.drain().filter_map(|timer| timer.callback).collect()
    }

    /// Runs timers that are due, `budget` at most. One that a callback sets for now has the next
    /// turn, so that a timer that sets itself again does not hold the loop.
    pub(super) fn run_due(
        timers: &RefCell<Self>,
        now: Instant,
        budget: usize,
        state: &mut dyn Any,
    ) -> Result<()> {
        let end = timers.borrow().next_serial;
        for _ in 0..budget {
            let Some(running) = Running::begin(timers, now, end) else { return Ok(()) };
            running.run(state)?;
        }
        Ok(())
    }

    fn take_serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    fn counts(&self, serial: u64, index: usize) -> bool {
        self.timers.get(index).is_some_and(|timer| timer.run == Some(serial))
    }

    /// The next timer that is due and was set before the turn; what its next run is, if it has one,
    /// is settled before its callback runs.
    fn begin_run(&mut self, now: Instant, end: u64) -> Option<(TimerId, TimerCallback)> {
        let deadline = self.next_deadline().filter(|deadline| *deadline <= now)?;
        let Reverse((_, _, index)) = *self.runs.peek().filter(|Reverse((_, run, _))| *run < end)?;
        self.runs.pop();
        let serial = self.take_serial();
        let timer = self.timers.get_mut(index)?;
        timer.run = timer.period.and_then(|period| {
            let next = next_run(deadline, period, now)?;
            self.runs.push(Reverse((next, serial, index)));
            Some(serial)
        });
        self.current = Some(timer.id);
        timer.callback.take().map(|callback| (timer.id, callback))
    }

    /// Puts the callback of a repeating timer back. What comes back is to be dropped.
    fn end_run(&mut self, id: TimerId, callback: TimerCallback) -> Option<TimerCallback> {
        self.current = None;
        let Some(timer) = self.timers.get_mut(id.index).filter(|timer| timer.id == id) else {
            return Some(callback);
        };
        if timer.run.is_some() {
            timer.callback = Some(callback);
            return None;
        }
        self.timers.remove(id.index);
        Some(callback)
    }

    fn sweep(&mut self) {
        const SLACK: usize = 64;
        if self.runs.len() > 2 * self.timers.len() + SLACK {
            let timers = &self.timers;
            let counts = |serial, index| {
                timers.get(index).is_some_and(|timer: &Timer| timer.run == Some(serial))
            };
            self.runs.retain(|Reverse((_, serial, index))| counts(*serial, *index));
        }
    }
}

/// The next multiple of the period after now: runs that were missed are not made up for. `None` if
/// the clock cannot express it.
fn next_run(deadline: Instant, period: Duration, now: Instant) -> Option<Instant> {
    let next = deadline.checked_add(period)?;
    if next > now || period.is_zero() {
        return Some(next.max(now));
    }
    let over = now.duration_since(deadline).as_nanos() % period.as_nanos();
    now.checked_add(period - Duration::from_nanos(u64::try_from(over).ok()?))
}

/// A callback that is away from its timer, and comes back also when it panics.
struct Running<'a> {
    timers: &'a RefCell<Timers>,
    id: TimerId,
    callback: Option<TimerCallback>,
}

impl<'a> Running<'a> {
    fn begin(timers: &'a RefCell<Timers>, now: Instant, end: u64) -> Option<Self> {
        let (id, callback) = timers.borrow_mut().begin_run(now, end)?;
        Some(Self { timers, id, callback: Some(callback) })
    }

    fn run(mut self, state: &mut dyn Any) -> Result<()> {
        self.callback.as_mut().map_or(Ok(()), |callback| callback(state))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(callback) = self.callback.take() else { return };
        let finished = self.timers.borrow_mut().end_run(self.id, callback);
        // user code, which may set timers
        drop(finished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    const MS: Duration = Duration::from_millis(1);

    /// Timers that write their names down, and a clock that begins at zero.
    struct Clock {
        timers: Rc<RefCell<Timers>>,
        start: Instant,
    }

    impl Clock {
        fn new() -> Self {
            Self { timers: Rc::default(), start: Instant::now() }
        }

        fn set(&self, ms: u32, period: Option<Duration>, name: &'static str) -> TimerId {
            self.set_with(ms, period, move |log: &mut Vec<&'static str>| log.push(name))
        }

        fn set_with(
            &self,
            ms: u32,
            period: Option<Duration>,
            mut callback: impl FnMut(&mut Vec<&'static str>) + 'static,
        ) -> TimerId {
            let callback: TimerCallback = Box::new(move |state| {
                callback(state.downcast_mut().expect("a log"));
                Ok(())
            });
            self.timers.borrow_mut().set(self.start + ms * MS, period, callback).0
        }

        fn run(&self, ms: u32) -> Vec<&'static str> {
            let mut log = Vec::<&'static str>::new();
            Timers::run_due(&self.timers, self.start + ms * MS, 100, &mut log).expect("no error");
            log
        }
    }

    #[test]
    fn timers_run_in_the_order_of_their_deadlines() {
        let clock = Clock::new();
        for (ms, name) in [(3, "c"), (1, "a"), (3, "d"), (2, "b"), (9, "late")] {
            clock.set(ms, None, name);
        }
        assert_eq!(clock.run(0), [""; 0]);
        assert_eq!(clock.run(5), ["a", "b", "c", "d"]);
        assert_eq!(clock.timers.borrow().len(), 1);
        assert_eq!(clock.timers.borrow_mut().next_deadline(), Some(clock.start + 9 * MS));
    }

    #[test]
    fn a_repeating_timer_keeps_its_rhythm_and_does_not_make_up_for_missed_runs() {
        let clock = Clock::new();
        let id = clock.set(10, Some(10 * MS), "tick");
        for (ms, runs) in [(9, 0), (10, 1), (19, 0), (25, 1), (30, 1), (75, 1), (79, 0), (80, 1)] {
            assert_eq!(clock.run(ms).len(), runs, "{ms}");
        }
        assert!(clock.timers.borrow_mut().cancel(id).is_some());
        assert!(clock.timers.borrow_mut().cancel(id).is_none());
        assert_eq!(clock.run(1000), [""; 0]);
        assert_eq!(clock.timers.borrow_mut().next_deadline(), None);
    }

    #[test]
    fn a_callback_cancels_its_own_timer() {
        let clock = Clock::new();
        let timers = clock.timers.clone();
        clock.set_with(1, Some(MS), move |log| {
            log.push("tick");
            let own = timers.borrow().current().expect("it runs");
            let cancelled = timers.borrow_mut().cancel(own);
            assert!(matches!(cancelled, Some(None)), "it was waiting for its next run");
        });
        assert_eq!(clock.run(1), ["tick"]);
        assert_eq!(clock.run(9), [""; 0]);
        assert_eq!((clock.timers.borrow().len(), clock.timers.borrow().current()), (0, None));
    }

    #[test]
    fn a_timer_that_is_set_for_now_has_the_next_turn() {
        let clock = Clock::new();
        let (timers, start) = (clock.timers.clone(), clock.start);
        clock.set_with(1, None, move |log| {
            log.push("first");
            timers.borrow_mut().set(start + MS, None, Box::new(|_| Ok(())));
        });
        clock.set(1, Some(Duration::ZERO), "every turn");
        assert_eq!(clock.run(1), ["first", "every turn"]);
        assert_eq!(clock.timers.borrow().len(), 2);
        assert_eq!(clock.run(1), ["every turn"]);
    }

    #[test]
    fn a_turn_runs_no_more_than_its_budget() {
        let clock = Clock::new();
        (0..250).for_each(|_| drop(clock.set(1, None, "")));
        assert_eq!([1, 1, 1, 1].map(|ms| clock.run(ms).len()), [100, 100, 50, 0]);
    }

    #[test]
    fn a_panic_leaves_a_repeating_timer_and_the_timers_after_it() {
        let clock = Clock::new();
        let panics = Cell::new(true);
        clock.set_with(1, Some(MS), move |log| {
            log.push("tick");
            assert!(!panics.replace(false), "a bug in the application");
        });
        clock.set(1, None, "after");
        assert!(catch_unwind(AssertUnwindSafe(|| clock.run(1))).is_err());
        assert_eq!(clock.run(1), ["after"]);
        assert_eq!(clock.run(2), ["tick"]);
    }

    #[test]
    fn an_error_ends_the_run_and_leaves_the_rest() {
        let clock = Clock::new();
        let fails: TimerCallback = Box::new(|_| Err(crate::Error::Reentrant));
        clock.timers.borrow_mut().set(clock.start, None, fails);
        clock.set(0, None, "after");
        let mut log = Vec::<&'static str>::new();
        assert!(Timers::run_due(&clock.timers, clock.start, 100, &mut log).is_err());
        assert_eq!(clock.run(0), ["after"]);
    }

    #[test]
    fn canceled_timers_do_not_pile_up() {
        let clock = Clock::new();
        for _ in 0..10_000 {
            let id = clock.set(1_000_000, None, "never");
            assert!(clock.timers.borrow_mut().cancel(id).is_some());
        }
        assert!(clock.timers.borrow().runs.len() <= 64 + 2);
    }

    #[test]
    fn after_the_end_a_callback_comes_back_to_be_dropped() {
        let clock = Clock::new();
        clock.set(1, None, "never");
        assert_eq!(clock.timers.borrow_mut().close().len(), 1);
        let (id, returned) =
            clock.timers.borrow_mut().set(clock.start, None, Box::new(|_| Ok(())));
        assert!(returned.is_some());
        assert!(clock.timers.borrow_mut().cancel(id).is_none());
    }

    #[test]
    fn the_longest_period_does_not_overflow() {
        let start = Instant::now();
        assert_eq!(next_run(start, Duration::MAX, start), None);
        let (late, period) = (start + Duration::from_secs(1 << 30), Duration::from_nanos(1));
        assert_eq!(next_run(start, period, late), Some(late + period));
    }
}
