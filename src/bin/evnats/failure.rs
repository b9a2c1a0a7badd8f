//! Errors as the tool reports them: a stable word, a text, and what else there is to know.
//!
//! Programs rely on the words: a new error may get a new one, an old one keeps its own.

use evnats::jetstream;
use evnats::kv;
use evnats::object_store;
use evnats::service;
use evnats::{
    CommandError, ConnectionError, DisconnectReason, Error, FlushError, RequestError, ServerError,
    ServerErrorKind,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// Why a verb failed.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: &'static str,
    message: String,
    details: Map<String, Value>,
}

const NOT_CONNECTED: &str = "not_connected";
const NEVER_SENT: &str = "never_sent";
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

impl Failure {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Map::new() }
    }

    /// Adds what programs may want to know.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }

    /// A key without a value, at present or at a revision.
    pub(crate) fn key_not_found(bucket: &str, key: &str, revision: Option<u64>) -> Self {
        let at = revision.map(|revision| format!(" at revision {revision}")).unwrap_or_default();
        let failure = Self::new("key_not_found", format!("key {key:?} not found{at}"));
        let failure = failure.with("bucket", bucket).with("key", key);
        revision.into_iter().fold(failure, |failure, revision| failure.with("revision", revision))
    }

    /// Why none of the servers could be connected to, by what was tried.
    pub(crate) fn of_attempts(attempts: BTreeMap<String, Self>) -> Option<Self> {
        let mut attempts = attempts.into_values();
        let mut all = attempts.next()?;
        for other in attempts {
            if all.kind != other.kind {
                all.kind = "no_servers";
            }
            all.message += &format!("; {other}");
        }
        Some(all)
    }

    /// Messages of which it is not known whether the server has got them.
    pub(crate) fn outcome_unknown(reason: impl fmt::Display) -> Self {
        Self::new(OUTCOME_UNKNOWN, reason.to_string())
    }

    /// Whether it says nothing more than that there is no connection. If there never was one, it
    /// goes without saying what was not sent on it.
    pub(crate) fn is_without_connection(&self, was_connected: bool) -> bool {
        let is_unsent = [NEVER_SENT, OUTCOME_UNKNOWN].contains(&self.kind);
        self.kind == NOT_CONNECTED || (is_unsent && !was_connected)
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut error = self.details.clone();
        error.insert("kind".into(), self.kind.into());
        error.insert("message".into(), self.message.as_str().into());
        json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new("io", error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Command(error) => error.into(),
            Error::InvalidUrl(_) => Self::new("invalid_url", error.to_string()),
            error => Self::new("event_loop", error.to_string()),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let kind = match &error {
            CommandError::Subject(_) | CommandError::ReplySubject(_) => "invalid_subject",
            CommandError::QueueGroup(_) => "invalid_queue_group",
            CommandError::Header(_) => "invalid_header",
            CommandError::PayloadTooLarge { .. } => "payload_too_large",
            CommandError::ControlLineTooLong { .. } => "control_line_too_long",
            CommandError::HeadersUnsupported => "headers_unsupported",
            CommandError::Draining | CommandError::Closed | CommandError::NotConnected { .. } => {
                NOT_CONNECTED
            }
            // this message was not sent, and others of its batch may have been
            CommandError::HalfWritten => OUTCOME_UNKNOWN,
            _ => "refused",
        };
        Self::new(kind, error.to_string())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let kind = match error {
            RequestError::Command(error) => return error.into(),
            RequestError::Denied(error) => return (&error).into(),
            RequestError::Timeout => "timeout",
            RequestError::NoResponders { .. } => "no_responders",
            RequestError::NeverSent => NEVER_SENT,
            RequestError::OutcomeUnknown => OUTCOME_UNKNOWN,
            _ => "request_failed",
        };
        Self::new(kind, error.to_string())
    }
}

impl From<FlushError> for Failure {
    fn from(error: FlushError) -> Self {
        match error {
            FlushError::Command(error) => error.into(),
            FlushError::Timeout => Self::new("timeout", error.to_string()),
            error => Self::new(NOT_CONNECTED, error.to_string()),
        }
    }
}

impl From<&DisconnectReason> for Failure {
    fn from(reason: &DisconnectReason) -> Self {
        let kind = match reason {
            DisconnectReason::Server(error) => return error.into(),
            DisconnectReason::Protocol(_) => "protocol_violation",
            DisconnectReason::TlsRequired | DisconnectReason::NoEchoUnsupported => "unsupported",
            DisconnectReason::Tls { .. } => "tls",
            DisconnectReason::Credentials(_) => "credentials",
            DisconnectReason::ConnectLineTooLong { .. } => "control_line_too_long",
            DisconnectReason::NoServers => "no_servers",
            _ => NOT_CONNECTED,
        };
        Self::new(kind, reason.to_string())
    }
}

impl From<&ServerError> for Failure {
    fn from(error: &ServerError) -> Self {
        let kind = match error.kind() {
            ServerErrorKind::PermissionsViolation => "permissions_violation",
            ServerErrorKind::Authorization
            | ServerErrorKind::AuthenticationExpired
            | ServerErrorKind::AuthenticationTimeout => "authorization",
            _ => "server_error",
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        let message = error.to_string();
        match error {
            ConnectionError::Server(error) | ConnectionError::SubscriptionDenied { error, .. } => {
                (&error).into()
            }
            ConnectionError::PublishFailed { error, .. } => Self { message, ..error.into() },
            ConnectionError::ConnectFailed { reason, .. } => Self { message, ..(&reason).into() },
            ConnectionError::Unsent { .. } => Self::new(NEVER_SENT, message),
            _ => Self::new("connection", message),
        }
    }
}

impl From<kv::Error> for Failure {
    fn from(error: kv::Error) -> Self {
        let message = error.to_string();
        match error {
            kv::Error::InvalidKey { key, .. } => Self::new("invalid_key", message).with("key", key),
            kv::Error::InvalidBucket { bucket, .. } => {
                Self::new("invalid_bucket", message).with("bucket", bucket)
            }
            kv::Error::Unsupported { .. } => Self::new("unsupported", message),
            kv::Error::InvalidConfig(_) => Self::new("invalid_config", message),
            kv::Error::BucketNotFound { bucket } => {
                Self::new("bucket_not_found", message).with("bucket", bucket)
            }
            kv::Error::NoLeader { bucket } => {
                Self::new("no_leader", message).with("bucket", bucket)
            }
            kv::Error::BucketExists { bucket } => {
                Self::new("bucket_exists", message).with("bucket", bucket)
            }
            kv::Error::KeyExists { key, revision } => {
                Self::new("key_exists", message).with("key", key).with("revision", revision)
            }
            kv::Error::WrongRevision { key, expected, actual } => {
                let failure = Self::new("wrong_revision", message).with("key", key);
                failure.with("expected", expected).with("actual", actual)
            }
            kv::Error::TtlDisabled { bucket } => {
                Self::new("ttl_disabled", message).with("bucket", bucket)
            }
            kv::Error::TtlNeedsHistoryOfOne { bucket, history } => {
                let failure = Self::new("ttl_needs_history_of_one", message);
                failure.with("bucket", bucket).with("history", history)
            }
            // what has failed, and how far it came before
            kv::Error::Incomplete { done, of, cause } => {
                Self { message, ..Self::from(*cause) }.with("done", done).with("of", of)
            }
            kv::Error::ReadOnly { bucket } => {
                Self::new("read_only", message).with("bucket", bucket)
            }
            kv::Error::NotABucket { bucket, .. } => {
                Self::new("not_a_bucket", message).with("bucket", bucket)
            }
            kv::Error::NotLinearizable { bucket, .. } => {
                Self::new("not_linearizable", message).with("bucket", bucket)
            }
            kv::Error::NoDirectReads { bucket } => {
                Self::new("no_direct_reads", message).with("bucket", bucket)
            }
            kv::Error::Unproven { key } => Self::new("unproven", message).with("key", key),
            kv::Error::ValueTooLarge { .. } => Self::new("value_too_large", message),
            kv::Error::JetStream(error) => error.into(),
            _ => Self::new("key_value", message),
        }
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        let message = error.to_string();
        match error {
            E::InvalidBucket { bucket, .. } => {
                Self::new("invalid_bucket", message).with("bucket", bucket)
            }
            E::InvalidConfig(_) => Self::new("invalid_config", message),
            E::Unsupported { .. } => Self::new("unsupported", message),
            E::EmptyName | E::InvalidChunkSize { .. } | E::InvalidRange { .. } => {
                Self::new("invalid_options", message)
            }
            E::NoWritesThroughPrefix { bucket, .. } => {
                Self::new("no_writes_through_prefix", message).with("bucket", bucket)
            }
            E::BucketNotFound { bucket } => {
                Self::new("bucket_not_found", message).with("bucket", bucket)
            }
            E::BucketExists { bucket } => {
                Self::new("bucket_exists", message).with("bucket", bucket)
            }
            E::NotABucket { bucket, .. } => {
                Self::new("not_a_bucket", message).with("bucket", bucket)
            }
            E::Sealed { bucket } => Self::new("sealed", message).with("bucket", bucket),
            E::NotFound { bucket, name } => {
                Self::new("object_not_found", message).with("bucket", bucket).with("name", name)
            }
            E::Exists { bucket, name } => {
                Self::new("object_exists", message).with("bucket", bucket).with("name", name)
            }
            E::WrongRevision { name, expected, actual } => {
                let failure = Self::new("wrong_revision", message).with("name", name);
                failure.with("expected", expected).with("actual", actual)
            }
            E::Changed { name } => Self::new("object_changed", message).with("name", name),
            E::Damaged { name, .. } => Self::new("object_damaged", message).with("name", name),
            E::Unreadable { name, .. } => {
                Self::new("object_unreadable", message).with("name", name)
            }
            E::BucketLink { name, .. } | E::LinkCycle { name } | E::LinkToLink { name } => {
                Self::new("link", message).with("name", name)
            }
            E::ChunksLeft { subject, .. } => {
                Self::new("chunks_left", message).with("subject", subject)
            }
            E::Io { .. } => Self::new("io", message),
            E::JetStream(error) => error.into(),
            _ => Self::new("object_store", message),
        }
    }
}

impl From<jetstream::Error> for Failure {
    fn from(error: jetstream::Error) -> Self {
        let message = error.to_string();
        if let Some(api) = error.api() {
            let failure = Self::new("jetstream_api", message).with("code", api.code());
            return failure.with("err_code", api.err_code().0);
        }
        match error {
            jetstream::Error::Request(error) => error.into(),
            jetstream::Error::NotAvailable => Self::new("jetstream_not_available", message),
            jetstream::Error::NotStored { .. }
            | jetstream::Error::NoStream { .. }
            | jetstream::Error::NoLeader { .. } => Self::new("not_stored", message),
            jetstream::Error::Unacknowledged { .. } => Self::new("timeout", message),
            jetstream::Error::InvalidName { .. } => Self::new("invalid_name", message),
            jetstream::Error::InvalidNumber(_) => Self::new("invalid_number", message),
            jetstream::Error::Unsupported { .. } => Self::new("unsupported", message),
            jetstream::Error::MadeDifferently { .. } | jetstream::Error::MadeWithout { .. } => {
                Self::new("made_differently", message)
            }
            jetstream::Error::SubscriptionDenied { .. } => {
                Self::new("permissions_violation", message)
            }
            jetstream::Error::Malformed(_) => Self::new("malformed_reply", message),
            jetstream::Error::Closed => Self::new(NOT_CONNECTED, message),
            jetstream::Error::InvalidRead(_) => Self::new("invalid_options", message),
            jetstream::Error::Consumer(_) => Self::new("consumer", message),
            jetstream::Error::Fetch(_) => Self::new("fetch_failed", message),
            _ => Self::new("jetstream", message),
        }
    }
}

impl From<service::Error> for Failure {
    fn from(error: service::Error) -> Self {
        let message = error.to_string();
        match error {
            service::Error::InvalidName { name } => {
                Self::new("invalid_name", message).with("name", name)
            }
            service::Error::Command(error) => error.into(),
            service::Error::Request(error) => error.into(),
            _ => Self::new("service", message),
        }
    }
}

impl From<service::ErrorReply> for Failure {
    fn from(error: service::ErrorReply) -> Self {
        let failure = Self::new("service_error", error.to_string()).with("code", error.code);
        failure.with("description", error.description)
    }
}
