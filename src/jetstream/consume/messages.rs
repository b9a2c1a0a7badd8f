//! Messages on demand: each one is asked for, and comes to the callback that was given with the question.

use super::closures::DeliveryCallback;
use super::consumption::begin;
use super::delivery::Delivery;
use super::driver::{Answer, Asked, Control, Program};
use super::machine::Machine;
use super::next_error::NextError;
use super::outcome::{ConsumeEnd, ConsumeEvent};
use super::pull::ConsumeOptions;
use crate::callback::{Callback, Outcome, RefHandler, State, lend};
use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::consumer::Consumer;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// Messages on demand. A cheap handle; clones are the same, and dropping them does not stop it.
///
/// The client asks the server ahead, for as many as
/// [`max_messages`](ConsumeOptions::max_messages) says; with a limit of 1 it asks for one when
/// [`next`](Self::next) does, and one after the other is worked on.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// use evnats::jetstream::{ConsumeOptions, Delivery, Messages, NextError};
///
/// fn work(_: &mut (), jobs: &Messages, job: Result<Option<&Delivery<'_>>, NextError>) -> evnats::Result {
///     match job {
///         Ok(Some(job)) => {
///             println!("{}", job.text());
///             job.ack()?;
///         }
///         Ok(None) => return Ok(()),
///         Err(NextError::Failed(error)) => return Err(error.into()),
///         Err(silent) => println!("{silent}"),
///     }
///     jobs.next(work);
///     Ok(())
/// }
/// let jobs = js.stream("JOBS").consumer("worker").messages(ConsumeOptions::new().max_messages(1));
/// jobs.next(work);
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Messages<S: 'static = ()> {
    control: Rc<dyn Control>,
    _state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Consumer<S> {
    /// Reads the consumer on demand: [`Messages::next`] takes one message.
    ///
    /// # Errors
    /// What is wrong with the options or names, and what ends the read, is told to
    /// [`next`](Messages::next) and [`on_end`](Messages::on_end).
    #[must_use]
    pub fn messages(&self, options: ConsumeOptions) -> Messages<S> {
        let program = on_demand(&options);
        Messages::new(begin(self.api(), self.target(), options, program))
    }
}

/// Has a program take the messages that it asks for.
pub(super) fn on_demand<M: Machine<End = ConsumeEnd>>(options: &ConsumeOptions) -> Program<M> {
    Program::Asked(Asked::new(options.max_messages == Some(1)))
}

impl<S: 'static> Messages<S> {
    pub(super) fn new(control: Rc<dyn Control>) -> Self {
        Self { control, _state: PhantomData }
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.control.port().clone())
    }

    /// Takes the next message. The callback runs exactly once, never from within this call: with the
    /// message, or with `None` if there will be none because it was stopped, drained, or is complete.
    /// Several may wait, and are served in order.
    ///
    /// # Errors
    /// The callback is given [`NextError::Silent`] if the server does not report, unless
    /// [`report_silence`](ConsumeOptions::report_silence) is off, and [`NextError::Failed`] after an
    /// end that is an error.
    pub fn next(&self, callback: impl DeliveryCallback<S, Messages<S>, NextError>) {
        self.ask(None, callback);
    }

    /// As [`next`](Self::next), and waits for no longer than this.
    ///
    /// # Errors
    /// As of [`next`](Self::next), and [`NextError::TimedOut`].
    pub fn next_within(
        &self,
        patience: Duration,
        callback: impl DeliveryCallback<S, Messages<S>, NextError>,
    ) {
        self.ask(Some(patience), callback);
    }

    fn ask(
        &self,
        patience: Option<Duration>,
        callback: impl DeliveryCallback<S, Messages<S>, NextError>,
    ) {
        let asker = move |state: &mut State, control, answer: Answer<'_, ConsumeEnd>| {
            let (state, messages) = (lend(state), Self::new(control));
            let ran = match answer {
                Answer::Message(delivered) => {
                    callback(state, &messages, Ok(Some(&Delivery::new(delivered))))
                }
                answer => callback(state, &messages, without_message(&answer, patience)),
            };
            ran.into_ran()
        };
        self.control.clone().ask(patience, Box::new(asker));
    }

    /// Ends it now. What has come and was not taken is given back to the server, which delivers it
    /// again, to whoever asks. Whoever waits for a message gets none.
    pub fn stop(&self) {
        self.control.clone().stop();
    }

    /// Asks for no more. What was asked for can still be taken, and then it ends.
    pub fn drain(&self) {
        self.control.clone().drain();
    }

    /// Whether nothing comes any more but what is here already.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.control.has_ended()
    }

    /// Runs for what happens while it goes on, as [`Consumption::on_event`](super::Consumption::on_event).
    pub fn on_event(&self, mut hook: impl RefHandler<S, Messages<S>, ConsumeEvent>) {
        self.control.set_on_event(Box::new(move |state: &mut State, control, event| {
            hook(lend(state), &Self::new(control), event).into_ran()
        }));
    }

    /// Runs once with how it has ended, when everything was taken. It replaces the callback that was
    /// set before. Nothing runs if it has ended already.
    pub fn on_end(&self, callback: impl Callback<S, Messages<S>, ConsumeEnd>) {
        self.control.clone().set_on_end(Box::new(|state: &mut State, control, end| {
            callback(lend(state), &Self::new(control), end).into_ran()
        }));
    }
}

/// What whoever has asked is told who gets no message.
fn without_message<'a, S: 'static>(
    answer: &Answer<'_, ConsumeEnd>,
    patience: Option<Duration>,
) -> Result<Option<&'a Delivery<'a, S>>, NextError> {
    match answer {
        Answer::Event(ConsumeEvent::Silent(silence)) => Err(NextError::Silent(silence.clone())),
        Answer::Ended(end) => end.failure().map_or(Ok(None), |error| Err(error.clone().into())),
        _ => Err(NextError::TimedOut(patience.unwrap_or_default())),
    }
}

timers_on!(Messages, |messages| messages.control.port().event_loop());

impl<S> Clone for Messages<S> {
    fn clone(&self) -> Self {
        Self { control: self.control.clone(), _state: PhantomData }
    }
}

impl<S> fmt::Debug for Messages<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("has_ended", &self.control.has_ended())
            .finish_non_exhaustive()
    }
}
