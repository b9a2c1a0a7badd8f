//! A consumption: messages come to a callback, one after the other, without end.

use super::closures::DeliveryHandler;
use super::delivery::{Delivered, Delivery};
use super::driver::{Answers, Control, Driver, OnDelivery, Program, Target};
use super::machine::Machine;
use super::outcome::{ConsumeEnd, ConsumeEvent};
use super::pull::{ConsumeOptions, Pull};
use crate::callback::{Callback, CallbackSlot, Outcome, Ran, RefHandler, State, lend};
use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::api::Api;
use crate::jetstream::consumer::Consumer;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// A consumption under way. A cheap handle; clones are the same one, and dropping them does not stop it.
///
/// It goes on whatever happens to the connection and the servers, until it is [stopped](Self::stop) or
/// [drained](Self::drain), has delivered as many messages as it was to
/// ([`stop_after`](ConsumeOptions::stop_after)), or the consumer is gone. What happens meanwhile that a
/// program may want to know comes to [`on_event`](Self::on_event), how it ends to
/// [`on_end`](Self::on_end).
pub struct Consumption<S: 'static = ()> {
    control: Rc<dyn Control>,
    _state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Consumer<S> {
    /// Reads the consumer without end: the callback runs for each message, in the order in which they
    /// come. It answers them with the delivery's methods, unless the consumer wants no answers or
    /// [`auto_ack`](ConsumeOptions::auto_ack) is set.
    ///
    /// The consumer need not exist yet, but has to when the first request comes to the server. Several
    /// consumptions of one consumer share its messages.
    ///
    /// An error that the callback returns leaves [`run`](crate::EventLoop::run), as from every callback;
    /// the consumption goes on with the next message when the loop runs again.
    ///
    /// # Errors
    /// What is wrong with the options or names, and what ends the consumption, is told to
    /// [`on_end`](Consumption::on_end), never from within this call.
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<u64>::new()?;
    /// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// use evnats::jetstream::{ConsumeOptions, ConsumerConfig};
    ///
    /// let config = ConsumerConfig::new("worker").durable_name("worker");
    /// js.stream("ORDERS").create_or_update_consumer(&config, |_, _, worker| {
    ///     let orders = worker?.consume(ConsumeOptions::new(), |done: &mut u64, orders, order| {
    ///         println!("{}: {}", order.subject(), order.text());
    ///         order.ack()?;
    ///         *done += 1;
    ///         if *done == 1_000 {
    ///             orders.drain();
    ///         }
    ///         Ok(())
    ///     });
    ///     orders.on_event(|_, _, event| println!("{event:?}"));
    ///     orders.on_end(|done, orders, end| {
    ///         println!("{done} done: {end:?}");
    ///         orders.client().drain();
    ///     });
    ///     Ok(())
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn consume(
        &self,
        options: ConsumeOptions,
        callback: impl DeliveryHandler<S, Consumption<S>>,
    ) -> Consumption<S> {
        Consumption::new(begin(self.api(), self.target(), options, each(callback)))
    }
}

/// A consumption of the layers above, with the type of the state erased.
pub(crate) struct Consuming(Rc<dyn Control>);

impl Consuming {
    /// Reads a consumer as [`Consumer::consume`] does.
    pub(crate) fn start(
        api: &Api,
        stream: &str,
        consumer: &str,
        options: ConsumeOptions,
        on_delivery: impl FnMut(&mut State, &Delivered<'_>) -> Ran + 'static,
    ) -> Self {
        let target = Target::new(api, stream, consumer);
        Self(begin(api, target, options, Program::taking(on_delivery)))
    }

    /// Ends it now, as [`Consumption::stop`].
    pub(crate) fn stop(&self) {
        self.0.clone().stop();
    }

    pub(crate) fn set_on_event(
        &self,
        mut hook: impl FnMut(&mut State, &ConsumeEvent) -> Ran + 'static,
    ) {
        self.0.set_on_event(Box::new(move |state, _, event| hook(state, event)));
    }

    pub(crate) fn set_on_end(
        &self,
        callback: impl FnOnce(&mut State, ConsumeEnd) -> Ran + 'static,
    ) {
        self.0.clone().set_on_end(Box::new(|state, _, end| callback(state, end)));
    }
}

/// Begins to read a consumer, as the options say.
pub(super) fn begin(
    api: &Api,
    target: Target,
    options: ConsumeOptions,
    program: Program<Pull>,
) -> Rc<dyn Control> {
    let (checked, answers) = (options.check(), Answers::of(&options));
    let machine = Pull::new(options, api.port().random(), api.port().now());
    let driver = Driver::new(api, target, machine, answers, program);
    driver.start(checked.map_err(Into::into));
    driver
}

/// Has a program take every message.
pub(super) fn each<S: 'static, M: Machine<End = ConsumeEnd>>(
    mut callback: impl DeliveryHandler<S, Consumption<S>>,
) -> Program<M> {
    let on_delivery: OnDelivery<M> = Box::new(move |state, driver, delivered| {
        let consumption = Consumption::new(driver.clone());
        callback(lend(state), &consumption, &Delivery::new(delivered)).into_ran()
    });
    Program::Each(CallbackSlot::new(on_delivery))
}

impl Answers {
    pub(super) fn of(options: &ConsumeOptions) -> Self {
        Self {
            acknowledge: options.auto_ack,
            hand_back_after_error: options.auto_ack && options.nak_on_error,
            in_progress_every: options.in_progress_every,
        }
    }
}

impl<S: 'static> Consumer<S> {
    pub(super) fn target(&self) -> Target {
        Target::new(self.api(), self.stream().name(), self.name())
    }
}

impl<S: 'static> Consumption<S> {
    pub(super) fn new(control: Rc<dyn Control>) -> Self {
        Self { control, _state: PhantomData }
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.control.port().clone())
    }

    /// Ends it now: the callback does not run again. What has come and was not handed to it is given
    /// back to the server, which delivers it again, to whoever asks (server 2.9 the first of it only when
    /// `ack_wait` is over, if nobody is asking at the moment).
    pub fn stop(&self) {
        self.control.clone().stop();
    }

    /// Asks for no more, and ends when everything was handed over that the server had been asked for,
    /// which may take as long as the last request waits ([`expires`](ConsumeOptions::expires)). If it is
    /// paused, it is resumed.
    pub fn drain(&self) {
        self.control.clone().drain();
    }

    /// Hands nothing over until [`resume`](Self::resume), and asks for no more. What was asked for still
    /// comes, and waits here; the time that the consumer gives for answers goes on for it. A consumer
    /// that would be removed for inactivity is kept.
    pub fn pause(&self) {
        self.control.clone().pause();
    }

    /// Goes on after [`pause`](Self::pause), with what waits first.
    pub fn resume(&self) {
        self.control.clone().resume();
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.control.is_paused()
    }

    /// Whether nothing comes any more but what is here already.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.control.has_ended()
    }

    /// Runs for what happens while it goes on. It replaces the hook that was set before.
    pub fn on_event(&self, mut hook: impl RefHandler<S, Consumption<S>, ConsumeEvent>) {
        self.control.set_on_event(Box::new(move |state: &mut State, control, event| {
            hook(lend(state), &Self::new(control), event).into_ran()
        }));
    }

    /// Runs once, after the last message, with how it has ended. It replaces the callback that was set
    /// before, and never runs from within this call. Nothing runs if it has ended already.
    ///
    /// Without one, an error that ends the consumption leaves [`run`](crate::EventLoop::run), except that
    /// the client is over.
    pub fn on_end(&self, callback: impl Callback<S, Consumption<S>, ConsumeEnd>) {
        self.control.clone().set_on_end(Box::new(|state: &mut State, control, end| {
            callback(lend(state), &Self::new(control), end).into_ran()
        }));
    }
}

timers_on!(Consumption, |consumption| consumption.control.port().event_loop());

impl<S> Clone for Consumption<S> {
    fn clone(&self) -> Self {
        Self { control: self.control.clone(), _state: PhantomData }
    }
}

impl<S> fmt::Debug for Consumption<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumption")
            .field("is_paused", &self.control.is_paused())
            .field("has_ended", &self.control.has_ended())
            .finish_non_exhaustive()
    }
}
