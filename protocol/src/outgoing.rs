//! The outgoing buffer: one contiguous run of bytes, with large payloads spliced in uncopied.
//!
//! Invariant: `chunks` gives the bytes in the order of the commands, from the first one that was
//! not yet written. Offsets of splices count from the start of `buffer` and never fall behind
//! `sent`.

use crate::encode::Payload;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// From this size on a payload of one's own is written from where it is. Below it, the copy costs
/// less than one more piece in a vectored write.
const SPLICE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    /// How much of `buffer` has been written.
    sent: usize,
    splices: VecDeque<Splice>,
    spliced_bytes: usize,
    /// Bytes ever written: with `position`, tells whether a command left before a disconnect.
    total_sent: u64,
}

#[derive(Debug)]
struct Splice {
    /// The payload stands before this offset of `buffer`.
    at: usize,
    payload: Bytes,
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

    /// Appends a payload and its line end.
    #[inline(always)]
    pub(crate) fn payload(&mut self, payload: Payload<'_>) {
        if payload.len() >= SPLICE && !matches!(payload, Payload::Lent(_)) {
            let payload = payload.into_bytes();
            self.spliced_bytes += payload.len();
            self.splices.push_back(Splice { at: self.buffer.len(), payload });
        } else {
            self.buffer.extend_from_slice(&payload);
        }
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// What is to be written next, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.sent;
        let mut splices = self.splices.iter();
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
        while let Some(splice) = self.splices.front_mut() {
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
            self.splices.pop_front();
        }
        self.sent += count;
        self.compact();
    }

    /// Forgets everything that was not written.
    pub(crate) fn clear(&mut self) {
        *self = Self { total_sent: self.total_sent, ..Self::default() };
    }

    /// Makes room at the front once more is written than waits, so that every byte is moved at
    /// most once, and gives back the memory of a peak.
    fn compact(&mut self) {
        const KEPT: usize = 1 << 20;
        if self.sent < self.buffer.len() {
            if self.splices.is_empty() && self.sent > self.buffer.len() / 2 && self.sent > SPLICE {
                self.buffer.drain(..self.sent);
                self.sent = 0;
            }
            return;
        }
        self.buffer.clear();
        self.sent = 0;
        if self.buffer.capacity() > KEPT {
            self.buffer.shrink_to(SPLICE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outgoing: &Outgoing) -> Vec<u8> {
        outgoing.chunks().flatten().copied().collect()
    }

    #[test]
    fn splices_stand_where_they_were_put_however_it_is_written() {
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
            outgoing.payload(Payload::Lent(&[0; 1000]));
            if outgoing.len() > 200_000 {
                outgoing.consume(1002);
            }
        }
        assert!(outgoing.buffer.capacity() < 1 << 20);
    }
}
