//! What the server says about a pull request: each status without payload, in typed form.
//!
//! A status is read once, by its code and the beginning of its text, in whatever case; what follows
//! is for people, apart from the limits that it names. A text that this version does not know falls
//! into the class of its code: whatever it is, the request is over. Reading a heartbeat costs nothing.
//! This file does not know which request a status is about, nor what follows from it.

use crate::jetstream::time::parse_go_duration;
use evnats_protocol::Headers;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A number of messages, and how many bytes they have or may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// How many messages.
    pub(crate) messages: u64,
    /// How many bytes, as the server counts them: subject, acknowledgement subject, headers and
    /// payload. 0 if bytes are not limited.
    pub(crate) bytes: u64,
}

impl Amount {
    /// Both together, at most the largest number.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What is left without the other one, at least nothing.
    #[inline]
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// The lesser of both, of messages and of bytes.
    pub(super) fn min(self, other: Self) -> Self {
        Self { messages: self.messages.min(other.messages), bytes: self.bytes.min(other.bytes) }
    }
}

/// A status about a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullStatus<'a> {
    /// What it says.
    pub(crate) kind: StatusKind<'a>,
    /// What the request asked for and will not get any more, if the server says so.
    pub(crate) pending: Option<Amount>,
}

/// What a status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StatusKind<'a> {
    /// 100: the request waits, and there is nothing for it. Every other text of this code, too.
    Heartbeat,
    /// 404: there is nothing, or nothing more, and the request was not to wait.
    NoMessages,
    /// 408: the request's time is over, or nobody seemed to listen any more.
    Expired,
    /// 409: it was given all the messages that it asked for, and fewer bytes.
    BatchCompleted,
    /// 409: the next message has more bytes than the request may still be given.
    MessageTooLarge,
    /// 409: it asks for more than the consumer or the server permits.
    Exceeded(RequestLimit),
    /// 409: as many requests wait as the consumer's `max_waiting` permits.
    TooManyWaiting,
    /// 409: the consumer has another leader, which does not know the requests.
    LeadershipChange,
    /// 409: the server that leads the consumer is being stopped.
    ServerShutdown,
    /// 409: the consumer does not exist any more.
    ConsumerDeleted,
    /// 409: it is a push consumer.
    PushBased,
    /// 400: the request is wrong. The text says what is.
    BadRequest(Cow<'a, str>),
    /// 412: the request needs an API level that the server does not have.
    RequiredApiLevel,
    /// 423: another client is pinned.
    PinMismatch,
    /// 503: nobody listens on the consumer's subject.
    NoResponders,
    /// What this version does not know.
    Other {
        /// The number.
        code: u16,
        /// The text after it.
        text: Cow<'a, str>,
    },
}

/// A limit on what one pull request may ask for, of the consumer or the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestLimit {
    /// `max_batch`: the number of messages, if the server names it.
    Batch(Option<u64>),
    /// `max_expires`: the time, if the server names it.
    Expires(Option<Duration>),
    /// `max_bytes`: the number of bytes, if the server names it.
    Bytes(Option<u64>),
}

impl fmt::Display for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(Some(limit)) => write!(f, "max_batch is {limit}"),
            Self::Batch(None) => f.write_str("max_batch is less"),
            Self::Expires(Some(limit)) => write!(f, "max_expires is {limit:?}"),
            Self::Expires(None) => f.write_str("max_expires is less"),
            Self::Bytes(Some(limit)) => write!(f, "max_bytes is {limit}"),
            Self::Bytes(None) => f.write_str("max_bytes is less"),
        }
    }
}

impl<'a> PullStatus<'a> {
    /// Reads a status: its number, the text after it and the headers that came with it.
    pub(crate) fn new(code: u16, description: &'a [u8], headers: Headers<'_>) -> Self {
        let kind = StatusKind::new(code, description);
        let pending = match kind {
            StatusKind::Heartbeat => None,
            _ => headers.last_number("Nats-Pending-Messages").map(|messages| Amount {
                messages,
                bytes: headers.last_number("Nats-Pending-Bytes").unwrap_or(0),
            }),
        };
        Self { kind, pending }
    }

    /// Whether nothing more comes of the request that it is about.
    pub(crate) fn ends_request(&self) -> bool {
        !matches!(self.kind, StatusKind::Heartbeat | StatusKind::Other { code: ..200, .. })
    }

    /// Whether asking again cannot help.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_about_consumer()
            || matches!(self.kind, StatusKind::BadRequest(_) | StatusKind::RequiredApiLevel)
    }

    /// Whether it ends every request to the consumer, whichever it is about.
    pub(crate) fn is_about_consumer(&self) -> bool {
        matches!(self.kind, StatusKind::ConsumerDeleted | StatusKind::PushBased)
    }

    /// Whether the server has refused the request, so that nothing can have come of it.
    pub(crate) fn is_refusal(&self) -> bool {
        use StatusKind::{
            BadRequest, Exceeded, NoResponders, PinMismatch, RequiredApiLevel, TooManyWaiting,
        };
        matches!(
            self.kind,
            Exceeded(_)
                | TooManyWaiting
                | BadRequest(_)
                | RequiredApiLevel
                | PinMismatch
                | NoResponders
        )
    }
}

impl<'a> StatusKind<'a> {
    fn new(code: u16, description: &'a [u8]) -> Self {
        match code {
            100 => Self::Heartbeat,
            400 => Self::BadRequest(String::from_utf8_lossy(description)),
            404 => Self::NoMessages,
            408 => Self::Expired,
            409 => Self::conflict(description),
            412 => Self::RequiredApiLevel,
            423 => Self::PinMismatch,
            503 => Self::NoResponders,
            code => Self::Other { code, text: String::from_utf8_lossy(description) },
        }
    }

    /// The code 409 stands for whatever ends a request early. Only the text tells.
    fn conflict(description: &'a [u8]) -> Self {
        let after = |start: &str| rest_after(description, start);
        let number = |rest: Option<&str>| rest?.parse().ok().filter(|number| *number > 0);
        let duration =
            |rest: Option<&str>| rest.and_then(parse_go_duration).filter(|limit| !limit.is_zero());
        if after("batch completed").is_some() {
            Self::BatchCompleted
        } else if after("message size exceeds maxbytes").is_some() {
            Self::MessageTooLarge
        } else if let Some(rest) = after("exceeded maxrequestbatch") {
            Self::Exceeded(RequestLimit::Batch(number(named_limit(rest))))
        } else if let Some(rest) = after("exceeded maxrequestexpires") {
            Self::Exceeded(RequestLimit::Expires(duration(named_limit(rest))))
        } else if let Some(rest) = after("exceeded maxrequestmaxbytes") {
            Self::Exceeded(RequestLimit::Bytes(number(named_limit(rest))))
        } else if after("exceeded maxwaiting").is_some() {
            Self::TooManyWaiting
        } else if after("leadership change").is_some() {
            Self::LeadershipChange
        } else if after("server shutdown").is_some() {
            Self::ServerShutdown
        } else if after("consumer deleted").is_some() {
            Self::ConsumerDeleted
        } else if after("consumer is push based").is_some() {
            Self::PushBased
        } else {
            Self::Other { code: 409, text: String::from_utf8_lossy(description) }
        }
    }
}

/// What follows a beginning, which is compared without its case.
fn rest_after<'a>(text: &'a [u8], start: &str) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start.as_bytes()).then_some(rest)
}

/// The limit in ` of 5`.
fn named_limit(rest: &[u8]) -> Option<&str> {
    str::from_utf8(rest_after(rest, " of ")?).ok()?.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<'a>(code: u16, text: &'a str, headers: &[(&str, &str)]) -> PullStatus<'a> {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let block = format!("NATS/1.0 {code} {text}\r\n{lines}\r\n");
        PullStatus::new(code, text.as_bytes(), Headers::new(block.as_bytes()))
    }

    /// What the server says, what that is, whether the request is over, and whether everything is.
    #[test]
    fn every_status_is_known() {
        use StatusKind::*;
        let other = |code, text: &'static str| Other { code, text: text.into() };
        let minute = Duration::from_secs(60);
        for (code, text, kind, ends, is_terminal) in [
            (100, "Idle Heartbeat", Heartbeat, false, false),
            (100, "", Heartbeat, false, false),
            (404, "No Messages", NoMessages, true, false),
            (404, "", NoMessages, true, false),
            (408, "Request Timeout", Expired, true, false),
            (408, "Interest Expired", Expired, true, false),
            (408, "Requests Pending", Expired, true, false),
            (409, "Batch Completed", BatchCompleted, true, false),
            (409, "Message Size Exceeds MaxBytes", MessageTooLarge, true, false),
            (
                409,
                "Exceeded MaxRequestBatch of 5",
                Exceeded(RequestLimit::Batch(Some(5))),
                true,
                false,
            ),
            (409, "exceeded maxrequestbatch", Exceeded(RequestLimit::Batch(None)), true, false),
            (
                409,
                "Exceeded MaxRequestBatch of 0",
                Exceeded(RequestLimit::Batch(None)),
                true,
                false,
            ),
            (
                409,
                "Exceeded MaxRequestBatch of -3",
                Exceeded(RequestLimit::Batch(None)),
                true,
                false,
            ),
            (
                409,
                "Exceeded MaxRequestExpires of 1m0s",
                Exceeded(RequestLimit::Expires(Some(minute))),
                true,
                false,
            ),
            (
                409,
                "Exceeded MaxRequestExpires of 60000000000ns, more",
                Exceeded(RequestLimit::Expires(None)),
                true,
                false,
            ),
            (
                409,
                "Exceeded MaxRequestMaxBytes of 1024",
                Exceeded(RequestLimit::Bytes(Some(1024))),
                true,
                false,
            ),
            (
                409,
                "Exceeded MaxRequestMaxBytes of 99999999999999999999999",
                Exceeded(RequestLimit::Bytes(None)),
                true,
                false,
            ),
            (409, "Exceeded MaxWaiting", TooManyWaiting, true, false),
            (409, "Leadership Change", LeadershipChange, true, false),
            (409, "LEADERSHIP CHANGE to another", LeadershipChange, true, false),
            (409, "Server Shutdown", ServerShutdown, true, false),
            (409, "Consumer Deleted", ConsumerDeleted, true, true),
            (409, "consumer deleted.", ConsumerDeleted, true, true),
            (409, "Consumer is push based", PushBased, true, true),
            (
                409,
                "Consumer is something else",
                other(409, "Consumer is something else"),
                true,
                false,
            ),
            (409, "", other(409, ""), true, false),
            (400, "Bad Request", BadRequest("Bad Request".into()), true, true),
            (
                400,
                "Bad Request - heartbeat value too large",
                BadRequest("Bad Request - heartbeat value too large".into()),
                true,
                true,
            ),
            (412, "Required Api Level", RequiredApiLevel, true, true),
            (423, "Nats-Pin-Id mismatch", PinMismatch, true, false),
            (423, "Nats-Wrong-Pin-Id", PinMismatch, true, false),
            (503, "", NoResponders, true, false),
            (503, "No Responders", NoResponders, true, false),
            (199, "Later", other(199, "Later"), false, false),
            (429, "Slow Down", other(429, "Slow Down"), true, false),
        ] {
            let status = read(code, text, &[]);
            assert_eq!(status, PullStatus { kind, pending: None }, "{code} {text}");
            assert_eq!(status.ends_request(), ends, "{code} {text}");
            assert_eq!(status.is_terminal(), is_terminal, "{code} {text}");
            assert!(ends || !status.is_refusal(), "{code} {text}");
        }
    }

    #[test]
    fn what_is_left_of_a_request_is_in_two_headers() {
        let pending = |headers: &[_]| read(408, "Request Timeout", headers).pending;
        let both = [("Nats-Pending-Messages", "7"), ("Nats-Pending-Bytes", "900")];
        assert_eq!(pending(&both), Some(Amount { messages: 7, bytes: 900 }));
        assert_eq!(pending(&both[..1]), Some(Amount { messages: 7, bytes: 0 }));
        assert_eq!(pending(&both[1..]), None);
        assert_eq!(pending(&[("Nats-Pending-Messages", "-7")]), None);
        assert_eq!(read(100, "Idle Heartbeat", &both).pending, None, "it goes on");
    }

    #[test]
    fn a_text_that_is_no_text_is_shown_as_far_as_it_is() {
        let status = PullStatus::new(409, b"Wh\xff", Headers::default());
        assert_eq!(status.kind, StatusKind::Other { code: 409, text: "Wh\u{fffd}".into() });
    }

    proptest! {
        #[test]
        fn never_panics(code in any::<u16>(), text in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = PullStatus::new(code, &text, Headers::default());
            let limit = [b"Exceeded MaxRequestExpires of ", &text[..]].concat();
            let _ = PullStatus::new(409, &limit, Headers::default());
        }
    }
}
