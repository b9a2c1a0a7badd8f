//! A window without the type of the user's state: what comes in, what goes out, and what becomes of it.
//!
//! Every message that was taken is in exactly one place until its outcome is reported: it waits for an
//! answer (in the client's requests), for its time to be sent again ([`Resend`]), for the level of the
//! server, or for a diagnosis. In each of them it counts as outstanding. What others are to hear of, room
//! and the end, they hear in a turn of its own, so that a callback which fails costs them nothing.

use super::options::WindowOptions;
use super::progress::Progress;
use super::report::{PublishFailure, WindowReport};
use super::resend::Resend;
use super::retry::{Attempts, Verdict};
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{Observed, ObserverId, Port, Reply};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use crate::jetstream::publish::diagnosis::Unanswered;
use crate::jetstream::publish::observer::{Observer, observe};
use crate::jetstream::publish::one::publish_error;
use crate::jetstream::publish::pub_ack::PubAck;
use bytes::Bytes;
use evnats_protocol::{HeaderMap, OutgoingMessage, Payload};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub(in crate::jetstream::publish) type OnDone =
    Box<dyn FnOnce(&mut State, &Rc<Window>, Result<PubAck, Error>) -> Ran>;
pub(in crate::jetstream::publish) type OnFinished =
    Box<dyn FnOnce(&mut State, &Rc<Window>, WindowReport) -> Ran>;
pub(in crate::jetstream::publish) type Hook<T> =
    CallbackSlot<Box<dyn FnMut(&mut State, &Rc<Window>, &T) -> Ran>>;

/// How many messages are sent again at once …
const RESEND_BURST: usize = 100;
/// … and the pause after that.
const RESEND_PAUSE: Duration = Duration::from_millis(5);

/// A full window without any acknowledgement; see
/// [`PublishWindow::on_stalled`](super::PublishWindow::on_stalled).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stalled {
    /// How many messages are without an acknowledgement.
    pub outstanding: usize,
    /// Why, as far as can be known: of the subject that was refused last.
    pub reason: Unanswered,
}

pub(in crate::jetstream::publish) struct Window {
    api: Api,
    options: WindowOptions,
    timeout: Duration,
    progress: RefCell<Progress>,
    resend: RefCell<Resend<Kept>>,
    /// The subject that the API is being asked about, and the messages that wait for what it says.
    diagnosing: RefCell<Option<Diagnosing>>,
    finishing: RefCell<Vec<OnFinished>>,
    pub(in crate::jetstream::publish) hooks: Hooks,
    observer: Cell<Option<ObserverId>>,
    /// The client is over.
    has_ended: Cell<bool>,
}

/// A message whose outcome is still to be reported.
pub(in crate::jetstream::publish) struct Pending {
    pub(in crate::jetstream::publish) number: u64,
    pub(in crate::jetstream::publish) subject: Rc<str>,
    pub(in crate::jetstream::publish) done: Done,
}

/// Who is told of it.
pub(in crate::jetstream::publish) enum Done {
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
pub(in crate::jetstream::publish) struct Hooks {
    pub(in crate::jetstream::publish) ready: Hook<()>,
    pub(super) all_acknowledged: Hook<WindowReport>,
    pub(super) stalled: Hook<Stalled>,
    pub(in crate::jetstream::publish) failed: Hook<PublishFailure>,
}

impl Window {
    pub(in crate::jetstream::publish) fn new(api: &Api, options: WindowOptions) -> Rc<Self> {
        let window = Rc::new(Self {
            api: api.clone(),
            timeout: options.timeout.unwrap_or(api.timeout()),
            options,
            progress: RefCell::new(Progress::new()),
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

    pub(in crate::jetstream::publish) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn outstanding(&self) -> usize {
        self.progress.borrow().outstanding
    }

    pub(in crate::jetstream::publish) fn report(&self) -> WindowReport {
        self.progress.borrow().report.clone()
    }

    fn port(&self) -> &Port {
        self.api.port()
    }

    // ---- what comes in --------------------------------------------------------------------------

    /// Takes a message, if there is room for it. Returns its number, and its subject to keep.
    #[inline]
    pub(in crate::jetstream::publish) fn admit(
        self: &Rc<Self>,
        subject: &str,
        payload: &Payload<'_>,
    ) -> Result<(u64, Rc<str>), Error> {
        let mut progress = self.progress.borrow_mut();
        let has_room = progress.outstanding < self.options.max_outstanding.max(1);
        if !has_room || !self.port().has_room(payload.len()) {
            drop(progress);
            return Err(self.refuse(subject, payload));
        }
        progress.outstanding += 1;
        progress.report.published += 1;
        Ok((progress.report.published, progress.share(subject)))
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
    pub(in crate::jetstream::publish) fn send(
        self: &Rc<Self>,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        pending: Pending,
    ) {
        let window = self.clone();
        self.port().request(message, timeout, move |state, _, reply| {
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
        });
    }

    /// Publishes a message that is kept, and sent once the server is known to have what it needs.
    pub(super) fn send_kept(self: &Rc<Self>, kept: Kept, requirement: Option<Requirement>) {
        let Some(requirement) = requirement else { return self.attempt(kept) };
        let window = self.clone();
        self.api.with_level(move |told| match requirement.check_told(told) {
            Ok(()) => window.attempt(kept),
            Err(error) => window.fail_later(kept.pending, error),
        });
    }

    /// Reports a message that is not sent at all.
    pub(super) fn fail_later(self: &Rc<Self>, pending: Pending, error: Error) {
        let window = self.clone();
        self.port().defer(move |state| window.fail(state, pending, error));
    }

    /// Counts a message that was stored before this window has begun.
    pub(in crate::jetstream::publish) fn count_as_stored(&self, sequence: u64) {
        let mut progress = self.progress.borrow_mut();
        progress.report.published += 1;
        progress.report.record(sequence, false);
    }

    /// Calls back when nothing is outstanding.
    pub(in crate::jetstream::publish) fn finish(self: &Rc<Self>, callback: OnFinished) {
        self.finishing.borrow_mut().push(callback);
        self.notify_soon();
    }

    // ---- what becomes of it ---------------------------------------------------------------------

    #[inline]
    fn complete(self: &Rc<Self>, state: &mut State, done: Done, ack: PubAck) -> Ran {
        self.record(ack.sequence, ack.duplicate);
        match done {
            Done::Call(callback) => callback(state, self, Ok(ack)),
            Done::Quiet => Ok(()),
        }
    }

    #[inline]
    fn read(&self, reply: Reply<'_>) -> Result<PubAck, Error> {
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
    fn is_notice_due(&self, progress: &Progress) -> bool {
        let has_room = progress.wants_room && self.is_half_empty(progress);
        let is_over = progress.outstanding == 0
            && (!self.finishing.borrow().is_empty()
                || !self.hooks.all_acknowledged.is_empty()
                || self.has_ended.get());
        has_room || is_over
    }

    fn is_half_empty(&self, progress: &Progress) -> bool {
        progress.outstanding <= self.options.max_outstanding / 2
    }

    /// Sends a message that is kept, or waits for the room to.
    fn attempt(self: &Rc<Self>, kept: Kept) {
        let (window, content, subject) =
            (self.clone(), kept.content.clone(), kept.pending.subject.clone());
        let message = OutgoingMessage::new(&subject, content.payload.clone());
        let message = message.headers(&content.headers);
        self.port().request(message, content.timeout, move |state, _, reply| {
            match window.read(reply) {
                Ok(ack) => window.complete(state, kept.pending.done, ack),
                Err(error) => window.try_again(state, kept, error),
            }
        });
    }

    fn try_again(self: &Rc<Self>, state: &mut State, mut kept: Kept, error: Error) -> Ran {
        match kept.attempts.judge(error, &self.options, self.port().now()) {
            Verdict::Failed(error) => self.fail(state, kept.pending, error),
            Verdict::Again(at) => {
                self.resend.borrow_mut().insert(at, kept.pending.number, kept);
                self.plan_resend();
                Ok(())
            }
        }
    }

    /// Sets the timer for the first message that is to be sent again.
    fn plan_resend(self: &Rc<Self>) {
        let mut resend = self.resend.borrow_mut();
        let next = resend.next();
        if resend.timer.map(|(_, at)| at) == next {
            return;
        }
        if let Some((timer, _)) = resend.timer.take() {
            self.port().cancel_timer(timer);
        }
        let Some(at) = next else { return };
        let window = self.clone();
        let delay = at.saturating_duration_since(self.port().now());
        let on_due = move |_: &mut State| {
            window.resend.borrow_mut().timer = None;
            window.resend_due();
            Ok(())
        };
        resend.timer = Some((self.port().set_timer(delay, Box::new(on_due)), at));
    }

    /// Sends what is due, a part of it at a time: what has refused it may be overloaded.
    fn resend_due(self: &Rc<Self>) {
        let now = self.port().now();
        for _ in 0..RESEND_BURST {
            let kept = self.resend.borrow_mut().pop_due(now);
            let Some(kept) = kept else { break };
            self.progress.borrow_mut().report.resent += 1;
            self.attempt(kept);
        }
        self.resend.borrow_mut().pause_until(now + RESEND_PAUSE);
        self.plan_resend();
    }

    /// A message has failed for good. Why nobody has answered is asked first, of one subject at a time.
    fn fail(self: &Rc<Self>, state: &mut State, pending: Pending, error: Error) -> Ran {
        if !Unanswered::may_explain(&error) {
            return self.conclude(state, pending, error);
        }
        let mut diagnosing = self.diagnosing.borrow_mut();
        match &mut *diagnosing {
            Some((subject, waiting)) if *subject == pending.subject => {
                waiting.push((pending, error));
                return Ok(());
            }
            Some(_) => {
                drop(diagnosing);
                return self.conclude(state, pending, error);
            }
            None => {}
        }
        let subject = pending.subject.clone();
        *diagnosing = Some((subject.clone(), vec![(pending, error)]));
        drop(diagnosing);
        let window = self.clone();
        self.api.ask_why_unanswered(&subject, move |_, unanswered| {
            let diagnosed = window.diagnosing.borrow_mut().take();
            for (pending, error) in diagnosed.into_iter().flat_map(|(_, waiting)| waiting) {
                let error = unanswered.clone().explain(error, &pending.subject);
                let window = window.clone();
                let port = window.port().clone();
                port.defer(move |state| window.conclude(state, pending, error));
            }
            Ok(())
        });
        Ok(())
    }

    fn conclude(self: &Rc<Self>, state: &mut State, pending: Pending, error: Error) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.report.record_failure(&error);
        progress.outstanding -= 1;
        let is_due = self.is_notice_due(&progress);
        drop(progress);
        if is_due {
            self.notify_soon();
        }
        match pending.done {
            Done::Call(callback) => callback(state, self, Err(error)),
            Done::Quiet => self.report_failure(state, pending.number, &pending.subject, error),
        }
    }

    /// Reports a message without a callback of its own.
    fn report_failure(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        subject: &str,
        error: Error,
    ) -> Ran {
        let failure = PublishFailure { number, subject: subject.to_owned(), error };
        if self.hooks.failed.is_empty() {
            log::warn!("message {number} to {subject:?} has failed: {}", failure.error);
        }
        self.hooks.failed.run(|hook| hook(state, self, &failure))
    }

    // ---- what others hear of --------------------------------------------------------------------

    /// Has those who wait for room and for the end hear of it, in a turn of its own.
    fn notify_soon(self: &Rc<Self>) {
        if !std::mem::replace(&mut self.progress.borrow_mut().has_notice, true) {
            let window = self.clone();
            self.port().defer(move |state| window.notify(state));
        }
    }

    fn notify(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.has_notice = false;
        let is_over = progress.outstanding == 0;
        let finished = if is_over { self.finishing.take() } else { Vec::new() };
        let has_room =
            progress.wants_room && self.is_half_empty(&progress) && self.port().has_room(0);
        progress.wants_room &= !has_room;
        let report = progress.report.clone();
        drop(progress);
        for callback in finished {
            let (window, report) = (self.clone(), report.clone());
            self.port().defer(move |state| callback(state, &window, report));
        }
        if is_over && !self.hooks.all_acknowledged.is_empty() {
            let window = self.clone();
            self.port().defer(move |state| {
                window.hooks.all_acknowledged.run(|hook| hook(state, &window, &report))
            });
        }
        if self.has_ended.get() {
            if is_over {
                let window = self.clone();
                // after those that are called back above
                self.port().defer(move |_| {
                    window.release_hooks();
                    Ok(())
                });
            }
            return Ok(());
        }
        match has_room {
            true => self.hooks.ready.run(|hook| hook(state, self, &())),
            false => Ok(()),
        }
    }

    /// The client is over: nothing is sent again.
    fn give_up_resending(self: &Rc<Self>) {
        loop {
            let kept = self.resend.borrow_mut().pop();
            let Some(kept) = kept else { break };
            let error = kept.attempts.give_up(Error::Closed);
            self.fail_later(kept.pending, error);
        }
        self.plan_resend();
    }

    /// Lets go of the hooks. Whoever waits for the end may have come just now.
    fn release_hooks(&self) {
        let hooks = &self.hooks;
        drop((hooks.ready.take(), hooks.all_acknowledged.take()));
        drop((hooks.stalled.take(), hooks.failed.take()));
    }

    /// Looks after a while whether anything was answered meanwhile.
    fn watch_for_a_stall(self: &Rc<Self>, subject: Rc<str>) {
        let mut progress = self.progress.borrow_mut();
        if progress.stall_timer.is_some() || progress.outstanding == 0 {
            return;
        }
        let answered = progress.answered();
        let window = Rc::downgrade(self);
        let on_due = move |_: &mut State| {
            if let Some(window) = window.upgrade() {
                window.look_for_a_stall(subject);
            }
            Ok(())
        };
        let timer = self.port().set_timer(self.options.stall_after, Box::new(on_due));
        progress.stall_timer = Some((timer, answered));
    }

    fn look_for_a_stall(self: &Rc<Self>, subject: Rc<str>) {
        let mut progress = self.progress.borrow_mut();
        let answered_before = progress.stall_timer.take().map(|(_, answered)| answered);
        let has_moved = answered_before != Some(progress.answered());
        let wants_room = progress.wants_room;
        drop(progress);
        match (wants_room, has_moved) {
            (false, _) => {}
            (true, true) => self.watch_for_a_stall(subject),
            (true, false) => self.report_a_stall(&subject),
        }
    }

    fn report_a_stall(self: &Rc<Self>, subject: &str) {
        if self.hooks.stalled.is_empty() {
            return log::warn!("{} messages wait for an acknowledgement", self.outstanding());
        }
        let window = self.clone();
        self.api.ask_why_unanswered(subject, move |state, reason| {
            let stalled = Stalled { outstanding: window.outstanding(), reason };
            window.hooks.stalled.run(|hook| hook(state, &window, &stalled))
        });
    }
}

impl Observer for Window {
    fn observe(self: Rc<Self>, observed: Observed) {
        match observed {
            Observed::Disconnected => {}
            Observed::Reconnected | Observed::Writable => {
                if self.progress.borrow().wants_room {
                    self.notify_soon();
                }
            }
            Observed::Ended => {
                self.has_ended.set(true);
                self.give_up_resending();
                self.notify_soon();
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    fn release(&self) {
        self.release_hooks();
        drop((self.finishing.take(), self.resend.take(), self.diagnosing.take()));
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
