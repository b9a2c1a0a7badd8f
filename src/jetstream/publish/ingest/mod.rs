//! Fast ingest: one long batch, which the stream acknowledges every so many messages.

mod adding;
mod batch;
mod clock;
mod ending;
mod flow;
mod machine;
mod notices;
mod options;
mod progress;
mod replies;
mod report;
mod shared;
mod way;

pub use options::IngestOptions;
pub use report::{IngestGap, IngestRefusal, IngestReport};

use super::options::PublishOptions;
use crate::callback::{Callback, Outcome, RefHandler, RepeatingTask, State, lend};
use crate::client::Client;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use evnats_protocol::Payload;
use shared::Hook;
pub(crate) use shared::Ingest;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// Publishes a long row of messages to one stream, as fast as it takes them: it acknowledges many at
/// once, and sets the pace. (Server 2.14, for streams with `allow_batched`) On an older server, and to
/// a stream without it, the messages go through a [window](super::PublishWindow) instead. A cheap
/// handle; clones are the same ingest.
///
/// Each message is stored when it comes, so an ingest that ends early has stored what came before. A
/// message that is lost or refused ends it, unless it is to
/// [continue](IngestOptions::continue_on_gap). Nothing is sent again. It lives until it is
/// [finished](Self::finish), also without a handle.
///
/// The acknowledgements come to subjects below an inbox: a user with restricted rights has to be
/// permitted to subscribe to `_INBOX.>`.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<u64>::new()?;
/// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// use evnats::jetstream::{FastIngest, IngestOptions};
///
/// fn add_more(next: &mut u64, ingest: &FastIngest<u64>) {
///     while *next < 1_000_000 && ingest.add("readings.a", next.to_string()).is_ok() {
///         *next += 1;
///     }
///     if *next == 1_000_000 {
///         *next += 1;
///         ingest.finish(|_, ingest, report| {
///             println!("stored {}", report?.stored);
///             ingest.client().drain();
///             Ok(())
///         });
///     }
/// }
/// let ingest = js.fast_ingest(IngestOptions::new());
/// ingest.on_ready(add_more);
/// add_more(&mut 0, &ingest);
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct FastIngest<S: 'static = ()> {
    ingest: Rc<Ingest>,
    _state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> JetStream<S> {
    /// An ingest, which begins with its first message.
    #[must_use]
    pub fn fast_ingest(&self, options: IngestOptions) -> FastIngest<S> {
        FastIngest::new(Ingest::new(self.api(), options))
    }
}

impl<S: 'static> FastIngest<S> {
    fn new(ingest: Rc<Ingest>) -> Self {
        Self { ingest, _state: PhantomData }
    }

    /// Adds a message. Returns its number, counted from 1.
    ///
    /// # Errors
    /// [`Error::WindowFull`], with the payload if it was given away, when the stream has not
    /// acknowledged enough yet: then [`on_ready`](Self::on_ready) runs when it has. So it is after
    /// the first message, and before it until the server has told what it can do.
    /// [`Error::IngestEnded`] after the end; [`Error::Request`] if it cannot be sent at all.
    pub fn add<'a>(&self, subject: &str, payload: impl Into<Payload<'a>>) -> Result<u64, Error> {
        self.ingest.add(subject, None, payload.into())
    }

    /// As [`add`](Self::add), with conditions and headers. A timeout of their own is not used.
    ///
    /// # Errors
    /// As [`add`](Self::add), [`Error::InvalidOption`], and [`Error::Unsupported`] for an option that the
    /// server lacks.
    pub fn add_with<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
    ) -> Result<u64, Error> {
        if let Some(requirement) = options.check()? {
            self.ingest.check(requirement)?;
        }
        self.ingest.add(subject, Some(options.as_headers()), payload.into())
    }

    /// Ends the ingest: nothing can be added any more, and the callback runs once when everything is
    /// stored, or with what prevents that.
    ///
    /// # Errors
    /// The callback is given [`Error::IngestEnded`], with how much is known to be stored, if the ingest
    /// has ended before.
    pub fn finish(&self, callback: impl Callback<S, FastIngest<S>, Result<IngestReport, Error>>) {
        self.ingest.finish(Box::new(|state, ingest, outcome| {
            callback(lend(state), &Self::new(ingest.clone()), outcome).into_ran()
        }));
    }

    /// Runs when there is room again, after a message was not taken for want of it.
    pub fn on_ready(&self, mut hook: impl RepeatingTask<S, FastIngest<S>>) {
        let hook = move |state: &mut S, ingest: &Self, _: &()| hook(state, ingest);
        set(&self.ingest.hooks.ready, hook);
    }

    /// Runs when messages are missing, which were lost on their way.
    pub fn on_gap(&self, hook: impl RefHandler<S, FastIngest<S>, IngestGap>) {
        set(&self.ingest.hooks.gap, hook);
    }

    /// Runs for each message that the stream has refused.
    pub fn on_refused(&self, hook: impl RefHandler<S, FastIngest<S>, IngestRefusal>) {
        set(&self.ingest.hooks.refused, hook);
    }

    /// Runs once if the ingest ends before it was [finished](Self::finish), with the reason.
    pub fn on_ended(&self, hook: impl RefHandler<S, FastIngest<S>, Error>) {
        set(&self.ingest.hooks.ended, hook);
    }

    /// What has become of it up to now.
    #[must_use]
    pub fn report(&self) -> IngestReport {
        self.ingest.report()
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.ingest.api().port().clone())
    }
}

fn set<S: 'static, T: 'static>(slot: &Hook<T>, mut hook: impl RefHandler<S, FastIngest<S>, T>) {
    let replaced =
        slot.replace(Box::new(move |state: &mut State, ingest: &Rc<Ingest>, argument: &T| {
            hook(lend(state), &FastIngest::new(ingest.clone()), argument).into_ran()
        }));
    // user code, which may use the ingest
    drop(replaced);
}

impl<S> Clone for FastIngest<S> {
    fn clone(&self) -> Self {
        Self::new(self.ingest.clone())
    }
}

impl<S> fmt::Debug for FastIngest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastIngest").field("report", &self.report()).finish_non_exhaustive()
    }
}
