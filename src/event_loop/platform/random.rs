//! Randomness of the system, taken in blocks, so that most uses cost no system call.

use std::cell::RefCell;
use std::io;
use std::mem;

pub(super) struct Random(RefCell<Block>);

struct Block {
    bytes: [u8; 256],
    used: usize,
}

impl Random {
    /// # Errors
    /// The system has no randomness to give.
    pub(super) fn new() -> io::Result<Self> {
        let mut block = Block { bytes: [0; 256], used: 0 };
        getrandom::getrandom(&mut block.bytes)?;
        Ok(Self(RefCell::new(block)))
    }

    pub(super) fn fill(&self, room: &mut [u8]) {
        let mut block = self.0.borrow_mut();
        for byte in room {
            *byte = block.next();
        }
    }
}

impl Block {
    /// Nothing that was given is kept.
    fn next(&mut self) -> u8 {
        if self.used == self.bytes.len() {
            self.refill();
        }
        self.used += 1;
        mem::take(&mut self.bytes[self.used - 1])
    }

    /// A source that has given once goes on to give.
    #[cold]
    fn refill(&mut self) {
        getrandom::getrandom(&mut self.bytes).expect("randomness of the system");
        self.used = 0;
    }
}
