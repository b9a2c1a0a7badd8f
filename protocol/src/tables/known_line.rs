//! A control line, or the end of one, that was written before: all of it stays as it is but a token and
//! the size, which are written over.
//!
//! It checks nothing: what it was made of has been checked, and a server's limits are looked at
//! elsewhere, every time.

use crate::wire::encode;

#[derive(Debug, Default)]
pub(super) struct KnownLine {
    /// With the size of a payload and the line's end.
    bytes: Vec<u8>,
    /// Where the size begins.
    size_at: usize,
    payload_len: usize,
}

impl KnownLine {
    /// Whether there is no line yet.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes another line's place: what is written ends with a blank, behind which the size comes.
    pub(super) fn renew(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.clear();
        write(&mut self.bytes);
        self.size_at = self.bytes.len();
        self.set_size(0);
    }

    /// The line as it was made.
    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The line for a payload of this size, and with this token: it takes the place of what the reply
    /// subject ends with, if the token is not empty.
    #[inline(always)]
    pub(super) fn filled<const N: usize>(&mut self, token: &[u8; N], payload_len: usize) -> &[u8] {
        if let Some(last) = self.bytes[..self.size_at - 1].last_chunk_mut::<N>() {
            *last = *token;
        }
        if self.payload_len != payload_len {
            self.set_size(payload_len);
        }
        &self.bytes
    }

    /// Payloads often have all the same size, and then this is rare.
    #[inline(never)]
    fn set_size(&mut self, payload_len: usize) {
        self.bytes.truncate(self.size_at);
        encode::number(&mut self.bytes, payload_len as u64);
        self.bytes.extend_from_slice(encode::LINE_END);
        self.payload_len = payload_len;
    }
}
