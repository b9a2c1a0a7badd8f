//! A window without the type of the user's state: what it takes, and how it counts what becomes of
//! it.
//!
//! Every message that was taken is in exactly one place until its outcome is reported: it waits for an
//! answer (in the client's requests), for its time to be sent again ([`Resend`]), for the level of the
//! server, or for a diagnosis. In each of them it counts as outstanding.
//!
//! What every message passes is in here; what few do, or only the window as a whole, is in the files
//! beside it.

use super::options::WindowOptions;
use super::progress::Progress;
use super::report::{PublishFailure, Stalled, WindowReport};
use super::resend::Resend;
use super::retry::Attempts;
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{Awaiting, ObserverId, Port, Reply, Spares};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::publish::observer::observe;
use crate::jetstream::publish::one::publish_error;
use crate::jetstream::publish::pub_ack::PubAck;
use bytes::Bytes;
use evnats_protocol::{HeaderMap, OutgoingMessage, Payload};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub(crate) type OnDone = Box<dyn FnOnce(&mut State, &Rc<Window>, Result<PubAck, Error>) -> Ran>;
pub(crate) type OnFinished = Box<dyn FnOnce(&mut State, &Rc<Window>, WindowReport) -> Ran>;
pub(crate) type Hook<T> = CallbackSlot<Box<dyn FnMut(&mut State, &Rc<Window>, &T) -> Ran>>;

pub(crate) struct Window {
    api: Api,
    options: WindowOptions,
    timeout: Duration,
    pub(super) progress: RefCell<Progress>,
    sent: Spares<Sent>,
    pub(super) resend: RefCell<Resend<Kept>>,
    /// The subject that the API is being asked about, and the messages that wait for what it says.
    pub(super) diagnosing: RefCell<Option<Diagnosing>>,
    pub(super) finishing: RefCell<Vec<OnFinished>>,
    pub(crate) hooks: Hooks,
    observer: Cell<Option<ObserverId>>,
    /// The client is over.
    pub(super) has_ended: Cell<bool>,
}

/// A message whose outcome is still to be reported.
pub(super) struct Pending {
    pub(super) number: u64,
    pub(super) subject: Rc<str>,
    pub(super) done: Done,
}

/// A message that is sent once and waits for an answer, or none.
#[derive(Default)]
struct Sent {
    message: Option<(Rc<Window>, Pending)>,
}

/// Who is told of it.
pub(crate) enum Done {
    Call(OnDone),
    /// The report, and if it is a failure, the hook.
    Quiet,
}

/// A message that may be sent more than once.
pub(super) struct Kept {
    pub(super) pending: Pending,
    pub(super) content: Rc<Content>,
    pub(super) attempts: Attempts,
}

pub(super) struct Content {
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
}

type Diagnosing = (Rc<str>, Vec<(Pending, Error)>);

/// The user's hooks of a window as a whole.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) ready: Hook<()>,
    pub(super) all_acknowledged: Hook<WindowReport>,
    pub(super) stalled: Hook<Stalled>,
    pub(in crate::jetstream::publish) failed: Hook<PublishFailure>,
}

impl Window {
    pub(crate) fn new(api: &Api, options: WindowOptions) -> Rc<Self> {
        let window = Rc::new(Self {
            api: api.clone(),
            timeout: options.timeout.unwrap_or(api.timeout()),
            options,
            progress: RefCell::new(Progress::new()),
            sent: Spares::default(),
            resend: RefCell::default(),
            diagnosing: RefCell::default(),
            finishing: RefCell::default(),
            hooks: Hooks::default(),
            observer: Cell::default(),
            has_ended: Cell::default(),
        });
        window.observer.set(Some(observe(window.port(), &window)));
        window
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    pub(super) fn options(&self) -> &WindowOptions {
        &self.options
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn outstanding(&self) -> usize {
        self.progress.borrow().outstanding
    }

    pub(in crate::jetstream::publish) fn report(&self) -> WindowReport {
        self.progress.borrow().report.clone()
    }

    pub(super) fn port(&self) -> &Port {
        self.api.port()
    }

    /// Publishes a message once, if there is room for it. Returns its number.
    #[inline]
    pub(crate) fn publish(
        self: &Rc<Self>,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Payload<'_>,
        done: Done,
    ) -> Result<u64, Error> {
        let pending = self.admit(subject, &payload, done)?;
        let number = pending.number;
        self.send(message(subject, headers, payload), self.timeout, pending);
        Ok(number)
    }

    /// Takes a message, if there is room for it.
    #[inline]
    pub(super) fn admit(
        self: &Rc<Self>,
        subject: &str,
        payload: &Payload<'_>,
        done: Done,
    ) -> Result<Pending, Error> {
        let mut progress = self.progress.borrow_mut();
        let has_room = progress.outstanding < self.options.max_outstanding.max(1);
        if !has_room || !self.port().has_room(payload.len()) {
            drop(progress);
            return Err(self.refuse(subject, payload));
        }
        progress.outstanding += 1;
        progress.report.published += 1;
        let number = progress.report.published;
        Ok(Pending { number, subject: progress.share(subject), done })
    }

    #[cold]
    fn refuse(self: &Rc<Self>, subject: &str, payload: &Payload<'_>) -> Error {
        let mut progress = self.progress.borrow_mut();
        progress.wants_room = true;
        let (subject, outstanding) = (progress.share(subject), progress.outstanding);
        drop(progress);
        self.watch_for_a_stall(subject);
        Error::WindowFull { payload: payload.clone().given_back(), outstanding }
    }

    /// Publishes a message that is sent once.
    #[inline]
    pub(super) fn send(
        self: &Rc<Self>,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        pending: Pending,
    ) {
        let mut sent = self.sent.take().unwrap_or_default();
        sent.message = Some((self.clone(), pending));
        self.port().request_for(message, timeout, sent);
    }

    /// Counts a message that was stored before this window has begun.
    pub(in crate::jetstream::publish) fn count_as_stored(&self, sequence: u64) {
        let mut progress = self.progress.borrow_mut();
        progress.report.published += 1;
        progress.report.record(sequence, false);
    }

    #[inline]
    pub(super) fn complete(self: &Rc<Self>, state: &mut State, done: Done, ack: PubAck) -> Ran {
        self.record(ack.sequence, ack.duplicate);
        match done {
            Done::Call(callback) => callback(state, self, Ok(ack)),
            Done::Quiet => Ok(()),
        }
    }

    #[inline]
    pub(super) fn read(&self, reply: Reply<'_>) -> Result<PubAck, Error> {
        self.api.read_ack(reply.map_err(publish_error)?.payload())
    }

    #[inline]
    fn record(self: &Rc<Self>, sequence: u64, is_duplicate: bool) {
        let mut progress = self.progress.borrow_mut();
        progress.report.record(sequence, is_duplicate);
        progress.outstanding -= 1;
        let is_due = self.is_notice_due(&progress);
        drop(progress);
        if is_due {
            self.notify_soon();
        }
    }

    /// Somebody waits for room or for the end, and it is there.
    #[inline]
    pub(super) fn is_notice_due(&self, progress: &Progress) -> bool {
        let has_room = progress.wants_room && self.is_half_empty(progress);
        let is_over = progress.outstanding == 0
            && (!self.finishing.borrow().is_empty()
                || !self.hooks.all_acknowledged.is_empty()
                || self.has_ended.get());
        has_room || is_over
    }

    pub(super) fn is_half_empty(&self, progress: &Progress) -> bool {
        progress.outstanding <= self.options.max_outstanding / 2
    }
}

impl Awaiting for Sent {
    #[inline]
    fn hear(mut self: Box<Self>, state: &mut State, _: &Port, reply: Reply<'_>) -> Ran {
        // one that is spare was not sent, and hears of nothing
        let Some((window, pending)) = self.message.take() else { return Ok(()) };
        window.sent.put_back(self);
        if let (Done::Quiet, Ok(reply)) = (&pending.done, &reply)
            && let Some(sequence) = window.api.scan_ack(reply.payload())
        {
            window.record(sequence, false);
            return Ok(());
        }
        match window.read(reply) {
            Ok(ack) => window.complete(state, pending.done, ack),
            Err(error) => window.fail(state, pending, error),
        }
    }
}

/// A message that may have headers.
#[inline]
pub(in crate::jetstream::publish) fn message<'a>(
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

impl Drop for Window {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            self.port().stop_observing(observer);
        }
        let timer = self.progress.borrow_mut().stall_timer.take();
        if let Some((timer, _)) = timer {
            self.port().cancel_timer(timer);
        }
    }
}
