//! One request for messages, and for one message.

use super::closures::{DeliveryCallback, DeliveryHandler};
use super::delivery::{Acker, Delivered, Delivery};
use super::driver::{Answers, Driver, Program, Target};
use super::pins::Pins;
use super::pull::{Fetch, FetchEnd, FetchError, FetchOptions};
use crate::callback::{Callback, Outcome, Ran, State, answer, lend};
use crate::jetstream::consumer::Consumer;
use crate::jetstream::error::Error;
use std::cell::Cell;
use std::rc::Rc;

pub(super) type OnMessage = Box<dyn FnMut(&mut State, &Delivered<'_>) -> Ran>;
pub(super) type OnEnd = Box<dyn FnOnce(&mut State, Result<FetchEnd, Error>) -> Ran>;

impl<S: 'static> Consumer<S> {
    /// Asks once for messages: the first callback runs for each one, and after the last one the second
    /// callback with how it has ended. Neither runs from within this call.
    ///
    /// It ends when as much has come as was asked for, when the time is over
    /// ([`expires`](FetchOptions::expires)), or when there is no more and it was not to wait
    /// ([`no_wait`](FetchOptions::no_wait)). Without a connection it waits for one, for that time.
    ///
    /// # Errors
    /// The second callback is given [`Error::InvalidRead`], [`Error::InvalidName`],
    /// [`Error::Unsupported`], [`Error::Consumer`] if the consumer can give no messages,
    /// [`Error::Fetch`], and [`Error::Closed`]. What had come until then was delivered.
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// use evnats::jetstream::FetchOptions;
    ///
    /// let worker = js.stream("ORDERS").consumer("worker");
    /// worker.fetch(
    ///     FetchOptions::messages(10).no_wait(true),
    ///     |_, _, order| {
    ///         println!("{}", order.text());
    ///         Ok(order.ack()?)
    ///     },
    ///     |_, worker, end| {
    ///         println!("{:?}", end?);
    ///         worker.client().drain();
    ///         Ok(())
    ///     },
    /// );
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn fetch(
        &self,
        options: FetchOptions,
        on_delivery: impl DeliveryHandler<S, Consumer<S>>,
        on_end: impl Callback<S, Consumer<S>, Result<FetchEnd, Error>>,
    ) {
        let on_message = on_each(self, on_delivery);
        self.fetch_from(self.target(), options, on_message, answer(self, on_end));
    }

    /// Asks for one message: a [`fetch`](Self::fetch) of one, whatever the options say of how many. The
    /// callback runs exactly once, with the message, or with `None` if none has come in time.
    ///
    /// # Errors
    /// The callback is given those of [`fetch`](Self::fetch).
    pub fn next(
        &self,
        options: FetchOptions,
        callback: impl DeliveryCallback<S, Consumer<S>, Error>,
    ) {
        self.next_from(self.target(), options, callback);
    }

    fn next_from(
        &self,
        target: Target,
        options: FetchOptions,
        callback: impl DeliveryCallback<S, Consumer<S>, Error>,
    ) {
        let (on_message, on_end) = on_one(self, callback);
        self.fetch_from(target, options.max_messages(1), on_message, on_end);
    }

    /// Fetches as the client with the pin that it was given.
    fn fetch_from(
        &self,
        target: Target,
        options: FetchOptions,
        mut on_message: OnMessage,
        on_end: OnEnd,
    ) {
        let (checked, group) = (options.check(), options.group.clone());
        let pin = group.as_deref().and_then(|group| self.pins().of(group));
        let machine = Fetch::new(options, pin.as_deref(), self.api().port().now());
        let pins = Grouped::new(self.pins(), group);
        let noting = pins.clone();
        let program = Program::taking(move |state, delivered| {
            noting.note(delivered);
            on_message(state, delivered)
        });
        let driver = Driver::new(self.api(), target, machine, Answers::default(), program);
        driver.set_on_end(Box::new(move |state, _, end| {
            pins.note_end(&end);
            on_end(state, end)
        }));
        driver.start(checked.map_err(Into::into));
    }
}

/// Has a program take each message of a fetch, which it has asked for with this handle.
pub(super) fn on_each<S: 'static, H: Clone + 'static>(
    handle: &H,
    mut on_delivery: impl DeliveryHandler<S, H>,
) -> OnMessage {
    let handle = handle.clone();
    Box::new(move |state, delivered| {
        on_delivery(lend(state), &handle, &Delivery::new(delivered)).into_ran()
    })
}

/// Has a program take the one message of a fetch, or be told that there is none.
pub(super) fn on_one<S: 'static, H: Clone + 'static>(
    handle: &H,
    callback: impl DeliveryCallback<S, H, Error>,
) -> (OnMessage, OnEnd) {
    let (handle, ending) = (handle.clone(), handle.clone());
    let callback = Rc::new(Cell::new(Some(callback)));
    let waiting = callback.clone();
    let on_message = move |state: &mut State, delivered: &Delivered<'_>| match callback.take() {
        Some(callback) => {
            let delivery = Delivery::new(delivered);
            callback(lend(state), &handle, Ok(Some(&delivery))).into_ran()
        }
        None => Ok(()),
    };
    let on_end = move |state: &mut State, end: Result<FetchEnd, Error>| match waiting.take() {
        Some(callback) => callback(lend(state), &ending, end.map(|_| None)).into_ran(),
        None => Ok(()),
    };
    (Box::new(on_message), Box::new(on_end))
}

/// The pins of a handle, if the fetch is for a priority group.
#[derive(Clone)]
struct Grouped(Option<(Rc<Pins>, String)>);

impl Grouped {
    fn new(pins: &Rc<Pins>, group: Option<String>) -> Self {
        Self(group.map(|group| (pins.clone(), group)))
    }

    fn note(&self, delivered: &Delivered<'_>) {
        if let Some((pins, group)) = &self.0
            && let Some(pin) = delivered.message().headers().last("Nats-Pin-Id")
        {
            pins.note(group, &pin);
        }
    }

    fn note_end(&self, end: &Result<FetchEnd, Error>) {
        if let (Some((pins, group)), Err(Error::Fetch(FetchError::Unpinned))) = (&self.0, end) {
            pins.forget(group);
        }
    }
}

/// What goes with an answer.
macro_rules! answers_that_ask {
    ($($type:ty),+) => {
        $(impl<S: 'static> $type {
            /// Acknowledges the message and asks the consumer for the next one, in one message to the
            /// server. The callback runs as that of [`Consumer::next`].
            ///
            /// # Errors
            /// The callback is given those of [`Consumer::next`], [`Error::AlreadyAnswered`] and
            /// [`Error::NotAckable`].
            pub fn ack_and_next(
                &self,
                consumer: &Consumer<S>,
                options: FetchOptions,
                callback: impl DeliveryCallback<S, Consumer<S>, Error>,
            ) {
                match self.take_subject() {
                    Ok(subject) => {
                        let target = consumer.target().acknowledging(&subject);
                        consumer.next_from(target, options, callback);
                    }
                    Err(error) => {
                        let consumer = consumer.clone();
                        consumer.api().port().clone().defer(move |state| {
                            callback(lend(state), &consumer, Err(error)).into_ran()
                        });
                    }
                }
            }
        })+
    };
}

answers_that_ask!(Delivery<'_, S>, Acker<S>);
