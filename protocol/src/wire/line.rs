//! The grammar of one finished control line, in nom.
//!
//! Everything here sees its whole input (`complete` parsers, never `streaming`): finding where a
//! line ends is the decoder's work, and that is what keeps decoding linear. Arguments are divided
//! by runs of blanks, because old servers write two where a reply subject is left out.

use super::error::{ProtocolError, excerpt};
use nom::character::complete::{digit1, space0};
use nom::combinator::{all_consuming, cond, eof, fail, map_opt, opt, value};
use nom::sequence::terminated;
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
    if let Some(tail) = after_verb(line, b"MSG") {
        message(tail, Sid::Present, false)
            .map(ServerLine::Message)
            .ok_or_else(malformed("MSG", tail))
    } else if let Some(tail) = after_verb(line, b"HMSG") {
        message(tail, Sid::Present, true)
            .map(ServerLine::Message)
            .ok_or_else(malformed("HMSG", tail))
    } else if let Some(tail) = after_verb(line, b"PING") {
        bare(tail, "PING").map(|()| ServerLine::Ping)
    } else if let Some(tail) = after_verb(line, b"PONG") {
        bare(tail, "PONG").map(|()| ServerLine::Pong)
    } else if after_verb(line, b"+OK").is_some() {
        Ok(ServerLine::Ok)
    } else if let Some(tail) = after_verb(line, b"-ERR") {
        Ok(ServerLine::Error(unquoted(tail)))
    } else if let Some(tail) = after_verb(line, b"INFO") {
        Ok(ServerLine::Info(tail.trim_ascii()))
    } else {
        Err(unknown(line))
    }
}

/// Reads a line that a client sent, given without its line end.
pub(crate) fn client_line(line: &[u8]) -> Result<ClientLine<'_>, ProtocolError> {
    if let Some(tail) = after_verb(line, b"PUB") {
        message(tail, Sid::Absent, false)
            .map(ClientLine::Publish)
            .ok_or_else(malformed("PUB", tail))
    } else if let Some(tail) = after_verb(line, b"HPUB") {
        message(tail, Sid::Absent, true)
            .map(ClientLine::Publish)
            .ok_or_else(malformed("HPUB", tail))
    } else if let Some(tail) = after_verb(line, b"SUB") {
        subscribe(tail).ok_or_else(malformed("SUB", tail))
    } else if let Some(tail) = after_verb(line, b"UNSUB") {
        unsubscribe(tail).ok_or_else(malformed("UNSUB", tail))
    } else if let Some(tail) = after_verb(line, b"PING") {
        bare(tail, "PING").map(|()| ClientLine::Ping)
    } else if let Some(tail) = after_verb(line, b"PONG") {
        bare(tail, "PONG").map(|()| ClientLine::Pong)
    } else if let Some(tail) = after_verb(line, b"CONNECT") {
        Ok(ClientLine::Connect(tail.trim_ascii()))
    } else {
        Err(unknown(line))
    }
}

/// A decimal number that fills the whole input, without a sign.
#[inline]
pub(crate) fn number(input: &[u8]) -> Option<u64> {
    if input.is_empty() || input.len() > SAFE_DIGITS {
        return long_number(input);
    }
    input.iter().try_fold(0, |number, byte| match byte.wrapping_sub(b'0') {
        digit @ 0..=9 => Some(number * 10 + u64::from(digit)),
        _ => None,
    })
}

#[cold]
fn long_number(input: &[u8]) -> Option<u64> {
    let parsed: IResult<&[u8], &[u8]> = all_consuming(digit1).parse(input);
    let (_, digits) = parsed.ok()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Numbers of so few digits cannot overflow.
const SAFE_DIGITS: usize = 19;

#[derive(Clone, Copy, PartialEq)]
enum Sid {
    Present,
    Absent,
}

#[inline]
fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// What follows a verb, if the line begins with it. The verb ends at a blank or with the line.
#[inline]
fn after_verb<'a, const N: usize>(line: &'a [u8], verb: &[u8; N]) -> Option<&'a [u8]> {
    let (found, tail) = line.split_first_chunk::<N>()?;
    let ends = tail.first().is_none_or(|byte| is_blank(*byte));
    (ends && (found == verb || found.eq_ignore_ascii_case(verb))).then_some(tail)
}

/// An argument with the blanks before it. Every message passes here, so the common byte, neither a
/// blank nor a control character, costs one comparison.
#[inline]
fn argument(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let start = input.iter().position(|byte| !is_blank(*byte)).unwrap_or(input.len());
    let input = &input[start..];
    let end = input.iter().position(|byte| *byte <= b' ' && is_blank(*byte));
    match input.split_at(end.unwrap_or(input.len())) {
        ([], _) => fail().parse(input),
        (argument, after) => Ok((after, argument)),
    }
}

/// An argument that is a number.
#[inline]
fn numeric(input: &[u8]) -> IResult<&[u8], u64> {
    map_opt(argument, number).parse(input)
}

/// The end of a line, with the blanks before it.
#[inline]
fn end(input: &[u8]) -> IResult<&[u8], ()> {
    if input.is_empty() { Ok((input, ())) } else { value((), (space0, eof)).parse(input) }
}

/// `<subject> [sid] [reply] [#headers] <#total>`: an argument before the sizes is a reply subject.
fn message(tail: &[u8], sid: Sid, has_headers: bool) -> Option<MessageLine<'_>> {
    let (tail, subject) = argument(tail).ok()?;
    let (tail, sid) = if sid == Sid::Present { numeric(tail).ok()? } else { (tail, 0) };
    let (reply, (header_len, total_len)) = match sizes(tail, has_headers) {
        Ok((_, sizes)) => (None, sizes),
        Err(_) => {
            let (tail, reply) = argument(tail).ok()?;
            (Some(reply), sizes(tail, has_headers).ok()?.1)
        }
    };
    if header_len.is_some_and(|header_len| header_len > total_len) {
        return None;
    }
    Some(MessageLine { subject, sid, reply, header_len, total_len })
}

/// `[#headers] <#total>` and the end of the line.
#[inline]
fn sizes(input: &[u8], has_headers: bool) -> IResult<&[u8], (Option<usize>, usize)> {
    let size = |input| map_opt(numeric, |size| usize::try_from(size).ok()).parse(input);
    terminated((cond(has_headers, size), size), end).parse(input)
}

fn subscribe(tail: &[u8]) -> Option<ClientLine<'_>> {
    let (tail, subject) = argument(tail).ok()?;
    let sid = |tail| terminated(numeric, end).parse(tail);
    let (queue, sid) = match sid(tail) {
        Ok((_, sid)) => (None, sid),
        Err(_) => {
            let (tail, queue) = argument(tail).ok()?;
            (Some(queue), sid(tail).ok()?.1)
        }
    };
    Some(ClientLine::Subscribe { subject, queue, sid })
}

fn unsubscribe(tail: &[u8]) -> Option<ClientLine<'_>> {
    let (_, (sid, max)) = terminated((numeric, opt(numeric)), end).parse(tail).ok()?;
    Some(ClientLine::Unsubscribe { sid, max })
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

fn malformed(verb: &'static str, arguments: &[u8]) -> impl Fn() -> ProtocolError {
    move || ProtocolError::MalformedArguments {
        verb,
        arguments: excerpt(arguments.trim_ascii(), 128),
    }
}

#[cold]
fn unknown(line: &[u8]) -> ProtocolError {
    let verb = line.split(|byte| is_blank(*byte)).next().unwrap_or_default();
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
