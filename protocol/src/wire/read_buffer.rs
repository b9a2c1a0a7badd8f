//! The read buffer: memory that stays initialized, and that the message read from it last may share.
//!
//! Invariant: `start <= end <= memory.len() - WINDOW`, or the memory is empty. What has been decoded
//! lies before `start`, what has arrived before `end`. Memory that a message shares is never
//! written: whoever keeps a message beyond the next read makes the buffer take new memory.
//!
//! The memory follows the traffic: small to begin with, larger after reads that filled it, and given
//! back when nothing comes or when a large message had needed it.

use super::message_line::WINDOW;
use std::sync::Arc;

/// The size of the buffer of a busy connection. Larger only while a larger message needs it.
pub(super) const BUSY: usize = 128 * 1024;
/// The size of the buffer of a connection on which little comes.
pub(super) const SMALL: usize = 4 * 1024;
/// The part of the buffer's size that is the least room to read into: a smaller one would cost a
/// system call for little.
pub(super) const ROOM_PART: usize = 8;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    memory: Arc<Vec<u8>>,
    start: usize,
    end: usize,
    /// What the buffer is made for.
    size: usize,
}

impl ReadBuffer {
    /// An empty buffer, which takes memory with the first byte.
    pub(super) fn new() -> Self {
        Self { memory: Arc::default(), start: 0, end: 0, size: SMALL }
    }

    // ---- what has arrived ---------------------------------------------------------------------

    /// Number of bytes that have arrived and are not decoded.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// What has arrived and is not decoded.
    #[inline(always)]
    pub(super) fn unread(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Whether these bytes are so far behind the next one. That they have arrived is for the caller to
    /// see.
    #[inline(always)]
    pub(super) fn holds_at(&self, distance: usize, bytes: &[u8]) -> bool {
        let at = self.start + distance;
        self.memory.get(at..at + bytes.len()) == Some(bytes)
    }

    /// The next bytes in a window of fixed size. What has not arrived of them is anything.
    #[inline(always)]
    pub(super) fn window(&self) -> Option<&[u8; WINDOW]> {
        self.memory.get(self.start..)?.first_chunk()
    }

    /// The memory, and where in it the next byte is.
    #[inline(always)]
    pub(super) fn memory(&self) -> (&Arc<Vec<u8>>, usize) {
        (&self.memory, self.start)
    }

    /// So many bytes have been decoded.
    #[inline(always)]
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Forgets everything that has arrived.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    // ---- what arrives -------------------------------------------------------------------------

    /// Room to read into. Report with [`filled`](Self::filled) how much of it was used.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let least = self.size / ROOM_PART;
        if self.room_len() < least || Arc::get_mut(&mut self.memory).is_none() {
            self.make_room(least);
        }
        let range = self.end..self.capacity();
        Arc::get_mut(&mut self.memory).map_or(&mut [], |memory| &mut memory[range])
    }

    /// The first `count` bytes of the room have arrived. More than there was room for counts as all
    /// of it.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count.min(self.room_len());
        if self.room_len() == 0 {
            self.grow();
        }
    }

    /// Copies bytes that arrived elsewhere into the buffer.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.room_len() < bytes.len() {
            self.grow();
            self.make_room(bytes.len());
        } else if Arc::get_mut(&mut self.memory).is_none() {
            self.make_room(bytes.len());
        }
        let end = self.end + bytes.len();
        if let Some(memory) = Arc::get_mut(&mut self.memory) {
            memory[self.end..end].copy_from_slice(bytes);
            self.end = end;
        }
    }

    // ---- memory -------------------------------------------------------------------------------

    /// Gives the memory back if it holds nothing. It is taken again with the next byte.
    pub(super) fn release(&mut self) {
        if self.len() == 0 {
            *self = Self::new();
        }
    }

    /// Moves what has arrived into memory of the usual size, or larger if it needs that.
    #[cold]
    pub(super) fn give_back(&mut self) {
        self.move_to_new(self.size.max(self.len()));
    }

    /// How much the memory holds. The rest is there for the window.
    fn capacity(&self) -> usize {
        self.memory.len().saturating_sub(WINDOW)
    }

    fn room_len(&self) -> usize {
        self.capacity() - self.end
    }

    /// More comes at once than there is room for.
    fn grow(&mut self) {
        self.size = (4 * self.size).min(BUSY);
    }

    /// Makes room for `least` bytes: in the same memory, if no message shares it and if it is
    /// neither too small nor far too large, or else in new memory.
    #[cold]
    fn make_room(&mut self, least: usize) {
        let len = self.len();
        // doubling, and only as data really comes: an announcement alone takes no memory
        let size = (2 * len).max(len + least).max(self.size);
        let (is_fit, range) = ((size..=4 * size).contains(&self.capacity()), self.start..self.end);
        match Arc::get_mut(&mut self.memory) {
            Some(memory) if is_fit => {
                memory.copy_within(range, 0);
                (self.start, self.end) = (0, len);
            }
            _ => self.move_to_new(size),
        }
    }

    fn move_to_new(&mut self, size: usize) {
        let len = self.len();
        let mut memory = vec![0; size + WINDOW];
        memory[..len].copy_from_slice(self.unread());
        (self.memory, self.start, self.end) = (Arc::new(memory), 0, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffer: &mut ReadBuffer, bytes: &[u8]) {
        let room = buffer.room();
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        buffer.filled(count);
    }

    #[test]
    fn the_buffer_is_as_large_as_what_comes_and_is_given_back() {
        let mut buffer = ReadBuffer::new();
        assert_eq!(buffer.memory.len(), 0);
        for _ in 0..1000 {
            buffer.room();
            buffer.feed(b"PING\r\n");
            buffer.consume(6);
        }
        assert!(buffer.memory.len() <= 2 * SMALL, "little comes");
        for _ in 0..4 {
            read(&mut buffer, &[b'x'; 1 << 20]);
        }
        assert!(buffer.room().len() >= BUSY / ROOM_PART, "much comes");
        buffer.release();
        assert!(buffer.len() > 0, "what has come is kept");
        buffer.consume(buffer.len());
        buffer.release();
        assert_eq!(buffer.memory.len(), 0);
    }

    #[test]
    fn the_same_memory_is_used_again_unless_it_is_shared() {
        let mut buffer = ReadBuffer::new();
        buffer.feed(b"first");
        let address = buffer.memory.as_ptr();
        for _ in 0..10_000 {
            buffer.consume(buffer.len());
            read(&mut buffer, b"next");
        }
        assert_eq!(buffer.memory.as_ptr(), address);
        let shared = buffer.memory.clone();
        read(&mut buffer, b"more");
        assert_eq!(buffer.unread(), b"nextmore");
        assert_eq!(&shared[..8], b"nextt\0\0\0", "what is shared is not written");
        buffer.feed(b"!");
        assert_eq!(buffer.unread(), b"nextmore!");
    }

    #[test]
    fn what_a_large_message_had_needed_is_given_back() {
        let mut buffer = ReadBuffer::new();
        while buffer.len() < 8 << 20 {
            read(&mut buffer, &[b'x'; 1 << 16]);
        }
        buffer.consume(buffer.len() - 1);
        buffer.give_back();
        assert!(buffer.memory.len() <= BUSY + WINDOW);
        assert_eq!(buffer.unread(), b"x");
    }
}
