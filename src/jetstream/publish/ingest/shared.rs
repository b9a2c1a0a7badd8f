//! An ingest without the type of the user's state: how it is decided which way the messages go, and what
//! becomes of them.
//!
//! On a server that has fast ingest they go as one batch ([`Machine`]), on an older one, or to a stream
//! that does not allow it, through a window. The first message is kept until it is known which.

use super::batch::{Batch, Operation, ends_with};
use super::flow::{Flow, Word};
use super::machine::{Due, Machine};
use super::options::IngestOptions;
use super::progress::{First, Progress, Way};
use super::report::{IngestGap, IngestRefusal, IngestReport};
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{Delivery, Observed, ObserverId, Port};
use crate::jetstream::api::Api;
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::envelope::ResponseError;
use crate::jetstream::error::Error;
use crate::jetstream::joined::JoinedText;
use crate::jetstream::level::Requirement;
use crate::jetstream::publish::observer::{Observer, observe};
use crate::jetstream::publish::pub_ack::PubAck;
use crate::jetstream::publish::window::{Done, Pending, Window, WindowOptions, WindowReport};
use bytes::Bytes;
use evnats_protocol::{CommandError, HeaderMap, Message, OutgoingMessage, Payload};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// The first API level that has it.
const LEVEL: u32 = 4;
/// The longest pause between two looks at the time.
const TICK: Duration = Duration::from_secs(1);

pub(super) type OnFinished =
    Box<dyn FnOnce(&mut State, &Rc<Ingest>, Result<IngestReport, Error>) -> Ran>;
pub(super) type Hook<T> = CallbackSlot<Box<dyn FnMut(&mut State, &Rc<Ingest>, &T) -> Ran>>;

pub(super) struct Ingest {
    api: Api,
    options: IngestOptions,
    progress: RefCell<Progress>,
    /// Who is to hear of the end.
    finishing: RefCell<Option<OnFinished>>,
    pub(super) hooks: Hooks,
    observer: Cell<Option<ObserverId>>,
}

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) ready: Hook<()>,
    pub(super) gap: Hook<IngestGap>,
    pub(super) refused: Hook<IngestRefusal>,
    pub(super) ended: Hook<Error>,
}

impl Ingest {
    pub(super) fn new(api: &Api, options: IngestOptions) -> Rc<Self> {
        let ingest = Rc::new(Self {
            api: api.clone(),
            options,
            progress: RefCell::new(Progress::new()),
            finishing: RefCell::default(),
            hooks: Hooks::default(),
            observer: Cell::default(),
        });
        ingest.observer.set(Some(observe(ingest.port(), &ingest)));
        let deciding = ingest.clone();
        api.with_level(move |told| deciding.decide(told));
        ingest
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    pub(super) fn report(&self) -> IngestReport {
        self.progress.borrow().report()
    }

    fn port(&self) -> &Port {
        self.api.port()
    }

    fn is_finishing(&self) -> bool {
        self.finishing.borrow().is_some()
    }

    fn timeout(&self) -> Duration {
        self.options.timeout.unwrap_or(self.api.timeout())
    }

    // ---- which way ------------------------------------------------------------------------------

    fn decide(self: &Rc<Self>, told: Result<Option<u32>, Error>) {
        self.progress.borrow_mut().level = told.as_ref().ok().copied().flatten();
        match told {
            Ok(level) if level.is_none_or(|level| level >= LEVEL) => self.begin_batch(),
            Ok(_) => self.begin_window(),
            Err(error) => return self.fail(error),
        }
        self.notify_soon();
    }

    fn begin_batch(self: &Rc<Self>) {
        let inbox = self.port().new_inbox();
        let mode = if self.options.continue_on_gap { "ok" } else { "fail" };
        let replies = JoinedText::new(format!("{inbox}.{}.{mode}.", self.options.flow.max(1)));
        let ingest = self.clone();
        let on_delivery = move |state: &mut State, delivery: Delivery<'_>| match delivery {
            Delivery::Message(message) => ingest.receive(state, message),
            Delivery::Ended(reason) => {
                ingest.fail(Error::from_inbox_end(reason));
                Ok(())
            }
        };
        let subscribed = self.port().subscribe(&format!("{inbox}.>"), None, Box::new(on_delivery));
        match subscribed {
            Ok(subscription) => {
                let max_windows = u64::from(self.options.max_outstanding_acks);
                let machine = Machine::new(max_windows, self.timeout(), self.port().now());
                let mut progress = self.progress.borrow_mut();
                progress.report.is_fast = true;
                progress.way = Way::Fast(Batch { machine, replies, subscription });
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn begin_window(self: &Rc<Self>) {
        let options = WindowOptions::new()
            .max_outstanding(self.options.max_outstanding)
            .timeout(self.timeout());
        let window = Window::new(&self.api, options);
        // they hold it until the end, as the subscription of a batch does
        let (ready, failed) = (self.clone(), self.clone());
        window.hooks.ready.replace(Box::new(move |_, _, ()| {
            ready.notify_soon();
            Ok(())
        }));
        window.hooks.failed.replace(Box::new(move |state, _, failure| {
            failed.refuse(state, failure.number, failure.error.clone())
        }));
        let mut progress = self.progress.borrow_mut();
        progress.report.is_fast = false;
        progress.way = Way::Window(window);
    }

    /// The server has fast ingest, or may have it, and the stream has not. The first message goes the
    /// other way then, unless an old server has stored it already.
    fn fall_back(self: &Rc<Self>, stored: Option<PubAck>) {
        self.leave_batch();
        self.begin_window();
        let mut progress = self.progress.borrow_mut();
        let first = progress.first.take();
        let Way::Window(window) = &progress.way else { return };
        let window = window.clone();
        match stored {
            Some(ack) => window.count_as_stored(ack.sequence),
            None => {
                if let Some(First { subject, headers, payload }) = first {
                    let headers = headers.as_ref();
                    drop(progress);
                    // an empty window has room for one message, and the connection's buffer may have none
                    if let Err(error) = add_to_window(&window, &subject, headers, payload.into()) {
                        self.fail(error);
                    }
                }
            }
        }
    }

    // ---- what comes in --------------------------------------------------------------------------

    /// Checks what the server is known to lack.
    pub(super) fn check(&self, requirement: Requirement) -> Result<(), Error> {
        requirement.check_told(Ok(self.progress.borrow().level))
    }

    pub(super) fn add(
        self: &Rc<Self>,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Payload<'_>,
    ) -> Result<u64, Error> {
        let mut progress = self.progress.borrow_mut();
        let is_finishing = self.is_finishing();
        let result = match &mut progress.way {
            Way::Over => return Err(progress.ended(None)),
            _ if is_finishing => return Err(progress.ended(None)),
            Way::Undecided => Err(full(payload, 0)),
            Way::Window(window) => add_to_window(window, subject, headers, payload),
            Way::Fast(batch) if batch.machine.may_send() => {
                return self.add_to_batch(&mut progress, subject, headers, payload);
            }
            Way::Fast(batch) => Err(full(payload, batch.machine.outstanding())),
        };
        progress.wants_room |= result.is_err();
        if result.is_ok() {
            progress.report.published += 1;
        }
        result
    }

    fn add_to_batch(
        self: &Rc<Self>,
        progress: &mut Progress,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Payload<'_>,
    ) -> Result<u64, Error> {
        let Way::Fast(batch) = &mut progress.way else { return Err(progress.ended(None)) };
        let is_first = !batch.machine.is_started();
        let first = is_first.then(|| First {
            subject: subject.to_owned(),
            headers: headers.cloned(),
            payload: Bytes::copy_from_slice(&payload),
        });
        let message = message(subject, headers, payload);
        let operation = if is_first { Operation::Start } else { Operation::Append };
        let number = batch.machine.sent() + 1;
        match batch.publish(self.port(), message, number, operation) {
            Ok(()) => {}
            Err(CommandError::BufferFull { payload, .. }) => {
                progress.wants_room = true;
                let outstanding = batch.machine.outstanding();
                return Err(Error::WindowFull { payload, outstanding });
            }
            Err(error) => return Err(error.into()),
        }
        batch.machine.send(self.port().turn_time());
        if is_first {
            progress.first = first;
            progress.home = subject.to_owned();
        }
        if progress.subject != subject {
            subject.clone_into(&mut progress.subject);
        }
        progress.report.published += 1;
        self.tick_later(progress);
        Ok(number)
    }

    /// Ends the ingest when everything is stored, and calls back.
    pub(super) fn finish(self: &Rc<Self>, callback: OnFinished) {
        let progress = self.progress.borrow();
        if matches!(progress.way, Way::Over) || self.is_finishing() {
            let ended = progress.ended(None);
            drop(progress);
            let ingest = self.clone();
            return self.port().defer(move |state| callback(state, &ingest, Err(ended)));
        }
        drop(progress);
        self.finishing.replace(Some(callback));
        self.notify_soon();
    }

    // ---- what the server says -------------------------------------------------------------------

    fn receive(self: &Rc<Self>, state: &mut State, message: &Message) -> Ran {
        if message.headers().status().is_some_and(|status| status.code == 503) {
            return self.receive_no_responders(message);
        }
        match Word::read(message.payload()) {
            Word::Flow(flow) => {
                let is_answer = ends_with(&message.subject(), Operation::Ping);
                self.receive_flow(state, flow, is_answer)
            }
            Word::End(outcome) => {
                self.receive_end(outcome);
                Ok(())
            }
        }
    }

    /// Nobody has taken a message. The first one has no stream; a later one will be missed by the
    /// server. Whoever asked will ask again.
    fn receive_no_responders(self: &Rc<Self>, message: &Message) -> Ran {
        let progress = self.progress.borrow();
        let Way::Fast(batch) = &progress.way else { return Ok(()) };
        let subject = message.headers().last("Nats-Subject");
        let subject = subject.map_or_else(|| progress.subject.clone(), |told| told.into_owned());
        if !batch.machine.is_taken() {
            drop(progress);
            self.fail(Error::NoStream { subject });
            return Ok(());
        }
        let is_message = ends_with(&message.subject(), Operation::Append);
        drop(progress);
        if is_message {
            self.progress.borrow_mut().refusal = Some(Error::NoStream { subject });
        }
        Ok(())
    }

    fn receive_flow(self: &Rc<Self>, state: &mut State, flow: Flow, is_answer: bool) -> Ran {
        let mut progress = self.progress.borrow_mut();
        let now = self.port().turn_time();
        let Way::Fast(batch) = &mut progress.way else { return Ok(()) };
        batch.machine.handle(&flow, is_answer, now);
        progress.first = None;
        match flow {
            Flow::Ack { .. } => {
                drop(progress);
                self.notify_soon();
                Ok(())
            }
            Flow::Gap { last_seq: from, seq: to } => {
                let lost = if to > from { to - from } else { 1 };
                progress.report.lost = progress.report.lost.saturating_add(lost);
                drop(progress);
                self.hooks.gap.run(|hook| hook(state, self, &IngestGap { from, to }))
            }
            Flow::Err { seq, error } => {
                drop(progress);
                self.refuse(state, seq, Error::Api(error))
            }
        }
    }

    fn receive_end(self: &Rc<Self>, outcome: Result<PubAck, ResponseError>) {
        let mut progress = self.progress.borrow_mut();
        let is_undecided = progress.first.is_some();
        match outcome {
            Ok(ack) if ack.batch_size.is_none() && is_undecided => {
                drop(progress);
                self.fall_back(Some(ack));
                self.notify_soon();
            }
            Err(ResponseError::Api(error))
                if error.err_code() == ErrorCode::BATCH_PUBLISH_DISABLED && is_undecided =>
            {
                drop(progress);
                self.fall_back(None);
                self.notify_soon();
            }
            Ok(ack) => {
                let count = ack.batch_size.unwrap_or_default().min(progress.report.published);
                let is_whole = self.is_finishing() && count >= progress.report.published;
                progress.report.last_sequence = ack.sequence;
                progress.report.stream = Some(ack.stream);
                progress.report.stored = match self.options.continue_on_gap {
                    true => count.saturating_sub(progress.report.missing()),
                    // it counts up to the first one that is missing or refused
                    false => count,
                };
                let refusal = progress.refusal.take();
                let outcome = match is_whole {
                    true => Ok(progress.report.clone()),
                    false => Err(progress.ended(refusal)),
                };
                drop(progress);
                self.end(outcome);
            }
            Err(error) => {
                drop(progress);
                self.fail(error.into());
            }
        }
    }

    /// A message is not stored.
    fn refuse(self: &Rc<Self>, state: &mut State, number: u64, error: Error) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.report.refused += 1;
        progress.refusal = Some(error.clone());
        let ends = !self.options.continue_on_gap && matches!(progress.way, Way::Window(_));
        drop(progress);
        if ends {
            // a fast ingest is ended by the server
            self.fail(error.clone());
        }
        self.hooks.refused.run(|hook| hook(state, self, &IngestRefusal { number, error }))
    }

    // ---- what others hear of, and when --------------------------------------------------------------

    fn notify_soon(self: &Rc<Self>) {
        if !std::mem::replace(&mut self.progress.borrow_mut().has_notice, true) {
            let ingest = self.clone();
            self.port().defer(move |state| ingest.notify(state));
        }
    }

    /// Commits if that is wanted and possible, and says that there is room.
    fn notify(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.has_notice = false;
        if self.is_finishing() {
            drop(progress);
            self.try_to_finish();
            return Ok(());
        }
        let has_room = progress.wants_room
            && match &progress.way {
                Way::Fast(batch) => batch.machine.is_ready() && self.port().has_room(0),
                Way::Window(_) => true,
                Way::Undecided | Way::Over => false,
            };
        progress.wants_room &= !has_room;
        drop(progress);
        match has_room {
            true => self.hooks.ready.run(|hook| hook(state, self, &())),
            false => Ok(()),
        }
    }

    fn try_to_finish(self: &Rc<Self>) {
        let mut progress = self.progress.borrow_mut();
        if let Way::Window(window) = &progress.way {
            let (window, ingest) = (window.clone(), self.clone());
            drop(progress);
            return window.finish(Box::new(move |_, _, report| {
                ingest.finish_window(&report);
                Ok(())
            }));
        }
        let Progress { way: Way::Fast(batch), home, .. } = &mut *progress else { return };
        if !batch.machine.is_started() {
            let report = progress.report.clone();
            drop(progress);
            return self.end(Ok(report));
        }
        if batch.machine.may_commit() {
            let end = OutgoingMessage::new(home, "");
            let number = batch.machine.sent() + 1;
            match batch.publish(self.port(), end, number, Operation::CommitEnd) {
                Ok(()) => drop(batch.machine.commit(self.port().turn_time())),
                // an observer hears of room
                Err(error) if error.is_temporary() => {}
                Err(error) => {
                    drop(progress);
                    self.fail(error.into());
                }
            }
        }
    }

    fn finish_window(self: &Rc<Self>, window: &WindowReport) {
        let mut progress = self.progress.borrow_mut();
        progress.report.stored = window.stored;
        progress.report.last_sequence = window.last_sequence;
        let is_whole = window.is_complete() || self.options.continue_on_gap;
        let outcome = match is_whole {
            true => Ok(progress.report.clone()),
            false => Err(progress.ended(window.first_error.clone())),
        };
        drop(progress);
        self.end(outcome);
    }

    fn tick_later(self: &Rc<Self>, progress: &mut Progress) {
        if progress.timer.is_some() {
            return;
        }
        let Way::Fast(batch) = &progress.way else { return };
        let Some(deadline) = batch.machine.next_deadline() else { return };
        let delay = deadline.saturating_duration_since(self.port().now()).min(TICK);
        let ingest = Rc::downgrade(self);
        let on_due = move |_: &mut State| {
            if let Some(ingest) = ingest.upgrade() {
                ingest.progress.borrow_mut().timer = None;
                ingest.tick();
            }
            Ok(())
        };
        progress.timer = Some(self.port().set_timer(delay, Box::new(on_due)));
    }

    fn tick(self: &Rc<Self>) {
        let mut progress = self.progress.borrow_mut();
        let Progress { way: Way::Fast(batch), home, .. } = &mut *progress else { return };
        match batch.machine.handle_timeout(self.port().now()) {
            Some(Due::Ask(number)) => {
                let question = OutgoingMessage::new(home, "");
                // what does not fit into the buffer is asked the next time
                let _ = batch.publish(self.port(), question, number, Operation::Ping);
            }
            Some(Due::GiveUp) => {
                let timeout = Error::Request(evnats_protocol::RequestError::Timeout);
                drop(progress);
                return self.fail(timeout);
            }
            None => {}
        }
        self.tick_later(&mut progress);
    }

    /// The ingest is over before all is stored, for this reason.
    fn fail(self: &Rc<Self>, cause: Error) {
        let ended = self.progress.borrow().ended(Some(cause));
        self.end(Err(ended));
    }

    /// The ingest is over, however it was. Tells the one who finishes it, or the hook.
    fn end(self: &Rc<Self>, outcome: Result<IngestReport, Error>) {
        if matches!(self.progress.borrow().way, Way::Over) {
            return;
        }
        self.leave_batch();
        let way = std::mem::replace(&mut self.progress.borrow_mut().way, Way::Over);
        if let Way::Window(window) = &way {
            window.hooks.ready.take();
            window.hooks.failed.take();
        }
        let finishing = self.finishing.take();
        let ingest = self.clone();
        self.port().defer(move |state| {
            let told = match (finishing, outcome) {
                (Some(callback), outcome) => callback(state, &ingest, outcome),
                (None, Err(error)) => ingest.hooks.ended.run(|hook| hook(state, &ingest, &error)),
                (None, Ok(_)) => Ok(()),
            };
            ingest.release();
            told
        });
    }

    fn leave_batch(&self) {
        let mut progress = self.progress.borrow_mut();
        let timer = progress.timer.take();
        progress.report = progress.report();
        if let Way::Fast(batch) = &progress.way {
            let subscription = batch.subscription;
            progress.way = Way::Undecided;
            drop(progress);
            self.port().unsubscribe(subscription);
        }
        if let Some(timer) = timer {
            self.port().cancel_timer(timer);
        }
    }
}

impl Observer for Ingest {
    fn observe(self: Rc<Self>, observed: Observed) {
        match observed {
            Observed::Disconnected => {}
            Observed::Writable => self.notify_soon(),
            Observed::Reconnected => {
                if let Way::Fast(batch) = &mut self.progress.borrow_mut().way {
                    batch.machine.handle_reconnected(self.port().now());
                }
                self.tick();
                self.notify_soon();
            }
            Observed::Ended => {
                self.fail(Error::Closed);
            }
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.progress.borrow().way, Way::Over)
    }

    fn release(&self) {
        let way = std::mem::replace(&mut self.progress.borrow_mut().way, Way::Over);
        if let Way::Window(window) = &way {
            window.release();
        }
        let hooks = &self.hooks;
        drop((hooks.ready.take(), hooks.gap.take(), hooks.refused.take(), hooks.ended.take()));
        drop(self.finishing.take());
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            self.port().stop_observing(observer);
        }
    }
}

fn add_to_window(
    window: &Rc<Window>,
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: Payload<'_>,
) -> Result<u64, Error> {
    let (number, shared) = window.admit(subject, &payload)?;
    let message = message(subject, headers, payload);
    let pending = Pending { number, subject: shared, done: Done::Quiet };
    window.send(message, window.timeout(), pending);
    Ok(number)
}

fn full(payload: Payload<'_>, outstanding: usize) -> Error {
    Error::WindowFull { payload: payload.given_back(), outstanding }
}

fn message<'a>(
    subject: &'a str,
    headers: Option<&'a HeaderMap>,
    payload: Payload<'a>,
) -> OutgoingMessage<'a> {
    let message = OutgoingMessage::new(subject, payload);
    match headers {
        Some(headers) => message.headers(headers),
        None => message,
    }
}
