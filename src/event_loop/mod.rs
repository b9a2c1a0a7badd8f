//! The event loop: owns the clients, timers and posted closures, and lends the user's state to
//! their callbacks.
//!
//! One turn ([`EventLoop::dispatch`]) writes what was commanded, waits, and runs what came due.
//! Invariants: no callback runs outside a turn, no borrow of the loop's own data is alive while
//! one runs, and every turn's work is bounded, so that no client starves another, a timer or the
//! host.

mod handle;
mod remote;
mod timers;

pub use handle::Handle;
pub use remote::Remote;
pub(crate) use remote::Waker;
pub(crate) use timers::Callback as TimerTask;
pub use timers::TimerId;

use crate::callback::State;
use crate::error::{Error, Result};
use remote::Inbox;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timers::Timers;

/// Runs callbacks, with `&mut S` lent to each.
///
/// ```no_run
/// use evnats::EventLoop;
///
/// #[derive(Default)]
/// struct App { seen: u64 }
///
/// fn main() -> evnats::Result<()> {
///     let event_loop = EventLoop::new()?;
///     let nats = event_loop.connect("nats://127.0.0.1:4222")?;
///     nats.subscribe("greet.*", |app: &mut App, nats, message| {
///         app.seen += 1;
///         if app.seen == 3 {
///             nats.drain();
///         }
///         println!("{}: {}", message.subject(), message.text());
///     })?;
///     event_loop.run(&mut App::default())
/// }
/// ```
pub struct EventLoop<S: 'static = ()> {
    handle: Handle<S>,
}

/// What the loop's handles share.
pub(crate) struct Shared {
    poll: RefCell<mio::Poll>,
    events: RefCell<mio::Events>,
    pub(crate) registry: mio::Registry,
    inbox: Inbox,
    sources: RefCell<Slab<Rc<dyn Source>>>,
    /// Sources that have something to do without waiting.
    queue: RefCell<VecDeque<usize>>,
    timers: RefCell<Timers>,
    dispatching: Cell<bool>,
    stopped: Cell<bool>,
    /// When the current turn began: the clock for what need not know the time to the microsecond.
    turn_time: Cell<Instant>,
}

/// Something with a file descriptor and deadlines that the loop turns: a client.
pub(crate) trait Source {
    /// The file descriptor became ready. Only takes note.
    fn handle_ready(&self, event: &mio::event::Event);
    /// Runs callbacks, within a budget, and writes what they left. Returns whether more is waiting,
    /// and the error that a callback returned, which ends the turn.
    fn turn(self: Rc<Self>, state: &mut State, now: Instant) -> (Progress, Result<()>);
    /// Writes what was commanded, and starts its clocks. Runs no callback.
    fn settle(&self, now: Instant);
    /// Whether callbacks are waiting to be run.
    fn has_work(&self) -> bool;
    fn next_deadline(&self) -> Option<Instant>;
    /// Remembers whether the source stands in the queue; returns what it was.
    fn set_queued(&self, queued: bool) -> bool;
    /// Where the source stands in the loop from now on.
    fn set_token(&self, token: mio::Token);
    /// Drops everything, callbacks included, without running any.
    fn abandon(&self);
}

/// How a turn of a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing to do until something happens.
    Idle,
    /// The budget was used up.
    More,
    /// The source is finished, and leaves the loop.
    Over,
}

const WAKE: mio::Token = mio::Token(usize::MAX);

impl<S: 'static> EventLoop<S> {
    /// An empty loop.
    ///
    /// # Errors
    /// The system's selector (epoll, kqueue) could not be made.
    pub fn new() -> Result<Self> {
        let poll = mio::Poll::new().map_err(Error::EventLoop)?;
        let registry = poll.registry().try_clone().map_err(Error::EventLoop)?;
        let waker = mio::Waker::new(&registry, WAKE).map_err(Error::EventLoop)?;
        let shared = Shared {
            poll: RefCell::new(poll),
            events: RefCell::new(mio::Events::with_capacity(256)),
            registry,
            inbox: Inbox::new(waker),
            sources: RefCell::default(),
            queue: RefCell::default(),
            timers: RefCell::default(),
            dispatching: Cell::new(false),
            stopped: Cell::new(false),
            turn_time: Cell::new(Instant::now()),
        };
        Ok(Self { handle: Handle::new(Rc::new(shared)) })
    }

    /// The handle through which callbacks reach the loop.
    pub fn handle(&self) -> &Handle<S> {
        &self.handle
    }

    /// Runs until no client and no timer is left, or until [`Handle::stop`].
    ///
    /// # Errors
    /// The system's selector failed, or the call came from inside a callback
    /// ([`Error::Reentrant`]). What goes wrong with a connection is reported to its callbacks.
    pub fn run(&self, state: &mut S) -> Result<()> {
        self.shared().run(state)
    }

    /// One turn: writes what was commanded, waits for at most `timeout` (`None`: until something
    /// happens), and runs the callbacks that are due. Returns whether more is waiting: then call
    /// it again before waiting for [`as_fd`](EventLoop::as_fd).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn dispatch(&self, state: &mut S, timeout: Option<Duration>) -> Result<bool> {
        self.shared().dispatch(state, timeout)
    }

    /// When [`dispatch`](Self::dispatch) is to be called at the latest; `None` if nothing is
    /// waited for but events. In the past if something is to be done now.
    pub fn next_deadline(&self) -> Option<Instant> {
        let shared = self.shared();
        if shared.has_work() || !shared.queue.borrow().is_empty() {
            return Some(Instant::now());
        }
        shared.next_deadline()
    }

    /// Whether nothing is left that could run a callback: no client and no timer.
    pub fn is_empty(&self) -> bool {
        self.shared().is_empty()
    }

    fn shared(&self) -> &Rc<Shared> {
        self.handle.shared()
    }
}

/// The loop's own file descriptor, the same for as long as the loop lives. It is readable when
/// [`dispatch`](EventLoop::dispatch) has something to do; add it, level-triggered, to a poll set
/// of your own, and wait no longer than until [`next_deadline`](EventLoop::next_deadline).
impl<S> AsFd for EventLoop<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared().registry.as_fd()
    }
}

impl<S> Drop for EventLoop<S> {
    /// Callbacks and clients refer to the loop and to each other: cut the knot. Callbacks that
    /// were waiting are dropped without being run.
    fn drop(&mut self) {
        let shared = self.shared();
        shared.inbox.abandon();
        shared.timers.take();
        let sources = shared.sources.take();
        for (_, source) in sources {
            source.abandon();
        }
    }
}

impl<S> fmt::Debug for EventLoop<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("clients", &self.shared().sources.borrow().len())
            .field("timers", &self.shared().timers.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Marks the loop as dispatching, also when a callback panics out of it.
struct Turn<'a>(&'a Cell<bool>);

impl<'a> Turn<'a> {
    fn begin(dispatching: &'a Cell<bool>) -> Result<Self> {
        if dispatching.replace(true) { Err(Error::Reentrant) } else { Ok(Self(dispatching)) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Shared {
    fn run(self: &Rc<Self>, state: &mut State) -> Result<()> {
        if self.dispatching.get() {
            return Err(Error::Reentrant);
        }
        self.stopped.set(false);
        while !self.stopped.get() && !self.is_empty() {
            self.dispatch(state, None)?;
        }
        Ok(())
    }

    fn dispatch(self: &Rc<Self>, state: &mut State, timeout: Option<Duration>) -> Result<bool> {
        let _turn = Turn::begin(&self.dispatching)?;
        let now = Instant::now();
        self.queue_due(now);
        self.settle_queued(now);
        self.wait(timeout)?;
        let now = Instant::now();
        self.turn_time.set(now);
        self.take_note_of_events();
        self.queue_due(now);
        self.inbox.run(state, self)?;
        Timers::run_due(&self.timers, now, state)?;
        self.turn_queued(state, now)?;
        self.settle_queued(Instant::now());
        Ok(self.has_work())
    }

    fn is_empty(&self) -> bool {
        self.sources.borrow().is_empty() && self.timers.borrow().is_empty() && self.inbox.is_empty()
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<()> {
        let until_deadline =
            || Some(self.next_deadline()?.saturating_duration_since(Instant::now()));
        let wait = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            [timeout, until_deadline()].into_iter().flatten().min()
        };
        let mut events = self.events.borrow_mut();
        let waited = self.poll.borrow_mut().poll(&mut events, wait);
        match waited {
            // a signal was handled: a turn without events
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result.map_err(Error::EventLoop),
        }
    }

    fn take_note_of_events(&self) {
        for event in self.events.borrow().iter() {
            if event.token() == WAKE {
                self.wake_sources();
            } else if let Some(source) = self.source(event.token().0) {
                source.handle_ready(event);
                self.enqueue(event.token().0, &*source);
            }
        }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn random(&self) -> u64 {
        fastrand::u64(..)
    }

    /// When the current turn began. Reading it costs no system call.
    pub(crate) fn turn_time(&self) -> Instant {
        self.turn_time.get()
    }

    pub(crate) fn set_timer(&self, delay: Duration, callback: TimerTask) -> TimerId {
        let now = Instant::now();
        // a delay beyond what the clock can express is as good as the furthest it can
        let deadline = now.checked_add(delay).unwrap_or(now + Duration::from_secs(1 << 31));
        self.timers.borrow_mut().set(deadline, callback)
    }

    /// Cancels a timer. Returns whether it was still waiting.
    pub(crate) fn cancel_timer(&self, timer: TimerId) -> bool {
        let cancelled = self.timers.borrow_mut().cancel(timer);
        cancelled.is_some()
    }

    /// Takes a source into the loop, and gives it a turn. A loop that has ended drops it.
    pub(crate) fn adopt(&self, source: Rc<dyn Source>) {
        if self.inbox.is_abandoned() {
            return source.abandon();
        }
        let token = self.sources.borrow_mut().insert(source.clone());
        source.set_token(mio::Token(token));
        self.enqueue(token, &*source);
    }

    /// Wakes the loop from another thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        self.inbox.waker()
    }

    /// Has a source turned in this or the next turn.
    pub(crate) fn enqueue(&self, token: usize, source: &dyn Source) {
        if !source.set_queued(true) {
            self.queue.borrow_mut().push_back(token);
        }
    }

    fn source(&self, token: usize) -> Option<Rc<dyn Source>> {
        self.sources.borrow().get(token).cloned()
    }

    fn dequeue(&self) -> Option<(usize, Rc<dyn Source>)> {
        loop {
            let token = self.queue.borrow_mut().pop_front()?;
            if let Some(source) = self.source(token) {
                source.set_queued(false);
                return Some((token, source));
            }
        }
    }

    /// Every source that is queued now has its turn; those queued meanwhile have the next one.
    fn turn_queued(&self, state: &mut State, now: Instant) -> Result<()> {
        let count = self.queue.borrow().len();
        for _ in 0..count {
            let Some((token, source)) = self.dequeue() else { return Ok(()) };
            let (progress, outcome) = source.clone().turn(state, now);
            match progress {
                Progress::Idle => {}
                Progress::More => self.enqueue(token, &*source),
                Progress::Over => {
                    self.sources.borrow_mut().try_remove(token);
                    source.abandon();
                }
            }
            outcome?;
        }
        Ok(())
    }

    /// Writes what callbacks and the host have commanded. Sources that need no more than that
    /// leave the queue.
    fn settle_queued(&self, now: Instant) {
        let count = self.queue.borrow().len();
        for _ in 0..count {
            let Some((token, source)) = self.dequeue() else { return };
            source.settle(now);
            if source.has_work() {
                self.enqueue(token, &*source);
            }
        }
    }

    /// Queues the sources whose deadlines have passed, and those that have something to do that
    /// the selector does not know of, such as a transport in memory.
    fn queue_due(&self, now: Instant) {
        for (token, source) in self.sources.borrow().iter() {
            let is_due = source.next_deadline().is_some_and(|deadline| deadline <= now);
            if is_due || source.has_work() {
                self.enqueue(token, &**source);
            }
        }
    }

    fn wake_sources(&self) {
        let all: Vec<_> =
            self.sources.borrow().iter().map(|(token, source)| (token, source.clone())).collect();
        for (token, source) in all {
            self.enqueue(token, &*source);
        }
    }

    fn has_work(&self) -> bool {
        !self.queue.borrow().is_empty() || !self.inbox.is_empty()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let sources = self.sources.borrow();
        let deadlines = sources.iter().filter_map(|(_, source)| source.next_deadline());
        deadlines.chain(self.timers.borrow().next_deadline()).min()
    }
}
