//! The loop as its owner has it: to be run, or to be embedded.

use super::handle::Handle;
use super::options::LoopOptions;
use super::shared::{NextDeadline, Shared};
use crate::error::{Error, Result};
use mio::Registry;
use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;
use std::time::Duration;

/// Runs callbacks, with `&mut S` lent to each.
///
/// ```no_run
/// use evnats::EventLoop;
///
/// #[derive(Default)]
/// struct App { seen: u64 }
///
/// fn main() -> evnats::Result {
///     let event_loop = EventLoop::<App>::new()?;
///     let nats = event_loop.connect("nats://127.0.0.1:4222")?;
///     nats.subscribe("greet.*", |app, greetings, message| {
///         app.seen += 1;
///         if app.seen == 3 {
///             greetings.client().drain();
///         }
///         println!("{}: {}", message.subject(), message.text());
///     })?;
///     event_loop.run(&mut App::default())
/// }
/// ```
///
/// # Turns
///
/// A turn writes what was commanded, waits, and runs what came due. Whatever can bring work into it
/// has a budget, and what exceeds that waits for the next turn, so nobody can keep everybody else
/// waiting:
///
/// | what a turn does | at most |
/// |---|---|
/// | closures that were posted by [`Remote`](crate::Remote) | 1,024 |
/// | timers that are due; one that is set for now by a callback has the next turn | 1,024 |
/// | clients and foreign sources that have something to do, one after the other | 256 |
/// | for each client: callbacks for messages (also those that were held), replies, timeouts, flushes, the ends of subscriptions and requests, errors, frames | 4,096 ([`turn_callbacks`](crate::Options::turn_callbacks)) |
/// | for each client: bytes that it reads, from the current server and, in a move, from the next one | 256 KiB ([`turn_bytes`](crate::Options::turn_bytes)) |
/// | of these, frames of WebSocket without payload | 32 |
/// | and reads for records of TLS without payload | 8, of 32 KiB each |
/// | for each listing of streams or consumers: items, of a page that has come | 1,024 |
/// | for each source of the user's own | one callback |
///
/// What is written is limited by what may wait for it
/// ([`outgoing_limit`](crate::Options::outgoing_limit)). How long a callback takes is up to the
/// callback. A hook that runs for a connection, such as `on_reconnect`, runs together with what
/// watches and other layers do about it.
///
/// # Dropping
///
/// Every connection is closed as it is, and every callback that was waiting is dropped without
/// being run; so is every callback that is given to a handle later. In a process that was forked
/// off, dropping the loop closes the child's copies of the sockets and nothing else: the parent's
/// connections and the selector that both share stay as they are. It is best dropped there at once,
/// and not used for anything else.
pub struct EventLoop<S: 'static = ()> {
    handle: Handle<S>,
}

impl<S: 'static> EventLoop<S> {
    /// An empty loop.
    ///
    /// # Errors
    /// The system's selector (epoll, kqueue, IOCP) could not be made.
    pub fn new() -> Result<Self> {
        Self::with_options(LoopOptions::new())
    }

    /// An empty loop with options.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(options: LoopOptions) -> Result<Self> {
        let platform = options.platform.make().map_err(Error::EventLoop)?;
        Ok(Self { handle: Handle::new(Shared::new(platform, options.max_posted)) })
    }

    /// An empty loop on a selector of the host's: a `mio::Poll` that has other sources, too. It
    /// takes tokens from a range that the host leaves to it, one for each socket.
    ///
    /// The host polls. It hands over what comes by [`handle_event`](Self::handle_event), and then
    /// calls [`dispatch`](Self::dispatch), which does not wait; likewise when
    /// [`next_deadline`](Self::next_deadline) has come, and after `wake` was called, which may
    /// happen on any thread and should end the poll: mio has one `Waker` for each `Poll`, and it is
    /// the host's. [`run`](Self::run) is an error.
    ///
    /// ```
    /// use evnats::EventLoop;
    /// use std::{sync::Arc, time::{Duration, Instant}};
    ///
    /// let mut poll = mio::Poll::new()?;
    /// let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0))?);
    /// let wake = move || waker.wake().expect("a wake-up");
    /// let event_loop = EventLoop::<u32>::on_registry(poll.registry(), 1000..2000, wake)?;
    /// event_loop.handle().set_timer(Duration::from_millis(1), |runs: &mut u32, _| *runs += 1);
    ///
    /// let (mut events, mut runs) = (mio::Events::with_capacity(64), 0);
    /// while !event_loop.is_empty() {
    ///     poll.poll(&mut events, event_loop.next_deadline().timeout(Instant::now()))?;
    ///     for event in &events {
    ///         if !event_loop.handle_event(event) {
    ///             // the waker's, or another source's
    ///         }
    ///     }
    ///     event_loop.dispatch(&mut runs, None)?;
    /// }
    /// assert_eq!(runs, 1);
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// # Errors
    /// The registry could not be cloned.
    pub fn on_registry(
        registry: &Registry,
        tokens: Range<usize>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::with_options(LoopOptions::new().on_registry(registry, tokens, wake))
    }

    /// The handle through which callbacks reach the loop.
    #[must_use]
    pub fn handle(&self) -> &Handle<S> {
        &self.handle
    }

    /// Runs until no client, timer or foreign source is left and nobody
    /// [keeps the loop running](Handle::keep_running), or until [`Handle::stop`]. A signal that is
    /// handled meanwhile does not end it.
    ///
    /// # Errors
    /// What a callback returned; the system's selector failed; the loop is on a lent registry; or
    /// the call came from inside a callback ([`Error::Reentrant`]). The loop can be run again,
    /// with nothing lost.
    pub fn run(&self, state: &mut S) -> Result<()> {
        self.shared().run(state)
    }

    /// One turn: writes what was commanded, waits for at most `timeout` (`None`: until something
    /// happens), and runs callbacks that are due, within a budget. Returns whether more is waiting:
    /// then call it again before waiting for [`as_fd`](EventLoop#impl-AsFd-for-EventLoop<S>).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn dispatch(&self, state: &mut S, timeout: Option<Duration>) -> Result<bool> {
        self.shared().dispatch(state, timeout)
    }

    /// Takes an event of the selector that was [lent](Self::on_registry). Returns whether it is the
    /// loop's; then a [`dispatch`](Self::dispatch) has to follow.
    #[must_use]
    pub fn handle_event(&self, event: &mio::event::Event) -> bool {
        self.shared().platform().handle_event(event)
    }

    /// When [`dispatch`](Self::dispatch) is to be called at the latest. It changes with every
    /// command and every turn, so it is asked for before each wait.
    #[must_use]
    pub fn next_deadline(&self) -> NextDeadline {
        self.shared().next_deadline()
    }

    /// Whether nothing is left that could run a callback: no client, timer or foreign source, and
    /// no guard that keeps the loop running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared().is_empty()
    }

    fn shared(&self) -> &Rc<Shared> {
        self.handle.shared()
    }
}

/// A loop has all that its handle has: connecting, timers, remotes, sources.
impl<S> Deref for EventLoop<S> {
    type Target = Handle<S>;

    fn deref(&self) -> &Handle<S> {
        &self.handle
    }
}

impl<S> Drop for EventLoop<S> {
    fn drop(&mut self) {
        self.shared().end();
    }
}

impl<S> fmt::Debug for EventLoop<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("sources", &self.shared().source_count())
            .field("timers", &self.shared().timer_count())
            .finish_non_exhaustive()
    }
}
