//! The answer of a replica that is asked for the last messages on a few subjects (`multi_last`), piece by
//! piece: each of them, and then up to which sequence it has read.
//!
//! Two readers for each message. `read_headers` goes through all of its headers. The scans compare the
//! block with the one that a message without headers of its own has to have, and the end; they give up
//! (`None`) on anything else, and never accept a block that the other would read differently.

use super::direct_read::{header_number, other_subject, read_headers, refusal_of_many};
use super::stored_message::StoredParts;
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use crate::jetstream::scan::Scan;
use evnats_protocol::Message;

/// What the server has to have.
pub(super) const NEEDS: Requirement = Requirement::new(1, "multi_last");

/// What the headers of a message begin with, up to where the subjects of one stream are no longer the
/// same.
pub(super) struct Head {
    text: String,
    subjects_start: usize,
}

impl Head {
    pub(super) fn new(stream: &str, subjects: &str) -> Self {
        let before = format!("NATS/1.0\r\nNats-Stream: {stream}\r\nNats-Subject: ");
        Self { subjects_start: before.len(), text: before + subjects }
    }

    /// What all subjects begin with.
    fn subjects(&self) -> &[u8] {
        &self.text.as_bytes()[self.subjects_start..]
    }
}

/// What a message of an answer is.
pub(super) enum Piece<'m> {
    /// The last message on one of the subjects, of which only the end is shown.
    Message(StoredParts<'m>),
    /// The end: the last sequence that the replica had. `None`: it had nothing on any of the subjects, and
    /// does not say then.
    End(Option<u64>),
}

impl<'m> Piece<'m> {
    /// Reads the next message of an answer in its usual shape, whose headers begin with `head`, and whose
    /// subject ends with the only one, if that is known. `None` says nothing about it.
    #[inline(always)]
    pub(super) fn scan(message: &'m Message, head: &Head, only_end: Option<&str>) -> Option<Self> {
        let block = message.headers().as_bytes();
        if block.len() == message.len()
            && let Some(up_to) = scan_end(block)
        {
            return Some(Self::End(Some(up_to)));
        }
        let parts = scan_message(block, head, only_end)?;
        Some(Self::Message(StoredParts { payload: message.payload(), ..parts }))
    }

    /// Reads the next message of an answer, whatever it looks like.
    pub(super) fn read(message: &'m Message, head: &Head) -> Result<Self, Error> {
        let (mut up_to, mut is_of_many) = (None, false);
        let parts = read_headers(message, |name, value| match name {
            b"Nats-UpTo-Sequence" => up_to = header_number(value),
            b"Nats-Num-Pending" => is_of_many = true,
            _ => {}
        });
        match parts {
            Ok(_) if !is_of_many => {
                Err(Error::Malformed("a message without the number of those to come".into()))
            }
            Ok(parts) => match parts.subject.strip_prefix(head.subjects()) {
                Some(subject) => Ok(Self::Message(StoredParts { subject, ..parts })),
                None => Err(other_subject(parts.subject)),
            },
            Err(Error::Api(error)) if error.code() == 204 => Ok(Self::End(up_to)),
            Err(Error::Api(error)) if error.err_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Ok(Self::End(None))
            }
            Err(refusal) => Err(refusal_of_many(refusal, NEEDS)),
        }
    }
}

/// The end of the headers of a message that is the only one.
const ONLY_ONE: &[u8] = b"\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 0\r\n\r\n";

/// Reads the server's headers of a message that has no others.
#[inline(always)]
fn scan_message<'m>(
    block: &'m [u8],
    head: &Head,
    only_end: Option<&str>,
) -> Option<StoredParts<'m>> {
    let mut scan = Scan::new(block);
    scan.literal(head.text.as_bytes())?;
    let subject = match only_end {
        Some(end) => scan.known(end.as_bytes())?,
        None => scan.word()?,
    };
    scan.literal(b"\r\nNats-Sequence: ")?;
    let sequence = scan.number()?;
    scan.literal(b"\r\nNats-Time-Stamp: ")?;
    let mut rest = scan;
    let time = rest.time_before(ONLY_ONE).or_else(|| scan_time_of_many(scan))?;
    Some(StoredParts { sequence, subject, time, ..StoredParts::default() })
}

/// Reads the time of a message that is not the only one, and the rest of its headers.
#[inline(never)]
fn scan_time_of_many(mut scan: Scan<'_>) -> Option<&[u8]> {
    let time = scan.word()?;
    scan.literal(b"\r\nNats-Num-Pending: ")?;
    scan.number()?;
    scan.literal(b"\r\nNats-Last-Sequence: ")?;
    scan.number()?;
    scan.literal(b"\r\n\r\n")?;
    scan.is_at_end().then_some(time)
}

/// Reads the headers of the end of an answer: the last sequence.
#[inline(always)]
fn scan_end(block: &[u8]) -> Option<u64> {
    let mut scan = Scan::new(block);
    scan.literal(b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: ")?;
    scan.number()?;
    scan.literal(b"\r\nNats-UpTo-Sequence: ")?;
    let up_to = scan.number()?;
    scan.literal(b"\r\n\r\n")?;
    scan.is_at_end().then_some(up_to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USUAL: &str = "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.k\r\n\
                         Nats-Sequence: 12\r\nNats-Time-Stamp: 2024-02-29T12:34:56.123456789Z\r\n\
                         Nats-Num-Pending: 0\r\nNats-Last-Sequence: 0\r\n\r\n";
    const ONE_OF_TWO: &str = "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.k\r\n\
         Nats-Sequence: 12345678\r\nNats-Time-Stamp: 2024-02-29T12:34:56Z\r\n\
         Nats-Num-Pending: 1\r\nNats-Last-Sequence: 0\r\n\r\n";
    const END: &str = "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 12\r\n\
                       Nats-UpTo-Sequence: 34\r\n\r\n";

    fn head() -> Head {
        Head::new("KV_b", "$KV.b.")
    }

    fn message(block: &[u8], payload: &[u8]) -> Message {
        Message::new("_INBOX.1", 1, None, Some(block), payload)
    }

    /// What a piece says: the sequence, and the texts of a message.
    fn contents(piece: Piece<'_>) -> (Option<u64>, Option<[&[u8]; 3]>) {
        match piece {
            Piece::Message(StoredParts { sequence, subject, time, payload, .. }) => {
                (Some(sequence), Some([subject, time, payload]))
            }
            Piece::End(up_to) => (up_to, None),
        }
    }

    /// Reads a message by the scans, if they accept it, and by the reader, and compares.
    fn compare(block: &[u8], payload: &[u8]) -> Result<(), TestCaseError> {
        let message = message(block, payload);
        for only_end in [None, Some("k")] {
            if let Some(scanned) = Piece::scan(&message, &head(), only_end).map(contents) {
                prop_assert_eq!(Piece::read(&message, &head()).map(contents), Ok(scanned));
            }
        }
        Ok(())
    }

    #[test]
    fn usual_answers_are_scanned() {
        let parts = scan_message(USUAL.as_bytes(), &head(), Some("k")).expect("a message");
        assert_eq!((parts.subject, parts.sequence), (&b"k"[..], 12));
        let parts = scan_message(ONE_OF_TWO.as_bytes(), &head(), None).expect("a message");
        assert_eq!((parts.subject, parts.sequence), (&b"k"[..], 12_345_678));
        assert_eq!(scan_end(END.as_bytes()), Some(34));
    }

    #[test]
    fn whatever_is_not_as_usual_is_left_to_the_reader() {
        for (from, to) in [
            ("NATS/1.0", "NATS/1.0 204 EOB"),
            ("KV_b", "KV_mirror"),
            ("12\r", "012\r"),
            ("Z\r\n", "Z\r\nKV-Operation: DEL\r\n"),
            ("Z\r\n", "Z \r\n"),
            ("2024", " 2024"),
            ("Pending: 0", "Pending: "),
            ("Last-Sequence: 0", "Last-Sequence: 0\r\nNats-UpTo-Sequence: 34"),
            ("\r\n\r\n", "\r\n"),
        ] {
            let block = USUAL.replacen(from, to, 1);
            assert!(scan_message(block.as_bytes(), &head(), None).is_none(), "{block}");
            assert!(scan_message(block.as_bytes(), &head(), Some("k")).is_none(), "{block}");
            assert_eq!(scan_end(block.as_bytes()), None, "{block}");
            compare(block.as_bytes(), b"v").expect("the same");
        }
        for (from, to) in [("34", "034"), ("EOB", "EOF"), ("Pending: 0", "Pending: 1"), ("34", "")]
        {
            let block = END.replacen(from, to, 1);
            assert_eq!(scan_end(block.as_bytes()), None, "{block}");
            compare(block.as_bytes(), b"").expect("the same");
        }
    }

    #[test]
    fn another_subject_than_the_only_one_is_left_to_the_reader() {
        for end in ["", "j", "ke", "key"] {
            let block = USUAL.replacen("b.k\r", &format!("b.{end}\r"), 1);
            assert!(scan_message(block.as_bytes(), &head(), Some("k")).is_none(), "{end}");
        }
    }

    #[test]
    fn an_end_with_a_payload_is_left_to_the_reader() {
        assert!(Piece::scan(&message(END.as_bytes(), b"v"), &head(), None).is_none());
    }

    #[test]
    fn nothing_found_is_an_answer_that_says_nothing() {
        let nothing = message(b"NATS/1.0 404 No Results\r\n\r\n", b"");
        assert!(Piece::scan(&nothing, &head(), None).is_none());
        assert_eq!(Piece::read(&nothing, &head()).map(contents), Ok((None, None)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn scans_never_disagree_with_the_reader(
            block in prop::sample::select(vec![USUAL, ONE_OF_TWO, END]),
            at: prop::sample::Index,
            piece in prop_oneof!["[\r\n :A0]{0,3}", any::<char>().prop_map(String::from)],
            removed in 0..3_usize,
            payload in "v?",
        ) {
            let mut block = block.as_bytes().to_vec();
            let at = at.index(block.len());
            let end = (at + removed).min(block.len());
            block.splice(at..end, piece.into_bytes());
            compare(&block, payload.as_bytes())?;
        }

        #[test]
        fn every_message_without_headers_is_scanned(
            sequence: u64,
            subject in "[!-~]{1,20}",
            time in r"2024-02-29T12:34:56(\.[0-9]{1,9})?Z",
            pending in 0..3_u64,
            last in 0..3_u64,
            payload in "v{0,3}",
        ) {
            let block = format!(
                "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.{subject}\r\n\
                 Nats-Sequence: {sequence}\r\nNats-Time-Stamp: {time}\r\n\
                 Nats-Num-Pending: {pending}\r\nNats-Last-Sequence: {last}\r\n\r\n"
            );
            for only_end in [None, Some(&*subject)] {
                let scanned = scan_message(block.as_bytes(), &head(), only_end);
                let scanned = scanned.expect("a message");
                prop_assert_eq!((scanned.sequence, scanned.subject), (sequence, subject.as_bytes()));
            }
            compare(block.as_bytes(), payload.as_bytes())?;
        }

        #[test]
        fn every_end_is_scanned(last: u64, up_to: u64) {
            let block = format!(
                "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: {last}\r\n\
                 Nats-UpTo-Sequence: {up_to}\r\n\r\n"
            );
            prop_assert_eq!(scan_end(block.as_bytes()), Some(up_to));
            compare(block.as_bytes(), b"")?;
        }
    }
}
