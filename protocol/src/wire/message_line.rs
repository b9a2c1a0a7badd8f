//! The control line of a message, read the fast way.
//!
//! Nearly every line that a server sends is `MSG` or `HMSG` in upper case, with one blank between
//! its arguments, and shorter than the window. This reads such a line in one pass over a window of
//! fixed size, so that no access has to be checked. It gives up (`None`) on any other line, which
//! says nothing about it: the grammar in [`line`](super::line) decides. What it reads, it reads as
//! the grammar does.
//!
//! It may assume nothing about the window: the bytes behind what has arrived can be anything. The
//! caller has to see that the line ends within what has arrived.

use super::message::{MessageHead, RepeatedHead};
use super::texts::is_same;
use super::words::{Chunk, less_than};

/// The longest line that is read the fast way, its end included.
pub(super) const LINE: usize = 256;
/// So that a word can be read at every position of the line.
pub(super) const WINDOW: usize = LINE + size_of::<Chunk>();

/// A line that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) head: MessageHead,
    /// With its end.
    pub(super) len: usize,
    /// Where what follows the sid begins: the reply subject, or else the sizes.
    pub(super) route_end: usize,
}

/// `MSG <subject> <sid> [reply] <#total>` or `HMSG <subject> <sid> [reply] <#headers> <#total>`.
#[inline(always)]
pub(super) fn message_line(window: &[u8; WINDOW]) -> Option<Line> {
    let mut line = Cursor { window, at: 0 };
    let has_headers = line.verb()?;
    let subject = line.argument()?;
    let sid = line.number()?;
    line.blank()?;
    let route_end = line.at;
    let (reply, (header_len, total_len)) = match line.sizes(has_headers) {
        Some(sizes) => (None, sizes),
        None => {
            line.at = route_end;
            (Some(line.argument()?), line.sizes(has_headers)?)
        }
    };
    // the cursor only moves forward: if it is in the window now, it always was
    let is_read = line.at <= LINE && header_len <= total_len;
    let head = MessageHead { sid, subject, reply, header_len, total_len };
    is_read.then_some(Line { head, len: line.at, route_end })
}

/// A line that begins like another one, with the same subject and sid, and has a reply subject or none
/// as that one. `last` is the beginning of the other one, up to its `route_end`.
#[inline(always)]
pub(super) fn repeated_line<const REPLY: bool>(
    window: &[u8; WINDOW],
    last: &[u8],
) -> Option<RepeatedHead> {
    if !is_same(window.get(..last.len())?, last) {
        return None;
    }
    let mut cursor = Cursor { window, at: last.len() };
    let reply = if REPLY { Some(cursor.argument()?) } else { None };
    let (header_len, total_len) = cursor.sizes(window[0] == b'H')?;
    let is_read = cursor.at <= LINE && header_len <= total_len;
    is_read.then_some(RepeatedHead { line_len: cursor.at, reply, header_len, total_len })
}

/// `MSG <start><N bytes> <sid> <#total>`, or the same with headers: the line of a message on a subject
/// whose start and length are known, which spares the search for its end. The bytes may be anything.
/// `start` includes `MSG`, with which the other verb ends, too. The sid has one digit. Returns the
/// bytes, too.
#[inline(always)]
pub(super) fn expected_line<'w, const N: usize>(
    window: &'w [u8; WINDOW],
    start: &[u8],
    sid: u64,
) -> Option<(Line, &'w [u8; N])> {
    // twice, because each is shorter when it knows which it is
    match window[0] {
        b'M' => expected_arguments::<N, 0>(window, start, sid),
        b'H' => expected_arguments::<N, 1>(window, start, sid),
        _ => None,
    }
}

/// As [`expected_line`]. `MSG` begins at `AT`: at 1, there are headers.
#[inline(always)]
fn expected_arguments<'w, const N: usize, const AT: usize>(
    window: &'w [u8; WINDOW],
    start: &[u8],
    sid: u64,
) -> Option<(Line, &'w [u8; N])> {
    let line = &window[AT..];
    let is_likely = line.first_chunk::<8>() == start.first_chunk::<8>();
    let rest = if is_likely { line.strip_prefix(start)? } else { return None };
    let (end, rest) = rest.split_first_chunk::<N>()?;
    if !rest.starts_with(&[b' ', b'0' + sid as u8, b' ']) {
        return None;
    }
    let subject_end = AT + start.len() + N;
    let route_end = subject_end + 3;
    let mut line = Cursor { window, at: route_end };
    let (header_len, total_len) = line.sizes(AT == 1)?;
    let subject = ((AT + VERB) as u32, subject_end as u32);
    let head = MessageHead { sid, subject, reply: None, header_len, total_len };
    let is_read = line.at <= LINE && header_len <= total_len;
    is_read.then_some((Line { head, len: line.at, route_end }, end))
}

const VERB: usize = b"MSG ".len();

struct Cursor<'w> {
    window: &'w [u8; WINDOW],
    at: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    fn word(&self) -> u64 {
        // the remainder lets the compiler see that the word is in the window
        let at = self.at % LINE;
        let mut word = Chunk::default();
        word.copy_from_slice(&self.window[at..at + size_of::<Chunk>()]);
        u64::from_le_bytes(word)
    }

    /// Reads the verb and a blank. Returns whether it is the one with headers.
    #[inline(always)]
    fn verb(&mut self) -> Option<bool> {
        let word = self.word();
        if word as u32 == u32::from_le_bytes(*b"MSG ") {
            self.at = 4;
            Some(false)
        } else if word as u32 == u32::from_le_bytes(*b"HMSG") && (word >> 32) as u8 == b' ' {
            self.at = 5;
            Some(true)
        } else {
            None
        }
    }

    #[inline(always)]
    fn blank(&mut self) -> Option<()> {
        let is_blank = self.window[self.at % LINE] == b' ';
        self.at += 1;
        is_blank.then_some(())
    }

    /// Reads an argument that another one follows. Returns where it is.
    #[inline(always)]
    fn argument(&mut self) -> Option<(u32, u32)> {
        let start = self.at;
        self.at = match self.short_argument() {
            Some(end) => end,
            None => end_of_long_argument(self.window, start + 2 * size_of::<Chunk>()),
        };
        let end = self.at;
        self.blank()?;
        (start < end).then_some((start as u32, end as u32))
    }

    /// Finds the end of an argument of less than two words. This is no loop, because a loop would be
    /// costly for the code that it is a part of.
    #[inline(always)]
    fn short_argument(&self) -> Option<usize> {
        let end = |at, word| {
            let found = less_than(word, b' ' + 1);
            (found != 0).then(|| at + found.trailing_zeros() as usize / 8)
        };
        let next = Self { at: self.at + size_of::<Chunk>(), ..*self };
        end(self.at, self.word()).or_else(|| end(next.at, next.word()))
    }

    /// Reads a number. This is no loop, either, for the few digits that most have.
    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        let word = self.word();
        let digit =
            |count: u32| u64::from((word >> (8 * count)) as u8).wrapping_sub(u64::from(b'0'));
        let (first, second, third) = (digit(0), digit(1), digit(2));
        let (fourth, fifth) = (digit(3), digit(4));
        let (number, len) = if first > 9 {
            return None;
        } else if second > 9 {
            (first, 1)
        } else if third > 9 {
            (10 * first + second, 2)
        } else if fourth > 9 {
            (100 * first + 10 * second + third, 3)
        } else if fifth > 9 {
            (1000 * first + 100 * second + 10 * third + fourth, 4)
        } else {
            long_number(self.window, self.at)
        };
        self.at += len;
        Some(number)
    }

    /// Reads the sizes and the end of the line.
    #[inline(always)]
    fn sizes(&mut self, has_headers: bool) -> Option<(usize, usize)> {
        let mut header_len = 0;
        if has_headers {
            header_len = self.number()?;
            self.blank()?;
        }
        let total_len = self.number()?;
        let is_end = self.word() as u16 == u16::from_le_bytes(*b"\r\n");
        self.at += 2;
        if !is_end {
            return None;
        }
        Some((usize::try_from(header_len).ok()?, usize::try_from(total_len).ok()?))
    }
}

#[inline(never)]
fn end_of_long_argument(window: &[u8; WINDOW], at: usize) -> usize {
    let mut cursor = Cursor { window, at };
    while cursor.at < LINE {
        let found = less_than(cursor.word(), b' ' + 1);
        if found != 0 {
            return cursor.at + found.trailing_zeros() as usize / 8;
        }
        cursor.at += size_of::<Chunk>();
    }
    cursor.at
}

/// A number and its length, but not more digits than cannot overflow: what follows those is nothing
/// that may follow a number then.
#[inline(never)]
fn long_number(window: &[u8; WINDOW], at: usize) -> (u64, usize) {
    const SAFE_DIGITS: usize = 19;
    let digits = window[at.min(LINE)..].iter().take(SAFE_DIGITS);
    let digits = digits.map_while(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')));
    digits.fold((0, 0), |(number, len), digit| (number * 10 + digit, len + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::line::{ServerLine, server_line};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    /// What the grammar makes of the first line.
    fn slow(bytes: &[u8]) -> Option<(MessageHead, usize)> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        match server_line(line) {
            Ok(ServerLine::Message(parsed)) => Some((MessageHead::new(line, parsed), end + 1)),
            _ => None,
        }
    }

    fn window(bytes: &[u8], filler: u8) -> [u8; WINDOW] {
        let mut window = [filler; WINDOW];
        let count = bytes.len().min(WINDOW);
        window[..count].copy_from_slice(&bytes[..count]);
        window
    }

    fn fast(bytes: &[u8], filler: u8) -> Option<(MessageHead, usize)> {
        message_line(&window(bytes, filler)).map(|line| (line.head, line.len))
    }

    fn subject() -> impl Strategy<Value = String> {
        "[a-z0-9.>*$_-]{1,40}"
    }

    fn line() -> impl Strategy<Value = String> {
        let size = prop_oneof![Just(0), 0..100_u64, any::<u64>()];
        let reply = prop_oneof![Just(String::new()), subject().prop_map(|reply| reply + " ")];
        let sid = prop_oneof![1..1000_u64, any::<u64>()];
        (subject(), sid, reply, size.clone(), size, any::<bool>()).prop_map(
            |(subject, sid, reply, headers, total, has_headers)| match has_headers {
                true => format!("HMSG {subject} {sid} {reply}{headers} {total}\r\n"),
                false => format!("MSG {subject} {sid} {reply}{total}\r\n"),
            },
        )
    }

    #[test]
    fn the_usual_lines_are_read() {
        for line in [
            "MSG a 2 0\r\n",
            "MSG bench.data 2 16\r\n",
            "MSG a.b 16777218 1048576\r\n",
            "MSG a 9223372036854775 12345678\r\n",
            "MSG _INBOX.AbCdEfGhIjKlMnOpQrStUv.0000000000abcdefghijklmnop 1 5\r\n",
            "MSG a 2 12.reply 5\r\n",
            "MSG a 2 12 5\r\n",
            "HMSG a 2 12 14\r\n",
            "HMSG a 2 reply 12 14\r\n",
            "HMSG a 2 1 12 14\r\n",
        ] {
            assert!(slow(line.as_bytes()).is_some(), "{line}");
            assert_eq!(fast(line.as_bytes(), b'7'), slow(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn other_lines_are_left_to_the_grammar() {
        let long = format!("MSG {} 2 5\r\n", "x".repeat(LINE));
        for line in [
            "msg a 2 5\r\n",
            "MSG  a 2 5\r\n",
            "MSG a\t2 5\r\n",
            "MSG a 2 5 \r\n",
            "MSG a 2 5\n",
            "HMSG a 2 5\r\n",
            "HMSG a 2 15 14\r\n",
            "PING\r\n",
            "MSG a 2\r\n",
            "MSG a 2 5",
            &long,
        ] {
            assert_eq!(fast(line.as_bytes(), b' '), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_line_on_an_expected_subject_is_read_as_the_grammar_reads_it(
            end in "[a-p]{8}", size in 0..2000_u64, prefix in "[a-zA-Z.]{4,60}", has_headers: bool,
            change in proptest::option::of((any::<Index>(), select(b" \t\r\n0159aM.\xff".to_vec()))),
        ) {
            let mut bytes = match has_headers {
                true => format!("HMSG {prefix}{end} 1 {} {size}\r\n", size / 2).into_bytes(),
                false => format!("MSG {prefix}{end} 1 {size}\r\n").into_bytes(),
            };
            if let Some((index, byte)) = change {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let window = window(&bytes, b'7');
            let read = expected_line::<8>(&window, format!("MSG {prefix}").as_bytes(), 1);
            prop_assert!(read.is_some() || change.is_some());
            // whether the bytes are what they should be is for the caller to see
            if let Some((line, end)) = read
                && end.iter().all(u8::is_ascii_lowercase)
            {
                prop_assert_eq!(Some((line.head, line.len)), slow(&bytes));
            }
        }

        #[test]
        fn a_line_that_begins_as_the_last_one_is_read_as_the_grammar_reads_it(
            (first, second) in prop_oneof![
                (line(), line()),
                (subject(), 1..1000_u64, 0..2000_u64, 0..2000_u64).prop_map(
                    |(subject, sid, first, second)| (
                        format!("MSG {subject} {sid} {first}\r\n"),
                        format!("MSG {subject} {sid} {second}\r\n"),
                    )
                ),
                (subject(), 1..1000_u64, subject(), subject(), 0..200_u64).prop_map(
                    |(subject, sid, first, second, total)| (
                        format!("MSG {subject} {sid} {first} {total}\r\n"),
                        format!("MSG {subject} {sid} {second} {total}\r\n"),
                    )
                ),
                (subject(), 1..1000_u64, 0..200_u64, 200..300_u64).prop_map(
                    |(subject, sid, headers, total)| (
                        format!("HMSG {subject} {sid} reply {headers} {total}\r\n"),
                        format!("HMSG {subject} {sid} reply {headers} 17\r\n"),
                    )
                ),
            ],
        ) {
            let Some(line) = message_line(&window(first.as_bytes(), b'7')) else { return Ok(()) };
            let second = second.as_bytes();
            let beginning = &first.as_bytes()[..line.route_end];
            let window = window(second, b'7');
            let read = match line.head.reply {
                Some(_) => repeated_line::<true>(&window, beginning),
                None => repeated_line::<false>(&window, beginning),
            };
            if let Some(read) = read
                && read.line_len <= second.len()
            {
                let RepeatedHead { line_len, reply, header_len, total_len } = read;
                let head = MessageHead { reply, header_len, total_len, ..line.head };
                prop_assert_eq!(Some((head, line_len)), slow(second));
            }
        }

        #[test]
        fn what_is_read_fast_is_read_as_the_grammar_reads_it(
            line in line(),
            changes in vec((any::<Index>(), select(b" \t\r\n0159aM.\xff".to_vec())), 0..3),
            filler in any::<u8>(),
        ) {
            let mut bytes = line.into_bytes();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(read) = fast(&bytes, filler)
                // what lies behind the bytes is for the caller to see
                && read.1 <= bytes.len()
            {
                prop_assert_eq!(Some(read), slow(&bytes));
            }
        }
    }
}
