//! Headers: the raw block of a received message with a lazy reader, and the builder for sending.
//!
//! A block is `NATS/1.0[ status[ description]]` and then `Name: value` lines. Servers forward
//! blocks without looking into them, so the reader accepts anything and never fails: a line without
//! a name is skipped, a status that is not three digits is none. The builder is strict, because a
//! CR or LF in a value would let its writer forge headers. Inline status and headers stay apart: a
//! user's header named `Status` is never taken for one.

use super::header_block::{self, Lines, VERSION_LINE};
use super::line;
use ascii::AsAsciiStr;
use std::borrow::Cow;
use std::ops::Range;
use thiserror::Error;

/// The headers of a received message: a view of the raw block, parsed only as far as asked.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    block: &'a [u8],
}

/// The inline status of a header block, as in `NATS/1.0 503`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderStatus<'a> {
    /// Three digits: 100 to 999.
    pub code: u16,
    /// The text after the code, trimmed; often empty.
    pub description: &'a [u8],
}

impl<'a> Headers<'a> {
    /// A view of a raw block. Nothing is checked.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Self {
        Self { block }
    }

    /// The block as received, from `NATS/1.0` to the blank line. Empty if there were no headers.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.block
    }

    /// Whether the message came without a header block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// The inline status, if there is one.
    ///
    /// Any publisher can forge one on a core subject: take it for a control message only where one
    /// is expected and the payload is empty.
    #[must_use]
    pub fn status(&self) -> Option<HeaderStatus<'a>> {
        let (code, description) = header_block::status(self.block)?;
        Some(HeaderStatus { code, description })
    }

    /// Names and values in order, as bytes. Values are trimmed.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let block = self.block;
        Lines::new(block).map(move |line| (&block[line.name], &block[line.value]))
    }

    /// Names and values in order. What is not UTF-8 is shown with replacement characters.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let block = self.block;
        // looking at the block once costs less than looking at each of its parts
        let ascii = block.as_ascii_str();
        let part = move |range: Range<usize>| match ascii {
            Ok(ascii) => Cow::Borrowed(ascii[range].as_str()),
            Err(_) => text(&block[range]),
        };
        Lines::new(block).map(move |line| (part(line.name), part(line.value)))
    }

    /// The first value of a header. Names are compared with their case, as servers do.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values(name).next()
    }

    /// The last value of a header: the right one for every `Nats-*` header that a server adds,
    /// because it appends its own and leaves a publisher's copy before it.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values_bytes(name).last().map(text)
    }

    /// The last value of a header as a number. `None` if it is absent or not a plain number.
    #[must_use]
    pub fn last_number(&self, name: &str) -> Option<u64> {
        line::number(self.values_bytes(name).last()?)
    }

    /// All values of a header, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        self.values_bytes(name).map(text)
    }

    fn values_bytes(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let mut lines = Lines::new(self.block);
        std::iter::from_fn(move || lines.next_value(name.as_bytes()))
    }
}

/// Shows what is not UTF-8 with replacement characters, and looks for it in the quickest way first.
fn text(value: &[u8]) -> Cow<'_, str> {
    let ascii = value.as_ascii_str().map(|text| text.as_str());
    let text = ascii.or_else(|_| std::str::from_utf8(value));
    text.map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(status) = self.status() {
            let description = String::from_utf8_lossy(status.description);
            write!(f, "{} {description} ", status.code)?;
        }
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Headers to send: names and values in order, repeated names allowed.
///
/// A header that cannot be sent is remembered, and reported by the command that sends the map, so
/// that a map can be built in a chain:
///
/// ```
/// use evnats_protocol::HeaderMap;
/// let headers = HeaderMap::new().with("Trace-Id", "17").with("Trace-Id", "18");
/// assert_eq!(headers.as_headers().values("Trace-Id").count(), 2);
/// assert!(HeaderMap::new().with("a", "1\r\nb: 2").check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderMap {
    /// The encoded block without the blank line at its end; empty until the first header.
    block: Vec<u8>,
    error: Option<HeaderError>,
}

/// Why a header cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A header name is one byte or more, printable ASCII without space and colon.
    #[error("byte {byte:#04x} is not allowed in the header name {name:?}")]
    InvalidName {
        /// The name.
        name: String,
        /// The first byte that does not fit.
        byte: u8,
    },
    /// A header name was empty.
    #[error("empty header name")]
    EmptyName,
    /// A value with a CR or LF.
    #[error("line break in the value of header {name:?}")]
    LineBreakInValue {
        /// The name of the header.
        name: String,
    },
}

impl HeaderMap {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self { block: Vec::new(), error: None }
    }

    /// Adds a header and returns the map, to build one in a chain.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.append(name, value);
        self
    }

    /// Appends a header. White space around the value is removed, because servers keep it at the
    /// end and then fail to read their own headers. A header that cannot be sent is not appended
    /// but remembered as the map's error.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        if let Err(error) = check_name(name).and_then(|()| check_value(name, value)) {
            self.error.get_or_insert(error);
            return;
        }
        let value = value.trim_ascii();
        // at once: piece by piece, a short block would be moved several times
        self.block.reserve(VERSION_LINE.len() + name.len() + value.len() + 6);
        if self.block.is_empty() {
            self.block.extend_from_slice(VERSION_LINE);
            self.block.extend_from_slice(b"\r\n");
        }
        self.block.extend_from_slice(name.as_bytes());
        self.block.extend_from_slice(b": ");
        self.block.extend_from_slice(value);
        self.block.extend_from_slice(b"\r\n");
    }

    /// Appends every header of another map, and its error.
    pub fn extend(&mut self, other: &HeaderMap) {
        if let Some(error) = &other.error {
            self.error.get_or_insert(error.clone());
        }
        let lines = if self.block.is_empty() { 0 } else { VERSION_LINE.len() + 2 };
        self.block.extend_from_slice(other.block.get(lines..).unwrap_or_default());
    }

    /// Checks that every header could be added.
    ///
    /// # Errors
    /// The first one that could not, which is the error of a command that sends the map.
    pub fn check(&self) -> Result<(), HeaderError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Whether there is no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// The headers as a reader sees them.
    #[must_use]
    pub fn as_headers(&self) -> Headers<'_> {
        Headers::new(&self.block)
    }

    /// Size on the wire in bytes, with the blank line; 0 if there is no header.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        if self.block.is_empty() { 0 } else { self.block.len() + 2 }
    }

    /// The lines of the block, without the blank line.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.block
    }
}

/// Makes received headers sendable, to forward them. The inline status is dropped, and a header
/// that cannot be sent becomes the error that [`check`](HeaderMap::check) returns.
///
/// ```
/// use evnats_protocol::{HeaderMap, Headers};
/// let received = Headers::new(b"NATS/1.0 100 Idle\r\nTrace-Id: 17\r\n\r\n");
/// assert_eq!(HeaderMap::from(received), HeaderMap::new().with("Trace-Id", "17"));
/// ```
impl From<Headers<'_>> for HeaderMap {
    fn from(headers: Headers<'_>) -> Self {
        let mut map = Self::new();
        for (name, value) in headers.iter_bytes() {
            map.append(&String::from_utf8_lossy(name), value);
        }
        map
    }
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    if name.is_empty() {
        return Err(HeaderError::EmptyName);
    }
    match name.bytes().find(|byte| !(33..=126).contains(byte) || *byte == b':') {
        Some(byte) => Err(HeaderError::InvalidName { name: name.into(), byte }),
        None => Ok(()),
    }
}

fn check_value(name: &str, value: &[u8]) -> Result<(), HeaderError> {
    if memchr::memchr2(b'\r', b'\n', value).is_some() {
        return Err(HeaderError::LineBreakInValue { name: name.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_headers_stay_apart() {
        let headers = Headers::new(b"NATS/1.0 503\r\nStatus: 200\r\n\r\n");
        assert_eq!(headers.status().unwrap().code, 503);
        assert_eq!(headers.get("Status").as_deref(), Some("200"));
        assert_eq!(Headers::new(b"NATS/1.0\r\nStatus: 503\r\n\r\n").status(), None);
    }

    #[test]
    fn statuses_known_and_odd() {
        let status = |block: &'static [u8]| {
            Headers::new(block).status().map(|s| (s.code, s.description.to_vec()))
        };
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some((503, vec![])));
        assert_eq!(
            status(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"),
            Some((100, b"Idle Heartbeat".into()))
        );
        assert_eq!(status(b"NATS/1.0   404  No Messages \r\n"), Some((404, b"No Messages".into())));
        for odd in ["", "NATS/1.0\r\n", "NATS/1.0 50\r\n", "NATS/1.0 5", "NATS/1.0 5030\r\n", "x"] {
            assert_eq!(Headers::new(odd.as_bytes()).status(), None, "{odd}");
        }
    }

    #[test]
    fn lines_known_and_odd() {
        let block =
            b"NATS/1.0\r\nA:1\r\nB:  two \r\n: no name\r\nno colon\r\nC:\r\nA: 2\r\n\r\nZ: 9\r\n";
        let lines: Vec<_> = Headers::new(block)
            .iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let expected = [("A", "1"), ("B", "two"), ("C", ""), ("A", "2")];
        assert_eq!(lines, expected.map(|(n, v)| (n.to_string(), v.to_string())));
    }

    #[test]
    fn the_last_occurrence_wins_for_server_headers() {
        let headers = Headers::new(b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Sequence: 42\r\n\r\n");
        assert_eq!(headers.last_number("Nats-Sequence"), Some(42));
        assert_eq!(headers.get("Nats-Sequence").as_deref(), Some("7"));
        assert_eq!(headers.get("nats-sequence"), None);
    }

    #[test]
    fn a_block_that_never_ends_is_read_to_its_end() {
        assert_eq!(Headers::new(b"NATS/1.0\r\nA: b").get("A").as_deref(), Some("b"));
        assert_eq!(Headers::new(b"garbage").iter().count(), 0);
        let lone = Headers::new(b"NATS/1.0\r\nA: x\ry\r\n\r\n");
        assert_eq!(lone.get("A").as_deref(), Some("x\ry"));
    }

    #[test]
    fn the_builder_refuses_what_would_forge_headers() {
        let line_break = HeaderMap::new().with("A", "1\r\nB: 2");
        assert_eq!(line_break.check(), Err(HeaderError::LineBreakInValue { name: "A".into() }));
        assert_eq!(HeaderMap::new().with("", "1").check(), Err(HeaderError::EmptyName));
        assert!(HeaderMap::new().with("a:b", "1").check().is_err());
        assert!(HeaderMap::new().with("ü", "1").check().is_err());
        assert!(HeaderMap::new().with("a", "ü").check().is_ok());
    }

    #[test]
    fn received_headers_are_sent_on_or_are_an_error() {
        let map = HeaderMap::from(Headers::new(b"NATS/1.0 503\r\nA: 1\r\nB: \xff\r\nA: 2\r\n\r\n"));
        assert_eq!(map, HeaderMap::new().with("A", "1").with("B", b"\xff").with("A", "2"));
        assert_eq!(HeaderMap::from(Headers::default()), HeaderMap::new());
        let odd = HeaderMap::from(Headers::new(b"NATS/1.0\r\nA b: 1\r\nC: 2\r\n\r\n"));
        let error = HeaderError::InvalidName { name: "A b".into(), byte: b' ' };
        assert_eq!(odd.check(), Err(error));
        assert_eq!(odd.as_headers().get("C").as_deref(), Some("2"));
        let line_break = HeaderMap::from(Headers::new(b"NATS/1.0\r\nA: x\ry\r\n\r\n"));
        assert!(line_break.check().is_err());
        let name = HeaderMap::from(Headers::new(b"NATS/1.0\r\n\xff: x\r\n\r\n"));
        assert!(name.check().is_err());
    }

    #[test]
    fn maps_can_be_joined() {
        let mut map = HeaderMap::new();
        map.extend(&HeaderMap::new().with("A", "1"));
        map.extend(&HeaderMap::new());
        map.extend(&HeaderMap::new().with("B", "2"));
        assert_eq!(map, HeaderMap::new().with("A", "1").with("B", "2"));
    }
}
