//! The API: a request as data, its answer by type, and the one way from the one to the other.
//!
//! An operation is three things: where the request goes and what is in it ([`ApiRequest`]), what
//! its reply is ([`ApiReply`]), and a function of [`Api`] that names both, for the methods of all
//! handles. What is wrong with a request before it is sent is reported like everything else, to its
//! callback.

use super::envelope::check_response;
use super::error::Error;
use super::exchange::{ApiExchange, Exchanges, ExchangesOfClient};
use super::level::Levels;
use super::name::{DEFAULT_PREFIX, check_name};
use super::publish::pub_ack::{KnownAck, PubAck};
use crate::callback::{Answer, Ran, State};
use crate::client::{OnReply, Port, Reply, Spares};
use crate::event_loop::after;
use evnats_protocol::{HeaderMap, OutgoingMessage, RequestError};
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Names the API level that a request needs.
const REQUIRED_LEVEL: &str = "Nats-Required-Api-Level";

/// How often a read is sent within its timeout …
const READ_ATTEMPTS: u32 = 4;
/// … though no attempt is given less time than this: the answer may be slow, and not lost.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// The pause after a refusal that may be over a moment later.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// The way to JetStream. Clones are the same.
#[derive(Clone)]
pub(crate) struct Api(Rc<Way>);

/// Over which client, under which prefix, how patiently.
struct Way {
    port: Port,
    prefix: Rc<str>,
    timeout: Duration,
    is_pedantic: bool,
    /// How long the first attempt of a read waits.
    first_patience: Duration,
    /// The acknowledgement of the stream that has given one last, which is likely to be the next one,
    /// too.
    last_ack: RefCell<KnownAck>,
    published: Spares<Published>,
    /// What the client's hook for exchanges is shown.
    exchanges: Rc<Exchanges<Api>>,
}

/// A message that was published and waits for its acknowledgement, or none.
#[derive(Default)]
pub(super) struct Published {
    pub(super) asked: Option<(Api, OnStored)>,
}

pub(super) type OnStored = Box<dyn FnOnce(&mut State, &Api, Result<PubAck, Error>) -> Ran>;

/// A request: its subject behind the API's prefix, and its body.
pub(crate) struct ApiRequest {
    operation: String,
    body: Vec<u8>,
    headers: Option<HeaderMap>,
}

/// A read under way. It changes nothing, so it is sent again as long as there is time.
struct Read {
    api: Api,
    subject: String,
    body: Vec<u8>,
    deadline: Instant,
}

/// What the body of a reply is read into.
pub(crate) trait ApiReply: Sized + 'static {
    fn parse(body: &[u8]) -> Result<Self, Error>;

    /// The level of the server that replies, if the reply tells it.
    fn api_level(&self) -> Option<u32> {
        None
    }
}

/// Has the reply read from JSON, the server's error object first. Each type is named here once, so
/// that its decoder is compiled once.
macro_rules! json_replies {
    ($($type:ty),+) => {
        $(impl $crate::jetstream::api::ApiReply for $type {
            fn parse(body: &[u8]) -> Result<Self, $crate::jetstream::error::Error> {
                Ok($crate::jetstream::envelope::parse_response(body)?)
            }
        })+
    };
}

pub(crate) use json_replies;

/// A reply whose only content is that it is not an error.
impl ApiReply for () {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        Ok(check_response(body)?)
    }
}

impl ApiRequest {
    /// A request about a stream: `STREAM.<verb>.<stream>`.
    pub(super) fn stream(verb: &str, stream: &str) -> Result<Self, Error> {
        check_name(stream)?;
        Ok(Self::new(format!("STREAM.{verb}.{stream}")))
    }

    /// A request about a consumer: `CONSUMER.<verb>.<stream>.<consumer>`.
    pub(super) fn consumer(verb: &str, stream: &str, consumer: &str) -> Result<Self, Error> {
        check_name(stream).and_then(|()| check_name(consumer))?;
        Ok(Self::new(format!("CONSUMER.{verb}.{stream}.{consumer}")))
    }

    /// A request under a subject whose parts have been checked.
    pub(super) fn new(operation: String) -> Self {
        Self { operation, body: Vec::new(), headers: None }
    }

    /// A request for what is known of the account.
    pub(super) fn account_info() -> Self {
        Self::new("INFO".into())
    }

    /// Has a server refuse the request (10185) if its level is lower, instead of passing over what
    /// it does not know (server 2.12).
    pub(super) fn require_level(mut self, level: u32) -> Self {
        self.headers = Some(HeaderMap::new().with(REQUIRED_LEVEL, level.to_string()));
        self
    }

    /// Has the server refuse what it would correct. The document is an object that has members.
    pub(super) fn pedantic(mut self) -> Self {
        self.body.pop();
        self.body.extend_from_slice(br#","pedantic":true}"#);
        self
    }

    /// Adds a document.
    pub(super) fn with(mut self, document: &impl Serialize) -> Result<Self, Error> {
        self.body = serde_json::to_vec(document).map_err(Error::unencodable)?;
        Ok(self)
    }
}

impl Api {
    pub(super) fn new(port: Port) -> Self {
        let timeout = port.request_timeout();
        Self::with(port, DEFAULT_PREFIX.into(), timeout, false)
    }

    fn with(port: Port, prefix: Rc<str>, timeout: Duration, is_pedantic: bool) -> Self {
        let exchanges = port.layer::<ExchangesOfClient<Self>>().0.clone();
        Self(Rc::new(Way {
            port,
            exchanges,
            prefix,
            timeout,
            is_pedantic,
            first_patience: patience(timeout, timeout),
            last_ack: RefCell::new(KnownAck::new("")),
            published: Spares::default(),
        }))
    }

    pub(crate) fn with_prefix(&self, prefix: &str) -> Self {
        let way = &self.0;
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        Self::with(way.port.clone(), prefix.into(), way.timeout, way.is_pedantic)
    }

    pub(super) fn with_timeout(&self, timeout: Duration) -> Self {
        let way = &self.0;
        Self::with(way.port.clone(), way.prefix.clone(), timeout, way.is_pedantic)
    }

    pub(super) fn pedantic(&self) -> Self {
        let way = &self.0;
        Self::with(way.port.clone(), way.prefix.clone(), way.timeout, true)
    }

    /// Whether the server is to refuse what it would correct.
    pub(super) fn is_pedantic(&self) -> bool {
        self.0.is_pedantic
    }

    pub(crate) fn port(&self) -> &Port {
        &self.0.port
    }

    /// The prefix of API subjects, without the dot at its end.
    pub(crate) fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Whether the prefix is the one that needs none on subjects to publish to.
    pub(crate) fn has_default_prefix(&self) -> bool {
        *self.0.prefix == *DEFAULT_PREFIX
    }

    /// The prefix, to keep.
    pub(super) fn shared_prefix(&self) -> &Rc<str> {
        &self.0.prefix
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// How long the first attempt of a read waits for its answer.
    pub(super) fn first_patience(&self) -> Duration {
        self.0.first_patience
    }

    #[inline]
    pub(super) fn published(&self) -> &Spares<Published> {
        &self.0.published
    }

    /// Reads the acknowledgement of a publish.
    #[inline]
    pub(super) fn read_ack(&self, body: &[u8]) -> Result<PubAck, Error> {
        Ok(self.0.last_ack.borrow_mut().read(body)?)
    }

    /// The sequence in the acknowledgement of the stream that has given one last, if there is no more
    /// to it. `None` says nothing about it.
    #[inline]
    pub(super) fn scan_ack(&self, body: &[u8]) -> Option<u64> {
        self.0.last_ack.borrow().sequence(body)
    }

    /// Sends a request, unless it could not be made, and answers with its reply.
    pub(crate) fn call<T: ApiReply>(
        &self,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        let ApiRequest { operation, body, headers } = match request {
            Ok(request) => request,
            Err(error) => return self.refuse(error, answer),
        };
        let subject = format!("{}.{operation}", self.prefix());
        // a consumer's creation has its filter in the subject
        let mut message = OutgoingMessage::new(&subject, body).allow_wildcards();
        if let Some(headers) = &headers {
            message = message.headers(headers);
        }
        let api = self.clone();
        self.request(message, move |state, outcome| {
            let reply = api.read_reply(outcome);
            answer(state, reply)
        });
    }

    /// Reads a reply, and notes the level of the server if that is in it.
    fn read_reply<T: ApiReply>(&self, outcome: Reply<'_>) -> Result<T, Error> {
        let reply = T::parse(outcome.map_err(Error::from_api_request)?.payload())?;
        if let Some(level) = reply.api_level() {
            let levels = self.port().layer::<Levels>();
            levels.see(self.shared_prefix(), level, self.port().reconnects());
        }
        Ok(reply)
    }

    /// As [`call`](Self::call), for what changes nothing: without an answer, and if the refusal says
    /// that it is for the moment only, the request is sent again within its timeout. In an election
    /// there is nobody who answers, and what was sent then is lost.
    pub(crate) fn read<T: ApiReply>(
        &self,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        match Read::new(self, request, self.deadline()) {
            Ok(read) => read.attempt(answer),
            Err(error) => self.refuse(error, answer),
        }
    }

    /// Answers in the next turn: how misuse is reported that is noticed at once.
    pub(super) fn refuse<T: 'static>(&self, error: Error, answer: Answer<Result<T, Error>>) {
        self.port().defer(move |state| answer(state, Err(error)));
    }

    /// Sends a read as its first attempt is sent, once. What fails can be passed on to
    /// [`read_again`](Self::read_again).
    #[inline]
    pub(crate) fn read_once(&self, message: OutgoingMessage<'_>, awaiting: OnReply) {
        self.send(message, self.0.first_patience, awaiting);
    }

    /// Goes on with a read whose first attempt has failed, if that may change until the deadline.
    pub(crate) fn read_again<T: ApiReply>(
        &self,
        state: &mut State,
        request: Result<ApiRequest, Error>,
        deadline: Instant,
        error: Error,
        answer: Answer<Result<T, Error>>,
    ) -> Ran {
        match Read::new(self, request, deadline) {
            Ok(read) => read.handle_error(state, error, answer),
            Err(error) => answer(state, Err(error)),
        }
    }

    /// When a read that begins now has to be answered.
    pub(crate) fn deadline(&self) -> Instant {
        after(self.port().now(), self.timeout())
    }

    /// Sends a request under a subject that is not one of the API's operations.
    #[inline]
    pub(crate) fn request(
        &self,
        message: OutgoingMessage<'_>,
        callback: impl FnOnce(&mut State, Reply<'_>) -> Ran + 'static,
    ) {
        self.request_for(message, on_reply(callback));
    }

    /// As [`request`](Self::request), for what is boxed already.
    #[inline]
    pub(crate) fn request_for(&self, message: OutgoingMessage<'_>, awaiting: OnReply) {
        self.send(message, self.timeout(), awaiting);
    }

    /// Sends a request, which is shown to the hook for exchanges if there is one.
    #[inline]
    fn send(&self, message: OutgoingMessage<'_>, patience: Duration, awaiting: OnReply) {
        match self.0.exchanges.are_watched() {
            false => self.port().request_for(message, patience, awaiting),
            true => self.send_watched(message, patience, awaiting),
        }
    }

    #[cold]
    fn send_watched(&self, message: OutgoingMessage<'_>, patience: Duration, awaiting: OnReply) {
        if !self.is_operation(message.subject()) {
            return self.port().request_for(message, patience, awaiting);
        }
        let (api, exchange) = (self.clone(), ApiExchange::begin(&message));
        let begun = self.port().now();
        self.port().request(message, patience, move |state, port, reply| {
            let exchange = exchange.answered(&reply, port.now() - begun);
            // whoever waits for the answer is not to lose it to a hook that panics
            let ran = awaiting.hear(state, port, reply);
            ran.and(api.0.exchanges.show(state, &api, &exchange))
        });
    }

    /// Whether a subject is one of the API's, and not one of a stream that is reached over a prefix.
    fn is_operation(&self, subject: &str) -> bool {
        let operation = subject.strip_prefix(self.prefix()).and_then(|rest| rest.strip_prefix('.'));
        operation.is_some_and(|operation| !operation.starts_with('$'))
    }

    /// Has a hook shown every request from now on, with its answer.
    pub(super) fn watch_exchanges(
        &self,
        hook: impl FnMut(&mut State, &Self, &ApiExchange) -> Ran + 'static,
    ) {
        // nothing runs any more, so nothing is kept for it
        if !self.port().event_loop().has_ended() {
            self.0.exchanges.watch(Box::new(hook));
        }
    }
}

impl Read {
    fn new(
        api: &Api,
        request: Result<ApiRequest, Error>,
        deadline: Instant,
    ) -> Result<Rc<Self>, Error> {
        let ApiRequest { operation, body, .. } = request?;
        let subject = format!("{}.{operation}", api.prefix());
        Ok(Rc::new(Self { api: api.clone(), subject, body, deadline }))
    }

    fn attempt<T: ApiReply>(self: Rc<Self>, answer: Answer<Result<T, Error>>) {
        let message = OutgoingMessage::new(&self.subject, &*self.body);
        let (read, patience) = (self.clone(), patience(self.api.timeout(), self.left()));
        let on_outcome =
            move |state: &mut State, outcome: Reply<'_>| match read.api.read_reply(outcome) {
                Ok(reply) => answer(state, Ok(reply)),
                Err(error) => read.handle_error(state, error, answer),
            };
        self.api.send(message, patience, on_reply(on_outcome));
    }

    /// Sends it again, now or after a pause, or answers with the error.
    fn handle_error<T: ApiReply>(
        self: Rc<Self>,
        state: &mut State,
        error: Error,
        answer: Answer<Result<T, Error>>,
    ) -> Ran {
        if !self.may_try_again(&error) {
            return answer(state, Err(error));
        }
        let pause = if error.is_timeout() { Duration::ZERO } else { READ_PAUSE };
        let read = self.clone();
        let again = move |_: &mut State| {
            read.attempt(answer);
            Ok(())
        };
        self.api.port().set_timer(pause, Box::new(again));
        Ok(())
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(self.api.port().now())
    }

    fn may_try_again(&self, error: &Error) -> bool {
        let is_for_the_moment = match error {
            Error::Request(RequestError::Timeout) => true,
            Error::Api(error) => error.is_temporary(),
            _ => false,
        };
        is_for_the_moment && self.left() > READ_PAUSE
    }
}

/// What awaits a reply, made of a callback that does without the port.
#[inline]
pub(crate) fn on_reply(callback: impl FnOnce(&mut State, Reply<'_>) -> Ran + 'static) -> OnReply {
    Box::new(|state: &mut State, _: &Port, reply: Reply<'_>| callback(state, reply))
}

/// How long an attempt of a read waits for its answer. The last one waits to the end.
fn patience(timeout: Duration, left: Duration) -> Duration {
    let patience = (timeout / READ_ATTEMPTS).max(LEAST_PATIENCE);
    if patience + LEAST_PATIENCE > left { left } else { patience }
}
