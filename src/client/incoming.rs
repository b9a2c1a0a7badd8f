//! The read buffer of a layer around a socket: what was read, and what the layer has not taken of it.
//!
//! Its size is fixed. What was taken makes room when all of it was.

use std::io::{self, Read};

/// Bytes that have been read and that mean nothing yet.
pub(super) struct Incoming {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

/// How much is read at once, at most. The longest record of TLS is a little over 16 KiB.
pub(super) const READ_LEN: usize = 32 * 1024;

impl Default for Incoming {
    fn default() -> Self {
        Self { buffer: vec![0; READ_LEN].into(), start: 0, end: 0 }
    }
}

impl Incoming {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Reads once, behind what is there. Returns how much, and 0 at the end.
    pub(super) fn read_more(&mut self, transport: &mut impl Read) -> io::Result<usize> {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        loop {
            match transport.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let count = read?;
                    self.end += count;
                    return Ok(count);
                }
            }
        }
    }
}
