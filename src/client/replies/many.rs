//! A request with many replies: an inbox for them, and what [`Gathering`] decides.
//!
//! Invariant: the end is reported in a turn of its own, behind the last reply, so that a callback that
//! fails costs nobody the end.

use super::gathering::{Gathering, RepliesEnd, Verdict};
use super::options::RequestManyOptions;
use crate::callback::{CallbackSlot, Handler, Outcome, Ran, State, lend};
use crate::client::handle::Client;
use crate::client::hooks::Observed;
use crate::client::inbox::Inbox;
use crate::client::port::Port;
use crate::event_loop::timers_on;
use bytes::Bytes;
use evnats_protocol::{
    CommandError, EndReason, HeaderMap, Message, OutgoingMessage, Payload, RequestError,
    ServerError,
};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

/// A report of a request with many replies.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Replied {
    /// The next reply.
    Message(Message),
    /// The end, or what went wrong: the last report. Not sent after [`Replies::stop`].
    Ended(Result<RepliesEnd, RequestError>),
}

/// The replies to a request that are being gathered. A cheap handle: dropping it does not stop it.
pub struct Replies<S: 'static = ()> {
    client: Client<S>,
    gatherer: Rc<Gatherer>,
}

impl<S: 'static> Replies<S> {
    /// Ends it: the callback does not run again.
    pub fn stop(&self) {
        self.gatherer.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.gatherer.is_active.get()
    }

    /// The client that the request was made on.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        &self.client
    }
}

timers_on!(Replies, |replies| replies.client.port().event_loop());

impl<S> Clone for Replies<S> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), gatherer: self.gatherer.clone() }
    }
}

impl<S> fmt::Debug for Replies<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("is_active", &self.gatherer.is_active.get())
            .finish_non_exhaustive()
    }
}

impl<S: 'static> Client<S> {
    /// Sends a request that many may reply to. The callback runs for every reply, and then once for the
    /// end, unless it is [stopped](Replies::stop); [`RequestManyOptions`] say when that is (ADR-47).
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let nats = event_loop.connect("nats://127.0.0.1:4222")?;
    /// use evnats::{Replied, RequestManyOptions};
    /// use std::time::Duration;
    /// let options = RequestManyOptions::new().stall(Duration::from_millis(300));
    /// nats.request_many("who.is.there", "", options, |_, _, replied| match replied {
    ///     Replied::Message(reply) => println!("{}", reply.text()),
    ///     Replied::Ended(Ok(_)) => println!("these were all"),
    ///     Replied::Ended(Err(error)) => eprintln!("there may be more: {error}"),
    ///     _ => {}
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// # Errors
    /// Of the end: [`RequestError::NoResponders`]: nobody listens on the subject. `NeverSent`: there was
    /// no connection in all the time. `OutcomeUnknown`: the connection was lost, and replies may have
    /// been with it; that is so also with [`Options::keep_requests`](crate::Options::keep_requests).
    /// `Denied`: the server does not permit the request, or the inbox. `Command`: it could not be made,
    /// or the client was drained or closed meanwhile. That nobody has replied is none.
    #[doc(alias = "RequestMany")]
    pub fn request_many<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: RequestManyOptions,
        callback: impl Handler<S, Replies<S>, Replied>,
    ) -> Replies<S> {
        self.send_request_many(OutgoingMessage::new(subject, payload.into()), options, callback)
    }

    /// As [`request_many`](Self::request_many), with headers. The message's reply subject is not used.
    pub fn send_request_many(
        &self,
        message: OutgoingMessage<'_>,
        options: RequestManyOptions,
        mut callback: impl Handler<S, Replies<S>, Replied>,
    ) -> Replies<S> {
        let client = self.clone();
        let on_replied = move |state: &mut State, gatherer: &Rc<Gatherer>, replied: Replied| {
            let replies = Replies { client: client.clone(), gatherer: gatherer.clone() };
            callback(lend(state), &replies, replied).into_ran()
        };
        let gatherer = Gatherer::begin(self.port(), message, options, Box::new(on_replied));
        Replies { client: self.clone(), gatherer }
    }
}

type OnReplied = Box<dyn FnMut(&mut State, &Rc<Gatherer>, Replied) -> Ran>;

/// A request with many replies, with the type of the user's state erased.
struct Gatherer {
    port: Port,
    request: Request,
    inbox: Inbox,
    gathering: RefCell<Gathering>,
    is_sent: Cell<bool>,
    /// When it is looked whether it is over.
    look_at: Cell<Instant>,
    callback: CallbackSlot<OnReplied>,
    is_active: Cell<bool>,
}

/// What is sent as soon as there is a connection.
struct Request {
    subject: String,
    /// Where the replies go.
    reply: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Gatherer {
    fn begin(
        port: &Port,
        message: OutgoingMessage<'_>,
        options: RequestManyOptions,
        on_replied: OnReplied,
    ) -> Rc<Self> {
        let gathering = Gathering::new(options, port.request_timeout(), port.now());
        let gatherer = Rc::new(Self {
            port: port.clone(),
            request: Request {
                subject: message.subject().to_owned(),
                reply: port.new_inbox(),
                headers: message.header_map().cloned().unwrap_or_default(),
                payload: Bytes::copy_from_slice(message.payload()),
            },
            inbox: Inbox::new(port),
            gathering: RefCell::new(gathering),
            is_sent: Cell::new(false),
            look_at: Cell::new(port.now()),
            callback: CallbackSlot::new(on_replied),
            is_active: Cell::new(true),
        });
        match gatherer.listen().and_then(|()| gatherer.send_if_connected()) {
            Ok(()) if gatherer.gathering.borrow().is_complete() => {
                gatherer.end_later(Ok(RepliesEnd::MaxMessages));
            }
            Ok(()) => gatherer.look_after_it(),
            Err(error) => gatherer.end_later(Err(error.into())),
        }
        gatherer
    }

    fn listen(self: &Rc<Self>) -> Result<(), CommandError> {
        let gatherer = self.clone();
        self.inbox.listen(&self.request.reply, move |state, heard| match heard {
            Ok(message) => gatherer.receive(state, message),
            Err(reason) => {
                gatherer.end_later(Err(gatherer.inbox_error(reason)));
                Ok(())
            }
        })?;
        let gatherer = self.clone();
        self.inbox.observe(move |_, observed| {
            gatherer.note(observed);
            Ok(())
        });
        Ok(())
    }

    fn send_if_connected(&self) -> Result<(), CommandError> {
        if self.is_sent.get() || !self.port.is_connected() {
            return Ok(());
        }
        let request = &self.request;
        let message = OutgoingMessage::new(&request.subject, request.payload.clone());
        self.port.publish(message.headers(&request.headers).reply(&request.reply))?;
        self.is_sent.set(true);
        Ok(())
    }

    fn note(self: &Rc<Self>, observed: Observed) {
        let error = match observed {
            Observed::Connected | Observed::Reconnected => match self.send_if_connected() {
                Ok(()) => return,
                Err(error) => error.into(),
            },
            Observed::Disconnected if self.is_sent.get() => RequestError::OutcomeUnknown,
            Observed::Denied(error) if error.subject() == Some(&*self.request.subject) => {
                RequestError::Denied((*error).clone())
            }
            Observed::Ended => RequestError::Command(CommandError::Closed),
            _ => return,
        };
        self.end_later(Err(error));
    }

    fn receive(self: &Rc<Self>, state: &mut State, message: &Message) -> Ran {
        if !self.is_active.get() {
            return Ok(());
        }
        let verdict = self.gathering.borrow_mut().handle_message(message);
        match verdict {
            Verdict::Reply => {}
            Verdict::LastReply => self.end_later(Ok(RepliesEnd::MaxMessages)),
            Verdict::Sentinel => {
                self.end_later(Ok(RepliesEnd::Sentinel));
                return Ok(());
            }
            Verdict::NoResponders => {
                self.end_later(Err(RequestError::no_responders(message)));
                return Ok(());
            }
        }
        let ran = self.callback.run_while(
            || self.is_active.get(),
            |callback| callback(state, self, Replied::Message(message.clone())),
        );
        if verdict == Verdict::Reply && self.is_active.get() {
            self.handle_handed();
        }
        ran
    }

    /// A reply was handed on, and there are more to come: the end may be due before it would be looked for.
    fn handle_handed(self: &Rc<Self>) {
        let mut gathering = self.gathering.borrow_mut();
        gathering.handle_handed(self.port.now());
        let (due, _) = gathering.due();
        drop(gathering);
        if due < self.look_at.get() {
            self.look_after_it();
        }
    }

    /// Has the end come when it is due.
    fn look_after_it(self: &Rc<Self>) {
        let (due, _) = self.gathering.borrow().due();
        self.look_at.set(due);
        let gatherer = self.clone();
        let delay = due.saturating_duration_since(self.port.turn_time());
        self.inbox.look_after(delay, move |_| {
            gatherer.handle_time();
            Ok(())
        });
    }

    fn handle_time(self: &Rc<Self>) {
        let (due, end) = self.gathering.borrow().due();
        if due > self.port.turn_time() {
            return self.look_after_it();
        }
        self.end_later(match self.is_sent.get() {
            true => Ok(end),
            false => Err(RequestError::NeverSent),
        });
    }

    /// Ends it: nothing is received any more, and the callback hears of it in the next turn.
    fn end_later(self: &Rc<Self>, end: Result<RepliesEnd, RequestError>) {
        self.inbox.close();
        let gatherer = self.clone();
        self.port.defer(move |state| {
            gatherer.is_active.set(false);
            let callback = gatherer.callback.take();
            callback.map_or(Ok(()), |mut callback| callback(state, &gatherer, Replied::Ended(end)))
        });
    }

    fn stop(&self) {
        self.is_active.set(false);
        self.inbox.close();
        // one that runs is dropped after it
        drop(self.callback.take());
    }

    fn inbox_error(&self, reason: EndReason) -> RequestError {
        match reason {
            // in the words in which the server has said it
            EndReason::Denied => RequestError::Denied(ServerError::new(format!(
                "Permissions Violation for Subscription to {:?}",
                self.request.reply
            ))),
            _ => RequestError::Command(CommandError::Closed),
        }
    }
}
