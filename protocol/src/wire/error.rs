//! What the peer does wrong, and what it refuses: two types, because the remedies differ.
//!
//! * [`ProtocolError`]: the peer sent what is not NATS. The connection is beyond repair.
//! * [`ServerError`]: the server understood and refused (`-ERR`). What to do depends on the kind.
//!
//! Misuse by the caller is not here: see [`CommandError`](crate::CommandError).

use super::printable::printable;
use std::fmt;
use thiserror::Error;

/// The peer broke the protocol; no later byte of this connection can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A control line began with a verb that does not exist in this direction.
    #[error("unknown operation {verb:?}")]
    UnknownOperation {
        /// The verb as received, cut to 32 bytes.
        verb: String,
    },
    /// A known verb came with arguments that do not fit it.
    #[error("malformed arguments of {verb}: {arguments:?}")]
    MalformedArguments {
        /// The verb.
        verb: &'static str,
        /// The arguments as received, cut to 128 bytes.
        arguments: String,
    },
    /// No line end within the limit.
    #[error("control line is longer than {limit} bytes")]
    LineTooLong {
        /// The limit in bytes ([`Limits::max_line`](crate::Limits::max_line)).
        limit: usize,
    },
    /// A message was announced that is larger than the limit.
    #[error("message of {size} bytes announced, the limit is {limit}")]
    MessageTooLarge {
        /// Announced size of headers and payload in bytes.
        size: usize,
        /// The limit in bytes ([`Limits::max_message`](crate::Limits::max_message)).
        limit: usize,
    },
    /// A message was announced whose header block is larger than the limit.
    #[error("header block of {size} bytes announced, the limit is {limit}")]
    HeadersTooLarge {
        /// Announced size in bytes.
        size: usize,
        /// The limit in bytes ([`Limits::max_headers`](crate::Limits::max_headers)).
        limit: usize,
    },
    /// The bytes after a payload are not the CRLF that has to follow it.
    #[error("payload is not followed by a line end")]
    MissingTrailer,
    /// The JSON of an `INFO` or `CONNECT` line could not be read.
    #[error("malformed {verb} document: {}", printable(reason))]
    MalformedJson {
        /// `INFO` or `CONNECT`.
        verb: &'static str,
        /// The JSON parser's message.
        reason: String,
    },
    /// An operation that is valid by itself came at the wrong time, such as a message before the
    /// handshake.
    #[error("unexpected {verb} during {phase}")]
    Unexpected {
        /// The verb.
        verb: &'static str,
        /// What the session was doing.
        phase: &'static str,
    },
}

/// What a server refused, from the text of an `-ERR` line.
///
/// The text is compared without regard to case and by prefix, because servers append details.
/// Whether the server also closes the connection is its own decision, and shows only in the end of
/// the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    kind: ServerErrorKind,
    text: String,
}

/// The families of `-ERR` that call for different reactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerErrorKind {
    /// Credentials are missing or wrong; the server closes.
    Authorization,
    /// Credentials have expired or were revoked; the server closes.
    AuthenticationExpired,
    /// No `CONNECT` in time; the server closes.
    AuthenticationTimeout,
    /// A publish or subscribe is not allowed; the connection stays.
    PermissionsViolation,
    /// A limit on connections was reached; the server closes.
    TooManyConnections,
    /// A limit on subscriptions was reached; the connection stays.
    TooManySubscriptions,
    /// A subject was malformed; the connection stays.
    InvalidSubject,
    /// The client did not answer the server's pings; the server closes.
    StaleConnection,
    /// A message was larger than `max_payload`; the server closes.
    MaximumPayload,
    /// A control line was longer than the server's `max_control_line`; it closes.
    MaximumControlLine,
    /// The server did not understand what the client sent; it closes.
    UnknownOperation,
    /// TLS is required, or the port serves routes, gateways or leaf nodes; it closes.
    WrongPort,
    /// Anything else; see the text.
    Other,
}

impl ServerError {
    /// Classifies the text of an `-ERR` line, given without its quotes.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind: classify(&text), text }
    }

    /// The family of the error.
    #[must_use]
    pub fn kind(&self) -> ServerErrorKind {
        self.kind
    }

    /// The server's own words, without quotes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the client is not allowed what it did: its credentials are refused or have expired,
    /// or it has no permission.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        use ServerErrorKind::*;
        matches!(self.kind, Authorization | AuthenticationExpired | PermissionsViolation)
    }

    /// Whether the server was too slow or the client was: it was not authenticated in time, or did
    /// not answer pings.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        use ServerErrorKind::*;
        matches!(self.kind, AuthenticationTimeout | StaleConnection)
    }

    /// Whether the same may succeed later, with nothing changed: a time or connection limit.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.is_timeout() || self.kind == ServerErrorKind::TooManyConnections
    }

    /// The subject of a permissions violation, as the server quotes it.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self.denied()? {
            Denied::Publish { subject }
            | Denied::Reply { subject }
            | Denied::Subscription { subject, .. } => Some(subject),
        }
    }

    /// What a permissions violation is about.
    pub(crate) fn denied(&self) -> Option<Denied<'_>> {
        if self.kind != ServerErrorKind::PermissionsViolation {
            return None;
        }
        let mut parts = self.text.split('"');
        let (before, subject) = (parts.next()?.to_ascii_lowercase(), parts.next()?);
        if before.contains("with reply of") {
            return Some(Denied::Reply { subject });
        }
        if before.contains("publish") {
            return Some(Denied::Publish { subject });
        }
        let (mut queue, mut sid) = (None, None);
        while let (Some(before), Some(quoted)) = (parts.next(), parts.next()) {
            match before.trim_end() {
                before if before.ends_with("(sid") => sid = quoted.parse().ok(),
                before if before.ends_with("using queue") => queue = Some(quoted),
                _ => {}
            }
        }
        Some(Denied::Subscription { subject, queue, sid })
    }
}

/// What a server does not permit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied<'a> {
    Publish {
        subject: &'a str,
    },
    /// Publishing with this reply subject.
    Reply {
        subject: &'a str,
    },
    Subscription {
        subject: &'a str,
        queue: Option<&'a str>,
        /// Present when permissions have changed, for a subscription that was permitted before.
        sid: Option<u64>,
    },
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.text.is_empty() { "(no text)" } else { &self.text };
        write!(f, "server error: {}", printable(text))
    }
}

impl std::error::Error for ServerError {}

fn classify(text: &str) -> ServerErrorKind {
    use ServerErrorKind::*;
    const PREFIXES: &[(&str, ServerErrorKind)] = &[
        ("authorization violation", Authorization),
        ("user authentication expired", AuthenticationExpired),
        ("user authentication revoked", AuthenticationExpired),
        ("account authentication expired", AuthenticationExpired),
        ("authentication timeout", AuthenticationTimeout),
        ("permissions violation", PermissionsViolation),
        ("maximum connections exceeded", TooManyConnections),
        ("maximum account active connections exceeded", TooManyConnections),
        ("connection throttling is active", TooManyConnections),
        ("maximum subscriptions exceeded", TooManySubscriptions),
        ("invalid subject", InvalidSubject),
        ("invalid publish subject", InvalidSubject),
        ("stale connection", StaleConnection),
        ("maximum payload violation", MaximumPayload),
        ("maximum control line exceeded", MaximumControlLine),
        ("unknown protocol operation", UnknownOperation),
        ("secure connection - tls required", WrongPort),
        ("attempted to connect to", WrongPort),
    ];
    let starts_with = |prefix: &str| {
        text.as_bytes()
            .get(..prefix.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    PREFIXES.iter().find(|(prefix, _)| starts_with(prefix)).map_or(Other, |&(_, kind)| kind)
}

/// At most `limit` bytes of `bytes` as text, for error messages.
pub(crate) fn excerpt(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_classified_by_prefix_and_without_case() {
        let table = [
            ("Authorization Violation", ServerErrorKind::Authorization),
            ("authorization violation", ServerErrorKind::Authorization),
            ("User Authentication Expired", ServerErrorKind::AuthenticationExpired),
            ("Permissions Violation for Publish to \"a.b\"", ServerErrorKind::PermissionsViolation),
            ("maximum connections exceeded", ServerErrorKind::TooManyConnections),
            ("Unknown Protocol Operation", ServerErrorKind::UnknownOperation),
            ("", ServerErrorKind::Other),
            ("größer", ServerErrorKind::Other),
        ];
        for (text, kind) in table {
            assert_eq!(ServerError::new(text).kind(), kind, "{text}");
        }
    }

    #[test]
    fn an_error_of_a_server_forges_no_line_of_a_log() {
        let error = ServerError::new("no\n\u{1b}[2J");
        assert_eq!(error.to_string(), "server error: no\\n\\u{1b}[2J");
        assert_eq!(error.text(), "no\n\u{1b}[2J", "its own words");
    }

    #[test]
    fn a_permissions_violation_names_its_subject() {
        let error = ServerError::new("Permissions Violation for Subscription to \"a.>\"");
        assert_eq!(error.subject(), Some("a.>"));
        let denied = |text: &str| format!("{:?}", ServerError::new(text).denied());
        let table = [
            ("Publish to \"a\"", "Some(Publish { subject: \"a\" })"),
            ("Publish with Reply of \"r\"", "Some(Reply { subject: \"r\" })"),
            (
                "Subscription to \"a\" using queue \"q\"",
                "Some(Subscription { subject: \"a\", queue: Some(\"q\"), sid: None })",
            ),
            (
                "Subscription to \"a\" (sid \"7\")",
                "Some(Subscription { subject: \"a\", queue: None, sid: Some(7) })",
            ),
            ("", "None"),
        ];
        for (text, expected) in table {
            assert_eq!(denied(&format!("Permissions Violation for {text}")), expected);
        }
        assert_eq!(ServerError::new("Permissions Violation").subject(), None);
        assert_eq!(ServerError::new("Stale \"x\"").subject(), None);
    }
}
