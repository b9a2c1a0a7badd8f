//! One message, published and acknowledged.

use super::options::PublishOptions;
use super::pub_ack::{KnownAck, PubAck, parse_pub_ack, scan_pub_ack};
use crate::callback::{Callback, Outcome, Ran, State, answer, lend};
use crate::client::{Awaiting, Port, Reply};
use crate::jetstream::api::{Api, OnStored, Published};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use evnats_protocol::{OutgoingMessage, Payload, RequestError};
use std::time::Duration;

impl<S: 'static> JetStream<S> {
    /// Publishes a message to a stream. The callback runs when the stream has stored it, or with
    /// the reason why it has not.
    ///
    /// # Errors
    /// [`Error::NotStored`] if no stream has the subject, or if it has no leader at the moment: then
    /// the same call may well succeed soon. [`Error::Api`] if the stream refuses,
    /// [`Error::Request`] if there is no acknowledgement: after a timeout and after a disconnect
    /// "outcome unknown", the message may have been stored.
    pub fn publish<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>,
    ) {
        let message = OutgoingMessage::new(subject, payload.into());
        self.publish_message(message, self.api().timeout(), callback);
    }

    /// As [`publish`](Self::publish), with conditions and headers.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and the conditions' own; [`Error::InvalidOption`] for an option
    /// that is not possible, [`Error::Unsupported`] for one that the server lacks.
    pub fn publish_with<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
        callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>,
    ) {
        let payload = payload.into();
        let timeout = options.own_timeout().unwrap_or(self.api().timeout());
        let requirement = match options.check() {
            Ok(Some(requirement)) => requirement,
            Ok(None) => {
                let message = OutgoingMessage::new(subject, payload).headers(options.as_headers());
                return self.publish_message(message, timeout, callback);
            }
            Err(error) => return self.api().refuse(error.into(), answer(self, callback)),
        };
        let (js, subject, payload) = (self.clone(), subject.to_owned(), payload.into_bytes());
        let headers = options.as_headers().clone();
        self.api().with_level(move |told| match requirement.check_told(told) {
            Ok(()) => {
                let message = OutgoingMessage::new(&subject, payload).headers(&headers);
                js.publish_message(message, timeout, callback);
            }
            Err(error) => js.api().refuse(error, answer(&js, callback)),
        });
    }

    #[inline]
    fn publish_message(
        &self,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>,
    ) {
        let on_stored = |state: &mut State, api: &Api, stored: Result<PubAck, Error>| {
            callback(lend(state), &JetStream::over(api), stored).into_ran()
        };
        self.api().publish(message, timeout, Box::new(on_stored));
    }
}

impl Api {
    /// Publishes a message, and calls back when its stream has stored it or has not.
    fn publish(&self, message: OutgoingMessage<'_>, timeout: Duration, on_stored: OnStored) {
        let mut published = self.published().take().unwrap_or_default();
        published.asked = Some((self.clone(), on_stored));
        self.port().request_for(message, timeout, published);
    }

    /// Reads the answer to a publish.
    pub(crate) fn read_stored(&self, reply: Reply<'_>) -> Result<PubAck, Error> {
        reply.map_err(publish_error).and_then(|reply| self.read_ack(reply.payload()))
    }
}

impl Awaiting for Published {
    fn hear(mut self: Box<Self>, state: &mut State, _: &Port, reply: Reply<'_>) -> Ran {
        // one that is spare was not published, and hears of nothing
        let Some((api, on_stored)) = self.asked.take() else { return Ok(()) };
        api.published().put_back(self);
        let stored = api.read_stored(reply);
        on_stored(state, &api, stored)
    }
}

/// Reads no more than the sequence out of an acknowledgement, which has to be the known stream's.
#[inline]
pub(crate) fn acknowledged_sequence(outcome: Reply<'_>, known: &KnownAck) -> Result<u64, Error> {
    let body = outcome.map_err(publish_error)?.payload();
    known.sequence(body).map_or_else(|| unusual_sequence(body, &known.stream), Ok)
}

fn unusual_sequence(body: &[u8], stream: &str) -> Result<u64, Error> {
    match scan_pub_ack(body) {
        Some(scanned) if scanned.stream == stream => Ok(scanned.sequence),
        _ => {
            let ack = parse_pub_ack(body)?;
            match *ack.stream == *stream {
                true => Ok(ack.sequence),
                false => {
                    let (expected, actual) = (stream.to_owned(), ack.stream.to_string());
                    Err(Error::OtherStream { expected, actual })
                }
            }
        }
    }
}

/// A publish that got no acknowledgement. A 503 says that nobody listens, so that nobody has stored
/// it; it does not say that there is no stream, which may be without a leader.
pub(super) fn publish_error(error: RequestError) -> Error {
    match error {
        RequestError::NoResponders { subject } => Error::NotStored { subject },
        error => Error::Request(error),
    }
}
