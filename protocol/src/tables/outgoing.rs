//! The outgoing buffer: one contiguous run of bytes, with large payloads spliced in uncopied.
//!
//! Invariant: `chunks` gives the bytes in the order of the commands, from the first one that was
//! not yet written. What was written stays until the end of its frame, so that a frame that was cut
//! by a lost connection can be distinguished from those that were not begun. Offsets count from the
//! start of `buffer`.
//!
//! Where frames end, and what they are, is not recorded with every command, which would cost each
//! of them something: it is parsed again with the decoder's grammar, when a connection is lost.

use super::known_line::KnownLine;
use super::last_head::LastHead;
use super::token::{TOKEN, Token};
use crate::wire::decode::{Decoder, Limits};
use crate::wire::encode::{self, LINE_END};
use crate::wire::headers::HeaderMap;
use crate::wire::message::MessageHead;
use crate::wire::op::sealed::Operation;
use crate::wire::op::{ClientOp, Parsed};
use crate::wire::payload::Payload;
use bytes::{Buf, Bytes};
use memchr::memchr;
use std::collections::VecDeque;

/// From this size on a payload that is owned or shared is written from where it is. Below it, the
/// copy costs less than one more piece in a vectored write.
const SPLICE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    /// The head of the last message without a reply subject, and of the last request. Neither has
    /// headers.
    last_message: LastHead,
    last_request: LastHead,
    /// ` <inbox><token> <#total>`: what follows the subject of every request without headers.
    request_end: KnownLine,
    /// How much of `buffer` has been written.
    sent: usize,
    /// Where some frame begins, at or before `sent`.
    boundary: usize,
    splices: VecDeque<Splice>,
    /// How many splices have been written.
    written_splices: usize,
    /// Bytes of splices that have not been written.
    spliced_bytes: usize,
    /// The position up to which it may be written at present.
    held_at: Option<u64>,
    /// Bytes ever written. Compared with a `position`, it shows whether a command was sent before a
    /// disconnect.
    total_sent: u64,
    /// A command was refused because the buffer was full.
    refused: bool,
    unchecked: Unchecked,
    /// How many commands wait that nobody waits for any more.
    abandoned: usize,
    /// So many of them are worth going through everything that waits.
    sweep_at: usize,
}

/// One in so many commands is let wait in vain, so that going through all of them is rare.
const COMMANDS_TO_A_SWEEP: usize = 16;

/// Summary of the commands that were accepted before the server's limits were known.
#[derive(Debug, Default)]
pub(crate) struct Unchecked {
    /// Size of the largest message in bytes.
    pub(crate) largest: usize,
    /// Whether some have headers.
    pub(crate) has_headers: bool,
    /// Whether nobody waits for some of them any more.
    pub(crate) has_abandoned: bool,
}

#[derive(Debug)]
struct Splice {
    /// The payload goes before this offset of `buffer`.
    at: usize,
    /// Its size, written or not.
    len: usize,
    /// What has not been written of it.
    payload: Bytes,
}

/// A message of which only a part was written when the connection was lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HalfWritten {
    /// The size of headers and payload.
    pub(crate) size: usize,
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
}

impl Outgoing {
    /// Bytes that wait to be written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.sent + self.spliced_bytes
    }

    /// The end of the stream so far: what `total_sent` will be once everything is written.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.total_sent + self.len() as u64
    }

    pub(crate) fn total_sent(&self) -> u64 {
        self.total_sent
    }

    /// The contiguous buffer to append control lines to.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends a message. `reply` is given in two parts, so that a request need not join its inbox
    /// and its token. Returns the size of headers and payload.
    #[inline(always)]
    pub(crate) fn publish(
        &mut self,
        subject: &str,
        reply: Option<(&[u8], &[u8])>,
        headers: &HeaderMap,
        payload: Payload<'_>,
    ) -> usize {
        let len = payload.len();
        encode::publish_head(&mut self.buffer, subject.as_bytes(), reply, headers, len);
        self.payload(payload);
        headers.encoded_len() + len
    }

    /// Whether a message is for the subject of the last one that was [kept](Self::keep_message), and
    /// its payload is one to be copied.
    #[inline(always)]
    pub(crate) fn is_another(&self, subject: &str, payload_len: usize) -> bool {
        self.last_message.is_for(subject) && payload_len < SPLICE
    }

    /// Appends a message on the last subject.
    #[inline(always)]
    pub(crate) fn publish_again(&mut self, payload: &[u8]) {
        self.buffer.extend_from_slice(self.last_message.line(&[], payload.len()));
        self.buffer.extend_from_slice(payload);
        self.buffer.extend_from_slice(LINE_END);
    }

    /// Appends a message whose line and whose payload, in parts, are given.
    #[inline(always)]
    pub(crate) fn publish_parts(&mut self, line: &[u8], payload: &[&[u8]]) {
        self.buffer.extend_from_slice(line);
        payload.iter().for_each(|part| self.buffer.extend_from_slice(part));
        self.buffer.extend_from_slice(LINE_END);
    }

    /// Appends a message on a subject that nothing is kept of.
    #[inline(always)]
    pub(crate) fn answer(&mut self, subject: &[u8], payload: &[u8]) {
        encode::publish_head(&mut self.buffer, subject, None, encode::NO_HEADERS, payload.len());
        self.buffer.extend_from_slice(payload);
        self.buffer.extend_from_slice(LINE_END);
    }

    /// The next messages may have this subject, too. It has been checked.
    pub(crate) fn keep_message(&mut self, subject: &str, fingerprint: u64) {
        self.last_message.keep_if_again(subject, None, fingerprint);
    }

    /// The fingerprint of a request's subject, if the last one that was
    /// [kept](Self::keep_request) had the same.
    #[inline(always)]
    pub(crate) fn last_asked(&self, subject: &str) -> Option<u64> {
        self.last_request.is_for(subject).then_some(self.last_request.fingerprint())
    }

    /// Appends a request on any subject. The inbox is always the same one. Returns the size of the
    /// payload.
    #[inline(always)]
    pub(crate) fn request(
        &mut self,
        subject: &str,
        (inbox, token): (&str, &Token),
        payload: Payload<'_>,
    ) -> usize {
        if self.request_end.is_empty() {
            let reply = (inbox.as_bytes(), [b'a'; TOKEN].as_slice());
            self.request_end.renew(|out| encode::route(out, b"", Some(reply)));
        }
        let len = payload.len();
        self.buffer.extend_from_slice(encode::VERB);
        self.buffer.extend_from_slice(subject.as_bytes());
        self.buffer.extend_from_slice(self.request_end.filled(token, len));
        self.payload(payload);
        len
    }

    /// Appends a request on the last subject. Returns the size of the payload.
    #[inline(always)]
    pub(crate) fn request_again(&mut self, token: &Token, payload: Payload<'_>) -> usize {
        let len = payload.len();
        self.buffer.extend_from_slice(self.last_request.line(token, len));
        self.payload(payload);
        len
    }

    /// The next requests may have this subject, too. It has been checked.
    pub(crate) fn keep_request(&mut self, subject: &str, reply: (&[u8], &[u8]), fingerprint: u64) {
        self.last_request.keep_if_again(subject, Some(reply), fingerprint);
    }

    /// Appends a payload and its line end.
    #[inline(always)]
    fn payload(&mut self, payload: Payload<'_>) {
        if payload.len() >= SPLICE && !matches!(payload, Payload::Lent(_)) {
            let payload = payload.into_bytes();
            let (at, len) = (self.buffer.len(), payload.len());
            self.spliced_bytes += len;
            self.splices.push_back(Splice { at, len, payload });
        } else {
            self.buffer.extend_from_slice(&payload);
        }
        self.buffer.extend_from_slice(LINE_END);
    }

    // ---- what was accepted and what was refused -----------------------------------------------

    /// A message was accepted before the server's limits were known.
    #[inline]
    pub(crate) fn record_unchecked(&mut self, size: usize, has_headers: bool) {
        self.unchecked.largest = self.unchecked.largest.max(size);
        self.unchecked.has_headers |= has_headers;
    }

    /// Nobody waits any more for one of the commands that wait for a connection.
    pub(crate) fn record_abandoned(&mut self) {
        self.abandoned += 1;
    }

    /// Whether so many of the commands are abandoned that it is worth removing them.
    pub(crate) fn needs_sweep(&self) -> bool {
        self.abandoned > self.sweep_at
    }

    /// The abandoned commands have been removed, and so many are left.
    pub(crate) fn note_sweep(&mut self, left: usize) {
        self.abandoned = 0;
        self.sweep_at = left / COMMANDS_TO_A_SWEEP;
    }

    pub(crate) fn take_unchecked(&mut self) -> Unchecked {
        let has_abandoned = std::mem::take(&mut self.abandoned) > 0;
        Unchecked { has_abandoned, ..std::mem::take(&mut self.unchecked) }
    }

    /// The number and the size of the messages that are not written to their ends.
    pub(crate) fn waiting_messages(&self) -> (u64, u64) {
        let (mut at, mut messages, mut bytes) = (self.boundary, 0, 0);
        while let Some(end) = self.frame_end(at) {
            if end > self.sent
                && let Some((_, head)) = self.head(at)
            {
                messages += 1;
                bytes += head.total_len as u64;
            }
            at = end;
        }
        (messages, bytes)
    }

    /// A command was refused, so room has to be reported.
    pub(crate) fn record_refusal(&mut self) {
        self.refused = true;
    }

    /// Whether there is room again, after a command was refused. True once for all refusals.
    #[inline]
    pub(crate) fn take_room(&mut self, low_water: usize) -> bool {
        self.refused && self.len() <= low_water && std::mem::take(&mut self.refused)
    }

    // ---- writing ------------------------------------------------------------------------------

    /// Nothing beyond what is there now may be written, until [`release`](Self::release).
    pub(crate) fn hold(&mut self) {
        self.held_at = Some(self.position());
    }

    pub(crate) fn release(&mut self) {
        self.held_at = None;
    }

    /// Bytes that may be written now.
    #[inline]
    pub(crate) fn writable_len(&self) -> usize {
        match self.held_at {
            None => self.len(),
            Some(position) => (position - self.total_sent) as usize,
        }
    }

    /// What may be written now, if it lies in one piece.
    #[inline]
    pub(crate) fn only_chunk(&self) -> Option<&[u8]> {
        let is_one = self.held_at.is_none() && self.spliced_bytes == 0;
        is_one.then(|| &self.buffer[self.sent..])
    }

    /// What may be written now, in order.
    pub(crate) fn writable_chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut left = self.writable_len();
        self.chunks().map_while(move |chunk| {
            let part = &chunk[..chunk.len().min(left)];
            left -= part.len();
            Some(part).filter(|part| !part.is_empty())
        })
    }

    /// What waits to be written, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.sent;
        let mut splices = self.splices.iter().skip(self.written_splices);
        let mut pending: Option<&[u8]> = None;
        std::iter::from_fn(move || {
            if let Some(payload) = pending.take() {
                return Some(payload);
            }
            if from > self.buffer.len() {
                return None;
            }
            let splice = splices.next();
            let to = splice.map_or(self.buffer.len(), |splice| splice.at);
            let chunk = &self.buffer[from..to];
            match splice {
                Some(splice) => {
                    from = to;
                    pending = Some(&splice.payload);
                }
                None => from = self.buffer.len() + 1,
            }
            Some(chunk)
        })
        .filter(|chunk| !chunk.is_empty())
    }

    /// The first `count` bytes of the chunks have been written.
    pub(crate) fn consume(&mut self, mut count: usize) {
        self.total_sent += count as u64;
        while let Some(splice) = self.splices.get_mut(self.written_splices) {
            let before = (splice.at - self.sent).min(count);
            self.sent += before;
            count -= before;
            let inside = splice.payload.len().min(count);
            splice.payload.advance(inside);
            self.spliced_bytes -= inside;
            count -= inside;
            if splice.at > self.sent || !splice.payload.is_empty() {
                return;
            }
            self.written_splices += 1;
        }
        self.sent += count;
        self.compact();
    }

    /// Forgets what was written, and the rest of the frame that is half-written: it is never
    /// continued. Returns that frame's message, if it is one.
    pub(crate) fn cut(&mut self) -> Option<HalfWritten> {
        self.advance_boundary();
        let mut half = None;
        if self.boundary < self.sent {
            half = self.half_written();
            self.sent = self.frame_end(self.boundary).unwrap_or(self.buffer.len());
            self.boundary = self.sent;
            while self.splices.get(self.written_splices).is_some_and(|next| next.at < self.sent) {
                self.spliced_bytes -= self.splices[self.written_splices].payload.len();
                self.written_splices += 1;
            }
        }
        self.forget_written();
        half
    }

    /// The message whose frame begins at the boundary.
    fn half_written(&self) -> Option<HalfWritten> {
        let (line, head) = self.head(self.boundary)?;
        let text = |(from, to): (u32, u32)| {
            String::from_utf8_lossy(&line[from as usize..to as usize]).into_owned()
        };
        Some(HalfWritten {
            size: head.total_len,
            subject: text(head.subject),
            reply: head.reply.map(text),
        })
    }

    /// The control line of the frame that begins there, if it is that of a message.
    fn head(&self, at: usize) -> Option<(&[u8], MessageHead)> {
        let frame = &self.buffer[at..];
        let line = frame[..memchr(b'\n', frame)?].strip_suffix(b"\r")?;
        match ClientOp::parse(line) {
            Ok(Parsed::Head(head)) => Some((line, head)),
            _ => None,
        }
    }

    /// Moves the boundary to the frame that is being written, or else to the one after it.
    fn advance_boundary(&mut self) {
        while let Some(end) = self.frame_end(self.boundary).filter(|end| *end <= self.sent) {
            self.boundary = end;
        }
    }

    /// Where the frame that begins there ends.
    fn frame_end(&self, at: usize) -> Option<usize> {
        let Some((line, head)) = self.head(at) else {
            let line = memchr(b'\n', &self.buffer[at..])?;
            return Some(at + line + 1);
        };
        let payload_at = at + line.len() + LINE_END.len() + head.header_len;
        let payload_len = head.total_len - head.header_len;
        let spliced = self.splices.binary_search_by_key(&payload_at, |splice| splice.at);
        let is_spliced = spliced.is_ok_and(|index| self.splices[index].len == payload_len);
        Some(payload_at + if is_spliced { 0 } else { payload_len } + LINE_END.len())
    }

    /// Takes out everything that was not written, to be decoded. The stream has to be between two
    /// operations.
    pub(crate) fn take(&mut self) -> Decoder<ClientOp> {
        // limits for what is received do not apply to what is sent
        let mut decoder = Decoder::new(Limits::NONE);
        self.chunks().for_each(|chunk| decoder.feed(chunk));
        let unchecked = std::mem::take(&mut self.unchecked);
        *self = Self {
            total_sent: self.total_sent,
            refused: self.refused,
            abandoned: self.abandoned,
            sweep_at: self.sweep_at,
            unchecked,
            ..Self::default()
        };
        decoder
    }

    /// Forgets everything that was not written, and what was refused.
    pub(crate) fn clear(&mut self) {
        *self = Self { total_sent: self.total_sent, ..Self::default() };
    }

    /// Makes room at the front once more is written than waits, so that every byte is moved at most
    /// once, and frees the memory of a peak.
    fn compact(&mut self) {
        const KEPT: usize = 1 << 20;
        if self.sent < self.buffer.len() {
            if self.sent > self.buffer.len() / 2 && self.sent > SPLICE {
                self.advance_boundary();
            }
            if self.boundary > self.buffer.len() / 2 {
                self.forget_written();
            }
            return;
        }
        self.forget_all();
        if self.buffer.capacity() > KEPT {
            self.buffer.shrink_to(SPLICE);
        }
    }

    /// Drops what is before the boundary.
    fn forget_written(&mut self) {
        let gone = std::mem::take(&mut self.boundary);
        self.buffer.drain(..gone);
        self.sent -= gone;
        while self.written_splices > 0 && self.splices.front().is_some_and(|first| first.at < gone)
        {
            self.splices.pop_front();
            self.written_splices -= 1;
        }
        self.splices.iter_mut().for_each(|splice| splice.at -= gone);
    }

    fn forget_all(&mut self) {
        self.buffer.clear();
        self.splices.clear();
        (self.sent, self.boundary, self.written_splices) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outgoing: &Outgoing) -> Vec<u8> {
        outgoing.chunks().flatten().copied().collect()
    }

    #[test]
    fn splices_stay_where_they_were_put_however_it_is_written() {
        for step in [1, 7, 1000, 70_000, 200_000] {
            let mut outgoing = Outgoing::default();
            let large = Bytes::from(vec![b'L'; SPLICE]);
            outgoing.buffer().extend_from_slice(b"one ");
            outgoing.payload(Payload::Shared(large.clone()));
            outgoing.payload(Payload::Owned(vec![b'M'; SPLICE + 1]));
            outgoing.buffer().extend_from_slice(b"two ");
            outgoing.payload(Payload::Lent(b"small"));
            let mut expected = b"one ".to_vec();
            expected.extend_from_slice(&large);
            expected.extend_from_slice(b"\r\n");
            expected.extend(vec![b'M'; SPLICE + 1]);
            expected.extend_from_slice(b"\r\ntwo small\r\n");
            assert_eq!(written(&outgoing), expected);
            assert_eq!(outgoing.len(), expected.len());
            let mut rest = &expected[..];
            while !rest.is_empty() {
                let count = step.min(rest.len());
                outgoing.consume(count);
                rest = &rest[count..];
                if step > 100 || rest.len() < 100 {
                    assert_eq!(written(&outgoing), rest);
                }
                assert_eq!(outgoing.len(), rest.len());
            }
            assert_eq!(outgoing.total_sent(), outgoing.position());
        }
    }

    #[test]
    fn the_memory_of_a_peak_is_given_back() {
        let mut outgoing = Outgoing::default();
        outgoing.payload(Payload::Lent(&vec![0; 8 << 20]));
        outgoing.consume(outgoing.len());
        assert!(outgoing.buffer.capacity() <= 1 << 20);
    }

    #[test]
    fn a_slow_reader_does_not_make_the_buffer_grow() {
        let mut outgoing = Outgoing::default();
        for _ in 0..10_000 {
            publish(&mut outgoing, "a", Payload::Lent(&[0; 1000]));
            if outgoing.len() > 200_000 {
                outgoing.consume(1002);
            }
        }
        assert!(outgoing.buffer.capacity() < 1 << 20);
    }

    fn publish(outgoing: &mut Outgoing, subject: &str, payload: Payload<'_>) {
        let line = format!("PUB {subject} {}\r\n", payload.len());
        outgoing.buffer().extend_from_slice(line.as_bytes());
        outgoing.payload(payload);
    }

    /// Wherever a connection is lost, what was not begun is whole, and what was is known.
    #[test]
    fn a_cut_is_between_frames() {
        let frames = |outgoing: &mut Outgoing| {
            let mut ends = vec![0];
            for (subject, size) in [("a", 3), ("b", SPLICE), ("c", 0), ("d", SPLICE + 5)] {
                outgoing.buffer().extend_from_slice(b"PING\r\n");
                ends.push(outgoing.len());
                let payload = vec![b'\n'; size];
                publish(outgoing, subject, Payload::Owned(payload));
                ends.push(outgoing.len());
            }
            outgoing.buffer().extend_from_slice(b"HPUB e reply 12 15\r\nNATS/1.0\r\n\r\nabc\r\n");
            ends.push(outgoing.len());
            ends
        };
        let mut whole = Outgoing::default();
        let ends = frames(&mut whole);
        let all = written(&whole);
        let near = |at: usize| ends.iter().any(|end| end.abs_diff(at) < 40);
        for at in (0..all.len()).filter(|at| near(*at) || at % 9973 == 0) {
            for steps in [1, 2] {
                let mut outgoing = Outgoing::default();
                frames(&mut outgoing);
                outgoing.consume(at / steps);
                outgoing.consume(at - at / steps);
                let half = outgoing.cut();
                let next = *ends.iter().find(|end| **end >= at).unwrap();
                assert_eq!(written(&outgoing), all[next..], "cut at {at}");
                assert_eq!(outgoing.len(), all.len() - next);
                assert_eq!(outgoing.total_sent(), at as u64);
                let frame = ends.iter().position(|end| *end == next).unwrap();
                let subject = ["", "", "a", "", "b", "", "c", "", "d", "e"][frame];
                let subject = Some(subject).filter(|s| next > at && !s.is_empty());
                assert_eq!(half.as_ref().map(|half| &half.subject[..]), subject, "cut at {at}");
                let reply = half.and_then(|half| half.reply);
                assert_eq!(reply.as_deref(), subject.filter(|s| *s == "e").map(|_| "reply"));
            }
        }
    }
}
