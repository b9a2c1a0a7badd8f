//! A message as it came over the wire: the memory that it is in, and where its parts are.
//!
//! Invariant: the offsets lie within the memory and in order, so that no accessor can fail. Headers
//! are not parsed here.

use super::headers::Headers;
use super::line::MessageLine;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A message as it came over the wire.
///
/// It is a view of the read buffer while it is lent to a callback, or lies in the place that
/// [`Session::poll_event`](crate::Session::poll_event) fills. A clone has memory of its own, just as
/// much as the message needs, and can be kept for as long as you like; cloning that one again costs
/// a reference count.
pub struct Message {
    memory: Memory,
    /// Where its line begins in the memory; the offsets of its parts count from there.
    start: usize,
    sid: u64,
    subject: Span,
    /// Empty if there is none.
    reply: Span,
    /// The payload begins where they end.
    headers: Span,
    end: u32,
    /// Where in its line what follows the sid begins. 0 if that is not known.
    route_end: u32,
}

/// What the bytes of a message are in.
enum Memory {
    /// The read buffer.
    Lent(Arc<Vec<u8>>),
    Own(Bytes),
}

impl Memory {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Lent(memory) => memory,
            Self::Own(memory) => memory,
        }
    }
}

/// A part of a message. Offsets fit 32 bits because [`Limits`](crate::Limits) cap the frame.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Message {
    /// A message made of its parts, as a server would send it. `headers` is a raw block, from
    /// `NATS/1.0` to the blank line. Nothing is checked.
    #[must_use]
    pub fn new(
        subject: &str,
        sid: u64,
        reply: Option<&str>,
        headers: Option<&[u8]>,
        payload: &[u8],
    ) -> Self {
        let mut frame = Vec::new();
        let part = |frame: &mut Vec<u8>, bytes: &[u8]| {
            let start = frame.len() as u32;
            frame.extend_from_slice(bytes);
            Span { start, end: frame.len() as u32 }
        };
        let subject = part(&mut frame, subject.as_bytes());
        let reply = part(&mut frame, reply.unwrap_or_default().as_bytes());
        let headers = part(&mut frame, headers.unwrap_or_default());
        let end = part(&mut frame, payload).end;
        Self {
            memory: Memory::Own(frame.into()),
            start: 0,
            sid,
            subject,
            reply,
            headers,
            end,
            route_end: 0,
        }
    }

    /// Makes this the message whose head was read from a line of `line_len` bytes, which begins
    /// there in the memory; headers and payload follow it. `route_end` is 0 if it is not known.
    #[inline(always)]
    pub(crate) fn place(
        &mut self,
        (memory, start): (&Arc<Vec<u8>>, usize),
        head: &MessageHead,
        (line_len, route_end): (usize, usize),
    ) {
        let span = |(start, end)| Span { start, end };
        if !self.is_in(memory) {
            self.memory = Memory::Lent(memory.clone());
        }
        self.sid = head.sid;
        self.subject = span(head.subject);
        self.reply = head.reply.map_or(Span::default(), span);
        self.route_end = route_end as u32;
        self.place_parts(start, line_len, head.header_len, head.total_len);
    }

    /// Makes this the message that is for the same subscription and on the same subject as the last one
    /// here.
    #[inline(always)]
    pub(crate) fn place_again(&mut self, start: usize, head: &RepeatedHead) {
        if let Some((start, end)) = head.reply {
            self.reply = Span { start, end };
        }
        self.place_parts(start, head.line_len, head.header_len, head.total_len);
    }

    /// Whether there is a reply subject.
    #[inline(always)]
    pub(crate) fn has_reply(&self) -> bool {
        self.reply.start < self.reply.end
    }

    #[inline(always)]
    fn place_parts(&mut self, start: usize, line_len: usize, header_len: usize, total_len: usize) {
        self.start = start;
        self.headers = Span { start: line_len as u32, end: (line_len + header_len) as u32 };
        self.end = (line_len + total_len) as u32;
    }

    /// What its line begins with, up to what follows the sid, if it was read from this memory, for this
    /// subscription, and this is known. What is lent is never overwritten.
    #[inline(always)]
    pub(crate) fn beginning_of_line<'m>(
        &self,
        memory: &'m Arc<Vec<u8>>,
        sid: u64,
    ) -> Option<&'m [u8]> {
        let is_known = self.route_end != 0 && self.sid == sid && self.is_in(memory);
        if !is_known {
            return None;
        }
        memory.get(self.start..self.start + self.route_end as usize)
    }

    #[inline(always)]
    fn is_in(&self, memory: &Arc<Vec<u8>>) -> bool {
        matches!(&self.memory, Memory::Lent(lent) if Arc::ptr_eq(lent, memory))
    }

    /// Whether it is a view of the read buffer, and so was read from a line.
    #[inline(always)]
    pub(crate) fn is_lent(&self) -> bool {
        matches!(self.memory, Memory::Lent(_))
    }

    /// Empties the place, so that the read buffer is nobody else's and is filled again instead of
    /// being replaced. A driver does so before it reads.
    #[inline]
    pub fn clear(&mut self) {
        if let Memory::Lent(_) = self.memory {
            *self = Self::default();
        }
    }

    /// The subject that the message was published to. Servers let any bytes pass: what is not UTF-8
    /// is shown with replacement characters.
    pub fn subject(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.subject_bytes())
    }

    /// The subject as bytes.
    pub fn subject_bytes(&self) -> &[u8] {
        self.part(self.subject)
    }

    /// The subject in memory of its own.
    pub fn subject_to_bytes(&self) -> Bytes {
        self.part_to_bytes(self.subject)
    }

    /// The subject to which the sender wants replies.
    pub fn reply(&self) -> Option<Cow<'_, str>> {
        self.reply_bytes().map(String::from_utf8_lossy)
    }

    /// The reply subject as bytes.
    pub fn reply_bytes(&self) -> Option<&[u8]> {
        Some(self.part(self.reply)).filter(|reply| !reply.is_empty())
    }

    /// The headers, parsed only as far as asked. Empty if the message has none.
    #[inline]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.part(self.headers))
    }

    /// The header block in memory of its own.
    pub fn headers_to_bytes(&self) -> Bytes {
        self.part_to_bytes(self.headers)
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.part(self.payload_span())
    }

    /// The payload in memory of its own: a copy of the payload alone, or, if the message is a clone,
    /// the clone's memory, shared.
    pub fn payload_to_bytes(&self) -> Bytes {
        self.part_to_bytes(self.payload_span())
    }

    #[inline(always)]
    fn part(&self, part: Span) -> &[u8] {
        let Range { start, end } = part.range();
        &self.memory.bytes()[self.start + start..self.start + end]
    }

    /// Shares the memory of a message that has its own, and copies otherwise.
    fn part_to_bytes(&self, part: Span) -> Bytes {
        match &self.memory {
            Memory::Lent(_) => Bytes::copy_from_slice(self.part(part)),
            Memory::Own(bytes) => bytes.slice(part.range()),
        }
    }

    #[inline]
    fn payload_span(&self) -> Span {
        Span { start: self.headers.end, end: self.end }
    }

    /// The payload as text. What is not UTF-8 is shown with replacement characters.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.payload())
    }

    /// The number of the subscription that the message was sent for.
    pub fn sid(&self) -> u64 {
        self.sid
    }

    /// Bytes of headers and payload together, as `max_payload` counts them.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.headers.start) as usize
    }

    /// Whether there are neither headers nor payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The status of a message without payload, the form in which servers answer on behalf of
    /// others: 503 for "no responders", 404 for "no such message".
    pub fn control_status(&self) -> Option<u16> {
        if !self.payload().is_empty() || self.headers().is_empty() {
            return None;
        }
        self.headers().status().map(|status| status.code)
    }
}

impl Default for Message {
    /// An empty place for messages.
    fn default() -> Self {
        Self::new("", 0, None, None, b"")
    }
}

impl Clone for Message {
    fn clone(&self) -> Self {
        let memory = match &self.memory {
            Memory::Own(memory) => memory.clone(),
            Memory::Lent(memory) => {
                Bytes::copy_from_slice(&memory[self.start..][..self.end as usize])
            }
        };
        Self { memory: Memory::Own(memory), start: 0, ..*self }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.sid == other.sid
            && self.subject_bytes() == other.subject_bytes()
            && self.reply_bytes() == other.reply_bytes()
            && self.headers() == other.headers()
            && self.payload() == other.payload()
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("subject", &self.subject())
            .field("sid", &self.sid)
            .field("reply", &self.reply())
            .field("headers", &self.headers())
            .field("payload", &self.payload_to_bytes())
            .finish()
    }
}

/// The contents of a message's control line, without borrowing the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageHead {
    pub(crate) sid: u64,
    pub(crate) subject: (u32, u32),
    pub(crate) reply: Option<(u32, u32)>,
    pub(crate) header_len: usize,
    pub(crate) total_len: usize,
}

/// What the control line of a message has that is for the same subscription and on the same subject as
/// the one before it, and has a reply subject if that has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RepeatedHead {
    /// With its end.
    pub(crate) line_len: usize,
    pub(crate) reply: Option<(u32, u32)>,
    pub(crate) header_len: usize,
    pub(crate) total_len: usize,
}

impl MessageHead {
    /// Turns the slices of a parsed line into offsets, which survive the buffer's moves.
    #[inline]
    pub(crate) fn new(line: &[u8], parsed: MessageLine<'_>) -> Self {
        let offsets = |part: &[u8]| {
            let start = part.as_ptr() as usize - line.as_ptr() as usize;
            (start as u32, (start + part.len()) as u32)
        };
        Self {
            sid: parsed.sid,
            subject: offsets(parsed.subject),
            reply: parsed.reply.map(offsets),
            header_len: parsed.header_len.unwrap_or(0),
            total_len: parsed.total_len,
        }
    }
}
