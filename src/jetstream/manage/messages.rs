//! Reading single stored messages, from the stream's leader or from any replica.

use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::client::Reply;
use crate::jetstream::api::{Api, ApiReply, ApiRequest};
use crate::jetstream::api_error::{ApiError, ErrorCode};
use crate::jetstream::envelope::parse_response;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::joined::JoinedSubject;
use crate::jetstream::name::check_name;
use crate::jetstream::time::parse_rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use evnats_protocol::{Headers, Message, OutgoingMessage};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// Which stored message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "WireQuery")]
#[non_exhaustive]
pub enum MessageQuery<'a> {
    /// The one with this sequence.
    Sequence(u64),
    /// The last one on a subject, which may have wildcards.
    LastBySubject(&'a str),
    /// The first one on a subject, which may have wildcards, with this sequence or a later one.
    NextBySubject {
        /// The subject.
        subject: &'a str,
        /// The sequence to begin at.
        from: u64,
    },
}

/// A message as a stream has stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredMessage {
    /// The subject it was published to.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When it was stored, as the server's clock had it.
    pub time: Option<SystemTime>,
    /// Its payload.
    pub payload: Bytes,
    headers: Bytes,
}

impl StoredMessage {
    /// Its headers.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.headers)
    }
}

/// Who answers a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReadFrom {
    /// The stream's leader: it sees everything that was acknowledged before (`STREAM.MSG.GET`).
    #[default]
    Leader,
    /// Whichever replica answers first (`DIRECT.GET`), of a stream that has `allow_direct`. With more
    /// than one replica it may not see what was just stored, not even by the caller.
    Direct,
}

impl<S: 'static> JetStream<S> {
    /// Reads a stored message. Without an answer, as in an election, the leader is asked again within
    /// the timeout.
    ///
    /// # Errors
    /// [`Error::is_not_found`]: no such message, or, from the leader, no such stream (the code
    /// tells). [`Error::NotAvailable`] of a direct read: no such stream, or it does not allow them.
    #[doc(alias = "GetMsg")]
    #[doc(alias = "GetLastMsg")]
    pub fn stored_message(
        &self,
        stream: &str,
        query: MessageQuery<'_>,
        from: ReadFrom,
        callback: impl Callback<S, JetStream<S>, Result<StoredMessage, Error>>,
    ) {
        let (api, answer) = (self.api(), answer(self, callback));
        match from {
            ReadFrom::Leader => api.read(ApiRequest::stored_message(stream, query), answer),
            ReadFrom::Direct => api.read_direct(stream, query, answer),
        }
    }
}

impl ApiRequest {
    pub(crate) fn stored_message(stream: &str, query: MessageQuery<'_>) -> Result<Self, Error> {
        Self::stream("MSG.GET", stream)?.with(&query)
    }
}

impl ApiReply for StoredMessage {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let StoredReply { message } = parse_response(body)?;
        message.try_into()
    }
}

impl Api {
    pub(crate) fn read_direct(
        &self,
        stream: &str,
        query: MessageQuery<'_>,
        answer: Answer<Result<StoredMessage, Error>>,
    ) {
        if let Err(error) = check_name(stream) {
            return self.port().defer(move |state| answer(state, Err(error)));
        }
        let on_reply = move |state: &mut State, outcome: Reply<'_>| {
            let reply = outcome.map_err(Error::from_api_request);
            let stored = reply.and_then(|reply| read_direct_headers(reply, |_, _| {})?.try_into());
            answer(state, stored)
        };
        match query {
            MessageQuery::LastBySubject(subject) => {
                DirectReads::new(self, stream, "").last(self, subject, on_reply);
            }
            query => {
                let subject = format!("{}.DIRECT.GET.{stream}", self.prefix());
                let body = serde_json::to_vec(&query).unwrap_or_default();
                self.request(OutgoingMessage::new(&subject, body), on_reply);
            }
        }
    }
}

/// Direct reads of the last message on subjects with a common start.
///
/// The subject is part of the request's own subject, which spares the server a document; the request
/// must not have a body then.
pub(crate) struct DirectReads(JoinedSubject);

impl DirectReads {
    pub(crate) fn new(api: &Api, stream: &str, subjects: &str) -> Self {
        let prefix = api.prefix();
        Self(JoinedSubject::new(format!("{prefix}.DIRECT.GET.{stream}.{subjects}")))
    }

    /// Reads the last message on the subject that ends so. The reply is for
    /// [`read_direct_headers`].
    #[inline]
    pub(crate) fn last(
        &self,
        api: &Api,
        end: &str,
        callback: impl FnOnce(&mut State, Reply<'_>) -> Ran + 'static,
    ) {
        self.0.with(end, |subject| {
            api.request(OutgoingMessage::new(subject, b"").allow_wildcards(), callback);
        });
    }
}

/// What a direct read returned: the message itself, with what the server says of it in headers.
pub(crate) struct DirectMessage<'a> {
    pub(crate) message: &'a Message,
    pub(crate) subject: &'a [u8],
    pub(crate) sequence: u64,
    pub(crate) time: &'a [u8],
}

/// Reads the server's headers of a direct read, and shows the others to `note`. The last occurrence
/// counts, because a publisher may have stored headers of the same names.
pub(crate) fn read_direct_headers(
    message: &Message,
    mut note: impl FnMut(&[u8], &[u8]),
) -> Result<DirectMessage<'_>, Error> {
    if let Some(status) = message.headers().status() {
        let description = String::from_utf8_lossy(status.description).into_owned();
        let err_code = match status.code {
            404 => ErrorCode::NO_MESSAGE_FOUND,
            _ => ErrorCode(0),
        };
        return Err(Error::Api(ApiError::new(status.code, err_code, description)));
    }
    let (mut subject, mut sequence, mut time) = (None, None, None);
    for (name, value) in message.headers().iter_bytes() {
        match name {
            b"Nats-Subject" => subject = Some(value),
            b"Nats-Sequence" => sequence = std::str::from_utf8(value).ok(),
            b"Nats-Time-Stamp" => time = Some(value),
            _ => note(name, value),
        }
    }
    let sequence = sequence.and_then(|sequence| sequence.parse().ok());
    match (subject, sequence, time) {
        (Some(subject), Some(sequence), Some(time)) => {
            Ok(DirectMessage { message, subject, sequence, time })
        }
        _ => Err(Error::Malformed("a direct read without the server's headers".into())),
    }
}

impl TryFrom<DirectMessage<'_>> for StoredMessage {
    type Error = Error;

    fn try_from(direct: DirectMessage<'_>) -> Result<Self, Error> {
        Ok(Self {
            subject: String::from_utf8_lossy(direct.subject).into_owned(),
            sequence: direct.sequence,
            time: parse_time(&String::from_utf8_lossy(direct.time))?,
            payload: direct.message.payload_to_bytes(),
            headers: direct.message.headers_to_bytes(),
        })
    }
}

/// A query as the server wants it.
#[derive(Clone, Copy, Default, Serialize)]
struct WireQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
}

impl<'a> From<MessageQuery<'a>> for WireQuery<'a> {
    fn from(query: MessageQuery<'a>) -> Self {
        match query {
            MessageQuery::Sequence(seq) => Self { seq: Some(seq), ..Self::default() },
            MessageQuery::LastBySubject(subject) => {
                Self { last_by_subj: Some(subject), ..Self::default() }
            }
            MessageQuery::NextBySubject { subject, from } => {
                Self { seq: Some(from), next_by_subj: Some(subject), ..Self::default() }
            }
        }
    }
}

#[derive(Deserialize)]
struct StoredReply {
    message: WireMessage,
}

#[derive(Deserialize)]
struct WireMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    time: String,
}

impl TryFrom<WireMessage> for StoredMessage {
    type Error = Error;

    fn try_from(wire: WireMessage) -> Result<Self, Error> {
        let decode = |text: &str| {
            let bytes = STANDARD.decode(text).map(Bytes::from);
            bytes.map_err(|error| Error::Malformed(format!("base64 of a message: {error}")))
        };
        Ok(Self {
            sequence: wire.seq,
            time: parse_time(&wire.time)?,
            payload: decode(&wire.data)?,
            headers: decode(&wire.hdrs)?,
            subject: wire.subject,
        })
    }
}

fn parse_time(text: &str) -> Result<Option<SystemTime>, Error> {
    parse_rfc3339(text).map_err(|error| Error::Malformed(error.to_string()))
}
