//! One message, published and acknowledged.

use super::pub_ack::{KnownAck, PubAck, parse_pub_ack, scan_pub_ack};
use crate::callback::{Callback, Outcome, lend};
use crate::client::Reply;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use evnats_protocol::{HeaderMap, OutgoingMessage, Payload, RequestError};
use std::time::Duration;

/// Conditions and headers of an acknowledged publish.
///
/// ```
/// use evnats::jetstream::PublishOptions;
/// let only_after_seven = PublishOptions::new().expect_last_sequence(7).message_id("order-42");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishOptions {
    headers: HeaderMap,
    timeout: Option<Duration>,
}

impl PublishOptions {
    /// No conditions, no headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds headers of your own.
    #[must_use]
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Names the message, so that the stream stores it once, however often it is published within
    /// the stream's `duplicate_window`. (`Nats-Msg-Id`)
    #[must_use]
    pub fn message_id(self, id: &str) -> Self {
        self.with("Nats-Msg-Id", id)
    }

    /// Stores the message only in the stream of this name. (`Nats-Expected-Stream`; error 10060)
    #[must_use]
    pub fn expect_stream(self, stream: &str) -> Self {
        self.with("Nats-Expected-Stream", stream)
    }

    /// Stores the message only if the stream's last one has this sequence.
    /// (`Nats-Expected-Last-Sequence`; [`Error::is_wrong_last_sequence`])
    #[must_use]
    pub fn expect_last_sequence(self, sequence: u64) -> Self {
        self.with("Nats-Expected-Last-Sequence", &sequence.to_string())
    }

    /// Stores the message only if the last one on its subject has this sequence; 0: if there is
    /// none. (`Nats-Expected-Last-Subject-Sequence`; [`Error::is_wrong_last_sequence`])
    #[must_use]
    pub fn expect_last_subject_sequence(self, sequence: u64) -> Self {
        self.with("Nats-Expected-Last-Subject-Sequence", &sequence.to_string())
    }

    /// Stores the message only if the stream's last one was published with this id.
    /// (`Nats-Expected-Last-Msg-Id`; error 10070)
    #[must_use]
    pub fn expect_last_message_id(self, id: &str) -> Self {
        self.with("Nats-Expected-Last-Msg-Id", id)
    }

    /// Waits this long for the acknowledgement. Default: the timeout of the JetStream handle.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name, value);
        self
    }
}

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
    /// As [`publish`](Self::publish), and the conditions' own.
    pub fn publish_with<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
        callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>,
    ) {
        let message = OutgoingMessage::new(subject, payload.into()).headers(&options.headers);
        let timeout = options.timeout.unwrap_or(self.api().timeout());
        self.publish_message(message, timeout, callback);
    }

    #[inline]
    fn publish_message(
        &self,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>,
    ) {
        let js = self.clone();
        self.api().port().request(message, timeout, move |state, _, outcome| {
            let reply = outcome.map_err(publish_error);
            let acknowledged = reply.and_then(|reply| js.api().read_ack(reply.payload()));
            callback(lend(state), &js, acknowledged).into_ran()
        });
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
fn publish_error(error: RequestError) -> Error {
    match error {
        RequestError::NoResponders => Error::NotStored,
        error => Error::Request(error),
    }
}
