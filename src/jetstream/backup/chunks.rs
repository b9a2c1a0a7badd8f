//! The chunks of a snapshot as they come: which is the next one, and where they end. No I/O.
//!
//! Invariant: chunks are handed on in the order of the server, and an end is a good one only if none
//! of those is missing that the server has numbered.

use super::document::StreamBackup;
use crate::jetstream::api_error::{ApiError, ErrorCode};
use crate::jetstream::error::Error;
use evnats_protocol::Message;

/// A part of a snapshot. All of them, one behind the other, are the `stream.tar.s2` of the `nats` tool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotChunk {
    /// The bytes.
    pub data: Vec<u8>,
    /// How many bytes have come, these included.
    pub received: u64,
    /// How many bytes the stream's messages have. The snapshot has about as many, or fewer if they can
    /// be compressed. `None`: the server has not told yet.
    pub stream_bytes: Option<u64>,
}

/// What is to be done with a message.
#[expect(clippy::large_enum_variant, reason = "it is used up where it was made")]
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// A chunk, and the subject on which the server waits for its acknowledgement.
    Chunk(SnapshotChunk, Option<String>),
    /// The end has come, and the description of the stream is still to come.
    Wait,
    Ended(Result<StreamBackup, Error>),
}

/// What has come.
#[derive(Default)]
pub(super) struct Chunks {
    backup: Option<StreamBackup>,
    count: u64,
    received: u64,
    is_over: bool,
}

impl Chunks {
    /// Takes the server's description of the stream.
    pub(super) fn handle_backup(&mut self, backup: StreamBackup) -> Step {
        match self.is_over {
            true => Step::Ended(Ok(backup)),
            false => {
                self.backup = Some(backup);
                Step::Wait
            }
        }
    }

    /// Takes a message to the inbox of the snapshot.
    pub(super) fn handle_message(&mut self, message: &Message) -> Step {
        if message.payload().is_empty() {
            return self.handle_end(message);
        }
        let ack = message.reply().map(|subject| subject.into_owned());
        self.count += 1;
        let number = ack.as_deref().and_then(number).unwrap_or(self.count);
        if number != self.count {
            let text = format!("chunk {number} of a snapshot came as number {}", self.count);
            return Step::Ended(Err(Error::Malformed(text)));
        }
        self.received = self.received.saturating_add(message.payload().len() as u64);
        let stream_bytes = self.backup.as_ref().map(|backup| backup.state().bytes);
        let data = message.payload().to_vec();
        Step::Chunk(SnapshotChunk { data, received: self.received, stream_bytes }, ack)
    }

    /// Takes an end. Servers before 2.10 give it no status.
    fn handle_end(&mut self, message: &Message) -> Step {
        if let Some(status) = message.headers().status().filter(|status| status.code != 204) {
            let text = String::from_utf8_lossy(status.description).into_owned();
            let error = match status.code {
                // nobody is there who could be asked
                503 => Error::NotAvailable,
                code => Error::Api(ApiError::new(code, ErrorCode(0), text)),
            };
            return Step::Ended(Err(error));
        }
        self.is_over = true;
        self.backup.take().map_or(Step::Wait, |backup| Step::Ended(Ok(backup)))
    }
}

/// The number of a chunk, from 1, which is the last token of the subject for its acknowledgement.
fn number(ack: &str) -> Option<u64> {
    ack.starts_with("$JS.SNAPSHOT.ACK.").then(|| ack.rsplit('.').next()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::api::ApiReply;
    use proptest::prelude::*;

    fn chunk(reply: Option<&str>, data: &[u8]) -> Message {
        Message::new("_INBOX.1", 1, reply, None, data)
    }

    fn end(status: &str) -> Message {
        let block = format!("NATS/1.0 {status}\r\n\r\n");
        Message::new("_INBOX.1", 1, None, Some(block.as_bytes()), b"")
    }

    fn backup() -> StreamBackup {
        StreamBackup::parse(br#"{"config":{"name":"S"},"state":{"bytes":9}}"#).expect("a backup")
    }

    #[test]
    fn chunks_are_counted_and_acknowledged_up_to_the_end() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.handle_backup(backup()), Step::Wait);
        let subject = "$JS.SNAPSHOT.ACK.S.x.3.1";
        let first = SnapshotChunk { data: b"abc".into(), received: 3, stream_bytes: Some(9) };
        let step = chunks.handle_message(&chunk(Some(subject), b"abc"));
        assert_eq!(step, Step::Chunk(first, Some(subject.into())));
        // the last one need not be acknowledged
        let last = SnapshotChunk { data: b"d".into(), received: 4, stream_bytes: Some(9) };
        assert_eq!(chunks.handle_message(&chunk(None, b"d")), Step::Chunk(last, None));
        assert_eq!(chunks.handle_message(&end("204")), Step::Ended(Ok(backup())));
    }

    #[test]
    fn the_description_may_come_last() {
        let mut chunks = Chunks::default();
        let Step::Chunk(first, _) = chunks.handle_message(&chunk(None, b"a")) else { panic!() };
        assert_eq!(first.stream_bytes, None);
        assert_eq!(chunks.handle_message(&chunk(None, b"")), Step::Wait);
        assert_eq!(chunks.handle_backup(backup()), Step::Ended(Ok(backup())));
    }

    #[test]
    fn a_chunk_that_is_missing_ends_it() {
        let mut chunks = Chunks::default();
        chunks.handle_message(&chunk(Some("$JS.SNAPSHOT.ACK.S.x.1.1"), b"a"));
        let step = chunks.handle_message(&chunk(Some("$JS.SNAPSHOT.ACK.S.x.1.3"), b"c"));
        let text = "chunk 3 of a snapshot came as number 2".into();
        assert_eq!(step, Step::Ended(Err(Error::Malformed(text))));
    }

    #[test]
    fn a_status_that_is_no_good_end_is_an_error() {
        for (status, code) in [("408 No Flow Response", 408), ("500 disk", 500)] {
            let step = Chunks::default().handle_message(&end(status));
            let Step::Ended(Err(error)) = step else { panic!("{step:?}") };
            assert_eq!(error.api().map(ApiError::code), Some(code));
        }
        let step = Chunks::default().handle_message(&end("503"));
        assert_eq!(step, Step::Ended(Err(Error::NotAvailable)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_counted_or_ends_it(
            messages in prop::collection::vec(("[$.A-Z0-9]{0,24}", any::<bool>(), ".{0,8}"), 0..20)
        ) {
            let (mut chunks, mut bytes) = (Chunks::default(), 0);
            for (reply, is_numbered, data) in messages {
                let reply = if is_numbered { format!("$JS.SNAPSHOT.ACK.{reply}") } else { reply };
                if let Step::Chunk(chunk, _) =
                    chunks.handle_message(&chunk(Some(&reply), data.as_bytes()))
                {
                    bytes += chunk.data.len() as u64;
                    prop_assert_eq!(chunk.received, bytes);
                }
            }
        }
    }
}
