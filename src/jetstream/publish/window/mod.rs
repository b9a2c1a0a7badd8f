//! Publishing in windows: many messages under way at once, and no more than the program allows.

mod failing;
mod notices;
mod options;
mod progress;
mod report;
mod resend;
mod resending;
mod retry;
mod shared;
mod stall;

pub use options::WindowOptions;
pub use report::{PublishFailure, Stalled, WindowReport};

use super::options::{PublishOptions, Repetition};
use super::pub_ack::PubAck;
use crate::callback::{Callback, Outcome, RefHandler, RepeatingTask, State, lend};
use crate::client::Client;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use evnats_protocol::{OutgoingMessage, Payload};
use retry::Attempts;
pub(super) use shared::message;
use shared::{Content, Hook, Kept};
pub(crate) use shared::{Done, Window};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// Publishes to streams with many messages under way at once. A cheap handle; clones are the same
/// window, which lives as long as one of them, or a message that is outstanding.
///
/// A message is outstanding until its outcome is known. When as many are as the window allows, the
/// next one is refused and given back ([`Error::WindowFull`]), and [`on_ready`](Self::on_ready) runs
/// when half of the window is free again. Messages are sent in the order in which they are published. One
/// that is [sent again](WindowOptions::retry_for) may be stored after later ones; the
/// [report](WindowReport::resent) counts them.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<u64>::new()?;
/// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// use evnats::jetstream::{PublishWindow, WindowOptions};
///
/// // publishes as much as there is room for, whenever there is room; the state counts
/// fn publish_more(next: &mut u64, window: &PublishWindow<u64>) {
///     while *next < 1_000_000 && window.enqueue("ORDERS.new", next.to_string()).is_ok() {
///         *next += 1;
///     }
///     if *next == 1_000_000 {
///         *next += 1;
///         window.finish(|_, window, report| {
///             println!("{} stored, {} not", report.stored, report.not_stored);
///             window.client().drain();
///         });
///     }
/// }
/// let window = js.publish_window(WindowOptions::new());
/// window.on_ready(publish_more);
/// publish_more(&mut 0, &window);
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct PublishWindow<S: 'static = ()> {
    window: Rc<Window>,
    _state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> JetStream<S> {
    /// A window to publish in.
    #[must_use]
    #[doc(alias = "PublishAsync")]
    #[doc(alias = "PublishAsyncMaxPending")]
    pub fn publish_window(&self, options: WindowOptions) -> PublishWindow<S> {
        PublishWindow::new(Window::new(self.api(), options))
    }
}

impl<S: 'static> PublishWindow<S> {
    fn new(window: Rc<Window>) -> Self {
        Self { window, _state: PhantomData }
    }

    /// Publishes a message. Returns its number, counted from 1; the callback runs once, with what the
    /// stream says or with the reason why nothing is known to be stored.
    ///
    /// # Errors
    /// [`Error::WindowFull`], with the payload if it was given away, when there is no room in the
    /// window or in the connection's buffer. Then the callback is dropped. Every other error is given to the
    /// callback: those of [`JetStream::publish`], and what a lack of an answer means:
    /// [`Error::NoStream`], [`Error::NoLeader`], [`Error::Unacknowledged`].
    #[inline]
    pub fn publish<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        callback: impl Callback<S, PublishWindow<S>, Result<PubAck, Error>>,
    ) -> Result<u64, Error> {
        self.window.publish(subject, None, payload.into(), Self::done(callback))
    }

    /// As [`publish`](Self::publish), with conditions and headers.
    ///
    /// # Errors
    /// As [`publish`](Self::publish). The callback is given the conditions' own as well,
    /// [`Error::InvalidOption`] and [`Error::Unsupported`].
    pub fn publish_with<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
        callback: impl Callback<S, PublishWindow<S>, Result<PubAck, Error>>,
    ) -> Result<u64, Error> {
        self.window.publish_with(subject, payload.into(), options, Self::done(callback))
    }

    /// Publishes a message without a callback of its own: the quiet way. Returns its number, counted
    /// from 1. What becomes of all of them, [`finish`](Self::finish) and [`report`](Self::report)
    /// tell; one that fails is told to [`on_failed`](Self::on_failed).
    ///
    /// # Errors
    /// [`Error::WindowFull`] as of [`publish`](Self::publish).
    #[inline]
    pub fn enqueue<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
    ) -> Result<u64, Error> {
        self.window.publish(subject, None, payload.into(), Done::Quiet)
    }

    /// As [`enqueue`](Self::enqueue), with conditions and headers.
    ///
    /// # Errors
    /// [`Error::WindowFull`] as of [`publish`](Self::publish).
    pub fn enqueue_with<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
    ) -> Result<u64, Error> {
        self.window.publish_with(subject, payload.into(), options, Done::Quiet)
    }

    /// Calls back once, when no message is outstanding any more, with what has become of all of them.
    /// Messages that are published meanwhile are waited for, too.
    #[doc(alias = "PublishAsyncComplete")]
    pub fn finish(&self, callback: impl Callback<S, PublishWindow<S>, WindowReport>) {
        self.window.finish(Box::new(|state, window, report| {
            callback(lend(state), &Self::new(window.clone()), report).into_ran()
        }));
    }

    /// Runs when there is room again, after a message was refused: when half of the window is free,
    /// and the connection's buffer has room.
    pub fn on_ready(&self, mut hook: impl RepeatingTask<S, PublishWindow<S>>) {
        let hook = move |state: &mut S, window: &Self, _: &()| hook(state, window);
        set(&self.window.hooks.ready, hook);
    }

    /// Runs whenever the last outstanding message has had its answer, with what has become of all
    /// messages so far.
    pub fn on_all_acknowledged(&self, hook: impl RefHandler<S, PublishWindow<S>, WindowReport>) {
        set(&self.window.hooks.all_acknowledged, hook);
    }

    /// Runs when a message was refused and nothing has been acknowledged
    /// [since](WindowOptions::stall_after), with the reason as far as it can be known. It runs again
    /// when another message is refused after that.
    #[doc(alias = "PublishAsyncStallWait")]
    pub fn on_stalled(&self, hook: impl RefHandler<S, PublishWindow<S>, Stalled>) {
        set(&self.window.hooks.stalled, hook);
    }

    /// Runs for each message without a callback of its own that has failed.
    #[doc(alias = "PublishAsyncErrHandler")]
    pub fn on_failed(&self, hook: impl RefHandler<S, PublishWindow<S>, PublishFailure>) {
        set(&self.window.hooks.failed, hook);
    }

    /// How many messages have no answer yet.
    #[must_use]
    #[doc(alias = "PublishAsyncPending")]
    pub fn outstanding(&self) -> usize {
        self.window.outstanding()
    }

    /// What has become of all messages up to now. Those that are outstanding are only in
    /// [`published`](WindowReport::published).
    #[must_use]
    pub fn report(&self) -> WindowReport {
        self.window.report()
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.window.api().port().clone())
    }

    #[inline]
    fn done(callback: impl Callback<S, PublishWindow<S>, Result<PubAck, Error>>) -> Done {
        Done::Call(Box::new(|state, window, outcome| {
            callback(lend(state), &Self::new(window.clone()), outcome).into_ran()
        }))
    }
}

fn set<S: 'static, T: 'static>(slot: &Hook<T>, mut hook: impl RefHandler<S, PublishWindow<S>, T>) {
    let replaced =
        slot.replace(Box::new(move |state: &mut State, window: &Rc<Window>, argument: &T| {
            hook(lend(state), &PublishWindow::new(window.clone()), argument).into_ran()
        }));
    // user code, which may use the window
    drop(replaced);
}

impl Window {
    /// Publishes with options, once or so that it can be sent again, if there is room. Returns the
    /// message's number.
    fn publish_with(
        self: &Rc<Self>,
        subject: &str,
        payload: Payload<'_>,
        options: &PublishOptions,
        done: Done,
    ) -> Result<u64, Error> {
        let pending = self.admit(subject, &payload, done)?;
        let number = pending.number;
        let timeout = options.own_timeout().unwrap_or(self.timeout());
        let repetition = options.repetition();
        match options.check() {
            Err(error) => self.fail_later(pending, error.into()),
            Ok(None) if repetition == Repetition::Stored => {
                let message = OutgoingMessage::new(subject, payload);
                self.send(message.headers(options.as_headers()), timeout, pending);
            }
            Ok(requirement) => {
                let headers = options.as_headers().clone();
                let content = Content { headers, payload: payload.into_bytes(), timeout };
                let now = self.api().port().turn_time();
                let attempts = Attempts::new(self.options(), repetition, now);
                self.send_kept(Kept { pending, content: Rc::new(content), attempts }, requirement);
            }
        }
        Ok(number)
    }
}

impl<S> Clone for PublishWindow<S> {
    fn clone(&self) -> Self {
        Self::new(self.window.clone())
    }
}

impl<S> fmt::Debug for PublishWindow<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishWindow")
            .field("outstanding", &self.outstanding())
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
