//! The decoder: bytes in, operations out, however the bytes are cut.
//!
//! Every byte is looked at once: the search for a line end resumes where it stopped, and a message
//! that is not complete is not looked at again until it is. Only the short line of a message that
//! was tried [the fast way](super::message_line) and was not complete is read a second time. After
//! the first error the decoder stays broken, because nothing shows where the next operation would
//! begin.

use super::error::ProtocolError;
use super::message::{Message, MessageHead};
use super::message_line::{LINE, Line, WINDOW, expected_line, repeated_line};
use super::op::{Operation, Parsed, ServerOp};
use super::read_buffer::ReadBuffer;
use crate::setters::setters;
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
    buffer: ReadBuffer,
    /// How many bytes must be there before there is anything new to do: one at the beginning of an
    /// operation, and only then.
    wanted: usize,
    /// The largest message that is read the fast way, or 0 if the limits leave no room for that.
    max_fast: usize,
    state: State,
    limits: Limits,
    direction: PhantomData<fn() -> Op>,
}

/// How far the operation has been read that the buffer begins with.
#[derive(Debug)]
enum State {
    /// So many bytes of its line are known to hold no line end.
    Line { scanned: usize },
    /// The control line of a message has been read, and its bytes are being waited for.
    Head(AwaitedMessage),
    /// The peer broke the protocol: nothing is read any more.
    Broken(ProtocolError),
}

impl State {
    const BEGINNING: Self = Self::Line { scanned: 0 };
    /// What is wanted then.
    const BEGINNING_WANTED: usize = 1;
}

#[derive(Debug, Clone, Copy)]
struct AwaitedMessage {
    head: MessageHead,
    line_len: usize,
}

/// What was decoded.
pub(crate) enum Decoded<Op> {
    /// A message, which is in its place.
    Message,
    /// Any other operation.
    Op(Op),
}

/// A message that the buffer is known to begin with.
pub(crate) struct ExpectedMessage(Line);

impl ExpectedMessage {
    /// Whether there are headers and nothing else.
    #[inline(always)]
    pub(crate) fn is_only_headers(&self) -> bool {
        let head = &self.0.head;
        head.header_len > 0 && head.header_len == head.total_len
    }
}

type Next<Op> = Result<Option<Decoded<Op>>, ProtocolError>;

/// After a message of this size the buffer's memory is given back at once.
const HUGE: usize = 1 << 20;
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
        // headers are a part of the message, so one comparison is enough
        let max_fast = match limits.max_line < LINE {
            true => 0,
            false => HUGE.min(max_message).min(limits.max_headers),
        };
        Self {
            buffer: ReadBuffer::new(),
            wanted: State::BEGINNING_WANTED,
            max_fast,
            state: State::BEGINNING,
            limits: Limits { max_message, ..limits },
            direction: PhantomData,
        }
    }

    /// Room to read into: some 4 KiB to begin with, and up to 128 KiB after reads that filled it.
    /// Report with [`filled`](Self::filled) how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.room()
    }

    /// The first `count` bytes of the room have arrived. More than there was room for counts as all
    /// of it.
    pub fn filled(&mut self, count: usize) {
        self.buffer.filled(count);
    }

    /// Gives the buffer's memory back if it holds nothing. It is taken again with the next byte.
    pub fn release(&mut self) {
        self.buffer.release();
    }

    /// Copies bytes that arrived elsewhere into the buffer.
    pub fn feed(&mut self, bytes: &[u8]) {
        // inside a line, only its end is worth searching for
        if let ([byte], State::Line { scanned }) = (bytes, &mut self.state)
            && *byte != b'\n'
            && *scanned == self.buffer.len()
            && *scanned < self.limits.max_line
        {
            *scanned += 1;
            self.wanted = *scanned + 1;
        }
        self.buffer.feed(bytes);
    }

    /// Number of bytes that have arrived and do not belong to a decoded operation.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Whether bytes have come that were not looked at, or that complete a message.
    pub(crate) fn has_news(&self) -> bool {
        self.buffer.len() >= self.wanted
    }
}

impl<Op: Operation> Decoder<Op> {
    /// The next complete operation, or `None` until more bytes have arrived. A message has memory of
    /// its own.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. From then on, the same error is returned forever.
    #[inline]
    pub fn next_op(&mut self) -> Result<Option<Op>, ProtocolError> {
        let mut place = Message::default();
        Ok(self.next(&mut place)?.map(|decoded| match decoded {
            Decoded::Message => Op::from_message(place.clone()),
            Decoded::Op(op) => op,
        }))
    }

    /// As [`next_op`](Self::next_op), but a message is put into a place that is used again and
    /// again.
    #[inline(always)]
    pub(crate) fn next(&mut self, place: &mut Message) -> Next<Op> {
        if self.buffer.len() < self.wanted {
            return Ok(None);
        }
        if let Some(window) = self.window()
            && let Some(line) = Op::message_line(window)
            && self.is_whole(line.len, line.head.total_len)
        {
            self.take_whole(&line, place);
            return Ok(Some(Decoded::Message));
        }
        self.advance(place)
    }

    // ---- the fast way -------------------------------------------------------------------------

    /// The window, if an operation begins there.
    #[inline(always)]
    fn window(&self) -> Option<&[u8; WINDOW]> {
        let is_beginning = self.wanted == State::BEGINNING_WANTED;
        if is_beginning { self.buffer.window() } else { None }
    }

    /// Whether all of a message has come whose line was read the fast way, and it is a usual one.
    #[inline(always)]
    fn is_whole(&self, line_len: usize, total_len: usize) -> bool {
        let end = line_len.wrapping_add(total_len);
        total_len < self.max_fast
            && end + TRAILER.len() <= self.buffer.len()
            && self.buffer.holds_at(end, TRAILER)
    }

    #[inline(always)]
    fn take_whole(&mut self, line: &Line, place: &mut Message) {
        place.place(self.buffer.memory(), &line.head, (line.len, line.route_end));
        self.buffer.consume(line.len + line.head.total_len + TRAILER.len());
    }

    /// Puts another message into its place, if one is there that can be read the fast way, and its line
    /// begins as the line of the one that lies in the place. Returns whether it was so.
    #[inline(always)]
    pub(crate) fn next_repeated(&mut self, sid: u64, place: &mut Message) -> bool {
        // twice, because each is shorter when it knows which it is
        match place.has_reply() {
            true => self.take_repeated::<true>(sid, place),
            false => self.take_repeated::<false>(sid, place),
        }
    }

    #[inline(always)]
    fn take_repeated<const REPLY: bool>(&mut self, sid: u64, place: &mut Message) -> bool {
        let (memory, start) = self.buffer.memory();
        if let Some(window) = self.window()
            && let Some(beginning) = place.beginning_of_line(memory, sid)
            && let Some(head) = repeated_line::<REPLY>(window, beginning)
            && self.is_whole(head.line_len, head.total_len)
        {
            place.place_again(start, &head);
            self.buffer.consume(head.line_len + head.total_len + TRAILER.len());
            return true;
        }
        false
    }

    /// Looks whether the next operation is a message that can be read the fast way, on a subject
    /// that begins as expected and goes on for `N` bytes: those are returned. Then it can be
    /// [taken](Self::take_expected).
    #[inline(always)]
    pub(crate) fn expect<const N: usize>(
        &self,
        start: &[u8],
        sid: u64,
    ) -> Option<(ExpectedMessage, &[u8; N])> {
        // what lies in the memory is worth no look then
        if self.buffer.len() == 0 {
            return None;
        }
        let (line, end) = expected_line(self.window()?, start, sid)?;
        self.is_whole(line.len, line.head.total_len).then_some((ExpectedMessage(line), end))
    }

    #[inline(always)]
    pub(crate) fn take_expected(
        &mut self,
        ExpectedMessage(line): ExpectedMessage,
        place: &mut Message,
    ) {
        self.take_whole(&line, place);
    }

    // ---- the way for everything ---------------------------------------------------------------

    /// Goes the way that everything can go, at whatever point the operation is.
    #[inline(never)]
    fn advance(&mut self, place: &mut Message) -> Next<Op> {
        match &self.state {
            State::Line { scanned } => self.search_line_end(*scanned, place),
            State::Head(message) => self.finish_message(*message, place),
            State::Broken(error) => {
                self.buffer.clear();
                Err(error.clone())
            }
        }
    }

    fn search_line_end(&mut self, scanned: usize, place: &mut Message) -> Next<Op> {
        let unread = self.buffer.unread();
        match find_line_end(&unread[scanned..]) {
            Some(end) => self.read_line(scanned + end, place),
            None if unread.len() > self.limits.max_line => Err(self.line_too_long()),
            None => {
                // its bytes need not be searched again
                self.state = State::Line { scanned: unread.len() };
                self.wanted = unread.len() + 1;
                Ok(None)
            }
        }
    }

    /// Reads the line that ends there.
    fn read_line(&mut self, end: usize, place: &mut Message) -> Next<Op> {
        if end > self.limits.max_line {
            return Err(self.line_too_long());
        }
        let line = &self.buffer.unread()[..end];
        match Op::parse(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(Parsed::Head(head)) => {
                self.begin_message(AwaitedMessage { head, line_len: end + 1 }, place)
            }
            Ok(Parsed::Complete(op)) => {
                self.consume(end + 1);
                Ok(Some(Decoded::Op(op)))
            }
            Err(error) => Err(self.break_down(error)),
        }
    }

    /// A message's control line has been read.
    fn begin_message(&mut self, message: AwaitedMessage, place: &mut Message) -> Next<Op> {
        let MessageHead { total_len, header_len, .. } = message.head;
        if total_len > self.limits.max_message {
            let (size, limit) = (total_len, self.limits.max_message);
            return Err(self.break_down(ProtocolError::MessageTooLarge { size, limit }));
        }
        if header_len > self.limits.max_headers {
            let (size, limit) = (header_len, self.limits.max_headers);
            return Err(self.break_down(ProtocolError::HeadersTooLarge { size, limit }));
        }
        self.state = State::Head(message);
        self.wanted = message.line_len + total_len + TRAILER.len();
        match self.buffer.len() < self.wanted {
            true => Ok(None),
            false => self.finish_message(message, place),
        }
    }

    /// All bytes of the message have arrived.
    fn finish_message(&mut self, message: AwaitedMessage, place: &mut Message) -> Next<Op> {
        let end = message.line_len + message.head.total_len;
        if !self.buffer.unread()[end..].starts_with(TRAILER) {
            return Err(self.break_down(ProtocolError::MissingTrailer));
        }
        self.deliver(message, place);
        Ok(Some(Decoded::Message))
    }

    fn deliver(&mut self, message: AwaitedMessage, place: &mut Message) {
        let AwaitedMessage { head, line_len } = message;
        place.place(self.buffer.memory(), &head, (line_len, 0));
        let frame_len = line_len + head.total_len + TRAILER.len();
        self.consume(frame_len);
        if frame_len >= HUGE {
            self.buffer.give_back();
        }
    }

    /// An operation of this length has been decoded.
    fn consume(&mut self, len: usize) {
        self.buffer.consume(len);
        self.state = State::BEGINNING;
        self.wanted = State::BEGINNING_WANTED;
    }

    /// Keeps an error to be returned forever. The bytes are dropped: they will not be decoded.
    #[cold]
    fn break_down(&mut self, error: ProtocolError) -> ProtocolError {
        self.buffer.clear();
        self.wanted = 0;
        self.state = State::Broken(error.clone());
        error
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
            .field("pending", &self.buffer.len())
            .field("wanted", &self.wanted)
            .field("state", &self.state)
            .field("limits", &self.limits)
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
                match decoder.state {
                    State::Line { scanned } => assert_eq!(scanned, decoder.pending()),
                    State::Head(AwaitedMessage { head, line_len }) => {
                        assert_eq!(decoder.wanted, line_len + head.total_len + TRAILER.len());
                    }
                    State::Broken(error) => panic!("{error}"),
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
        assert!(decoder.room().len() < 1 << 20);
        let mut left = size + 2;
        while left > 2 {
            let room = decoder.room().len().min(left - 2);
            decoder.filled(room);
            left -= room;
        }
        decoder.feed(b"\r\n");
        let Ok(Some(ServerOp::Message(message))) = decoder.next_op() else { panic!() };
        assert_eq!(message.payload().len(), size);
        assert!(decoder.room().len() < 1 << 20);
    }

    /// Every message is the same however it is read: whole, the fast way, or cut, as the grammar
    /// says.
    #[test]
    fn a_place_is_filled_again_and_again() {
        let mut decoder: Decoder = Decoder::default();
        let mut place = Message::default();
        let frame =
            [&b"HMSG a.b 7 r 12 1012\r\nNATS/1.0\r\n\r\n"[..], &[b'x'; 1000], b"\r\n"].concat();
        let message = Message::new("a.b", 7, Some("r"), Some(b"NATS/1.0\r\n\r\n"), &[b'x'; 1000]);
        let mut kept = Vec::new();
        for cut in 0..frame.len() {
            for piece in [&frame[..cut], &frame[cut..]] {
                decoder.room()[..piece.len()].copy_from_slice(piece);
                decoder.filled(piece.len());
                while let Some(decoded) = decoder.next(&mut place).unwrap() {
                    assert!(matches!(decoded, Decoded::Message));
                    assert_eq!(place, message, "cut at {cut}");
                    kept.push(place.clone());
                }
            }
        }
        assert_eq!(kept.len(), frame.len());
        assert!(kept.iter().all(|kept| *kept == message));
    }
}
