//! The envelope of JetStream API replies: an `error` object, or the result beside it.
//!
//! The invariant: a body with a non-null top-level `error` member is never taken for a success,
//! whatever else it contains (failed publishes carry `stream` and `seq` too). This file does not
//! look at message headers or statuses; a reply without a body is malformed here.

use super::api_error::ApiError;
use memchr::memchr;
use memchr::memmem::Finder;
use serde::de::DeserializeOwned;
use std::sync::LazyLock;

/// Why a reply held no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    /// The server understood the request and refused it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The body is not what the endpoint replies; the text says where.
    #[error("malformed reply: {0}")]
    Malformed(String),
}

impl From<serde_json::Error> for ResponseError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Decodes a reply into its result or the server's error.
///
/// # Errors
///
/// [`ResponseError::Api`] if the body has an `error` object, [`ResponseError::Malformed`] if it is
/// not JSON or not a `T`.
pub(crate) fn parse_response<T: DeserializeOwned>(body: &[u8]) -> Result<T, ResponseError> {
    if may_have_error(body) {
        let envelope: Envelope = serde_json::from_slice(body)?;
        if let Some(error) = envelope.error {
            return Err(error.into());
        }
    }
    Ok(serde_json::from_slice(body)?)
}

/// Checks that a reply is not an error, whatever its result is.
pub(crate) fn check_response(body: &[u8]) -> Result<(), ResponseError> {
    #[derive(serde::Deserialize)]
    struct Success {}
    parse_response(body).map(|Success {}| ())
}

#[derive(serde::Deserialize)]
struct Envelope {
    error: Option<ApiError>,
}

/// Whether the body could have an `error` member at all, so that most replies are parsed once.
///
/// Exact in one direction: without the quoted word, the member can only be spelled with an escape.
fn may_have_error(body: &[u8]) -> bool {
    // made once: to prepare the search takes longer than a search
    static MEMBER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
    memchr(b'\\', body).is_some() || MEMBER.find(body).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::wire::null_as_default;
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Purged {
        success: bool,
        purged: u64,
        #[serde(deserialize_with = "null_as_default")]
        missing: Vec<String>,
    }

    fn parse(body: &str) -> Result<Purged, ResponseError> {
        parse_response(body.as_bytes())
    }

    #[test]
    fn success() {
        let body = r#"{"type":"io.nats.jetstream.api.v1.stream_purge_response","success":true,
            "purged":7,"missing":null}"#;
        assert_eq!(parse(body), Ok(Purged { success: true, purged: 7, missing: vec![] }));
    }

    #[test]
    fn error_wins_over_success_fields() {
        let body = r#"{"success":true,"purged":0,"error":{"code":404,"err_code":10059,
            "description":"stream not found"}}"#;
        let Err(ResponseError::Api(error)) = parse(body) else { panic!() };
        assert_eq!(error.err_code().0, 10059);
    }

    #[test]
    fn error_spelled_with_an_escape_is_still_an_error() {
        let body = r#"{"success":true,"\u0065rror":{"code":400}}"#;
        assert!(matches!(parse(body), Err(ResponseError::Api(_))));
    }

    #[test]
    fn nested_or_null_errors_are_none() {
        let purged = Purged { success: true, ..Purged::default() };
        assert_eq!(parse(r#"{"success":true,"x":{"error":{"code":400}}}"#).as_ref(), Ok(&purged));
        assert_eq!(parse(r#"{"success":true,"error":null}"#).as_ref(), Ok(&purged));
        assert_eq!(parse(r#"{"success":true,"x":"error"}"#).as_ref(), Ok(&purged));
    }

    #[test]
    fn malformed() {
        for body in ["", "-ERR", "{", r#"{"error":"text"}"#, r#"{"purged":-1}"#, "[]x"] {
            assert!(matches!(parse(body), Err(ResponseError::Malformed(_))), "{body}");
        }
    }
}
