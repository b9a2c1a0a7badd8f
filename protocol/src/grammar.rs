//! The grammar of one finished control line and of one header block, in nom.
//!
//! Everything here sees its whole input (`complete` parsers, never `streaming`): finding where a
//! line ends is the decoder's work, and that is what keeps decoding linear. Arguments are divided
//! by runs of blanks, because old servers write two where a reply subject is left out.

use crate::error::{ProtocolError, excerpt};
use crate::headers::{Status, VERSION_LINE};
use nom::bytes::complete::{tag, take_till, take_till1, take_while};
use nom::character::complete::{digit1, u64 as decimal};
use nom::combinator::{all_consuming, opt, rest};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// A control line from a server, its arguments still bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerLine<'a> {
    Info(&'a [u8]),
    Message(MessageLine<'a>),
    Ok,
    Error(&'a [u8]),
    Ping,
    Pong,
}

/// A control line from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientLine<'a> {
    Connect(&'a [u8]),
    Publish(MessageLine<'a>),
    Subscribe { subject: &'a [u8], queue: Option<&'a [u8]>, sid: u64 },
    Unsubscribe { sid: u64, max: Option<u64> },
    Ping,
    Pong,
}

/// The arguments of `MSG`, `HMSG`, `PUB` and `HPUB`. Only servers send a `sid`; it is 0 in the
/// other direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageLine<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) sid: u64,
    pub(crate) reply: Option<&'a [u8]>,
    /// `None` for the verbs without headers.
    pub(crate) header_len: Option<usize>,
    pub(crate) total_len: usize,
}

/// Reads a line that a server sent, given without its line end.
pub(crate) fn server_line(line: &[u8]) -> Result<ServerLine<'_>, ProtocolError> {
    let (verb, tail) = split_verb(line);
    if verb.eq_ignore_ascii_case(b"MSG") {
        message(tail, Sid::Present, false)
            .map(ServerLine::Message)
            .ok_or_else(malformed("MSG", tail))
    } else if verb.eq_ignore_ascii_case(b"HMSG") {
        message(tail, Sid::Present, true)
            .map(ServerLine::Message)
            .ok_or_else(malformed("HMSG", tail))
    } else if verb.eq_ignore_ascii_case(b"PING") {
        bare(tail, "PING").map(|()| ServerLine::Ping)
    } else if verb.eq_ignore_ascii_case(b"PONG") {
        bare(tail, "PONG").map(|()| ServerLine::Pong)
    } else if verb.eq_ignore_ascii_case(b"+OK") {
        Ok(ServerLine::Ok)
    } else if verb.eq_ignore_ascii_case(b"-ERR") {
        Ok(ServerLine::Error(unquoted(tail)))
    } else if verb.eq_ignore_ascii_case(b"INFO") {
        Ok(ServerLine::Info(tail.trim_ascii()))
    } else {
        Err(unknown(verb))
    }
}

/// Reads a line that a client sent, given without its line end.
pub(crate) fn client_line(line: &[u8]) -> Result<ClientLine<'_>, ProtocolError> {
    let (verb, tail) = split_verb(line);
    if verb.eq_ignore_ascii_case(b"PUB") {
        message(tail, Sid::Absent, false)
            .map(ClientLine::Publish)
            .ok_or_else(malformed("PUB", tail))
    } else if verb.eq_ignore_ascii_case(b"HPUB") {
        message(tail, Sid::Absent, true)
            .map(ClientLine::Publish)
            .ok_or_else(malformed("HPUB", tail))
    } else if verb.eq_ignore_ascii_case(b"SUB") {
        subscribe(tail).ok_or_else(malformed("SUB", tail))
    } else if verb.eq_ignore_ascii_case(b"UNSUB") {
        unsubscribe(tail).ok_or_else(malformed("UNSUB", tail))
    } else if verb.eq_ignore_ascii_case(b"PING") {
        bare(tail, "PING").map(|()| ClientLine::Ping)
    } else if verb.eq_ignore_ascii_case(b"PONG") {
        bare(tail, "PONG").map(|()| ClientLine::Pong)
    } else if verb.eq_ignore_ascii_case(b"CONNECT") {
        Ok(ClientLine::Connect(tail.trim_ascii()))
    } else {
        Err(unknown(verb))
    }
}

/// The inline status of a header block.
pub(crate) fn status(block: &[u8]) -> Option<Status<'_>> {
    let (_, line) = header_line_end(block).ok()?;
    let (description, code) = status_code(line).ok()?;
    Some(Status { code, description: description.trim_ascii() })
}

/// The `Name: value` lines of a header block, up to the blank line or the end of the block.
///
/// A block that does not begin with the version line has no headers.
pub(crate) fn header_lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut input = match block.starts_with(VERSION_LINE) {
        true => header_line_end(block).map_or(&block[..0], |(after, _)| after),
        false => &block[..0],
    };
    std::iter::from_fn(move || {
        loop {
            let (after, line) = header_line_end(input).ok().filter(|(_, line)| !line.is_empty())?;
            input = after;
            if let Ok((value, name)) = header_name(line) {
                return Some((name, value.trim_ascii()));
            }
        }
    })
}

/// A decimal number that fills the whole input.
pub(crate) fn number(input: &[u8]) -> Option<u64> {
    // nom's integer parser takes a sign, the protocol has none
    input.first().filter(|byte| byte.is_ascii_digit())?;
    all_consuming(decimal::<_, nom::error::Error<&[u8]>>).parse(input).ok().map(|(_, n)| n)
}

#[derive(Clone, Copy, PartialEq)]
enum Sid {
    Present,
    Absent,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    let parsed: IResult<&[u8], &[u8]> = take_till(is_blank).parse(line);
    parsed.map_or((line, &[]), |(tail, verb)| (verb, tail))
}

/// Up to `N` arguments with blanks before and between them; `None` if there are more.
fn arguments<const N: usize>(mut input: &[u8]) -> Option<([&[u8]; N], usize)> {
    let mut found = [&input[..0]; N];
    let mut count = 0;
    loop {
        let parsed: IResult<&[u8], &[u8]> =
            preceded(take_while(is_blank), take_till1(is_blank)).parse(input);
        let Ok((after, argument)) = parsed else {
            return Some((found, count));
        };
        *found.get_mut(count)? = argument;
        count += 1;
        input = after;
    }
}

/// `<subject> [sid] [reply] [#headers] <#total>`: the number of arguments tells which are there.
fn message(tail: &[u8], sid: Sid, has_headers: bool) -> Option<MessageLine<'_>> {
    let (arguments, count) = arguments::<5>(tail)?;
    let sids = usize::from(sid == Sid::Present);
    let sizes = 1 + usize::from(has_headers);
    let has_reply = match count.checked_sub(1 + sids + sizes)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let length = |argument: &[u8]| number(argument).and_then(|n| usize::try_from(n).ok());
    let total_len = length(arguments[count - 1])?;
    let header_len = if has_headers { Some(length(arguments[count - 2])?) } else { None };
    if header_len.is_some_and(|header_len| header_len > total_len) {
        return None;
    }
    Some(MessageLine {
        subject: arguments[0],
        sid: if sid == Sid::Present { number(arguments[1])? } else { 0 },
        reply: has_reply.then(|| arguments[1 + sids]),
        header_len,
        total_len,
    })
}

fn subscribe(tail: &[u8]) -> Option<ClientLine<'_>> {
    match arguments::<3>(tail)? {
        ([subject, sid, _], 2) => {
            Some(ClientLine::Subscribe { subject, queue: None, sid: number(sid)? })
        }
        ([subject, queue, sid], 3) => {
            Some(ClientLine::Subscribe { subject, queue: Some(queue), sid: number(sid)? })
        }
        _ => None,
    }
}

fn unsubscribe(tail: &[u8]) -> Option<ClientLine<'_>> {
    match arguments::<2>(tail)? {
        ([sid, _], 1) => Some(ClientLine::Unsubscribe { sid: number(sid)?, max: None }),
        ([sid, max], 2) => {
            Some(ClientLine::Unsubscribe { sid: number(sid)?, max: Some(number(max)?) })
        }
        _ => None,
    }
}

fn bare(tail: &[u8], verb: &'static str) -> Result<(), ProtocolError> {
    if tail.trim_ascii().is_empty() { Ok(()) } else { Err(malformed(verb, tail)()) }
}

/// The text of an error between its quotes. Quotes may be missing on either side.
fn unquoted(tail: &[u8]) -> &[u8] {
    let text = tail.trim_ascii();
    let text = text.strip_prefix(b"'").unwrap_or(text);
    text.strip_suffix(b"'").unwrap_or(text)
}

/// One line of a block without its end; the rest of the block after the end.
fn header_line_end(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return rest(input);
    };
    let line = &input[..end];
    Ok((&input[end + 1..], line.strip_suffix(b"\r").unwrap_or(line)))
}

fn header_name(line: &[u8]) -> IResult<&[u8], &[u8]> {
    terminated(take_till1(|byte| byte == b':'), tag(&b":"[..])).parse(line)
}

/// `NATS/1.0 503 text`: exactly three digits, then a blank or the end.
fn status_code(line: &[u8]) -> IResult<&[u8], u16> {
    let (input, _) = (tag(VERSION_LINE), take_while(is_blank)).parse(line)?;
    let (input, digits) = digit1(input)?;
    let (_, blank) = opt(nom::character::complete::one_of(" \t")).parse(input)?;
    match digits {
        [a @ b'1'..=b'9', b, c] if blank.is_some() || input.is_empty() => {
            let code = [*a, *b, *c].iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
            Ok((input, code))
        }
        _ => nom::combinator::fail().parse(line),
    }
}

fn malformed(verb: &'static str, arguments: &[u8]) -> impl Fn() -> ProtocolError {
    move || ProtocolError::MalformedArguments {
        verb,
        arguments: excerpt(arguments.trim_ascii(), 128),
    }
}

fn unknown(verb: &[u8]) -> ProtocolError {
    ProtocolError::UnknownOperation { verb: excerpt(verb, 32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn msg<'a>(subject: &'a str, sid: u64, reply: Option<&'a str>, len: usize) -> ServerLine<'a> {
        ServerLine::Message(MessageLine {
            subject: subject.as_bytes(),
            sid,
            reply: reply.map(str::as_bytes),
            header_len: None,
            total_len: len,
        })
    }

    #[test]
    fn message_lines() {
        assert_eq!(server_line(b"MSG a 1 5"), Ok(msg("a", 1, None, 5)));
        assert_eq!(server_line(b"msg a.b 1 r 5 "), Ok(msg("a.b", 1, Some("r"), 5)));
        assert_eq!(server_line(b"MSG  a\t1  0"), Ok(msg("a", 1, None, 0)), "2.9 writes two blanks");
        let with_headers = server_line(b"HMSG a 1 r 12 20");
        let ServerLine::Message(line) = with_headers.unwrap() else { panic!() };
        assert_eq!((line.header_len, line.total_len, line.reply), (Some(12), 20, Some(&b"r"[..])));
    }

    #[test]
    fn malformed_lines() {
        for bad in [
            "MSG",
            "MSG a 1",
            "MSG a 1 r 5 6",
            "MSG a x 5",
            "MSG a 1 -5",
            "MSG a 1 +5",
            "MSG a 1 5x",
            "MSG a 1 18446744073709551616",
            "HMSG a 1 5",
            "HMSG a 1 21 20",
            "HMSG a 1 r 12 20 21",
            "PING x",
            "PINGxyz",
            "PONG PONG",
            "",
            "\u{e9}",
            "MSGa 1 5",
        ] {
            assert!(server_line(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for bad in ["SUB a", "SUB a b c 1", "UNSUB", "UNSUB 1 2 3", "PUB a b c 5", "MSG a 1 5"] {
            assert!(client_line(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn error_texts_with_and_without_quotes() {
        let text = |line: &'static str| match server_line(line.as_bytes()) {
            Ok(ServerLine::Error(text)) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text("-ERR 'Stale Connection'"), "Stale Connection");
        assert_eq!(text("-ERR Stale"), "Stale");
        assert_eq!(text("-ERR 'Stale"), "Stale");
        assert_eq!(text("-ERR"), "");
        assert_eq!(text("-ERR '"), "");
        assert_eq!(text("-err 'größer"), "größer");
    }

    #[test]
    fn client_lines() {
        assert_eq!(
            client_line(b"SUB a.> q 7"),
            Ok(ClientLine::Subscribe { subject: b"a.>", queue: Some(b"q"), sid: 7 })
        );
        assert_eq!(client_line(b"UNSUB 7 3"), Ok(ClientLine::Unsubscribe { sid: 7, max: Some(3) }));
        assert_eq!(client_line(b"CONNECT {}"), Ok(ClientLine::Connect(b"{}")));
    }
}
