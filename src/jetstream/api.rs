//! The API: a request as data, its answer by type, and the one way from the one to the other.
//!
//! An operation is three things: where the request goes and what is in it ([`ApiRequest`]), what
//! its reply is ([`ApiReply`]), and a method on the handle that names both. What is wrong with a
//! request before it is sent is reported like everything else, to its callback.

use super::envelope::parse_response;
use super::error::Error;
use super::name::check_name;
use crate::callback::{Answer, Ran, State};
use crate::client::Port;
use evnats_protocol::{Message, OutgoingMessage, RequestError};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;

pub(super) const DEFAULT_PREFIX: &str = "$JS.API";

/// The way to JetStream: over which client, under which prefix, how patiently.
#[derive(Clone)]
pub(crate) struct Api {
    port: Port,
    prefix: Rc<str>,
    timeout: Duration,
}

/// A request: its subject behind the API's prefix, and its body.
pub(crate) struct ApiRequest {
    operation: String,
    body: Vec<u8>,
}

/// What the body of a reply is read into.
pub(crate) trait ApiReply: Sized + 'static {
    fn parse(body: &[u8]) -> Result<Self, Error>;
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
        #[derive(Deserialize)]
        struct Success {}
        let Success {} = parse_response(body)?;
        Ok(())
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
        Self { operation, body: Vec::new() }
    }

    /// Adds a document.
    pub(super) fn with(mut self, document: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(document);
        self.body = body.map_err(|error| Error::Unencodable(error.to_string()))?;
        Ok(self)
    }
}

impl Api {
    pub(super) fn new(port: Port) -> Self {
        let timeout = port.request_timeout();
        Self { port, prefix: DEFAULT_PREFIX.into(), timeout }
    }

    pub(super) fn with_prefix(&self, prefix: &str) -> Self {
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        Self { prefix: prefix.into(), ..self.clone() }
    }

    pub(super) fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    /// The prefix of API subjects, without the dot at its end.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the prefix is the one that needs none on subjects to publish to.
    pub(crate) fn has_default_prefix(&self) -> bool {
        &*self.prefix == DEFAULT_PREFIX
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a request, unless it could not be made, and answers with its reply.
    pub(crate) fn call<T: ApiReply>(
        &self,
        request: Result<ApiRequest, Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        let ApiRequest { operation, body } = match request {
            Ok(request) => request,
            Err(error) => return self.port.defer(move |state| answer(state, Err(error))),
        };
        let subject = format!("{}.{operation}", self.prefix);
        // a consumer's creation has its filter in the subject
        let message = OutgoingMessage::new(&subject, body).allow_wildcards();
        self.request(message, move |state, outcome| {
            let reply = outcome.map_err(Error::from_api_request);
            answer(state, reply.and_then(|reply| T::parse(reply.payload())))
        });
    }

    /// Sends a request under a subject that is not one of the API's operations.
    #[inline]
    pub(crate) fn request(
        &self,
        message: OutgoingMessage<'_>,
        callback: impl FnOnce(&mut State, Result<Message, RequestError>) -> Ran + 'static,
    ) {
        self.port.request(message, self.timeout, |state, _, outcome| callback(state, outcome));
    }
}
