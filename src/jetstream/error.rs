//! What can go wrong in JetStream.

use super::api_error::{ApiError, ErrorCode};
use super::batch_error::BatchError;
use super::consume::consumer_error::ConsumerError;
use super::consume::ordered_pull::cause::ResetCause;
use super::consume::ordered_pull::option_error::OrderedOptionError;
use super::consume::pull::fetch_error::FetchError;
use super::consume::pull::option_error::PullOptionError;
use super::envelope::ResponseError;
use super::publish::option_error::OptionError;
use crate::error::{self, layer_error};
use evnats_protocol::{CommandError, EndReason, Payload, RequestError};
use thiserror::Error;

/// Why a JetStream call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server understood and refused; it keeps the server's codes and description.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No answer: see the reason. For a publish, whether it was stored may be unknown.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Nobody answers on the API: JetStream is not enabled, or the domain does not exist.
    #[error("JetStream is not available: nobody answers on its API")]
    NotAvailable,
    /// JetStream is not enabled on the server (10076), or not for the account (10039).
    #[error("JetStream is not enabled: {0}")]
    NotEnabled(#[source] ApiError),
    /// Nobody has stored what was published, which is certain: no stream has the subject, or the
    /// stream that has it is without a leader at the moment.
    #[error(
        "nobody has stored it, because {}: no stream has it, or its stream has no leader now",
        nobody_listens(.subject)
    )]
    NotStored {
        /// The subject, if the server names it (2.15).
        subject: Option<Box<str>>,
    },
    /// Nobody has stored what was published, which is certain: no stream has the subject.
    #[error("no stream has the subject {subject:?}: nobody has stored it")]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// Nobody has stored what was published, which is certain: the stream that has the subject is
    /// without a leader at the moment.
    #[error("the stream {stream:?} has no leader at the moment: nobody has stored it")]
    NoLeader {
        /// The stream.
        stream: String,
    },
    /// There was no acknowledgement in time, and nobody said that nobody listens: somebody has
    /// subscribed to the subject. Whether a stream has stored the message is unknown.
    #[error(
        "no acknowledgement for {subject:?} in time: {}",
        unacknowledged(stream.as_deref())
    )]
    Unacknowledged {
        /// The subject.
        subject: String,
        /// The stream that has the subject, if there is one.
        stream: Option<String>,
    },
    /// The stream takes no more messages at the moment (10167): it is overloaded. The message was not
    /// stored. (Server 2.11; older ones drop it without a word)
    #[error("the stream is overloaded: {0}")]
    TooManyRequests(#[source] ApiError),
    /// There is no room in the publish window, or in the connection's buffer. Nothing was sent.
    #[error("the publish window is full: {outstanding} messages have no acknowledgement yet")]
    WindowFull {
        /// The message's payload, given back. Empty if the caller only lent it.
        payload: Payload<'static>,
        /// How many messages are outstanding.
        outstanding: usize,
    },
    /// The ingest is over, before all was stored that it was given. Nothing can be added to it.
    #[error(
        "the ingest is over, and {stored} of {published} messages are known to be stored{}",
        because(cause.as_deref())
    )]
    IngestEnded {
        /// How many messages it was given.
        published: u64,
        /// How many of them the stream has acknowledged.
        stored: u64,
        /// Why. `None`: it was finished, or messages were lost on their way.
        #[source]
        cause: Option<Box<Error>>,
    },
    /// It was stored, and by another stream than the one that it is for: two of them have the subject.
    #[error("stored by the stream {actual:?}, and not by {expected:?}")]
    OtherStream {
        /// The stream that should have stored it.
        expected: String,
        /// The one that has.
        actual: String,
    },
    /// The reply is not what the endpoint replies.
    #[error("malformed reply: {0}")]
    Malformed(String),
    /// A name that cannot be a stream's or a consumer's.
    #[error("invalid name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option of a publish that is not possible. Nothing was sent.
    #[error(transparent)]
    InvalidOption(#[from] OptionError),
    /// The request could not be written as JSON.
    #[error("request cannot be encoded: {0}")]
    Unencodable(String),
    /// The server lacks what the request needs, and was not sent it. A request without this feature
    /// may well succeed.
    #[error(
        "{feature} needs API level {needs}{}, and the server has level {has}",
        of_server(*needs)
    )]
    Unsupported {
        /// What it lacks, by its name in JSON or that of the call.
        feature: &'static str,
        /// The API level that has it.
        needs: u32,
        /// The server's API level.
        has: u32,
    },
    /// The server lacks what the request needs, would not tell beforehand that it does, and has made
    /// the stream or consumer without it, silently.
    #[error(
        "made without {feature}, which needs API level {needs}{}; the server has level {has}",
        of_server(*needs)
    )]
    MadeWithout {
        /// What it lacks, by its name in JSON.
        feature: &'static str,
        /// The API level that has it.
        needs: u32,
        /// The server's API level.
        has: u32,
    },
    /// The server has made the stream or consumer, or changed it, and some of it is not what was asked
    /// for: an older server may not know it, or what it is in conflict with has won. It exists, and
    /// info tells what it is like.
    #[error("made, and not as asked for: {}", members.join(", "))]
    MadeDifferently {
        /// The members that came back otherwise, by their names in JSON: `metadata`,
        /// `sources.consumer`.
        members: Vec<String>,
    },
    /// A stream to promote that is no mirror.
    #[error("the stream {stream:?} is no mirror")]
    NotMirror {
        /// The stream.
        stream: String,
    },
    /// The stream was deleted and created again since the handle was told of it: its sequences start
    /// over. A new handle begins anew.
    #[error("the stream was created again since it was looked up")]
    StreamRecreated,
    /// The server does not know what the message was meant to be, and has stored it as it stores
    /// every other message.
    #[error(
        "stored as an ordinary message, at {sequence} in the stream {stream:?}, by a server without \
         {feature}"
    )]
    StoredAsOrdinary {
        /// What the server lacks, by the name of the call.
        feature: &'static str,
        /// The stream that has stored the message.
        stream: String,
        /// Its sequence there.
        sequence: u64,
    },
    /// What is stored on a subject is no counter's value.
    #[error("the message at {sequence} on {subject:?} is no counter's")]
    NotACounter {
        /// The subject.
        subject: String,
        /// The sequence of the message.
        sequence: u64,
    },
    /// What should be a whole number is none.
    #[error("not a whole number: {0:?}")]
    InvalidNumber(String),
    /// An atomic batch was not stored.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Options of a read that are not possible. Nothing was sent.
    #[error(transparent)]
    InvalidRead(#[from] PullOptionError),
    /// Options of an ordered consumer that are not possible. Nothing was sent.
    #[error(transparent)]
    InvalidOrdered(#[from] OrderedOptionError),
    /// The consumer gives no messages any more.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// A fetch has failed. What had come until then was delivered.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A delivery is answered once, and this one has been, or somebody else has the right to.
    #[error("the delivery has been answered already")]
    AlreadyAnswered,
    /// No consumer has delivered the message that would take an answer: it has no reply subject of
    /// JetStream's.
    #[error("the message has no subject for answers")]
    NotAckable,
    /// Too many dead letters wait for their messages, and this one was told at once, without its
    /// message, which was not read.
    #[error("its message was not read: {waiting} other dead letters wait for theirs")]
    TooManyDeadLetters {
        /// How many wait.
        waiting: usize,
    },
    /// The restore has not asked for a chunk since the last one, or it is over. Nothing was sent.
    #[error("the restore has not asked for a chunk")]
    NothingWanted,
    /// The server does not take chunks any more: it gives up a restore when nothing has come for five
    /// seconds, and when it is stopped. There is no stream.
    #[error("the server has given up the restore")]
    RestoreGivenUp,
    /// An ordered consumer ended for good.
    #[error(transparent)]
    Ordered(#[from] OrderedError),
    /// The client was closed or drained while a reader was open.
    #[error("the connection is closed")]
    Closed,
    /// The server does not permit the subscription to the inbox that deliveries come to.
    #[error("the server does not permit the inbox for deliveries; see the client's on_error")]
    InboxDenied,
    /// The server does not permit the subscription to a subject.
    #[error("the server does not permit to subscribe to {subject:?}; see the client's on_error")]
    SubscriptionDenied {
        /// The subject.
        subject: String,
    },
}

/// Why an ordered consumer ended for good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OrderedError {
    /// The stream does not exist, or was deleted while being read.
    #[error("the stream is gone: {0}")]
    StreamNotFound(#[source] ApiError),
    /// The server refuses such a consumer, and asking again will not help.
    #[error("cannot create the consumer: {0}")]
    Rejected(#[source] ApiError),
    /// The stream was deleted and created again: its sequences start over, so there is no "next
    /// message" any more.
    #[error("the stream was created again while it was read")]
    StreamRecreated,
    /// The server (before 2.10) ignored the filters and would deliver everything.
    #[error("the server does not support several filter subjects")]
    FiltersUnsupported,
    /// The reply to a create request could not be decoded.
    #[error("malformed reply to the create request: {0}")]
    Malformed(String),
    /// As many resets in a row as [`max_resets`](super::OrderedOptions::max_resets) permits have brought
    /// nothing, and there would have been one more.
    #[error("{resets} resets in a row have brought nothing, and now: {cause}")]
    TooManyResets {
        /// How many there were.
        resets: u32,
        /// Why there would have been another one.
        #[source]
        cause: ResetCause,
    },
    /// The ordered consumer is being read already: one read at a time.
    #[error("the ordered consumer is being read already")]
    Busy,
}

impl Error {
    /// Whether what was asked for does not exist: stream, consumer or message.
    pub fn is_not_found(&self) -> bool {
        self.api().is_some_and(ApiError::is_not_found)
    }

    /// Whether there is no such message in the stream.
    pub(crate) fn is_no_message(&self) -> bool {
        self.api().is_some_and(|api| api.err_code() == ErrorCode::NO_MESSAGE_FOUND)
    }

    /// Whether the stream is another one than it was, of the same name: noticed by its handle, by an
    /// ordered consumer, or by the server (10225).
    pub fn is_stream_recreated(&self) -> bool {
        let code = self.api().map(ApiError::err_code);
        matches!(self, Self::StreamRecreated | Self::Ordered(OrderedError::StreamRecreated))
            || code == Some(ErrorCode::CONSUMER_STREAM_IDENTITY_MISMATCH)
    }

    /// Whether an expected sequence was not the actual one (10071 or 10164).
    pub fn is_wrong_last_sequence(&self) -> bool {
        self.api().is_some_and(ApiError::is_wrong_last_sequence)
    }

    /// Whether a stream of that name exists already with another configuration (10058).
    pub fn is_stream_name_in_use(&self) -> bool {
        self.api().is_some_and(ApiError::is_stream_name_in_use)
    }

    /// Whether there was no answer in time. Then the outcome is unknown, unless it is a message of a
    /// batch that was not to be committed yet.
    pub fn is_timeout(&self) -> bool {
        matches!(self.request(), Some(RequestError::Timeout))
    }

    /// Whether the client is over, or draining.
    pub fn is_closed(&self) -> bool {
        use CommandError::{Closed, Draining};
        matches!(self, Self::Closed)
            || matches!(self.request(), Some(RequestError::Command(Closed | Draining)))
    }

    /// Whether nobody listens: no stream on the subject that was published to, nobody on the API.
    pub fn is_no_responders(&self) -> bool {
        matches!(
            self,
            Self::NotStored { .. }
                | Self::NoStream { .. }
                | Self::NoLeader { .. }
                | Self::NotAvailable
        )
    }

    /// Whether what was requested may have been done all the same, although there is no answer that
    /// says so: the connection was lost, or there was none in time.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Request(RequestError::Timeout | RequestError::OutcomeUnknown)
            | Self::Unacknowledged { .. }
            | Self::Batch(BatchError::OutcomeUnknown(_))
            | Self::Malformed(_) => true,
            Self::Api(error) => error.err_code() == ErrorCode::DUPLICATE_IN_PROCESS,
            _ => false,
        }
    }

    /// Whether the server does not permit it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::InboxDenied | Self::SubscriptionDenied { .. })
            || matches!(self.request(), Some(RequestError::Denied(_)))
    }

    /// Whether the same call may well succeed a moment later: there is no leader at the moment, no
    /// connection, or no answer in time.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Api(error) => error.is_temporary(),
            Self::NotAvailable
            | Self::NotStored { .. }
            | Self::NoLeader { .. }
            | Self::Unacknowledged { stream: Some(_), .. }
            | Self::TooManyRequests(_)
            | Self::WindowFull { .. } => true,
            Self::Batch(error) if error.api().is_some_and(ApiError::is_temporary) => true,
            _ => self
                .request()
                .is_some_and(|error| error::Error::Request(error.clone()).is_temporary()),
        }
    }

    /// The server's refusal, if it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error)
            | Self::NotEnabled(error)
            | Self::TooManyRequests(error)
            | Self::Ordered(OrderedError::StreamNotFound(error) | OrderedError::Rejected(error)) => {
                Some(error)
            }
            Self::Batch(error) => error.api(),
            _ => None,
        }
    }

    /// The request that has failed, if that is the reason.
    fn request(&self) -> Option<&RequestError> {
        match self {
            Self::Request(error) => Some(error),
            Self::Batch(error) => error.request(),
            _ => None,
        }
    }

    /// What the end of an inbox means to its reader.
    pub(super) fn from_inbox_end(reason: EndReason) -> Self {
        match reason {
            EndReason::Denied => Self::InboxDenied,
            _ => Self::Closed,
        }
    }

    /// What cannot be written as JSON.
    pub(super) fn unencodable(error: serde_json::Error) -> Self {
        Self::Unencodable(error.to_string())
    }

    /// An API request that got no reply; the API always has a responder.
    pub(crate) fn from_api_request(error: RequestError) -> Self {
        match error {
            RequestError::NoResponders { .. } => Self::NotAvailable,
            error => Self::Request(error),
        }
    }
}

fn because(cause: Option<&Error>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}

/// Who should have acknowledged a message, for people.
fn unacknowledged(stream: Option<&str>) -> String {
    match stream {
        Some(stream) => format!(
            "the stream {stream:?} has the subject, and may have no leader; another subscriber \
             of the subject hides that"
        ),
        None => "no stream has the subject, and whoever subscribes to it does not answer".into(),
    }
}

/// Why nobody has stored what was published.
fn nobody_listens(subject: &Option<Box<str>>) -> RequestError {
    RequestError::NoResponders { subject: subject.clone() }
}

/// The first server that has an API level, for people.
fn of_server(level: u32) -> &'static str {
    match level {
        1 => " (server 2.11)",
        2 => " (server 2.12)",
        3 => " (server 2.12.5)",
        4 => " (server 2.14)",
        5 => " (server 2.15)",
        _ => "",
    }
}

impl From<ResponseError> for Error {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Api(error) if error.is_not_enabled() => Self::NotEnabled(error),
            ResponseError::Api(error) if error.err_code() == ErrorCode::TOO_MANY_REQUESTS => {
                Self::TooManyRequests(error)
            }
            ResponseError::Api(error) => Self::Api(error),
            ResponseError::Malformed(text) => Self::Malformed(text),
        }
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        Self::Request(error.into())
    }
}

impl Error {
    /// The request that has failed, if that is the reason, or what comes to the same.
    pub(crate) fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Unacknowledged { .. } => Some(&RequestError::Timeout),
            error if error.is_no_responders() => {
                Some(&RequestError::NoResponders { subject: None })
            }
            error => error.request(),
        }
    }
}

layer_error!(Error);
