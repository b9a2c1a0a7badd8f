//! Listening to dead letters: two subscriptions to advisories, whose messages are read before they are
//! told.
//!
//! One dead letter is told at a time: what else is to be done has its turn before the callback runs,
//! which may panic or fail. The queue is never borrowed meanwhile.

use super::letter::{DeadLetter, Notice};
use super::options::DeadLetterOptions;
use super::queue::{Number, Queue};
use crate::callback::{Handler, Ran, State};
use crate::client::{Delivery, Port};
use crate::event_loop::TimerId;
use crate::jetstream::advisory::{Advisory, EVENTS};
use crate::jetstream::api::Api;
use crate::jetstream::consumer::Consumer;
use crate::jetstream::error::Error;
use crate::jetstream::manage::listing::{Feed, Listed, Listing, OnListed, Source, on_listed};
use crate::jetstream::manage::{MessageQuery, ReadFrom, StoredMessage};
use crate::jetstream::name::check_name;
use crate::jetstream::stream::Stream;
use evnats_protocol::{EndReason, Message, SubscriptionId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What is told of a message that is not delivered any more.
const KINDS: [&str; 2] = ["MAX_DELIVERIES", "MSG_TERMINATED"];

impl<S: 'static> Stream<S> {
    /// Listens to the dead letters of all consumers of the stream, as [`Consumer::dead_letters`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn dead_letters(
        &self,
        options: &DeadLetterOptions,
        callback: impl Handler<S, Listing<S>, Listed<DeadLetter>>,
    ) -> Listing<S> {
        let callback = on_listed(self.jetstream(), callback);
        let source = self.api().dead_letters(self.name(), None, options, callback);
        Listing::new(self.jetstream(), source)
    }
}

impl<S: 'static> Consumer<S> {
    /// Listens to the consumer's dead letters: messages that were delivered as often as `max_deliver`
    /// permits, and those that were terminated. Each is told with the message itself, which is read from
    /// the stream's leader, or with the reason why there is none. The callback runs for each of them, in
    /// the order in which the servers tell of them, until the listing is [stopped](Listing::stop), and
    /// once if it ends otherwise.
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// use evnats::jetstream::{DeadLetterOptions, Listed};
    ///
    /// let worker = js.stream("ORDERS").consumer("worker");
    /// worker.dead_letters(&DeadLetterOptions::new(), |_, _, listed| match listed {
    ///     Listed::Item(letter) => match &letter.message {
    ///         Ok(message) => println!("{:?}: {message:?}", letter.cause),
    ///         Err(error) => println!("{:?}: {:?}, and {error}", letter.cause, letter.delivery),
    ///     },
    ///     Listed::Ended(end) => eprintln!("nothing more is told: {end:?}"),
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// Servers may tell of a message more than once, as after a change of the consumer's leader. A server
    /// may notice that the deliveries of a message are used up when it would deliver it again, and not
    /// before: when somebody asks for messages.
    ///
    /// The subjects of the advisories are the same with another prefix of the API or a domain: an account
    /// that imports the API has to import them, too.
    ///
    /// They are told to whoever listens at that moment. What is given up while there is no connection is
    /// not told again, and nothing in the consumer's info counts it. Where acknowledged messages are
    /// removed, as by a work queue, what is still stored and has no sequence above
    /// [`ack_floor`](super::super::ConsumerInfo::ack_floor) was delivered as often as it may be.
    /// There may be more: a server that takes a refusal later than the acknowledgments of messages behind
    /// that one leaves the floor where it was until the next acknowledgment (server 2.15).
    ///
    /// # Errors
    /// The end has [`Error::SubscriptionDenied`] if the server does not permit one of the subscriptions;
    /// [`Error::Closed`] with the client, or when it drains; [`Error::InvalidName`] for a name that
    /// cannot be one; [`Error::Request`] if it could not be subscribed to. Those that were waiting are
    /// told before the end.
    pub fn dead_letters(
        &self,
        options: &DeadLetterOptions,
        callback: impl Handler<S, Listing<S>, Listed<DeadLetter>>,
    ) -> Listing<S> {
        let (js, stream) = (self.stream().jetstream(), self.stream().name());
        let callback = on_listed(js, callback);
        Listing::new(js, js.api().dead_letters(stream, Some(self.name()), options, callback))
    }
}

impl Api {
    fn dead_letters(
        &self,
        stream: &str,
        consumer: Option<&str>,
        options: &DeadLetterOptions,
        callback: OnListed<DeadLetter, ()>,
    ) -> Rc<dyn Source> {
        let listening = Listening(Rc::new(Shared {
            api: self.clone(),
            stream: stream.into(),
            consumer: consumer.map(Into::into),
            feed: Feed::new(callback),
            queue: RefCell::new(Queue::new(options)),
            subscriptions: RefCell::default(),
            timer: Cell::new(None),
            end: RefCell::new(None),
        }));
        if let Err(error) = listening.begin(options.queue_group.as_deref()) {
            listening.stop_listening(error);
            listening.go_on_after(Duration::ZERO);
        }
        listening.0
    }
}

/// A listener. Clones are the same.
#[derive(Clone)]
struct Listening(Rc<Shared>);

struct Shared {
    api: Api,
    stream: Box<str>,
    consumer: Option<Box<str>>,
    feed: Feed<DeadLetter, ()>,
    queue: RefCell<Queue>,
    subscriptions: RefCell<Vec<SubscriptionId>>,
    /// When there is something to be done of which nobody else tells.
    timer: Cell<Option<TimerId>>,
    /// Why nothing more will come. It is told when nothing waits any more.
    end: RefCell<Option<Error>>,
}

impl Source for Shared {
    fn stop(&self) {
        self.feed.close();
        self.queue.borrow_mut().clear();
        self.unsubscribe();
        self.cancel_timer();
    }

    fn is_active(&self) -> bool {
        self.feed.is_active()
    }
}

impl Shared {
    fn unsubscribe(&self) {
        for subscription in self.subscriptions.take() {
            self.api.port().unsubscribe(subscription);
        }
    }

    fn cancel_timer(&self) {
        if let Some(timer) = self.timer.take() {
            self.api.port().cancel_timer(timer);
        }
    }
}

impl Listening {
    fn begin(&self, queue_group: Option<&str>) -> Result<(), Error> {
        let Shared { stream, consumer, .. } = &*self.0;
        check_name(stream)?;
        consumer.as_deref().map_or(Ok(()), check_name)?;
        for kind in KINDS {
            let of = consumer.as_deref().unwrap_or("*");
            self.listen(&format!("{EVENTS}.ADVISORY.CONSUMER.{kind}.{stream}.{of}"), queue_group)?;
        }
        Ok(())
    }

    fn listen(&self, subject: &str, queue_group: Option<&str>) -> Result<(), Error> {
        let (listening, denied) = (self.clone(), subject.to_owned());
        let on_delivery =
            Box::new(move |state: &mut State, delivery: Delivery<'_>| match delivery {
                Delivery::Message(message) => listening.receive(state, message),
                Delivery::Ended(reason) => {
                    listening.stop_listening(match reason {
                        EndReason::Denied => Error::SubscriptionDenied { subject: denied.clone() },
                        _ => Error::Closed,
                    });
                    listening.go_on(state)
                }
            });
        let subscription = self.port().subscribe(subject, queue_group, on_delivery)?;
        self.0.subscriptions.borrow_mut().push(subscription);
        Ok(())
    }

    fn receive(&self, state: &mut State, message: &Message) -> Ran {
        let advisory = Advisory::read(&message.subject(), message.payload_to_bytes());
        let Shared { stream, consumer, queue, feed, .. } = &*self.0;
        let Some(notice) = Notice::of(advisory, stream, consumer.as_deref()) else {
            log::warn!("what came to {:?} tells of no dead letter", message.subject());
            return Ok(());
        };
        let without_room = queue.borrow_mut().handle_notice(notice);
        match without_room {
            Some(letter) => feed.item(state, self.0.clone(), letter),
            None => self.go_on(state),
        }
    }

    /// Nothing more will come, for the first reason that there is.
    fn stop_listening(&self, error: Error) {
        self.0.unsubscribe();
        self.0.end.borrow_mut().get_or_insert(error);
        self.0.queue.borrow_mut().handle_end(self.port().now());
    }

    /// Reads what is to be read, and tells the next one.
    fn go_on(&self, state: &mut State) -> Ran {
        if !self.0.feed.is_active() {
            return Ok(());
        }
        self.read();
        let letter = self.0.queue.borrow_mut().poll_letter();
        self.look_again();
        match letter {
            Some(letter) => self.0.feed.item(state, self.0.clone(), letter),
            None => self.end(state),
        }
    }

    fn read(&self) {
        let now = self.port().now();
        loop {
            let next = self.0.queue.borrow_mut().poll_read(now);
            let Some((number, sequence)) = next else { return };
            let (listening, query) = (self.clone(), MessageQuery::Sequence(sequence));
            let on_read = move |state: &mut State, outcome| listening.note(state, number, outcome);
            let on_read = Box::new(on_read);
            self.0.api.stored_message(&self.0.stream, query, ReadFrom::Leader, on_read);
        }
    }

    fn note(&self, state: &mut State, number: Number, read: Result<StoredMessage, Error>) -> Ran {
        self.0.queue.borrow_mut().handle_read(number, read, self.port().now());
        self.go_on(state)
    }

    /// Sees to it that it goes on when there is something to do.
    fn look_again(&self) {
        self.0.cancel_timer();
        let queue = self.0.queue.borrow();
        let has_ended = queue.is_empty() && self.0.end.borrow().is_some();
        if queue.is_front_done() || has_ended {
            return self.go_on_after(Duration::ZERO);
        }
        if let Some(wakeup) = queue.wakeup() {
            self.go_on_after(wakeup.saturating_duration_since(self.port().now()));
        }
    }

    fn go_on_after(&self, delay: Duration) {
        let listening = self.clone();
        let timer = self.port().set_timer(
            delay,
            Box::new(move |state| {
                listening.0.timer.take();
                listening.go_on(state)
            }),
        );
        self.0.timer.set(Some(timer));
    }

    /// Tells the end, if nothing waits any more.
    fn end(&self, state: &mut State) -> Ran {
        if !self.0.queue.borrow().is_empty() {
            return Ok(());
        }
        let Some(error) = self.0.end.take() else { return Ok(()) };
        self.0.cancel_timer();
        self.0.feed.end(state, self.0.clone(), Err(error))
    }

    fn port(&self) -> &Port {
        self.0.api.port()
    }
}
