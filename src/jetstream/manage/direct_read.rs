//! Direct reads, which any replica answers: the request for the last message on a subject, put
//! together once for all of them, and the reply, which is the message itself with what the server
//! says of it in headers.
//!
//! Two readers for one reply. `read_headers` goes through all of them. `scan_headers` compares the
//! block with the one that a message without headers of its own has to have; it gives up (`None`) on
//! anything else, and never accepts a block that the other would read differently.

use super::stored_message::{StoredMessage, StoredParts};
use crate::client::{OnReply, Reply};
use crate::jetstream::api::Api;
use crate::jetstream::api_error::{ApiError, ErrorCode};
use crate::jetstream::error::Error;
use crate::jetstream::joined::JoinedSubject;
use crate::jetstream::level::Requirement;
use crate::jetstream::scan::Scan;
use evnats_protocol::{Message, Payload};

/// Direct reads of the last message on subjects with a common start.
///
/// The subject is part of the request's own subject, which spares the server a document; the request
/// must not have a body then.
pub(crate) struct DirectReads {
    subject: JoinedSubject,
    /// What the headers of a reply begin with, up to the end of the subject.
    headers: String,
}

impl DirectReads {
    pub(crate) fn new(api: &Api, stream: &str, subjects: &str) -> Self {
        let prefix = api.prefix();
        Self {
            subject: JoinedSubject::new(format!("{prefix}.DIRECT.GET.{stream}.{subjects}")),
            headers: format!("NATS/1.0\r\nNats-Stream: {stream}\r\nNats-Subject: {subjects}"),
        }
    }

    /// Reads the last message on the subject that ends so, which has been checked. The reply is for
    /// [`scan_headers`](Self::scan_headers), and for [`read_headers`] if that gives up.
    #[inline]
    pub(crate) fn last(&self, api: &Api, end: &str, awaiting: OnReply) {
        let subject = self.subject.ending(end);
        api.request_for(subject.message(Payload::default()), awaiting);
    }

    /// Reads the server's headers of a message that has no others, and whose subject ends so. The
    /// subject that is returned is that end. `None` says nothing about the reply.
    #[inline(always)]
    pub(crate) fn scan_headers<'m>(
        &self,
        reply: &'m Message,
        end: &'m str,
    ) -> Option<StoredParts<'m>> {
        let block = reply.headers().as_bytes();
        let mut scan = Scan::new(block);
        scan.literal(self.headers.as_bytes())?;
        scan.known(end.as_bytes())?;
        scan.literal(b"\r\nNats-Sequence: ")?;
        let sequence = scan.number()?;
        scan.literal(b"\r\nNats-Time-Stamp: ")?;
        let time = scan.time_before(b"\r\n\r\n")?;
        let (subject, payload) = (end.as_bytes(), reply.payload());
        Some(StoredParts { sequence, subject, time, headers: b"", payload })
    }
}

/// Reads the server's headers of a direct read, and shows the others to `note`. The last occurrence
/// counts, because a publisher may have stored headers of the same names. So may he have stored a
/// status: what has all of the server's headers is a message.
pub(crate) fn read_headers(
    reply: &Message,
    mut note: impl FnMut(&[u8], &[u8]),
) -> Result<StoredParts<'_>, Error> {
    let (mut subject, mut sequence, mut time) = (None, None, None);
    for (name, value) in reply.headers().iter_bytes() {
        match name {
            b"Nats-Subject" => subject = Some(value),
            b"Nats-Sequence" => sequence = std::str::from_utf8(value).ok(),
            b"Nats-Time-Stamp" => time = Some(value),
            _ => note(name, value),
        }
    }
    let sequence = sequence.and_then(|sequence| sequence.parse().ok());
    if let (Some(subject), Some(sequence), Some(time)) = (subject, sequence, time) {
        let (headers, payload) = (reply.headers().as_bytes(), reply.payload());
        return Ok(StoredParts { sequence, subject, time, headers, payload });
    }
    let Some(status) = reply.headers().status() else {
        return Err(Error::Malformed("a direct read without the server's headers".into()));
    };
    let description = String::from_utf8_lossy(status.description).into_owned();
    let err_code = match status.code {
        404 => ErrorCode::NO_MESSAGE_FOUND,
        _ => ErrorCode(0),
    };
    Err(Error::Api(ApiError::new(status.code, err_code, description)))
}

/// A read has brought a message on a subject that was not asked for.
#[cold]
pub(crate) fn other_subject(subject: &[u8]) -> Error {
    Error::Malformed(format!("a read that answers with {}", String::from_utf8_lossy(subject)))
}

/// What a refusal of a read of many messages means. A server before 2.11 knows nothing of what is in such a
/// request, and calls it empty, which none is.
pub(super) fn refusal_of_many(refusal: Error, needs: Requirement) -> Error {
    match refusal {
        Error::Api(error) if error.description() == "Empty Request" => needs.unmet(),
        Error::Api(error) if error.code() == 503 => Error::NotAvailable,
        refusal => refusal,
    }
}

/// A number in a header of the server's.
pub(super) fn header_number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A direct read's reply as a message to keep.
pub(super) fn stored_message(reply: Reply<'_>) -> Result<StoredMessage, Error> {
    let reply = reply.map_err(Error::from_api_request)?;
    read_headers(reply, |_, _| {}).map(StoredMessage::copy_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USUAL: &str = "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.k\r\n\
                         Nats-Sequence: 12\r\nNats-Time-Stamp: 2024-02-29T12:34:56.123456789Z\r\n\r\n";

    fn reads() -> DirectReads {
        DirectReads {
            subject: JoinedSubject::new(String::new()),
            headers: "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.".into(),
        }
    }

    fn reply(block: &[u8]) -> Message {
        Message::new("_INBOX.1", 1, None, Some(block), b"value")
    }

    /// Holds what was scanned against what is read. Returns whether something was scanned.
    fn compare(block: &[u8]) -> Result<bool, TestCaseError> {
        let (reads, reply) = (reads(), reply(block));
        let Some(scanned) = reads.scan_headers(&reply, "k") else { return Ok(false) };
        let mut others = Vec::new();
        let read = read_headers(&reply, |name, _| others.push(name.to_vec())).expect("a message");
        prop_assert_eq!(others, [b"Nats-Stream"]);
        prop_assert_eq!(read.subject.strip_prefix(b"$KV.b."), Some(scanned.subject));
        prop_assert_eq!((read.sequence, read.time), (scanned.sequence, scanned.time));
        prop_assert_eq!(read.payload, scanned.payload);
        Ok(true)
    }

    #[test]
    fn usual_headers_are_scanned() {
        assert!(compare(USUAL.as_bytes()).expect("the same"));
    }

    #[test]
    fn other_headers_are_read() {
        for (from, to) in [
            ("NATS/1.0", "NATS/1.0 404"),
            ("KV_b", "KV_mirror"),
            ("b.k\r", "b.key\r"),
            ("12\r", "+12\r"),
            ("Z\r\n", "Z\r\nKV-Operation: DEL\r\n"),
            ("2024", " 2024"),
            ("Z\r\n", "Z \r\n"),
            ("\r\n\r\n", "\r\n"),
        ] {
            let block = USUAL.replacen(from, to, 1);
            assert!(!compare(block.as_bytes()).expect("nothing"), "{block}");
        }
    }

    #[test]
    fn a_status_that_somebody_has_stored_is_none_of_the_read() {
        let stored = USUAL.replacen("NATS/1.0", "NATS/1.0 404 Message Not Found", 1);
        let reply = reply(stored.as_bytes());
        assert_eq!(read_headers(&reply, |_, _| {}).expect("a message").sequence, 12);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_scan_never_disagrees_with_the_reader(
            at: prop::sample::Index,
            piece in prop_oneof!["[\r\n :A0]{0,3}", any::<char>().prop_map(String::from)],
            removed in 0..3_usize,
        ) {
            let mut block = USUAL.as_bytes().to_vec();
            let at = at.index(block.len());
            let end = (at + removed).min(block.len());
            block.splice(at..end, piece.into_bytes());
            compare(&block)?;
        }

        #[test]
        fn every_message_without_headers_is_scanned(
            sequence: u64,
            time in r"2024-02-29T12:34:56(\.[0-9]{1,9})?Z",
        ) {
            let block = USUAL.replace("12\r", &format!("{sequence}\r"));
            let block = block.replace("2024-02-29T12:34:56.123456789Z", &time);
            prop_assert!(compare(block.as_bytes())?, "{}", block);
        }
    }
}
