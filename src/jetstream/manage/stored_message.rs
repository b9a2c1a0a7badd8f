//! A message as a stream has stored it, copied once, whichever way it was read.
//!
//! Invariant: the ends are in order and within the memory, so that no accessor can fail.

use crate::jetstream::base64::STANDARD;
use crate::jetstream::time::parse_rfc3339;
use base64::Engine;
use bytes::Bytes;
use evnats_protocol::Headers;
use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

/// A message as a stream has stored it, in one piece of memory of exactly its size. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Subject, time, headers and payload, one after the other.
    memory: Bytes,
    // 32 bits are enough, because a reply is never larger
    subject_end: u32,
    time_end: u32,
    headers_end: u32,
    sequence: u64,
}

/// What a stored message is made of.
#[derive(Clone, Copy, Default)]
pub(crate) struct StoredParts<'a> {
    pub(crate) sequence: u64,
    pub(crate) subject: &'a [u8],
    /// RFC 3339, or empty.
    pub(crate) time: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl StoredMessage {
    /// The subject it was published to. What is not UTF-8 is shown with replacement characters.
    pub fn subject(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.subject_bytes())
    }

    /// Its sequence in the stream.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was stored, by the server's clock. `None` if the server did not say it readably.
    pub fn time(&self) -> Option<SystemTime> {
        let text = &self.memory[self.subject_end as usize..self.time_end as usize];
        parse_rfc3339(std::str::from_utf8(text).ok()?).ok().flatten()
    }

    /// Its headers.
    #[inline]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.memory[self.time_end as usize..self.headers_end as usize])
    }

    /// Its payload.
    pub fn payload(&self) -> &[u8] {
        &self.memory[self.headers_end as usize..]
    }

    /// Its payload to keep, without a copy.
    pub fn payload_to_bytes(&self) -> Bytes {
        self.memory.slice(self.headers_end as usize..)
    }

    pub(crate) fn subject_bytes(&self) -> &[u8] {
        &self.memory[..self.subject_end as usize]
    }

    /// What the subject has from a place on that is within it.
    #[inline]
    pub(crate) fn subject_bytes_from(&self, start: usize) -> &[u8] {
        &self.memory[start..self.subject_end as usize]
    }

    #[inline(never)]
    pub(crate) fn copy_of(parts: StoredParts<'_>) -> Self {
        Self::copy_here(parts)
    }

    /// As [`copy_of`](Self::copy_of), for reads that are made by the thousand: without a call.
    #[inline(always)]
    pub(crate) fn copy_here(parts: StoredParts<'_>) -> Self {
        let StoredParts { subject, time, headers, payload, .. } = parts;
        let len = subject.len() + time.len() + headers.len() + payload.len();
        let mut memory = Vec::with_capacity(len);
        for part in [subject, time, headers, payload] {
            memory.extend_from_slice(part);
        }
        Self::new(parts, headers.len(), memory)
    }

    /// A copy of parts whose headers and payload are Base64. `None` if they are not.
    #[expect(
        clippy::slow_vector_initialization,
        reason = "to have the allocator zero memory costs more where it is so little"
    )]
    #[inline(always)]
    pub(super) fn decoded(parts: StoredParts<'_>) -> Option<Self> {
        let StoredParts { subject, time, headers, payload, .. } = parts;
        let headers_len = if headers.is_empty() { 0 } else { decoded_len(headers)? };
        let len = subject.len() + time.len() + headers_len + decoded_len(payload)?;
        let mut memory = Vec::with_capacity(len);
        memory.resize(len, 0);
        let (subject_room, rest) = memory.split_at_mut(subject.len());
        let (time_room, rest) = rest.split_at_mut(time.len());
        let (headers_room, payload_room) = rest.split_at_mut(headers_len);
        subject_room.copy_from_slice(subject);
        time_room.copy_from_slice(time);
        if !headers.is_empty() {
            STANDARD.decode_slice(headers, headers_room).ok()?;
        }
        STANDARD.decode_slice(payload, payload_room).ok()?;
        Some(Self::new(parts, headers_len, memory))
    }

    #[inline(always)]
    fn new(parts: StoredParts<'_>, headers_len: usize, memory: Vec<u8>) -> Self {
        let subject_end = parts.subject.len();
        let time_end = subject_end + parts.time.len();
        Self {
            memory: memory.into_boxed_slice().into(),
            subject_end: subject_end as u32,
            time_end: time_end as u32,
            headers_end: (time_end + headers_len) as u32,
            sequence: parts.sequence,
        }
    }
}

/// How many bytes Base64 with padding stands for, if it is valid.
fn decoded_len(text: &[u8]) -> Option<usize> {
    let padding = match text {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    text.len().is_multiple_of(4).then(|| text.len() / 4 * 3 - padding)
}

impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredMessage")
            .field("subject", &self.subject())
            .field("sequence", &self.sequence)
            .field("time", &self.time())
            .field("headers", &self.headers())
            .field("payload", &self.payload_to_bytes())
            .finish()
    }
}
