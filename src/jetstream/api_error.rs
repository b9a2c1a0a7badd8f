//! The error object of a JetStream API reply.
//!
//! An [`ApiError`] keeps everything the server said: its HTTP-like `code`, its exact `err_code` and
//! its text. Decisions are made on `err_code` and never on the text, with one exception that the
//! protocol forces: the current sequence of a failed compare-and-set exists only there.
//! This file does not know which request failed, and it retries nothing.

use evnats_protocol::printable;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A request that JetStream understood and refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{} (code {code}, error {err_code})", printable(description))]
pub struct ApiError {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: ErrorCode,
    #[serde(default)]
    description: String,
}

impl ApiError {
    /// An error as the server would report it; for tests and stand-in servers.
    pub fn new(code: u16, err_code: ErrorCode, description: impl Into<String>) -> Self {
        Self { code, err_code, description: description.into() }
    }

    /// The class of the failure, in the manner of HTTP: 400, 404, 503, …
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The exact failure. 0 if the server sent none (before 2.7).
    #[must_use]
    pub fn err_code(&self) -> ErrorCode {
        self.err_code
    }

    /// The server's text, unchanged.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether the stream, consumer or message that was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == 404
            || matches!(
                self.err_code,
                ErrorCode::STREAM_NOT_FOUND
                    | ErrorCode::CONSUMER_NOT_FOUND
                    | ErrorCode::NO_MESSAGE_FOUND
            )
    }

    /// Whether a publish lost against another writer: the expected last sequence was not the last.
    ///
    /// Two codes mean this. A replicated stream under contention answers some of the losers with
    /// [`WRONG_LAST_SEQUENCE_CONSTANT`](ErrorCode::WRONG_LAST_SEQUENCE_CONSTANT), which carries no
    /// sequence.
    #[must_use]
    pub fn is_wrong_last_sequence(&self) -> bool {
        matches!(
            self.err_code,
            ErrorCode::WRONG_LAST_SEQUENCE | ErrorCode::WRONG_LAST_SEQUENCE_CONSTANT
        )
    }

    /// The sequence that a failed compare-and-set found instead of the expected one.
    ///
    /// `None` for every other error, and for the variant of this one that does not name it.
    #[must_use]
    pub fn current_sequence(&self) -> Option<u64> {
        if self.err_code != ErrorCode::WRONG_LAST_SEQUENCE {
            return None;
        }
        let (_, number) = self.description.rsplit_once(": ")?;
        // `u64::from_str` would also take a leading plus sign.
        if number.bytes().all(|byte| byte.is_ascii_digit()) { number.parse().ok() } else { None }
    }

    /// Whether a stream of this name exists with a different configuration.
    #[must_use]
    pub fn is_stream_name_in_use(&self) -> bool {
        self.err_code == ErrorCode::STREAM_NAME_IN_USE
    }

    /// Whether JetStream is switched off: on the server, or for the account.
    #[must_use]
    pub fn is_not_enabled(&self) -> bool {
        matches!(self.err_code, ErrorCode::NOT_ENABLED | ErrorCode::NOT_ENABLED_FOR_ACCOUNT)
    }

    /// Whether the same request can succeed a moment later without anybody changing anything:
    /// a leader election, a server still starting, a limit on the rate.
    ///
    /// Every error of class 503 counts, except those that only an operator ends: JetStream is not
    /// enabled, and the store is full.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self.err_code {
            ErrorCode::NOT_LEADER | ErrorCode::TOO_MANY_REQUESTS => true,
            ErrorCode::TEMPORARILY_UNAVAILABLE
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::SUBJECT_SEQUENCE_NOT_READY => true,
            ErrorCode::NOT_ENABLED_FOR_ACCOUNT
            | ErrorCode::NOT_ENABLED
            | ErrorCode::STORE_FAILED => false,
            _ => self.code == 503,
        }
    }
}

/// The server's number for one exact failure (`err_code`).
///
/// Servers add numbers with every release, so this is a number with names for the known ones and
/// not an enumeration.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The account has used up its JetStream resources.
    pub const ACCOUNT_RESOURCES_EXCEEDED: Self = Self(10002);
    /// The request is not what this endpoint takes.
    pub const BAD_REQUEST: Self = Self(10003);
    /// JetStream is temporarily unavailable, as during an election of the meta leader.
    pub const TEMPORARILY_UNAVAILABLE: Self = Self(10008);
    /// The server that answered is not the leader.
    pub const NOT_LEADER: Self = Self(10009);
    /// The consumer cannot be created or updated like this; the text explains.
    pub const CONSUMER_CREATE: Self = Self(10012);
    /// A consumer of this name exists with another configuration.
    pub const CONSUMER_NAME_IN_USE: Self = Self(10013);
    /// There is no such consumer.
    pub const CONSUMER_NOT_FOUND: Self = Self(10014);
    /// No peers, or not enough storage, for this placement.
    pub const INSUFFICIENT_RESOURCES: Self = Self(10023);
    /// The body is not valid JSON, or (since server 2.12) has a member the server does not know.
    pub const INVALID_JSON: Self = Self(10025);
    /// The limit on the number of consumers is reached.
    pub const MAXIMUM_CONSUMERS: Self = Self(10026);
    /// The limit on the number of streams is reached.
    pub const MAXIMUM_STREAMS: Self = Self(10027);
    /// No stored message matches.
    pub const NO_MESSAGE_FOUND: Self = Self(10037);
    /// JetStream is not enabled for this account.
    pub const NOT_ENABLED_FOR_ACCOUNT: Self = Self(10039);
    /// The message to delete is not in the stream.
    pub const SEQUENCE_NOT_FOUND: Self = Self(10043);
    /// The stream's configuration is not valid; the text explains.
    pub const STREAM_INVALID_CONFIG: Self = Self(10052);
    /// The message, headers included, is larger than the stream's `max_msg_size`.
    pub const MESSAGE_TOO_LARGE: Self = Self(10054);
    /// The stream does not permit deleting messages.
    pub const MESSAGE_DELETE_FAILED: Self = Self(10057);
    /// A stream of this name exists with another configuration.
    pub const STREAM_NAME_IN_USE: Self = Self(10058);
    /// There is no such stream.
    pub const STREAM_NOT_FOUND: Self = Self(10059);
    /// The message was stored in another stream than the publisher expected.
    pub const EXPECTED_STREAM_MISMATCH: Self = Self(10060);
    /// The subjects overlap with those of another stream.
    pub const SUBJECTS_OVERLAP: Self = Self(10065);
    /// The stream's last message id is not the expected one.
    pub const WRONG_LAST_MESSAGE_ID: Self = Self(10070);
    /// The last sequence is not the expected one; the text ends with the actual one.
    pub const WRONG_LAST_SEQUENCE: Self = Self(10071);
    /// More than one replica asked of a server that is not clustered.
    pub const REPLICAS_NOT_CLUSTERED: Self = Self(10074);
    /// JetStream is not enabled on the server.
    pub const NOT_ENABLED: Self = Self(10076);
    /// The message could not be stored, as with `maximum bytes exceeded`.
    pub const STORE_FAILED: Self = Self(10077);
    /// The deliver policy and the start position contradict each other.
    pub const DELIVER_POLICY_CONFLICT: Self = Self(10094);
    /// The headers are larger than 64 KiB.
    pub const HEADERS_TOO_LARGE: Self = Self(10097);
    /// The stream is sealed: it can only be read.
    pub const STREAM_SEALED: Self = Self(10109);
    /// Rollup headers are not permitted on this stream, or not valid.
    pub const ROLLUP_FAILED: Self = Self(10111);
    /// The stream cannot be loaded by this server version.
    pub const STREAM_OFFLINE: Self = Self(10118);
    /// The consumer cannot be loaded by this server version.
    pub const CONSUMER_OFFLINE: Self = Self(10119);
    /// Filters of one consumer overlap each other.
    pub const FILTERS_OVERLAP: Self = Self(10138);
    /// A consumer to be created exists already with another configuration (2.10).
    pub const CONSUMER_EXISTS: Self = Self(10148);
    /// A consumer to be updated does not exist (2.10).
    pub const CONSUMER_DOES_NOT_EXIST: Self = Self(10149);
    /// A pedantic request would have been corrected (2.11).
    pub const PEDANTIC: Self = Self(10157);
    /// A message with the same id is being stored right now.
    pub const DUPLICATE_IN_PROCESS: Self = Self(10158);
    /// The sequence of the subject is not known yet; ask again.
    pub const SUBJECT_SEQUENCE_NOT_READY: Self = Self(10163);
    /// Like [`WRONG_LAST_SEQUENCE`](Self::WRONG_LAST_SEQUENCE), without the actual sequence.
    pub const WRONG_LAST_SEQUENCE_CONSTANT: Self = Self(10164);
    /// The `Nats-TTL` header is not a duration of at least one second.
    pub const TTL_INVALID: Self = Self(10165);
    /// The stream does not have `allow_msg_ttl`.
    pub const TTL_DISABLED: Self = Self(10166);
    /// The server sheds load (2.11).
    pub const TOO_MANY_REQUESTS: Self = Self(10167);
    /// The server does not offer the API level that the request requires (2.12).
    pub const REQUIRED_API_LEVEL: Self = Self(10185);
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, err_code: u32, text: &str) -> ApiError {
        ApiError::new(code, ErrorCode(err_code), text)
    }

    #[test]
    fn decodes_and_displays() {
        let json = r#"{"code":404,"err_code":10059,"description":"stream not found","new":1}"#;
        let error: ApiError = serde_json::from_str(json).unwrap();
        assert_eq!(error.code(), 404);
        assert_eq!(error.err_code(), ErrorCode::STREAM_NOT_FOUND);
        assert_eq!(error.description(), "stream not found");
        assert_eq!(error.to_string(), "stream not found (code 404, error 10059)");
    }

    #[test]
    fn tolerates_missing_members() {
        let error: ApiError = serde_json::from_str(r#"{"code":503}"#).unwrap();
        assert_eq!(error, self::error(503, 0, ""));
        assert!(error.is_temporary());
    }

    #[test]
    fn not_found() {
        for (code, err_code, expected) in [
            (404, 10059, true),
            (404, 10014, true),
            (404, 10037, true),
            (404, 0, true),
            (400, 10037, true),
            (400, 10058, false),
            (503, 10008, false),
        ] {
            assert_eq!(error(code, err_code, "").is_not_found(), expected, "{code} {err_code}");
        }
    }

    #[test]
    fn wrong_last_sequence_names_the_current_one_if_the_server_did() {
        let named = error(400, 10071, "wrong last sequence: 42");
        assert!(named.is_wrong_last_sequence());
        assert_eq!(named.current_sequence(), Some(42));

        let unnamed = error(400, 10164, "wrong last sequence");
        assert!(unnamed.is_wrong_last_sequence());
        assert_eq!(unnamed.current_sequence(), None);

        for text in ["", "wrong last sequence", "wrong last sequence: ", "x: +1", "x: 1 ", "x: -1"]
        {
            assert_eq!(error(400, 10071, text).current_sequence(), None, "{text:?}");
        }
        let overflow = error(400, 10071, "wrong last sequence: 18446744073709551616");
        assert_eq!(overflow.current_sequence(), None);
        // another error that happens to end alike says nothing about sequences
        assert_eq!(error(400, 10060, "wrong: 7").current_sequence(), None);
    }

    #[test]
    fn temporary() {
        for (code, err_code, expected) in [
            (503, 10008, true),
            (500, 10009, true),
            (503, 10023, true),
            (503, 10163, true),
            (429, 10167, true),
            (503, 10063, true),
            (503, 10039, false),
            (503, 10076, false),
            (503, 10077, false),
            (404, 10059, false),
            (400, 10071, false),
        ] {
            assert_eq!(error(code, err_code, "").is_temporary(), expected, "{code} {err_code}");
        }
    }

    #[test]
    fn stream_name_in_use() {
        assert!(error(400, 10058, "").is_stream_name_in_use());
        assert!(!error(400, 10059, "").is_stream_name_in_use());
    }
}
