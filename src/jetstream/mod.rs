//! JetStream: streams, acknowledged publishing, reading of stored messages, and the ordered
//! consumer under the layers above.
//!
//! Everything is a request, and every callback runs exactly once, with a result or a typed
//! [`Error`] that keeps the server's codes.

mod ack_subject;
mod api_error;
mod consumer_config;
mod consumers;
mod envelope;
mod error;
mod message;
mod ordered;
mod pub_ack;
mod publish;
mod reader;
mod stream_config;
mod stream_info;
mod streams;
pub(crate) mod time;

pub use api_error::{ApiError, ErrorCode};
pub use consumer_config::{
    AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, PriorityGroupInfo, PriorityPolicy,
    ReplayPolicy, SequenceInfo,
};
pub use error::Error;
pub use message::{MessageQuery, StoredMessage};
pub use ordered::OrderedError;
pub use pub_ack::PubAck;
pub use publish::PublishOptions;
pub use stream_config::{
    Compression, ConsumerLimits, Discard, External, PersistMode, Placement, Republish, Retention,
    Source, SourceConsumer, Storage, StreamConfig, SubjectTransform,
};
pub use stream_info::{
    ClusterInfo, LostData, PeerInfo, SourceInfo, StreamAlternate, StreamInfo, StreamState,
};

pub(crate) use ack_subject::Delivery;
pub(crate) use message::direct_message;
pub(crate) use ordered::OrderedConfig;
pub(crate) use pub_ack::{parse_pub_ack, scan_sequence};
pub(crate) use publish::publish_error;
pub(crate) use reader::{Reader, ReaderEvent};

use crate::client::Client;
use crate::kv::KeyValue;
use envelope::parse_response;
use evnats_protocol::{Message, OutgoingMessage, RequestError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// JetStream over a connection. A cheap handle.
///
/// ```no_run
/// use evnats::{EventLoop, jetstream::StreamConfig};
///
/// let event_loop = EventLoop::new()?;
/// let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// let config = StreamConfig {
///     name: "ORDERS".into(),
///     subjects: vec!["orders.>".into()],
///     ..StreamConfig::default()
/// };
/// js.create_stream(&config, |_: &mut (), js, created| {
///     created.expect("the stream");
///     js.publish("orders.new", "42", |_, js, stored| {
///         println!("stored at {}", stored.expect("the acknowledgement").sequence);
///         js.client().drain();
///     });
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct JetStream<S: 'static = ()> {
    client: Client<S>,
    prefix: Rc<str>,
    timeout: Duration,
}

const DEFAULT_PREFIX: &str = "$JS.API";

impl<S: 'static> JetStream<S> {
    pub(crate) fn new(client: Client<S>) -> Self {
        let timeout = client.request_timeout();
        Self { client, prefix: DEFAULT_PREFIX.into(), timeout }
    }

    /// The same connection with the API of another domain (`$JS.<domain>.API`).
    #[must_use]
    pub fn with_domain(&self, domain: &str) -> Self {
        self.with_prefix(&format!("$JS.{domain}.API"))
    }

    /// The same connection with the API under another prefix, for an account that imports it.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        Self { prefix: prefix.into(), ..self.clone() }
    }

    /// The same connection with another timeout for its requests. Default: that of the
    /// connection's options.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The connection.
    pub fn client(&self) -> &Client<S> {
        &self.client
    }

    /// A Key-Value bucket. Nothing is sent: whether it exists shows with the first operation.
    pub fn key_value(&self, bucket: &str) -> KeyValue<S> {
        KeyValue::new(self, bucket)
    }

    /// The prefix of API subjects, without the dot at its end.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the API prefix is the one that needs none on subjects to publish to.
    pub(crate) fn has_default_prefix(&self) -> bool {
        &*self.prefix == DEFAULT_PREFIX
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a request to the API and decodes the reply.
    pub(crate) fn api<T: DeserializeOwned>(
        &self,
        operation: &str,
        body: &[u8],
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<T, Error>) + 'static,
    ) {
        let subject = format!("{}.{operation}", self.prefix);
        let js = self.clone();
        // a consumer's creation has its filter in the subject
        self.request(
            OutgoingMessage::new(&subject, body).allow_wildcards(),
            move |state, reply| {
                let result = reply
                    .map_err(Error::from_api_request)
                    .and_then(|reply| parse_response(reply.payload()).map_err(Error::from));
                callback(state, &js, result);
            },
        );
    }

    /// As [`api`](Self::api), with a document for a body.
    pub(crate) fn api_with<T: DeserializeOwned>(
        &self,
        operation: &str,
        document: &impl Serialize,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<T, Error>) + 'static,
    ) {
        match serde_json::to_vec(document) {
            Ok(body) => self.api(operation, &body, callback),
            Err(error) => {
                let error = Error::Unencodable(error.to_string());
                self.defer(move |state, js| callback(state, js, Err(error)));
            }
        }
    }

    fn request(
        &self,
        message: OutgoingMessage<'_>,
        callback: impl FnOnce(&mut S, Result<Message, RequestError>) + 'static,
    ) {
        let on_reply = move |state: &mut S, _: &Client<S>, outcome: _| callback(state, outcome);
        self.client.request_message(message, self.timeout, on_reply);
    }

    /// Runs a callback in the next turn: how misuse is reported that is seen at once.
    pub(crate) fn defer(&self, callback: impl FnOnce(&mut S, &JetStream<S>) + 'static) {
        let js = self.clone();
        self.client.defer(move |state, _| callback(state, &js));
    }
}

impl<S> Clone for JetStream<S> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), prefix: self.prefix.clone(), timeout: self.timeout }
    }
}

impl<S> fmt::Debug for JetStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream")
            .field("client", &self.client)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
