//! A message as it came over the wire: a piece of the read buffer, and where its parts are.
//!
//! Invariant: the offsets lie within the frame and in order, so that no accessor can fail. Headers
//! are not parsed here.

use super::headers::Headers;
use super::line::MessageLine;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

/// A message as it came over the wire: one piece of the read buffer and where its parts are.
///
/// Cloning is cheap (a reference count), and a clone keeps the piece of the read buffer alive
/// that the message came in, which is up to 128 KiB. To keep a small message for long, keep a
/// [`detached`](Message::detached) copy.
#[derive(Clone)]
pub struct Message {
    frame: Bytes,
    sid: u64,
    subject: Span,
    reply: Option<Span>,
    headers: Span,
    payload: u32,
    end: u32,
}

/// A part of a frame. Offsets fit 32 bits because [`Limits`](crate::Limits) cap the frame.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.start as usize..self.end as usize]
    }
}

impl Message {
    /// A message made of its parts, as a server would send it. `headers` is a raw block.
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
        let reply = reply.map(|reply| part(&mut frame, reply.as_bytes()));
        let headers = part(&mut frame, headers.unwrap_or_default());
        let payload = part(&mut frame, payload);
        Self {
            frame: frame.into(),
            sid,
            subject,
            reply,
            headers,
            payload: payload.start,
            end: payload.end,
        }
    }

    /// The subject that the message was published to. Servers let any bytes pass: what is not
    /// UTF-8 is shown with replacement characters.
    pub fn subject(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.subject_bytes())
    }

    /// The subject as bytes.
    pub fn subject_bytes(&self) -> &[u8] {
        self.subject.of(&self.frame)
    }

    /// The subject to keep, without a copy.
    pub fn subject_to_bytes(&self) -> Bytes {
        self.frame.slice(self.subject.start as usize..self.subject.end as usize)
    }

    /// The subject to which the sender wants answers.
    pub fn reply(&self) -> Option<Cow<'_, str>> {
        self.reply_bytes().map(String::from_utf8_lossy)
    }

    /// The reply subject as bytes.
    pub fn reply_bytes(&self) -> Option<&[u8]> {
        self.reply.as_ref().map(|reply| reply.of(&self.frame))
    }

    /// The headers, parsed only as far as asked. Empty if the message has none.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.headers.of(&self.frame))
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.frame[self.payload as usize..self.end as usize]
    }

    /// The payload to keep, without a copy: it shares the read buffer with the message.
    pub fn payload_to_bytes(&self) -> Bytes {
        self.frame.slice(self.payload as usize..self.end as usize)
    }

    /// The header block to keep, without a copy.
    pub fn headers_to_bytes(&self) -> Bytes {
        self.frame.slice(self.headers.start as usize..self.headers.end as usize)
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
        (self.headers.end - self.headers.start + self.end - self.payload) as usize
    }

    /// Whether there are neither headers nor payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy in memory of its own, which does not keep the read buffer alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { frame: Bytes::copy_from_slice(&self.frame), ..self.clone() }
    }

    /// A status without payload, the form in which servers answer for others: 503 for "nobody is
    /// listening", 404 for "no such message".
    pub fn control_status(&self) -> Option<u16> {
        if !self.payload().is_empty() || self.headers().is_empty() {
            return None;
        }
        self.headers().status().map(|status| status.code)
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

/// What the control line of a message says, without borrowing the line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageHead {
    sid: u64,
    pub(crate) subject: (u32, u32),
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

    /// Joins the head with its frame: the control line of `line_len` bytes with its end, headers,
    /// payload and the final CRLF.
    #[inline]
    pub(crate) fn into_message(self, frame: Bytes, line_len: usize) -> Message {
        let span = |(start, end): (u32, u32)| Span { start, end };
        let headers = Span { start: line_len as u32, end: (line_len + self.header_len) as u32 };
        Message {
            sid: self.sid,
            subject: span(self.subject),
            reply: self.reply.map(span),
            headers,
            payload: headers.end,
            end: (line_len + self.total_len) as u32,
            frame,
        }
    }
}
