//! The grammar of one header block: the version line with its status, and the lines after it.
//!
//! It sees a whole block and never fails: what does not fit the grammar is skipped. Blocks are small
//! and looked at often, so the lines are found by hand, each byte looked at about once; a plain
//! reader, written after the grammar, is what the fuzz body holds them against.

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
        let last_byte = name.last()?;
        while !self.is_at_end() {
            let line = &self.block[self.next..];
            // the cheapest differences first: names in one block are of different lengths, or
            // differ at their ends
            if line.get(name.len()) == Some(&b':')
                && line.get(name.len() - 1) == Some(last_byte)
                && line.starts_with(name)
                && !name.iter().any(|byte| matches!(byte, b':' | b'\n'))
            {
                let start = self.next + name.len() + 1;
                self.next = self.after_line(start);
                return Some(self.block[start..self.next].trim_ascii());
            }
            self.next = self.after_line(self.next);
        }
        None
    }

    /// Whether there are no more lines. The blank line ends a block, whatever comes after it.
    #[inline]
    fn is_at_end(&self) -> bool {
        matches!(self.block[self.next..], [] | [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r'])
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
            self.next = self.after_line(start);
            let line = &self.block[start..self.next];
            match position_of(line, b':') {
                None | Some(0) => {}
                Some(name_len) => {
                    let value = line[name_len + 1..].trim_ascii_start();
                    let value_start = self.next - value.len();
                    let value_end = value_start + value.trim_ascii_end().len();
                    let name = start..start + name_len;
                    return Some(HeaderLine { name, value: value_start..value_end });
                }
            }
        }
        None
    }
}

/// The position of a byte that is not far away: `memchr` has to go further to be faster.
#[inline(always)]
fn position_of(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks();
    for (i, chunk) in chunks.iter().enumerate() {
        let found = equal_to(u64::from_le_bytes(*chunk), wanted);
        if found != 0 {
            return Some(i * chunk.len() + found.trailing_zeros() as usize / 8);
        }
    }
    let position = rest.iter().position(|byte| *byte == wanted)?;
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
