//! From pieces of any size to chunks of one size. Pure.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Pieces that have come, and have not gone as chunks.
#[derive(Debug, Default)]
pub(super) struct Chunker {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Chunker {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// The next chunk of this size, if there is enough for it.
    pub(super) fn next(&mut self, size: usize) -> Option<Bytes> {
        (self.len >= size).then(|| self.take(size))
    }

    /// What is left at the end, which is less than a chunk.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        (self.len > 0).then(|| self.take(self.len))
    }

    /// A chunk within one piece is a part of it, without a copy.
    fn take(&mut self, size: usize) -> Bytes {
        self.len -= size;
        match self.pieces.front_mut() {
            Some(front) if front.len() > size => return front.split_to(size),
            Some(front) if front.len() == size => {
                return self.pieces.pop_front().unwrap_or_default();
            }
            _ => {}
        }
        let mut chunk = BytesMut::with_capacity(size);
        while chunk.len() < size {
            let Some(front) = self.pieces.front_mut() else { break };
            let part = front.split_to(front.len().min(size - chunk.len()));
            chunk.extend_from_slice(&part);
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
        chunk.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_are_the_pieces_in_their_order(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20),
            size in 1_usize..25,
        ) {
            let (mut chunker, mut chunks) = (Chunker::default(), Vec::new());
            for piece in &pieces {
                chunker.push(piece.clone().into());
                while let Some(chunk) = chunker.next(size) {
                    prop_assert_eq!(chunk.len(), size);
                    chunks.push(chunk);
                }
            }
            let rest = chunker.rest();
            prop_assert!(rest.as_ref().is_none_or(|rest| rest.len() < size));
            chunks.extend(rest);
            prop_assert_eq!(chunks.concat(), pieces.concat());
            prop_assert_eq!(chunker.rest(), None);
        }
    }
}
