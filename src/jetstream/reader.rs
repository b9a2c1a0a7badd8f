//! The driver of an ordered consumer: does what the state machine [`Ordered`] asks for, with
//! subscriptions, requests and one timer.
//!
//! The machine decides, this file carries out. Its state is never borrowed while a callback runs.

use super::JetStream;
use super::ack_subject::Delivery;
use super::api_error::ErrorCode;
use super::consumer_config::{ConsumerConfig, ConsumerInfo};
use super::error::Error;
use super::ordered::{Action, CreateError, Ordered, OrderedConfig, OrderedError, Status, Verdict};
use crate::client::{self, Client, OnDelivery};
use crate::event_loop::TimerId;
use crate::place::Place;
use evnats_protocol::{Message, RequestError, SubscriptionId};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// An ordered consumer that is being read. A handle; dropping it does not stop the reading.
pub(crate) struct Reader<S: 'static>(Rc<Shared<S>>);

struct Shared<S: 'static> {
    js: JetStream<S>,
    stream: String,
    several_filters: bool,
    state: RefCell<State<S>>,
}

struct State<S: 'static> {
    machine: Ordered,
    /// The inbox of the current incarnation.
    inbox: Option<(String, SubscriptionId)>,
    timer: Option<(TimerId, Instant)>,
    /// Empty for good once the reader has ended.
    callback: Place<OnEvent<S>>,
    ended: bool,
    /// Whether a consumer has ever been created: before, errors are the user's to know.
    opened: bool,
}

type OnEvent<S> = Box<dyn FnMut(&mut S, &Reader<S>, ReaderEvent<'_>)>;

/// What a reader tells its user.
pub(crate) enum ReaderEvent<'a> {
    /// The next message.
    Message(&'a Message, Delivery<'a>),
    /// A consumer was created, which has `initial` messages to deliver to be where the stream was
    /// then; `received` of them have come already. Comes again after every reset.
    Created { initial: u64, received: u64 },
    /// The consumer has nothing to deliver at the moment.
    Idle,
    /// The end, with its reason. Not sent for [`Reader::stop`].
    Failed(Error),
}

impl<S: 'static> Reader<S> {
    /// Begins to read. The callback runs for every event until the reader fails or is stopped.
    pub(crate) fn start(
        js: &JetStream<S>,
        config: OrderedConfig,
        callback: impl FnMut(&mut S, &Reader<S>, ReaderEvent<'_>) + 'static,
    ) -> Self {
        let stream = config.stream.clone();
        let several_filters = config.filter_subjects.len() > 1;
        let machine = Ordered::new(config, fastrand::u64(..));
        let callback: OnEvent<S> = Box::new(callback);
        let state = State {
            machine,
            inbox: None,
            timer: None,
            callback: Place::new(callback),
            ended: false,
            opened: false,
        };
        let shared = Shared { js: js.clone(), stream, several_filters, state: RefCell::new(state) };
        let reader = Self(Rc::new(shared));
        // from the loop, where the state is at hand for what may go wrong at once
        let starting = reader.clone();
        js.defer(move |state, _| starting.pump(state));
        reader
    }

    /// Ends the reading: the callback does not run again. The consumer is deleted.
    pub(crate) fn stop(&self) {
        let mut state = self.0.state.borrow_mut();
        if state.ended {
            return;
        }
        state.ended = true;
        state.machine.stop();
        let callback = state.callback.take();
        drop(state);
        self.carry_out_the_rest();
        self.release();
        drop(callback);
    }

    /// Whether the callback will not run again.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.state.borrow().ended
    }

    /// Does what the machine asks for, until it asks for nothing.
    fn pump(&self, user: &mut S) {
        loop {
            let action = self.0.state.borrow_mut().machine.poll_action();
            match action {
                None => break,
                Some(Action::Subscribe { incarnation }) => {
                    if let Err(error) = self.subscribe(incarnation) {
                        return self.fail(user, error);
                    }
                }
                Some(Action::Create { incarnation, config }) => self.create(incarnation, *config),
                Some(Action::Created { initial, received, .. }) => {
                    self.0.state.borrow_mut().opened = true;
                    self.emit(user, ReaderEvent::Created { initial, received });
                }
                Some(Action::Delete { name }) => self.delete(&name),
                Some(Action::Reply { subject }) => self.reply(&subject),
                Some(Action::Failed(error)) => return self.fail(user, error.into()),
            }
        }
        self.arm_timer();
    }

    /// What is left to do after the end: deletions. Nothing of it concerns the user.
    fn carry_out_the_rest(&self) {
        loop {
            let action = self.0.state.borrow_mut().machine.poll_action();
            match action {
                Some(Action::Delete { name }) => self.delete(&name),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn client(&self) -> &Client<S> {
        self.0.js.client()
    }

    fn subscribe(&self, incarnation: u64) -> Result<(), Error> {
        self.unsubscribe();
        let inbox = self.client().new_inbox();
        let reader = self.clone();
        let on_delivery: OnDelivery<S> = Box::new(move |user, _, delivery| match delivery {
            client::Delivery::Message(message) => reader.receive(user, incarnation, message),
            client::Delivery::Disconnected => {
                reader.0.state.borrow_mut().machine.handle_disconnected();
                reader.pump(user);
            }
            client::Delivery::Reconnected => {
                reader.0.state.borrow_mut().machine.handle_reconnected();
                reader.pump(user);
            }
            client::Delivery::Ended => reader.fail(user, Error::Closed),
        });
        let subscribed = self.client().subscribe_for(&inbox, None, on_delivery);
        let id = subscribed.map_err(|_| Error::Closed)?;
        self.0.state.borrow_mut().inbox = Some((inbox, id));
        Ok(())
    }

    fn unsubscribe(&self) {
        let inbox = self.0.state.borrow_mut().inbox.take();
        if let Some((_, id)) = inbox {
            // it may have ended with the connection
            let _ = self.client().unsubscribe(id);
        }
    }

    fn create(&self, incarnation: u64, config: ConsumerConfig) {
        let deliver_subject = self.0.state.borrow().inbox.as_ref().map(|(inbox, _)| inbox.clone());
        let config = ConsumerConfig { deliver_subject, ..config };
        let reader = self.clone();
        self.0.js.create_consumer(&self.0.stream, &config, move |user, _, result| {
            reader.created(user, incarnation, result);
        });
    }

    fn created(&self, user: &mut S, incarnation: u64, result: Result<ConsumerInfo, Error>) {
        let outcome = match &result {
            Ok(info) => Ok(info),
            Err(Error::Api(error)) => Err(CreateError::Api(error.clone())),
            Err(Error::NotAvailable) => Err(CreateError::NoResponders),
            Err(Error::Malformed(text)) => Err(CreateError::Malformed(text.clone())),
            Err(_) => Err(CreateError::Unanswered),
        };
        let mut state = self.0.state.borrow_mut();
        let ended = state.ended;
        state.machine.handle_created(incarnation, outcome, Instant::now());
        // later, a reader that was open waits for better times; a first attempt is a plain request,
        // but a lost connection is no answer to it: the next one asks again
        let first_error = result.err().filter(|error| !state.opened && !is_disconnect(error));
        drop(state);
        match first_error {
            _ if ended => self.carry_out_the_rest(),
            // a server before 2.10 saw none of several filters, and misses the one it needs
            Some(error) if self.0.several_filters && is_without_filter(&error) => {
                self.fail(user, OrderedError::FiltersUnsupported.into());
            }
            Some(error) => self.fail(user, error),
            None => self.pump(user),
        }
    }

    fn delete(&self, name: &str) {
        // best effort: a consumer that nobody listens to is removed by the server in time
        self.0.js.delete_consumer(&self.0.stream, name, |_, _, _| {});
    }

    fn reply(&self, subject: &[u8]) {
        let sent = match std::str::from_utf8(subject) {
            Ok(subject) => self.client().publish(subject, b""),
            Err(_) => Ok(()),
        };
        if let Err(error) = sent {
            // the server holds messages back then, and the missing heartbeats bring a new consumer
            log::warn!("flow control reply not sent: {error}");
        }
    }

    fn receive(&self, user: &mut S, incarnation: u64, message: &Message) {
        let now = self.client().handle().turn_time();
        if let Some(code) = message.control_status() {
            let resets = self.resets();
            let is_idle = self.receive_status(incarnation, message, code, now);
            self.pump(user);
            if is_idle && self.resets() == resets {
                self.emit(user, ReaderEvent::Idle);
            }
            return;
        }
        let reply = message.reply_bytes().unwrap_or_default();
        let verdict = self.0.state.borrow_mut().machine.handle_message(incarnation, reply, now);
        match verdict {
            Verdict::Deliver(delivery) => {
                self.emit(user, ReaderEvent::Message(message, delivery));
            }
            Verdict::Ignore => {}
            Verdict::Gap => {
                log::info!("messages of stream {} are missing, reading them again", self.0.stream);
                self.pump(user);
            }
        }
    }

    /// Says whether the status is the heartbeat of a consumer that has nothing to deliver.
    fn receive_status(&self, incarnation: u64, message: &Message, code: u16, now: Instant) -> bool {
        let headers = message.headers();
        let status = headers.status();
        let description = String::from_utf8_lossy(status.map_or(&[], |s| s.description));
        let stalled = headers.last("Nats-Consumer-Stalled");
        let status = Status {
            code,
            description: &description,
            last_consumer_sequence: headers.last_number("Nats-Last-Consumer"),
            stalled: stalled.as_ref().map(|subject| subject.as_bytes()),
            reply: message.reply_bytes(),
        };
        let mut state = self.0.state.borrow_mut();
        state.machine.handle_status(incarnation, &status, now);
        code == 100 && status.reply.is_none() && status.stalled.is_none()
    }

    fn resets(&self) -> u64 {
        self.0.state.borrow().machine.resets()
    }

    /// Runs the user's callback, which may stop the reader.
    fn emit(&self, user: &mut S, event: ReaderEvent<'_>) {
        let callback = self.0.state.borrow().callback.share();
        callback.run(|callback| callback(user, self, event));
        if self.is_stopped() {
            // it could not be dropped while it ran
            drop(callback.take());
        }
    }

    fn fail(&self, user: &mut S, error: Error) {
        let mut state = self.0.state.borrow_mut();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        state.machine.stop();
        let callback = state.callback.take();
        drop(state);
        self.carry_out_the_rest();
        self.release();
        if let Some(mut callback) = callback {
            callback(user, self, ReaderEvent::Failed(error));
        }
    }

    /// Lets go of the subscription and the timer.
    fn release(&self) {
        self.unsubscribe();
        let timer = self.0.state.borrow_mut().timer.take();
        if let Some((timer, _)) = timer {
            self.client().handle().cancel_timer(timer);
        }
    }

    /// Has the timer fire no later than the machine's deadline. Most messages move the deadline
    /// further away: then the timer stays, and asks again when it fires.
    fn arm_timer(&self) {
        let mut state = self.0.state.borrow_mut();
        let Some(deadline) = state.machine.next_deadline().filter(|_| !state.ended) else { return };
        if state.timer.is_some_and(|(_, armed)| armed <= deadline) {
            return;
        }
        let handle = self.client().handle();
        if let Some((timer, _)) = state.timer.take() {
            handle.cancel_timer(timer);
        }
        let reader = self.clone();
        let delay = deadline.saturating_duration_since(Instant::now());
        let timer = handle.set_timer(delay, move |user, _| {
            let mut state = reader.0.state.borrow_mut();
            state.timer = None;
            state.machine.handle_timeout(Instant::now());
            drop(state);
            reader.pump(user);
        });
        state.timer = Some((timer, deadline));
    }
}

fn is_disconnect(error: &Error) -> bool {
    matches!(error, Error::Request(RequestError::OutcomeUnknown | RequestError::NeverSent))
}

fn is_without_filter(error: &Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::DELIVER_POLICY_CONFLICT)
}

impl<S> Clone for Reader<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
