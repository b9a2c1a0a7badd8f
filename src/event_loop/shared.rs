//! The inside of a loop: what its handles share, and the turn.
//!
//! A turn writes what was commanded, waits, runs what came due, and writes what that commanded.
//! Invariants: no callback runs outside a turn; no borrow of the loop's own data is alive while one
//! runs, and user code includes the drop of a callback; whatever can bring work into a turn counts
//! against a budget of its own. What an error or a panic leaves undone is done in the next turn.

use super::alarm::Alarm;
use super::inbox::Inbox;
use super::platform::Platform;
use super::readiness::Readiness;
use super::registration::{Registrar, Registration};
use super::schedule::{Schedule, SlotId};
use super::source::{Progress, Source};
use super::timers::{self, IntervalTask, Task, TimerId, TimerTask, Timers};
use crate::callback::{Ran, State};
use crate::error::{Error, Result};
use mio::Token;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Posted closures that a turn runs at most.
const MAX_POSTED: usize = 1024;
/// Timers that a turn runs at most.
const MAX_TIMERS: usize = 1024;
/// Sources that have their turns in one turn of the loop at most.
const MAX_SOURCES: usize = 256;

/// A closure that another thread has posted.
pub(super) type Posted = Box<dyn FnOnce(&mut State, &Rc<Shared>) -> Ran + Send>;

/// What the loop's handles share.
pub(crate) struct Shared {
    platform: Rc<dyn Platform>,
    registrar: Rc<Registrar>,
    schedule: RefCell<Schedule>,
    timers: RefCell<Timers>,
    pub(super) inbox: Arc<Inbox<Posted>>,
    pub(super) alarm: Arc<Alarm>,
    /// A buffer for what was reported without a selector.
    reported: RefCell<Vec<(Token, Readiness)>>,
    /// The selector may hold more events than were taken from it.
    has_more_events: Cell<bool>,
    is_dispatching: Cell<bool>,
    is_stopped: Cell<bool>,
    has_ended: Cell<bool>,
    /// When the current turn began: the clock for what need not know the time to the microsecond.
    turn_time: Cell<Instant>,
}

/// When a loop is to have its next turn; see [`EventLoop::next_deadline`](crate::EventLoop::next_deadline).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextDeadline {
    /// Something is to be done now.
    Now,
    /// At this time, or earlier if there is an event.
    At(Instant),
    /// When there is an event.
    Never,
}

impl NextDeadline {
    /// How long a host may wait, for the calls that take it so: `None` means for ever.
    #[must_use]
    pub fn timeout(self, now: Instant) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::At(deadline) => Some(deadline.saturating_duration_since(now)),
            Self::Never => None,
        }
    }
}

impl Shared {
    pub(super) fn new(platform: Rc<dyn Platform>, max_posted: usize) -> Rc<Self> {
        let alarm = Arc::new(Alarm::new(platform.waker()));
        Rc::new(Self {
            registrar: Registrar::new(platform.clone(), alarm.clone()),
            schedule: RefCell::default(),
            timers: RefCell::default(),
            inbox: Arc::new(Inbox::new(max_posted, alarm.clone())),
            alarm,
            reported: RefCell::default(),
            has_more_events: Cell::new(false),
            is_dispatching: Cell::new(false),
            is_stopped: Cell::new(false),
            has_ended: Cell::new(false),
            turn_time: Cell::new(platform.now()),
            platform,
        })
    }

    // ---- for the loop -------------------------------------------------------------------------

    pub(super) fn run(self: &Rc<Self>, state: &mut State) -> Result<()> {
        if self.is_dispatching.get() {
            return Err(Error::Reentrant);
        }
        if !self.platform.can_wait() {
            let reason = "the host of a loop on a lent registry waits, and calls dispatch";
            let error = io::Error::new(io::ErrorKind::Unsupported, reason);
            return Err(Error::EventLoop(error));
        }
        self.is_stopped.set(false);
        self.turn_time.set(self.now());
        while !self.is_stopped.get() && self.is_left()? {
            self.turn(self.turn_time.get(), state, None)?;
        }
        Ok(())
    }

    /// Whether there is something to run or to wait for. A source that is queued may have nothing
    /// but a write left, and then it is not waited for.
    fn is_left(&self) -> Result<bool> {
        let queued = self.schedule.borrow().queued();
        if queued > 0 && queued == self.source_count() {
            let _turn = Turn::begin(self)?;
            self.settle_queued(self.now());
        }
        Ok(!self.is_empty())
    }

    pub(super) fn dispatch(
        self: &Rc<Self>,
        state: &mut State,
        timeout: Option<Duration>,
    ) -> Result<bool> {
        self.turn(self.now(), state, timeout)?;
        Ok(self.has_work())
    }

    /// A turn, which begins at the time that it is already known to be: the turn before, if there was
    /// one, has just ended.
    fn turn(
        self: &Rc<Self>,
        begin: Instant,
        state: &mut State,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let turn = Turn::begin(self)?;
        self.settle_queued(begin);
        let deadline = self.earliest_deadline();
        self.wait(begin, deadline, timeout)?;
        let now = self.now();
        self.turn_time.set(now);
        self.take_reported();
        let is_due = deadline.is_some_and(|deadline| deadline <= now);
        if is_due {
            self.schedule.borrow_mut().wake_due(now);
        }
        let outcome = match is_due || self.has_tasks() {
            true => self.run_tasks(state, now),
            false => Ok(()),
        };
        let outcome = outcome.and_then(|()| self.turn_queued(state, now));
        self.settle_queued(self.turn_time.get());
        // what is left for the loop from here on wakes it
        drop(turn);
        outcome.map_err(|error| *error)
    }

    pub(super) fn next_deadline(&self) -> NextDeadline {
        if self.has_work() {
            return NextDeadline::Now;
        }
        match self.earliest_deadline() {
            Some(deadline) if deadline <= self.now() => NextDeadline::Now,
            Some(deadline) => NextDeadline::At(deadline),
            None => NextDeadline::Never,
        }
    }

    /// Whether nothing is left that could run a callback, and nobody keeps the loop running.
    pub(super) fn is_empty(&self) -> bool {
        self.source_count() == 0
            && self.timer_count() == 0
            && self.inbox.is_empty()
            && !self.alarm.has_guards()
    }

    pub(super) fn source_count(&self) -> usize {
        self.schedule.borrow().live()
    }

    pub(super) fn timer_count(&self) -> usize {
        self.timers.borrow().len()
    }

    pub(super) fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// Ends the loop: callbacks and clients refer to the loop and to each other, and here the knot
    /// is cut. Callbacks that were waiting are dropped without being run.
    pub(super) fn end(&self) {
        self.has_ended.set(true);
        self.inbox.close();
        let tasks = self.timers.borrow_mut().close();
        let sources = self.schedule.borrow_mut().close();
        drop(tasks);
        for source in sources {
            source.abandon();
        }
    }

    // ---- for clients and handles --------------------------------------------------------------

    pub(crate) fn platform(&self) -> &dyn Platform {
        &*self.platform
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.platform.now()
    }

    /// The time as the loop has read it last: after it had waited, or after a callback. Reading it
    /// costs no system call.
    pub(crate) fn turn_time(&self) -> Instant {
        self.turn_time.get()
    }

    /// The time of day, for others to read.
    pub(crate) fn system_time(&self) -> SystemTime {
        self.platform.system_time()
    }

    pub(crate) fn random(&self) -> u64 {
        self.platform.random()
    }

    /// Whether the loop has been dropped, so that nothing runs any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// Runs a task once.
    pub(crate) fn set_timer(&self, delay: Duration, task: TimerTask) -> TimerId {
        self.set_task(delay, Task::Once(task))
    }

    /// Runs a task once, when it is late for something that may have come. Timers run before anything is
    /// read, so that a loop that was held up would miss what waits to be read: a task that looks whether
    /// something has come in time runs one turn later.
    pub(crate) fn set_deadline(&self, delay: Duration, task: TimerTask) -> TimerId {
        self.set_task(delay, Task::Deadline(task))
    }

    /// Runs a task again and again, for the first time after one period.
    pub(crate) fn set_interval(&self, period: Duration, task: IntervalTask) -> TimerId {
        self.set_task(period, Task::Repeating(period, task))
    }

    fn set_task(&self, delay: Duration, task: Task) -> TimerId {
        let deadline = timers::after(self.now(), delay);
        let (id, dropped) = self.timers.borrow_mut().set(deadline, task);
        self.ring_from_outside();
        drop(dropped);
        id
    }

    /// Cancels a timer. Returns whether it was still waiting.
    pub(crate) fn cancel_timer(&self, timer: TimerId) -> bool {
        let canceled = self.timers.borrow_mut().cancel(timer);
        canceled.is_some()
    }

    /// The timer whose callback runs.
    pub(crate) fn current_timer(&self) -> Option<TimerId> {
        self.timers.borrow().current()
    }

    // ---- the turn -----------------------------------------------------------------------------

    fn wait(
        &self,
        begin: Instant,
        deadline: Option<Instant>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        self.alarm.set_asleep();
        let timeout = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            let until = deadline.map(|deadline| deadline.saturating_duration_since(begin));
            timers::earlier(until, timeout)
        };
        let waited = self.platform.wait(timeout, &mut |id, ready| self.handle_ready(id, ready));
        self.alarm.set_awake();
        self.has_more_events.set(waited.map_err(Error::EventLoop)?);
        Ok(())
    }

    fn take_reported(&self) {
        if !self.registrar.has_reported() {
            return;
        }
        let mut reported = self.reported.borrow_mut();
        self.registrar.take_reported(&mut reported);
        for (id, readiness) in reported.drain(..) {
            self.handle_ready(id, readiness);
        }
    }

    fn handle_ready(&self, id: Token, readiness: Readiness) {
        let Some(slot) = self.registrar.slot(id) else { return };
        let source = self.schedule.borrow_mut().wake_and_get(slot);
        if let Some(source) = source {
            source.handle_ready(id, readiness);
        }
    }

    /// Whether something was posted, or the last turn left timers that were due.
    fn has_tasks(&self) -> bool {
        !self.inbox.is_empty() || self.timers.borrow().has_left()
    }

    /// Runs what was posted, and the timers that are due.
    #[inline(never)]
    fn run_tasks(self: &Rc<Self>, state: &mut State, now: Instant) -> Ran {
        let ran = self.run_posted(state);
        let ran = ran.and_then(|()| Timers::run_due(&self.timers, now, MAX_TIMERS, state));
        // they may have taken long
        self.turn_time.set(self.now());
        ran
    }

    /// Runs what has been posted by now; what is posted meanwhile has the next turn.
    fn run_posted(self: &Rc<Self>, state: &mut State) -> Ran {
        for _ in 0..self.inbox.len().min(MAX_POSTED) {
            if let Some(posted) = self.inbox.take() {
                posted(state, self)?;
            }
        }
        Ok(())
    }

    /// The sources that are queued now have their turns; those queued meanwhile have the next one.
    fn turn_queued(&self, state: &mut State, now: Instant) -> Ran {
        let count = self.schedule.borrow().queued().min(MAX_SOURCES);
        for _ in 0..count {
            let Some(mut turn) = SourceTurn::begin(self) else { return Ok(()) };
            let outcome = turn.source.clone().turn(state, now);
            // callbacks may have taken long: clocks of what they asked for start after them
            self.turn_time.set(self.now());
            turn.settle(self.turn_time.get());
            outcome?;
        }
        Ok(())
    }

    /// Writes what callbacks and the host have commanded. Sources that need no more than that leave
    /// the queue.
    #[inline]
    fn settle_queued(&self, now: Instant) {
        let count = self.schedule.borrow().queued();
        if count > 0 {
            self.settle_first(count, now);
        }
    }

    #[inline(never)]
    fn settle_first(&self, count: usize, now: Instant) {
        for _ in 0..count {
            let Some(mut turn) = SourceTurn::begin(self) else { return };
            turn.settle(now);
        }
    }

    fn has_work(&self) -> bool {
        self.has_more_events.get()
            || self.schedule.borrow().queued() > 0
            || self.has_tasks()
            || self.registrar.has_reported()
    }

    fn earliest_deadline(&self) -> Option<Instant> {
        let source = self.schedule.borrow_mut().next_deadline();
        timers::earlier(source, self.timers.borrow_mut().next_deadline())
    }

    /// Wakes the thread that waits for the loop, unless the change was made in a turn.
    fn ring_from_outside(&self) {
        if !self.is_dispatching.get() {
            self.alarm.ring();
        }
    }
}

/// A source's place in a loop. The source holds it, and the loop holds the source while there is
/// something to wait for.
pub(crate) struct Slot {
    shared: Rc<Shared>,
    id: SlotId,
    /// Whether the source is queued or has its turn.
    is_awake: Rc<Cell<bool>>,
}

impl Slot {
    /// A place for a source, which has its first turn after a [`wake`](Self::wake).
    pub(crate) fn new(shared: &Rc<Shared>, source: Weak<dyn Source>) -> Self {
        let (id, is_awake) = shared.schedule.borrow_mut().insert(source);
        Self { shared: shared.clone(), id, is_awake }
    }

    pub(crate) fn event_loop(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Has the source turned in this or the next turn, also if it was over. After the loop's end,
    /// what it was woken for is dropped.
    #[inline]
    pub(crate) fn wake(&self) {
        if !self.is_awake.get() {
            self.enqueue();
        }
    }

    #[inline(never)]
    fn enqueue(&self) {
        if self.shared.has_ended.get() {
            return self.abandon();
        }
        let is_news = self.shared.schedule.borrow_mut().wake(self.id);
        if is_news {
            self.shared.ring_from_outside();
        }
    }

    #[cold]
    fn abandon(&self) {
        let source = self.shared.schedule.borrow().source(self.id);
        if let Some(source) = source {
            source.abandon();
        }
    }

    /// A registration of the source's own, for each of its sockets.
    pub(crate) fn register(&self) -> io::Result<Registration> {
        self.shared.registrar.register(self.id)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.schedule.borrow_mut().remove(self.id);
    }
}

/// Marks the loop as dispatching, also when a callback panics out of it.
struct Turn<'a>(&'a Shared);

impl<'a> Turn<'a> {
    fn begin(shared: &'a Shared) -> Result<Self> {
        if shared.is_dispatching.replace(true) {
            return Err(Error::Reentrant);
        }
        shared.alarm.set_awake();
        Ok(Self(shared))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_dispatching.set(false);
        self.0.alarm.set_asleep();
    }
}

/// A source that was taken out of the queue. It goes back there if a callback panics.
struct SourceTurn<'a> {
    shared: &'a Shared,
    id: SlotId,
    source: Rc<dyn Source>,
    progress: Progress,
}

impl<'a> SourceTurn<'a> {
    #[inline]
    fn begin(shared: &'a Shared) -> Option<Self> {
        let (id, source) = shared.schedule.borrow_mut().begin()?;
        Some(Self { shared, id, source, progress: Progress::More })
    }

    fn settle(&mut self, now: Instant) {
        self.progress = self.source.settle(now);
    }
}

impl Drop for SourceTurn<'_> {
    fn drop(&mut self) {
        self.shared.schedule.borrow_mut().finish(self.id, self.progress);
        if self.progress == Progress::Over {
            // user code: what the source's callbacks have captured
            self.source.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventLoop;
    use crate::callback::Ran;

    /// A source that counts how often it is asked for anything.
    #[derive(Default)]
    struct Counted(Cell<u32>);

    impl Counted {
        fn count(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    impl Source for Counted {
        fn handle_ready(&self, _: Token, _: Readiness) {
            self.count();
        }

        fn turn(self: Rc<Self>, _: &mut State, _: Instant) -> Ran {
            self.count();
            Ok(())
        }

        fn settle(&self, now: Instant) -> Progress {
            self.count();
            Progress::Idle(Some(now + Duration::from_secs(3600)))
        }

        fn abandon(&self) {}
    }

    #[test]
    fn a_turn_asks_no_idle_source_for_anything() {
        let event_loop = EventLoop::<u32>::new().expect("a loop");
        let shared = event_loop.handle().shared();
        let sources: Vec<_> = (0..1000).map(|_| Rc::new(Counted::default())).collect();
        let slots: Vec<_> = sources
            .iter()
            .map(|source| Rc::downgrade(source) as Weak<dyn Source>)
            .map(|source| Slot::new(shared, source))
            .collect();
        slots.iter().for_each(Slot::wake);
        let mut turns = 0;
        while event_loop.dispatch(&mut turns, Some(Duration::ZERO)).expect("a turn") {}
        let asked = || sources.iter().map(|source| source.0.get()).sum::<u32>();
        let before = asked();
        event_loop.handle().set_interval(Duration::ZERO, |turns: &mut u32, _| *turns += 1);
        while turns < 100 {
            event_loop.dispatch(&mut turns, None).expect("a turn");
            assert!(matches!(event_loop.next_deadline(), NextDeadline::Now));
        }
        assert_eq!(asked(), before);
        slots[7].wake();
        event_loop.dispatch(&mut turns, None).expect("a turn");
        assert!(asked() > before && asked() <= before + 3, "the one that was woken");
    }
}
