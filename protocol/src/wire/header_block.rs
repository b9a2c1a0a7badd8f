//! The grammar of one header block, in nom: the version line with its status, and the lines after.
//!
//! It sees a whole block and never fails: what does not fit the grammar is passed over.

use nom::bytes::complete::{tag, take_till1};
use nom::character::complete::{digit1, one_of, space0};
use nom::combinator::{fail, opt, rest};
use nom::sequence::terminated;
use nom::{IResult, Parser};

/// What every block begins with.
pub(crate) const VERSION_LINE: &[u8] = b"NATS/1.0";

/// The inline status of a header block: its code, and the description after it, trimmed.
pub(crate) fn status(block: &[u8]) -> Option<(u16, &[u8])> {
    let (_, line) = line_end(block).ok()?;
    let (description, code) = status_code(line).ok()?;
    Some((code, description.trim_ascii()))
}

/// The `Name: value` lines of a header block, up to the blank line or the end of the block.
///
/// A block that does not begin with the version line has no headers.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut input = match block.starts_with(VERSION_LINE) {
        true => line_end(block).map_or(&block[..0], |(after, _)| after),
        false => &block[..0],
    };
    std::iter::from_fn(move || {
        loop {
            let (after, line) = line_end(input).ok().filter(|(_, line)| !line.is_empty())?;
            input = after;
            if let Ok((value, name)) = name(line) {
                return Some((name, value.trim_ascii()));
            }
        }
    })
}

/// One line of a block without its end; the rest of the block after the end.
fn line_end(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return rest(input);
    };
    let line = &input[..end];
    Ok((&input[end + 1..], line.strip_suffix(b"\r").unwrap_or(line)))
}

fn name(line: &[u8]) -> IResult<&[u8], &[u8]> {
    terminated(take_till1(|byte| byte == b':'), tag(&b":"[..])).parse(line)
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
