//! Randomness of the system's cryptographic generator, taken in blocks, so that most uses cost no
//! system call. It is the only one that a real loop has.

use std::cell::RefCell;
use std::io;

pub(super) struct Random(RefCell<Block>);

/// Enough for more than a hundred requests.
const BLOCK: usize = 2048;
const WORD: usize = size_of::<u64>();

struct Block {
    bytes: [u8; BLOCK],
    used: usize,
}

impl Random {
    /// # Errors
    /// The system has no randomness to give.
    pub(super) fn new() -> io::Result<Self> {
        let mut block = Block { bytes: [0; BLOCK], used: 0 };
        getrandom::getrandom(&mut block.bytes)?;
        Ok(Self(RefCell::new(block)))
    }

    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.0.borrow_mut().next()
    }
}

impl Block {
    /// Nothing that was given is kept.
    #[inline]
    fn next(&mut self) -> u64 {
        loop {
            let next = self.bytes.get_mut(self.used..).and_then(|rest| rest.first_chunk_mut());
            if let Some(bytes) = next {
                self.used += WORD;
                return u64::from_ne_bytes(std::mem::take(bytes));
            }
            self.refill();
        }
    }

    /// A source that has given once goes on to give.
    #[cold]
    fn refill(&mut self) {
        getrandom::getrandom(&mut self.bytes).expect("randomness of the system");
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_number_comes_twice_and_what_was_given_is_not_kept() {
        let random = Random::new().expect("randomness");
        let numbers: Vec<_> = (0..3 * BLOCK / WORD + 7).map(|_| random.next()).collect();
        let different: HashSet<_> = numbers.iter().collect();
        assert_eq!(different.len(), numbers.len());
        let block = random.0.borrow();
        assert_eq!(block.used, 7 * WORD);
        assert!(block.bytes[..block.used].iter().all(|byte| *byte == 0));
        // the last bits are as random as the first
        let ones = |bit: u32| numbers.iter().filter(|number| *number >> bit & 1 == 1).count();
        assert!((0..64).all(|bit| (200..600).contains(&ones(bit))));
    }
}
