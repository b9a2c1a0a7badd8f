//! An entry: one revision of a key, whichever way it was read.

use crate::jetstream::{StoredMessage, StoredParts, Ttl};
use bytes::Bytes;
use evnats_protocol::Headers;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One revision of a key, in one piece of memory of its own. Cloning is cheap.
#[derive(Clone)]
pub struct Entry {
    bucket: Arc<str>,
    /// The key's message. Its subject ends with the key, and its headers are what the operation was
    /// read from, if they had to be copied for that.
    message: StoredMessage,
    key_start: usize,
    delta: u64,
    operation: Operation,
    /// When it was stored, if a watch has been told.
    time: Option<SystemTime>,
    /// For how many seconds it lives, as it says itself; 0: it says nothing, the most: for ever.
    ttl: u32,
}

/// What a revision did to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// It gave it a value.
    Put,
    /// It took the value away; older ones are kept in the history.
    Delete,
    /// It took the value away, with the history.
    Purge,
    /// The server removed the last value because its time was over (`Nats-Marker-Reason: MaxAge`,
    /// server 2.11). For a reader it is a purge.
    Expire,
}

impl Operation {
    /// Whether the key has no value after it.
    #[must_use]
    pub fn is_tombstone(self) -> bool {
        self != Self::Put
    }

    /// Reads it from a message's headers. Something unknown that a later client writes as an
    /// operation is taken for a deletion: it is no value in any case.
    #[inline(always)]
    pub(in crate::kv) fn of(headers: Headers<'_>) -> Self {
        if headers.is_empty() { Self::Put } else { Self::read(headers) }
    }

    #[inline(never)]
    fn read(headers: Headers<'_>) -> Self {
        let mut operation = OperationHeaders::default();
        headers.iter_bytes().for_each(|(name, value)| operation.note(name, value));
        operation.operation()
    }
}

/// Which revisions a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) enum Wanted {
    /// Values.
    Value,
    /// Whatever is the last one.
    LastRevision,
}

impl Wanted {
    #[inline]
    pub(in crate::kv) fn includes(self, operation: Operation) -> bool {
        self == Self::LastRevision || !operation.is_tombstone()
    }
}

/// What a message's headers say of its operation, one header at a time.
#[derive(Default)]
pub(in crate::kv) struct OperationHeaders {
    by_client: Option<Operation>,
    by_server: Option<Operation>,
}

impl OperationHeaders {
    pub(in crate::kv) fn note(&mut self, name: &[u8], value: &[u8]) {
        match (name, value) {
            (b"KV-Operation", b"PURGE") => self.by_client = Some(Operation::Purge),
            (b"KV-Operation", b"PUT") => self.by_client = Some(Operation::Put),
            (b"KV-Operation", _) => self.by_client = Some(Operation::Delete),
            (b"Nats-Marker-Reason", b"MaxAge") => self.by_server = Some(Operation::Expire),
            (b"Nats-Marker-Reason", b"Purge") => self.by_server = Some(Operation::Purge),
            (b"Nats-Marker-Reason", b"Remove") => self.by_server = Some(Operation::Delete),
            _ => {}
        }
    }

    pub(in crate::kv) fn operation(self) -> Operation {
        self.by_client.or(self.by_server).unwrap_or(Operation::Put)
    }
}

/// Whether headers say nothing of an entry: there are none, or only the size of a value that was left out,
/// in the form in which servers write it. What they do say, [`Operation::of`] and [`Entry::living_for`] read.
#[inline]
pub(super) fn says_nothing(headers: Headers<'_>) -> bool {
    const ONLY_SIZE: &[u8] = b"NATS/1.0\r\nNats-Msg-Size: ";
    let block = headers.as_bytes();
    let size = block.strip_prefix(ONLY_SIZE).and_then(|rest| rest.strip_suffix(b"\r\n\r\n"));
    block.is_empty() || size.is_some_and(|size| size.iter().all(u8::is_ascii_digit))
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "PUT",
            Self::Delete => "DEL",
            Self::Purge => "PURGE",
            Self::Expire => "EXPIRE",
        })
    }
}

impl Entry {
    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key.
    pub fn key(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.key_bytes())
    }

    /// The value; empty for a tombstone.
    pub fn value(&self) -> &[u8] {
        self.message.payload()
    }

    /// The value to keep, without a copy.
    pub fn value_to_bytes(&self) -> Bytes {
        self.message.payload_to_bytes()
    }

    /// The value as text. What is not UTF-8 is shown with replacement characters.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.value())
    }

    /// The revision: the sequence in the bucket's stream.
    pub fn revision(&self) -> u64 {
        self.message.sequence()
    }

    /// How many entries a watch has to deliver after this one; 0 for one that was read singly.
    pub fn delta(&self) -> u64 {
        self.delta
    }

    /// What the revision did.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// When it was stored, by the server's clock. `None` if the server did not say it readably.
    pub fn created(&self) -> Option<SystemTime> {
        self.time.or_else(|| self.message.time())
    }

    /// An entry that was read singly. Its key is what the subject has after the prefix, if it has
    /// that.
    #[inline]
    pub(in crate::kv) fn read(
        bucket: &Arc<str>,
        prefix: &str,
        message: StoredMessage,
        operation: Operation,
    ) -> Self {
        let has_prefix = message.subject_bytes().starts_with(prefix.as_bytes());
        let key_start = if has_prefix { prefix.len() } else { 0 };
        Self { bucket: bucket.clone(), message, key_start, delta: 0, operation, time: None, ttl: 0 }
    }

    /// The same entry as one that a watch has delivered.
    pub(in crate::kv) fn delivered(self, delta: u64, time: SystemTime) -> Self {
        Self { delta, time: Some(time), ..self }
    }

    /// The same entry, which says in its headers for how long it lives (`Nats-TTL`).
    pub(in crate::kv) fn living_for(self, headers: Headers<'_>) -> Self {
        let text = headers.last("Nats-TTL");
        let ttl = match text.and_then(|text| Ttl::read(&text)) {
            None => 0,
            Some(Ttl::For(ttl)) => u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX),
            Some(Ttl::Never) => u32::MAX,
        };
        Self { ttl, ..self }
    }

    /// For how long it lives, as it says itself. `None`: it says nothing. The most is for ever.
    pub(in crate::kv) fn ttl(&self) -> Option<Duration> {
        (self.ttl != 0).then(|| match self.ttl {
            u32::MAX => Duration::MAX,
            seconds => Duration::from_secs(seconds.into()),
        })
    }

    /// The same revision with another key and value: what a codec has made of them.
    pub(in crate::kv) fn recoded(&self, key: &str, value: &[u8]) -> Self {
        let message = StoredMessage::copy_of(StoredParts {
            sequence: self.revision(),
            subject: key.as_bytes(),
            payload: value,
            ..StoredParts::default()
        });
        Self { message, key_start: 0, time: self.created(), ..self.clone() }
    }

    pub(in crate::kv) fn key_bytes(&self) -> &[u8] {
        self.message.subject_bytes_from(self.key_start)
    }
}

/// Equal entries are the same revision with the same contents, whichever way they were read.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let contents = |entry: &Self| (entry.revision(), entry.delta, entry.operation);
        contents(self) == contents(other)
            && self.bucket == other.bucket
            && self.key_bytes() == other.key_bytes()
            && self.value() == other.value()
            && self.created() == other.created()
    }
}

impl Eq for Entry {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("bucket", &self.bucket)
            .field("key", &self.key())
            .field("value", &self.value_to_bytes())
            .field("revision", &self.revision())
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::StoredParts;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_that_say_nothing_are_read_as_such(
            block in "(NATS/1.0\r\n(Nats-Msg-Size: [0-9]{1,3}\r\n|Nats-TTL: 5\r\n|KV-Operation: DEL\r\n|[0-9]|\r\n){0,3}\r\n)?",
        ) {
            let headers = Headers::new(block.as_bytes());
            if says_nothing(headers) {
                let operation = Operation::of(headers);
                prop_assert_eq!(operation, Operation::Put);
                let message = StoredMessage::copy_of(StoredParts::default());
                let entry = Entry::read(&"b".into(), "", message, operation);
                prop_assert_eq!(entry.living_for(headers).ttl(), None);
            }
        }
    }

    #[test]
    fn the_size_of_a_value_says_nothing_else_does() {
        let says_nothing = |block: &str| says_nothing(Headers::new(block.as_bytes()));
        assert!(says_nothing("") && says_nothing("NATS/1.0\r\nNats-Msg-Size: 128\r\n\r\n"));
        for lines in ["KV-Operation: DEL\r\n", "Nats-TTL: 5\r\n", "Nats-Msg-Size: x\r\n"] {
            let with_size = format!("NATS/1.0\r\nNats-Msg-Size: 0\r\n{lines}\r\n");
            let alone = format!("NATS/1.0\r\n{lines}\r\n");
            assert!(!says_nothing(&with_size) && !says_nothing(&alone), "{lines}");
        }
    }

    #[test]
    fn operations_are_read_from_headers() {
        let table = [
            ("", Operation::Put),
            ("Other: x\r\n", Operation::Put),
            ("KV-Operation: DEL\r\n", Operation::Delete),
            ("KV-Operation: PURGE\r\nNats-Rollup: sub\r\n", Operation::Purge),
            ("KV-Operation: NEW-THING\r\n", Operation::Delete),
            ("Nats-Marker-Reason: MaxAge\r\n", Operation::Expire),
            ("Nats-Marker-Reason: Purge\r\n", Operation::Purge),
            ("Nats-Marker-Reason: Remove\r\n", Operation::Delete),
            ("Nats-Marker-Reason: MaxAge\r\nKV-Operation: DEL\r\n", Operation::Delete),
        ];
        for (lines, operation) in table {
            let block = format!("NATS/1.0\r\n{lines}\r\n");
            assert_eq!(Operation::of(Headers::new(block.as_bytes())), operation, "{lines}");
        }
    }
}
