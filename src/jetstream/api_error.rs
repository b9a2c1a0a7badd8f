//! The error object of a JetStream API reply.
//!
//! An [`ApiError`] keeps everything the server said: its HTTP-like `code`, its exact `err_code` and
//! its text. Decisions are made on `err_code` and never on the text, with one exception that the
//! protocol forces: the current sequence of a failed compare-and-set exists only there.
//! This file does not know which request failed, and it retries nothing.

pub use super::error_code::ErrorCode;
use evnats_protocol::printable;
use serde::{Deserialize, Serialize};

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

    /// The exact failure. 0 if the server sent none (before 2.3).
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
        self.code == 404 || self.err_code.is_not_found()
    }

    /// Whether a publish lost against another writer: see
    /// [`ErrorCode::is_wrong_last_sequence`].
    #[must_use]
    pub fn is_wrong_last_sequence(&self) -> bool {
        self.err_code.is_wrong_last_sequence()
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
        self.err_code.is_not_enabled()
    }

    /// Whether the same request can succeed a moment later without anybody changing anything:
    /// a leader election, a server still starting, a limit on the rate.
    ///
    /// Every error of the classes 503 and 429 counts, except those that only an operator ends:
    /// JetStream is not enabled, there is no cluster, or the store is full.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self.err_code {
            ErrorCode::NOT_LEADER
            | ErrorCode::STREAM_OFFLINE
            | ErrorCode::CONSUMER_OFFLINE
            | ErrorCode::DUPLICATE_IN_PROCESS => true,
            ErrorCode::NOT_ENABLED_FOR_ACCOUNT
            | ErrorCode::NOT_ENABLED
            | ErrorCode::NO_ACCOUNT
            | ErrorCode::CLUSTER_REQUIRED
            | ErrorCode::CLUSTER_UNSUPPORTED_FEATURE
            | ErrorCode::STORE_FAILED => false,
            _ => matches!(self.code, 503 | 429),
        }
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
    fn it_is_known_of_every_code_whether_it_is_temporary() {
        let is_temporary =
            |code: &ErrorCode| error(code.http().unwrap(), code.0, "").is_temporary();
        let temporary: Vec<_> = ErrorCode::all().filter(is_temporary).map(|code| code.0).collect();
        let expected = [
            10004, 10008, 10009, 10023, 10063, 10075, 10118, 10119, 10158, 10163, 10167, 10210,
            10211,
        ];
        assert_eq!(temporary, expected);
        // a code of the future is judged by its class
        assert!(error(503, 99_999, "").is_temporary());
        assert!(!error(500, 99_999, "").is_temporary());
    }

    #[test]
    fn stream_name_in_use() {
        assert!(error(400, 10058, "").is_stream_name_in_use());
        assert!(!error(400, 10059, "").is_stream_name_in_use());
    }
}
