//! Puts together what was written in one atomic batch. A pure machine: no socket, no clock.
//!
//! Servers deliver a batch message by message, next to each other and with the batch's id, and the last
//! one says that it is the last, also where the batch was committed without a last message of its own
//! (seen on server 2.15). It may not be delivered, and among the last values of the keys there may be only
//! parts of a batch. So a batch is held until its end, until
//! something that is not of it comes, or until the server has nothing more to deliver.
//!
//! The invariant: items are released in the order in which they came, each once, and none is held when
//! something was released behind it. What is held is bounded.

use evnats_protocol::Headers;

/// More of a batch is released in pieces. A server's own limit is 1,000, unless configured otherwise.
const MAX_ITEMS: usize = 10_000;
/// As many bytes of it are held.
const MAX_BYTES: usize = 64 << 20;

/// What a message's headers say of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) struct BatchMark<'a> {
    id: &'a [u8],
    sequence: u64,
    is_last: bool,
}

/// What may be reported.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kv) enum Released<T> {
    One(T),
    /// Two or more, of one batch.
    Batch(Vec<T>),
}

#[derive(Debug)]
pub(in crate::kv) struct WholeBatches<T> {
    /// The id of the batch that is held, and the sequence in it of what came last.
    current: Option<(Box<[u8]>, u64)>,
    held: Vec<T>,
    bytes: usize,
}

impl<'a> BatchMark<'a> {
    /// Reads it. Of several headers of a name the last one counts, as for servers.
    pub(in crate::kv) fn of(headers: Headers<'a>) -> Option<Self> {
        let (mut id, mut sequence, mut is_last) = (None, None, false);
        for (name, value) in headers.iter_bytes() {
            match name {
                b"Nats-Batch-Id" => id = Some(value),
                b"Nats-Batch-Sequence" => sequence = std::str::from_utf8(value).ok(),
                b"Nats-Batch-Commit" => is_last = true,
                _ => {}
            }
        }
        Some(Self { id: id?, sequence: sequence?.parse().ok()?, is_last })
    }
}

impl<T> Default for WholeBatches<T> {
    fn default() -> Self {
        Self { current: None, held: Vec::new(), bytes: 0 }
    }
}

impl<T> WholeBatches<T> {
    /// Whether there is something that belongs together and may not be complete.
    pub(in crate::kv) fn is_holding(&self) -> bool {
        self.current.is_some()
    }

    /// A message comes next. Returns what was held, if the message is not of that batch.
    pub(in crate::kv) fn handle_next(
        &mut self,
        mark: Option<BatchMark<'_>>,
    ) -> Option<Released<T>> {
        let continues = match (&self.current, mark) {
            (Some((id, sequence)), Some(mark)) => **id == *mark.id && mark.sequence > *sequence,
            _ => false,
        };
        if continues { None } else { self.release() }
    }

    /// The message itself, whose turn it is after [`handle_next`](Self::handle_next). `None`: one that
    /// is not shown, which may end its batch all the same.
    pub(in crate::kv) fn handle_item(
        &mut self,
        mark: Option<BatchMark<'_>>,
        item: Option<T>,
        bytes: usize,
    ) -> Option<Released<T>> {
        let Some(mark) = mark else { return item.map(Released::One) };
        match &mut self.current {
            Some((_, sequence)) => *sequence = mark.sequence,
            None => self.current = Some((mark.id.into(), mark.sequence)),
        }
        if item.is_some() {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.held.extend(item);
        match mark.is_last {
            true => self.release(),
            // the batch goes on, and what comes of it is another piece
            false if self.held.len() >= MAX_ITEMS || self.bytes >= MAX_BYTES => self.take(),
            false => None,
        }
    }

    /// No more of a batch comes: there is nothing to deliver, or nobody who would.
    pub(in crate::kv) fn release(&mut self) -> Option<Released<T>> {
        self.current = None;
        self.take()
    }

    fn take(&mut self) -> Option<Released<T>> {
        self.bytes = 0;
        let mut held = std::mem::take(&mut self.held);
        match held.len() {
            0 | 1 => held.pop().map(Released::One),
            _ => Some(Released::Batch(held)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(id: &'static str, sequence: u64, is_last: bool) -> Option<BatchMark<'static>> {
        Some(BatchMark { id: id.as_bytes(), sequence, is_last })
    }

    /// Hands messages over, and gives what is released: batches in brackets.
    fn hand(
        batches: &mut WholeBatches<u64>,
        mark: Option<BatchMark<'_>>,
        item: Option<u64>,
    ) -> Vec<Vec<u64>> {
        let before = batches.handle_next(mark);
        let own = batches.handle_item(mark, item, 1);
        before.into_iter().chain(own).map(numbers).collect()
    }

    fn numbers(released: Released<u64>) -> Vec<u64> {
        match released {
            Released::One(one) => vec![one],
            Released::Batch(batch) => batch,
        }
    }

    const NOTHING: [Vec<u64>; 0] = [];

    #[test]
    fn a_batch_is_released_with_its_last_message() {
        let mut batches = WholeBatches::default();
        assert_eq!(hand(&mut batches, None, Some(1)), [vec![1]]);
        assert_eq!(hand(&mut batches, mark("a", 1, false), Some(2)), NOTHING);
        assert_eq!(hand(&mut batches, mark("a", 2, false), Some(3)), NOTHING);
        assert!(batches.is_holding());
        assert_eq!(hand(&mut batches, mark("a", 3, true), Some(4)), [vec![2, 3, 4]]);
        assert!(!batches.is_holding());
        assert_eq!(hand(&mut batches, mark("b", 1, true), Some(5)), [vec![5]]);
    }

    #[test]
    fn without_its_end_a_batch_is_released_before_what_is_not_of_it() {
        let mut batches = WholeBatches::default();
        hand(&mut batches, mark("a", 1, false), Some(1));
        hand(&mut batches, mark("a", 4, false), Some(2));
        assert_eq!(hand(&mut batches, mark("b", 1, false), Some(3)), [vec![1, 2]]);
        assert_eq!(hand(&mut batches, None, Some(4)), [vec![3], vec![4]]);
        // the same id again, for another batch
        hand(&mut batches, mark("a", 3, false), Some(5));
        assert_eq!(hand(&mut batches, mark("a", 1, false), Some(6)), [vec![5]]);
        assert_eq!(batches.release().map(numbers), Some(vec![6]));
        assert_eq!(batches.release(), None);
    }

    #[test]
    fn a_message_that_is_not_shown_ends_its_batch_all_the_same() {
        let mut batches = WholeBatches::default();
        hand(&mut batches, mark("a", 1, false), Some(1));
        hand(&mut batches, mark("a", 2, false), Some(2));
        assert_eq!(hand(&mut batches, mark("a", 3, true), None), [vec![1, 2]]);
        assert_eq!(hand(&mut batches, mark("b", 1, false), None), NOTHING);
        assert_eq!(hand(&mut batches, mark("b", 2, true), None), NOTHING);
        assert!(!batches.is_holding());
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut batches = WholeBatches::default();
        let bound = MAX_ITEMS as u64;
        let mut pieces = Vec::new();
        for n in 1..=2 * bound + 5 {
            pieces.extend(hand(&mut batches, mark("a", n, n == 2 * bound + 5), Some(n)));
            assert!(batches.held.len() < MAX_ITEMS);
        }
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_ITEMS, MAX_ITEMS, 5]);
        batches.handle_item(mark("b", 1, false), Some(1), MAX_BYTES - 1);
        assert_eq!(
            batches.handle_item(mark("b", 2, false), Some(2), 1).map(numbers),
            Some(vec![1, 2])
        );
    }

    #[test]
    fn marks_are_read_from_headers() {
        let read = |lines: &str| {
            let block = format!("NATS/1.0\r\n{lines}\r\n");
            let mark = BatchMark::of(Headers::new(block.as_bytes()));
            mark.map(|mark| (mark.id.to_vec(), mark.sequence, mark.is_last))
        };
        assert_eq!(read("Nats-TTL: 1\r\n"), None);
        assert_eq!(read("Nats-Batch-Id: x\r\n"), None);
        assert_eq!(read("Nats-Batch-Id: x\r\nNats-Batch-Sequence: many\r\n"), None);
        let start = "Nats-Batch-Id: x\r\nNats-Batch-Sequence: 7\r\n";
        assert_eq!(read(start), Some((b"x".to_vec(), 7, false)));
        let end = format!("{start}Nats-Batch-Commit: 1\r\n");
        assert_eq!(read(&end), Some((b"x".to_vec(), 7, true)));
    }

    /// A piece of a stream: a message alone, or a batch, of which a reader sees some messages.
    fn pieces() -> impl Strategy<Value = Vec<(bool, Vec<bool>)>> {
        let seen = prop::collection::vec(any::<bool>(), 1..6);
        prop::collection::vec((any::<bool>(), seen), 0..20)
    }

    proptest! {
        /// However a reader sees a stream: nothing is lost or moved, batches come whole, and none is
        /// held behind a message that is not of it.
        #[test]
        fn batches_come_whole_and_everything_in_order(
            pieces in pieces(),
            idle in prop::collection::vec(any::<bool>(), 20),
        ) {
            let mut batches = WholeBatches::default();
            let (mut released, mut expected, mut next) = (Vec::new(), Vec::new(), 0u64);
            for (at, (is_batch, seen)) in pieces.iter().enumerate() {
                let (id, mut whole) = (at.to_string(), Vec::new());
                for (index, is_seen) in seen.iter().enumerate().filter(|(_, is_seen)| **is_seen) {
                    next += 1;
                    let mark = BatchMark {
                        id: id.as_bytes(),
                        sequence: index as u64 + 1,
                        is_last: index + 1 == seen.len() && *is_seen,
                    };
                    let mark = is_batch.then_some(mark);
                    released.extend(hand(&mut batches, mark, Some(next)));
                    match is_batch {
                        true => whole.push(next),
                        false => expected.push(vec![next]),
                    }
                    prop_assert_eq!(batches.is_holding(), mark.is_some_and(|mark| !mark.is_last));
                }
                expected.extend(Some(whole).filter(|whole| !whole.is_empty()));
                if idle[at] {
                    released.extend(batches.release().map(numbers));
                    prop_assert!(!batches.is_holding());
                }
            }
            released.extend(batches.release().map(numbers));
            prop_assert_eq!(released, expected);
        }
    }
}
