//! The chunks that are not known to be stored: kept until they are, so that they can be sent again. Pure.
//!
//! Invariant: what counts as stored are the first chunks of the object, without a hole, in the order of
//! the stream.

use bytes::Bytes;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Kept {
    chunks: VecDeque<Chunk>,
    /// How many chunks are stored, and not kept any more: the number of the first one that is kept.
    stored: u64,
    /// How many bytes they had.
    stored_bytes: u64,
    /// How many of those that are kept were sent.
    sent: usize,
    /// The sequence of the last one of those that are stored, or of what is known to be behind it.
    last_sequence: u64,
}

/// A chunk, and what is known of it.
#[derive(Debug)]
struct Chunk {
    data: Bytes,
    /// Its sequence, if it is stored, and one before it is not known to be.
    sequence: Option<u64>,
}

/// The order of the stream is not that of the object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfOrder;

impl Kept {
    pub(super) fn push(&mut self, data: Bytes) {
        self.chunks.push_back(Chunk { data, sequence: None });
    }

    /// The next chunk to send, and its number.
    pub(super) fn next_to_send(&self) -> Option<(u64, Bytes)> {
        let chunk = self.chunks.get(self.sent)?;
        Some((self.stored + self.sent as u64, chunk.data.clone()))
    }

    /// The one that was [next](Self::next_to_send) is sent.
    pub(super) fn note_sent(&mut self) {
        self.sent += 1;
    }

    /// A chunk is stored.
    pub(super) fn handle_stored(&mut self, number: u64, sequence: u64) -> Result<(), OutOfOrder> {
        let index = number.checked_sub(self.stored).and_then(|index| usize::try_from(index).ok());
        if let Some(chunk) = index.and_then(|index| self.chunks.get_mut(index)) {
            chunk.sequence = Some(sequence);
        }
        while let Some(Chunk { sequence: Some(sequence), .. }) = self.chunks.front() {
            if *sequence <= self.last_sequence {
                return Err(OutOfOrder);
            }
            self.last_sequence = *sequence;
            self.drop_front();
        }
        Ok(())
    }

    /// So many chunks of the object are stored in all, of which the sequences are not known. Returns
    /// whether that can be.
    pub(super) fn handle_count(&mut self, stored: u64) -> bool {
        let is_possible = (self.stored..=self.stored + self.sent as u64).contains(&stored);
        while is_possible && self.stored < stored {
            self.drop_front();
        }
        is_possible
    }

    fn drop_front(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.stored += 1;
            self.stored_bytes += chunk.data.len() as u64;
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// What is behind the stored ones is not in the stream any more, and everything that comes now is
    /// behind this sequence.
    pub(super) fn send_again(&mut self, last_sequence: u64) {
        (self.sent, self.last_sequence) = (0, last_sequence);
        self.chunks.iter_mut().for_each(|chunk| chunk.sequence = None);
    }

    /// Nothing is kept any more.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.sent = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(chunks: u64) -> Kept {
        let mut kept = Kept::default();
        for number in 0..chunks {
            kept.push(vec![number as u8; 2].into());
            assert_eq!(kept.next_to_send().unwrap().0, number);
            kept.note_sent();
        }
        kept
    }

    #[test]
    fn what_is_stored_without_a_hole_is_not_kept() {
        let mut kept = kept(3);
        kept.handle_stored(1, 11).unwrap();
        assert_eq!((kept.stored(), kept.last_sequence()), (0, 0));
        kept.handle_stored(0, 10).unwrap();
        assert_eq!((kept.stored(), kept.stored_bytes(), kept.last_sequence()), (2, 4, 11));
        kept.handle_stored(0, 10).unwrap();
        kept.handle_stored(9, 99).unwrap();
        assert!(!kept.is_empty());
        kept.handle_stored(2, 15).unwrap();
        assert!(kept.is_empty() && kept.next_to_send().is_none());
    }

    #[test]
    fn another_order_in_the_stream_is_noticed() {
        let mut kept = kept(2);
        kept.handle_stored(1, 10).unwrap();
        assert_eq!(kept.handle_stored(0, 11), Err(OutOfOrder));
    }

    #[test]
    fn what_is_not_known_to_be_stored_is_sent_again() {
        let mut kept = kept(4);
        kept.handle_stored(0, 10).unwrap();
        kept.handle_stored(2, 12).unwrap();
        kept.send_again(20);
        assert_eq!(kept.next_to_send().unwrap().0, 1);
        for number in 1..4 {
            kept.note_sent();
            kept.handle_stored(number, 20 + number).unwrap();
        }
        assert!(kept.is_empty());
    }

    #[test]
    fn a_count_has_to_be_one_that_can_be() {
        let mut kept = kept(4);
        assert!(kept.handle_count(3));
        assert_eq!((kept.stored(), kept.is_empty()), (3, false));
        assert!(!kept.handle_count(2), "they were stored");
        assert!(!kept.handle_count(5), "it was never sent");
        assert_eq!(kept.stored(), 3);
    }
}
