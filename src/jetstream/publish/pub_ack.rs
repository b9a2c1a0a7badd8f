//! The publish acknowledgement: the proof that a stream stored a message.
//!
//! Three readers for one format. `parse_pub_ack` reads everything. `scan_pub_ack` reads, without
//! allocating, the shapes that servers write in practice, and `KnownAck` the most usual one of a stream
//! that is known. These give up (`None`) on anything else and never accept a body which the full
//! reader would read differently.
//! Neither looks at message headers: a `503` status without a body has to be caught before.

use crate::jetstream::envelope::{ResponseError, parse_response};
use crate::jetstream::scan::Scan;
use crate::jetstream::wire::null_as_default;
use serde::de::{Deserialize, Deserializer};
use std::sync::Arc;

/// What a stream answers once it has stored a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[non_exhaustive]
pub struct PubAck {
    /// The stream that stored the message.
    #[serde(deserialize_with = "shared")]
    pub stream: Arc<str>,
    /// The message's sequence in the stream. For a duplicate: that of the first copy.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// The JetStream domain of the server, if it has one.
    #[serde(default)]
    pub domain: Option<String>,
    /// Whether a message with the same `Nats-Msg-Id` had been stored before, so that this one was
    /// not.
    #[serde(default, deserialize_with = "null_as_default")]
    pub duplicate: bool,
    /// The new total of a counter, as a decimal number of any length (2.12).
    #[serde(default, rename = "val")]
    pub value: Option<String>,
    /// The id of the batch that this acknowledgement commits (2.12).
    #[serde(default, rename = "batch")]
    pub batch_id: Option<String>,
    /// The number of messages in that batch (2.12).
    #[serde(default, rename = "count")]
    pub batch_size: Option<u64>,
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}

/// Decodes the reply to a publish.
///
/// # Errors
///
/// [`ResponseError::Api`] if the stream refused the message; [`ResponseError::Malformed`] if the
/// body is no acknowledgement, which includes one that names no stream: a core subscriber may
/// answer the same request.
pub(crate) fn parse_pub_ack(body: &[u8]) -> Result<PubAck, ResponseError> {
    let ack: PubAck = parse_response(body)?;
    if ack.stream.is_empty() {
        return Err(ResponseError::Malformed("publish acknowledgement without a stream".into()));
    }
    Ok(ack)
}

/// A successful acknowledgement in one of the usual shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScannedAck<'a> {
    pub(crate) stream: &'a str,
    pub(crate) sequence: u64,
    domain: Option<&'a str>,
    duplicate: bool,
}

/// The acknowledgement of one stream, whose start is always the same, so that it is compared instead
/// of read.
#[derive(Debug)]
pub(crate) struct KnownAck {
    pub(crate) stream: Arc<str>,
    /// What it begins with, up to the sequence.
    start: String,
}

/// Between the stream's name and its sequence, where older servers have a space in front.
const SEQUENCE: &str = "\"seq\":";

impl KnownAck {
    /// The stream's name needs no escapes in JSON.
    pub(crate) fn new(stream: &str) -> Self {
        // without a name it is that of no stream, and no acknowledgement begins so
        let name = if stream.is_empty() { "\0" } else { stream };
        Self { stream: stream.into(), start: format!("{{\"stream\":\"{name}\",{SEQUENCE}") }
    }

    /// The sequence in this stream's acknowledgement, if there is no more to it. `None` says nothing
    /// about the body: [`scan_pub_ack`] has to be asked.
    #[inline(always)]
    pub(crate) fn sequence(&self, body: &[u8]) -> Option<u64> {
        let mut scan = Scan::new(body);
        if scan.known(self.start.as_bytes()).is_none() {
            self.skip_start_with_space(&mut scan)?;
        }
        let sequence = scan.number()?;
        scan.literal(b"}").filter(|()| scan.is_at_end())?;
        Some(sequence)
    }

    #[inline(never)]
    fn skip_start_with_space(&self, scan: &mut Scan<'_>) -> Option<()> {
        let (name, sequence) = self.start.as_bytes().split_at(self.start.len() - SEQUENCE.len());
        scan.literal(name)?;
        scan.literal(b" ")?;
        scan.literal(sequence)
    }

    /// Reads an acknowledgement of this stream, or of another one, which is the known one then.
    pub(crate) fn read(&mut self, body: &[u8]) -> Result<PubAck, ResponseError> {
        if let Some(sequence) = self.sequence(body) {
            return Ok(PubAck { stream: self.stream.clone(), sequence, ..PubAck::default() });
        }
        let Some(scanned) = scan_pub_ack(body) else { return parse_pub_ack(body) };
        if *self.stream != *scanned.stream {
            *self = Self::new(scanned.stream);
        }
        Ok(PubAck {
            stream: self.stream.clone(),
            sequence: scanned.sequence,
            domain: scanned.domain.map(str::to_owned),
            duplicate: scanned.duplicate,
            ..PubAck::default()
        })
    }
}

/// Reads a successful acknowledgement in one of the usual shapes, else `None`, which says nothing
/// about the body: [`parse_pub_ack`] has to be asked.
pub(crate) fn scan_pub_ack(body: &[u8]) -> Option<ScannedAck<'_>> {
    let mut scan = Scan::new(body);
    scan.literal(b"{\"stream\":")?;
    scan.spaces();
    let stream = scan.string().filter(|stream| !stream.is_empty())?;
    scan.literal(b",")?;
    scan.spaces();
    scan.literal(b"\"seq\":")?;
    scan.spaces();
    let sequence = scan.number()?;
    // each member at most once: the full reader rejects a repeated one
    let (mut domain, mut duplicate) = (None, None);
    loop {
        scan.spaces();
        if scan.literal(b"}").is_some() {
            let duplicate = duplicate.unwrap_or(false);
            let ack = ScannedAck { stream, sequence, domain, duplicate };
            return scan.is_at_end().then_some(ack);
        }
        scan.literal(b",")?;
        scan.spaces();
        if domain.is_none() && scan.literal(b"\"domain\":").is_some() {
            scan.spaces();
            domain = Some(scan.string()?);
        } else if duplicate.is_none() && scan.literal(b"\"duplicate\":").is_some() {
            scan.spaces();
            let is_true = scan.literal(b"true").is_some();
            if !is_true {
                scan.literal(b"false")?;
            }
            duplicate = Some(is_true);
        } else {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is scanned, read by one that knows no stream, another one, and this one.
    fn scan(body: &[u8]) -> Option<PubAck> {
        scan_pub_ack(body)?;
        let mut known = KnownAck::new("");
        let read = known.read(body).ok();
        for mut known in [known, KnownAck::new("T"), KnownAck::new("KV_bucket")] {
            assert_eq!(known.read(body).ok(), read, "{}", String::from_utf8_lossy(body));
        }
        read
    }

    #[test]
    fn a_streams_name_is_copied_once() {
        let mut known = KnownAck::new("");
        let mut read = |body: &str| known.read(body.as_bytes()).expect("an acknowledgement").stream;
        let first = read(r#"{"stream":"T","seq":1}"#);
        assert!(Arc::ptr_eq(&first, &read(r#"{"stream":"T", "seq":2}"#)));
        assert!(Arc::ptr_eq(&first, &read(r#"{"stream":"T","seq":2,"duplicate":true}"#)));
        assert_eq!(&*read(r#"{"stream":"U", "seq":1}"#), "U");
    }

    #[test]
    fn usual_shapes_are_scanned() {
        for (body, sequence) in [
            (r#"{"stream":"T","seq":1}"#, 1),
            (r#"{"stream":"T", "seq":12}"#, 12),
            (r#"{"stream":"KV_b","seq":123,"domain":"hub"}"#, 123),
            (r#"{"stream":"T", "seq":1,"duplicate": true}"#, 1),
            (r#"{"stream":"T","seq":5,"domain":"hub","duplicate":true}"#, 5),
            (r#"{"stream":"T","seq":18446744073709551615}"#, u64::MAX),
            (r#"{"stream":"T", "seq":18446744073709551615}"#, u64::MAX),
        ] {
            let scanned = scan(body.as_bytes()).expect(body);
            assert_eq!(scanned.sequence, sequence, "{body}");
            assert_eq!(parse_pub_ack(body.as_bytes()), Ok(scanned), "{body}");
        }
    }

    #[test]
    fn other_shapes_are_left_to_the_parser() {
        for body in [
            "",
            "{}",
            r#"{"stream":"","seq":1}"#,
            r#"{"stream":"T","seq":}"#,
            r#"{"stream":"T","seq":01}"#,
            r#"{"stream":"T","seq":-1}"#,
            r#"{"stream":"T","seq":1.5}"#,
            r#"{"stream":"T","seq":1e3}"#,
            r#"{"stream":"T","seq":18446744073709551616}"#,
            r#"{"stream":"a\"b","seq":1}"#,
            r#"{"stream":"é","seq":1}"#,
            r#"{"stream":"T","seq":1}x"#,
            r#"{"stream":"T","seq":1"#,
            r#"{"stream":"T","seq":1,}"#,
            r#"{"stream":"T", "seq":01}"#,
            r#"{"stream":"T", "seq":1}}"#,
            r#"{"stream":"T", "seq":18446744073709551616}"#,
            r#"{"stream":"T","seq":1,"domain":"a","domain":"b"}"#,
            r#"{"stream":"T","seq":1,"duplicate":true,"duplicate":true}"#,
            r#"{"stream":"T","seq":1,"val":"3"}"#,
            r#"{"error":{"code":400,"err_code":10071},"stream":"T","seq":0}"#,
            r#"{"stream":"T","seq":0,"error":{"code":400}}"#,
        ] {
            assert_eq!(scan(body.as_bytes()), None, "{body}");
            assert_eq!(KnownAck::new("T").sequence(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn parses_every_member() {
        let body = r#"{"stream":"C","seq":9,"domain":"hub","duplicate":true,"val":"100",
            "batch":"id","count":3,"new":[]}"#;
        let ack = parse_pub_ack(body.as_bytes()).unwrap();
        assert_eq!(
            ack,
            PubAck {
                stream: "C".into(),
                sequence: 9,
                domain: Some("hub".into()),
                duplicate: true,
                value: Some("100".into()),
                batch_id: Some("id".into()),
                batch_size: Some(3),
            }
        );
    }

    #[test]
    fn failure_carries_stream_and_sequence_too() {
        let body = r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},
            "stream":"T","seq":0}"#;
        let Err(ResponseError::Api(error)) = parse_pub_ack(body.as_bytes()) else { panic!() };
        assert_eq!(error.current_sequence(), Some(3));
    }

    #[test]
    fn not_an_acknowledgement() {
        for body in ["", "ok", "{}", r#"{"stream":"","seq":1}"#, r#"{"stream":"T"}"#] {
            let result = parse_pub_ack(body.as_bytes());
            assert!(matches!(result, Err(ResponseError::Malformed(_))), "{body}");
        }
    }

    /// Pieces that combine into acknowledgements, and into bodies that nearly are.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => prop::sample::select(vec![
                "{\"stream\":\"T\",\"seq\":1", "{", "}", ",", ":", " ", "\"", "\\", "\n", "\t",
                "\"stream\":", "\"seq\":", "\"domain\":", "\"duplicate\":", "\"error\":", "\"val\":",
                "\"T\"", "\"\"", "true", "false", "null", "0", "1", "99", "-", ".", "e", "é",
                "{\"code\":400}", "18446744073709551615", "18446744073709551616", "\\u0065rror",
                ",\"domain\":\"d\"", ",\"duplicate\": true",
            ]).prop_map(String::from),
            1 => any::<String>(),
        ]
    }

    /// A well-formed acknowledgement with one byte changed, removed or doubled.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let shape = prop::sample::select(vec![
            r#"{"stream":"T","seq":1}"#,
            r#"{"stream":"KV_bucket", "seq":1234567890123456789}"#,
            r#"{"stream":"T","seq":18446744073709551615,"domain":"hub","duplicate": true}"#,
            r#"{"stream":"T", "seq":10,"duplicate":false,"domain":""}"#,
        ]);
        (shape, any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(
            |(shape, at, byte, how)| {
                let mut body = shape.as_bytes().to_vec();
                let at = at.index(body.len());
                match how {
                    0 => body[at] = byte,
                    1 => drop(body.remove(at)),
                    2 => body.insert(at, body[at]),
                    _ => body.insert(at, byte),
                }
                body
            },
        )
    }

    fn agrees(body: &[u8]) -> Result<(), TestCaseError> {
        if let Some(scanned) = scan(body) {
            prop_assert_eq!(parse_pub_ack(body), Ok(scanned), "{:?}", body);
        }
        for stream in ["T", "KV_bucket"] {
            if let Some(sequence) = KnownAck::new(stream).sequence(body) {
                let ack = PubAck { stream: stream.into(), sequence, ..PubAck::default() };
                prop_assert_eq!(parse_pub_ack(body), Ok(ack), "{:?}", body);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn scan_never_disagrees_with_the_parser(pieces in prop::collection::vec(piece(), 0..8)) {
            agrees(pieces.concat().as_bytes())?;
            agrees(format!("{{\"stream\":\"T\",\"seq\":7{}}}", pieces.concat()).as_bytes())?;
        }

        #[test]
        fn scan_never_disagrees_on_damaged_bodies(body in mutated()) {
            agrees(&body)?;
        }
    }
}
