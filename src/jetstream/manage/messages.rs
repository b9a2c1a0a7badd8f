//! Reading single stored messages, from the stream's leader or from any replica.

use super::direct_read::stored_message;
use super::stored_message::StoredMessage;
use crate::callback::{Answer, Callback, State, answer};
use crate::client::Reply;
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::Requirement;
use crate::jetstream::name::check_name;
use crate::jetstream::wire::is_default;
use evnats_protocol::OutgoingMessage;
use serde::Serialize;

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
        self.api().stored_message(stream, query, from, answer(self, callback));
    }

    /// Reads a stored message from the leader, and leaves its headers there (server 2.12). What is
    /// read has none.
    ///
    /// # Errors
    /// As [`stored_message`](Self::stored_message) from the leader; [`Error::Unsupported`] if the
    /// server is older.
    pub fn stored_message_without_headers(
        &self,
        stream: &str,
        query: MessageQuery<'_>,
        callback: impl Callback<S, JetStream<S>, Result<StoredMessage, Error>>,
    ) {
        self.api().stored_message_without_headers(stream, query, answer(self, callback));
    }
}

impl ApiRequest {
    fn stored_message_without_headers(
        stream: &str,
        query: MessageQuery<'_>,
    ) -> Result<Self, Error> {
        let query = WireQuery { no_hdr: true, ..query.into() };
        Self::stream("MSG.GET", stream)?.with(&query)
    }

    pub(crate) fn stored_message(stream: &str, query: MessageQuery<'_>) -> Result<Self, Error> {
        Self::stream("MSG.GET", stream)?.with(&query)
    }
}

impl Api {
    pub(crate) fn stored_message(
        &self,
        stream: &str,
        query: MessageQuery<'_>,
        from: ReadFrom,
        answer: Answer<Result<StoredMessage, Error>>,
    ) {
        match from {
            ReadFrom::Leader => self.read(ApiRequest::stored_message(stream, query), answer),
            ReadFrom::Direct => self.read_direct(stream, query, answer),
        }
    }

    pub(crate) fn stored_message_without_headers(
        &self,
        stream: &str,
        query: MessageQuery<'_>,
        answer: Answer<Result<StoredMessage, Error>>,
    ) {
        let requirement = Requirement::new(2, "stored_message_without_headers");
        let request = ApiRequest::stored_message_without_headers(stream, query);
        self.call_with(requirement, request, answer);
    }

    pub(crate) fn read_direct(
        &self,
        stream: &str,
        query: MessageQuery<'_>,
        answer: Answer<Result<StoredMessage, Error>>,
    ) {
        if let Err(error) = check_name(stream) {
            return self.refuse(error, answer);
        }
        let on_reply =
            move |state: &mut State, reply: Reply<'_>| answer(state, stored_message(reply));
        let mut subject = format!("{}.DIRECT.GET.{stream}", self.prefix());
        // the server is spared a document where the subject says it all
        let body = match query {
            MessageQuery::LastBySubject(wanted) => {
                subject.extend([".", wanted]);
                Vec::new()
            }
            query => serde_json::to_vec(&query).unwrap_or_default(),
        };
        self.request(OutgoingMessage::new(&subject, body).allow_wildcards(), on_reply);
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
    #[serde(skip_serializing_if = "is_default")]
    no_hdr: bool,
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
