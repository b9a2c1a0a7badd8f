//! The answer of a replica that is asked for the last messages on a few subjects (`multi_last`): each of
//! them, and then up to which sequence it has read.
//!
//! Two readers for each message. `read_headers` goes through all of its headers. The scans compare the
//! block with the one that a message without headers of its own has to have, and the end; they give up
//! (`None`) on anything else, and never accept a block that the other would read differently.

use super::direct_read::{header_number, other_subject, read_headers, refusal_of_many};
use super::stored_message::{StoredMessage, StoredParts};
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use crate::jetstream::scan::Scan;
use evnats_protocol::Message;
use evnats_protocol::texts::is_same;

/// What the server has to have.
pub(super) const NEEDS: Requirement = Requirement::new(1, "multi_last");

/// The most subjects that are asked for at a time.
const MAX_MESSAGES: usize = 2;

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

/// What a replica has answered.
#[derive(Debug, Default)]
pub(crate) struct LastMessages {
    /// The last messages on those of the subjects that have any, in the order of the stream. Their subjects
    /// are the ends of those.
    messages: [Option<StoredMessage>; MAX_MESSAGES],
    /// The last sequence that the replica had. `None`: it had nothing on any of the subjects, and does
    /// not say then.
    pub(crate) up_to: Option<u64>,
}

impl LastMessages {
    /// Takes the message on the subject that ends so.
    #[inline]
    pub(crate) fn take_message(&mut self, end: &str) -> Option<StoredMessage> {
        let is_it = |message: &mut StoredMessage| is_same(message.subject_bytes(), end.as_bytes());
        self.messages.iter_mut().find_map(|message| message.take_if(is_it))
    }

    /// How far the replica has read at least.
    #[inline]
    pub(crate) fn newest(&self) -> u64 {
        let sequences = self.messages.iter().flatten().map(StoredMessage::sequence);
        sequences.max().max(self.up_to).unwrap_or_default()
    }

    /// Takes the next message of an answer, whose headers begin with `head` if they are as usual. Returns
    /// how the answer ends, if this is its end.
    #[inline]
    pub(super) fn add(&mut self, message: &Message, head: &Head) -> Option<Result<(), Error>> {
        let block = message.headers().as_bytes();
        if let Some(parts) = scan_message(block, head) {
            return self.keep(StoredParts { payload: message.payload(), ..parts });
        }
        match scan_end(block) {
            Some(up_to) if message.payload().is_empty() => {
                self.up_to = Some(up_to);
                Some(Ok(()))
            }
            _ => self.read(message, head),
        }
    }

    fn keep(&mut self, parts: StoredParts<'_>) -> Option<Result<(), Error>> {
        match self.messages.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some(StoredMessage::copy_of(parts));
                None
            }
            None => Some(Err(Error::Malformed("a message that was not asked for".into()))),
        }
    }

    fn read(&mut self, message: &Message, head: &Head) -> Option<Result<(), Error>> {
        let (mut up_to, mut is_of_many) = (None, false);
        let parts = read_headers(message, |name, value| match name {
            b"Nats-UpTo-Sequence" => up_to = header_number(value),
            b"Nats-Num-Pending" => is_of_many = true,
            _ => {}
        });
        match parts {
            Ok(_) if !is_of_many => {
                Some(Err(Error::Malformed("a message without the number of those to come".into())))
            }
            Ok(parts) => match parts.subject.strip_prefix(head.subjects()) {
                Some(subject) => self.keep(StoredParts { subject, ..parts }),
                None => Some(Err(other_subject(parts.subject))),
            },
            Err(Error::Api(error)) if error.code() == 204 => {
                self.up_to = up_to;
                Some(Ok(()))
            }
            Err(Error::Api(error)) if error.err_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Some(Ok(()))
            }
            Err(error) => Some(Err(refusal_of_many(error, NEEDS))),
        }
    }
}

/// The end of the headers of a message that is the only one.
const ONLY_ONE: &[u8] = b"\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 0\r\n\r\n";

/// Reads the server's headers of a message that has no others.
#[inline]
fn scan_message<'m>(block: &'m [u8], head: &Head) -> Option<StoredParts<'m>> {
    let mut scan = Scan::new(block);
    scan.literal(head.text.as_bytes())?;
    let subject = scan.word()?;
    scan.literal(b"\r\nNats-Sequence: ")?;
    let sequence = scan.number()?;
    scan.literal(b"\r\nNats-Time-Stamp: ")?;
    let time = scan.word()?;
    if scan.literal(ONLY_ONE).is_none() {
        scan.literal(b"\r\nNats-Num-Pending: ")?;
        scan.number()?;
        scan.literal(b"\r\nNats-Last-Sequence: ")?;
        scan.number()?;
        scan.literal(b"\r\n\r\n")?;
    }
    scan.is_at_end().then_some(StoredParts { sequence, subject, time, ..StoredParts::default() })
}

/// Reads the headers of the end of an answer: the last sequence.
#[inline]
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

    /// Takes a message by the scans, if they accept it, and by the reader, and compares.
    fn compare(block: &[u8], payload: &[u8]) -> Result<(), TestCaseError> {
        let message = message(block, payload);
        let (mut scanned, mut read) = (LastMessages::default(), LastMessages::default());
        let one = scanned.add(&message, &head());
        let other = read.read(&message, &head());
        prop_assert_eq!(one, other);
        prop_assert_eq!(scanned.up_to, read.up_to);
        let [one, _] = scanned.messages;
        let [other, _] = read.messages;
        let parts = |message: StoredMessage| {
            (
                message.sequence(),
                message.subject().into_owned(),
                message.time(),
                message.payload_to_bytes(),
            )
        };
        prop_assert_eq!(one.map(parts), other.map(parts));
        Ok(())
    }

    #[test]
    fn usual_answers_are_scanned() {
        let parts = scan_message(USUAL.as_bytes(), &head()).expect("a message");
        assert_eq!((parts.subject, parts.sequence), (&b"k"[..], 12));
        let parts = scan_message(ONE_OF_TWO.as_bytes(), &head()).expect("a message");
        assert_eq!((parts.subject, parts.sequence), (&b"k"[..], 12_345_678));
        assert_eq!(scan_end(END.as_bytes()), Some(34));
        let mut answer = LastMessages::default();
        assert_eq!(answer.add(&message(USUAL.as_bytes(), b"v"), &head()), None);
        assert_eq!(answer.add(&message(END.as_bytes(), b""), &head()), Some(Ok(())));
        assert_eq!((answer.up_to, answer.messages.iter().flatten().count()), (Some(34), 1));
    }

    #[test]
    fn more_messages_than_were_asked_for_are_an_error() {
        let mut answer = LastMessages::default();
        for _ in 0..MAX_MESSAGES {
            assert_eq!(answer.add(&message(USUAL.as_bytes(), b"v"), &head()), None);
        }
        let refused = answer.add(&message(USUAL.as_bytes(), b"v"), &head());
        assert!(matches!(refused, Some(Err(Error::Malformed(_)))));
    }

    #[test]
    fn nothing_found_is_an_answer_that_says_nothing() {
        let mut answer = LastMessages::default();
        let nothing = message(b"NATS/1.0 404 No Results\r\n\r\n", b"");
        assert_eq!(answer.add(&nothing, &head()), Some(Ok(())));
        assert_eq!(answer.up_to, None);
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
    }
}
