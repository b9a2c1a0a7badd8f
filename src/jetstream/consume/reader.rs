//! The driver of an ordered consumer: does what the state machine [`Ordered`] asks for, with
//! subscriptions, requests and one timer.
//!
//! The machine decides, this file carries out. Its state is never borrowed while a callback runs.
//!
//! The invariant: a reader has one consumer at any time, and none when it is over. What may be left of
//! the one before are [`Debts`]: the next one is made when it is known to be deleted, or two seconds
//! after that was asked for; and what is not answered is asked again, also after the reader's end, until
//! the server would have deleted it itself.

use super::debts::Debts;
use super::delivery_numbers::DeliveryNumbers;
use super::ordered::{Action, CreateError, Ordered, OrderedConfig, Status, Verdict};
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{Delivery, Observed, ObserverId, Port};
use crate::event_loop::{TimerId, after};
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::error::{Error, OrderedError};
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo, StreamInfo};
use crate::jetstream::stall::Stall;
use evnats_protocol::{Message, OutgoingMessage, RequestError, SubscriptionId};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// An ordered consumer that is being read. A handle; dropping it does not stop the reading.
#[derive(Clone)]
pub(crate) struct Reader(Rc<Shared>);

/// A reader, for what its callback holds: it is held by the client, for as long as it reads.
#[derive(Clone)]
pub(crate) struct WeakReader(Weak<Shared>);

impl WeakReader {
    pub(crate) fn upgrade(&self) -> Option<Reader> {
        self.0.upgrade().map(Reader)
    }
}

struct Shared {
    api: Api,
    stream: String,
    several_filters: bool,
    /// How long the server keeps a consumer that nobody listens to.
    inactive_threshold: Duration,
    progress: RefCell<Progress>,
}

/// What changes while a reader reads.
struct Progress {
    machine: Ordered,
    /// Consumers that were left, by the number of their deletion.
    debts: Debts,
    deletions: u64,
    /// There is a consumer, as the user was told.
    live: bool,
    /// The inbox of the current incarnation.
    inbox: Option<(String, SubscriptionId)>,
    timer: Option<(TimerId, Instant)>,
    observer: Option<ObserverId>,
    /// Empty for good once the reader has ended.
    callback: CallbackSlot<OnEvent>,
    ended: bool,
    /// The question about the stream was not answered.
    wants_stream: bool,
    /// Whether a consumer has ever been created: before, errors are the user's to know.
    opened: bool,
}

type OnEvent = Box<dyn FnMut(&mut State, &Reader, ReaderEvent<'_>) -> Ran>;

/// What a reader tells its user.
pub(crate) enum ReaderEvent<'a> {
    /// The next message.
    Message(&'a Message, DeliveryNumbers),
    /// A consumer was created, which has `initial` messages to deliver to be where the stream was
    /// then; `received` of them have come already. Comes again after every reset.
    Created { initial: u64, received: u64 },
    /// There is no consumer any more, for now.
    Lost,
    /// What is known of the stream, asked for before each consumer. `None`: the server does not
    /// permit the question.
    Stream(Option<&'a StreamInfo>),
    /// The consumer has nothing to deliver at the moment.
    Idle,
    /// Nothing comes at the moment, for this reason. The reader goes on trying.
    Stalled(Stall),
    /// What was reported with `Stalled` is over.
    Resumed,
    /// What [`Reader::again`] asked for.
    Again,
    /// The end, with its reason. Not sent for [`Reader::stop`].
    Failed(Error),
}

impl Reader {
    /// Begins to read. The callback runs for every event until the reader fails or is stopped.
    pub(crate) fn start(
        api: &Api,
        config: OrderedConfig,
        callback: impl FnMut(&mut State, &Reader, ReaderEvent<'_>) -> Ran + 'static,
    ) -> Self {
        let stream = config.stream.clone();
        let several_filters = config.filter_subjects.len() > 1;
        let inactive_threshold = config.inactive_threshold;
        let callback: OnEvent = Box::new(callback);
        let progress = Progress {
            machine: Ordered::new(config, api.port().random()),
            debts: Debts::default(),
            deletions: 0,
            live: false,
            inbox: None,
            timer: None,
            observer: None,
            callback: CallbackSlot::new(callback),
            ended: false,
            wants_stream: false,
            opened: false,
        };
        let progress = RefCell::new(progress);
        let api = api.clone();
        let shared = Shared { api, stream, several_filters, inactive_threshold, progress };
        let reader = Self(Rc::new(shared));
        reader.observe();
        // from the loop, where the state is at hand for what may go wrong at once
        let starting = reader.clone();
        reader.port().defer(move |state| starting.pump(state));
        reader
    }

    pub(crate) fn downgrade(&self) -> WeakReader {
        WeakReader(Rc::downgrade(&self.0))
    }

    /// Ends the reading: the callback does not run again. The consumer is deleted.
    pub(crate) fn stop(&self) {
        let mut progress = self.0.progress.borrow_mut();
        if progress.ended {
            return;
        }
        progress.ended = true;
        progress.machine.stop();
        let callback = progress.callback.take();
        drop(progress);
        self.leave_nothing_behind();
        drop(callback);
    }

    /// Runs the callback with [`ReaderEvent::Again`], unless the reader is stopped. Not to be called
    /// within it.
    pub(crate) fn again(&self, state: &mut State) -> Ran {
        match self.is_stopped() {
            true => Ok(()),
            false => self.emit(state, ReaderEvent::Again),
        }
    }

    /// Leaves the consumer for another one, which may be on another server.
    pub(crate) fn restart(&self) {
        let now = self.port().turn_time();
        self.0.progress.borrow_mut().machine.restart(now);
        let reader = self.clone();
        self.port().defer(move |state| reader.pump(state));
    }

    /// Whether the callback will not run again.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.progress.borrow().ended
    }

    /// Does what the machine asks for, until it asks for nothing. The user's callback comes last,
    /// because it may panic or return an error.
    fn pump(&self, state: &mut State) -> Ran {
        let (mut created, mut told) = (None, None);
        loop {
            self.pay_debts();
            let action = self.0.progress.borrow_mut().machine.poll_action();
            match action {
                None => break,
                Some(Action::Subscribe { incarnation }) => {
                    if let Err(error) = self.subscribe(incarnation) {
                        return self.fail(state, error);
                    }
                }
                Some(Action::Create { incarnation, config }) => self.create(incarnation, *config),
                Some(Action::Created { initial, received, .. }) => {
                    self.0.progress.borrow_mut().opened = true;
                    created = Some(ReaderEvent::Created { initial, received });
                }
                Some(Action::Delete { name }) => self.owe(name),
                Some(Action::Reply { subject }) => self.reply(&subject),
                Some(Action::Stalled(stall)) => {
                    log::warn!("stream {} cannot be read: {stall}", self.0.stream);
                    told = Some(ReaderEvent::Stalled(stall));
                }
                Some(Action::Resumed) => {
                    log::info!("stream {} can be read again", self.0.stream);
                    told = Some(ReaderEvent::Resumed);
                }
                Some(Action::Failed(error)) => return self.fail(state, error.into()),
            }
        }
        let mut progress = self.0.progress.borrow_mut();
        let is_live = progress.machine.is_running();
        let was_live = std::mem::replace(&mut progress.live, is_live);
        drop(progress);
        let lost = (was_live && !is_live).then_some(ReaderEvent::Lost);
        self.settle();
        self.arm_timer();
        let events = lost.into_iter().chain(created).chain(told);
        events.map(|event| self.emit(state, event)).fold(Ok(()), Ran::and)
    }

    /// What is left to do after the end: deletions. Nothing of it concerns the user.
    fn leave_nothing_behind(&self) {
        self.unsubscribe();
        let given_up = after(self.port().now(), self.0.inactive_threshold);
        self.0.progress.borrow_mut().debts.give_up_at(given_up);
        self.carry_out_the_rest();
    }

    fn carry_out_the_rest(&self) {
        loop {
            let action = self.0.progress.borrow_mut().machine.poll_action();
            match action {
                Some(Action::Delete { name }) => self.owe(name),
                Some(_) => {}
                None => break,
            }
        }
        self.pay_debts();
        self.settle();
        self.arm_timer();
    }

    fn port(&self) -> &Port {
        self.0.api.port()
    }

    fn observe(&self) {
        let reader = self.clone();
        let observer = self.port().observe(Box::new(move |state, observed| {
            let mut progress = reader.0.progress.borrow_mut();
            match observed {
                Observed::Writable | Observed::Connected | Observed::Denied(_) => return Ok(()),
                Observed::Disconnected => progress.machine.handle_disconnected(),
                Observed::Reconnected => {
                    progress.debts.handle_reconnected(reader.port().now());
                    progress.machine.handle_reconnected();
                }
                Observed::Ended => {
                    progress.debts.give_up_at(reader.port().now());
                    drop(progress);
                    reader.arm_timer();
                    // one that has no subscription yet would wait for a connection
                    return reader.fail(state, Error::Closed);
                }
            }
            drop(progress);
            reader.go_on(state)
        }));
        self.0.progress.borrow_mut().observer = Some(observer);
    }

    fn subscribe(&self, incarnation: u64) -> Result<(), Error> {
        self.unsubscribe();
        let inbox = self.port().new_inbox();
        let reader = self.clone();
        let on_delivery =
            Box::new(move |state: &mut State, delivery: Delivery<'_>| match delivery {
                Delivery::Message(message) => reader.receive(state, incarnation, message),
                Delivery::Ended(reason) => reader.fail(state, Error::from_inbox_end(*reason)),
            });
        let subscribed = self.port().subscribe(&inbox, None, on_delivery);
        let id = subscribed.map_err(|_| Error::Closed)?;
        self.0.progress.borrow_mut().inbox = Some((inbox, id));
        Ok(())
    }

    fn unsubscribe(&self) {
        let inbox = self.0.progress.borrow_mut().inbox.take();
        if let Some((_, id)) = inbox {
            self.port().unsubscribe(id);
        }
    }

    /// Asks for the stream before a consumer is made of it: it may have been created anew.
    fn ask_stream(&self) {
        let reader = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| {
            reader.receive_stream(state, info)
        };
        self.0.api.read(ApiRequest::stream_info(&self.0.stream), Box::new(on_info));
    }

    fn receive_stream(&self, state: &mut State, info: Result<StreamInfo, Error>) -> Ran {
        let mut progress = self.0.progress.borrow_mut();
        if progress.ended {
            return Ok(());
        }
        let info = match info {
            Ok(info) => {
                progress.machine.handle_stream(info.created);
                Some(info)
            }
            Err(error) if error.is_denied() => None,
            // if there is no stream, the consumer's creation tells
            Err(error) if !error.is_temporary() => return Ok(()),
            // asked again with the next that is heard of the consumer
            Err(_) => {
                progress.wants_stream = true;
                return Ok(());
            }
        };
        drop(progress);
        self.pump(state)?;
        match self.is_stopped() {
            true => Ok(()),
            false => self.emit(state, ReaderEvent::Stream(info.as_ref())),
        }
    }

    fn create(&self, incarnation: u64, config: ConsumerConfig) {
        self.ask_stream();
        let deliver_subject =
            self.0.progress.borrow().inbox.as_ref().map(|(inbox, _)| inbox.clone());
        let config = ConsumerConfig { deliver_subject, ..config };
        let reader = self.clone();
        let request = ApiRequest::create_consumer(&self.0.stream, &config);
        let created = move |state: &mut State, result| reader.created(state, incarnation, result);
        self.0.api.call(request, Box::new(created));
    }

    fn created(
        &self,
        state: &mut State,
        incarnation: u64,
        result: Result<ConsumerInfo, Error>,
    ) -> Ran {
        let outcome = match &result {
            Ok(info) => Ok(info),
            Err(Error::Api(error) | Error::NotEnabled(error)) => {
                Err(CreateError::Api(error.clone()))
            }
            Err(Error::NotAvailable) => Err(CreateError::NoResponders),
            Err(error) if error.is_denied() => Err(CreateError::Denied),
            Err(Error::Malformed(text)) => Err(CreateError::Malformed(text.clone())),
            Err(_) => Err(CreateError::Unanswered),
        };
        let now = self.port().turn_time();
        let mut progress = self.0.progress.borrow_mut();
        let ended = progress.ended;
        progress.machine.handle_created(incarnation, outcome, now);
        // later, a reader that was open waits for better times; a first attempt is a plain request,
        // but a lost connection is no answer to it: the next one asks again
        let first_error = result.err().filter(|error| !progress.opened && !is_disconnect(error));
        drop(progress);
        match first_error {
            _ if ended => {
                self.carry_out_the_rest();
                Ok(())
            }
            // a server before 2.10 saw none of several filters, and misses the one it needs
            Some(error) if self.0.several_filters && is_without_filter(&error) => {
                self.fail(state, OrderedError::FiltersUnsupported.into())
            }
            Some(error) => self.fail(state, error),
            None => self.pump(state),
        }
    }

    /// A consumer is to be deleted. One whose deletion is lost in an outage would live for as long as
    /// its server lets consumers live that nobody listens to.
    fn owe(&self, name: String) {
        let now = self.port().now();
        let mut progress = self.0.progress.borrow_mut();
        progress.deletions += 1;
        let number = progress.deletions;
        progress.debts.add(number, name, now);
    }

    /// Asks for the deletions that are due, and has the next consumer wait for them.
    fn pay_debts(&self) {
        let now = self.port().now();
        while let Some((number, name)) = self.next_deletion(now) {
            let reader = self.clone();
            let request = ApiRequest::delete_consumer(&self.0.stream, &name);
            let deleted = move |state: &mut State, deleted: Result<(), Error>| {
                let now = reader.port().now();
                let mut progress = reader.0.progress.borrow_mut();
                progress.debts.handle_deleted(number, deleted.as_ref().copied(), now);
                drop(progress);
                reader.go_on(state)
            };
            self.0.api.read::<()>(request, Box::new(deleted));
        }
        let mut progress = self.0.progress.borrow_mut();
        let is_waited_for = progress.debts.is_waited_for(now);
        progress.machine.hold_creation(is_waited_for);
    }

    fn next_deletion(&self, now: Instant) -> Option<(u64, String)> {
        let is_connected = self.port().is_connected();
        let mut progress = self.0.progress.borrow_mut();
        is_connected.then(|| progress.debts.poll(now)).flatten()
    }

    /// Does what there is to do, before the end and after it.
    fn go_on(&self, state: &mut State) -> Ran {
        match self.is_stopped() {
            true => {
                self.carry_out_the_rest();
                Ok(())
            }
            false => self.pump(state),
        }
    }

    fn reply(&self, subject: &[u8]) {
        let sent = match std::str::from_utf8(subject) {
            Ok(subject) => self.port().publish(OutgoingMessage::new(subject, b"")),
            Err(_) => Ok(()),
        };
        if let Err(error) = sent {
            // the server holds messages back then, and the missing heartbeats bring a new consumer
            log::warn!("flow control reply not sent: {error}");
        }
    }

    fn receive(&self, state: &mut State, incarnation: u64, message: &Message) -> Ran {
        let now = self.port().turn_time();
        if std::mem::take(&mut self.0.progress.borrow_mut().wants_stream) {
            self.ask_stream();
        }
        if let Some(code) = message.control_status() {
            let resets = self.resets();
            let is_idle = self.receive_status(incarnation, message, code, now);
            let pumped = self.pump(state);
            return match is_idle && self.resets() == resets {
                true => pumped.and(self.emit(state, ReaderEvent::Idle)),
                false => pumped,
            };
        }
        let reply = message.reply_bytes().unwrap_or_default();
        let mut progress = self.0.progress.borrow_mut();
        let verdict = progress.machine.handle_message(incarnation, reply, now);
        let is_deferred = verdict != Verdict::Gap && progress.machine.has_actions();
        drop(progress);
        if is_deferred {
            // in a turn of its own: its callback may panic, and the message is not to be lost
            let reader = self.clone();
            self.port().defer(move |state| reader.pump(state));
        }
        match verdict {
            Verdict::Deliver(delivery) => self.emit(state, ReaderEvent::Message(message, delivery)),
            Verdict::Ignore => Ok(()),
            Verdict::Gap => {
                log::info!("messages of stream {} are missing, reading them again", self.0.stream);
                self.pump(state)
            }
        }
    }

    /// Returns whether the status is the heartbeat of a consumer that has nothing to deliver.
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
        self.0.progress.borrow_mut().machine.handle_status(incarnation, &status, now);
        code == 100 && status.reply.is_none() && status.stalled.is_none()
    }

    fn resets(&self) -> u64 {
        self.0.progress.borrow().machine.resets()
    }

    /// Runs the user's callback, which may stop the reader.
    fn emit(&self, state: &mut State, event: ReaderEvent<'_>) -> Ran {
        let callback = self.0.progress.borrow().callback.share();
        callback.run_while(|| !self.is_stopped(), |callback| callback(state, self, event))
    }

    fn fail(&self, state: &mut State, error: Error) -> Ran {
        let mut progress = self.0.progress.borrow_mut();
        if std::mem::replace(&mut progress.ended, true) {
            return Ok(());
        }
        let creating = progress.machine.name_of_unanswered();
        progress.machine.stop();
        let callback = progress.callback.take();
        drop(progress);
        if error == Error::InboxDenied
            && let Some(name) = creating
        {
            // what the request for it brought is not heard, as the inbox of replies is not permitted
            self.owe(name);
        }
        self.leave_nothing_behind();
        callback.map_or(Ok(()), |mut callback| callback(state, self, ReaderEvent::Failed(error)))
    }

    /// Ends the timer and the observation, if the reader is over and nothing is left to do.
    fn settle(&self) {
        let mut progress = self.0.progress.borrow_mut();
        if !(progress.ended && progress.machine.is_finished() && progress.debts.is_empty()) {
            return;
        }
        let (timer, observer) = (progress.timer.take(), progress.observer.take());
        drop(progress);
        if let Some((timer, _)) = timer {
            self.port().cancel_timer(timer);
        }
        if let Some(observer) = observer {
            self.port().stop_observing(observer);
        }
    }

    /// Has the timer fire no later than the machine's deadline. Most messages move the deadline
    /// further away: then the timer stays, and asks again when it fires.
    fn arm_timer(&self) {
        let mut progress = self.0.progress.borrow_mut();
        let now = self.port().now();
        let debts = &progress.debts;
        let patience = debts.patience_deadline(now).filter(|_| progress.machine.is_held());
        let deletion = debts.next_deadline().filter(|_| self.port().is_connected());
        let own = progress.machine.next_deadline();
        let deadlines = [own, patience, deletion, debts.end_deadline()];
        let Some(deadline) = deadlines.into_iter().flatten().min() else { return };
        if progress.timer.is_some_and(|(_, armed)| armed <= deadline) {
            return;
        }
        if let Some((timer, _)) = progress.timer.take() {
            self.port().cancel_timer(timer);
        }
        let reader = self.clone();
        let delay = deadline.saturating_duration_since(now);
        let on_time = move |state: &mut State| {
            let now = reader.port().turn_time();
            let mut progress = reader.0.progress.borrow_mut();
            progress.timer = None;
            progress.debts.handle_timeout(now);
            progress.machine.handle_timeout(now);
            drop(progress);
            reader.go_on(state)
        };
        progress.timer = Some((self.port().set_deadline(delay, Box::new(on_time)), deadline));
    }
}

fn is_disconnect(error: &Error) -> bool {
    matches!(error, Error::Request(RequestError::OutcomeUnknown | RequestError::NeverSent))
}

fn is_without_filter(error: &Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::DELIVER_POLICY_CONFLICT)
}
