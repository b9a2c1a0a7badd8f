//! Errors that services answer with: two headers, and what callers read of them (ADR-32).

use crate::error::layer_error;
use evnats_protocol::{HeaderMap, Message, RequestError};
use thiserror::Error;

const DESCRIPTION: &str = "Nats-Service-Error";
const CODE: &str = "Nats-Service-Error-Code";

/// Bytes of a description at most: it goes into a header, and errors may be long.
const MAX_DESCRIPTION: usize = 1024;

/// The error that a service has answered with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the service answered with error {code}: {description}")]
#[non_exhaustive]
pub struct ErrorReply {
    /// The code, as it was written: a number if the service keeps to the rule. Empty if there is none.
    pub code: String,
    /// What went wrong, for people.
    pub description: String,
}

/// Returns the reply, unless it is an error of the service that has sent it.
///
/// ```no_run
/// use evnats::service::check_reply;
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// nats.request("numbers.divide", "1 0", |_, _, reply| {
///     println!("{}", check_reply(reply?)?.text());
///     Ok(())
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
///
/// # Errors
/// The service has answered with an error. What it has sent with it is the reply's payload.
pub fn check_reply(reply: &Message) -> Result<&Message, ErrorReply> {
    let headers = reply.headers();
    let (code, description) = (headers.get(CODE), headers.get(DESCRIPTION));
    if code.is_none() && description.is_none() {
        return Ok(reply);
    }
    Err(ErrorReply {
        code: code.unwrap_or_default().into_owned(),
        description: description.unwrap_or_default().into_owned(),
    })
}

/// The headers of an error. A description may be any text: line breaks become spaces, and what is too long
/// is cut off.
pub(super) fn headers(code: u32, description: &str) -> HeaderMap {
    HeaderMap::new().with(DESCRIPTION, one_line(description)).with(CODE, code.to_string())
}

fn one_line(text: &str) -> String {
    let longest = text.len().min(MAX_DESCRIPTION);
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].replace(char::is_control, " ")
}

impl ErrorReply {
    /// The code, if it is a number.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.code.parse().ok()
    }

    fn is_not_found(&self) -> bool {
        self.number() == Some(404)
    }

    fn is_temporary(&self) -> bool {
        false
    }

    fn request_error(&self) -> Option<&RequestError> {
        None
    }
}

layer_error!(ErrorReply);

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(headers: &str) -> Message {
        Message::new("inbox", 1, None, Some(headers.as_bytes()), b"more")
    }

    #[test]
    fn either_header_makes_an_error() {
        let plain = reply("NATS/1.0\r\nOther: 1\r\n\r\n");
        assert_eq!(check_reply(&plain), Ok(&plain));
        for (headers, code, description, number) in [
            ("Nats-Service-Error: no\r\nNats-Service-Error-Code: 404\r\n", "404", "no", Some(404)),
            ("Nats-Service-Error: no\r\n", "", "no", None),
            ("Nats-Service-Error-Code: E12\r\n", "E12", "", None),
            ("Nats-Service-Error: \r\nNats-Service-Error-Code: -1\r\n", "-1", "", None),
        ] {
            let reply = reply(&format!("NATS/1.0\r\n{headers}\r\n"));
            let error = check_reply(&reply).expect_err(headers);
            assert_eq!((&*error.code, &*error.description), (code, description));
            assert_eq!(error.number(), number, "{headers}");
        }
    }

    #[test]
    fn any_text_can_be_a_description() {
        let long = "ä".repeat(MAX_DESCRIPTION);
        for text in ["", "two\r\nlines", "\0", &long] {
            let headers = headers(500, text);
            assert_eq!(headers.check(), Ok(()), "{text:?}");
            assert_eq!(headers.as_headers().get(CODE).as_deref(), Some("500"));
        }
        let headers = headers(500, &long);
        let description = headers.as_headers().get(DESCRIPTION).expect("a description");
        assert_eq!(description.len(), MAX_DESCRIPTION);
    }
}
