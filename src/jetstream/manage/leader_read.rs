//! Reads from a stream's leader: the request for the last message on a subject, put together once
//! for all of them, and the reply.
//!
//! Two readers for one reply. `parse` asks serde. `scan` reads the shape that servers write, in one
//! pass and into one piece of memory; it gives up (`None`) on anything else, and never accepts a body
//! that serde would read differently.

use super::stored_message::{StoredMessage, StoredParts};
use crate::client::OnReply;
use crate::jetstream::api::{Api, ApiReply};
use crate::jetstream::base64::STANDARD;
use crate::jetstream::envelope::parse_response;
use crate::jetstream::error::Error;
use crate::jetstream::joined::JoinedText;
use crate::jetstream::scan::Scan;
use base64::Engine;
use evnats_protocol::OutgoingMessage;
use serde::Deserialize;

/// Reads from the leader of the last message on subjects with a common start.
pub(crate) struct LeaderReads {
    subject: String,
    /// The body, whose end is the rest of the subject that is asked for.
    query: JoinedText,
    /// What a reply begins with, up to the same place in its subject.
    reply_start: String,
}

/// What a reply begins with, up to its subject.
const START: &str =
    r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"#;

impl LeaderReads {
    /// The stream's name has been checked, and `subjects` needs no escapes in JSON.
    pub(crate) fn new(api: &Api, stream: &str, subjects: &str) -> Self {
        Self {
            subject: format!("{}.STREAM.MSG.GET.{stream}", api.prefix()),
            query: JoinedText::new(format!("{{\"last_by_subj\":\"{subjects}")),
            reply_start: format!("{START}\"{subjects}"),
        }
    }

    /// Reads the last message on the subject that ends so, which needs no escapes in JSON. It is
    /// asked for once: see [`Api::read_again`]. The reply is for [`scan`](Self::scan), and is parsed as
    /// a [`StoredMessage`] if that gives up.
    #[inline]
    pub(crate) fn last(&self, api: &Api, end: &str, awaiting: OnReply) {
        self.query.with(&[end, "\"}"], |query| {
            api.read_once(OutgoingMessage::new(&self.subject, query), awaiting);
        });
    }

    /// Reads a reply in its usual shape with a message whose subject ends so. The subject of what is
    /// returned is that end. `None` says nothing about the reply.
    #[inline(never)]
    pub(crate) fn scan(&self, body: &[u8], end: &str) -> Option<StoredMessage> {
        scan(body, |scan| {
            scan.literal(self.reply_start.as_bytes())?;
            scan.literal(end.as_bytes())?;
            scan.literal(b"\"").map(|()| end.as_bytes())
        })
    }
}

impl ApiReply for StoredMessage {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        scan_any(body).map_or_else(|| parse(body), Ok)
    }
}

/// Reads a reply in its usual shape.
fn scan_any(body: &[u8]) -> Option<StoredMessage> {
    scan(body, |scan| {
        scan.literal(START.as_bytes())?;
        scan.string().map(str::as_bytes)
    })
}

/// Reads a reply in its usual shape, whose start up to the end of the subject is read by `subject`.
#[inline(always)]
fn scan<'a>(
    body: &'a [u8],
    subject: impl FnOnce(&mut Scan<'a>) -> Option<&'a [u8]>,
) -> Option<StoredMessage> {
    let mut scan = Scan::new(body);
    let subject = subject(&mut scan)?;
    scan.literal(b",\"seq\":")?;
    let sequence = scan.number()?;
    let time = scan.time_at_end(b",\"time\":\"", b"\"}}")?;
    // what can be decoded has no byte in it that a plain string could not have
    let headers = scan.literal(b",\"hdrs\":").map_or(Some(&b""[..]), |()| scan.quoted())?;
    let payload = scan.literal(b",\"data\":").map_or(Some(&b""[..]), |()| scan.quoted_to_end())?;
    scan.is_at_end().then_some(())?;
    StoredMessage::decoded(StoredParts { sequence, subject, time, headers, payload })
}

fn parse(body: &[u8]) -> Result<StoredMessage, Error> {
    let StoredReply { message } = parse_response(body)?;
    let decode = |text: &str| {
        let bytes = STANDARD.decode(text);
        bytes.map_err(|error| Error::Malformed(format!("base64 of a message: {error}")))
    };
    Ok(StoredMessage::copy_of(StoredParts {
        sequence: message.seq,
        subject: message.subject.as_bytes(),
        time: message.time.as_bytes(),
        headers: &decode(&message.hdrs)?,
        payload: &decode(&message.data)?,
    }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USUAL: [&str; 6] = [
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"$KV.b.k","seq":12,"data":"aGVsbG8=","time":"2024-02-29T12:34:56.123456789Z"}}"#,
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"a","seq":18446744073709551615,"hdrs":"TkFUUy8xLjANCkE6IDENCg0K","time":"2024-02-29T12:34:56Z"}}"#,
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"a","seq":1,"hdrs":"TkFUUy8xLjANCg0K","data":"AA==","time":""}}"#,
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"","seq":0,"time":"0001-01-01T00:00:00Z"}}"#,
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"$KV.b.k","seq":3,"hdrs":"TkFUUy8xLjANCg0K","data":"aGVsbG8=","time":"2024-02-29T12:34:56.123456789Z"}}"#,
        r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"a","seq":3,"data":"","time":"2024-02-29T12:34:56.1234567Z"}}"#,
    ];

    /// What a scan for one subject finds, with the whole subject.
    fn scan_one(body: &[u8]) -> Option<StoredMessage> {
        let reads = LeaderReads {
            subject: String::new(),
            query: JoinedText::new(String::new()),
            reply_start: format!("{START}\""),
        };
        reads.scan(body, "$KV.b.k")
    }

    #[test]
    fn usual_replies_are_scanned() {
        assert_eq!(scan_one(USUAL[0].as_bytes()), scan_any(USUAL[0].as_bytes()));
        assert_eq!(scan_one(USUAL[1].as_bytes()), None, "another subject");
        for body in USUAL {
            let scanned = scan_any(body.as_bytes()).expect(body);
            assert_eq!(parse(body.as_bytes()), Ok(scanned), "{body}");
        }
        let message = StoredMessage::parse(USUAL[0].as_bytes()).expect("a message");
        assert_eq!((message.subject().as_ref(), message.sequence()), ("$KV.b.k", 12));
        assert_eq!(message.payload(), b"hello");
        assert!(message.headers().is_empty() && message.time().is_some());
        let message = StoredMessage::parse(USUAL[1].as_bytes()).expect("a message");
        assert_eq!(message.headers().get("A").as_deref(), Some("1"));
        assert_eq!(message.payload(), b"");
    }

    #[test]
    fn other_replies_are_left_to_serde() {
        for (from, to) in [
            ("\"subject\"", " \"subject\""),
            ("$KV.b.k", "\\u0024KV.b.k"),
            ("$KV.b.k", "ü"),
            ("\"seq\":12", "\"seq\":012"),
            ("\"seq\":12", "\"seq\":12,\"seq\":12"),
            ("aGVsbG8=", "aGVsbG8"),
            ("aGVsbG8=", "aGVsbG9="),
            ("aGVsbG8=", "aGVs\\u0062G8="),
            ("}}", "},\"error\":{\"code\":503}}"),
            ("\"message\"", "\"error\":{\"code\":404},\"message\""),
            ("}}", "}} "),
        ] {
            let body = USUAL[0].replacen(from, to, 1);
            assert_eq!(scan_any(body.as_bytes()), None, "{body}");
            assert_eq!(scan_one(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_refusal_is_an_error() {
        let body = r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
        assert!(StoredMessage::parse(body.as_bytes()).expect_err("a refusal").is_not_found());
    }

    /// A usual reply with a piece of it changed, removed, doubled or inserted.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            prop::sample::select(vec![
                "\"",
                "\\",
                "=",
                "A",
                ",",
                "}",
                "{",
                "0",
                " ",
                "\\u0041",
                "\"error\":{\"code\":400},",
                "\"seq\":7,",
                "\"data\":\"AAAA\",",
                "\"hdrs\":\"\",",
                "null",
                "é",
                "\"time\":\"\",",
            ])
            .prop_map(|text| text.into()),
        ];
        let place = any::<prop::sample::Index>();
        (prop::sample::select(&USUAL[..]), place, piece, 0..3_usize, 0..3_usize).prop_map(
            |(body, at, piece, removed, copies)| {
                let mut body = body.as_bytes().to_vec();
                let at = at.index(body.len());
                let end = (at + removed).min(body.len());
                body.splice(at..end, piece.repeat(copies));
                body
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_scan_never_disagrees_with_serde(body in damaged()) {
            for scanned in [scan_any(&body), scan_one(&body)].into_iter().flatten() {
                prop_assert_eq!(parse(&body), Ok(scanned), "{}", String::from_utf8_lossy(&body));
            }
        }

        #[test]
        fn every_message_is_scanned(
            payload in prop::collection::vec(any::<u8>(), 0..40),
            headers in prop::collection::vec(any::<u8>(), 0..40),
            seq: u64,
            subject in "[!#-Z^-~]{1,20}",
            time in r"(2024-02-29T12:34:56(\.[0-9]{1,9})?Z)?",
        ) {
            let data = STANDARD.encode(&payload);
            let headers = match STANDARD.encode(&headers) {
                none if none.is_empty() => none,
                some => format!(",\"hdrs\":\"{some}\""),
            };
            let body = format!(
                "{START}\"{subject}\",\"seq\":{seq}{headers},\"data\":\"{data}\",\"time\":\"{time}\"}}}}"
            );
            let message = scan_any(body.as_bytes()).expect("as usual");
            prop_assert_eq!(message.payload(), payload);
            prop_assert_eq!(message.sequence(), seq);
            prop_assert_eq!(message.subject(), subject);
            prop_assert_eq!(parse(body.as_bytes()), Ok(message));
        }
    }
}
