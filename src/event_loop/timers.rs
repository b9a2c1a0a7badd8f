//! Timers: callbacks at points in time, once or again and again, in the order of their deadlines.
//!
//! Setting and canceling cost O(log n); an entry whose timer was canceled stays in the heap until
//! its time comes or such entries are the larger part. A callback is away from its timer while it
//! runs, so it may cancel any timer, its own included. One that panics keeps a repeating timer.

use crate::callback::{Ran, State};
use slab::Slab;
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

pub(crate) type TimerTask = Box<dyn FnOnce(&mut State) -> Ran>;
pub(crate) type IntervalTask = Box<dyn FnMut(&mut State) -> Ran>;

pub(super) enum Task {
    Once(TimerTask),
    /// Once, in the turn after the one in which it is due.
    Deadline(TimerTask),
    Repeating(Duration, IntervalTask),
}

#[derive(Default)]
pub(super) struct Timers {
    timers: Slab<Timer>,
    /// (deadline, serial of the run, place). A serial is never used twice, and keeps the order of
    /// timers with the same deadline.
    runs: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    next_serial: u64,
    /// The timer whose callback runs.
    current: Option<TimerId>,
    /// The last turn left timers that were due.
    has_left: bool,
    is_closed: bool,
}

struct Timer {
    id: TimerId,
    /// The entry among the runs that counts.
    run: u64,
    /// Away while it runs.
    task: Option<Task>,
}

impl Timers {
    /// Sets a timer. If the loop has ended, the task comes back, to be dropped where no borrow is
    /// alive.
    pub(super) fn set(&mut self, deadline: Instant, task: Task) -> (TimerId, Option<Task>) {
        let serial = self.take_serial();
        let entry = self.timers.vacant_entry();
        let id = TimerId { index: entry.key(), serial };
        if self.is_closed {
            return (id, Some(task));
        }
        entry.insert(Timer { id, run: serial, task: Some(task) });
        self.runs.push(Reverse((deadline, serial, id.index)));
        (id, None)
    }

    /// Cancels a timer; a repeating one also while its callback runs. `None` if it is not waiting
    /// any more. The task is returned to be dropped where no borrow is alive.
    pub(super) fn cancel(&mut self, id: TimerId) -> Option<Option<Task>> {
        if self.timers.get(id.index)?.id != id {
            return None;
        }
        let timer = self.timers.remove(id.index);
        self.sweep();
        Some(timer.task)
    }

    /// The timer whose callback runs.
    pub(super) fn current(&self) -> Option<TimerId> {
        self.current
    }

    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        loop {
            let Reverse((deadline, serial, index)) = *self.runs.peek()?;
            if counts(&self.timers, serial, index) {
                return Some(deadline);
            }
            self.runs.pop();
        }
    }

    /// Whether the last turn left timers that were due.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Drops nothing itself: the tasks are returned.
    pub(super) fn close(&mut self) -> Vec<Task> {
        self.is_closed = true;
        self.has_left = false;
        self.runs.clear();
        self.timers.drain().filter_map(|timer| timer.task).collect()
    }

    /// Runs timers that are due, `budget` at most. One that a callback sets for now has the next
    /// turn, so that a timer that sets itself again does not hold the loop.
    pub(super) fn run_due(
        timers: &RefCell<Self>,
        now: Instant,
        budget: usize,
        state: &mut State,
    ) -> Ran {
        let end = {
            let mut timers = timers.borrow_mut();
            timers.has_left = true;
            timers.next_serial
        };
        for _ in 0..budget {
            let Some(running) = Running::begin(timers, now, end) else {
                timers.borrow_mut().has_left = false;
                return Ok(());
            };
            running.run(state)?;
        }
        Ok(())
    }

    fn take_serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// The next timer that is due and was set before the turn. A one-shot timer is gone from here
    /// on, a repeating one waits for its next run already.
    fn begin_run(&mut self, now: Instant, end: u64) -> Option<(TimerId, Task)> {
        loop {
            let deadline = self.next_deadline().filter(|deadline| *deadline <= now)?;
            let next = self.runs.peek().filter(|Reverse((_, run, _))| *run < end);
            let Reverse((_, _, index)) = *next?;
            self.runs.pop();
            let serial = self.take_serial();
            let timer = self.timers.get_mut(index)?;
            let (id, task) = (timer.id, timer.task.take()?);
            match task {
                Task::Once(_) => {
                    self.timers.remove(index);
                }
                Task::Repeating(period, _) => {
                    timer.run = serial;
                    self.runs.push(Reverse((next_run(deadline, period, now), serial, index)));
                }
                Task::Deadline(task) => {
                    (timer.run, timer.task) = (serial, Some(Task::Once(task)));
                    self.runs.push(Reverse((now, serial, index)));
                    continue;
                }
            }
            self.current = Some(id);
            return Some((id, task));
        }
    }

    /// Puts the task of a repeating timer back, or returns it if the timer was canceled meanwhile.
    fn end_run(&mut self, id: TimerId, task: Option<Task>) -> Option<Task> {
        self.current = None;
        match self.timers.get_mut(id.index).filter(|timer| timer.id == id) {
            Some(timer) => {
                timer.task = task;
                None
            }
            None => task,
        }
    }

    fn sweep(&mut self) {
        const SLACK: usize = 64;
        if self.runs.len() > 2 * self.timers.len() + SLACK {
            let timers = &self.timers;
            self.runs.retain(|Reverse((_, serial, index))| counts(timers, *serial, *index));
        }
    }
}

/// Whether a run is the next one of a timer that still waits for it.
fn counts(timers: &Slab<Timer>, serial: u64, index: usize) -> bool {
    timers.get(index).is_some_and(|timer| timer.run == serial)
}

/// The time of a repeating timer's next run: runs that were missed are not made up for. A period
/// beyond what the clock can express is as good as the longest that it can.
fn next_run(deadline: Instant, period: Duration, now: Instant) -> Instant {
    let next = after(deadline, period);
    if next > now || period.is_zero() {
        return next.max(now);
    }
    let over = now.duration_since(deadline).as_nanos() % period.as_nanos();
    now + (period - Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}

/// A point in time, or the furthest one.
pub(crate) fn after(start: Instant, delay: Duration) -> Instant {
    start.checked_add(delay).unwrap_or_else(|| start + Duration::from_secs(1 << 31))
}

/// The earlier one of two times that may not be there. The second one had better be the rarer one.
#[inline]
pub(crate) fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match other {
        Some(other) => Some(match one {
            Some(one) => one.min(other),
            None => other,
        }),
        None => one,
    }
}

/// A task that is away from its timer. That of a repeating timer comes back also when it panics.
struct Running<'a> {
    timers: &'a RefCell<Timers>,
    id: TimerId,
    task: Option<Task>,
}

impl<'a> Running<'a> {
    fn begin(timers: &'a RefCell<Timers>, now: Instant, end: u64) -> Option<Self> {
        let (id, task) = timers.borrow_mut().begin_run(now, end)?;
        Some(Self { timers, id, task: Some(task) })
    }

    fn run(mut self, state: &mut State) -> Ran {
        if let Some(Task::Repeating(_, task)) = &mut self.task {
            return task(state);
        }
        match self.task.take() {
            Some(Task::Once(task)) => task(state),
            _ => Ok(()),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let canceled = self.timers.borrow_mut().end_run(self.id, self.task.take());
        // user code, which may set timers
        drop(canceled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    const MS: Duration = Duration::from_millis(1);

    fn once(task: impl FnOnce(&mut State) -> Ran + 'static) -> Task {
        Task::Once(Box::new(task))
    }

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
            let task = move |state: &mut State| {
                callback(state.downcast_mut().expect("a log"));
                Ok(())
            };
            let task = match period {
                Some(period) => Task::Repeating(period, Box::new(task)),
                None => once(task),
            };
            self.timers.borrow_mut().set(self.start + ms * MS, task).0
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
            timers.borrow_mut().set(start + MS, once(|_| Ok(())));
        });
        clock.set(1, Some(Duration::ZERO), "every turn");
        assert_eq!(clock.run(1), ["first", "every turn"]);
        assert_eq!(clock.timers.borrow().len(), 2);
        assert_eq!(clock.run(1), ["every turn"]);
    }

    #[test]
    fn a_turn_runs_no_more_than_its_budget() {
        let clock = Clock::new();
        for _ in 0..250 {
            clock.set(1, None, "");
        }
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
        let fails = once(|_| Err(Box::new(crate::Error::Reentrant)));
        clock.timers.borrow_mut().set(clock.start, fails);
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
    fn a_deadline_runs_a_turn_later_and_can_be_canceled_until_then() {
        let clock = Clock::new();
        let deadline = |ms: u32, name: &'static str| {
            let task = move |state: &mut State| {
                state.downcast_mut::<Vec<&'static str>>().expect("a log").push(name);
                Ok(())
            };
            let at = clock.start + ms * MS;
            clock.timers.borrow_mut().set(at, Task::Deadline(Box::new(task))).0
        };
        deadline(1, "late");
        let canceled = deadline(1, "never");
        clock.set(2, None, "timer");
        assert_eq!(clock.run(5), ["timer"]);
        let next = clock.timers.borrow_mut().next_deadline();
        assert_eq!(next, Some(clock.start + 5 * MS), "it does not wait");
        assert!(clock.timers.borrow_mut().cancel(canceled).is_some());
        assert_eq!(clock.run(5), ["late"]);
        assert_eq!(clock.timers.borrow().len(), 0);
    }

    #[test]
    fn after_the_end_a_callback_comes_back_to_be_dropped() {
        let clock = Clock::new();
        clock.set(1, None, "never");
        assert_eq!(clock.timers.borrow_mut().close().len(), 1);
        let (id, returned) = clock.timers.borrow_mut().set(clock.start, once(|_| Ok(())));
        assert!(returned.is_some());
        assert!(clock.timers.borrow_mut().cancel(id).is_none());
    }

    #[test]
    fn the_longest_period_does_not_overflow() {
        let start = Instant::now();
        assert!(next_run(start, Duration::MAX, start) > start);
        let (late, period) = (start + Duration::from_secs(1 << 30), Duration::from_nanos(1));
        assert_eq!(next_run(start, period, late), late + period);
    }
}
