//! The decoder: bytes in, operations out, however the bytes are cut.
//!
//! It owns the read buffer, so that a message can be a piece of it instead of a copy. Every byte is
//! looked at once: the search for a line end resumes where it stopped, and a message that is not
//! complete is not looked at again until it is. After the first error the decoder stays broken,
//! because nothing shows where the next operation would begin.

use super::error::ProtocolError;
use super::message::MessageHead;
use super::op::{Operation, Parsed, ServerOp};
use crate::setters::setters;
use bytes::{Buf, Bytes, BytesMut};
use std::fmt;
use std::marker::PhantomData;

/// What a peer may make a decoder hold: `Limits::new().max_message(1 << 20)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum length of a control line in bytes. Default: 1 MiB, room for the `INFO` of a large
    /// cluster.
    pub max_line: usize,
    /// Maximum size of a message in bytes, headers and payload together. Default: 64 MiB, which is
    /// the largest `max_payload` a server can be given, and 1 MiB more for headers that servers
    /// add. Values over 1 GiB count as 1 GiB.
    pub max_message: usize,
    /// Maximum size of a header block in bytes. Default: 1 MiB.
    pub max_headers: usize,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! { max_line: usize, max_message: usize, max_headers: usize }

    pub(crate) const NONE: Self =
        Self { max_line: usize::MAX, max_message: usize::MAX, max_headers: usize::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_line: 1 << 20, max_message: 65 << 20, max_headers: 1 << 20 }
    }
}

/// Decodes the stream of one direction; by default what a server sends to a client.
///
/// ```
/// use evnats_protocol::{Decoder, ServerOp};
/// let mut decoder: Decoder = Decoder::default();
/// decoder.feed(b"MSG greet 1 5\r\nhel");
/// assert_eq!(decoder.next_op(), Ok(None));
/// decoder.feed(b"lo\r\nPING\r\n");
/// let Ok(Some(ServerOp::Message(message))) = decoder.next_op() else { panic!() };
/// assert_eq!(message.payload(), b"hello");
/// assert_eq!(decoder.next_op(), Ok(Some(ServerOp::Ping)));
/// ```
pub struct Decoder<Op = ServerOp> {
    /// Initialized to its length; the first `filled` bytes have arrived.
    buffer: BytesMut,
    filled: usize,
    /// The size of the memory that the buffer is a part of.
    allocated: usize,
    /// What the buffer is made for: small to begin with, and larger after reads that filled it.
    size: usize,
    /// How many bytes must have arrived before there is anything new to do.
    wanted: usize,
    /// How many bytes of an unfinished control line are known to hold no line end.
    scanned: usize,
    head: Option<AwaitedMessage>,
    limits: Limits,
    broken: Option<ProtocolError>,
    direction: PhantomData<fn() -> Op>,
}

/// A message whose control line has been read, and whose bytes are being waited for.
#[derive(Debug, Clone, Copy)]
struct AwaitedMessage {
    head: MessageHead,
    line_len: usize,
}

/// The size of the buffer of a busy connection. Larger only while a larger message needs it.
const BUFFER: usize = 128 * 1024;
/// A buffer that is larger, for the sake of a larger message, is not kept alive by small ones: those
/// are copied, so that a message keeps no more than this alive, or so many times itself.
const OVERSIZED: usize = 2 * BUFFER;
const TIMES_KEPT: usize = 16;
/// After a message of this size the buffer is given back at once.
const HUGE: usize = 1 << 20;
/// The size of the buffer of a connection on which little comes.
const SMALL_BUFFER: usize = 4 * 1024;
/// The part of the buffer's size that is the least room to read into: a smaller one would cost a
/// system call for little.
const ROOM_PART: usize = 8;
const TRAILER: &[u8] = b"\r\n";

impl<Op> Default for Decoder<Op> {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl<Op> Decoder<Op> {
    /// An empty decoder. Memory is taken with the first byte.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let max_message = limits.max_message.min(1 << 30);
        Self {
            buffer: BytesMut::new(),
            filled: 0,
            allocated: 0,
            size: SMALL_BUFFER,
            wanted: 1,
            scanned: 0,
            head: None,
            limits: Limits { max_message, ..limits },
            broken: None,
            direction: PhantomData,
        }
    }

    /// Room to read into: some 4 KiB to begin with, and up to 128 KiB after reads that filled it.
    /// Report with [`filled`](Self::filled) how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        let least = self.size / ROOM_PART;
        if self.buffer.len() - self.filled < least {
            self.make_room(least);
        }
        &mut self.buffer[self.filled..]
    }

    /// The first `count` bytes of the room have arrived. More than there was room for counts as all
    /// of it.
    pub fn filled(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.buffer.len());
        if self.filled == self.buffer.len() {
            self.grow();
        }
    }

    /// Gives the buffer's memory back if it holds nothing. It is taken again with the next byte.
    pub fn release(&mut self) {
        if self.filled == 0 {
            (self.buffer, self.allocated, self.size) = (BytesMut::new(), 0, SMALL_BUFFER);
        }
    }

    /// Copies bytes that arrived elsewhere into the buffer.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) {
        if let ([byte], Some(place)) = (bytes, self.buffer.get_mut(self.filled)) {
            *place = *byte;
            // inside a line, only its end is worth searching for
            let in_line = self.scanned == self.filled && self.filled < self.limits.max_line;
            self.filled += 1;
            if in_line && *byte != b'\n' {
                self.scanned = self.filled;
                self.wanted = self.filled + 1;
            }
            return;
        }
        let end = self.filled + bytes.len();
        if end > self.buffer.len() {
            self.grow();
            self.make_room(bytes.len());
        }
        self.buffer[self.filled..end].copy_from_slice(bytes);
        self.filled = end;
    }

    /// Number of bytes that have arrived and do not belong to a decoded operation.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.filled
    }

    /// Whether bytes have come that were not looked at, or that complete a message.
    pub(crate) fn has_news(&self) -> bool {
        self.filled >= self.wanted
    }

    /// More comes at once than there is room for.
    fn grow(&mut self) {
        self.size = (4 * self.size).min(BUFFER);
    }

    /// Takes memory for more input: the old buffer again if no message holds on to it, or else a
    /// new one. A buffer that a large message had grown is given back.
    #[cold]
    fn make_room(&mut self, room: usize) {
        self.buffer.truncate(self.filled);
        // doubling, and only as data really comes: an announcement alone takes no memory
        let size = (2 * self.filled).max(self.filled + room).max(self.size);
        let is_new = self.buffer.capacity() < size;
        self.buffer.reserve(size - self.filled);
        if is_new {
            self.allocated = self.buffer.capacity();
        }
        if self.buffer.capacity() > 4 * size {
            self.move_to_new(size);
        }
        self.buffer.resize(self.buffer.capacity(), 0);
    }

    /// Moves what has arrived into a buffer of this size, or larger if it needs that.
    fn move_to_new(&mut self, size: usize) {
        let mut buffer = BytesMut::with_capacity(size.max(self.filled));
        buffer.extend_from_slice(&self.buffer[..self.filled]);
        self.allocated = buffer.capacity();
        self.buffer = buffer;
    }
}

impl<Op: Operation> Decoder<Op> {
    /// The next complete operation, or `None` until more bytes have arrived.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. From then on, the same error is returned forever.
    #[inline]
    pub fn next_op(&mut self) -> Result<Option<Op>, ProtocolError> {
        if self.filled < self.wanted {
            return Ok(None);
        }
        self.advance()
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<Op>, ProtocolError> {
        if self.head.is_some() || self.broken.is_some() {
            return self.resume();
        }
        let Some(end) = find_line_end(&self.buffer[self.scanned..self.filled]) else {
            return self.await_line_end();
        };
        let end = self.scanned + end;
        let line = &self.buffer[..end];
        match Op::parse_plain_message(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some(head) if end <= self.limits.max_line => self.begin_message(head, end + 1),
            _ => self.read_line(end),
        }
    }

    /// Reads a line of any kind.
    #[inline(never)]
    fn read_line(&mut self, end: usize) -> Result<Option<Op>, ProtocolError> {
        if end > self.limits.max_line {
            return Err(self.line_too_long());
        }
        let line = &self.buffer[..end];
        match Op::parse(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(Parsed::Head(head)) => self.begin_message(head, end + 1),
            Ok(Parsed::Complete(op)) => {
                self.buffer.advance(end + 1);
                self.filled -= end + 1;
                self.scanned = 0;
                self.wanted = 1;
                Ok(Some(op))
            }
            Err(error) => Err(self.break_down(error)),
        }
    }

    /// A message's control line of `line_len` bytes has been read.
    #[inline(always)]
    fn begin_message(
        &mut self,
        head: MessageHead,
        line_len: usize,
    ) -> Result<Option<Op>, ProtocolError> {
        if head.total_len > self.limits.max_message {
            let (size, limit) = (head.total_len, self.limits.max_message);
            return Err(self.break_down(ProtocolError::MessageTooLarge { size, limit }));
        }
        if head.header_len > self.limits.max_headers {
            let (size, limit) = (head.header_len, self.limits.max_headers);
            return Err(self.break_down(ProtocolError::HeadersTooLarge { size, limit }));
        }
        self.scanned = 0;
        self.wanted = line_len + head.total_len + TRAILER.len();
        let message = AwaitedMessage { head, line_len };
        if self.filled < self.wanted {
            self.head = Some(message);
            return Ok(None);
        }
        self.finish_message(message)
    }

    /// Finishes a message that did not come in one piece, or repeats an error.
    #[inline(never)]
    fn resume(&mut self) -> Result<Option<Op>, ProtocolError> {
        match (self.head.take(), &self.broken) {
            (_, Some(error)) => Err(error.clone()),
            (Some(head), None) => self.finish_message(head),
            (None, None) => Ok(None),
        }
    }

    /// All bytes of the message have arrived.
    #[inline(always)]
    fn finish_message(&mut self, head: AwaitedMessage) -> Result<Option<Op>, ProtocolError> {
        let frame_len = self.wanted;
        if self.buffer[frame_len - TRAILER.len()..frame_len] != *TRAILER {
            return Err(self.break_down(ProtocolError::MissingTrailer));
        }
        let frame = match self.allocated > OVERSIZED && frame_len < self.allocated / TIMES_KEPT {
            true => {
                let frame = Bytes::copy_from_slice(&self.buffer[..frame_len]);
                self.buffer.advance(frame_len);
                frame
            }
            false => self.buffer.split_to(frame_len).freeze(),
        };
        self.filled -= frame_len;
        self.wanted = 1;
        if frame_len >= HUGE {
            self.move_to_new(self.size);
        }
        Ok(Some(Op::from_message(head.head.into_message(frame, head.line_len))))
    }

    /// The line is not complete: its bytes need not be searched again.
    #[inline(never)]
    fn await_line_end(&mut self) -> Result<Option<Op>, ProtocolError> {
        if self.filled > self.limits.max_line {
            return Err(self.line_too_long());
        }
        self.scanned = self.filled;
        self.wanted = self.filled + 1;
        Ok(None)
    }

    /// Keeps an error to be returned forever. The bytes are dropped: they will not be decoded.
    #[cold]
    fn break_down(&mut self, error: ProtocolError) -> ProtocolError {
        self.buffer.clear();
        (self.filled, self.scanned, self.wanted, self.head) = (0, 0, 0, None);
        self.broken.get_or_insert(error).clone()
    }

    #[cold]
    fn line_too_long(&mut self) -> ProtocolError {
        let limit = self.limits.max_line;
        self.break_down(ProtocolError::LineTooLong { limit })
    }
}

/// Most feeds of a slow peer are a few bytes, for which a plain loop is cheaper than a call.
#[inline]
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < 8 {
        return bytes.iter().position(|&byte| byte == b'\n');
    }
    memchr::memchr(b'\n', bytes)
}

impl<Op> fmt::Debug for Decoder<Op> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("pending", &self.filled)
            .field("wanted", &self.wanted)
            .field("limits", &self.limits)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;
    use crate::wire::op::ClientOp;

    const STREAM: &[u8] = b"INFO {\"server_id\":\"x\"} \r\n+OK\r\nMSG a.b 1 5\r\nhello\r\n\
        PING\r\nHMSG a 2 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nMSG s 1  0\r\n\r\n-ERR 'no'\r\nPONG\r\n";

    fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Vec<ServerOp> {
        let mut ops = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            while let Some(op) = decoder.next_op().unwrap() {
                ops.push(op);
            }
        }
        ops
    }

    #[test]
    fn every_split_gives_the_same_operations() {
        let whole = decode(&mut Decoder::default(), &[STREAM]);
        assert_eq!(whole.len(), 8);
        assert_eq!(whole[2], ServerOp::Message(Message::new("a.b", 1, None, None, b"hello")));
        let headers = Some(&b"NATS/1.0\r\n\r\n"[..]);
        assert_eq!(whole[4], ServerOp::Message(Message::new("a", 2, Some("r"), headers, b"hi")));
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                assert_eq!(decode(&mut Decoder::default(), &pieces), whole, "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(decode(&mut Decoder::default(), &bytes), whole);
    }

    #[test]
    fn no_byte_is_searched_twice_however_small_the_pieces() {
        for size in [1, 2, 3, 7, 20] {
            let mut decoder: Decoder = Decoder::default();
            for piece in STREAM.chunks(size) {
                decoder.feed(piece);
                while decoder.next_op().unwrap().is_some() {}
                assert!(!decoder.has_news(), "asking again costs nothing");
                match decoder.head {
                    None => assert_eq!(decoder.scanned, decoder.filled),
                    Some(AwaitedMessage { head, line_len }) => {
                        assert_eq!(decoder.wanted, line_len + head.total_len + TRAILER.len());
                    }
                }
            }
        }
    }

    /// What they leave out counts as what servers assume.
    #[test]
    fn the_connects_of_other_clients_are_understood() {
        for line in [
            "CONNECT {}",
            r#"CONNECT {"verbose":false,"pedantic":false,"lang":"nats.js","version":"2.29.3"}"#,
            r#"CONNECT {"protocol":1,"version":"3.0.2","lang":"nats.deno","verbose":false,"pedantic":false,"user":"u","pass":"p","headers":true,"no_responders":true}"#,
            r#"CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"name":"","lang":"go","version":"1.45.0","protocol":1,"echo":true,"headers":true,"no_responders":true}"#,
            r#"CONNECT {"verbose":false,"pedantic":false,"sig":"","tls_required":false,"name":"","lang":"C","version":"3.10.0","protocol":1,"echo":true,"headers":true,"no_responders":true}"#,
        ] {
            let mut decoder: Decoder<ClientOp> = Decoder::default();
            decoder.feed(format!("{line}\r\n").as_bytes());
            assert!(matches!(decoder.next_op(), Ok(Some(ClientOp::Connect(_)))), "{line}");
        }
    }

    #[test]
    fn a_line_feed_alone_ends_a_line_and_a_carriage_return_alone_does_not() {
        let mut decoder: Decoder = Decoder::default();
        assert_eq!(decode(&mut decoder, &[b"PING\n+OK\r"]), [ServerOp::Ping]);
        assert_eq!(decode(&mut decoder, &[b"\n"]), [ServerOp::Ok]);
    }

    #[test]
    fn errors_last() {
        let mut decoder: Decoder = Decoder::default();
        decoder.feed(b"MSG a 1 2\r\nabXXPING\r\n");
        for more in ["", "PING\r\n", "\n", "MSG a 1 1\r\n", "x\r\nPI"] {
            decoder.feed(more.as_bytes());
            assert_eq!(decoder.next_op(), Err(ProtocolError::MissingTrailer), "{more:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { max_line: 16, max_message: 8, max_headers: 8 };
        let mut decoder: Decoder = Decoder::new(limits);
        decoder.feed(b"MSG a 1 9\r\n");
        let too_large = ProtocolError::MessageTooLarge { size: 9, limit: 8 };
        assert_eq!(decoder.next_op(), Err(too_large));
        for line in [&b"-ERR aaaaaaaaaaaaaaaaaaaaaaa"[..], b"-ERR aaaaaaaaaaaaaaaaaaaaaaa\r\n"] {
            let mut decoder: Decoder = Decoder::new(limits);
            decoder.feed(line);
            assert_eq!(decoder.next_op(), Err(ProtocolError::LineTooLong { limit: 16 }));
        }
    }

    #[test]
    fn a_length_near_the_largest_number_is_refused() {
        for length in [u64::MAX, u64::MAX - 1, u64::from(u32::MAX), 1 << 40] {
            let mut decoder: Decoder = Decoder::default();
            decoder.feed(format!("MSG a 1 {length}\r\n").as_bytes());
            assert!(decoder.next_op().is_err());
        }
    }

    #[test]
    fn an_announcement_takes_no_memory_and_a_large_message_gives_its_memory_back() {
        let mut decoder: Decoder = Decoder::default();
        let size = 8 << 20;
        decoder.feed(format!("MSG a 1 {size}\r\n").as_bytes());
        assert_eq!(decoder.next_op(), Ok(None));
        assert!(decoder.buffer.capacity() < 1 << 20);
        let mut left = size + 2;
        while left > 2 {
            let room = decoder.room().len().min(left - 2);
            decoder.filled(room);
            left -= room;
        }
        decoder.feed(b"\r\n");
        let Ok(Some(ServerOp::Message(message))) = decoder.next_op() else { panic!() };
        assert_eq!(message.payload().len(), size);
        drop(message);
        for _ in 0..2000 {
            decoder.feed(b"MSG a 1 16384\r\n");
            decoder.feed(&[b'x'; 16384]);
            decoder.feed(b"\r\n");
            assert!(decoder.next_op().unwrap().is_some());
        }
        assert!(decoder.buffer.capacity() <= 5 * BUFFER);
    }

    #[test]
    fn the_buffer_is_as_large_as_what_comes_and_is_given_back() {
        let mut decoder: Decoder = Decoder::default();
        for _ in 0..1000 {
            decoder.room();
            decoder.feed(b"PING\r\n");
            assert_eq!(decoder.next_op(), Ok(Some(ServerOp::Ping)));
        }
        assert!(decoder.buffer.capacity() <= 2 * SMALL_BUFFER, "little comes");
        let line = [b'x'; 1 << 20];
        for _ in 0..4 {
            let room = decoder.room();
            let room_len = room.len();
            room.copy_from_slice(&line[..room_len]);
            decoder.filled(room_len);
        }
        assert!(decoder.room().len() >= BUFFER / ROOM_PART, "much comes");
        decoder.release();
        assert!(decoder.filled > 0, "what has come is kept");
        decoder.break_down(ProtocolError::MissingTrailer);
        decoder.release();
        assert_eq!(decoder.buffer.capacity(), 0);
    }

    #[test]
    fn the_buffer_is_used_again_when_no_message_holds_it() {
        let mut decoder: Decoder = Decoder::default();
        let frame = [&b"MSG a 1 1000\r\n"[..], &[b'x'; 1000], b"\r\n"].concat();
        decoder.feed(&frame);
        let first = decoder.next_op().unwrap();
        let Some(ServerOp::Message(first)) = first else { panic!() };
        let kept = first.detached();
        drop(first);
        let address = decoder.buffer.as_ptr() as usize;
        for _ in 0..10_000 {
            decoder.room();
            decoder.feed(&frame);
            decoder.next_op().unwrap();
        }
        assert!((decoder.buffer.as_ptr() as usize).abs_diff(address) <= 2 * BUFFER);
        assert_eq!(kept.payload().len(), 1000);
    }
}
