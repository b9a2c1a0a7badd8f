//! The grammar of one header block: the version line with its status, and the lines after it.
//!
//! It sees a whole block and never fails: what does not fit the grammar is skipped. Blocks are small
//! and looked at often, so the lines are found by hand, each byte looked at about once; a plain
//! reader, written after the grammar, is what the fuzz body holds them against.

use super::header_search::{AFTER_LINE_BREAKS, next_place};
use super::texts::is_same;
use super::words::equal_to;
use nom::bytes::complete::tag;
use nom::character::complete::{digit1, one_of, space0};
use nom::combinator::{fail, opt};
use nom::{IResult, Parser};
use std::ops::Range;

/// What every block begins with.
pub(crate) const VERSION_LINE: &[u8] = b"NATS/1.0";

/// The inline status of a header block: its code, and the description after it, trimmed.
pub(crate) fn status(block: &[u8]) -> Option<(u16, &[u8])> {
    // most blocks have none, and end their first line here
    if !matches!(block.get(VERSION_LINE.len()), Some(b' ' | b'\t' | b'0'..=b'9')) {
        return None;
    }
    let line = match memchr::memchr(b'\n', block) {
        Some(end) => block[..end].strip_suffix(b"\r").unwrap_or(&block[..end]),
        None => block,
    };
    let (description, code) = status_code(line).ok()?;
    Some((code, description.trim_ascii()))
}

/// The `Name: value` lines of a header block, up to the blank line or the end of the block.
///
/// A block that does not begin with the version line has no headers.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    block: &'a [u8],
    /// Where the next line begins.
    next: usize,
}

/// Where a header's name and its value, trimmed, are in the block.
#[derive(Debug, Clone)]
pub(crate) struct HeaderLine {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Self {
        const USUAL_START: &[u8] = b"NATS/1.0\r\n";
        let mut lines = Self { block, next: block.len() };
        if block.starts_with(USUAL_START) {
            lines.next = USUAL_START.len();
        } else if block.starts_with(VERSION_LINE) {
            lines.next = lines.after_line(VERSION_LINE.len());
        }
        lines
    }

    /// The value of the next header with this name. Names that no header can have are not found.
    #[inline]
    pub(crate) fn next_value(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        let last = *name.last()?;
        // the first line may be the blank one
        let mut from = self.next.saturating_sub(1);
        while let Some(place) = next_place(self.block, from, last) {
            from = place + 1;
            if self.block[place] == b'\n' {
                if is_end(&self.block[from..]) {
                    self.next = from;
                    return None;
                }
            } else if self.is_name(name, from) {
                let start = from + 1;
                self.next = self.after_line(start);
                return Some(&self.block[trimmed(self.block, start..self.next)]);
            }
        }
        self.next = self.block.len();
        None
    }

    /// Whether a line begins with this name and the colon at this place.
    #[inline]
    fn is_name(&self, name: &[u8], colon: usize) -> bool {
        let Some(start) = colon.checked_sub(name.len()) else { return false };
        start >= self.next
            && self.block[start - 1] == b'\n'
            && self.block[colon] == b':'
            && is_same(&self.block[start..colon], name)
            && position_of_either(name, b':', b'\n').is_none()
    }

    /// Whether there are no more lines.
    #[inline]
    fn is_at_end(&self) -> bool {
        is_end(&self.block[self.next..])
    }

    /// Where the line after this place begins.
    #[inline]
    fn after_line(&self, place: usize) -> usize {
        let end = position_of(&self.block[place..], b'\n');
        end.map_or(self.block.len(), |end| place + end + 1)
    }
}

impl Iterator for Lines<'_> {
    type Item = HeaderLine;

    #[inline]
    fn next(&mut self) -> Option<HeaderLine> {
        while !self.is_at_end() {
            let start = self.next;
            let Some(name_len) = position_of_either(&self.block[start..], b':', b'\n') else {
                self.next = self.block.len();
                return None;
            };
            let name = start..start + name_len;
            let value = name.end + 1;
            if self.block[name.end] == b'\n' {
                self.next = value;
                continue;
            }
            self.next = self.after_line(value);
            if !name.is_empty() {
                return Some(HeaderLine { name, value: trimmed(self.block, value..self.next) });
            }
        }
        None
    }
}

/// Whether the lines of a block end before these bytes. The blank line ends them, whatever comes
/// after it.
#[inline(always)]
fn is_end(bytes: &[u8]) -> bool {
    match bytes {
        [first, ..] if *first >= AFTER_LINE_BREAKS => false,
        _ => matches!(bytes, [] | [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r']),
    }
}

/// A range of a block without the white space at both ends.
#[inline(always)]
fn trimmed(block: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &block[range.clone()];
    // what follows the colon of most lines
    if let [b' ', first, .., last, b'\r', b'\n'] = text
        && *first > b' '
        && *last > b' '
    {
        return range.start + 1..range.end - 2;
    }
    let text = text.trim_ascii_start();
    let start = range.end - text.len();
    start..start + text.trim_ascii_end().len()
}

/// The position of a byte that is not far away: `memchr` has to go further to be faster.
#[inline(always)]
fn position_of(bytes: &[u8], wanted: u8) -> Option<usize> {
    position_of_either(bytes, wanted, wanted)
}

/// The position of the first of two bytes that are not far away.
#[inline(always)]
fn position_of_either(bytes: &[u8], one: u8, other: u8) -> Option<usize> {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        let found = equal_to(word, one) | equal_to(word, other);
        if found != 0 {
            return Some(bytes.len() - rest.len() + found.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    let position = rest.iter().position(|byte| *byte == one || *byte == other)?;
    Some(bytes.len() - rest.len() + position)
}

/// `NATS/1.0 503 text`: exactly three digits, then a blank or the end.
fn status_code(line: &[u8]) -> IResult<&[u8], u16> {
    let (input, _) = (tag(VERSION_LINE), space0).parse(line)?;
    let (input, digits) = digit1(input)?;
    let (_, blank) = opt(one_of(" \t")).parse(input)?;
    match digits {
        [a @ b'1'..=b'9', b, c] if blank.is_some() || input.is_empty() => {
            let code = [*a, *b, *c].iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
            Ok((input, code))
        }
        _ => fail().parse(line),
    }
}
