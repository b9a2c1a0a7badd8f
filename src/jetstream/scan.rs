//! Reading text in the one shape that servers write: the fast path of the replies that there is one
//! of for each operation.
//!
//! A scan may assume nothing. It gives up (`None`) at anything that is not as usual, and whoever
//! scans then asks the full reader, for JSON serde. What it accepts has to be what that would read,
//! which the tests of each scan hold it against: so members are expected in one order and at most
//! once, strings are printable ASCII without escapes, and numbers have no sign, fraction or leading
//! zero.

use evnats_protocol::texts::is_same;
use std::str;

/// A word with 1 in each of its bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// How long nearly all times are: the decimals of one in ten end with a zero, which is left out.
const USUAL_TIME: usize = "2024-02-29T12:34:56.123456789Z".len();

/// The part of a body that is still to be read.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(always)]
    pub(super) fn literal(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// As [`literal`](Self::literal), for one whose length is not known before. Returns it as it is there.
    #[inline(always)]
    pub(super) fn known(&mut self, known: &[u8]) -> Option<&'a [u8]> {
        let (text, rest) = self.0.split_at_checked(known.len())?;
        if !is_same(text, known) {
            return None;
        }
        self.0 = rest;
        Some(text)
    }

    #[inline]
    pub(super) fn spaces(&mut self) {
        while let [b' ', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// A string of printable ASCII without escapes: its bytes are its value, and valid UTF-8.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.literal(b"\"")?;
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let end = self.0.iter().position(|byte| !is_plain(*byte))?;
        let (value, rest) = self.0.split_at(end);
        self.0 = rest;
        self.literal(b"\"")?;
        str::from_utf8(value).ok()
    }

    /// What is between quotes, not looked at: the caller has to find out whether it is a plain string.
    #[inline]
    pub(super) fn quoted(&mut self) -> Option<&'a [u8]> {
        self.literal(b"\"")?;
        let end = memchr::memchr(b'"', self.0)?;
        let (value, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(value)
    }

    /// As [`quoted`](Self::quoted), for what goes on to the end.
    #[inline(always)]
    pub(super) fn quoted_to_end(&mut self) -> Option<&'a [u8]> {
        let value = self.0.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        self.0 = &[];
        Some(value)
    }

    /// Printable ASCII without spaces, of which there is some, as far as it goes.
    #[inline]
    pub(super) fn word(&mut self) -> Option<&'a [u8]> {
        let (word, rest) = self.0.split_at(word_len(self.0));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    /// A time in RFC 3339, of which only the letters are looked at, and which goes on up to an end that is
    /// also that of the text. There is none that is empty.
    #[inline(always)]
    pub(super) fn time_before(&mut self, end: &[u8]) -> Option<&'a [u8]> {
        let time = self.0.strip_suffix(end)?;
        self.0 = &[];
        (!time.is_empty() && has_letters_of_time(time)).then_some(time)
    }

    /// Takes a time in RFC 3339, of which only the letters are looked at, from the end: it is between two
    /// texts, the first of which ends with a quote. What is left ends before that one.
    #[inline(always)]
    pub(super) fn time_at_end(&mut self, before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
        let text = self.0.strip_suffix(after)?;
        let (rest, time) = match text.split_last_chunk::<USUAL_TIME>() {
            Some((rest, time)) if rest.ends_with(before) => (rest, &time[..]),
            _ => text.split_at(text.iter().rposition(|byte| *byte == b'"')? + 1),
        };
        self.0 = rest.strip_suffix(before)?;
        has_letters_of_time(time).then_some(time)
    }

    #[inline(always)]
    pub(super) fn number(&mut self) -> Option<u64> {
        let short = first_letters(self.0).and_then(short_number);
        let (number, len) = short.or_else(|| any_number(self.0))?;
        self.0 = self.0.get(len..)?;
        Some(number)
    }
}

/// A number that a text begins with, and how many digits it has.
#[inline(never)]
fn any_number(text: &[u8]) -> Option<(u64, usize)> {
    let (mut number, mut len) = (0_u64, 0);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        len += 1;
    }
    match &text[..len] {
        [] | [b'0', _, ..] => None,
        // so few cannot have overflowed
        digits if digits.len() < 20 => Some((number, len)),
        digits => Some((str::from_utf8(digits).ok()?.parse().ok()?, len)),
    }
}

/// How many of the first bytes are printable ASCII without spaces.
#[inline(always)]
fn word_len(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks::<8>();
    for (at, chunk) in chunks.iter().enumerate() {
        let letters = u64::from_le_bytes(*chunk);
        // the highest bit of each byte that is too small, DEL, or more; only the first one counts
        let too_small = letters.wrapping_sub(EACH * u64::from(b'!')) & !letters;
        let others = (too_small | letters.wrapping_add(EACH) | letters) & (EACH * 0x80);
        if others != 0 {
            return 8 * at + others.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| matches!(byte, b'!'..=b'~');
    8 * chunks.len() + rest.iter().take_while(is_plain).count()
}

/// Whether there are only bytes from `+` to `Z`, as in a time: digits, signs, colons, `T` and `Z`.
#[inline(always)]
fn has_letters_of_time(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.wrapping_sub(b'+') <= b'Z' - b'+';
    // without an exit in between, the compiler looks at all letters of one at once
    let are_letters = |part: &[u8; 16]| part.iter().fold(true, |all, byte| all & is_letter(byte));
    match (text.first_chunk(), text.last_chunk()) {
        // the two of them overlap
        (Some(first), Some(last)) if text.len() <= 32 => are_letters(first) & are_letters(last),
        _ => text.iter().all(is_letter),
    }
}

/// The first eight letters as one number, the first letter lowest, with zeros where there are none. There
/// have to be four.
#[inline(always)]
fn first_letters(text: &[u8]) -> Option<u64> {
    if let Some(letters) = text.first_chunk() {
        return Some(u64::from_le_bytes(*letters));
    }
    // the two halves overlap where there are fewer than eight
    let (low, high) = (text.first_chunk()?, text.last_chunk()?);
    let (low, high) = (u32::from_le_bytes(*low), u32::from_le_bytes(*high));
    Some(u64::from(low) | u64::from(high) << (8 * (text.len() - 4)))
}

/// A number of one to seven digits that these letters begin with, and how many digits it has: all of
/// them are looked at and put together at once. `None`: it is longer, or no number.
#[inline(always)]
fn short_number(letters: u64) -> Option<(u64, usize)> {
    let digits = letters ^ (EACH * u64::from(b'0'));
    // the highest bit of each letter that is no digit; only the first one counts
    let others = (digits | digits.wrapping_add(EACH * 0x76)) & (EACH * 0x80);
    let len = others.trailing_zeros() as usize / 8;
    let has_leading_zero = len > 1 && digits & 0xff == 0;
    if others == 0 || len == 0 || has_leading_zero {
        return None;
    }
    // the digits move to the end, with zeros before them; then pairs, fours and all are added up
    let digits = digits << (64 - 8 * len);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    Some((number, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_put_together_at_once_are_the_same_number(text in "[0-9]{0,9}[ -~é]{0,9}") {
            let mut scan = Scan::new(text.as_bytes());
            let number = scan.number();
            let read = any_number(text.as_bytes());
            prop_assert_eq!(number, read.map(|(number, _)| number));
            prop_assert!(read.is_none_or(|(_, len)| scan.0 == &text.as_bytes()[len..]));
        }

        #[test]
        fn a_word_goes_as_far_as_its_letters(
            text in prop::collection::vec(prop_oneof![b'!'..=b'~', any::<u8>()], 0..40),
        ) {
            let expected = text.iter().take_while(|byte| matches!(byte, b'!'..=b'~')).count();
            let mut scan = Scan::new(&text);
            prop_assert_eq!(scan.word().map_or(0, <[u8]>::len), expected);
            prop_assert_eq!(scan.0, &text[expected..]);
        }

        #[test]
        fn a_time_has_its_letters_only(
            text in prop::collection::vec(prop_oneof![20 => b'+'..=b'Z', 1 => any::<u8>()], 0..40),
        ) {
            let expected = text.iter().all(|byte| matches!(byte, b'+'..=b'Z'));
            prop_assert_eq!(has_letters_of_time(&text), expected);
        }

        #[test]
        fn one_byte_is_enough_to_spoil_a_time(len in 1_usize..40, at: prop::sample::Index, byte: u8) {
            let mut text = vec![b'5'; len];
            text[at.index(len)] = byte;
            prop_assert_eq!(has_letters_of_time(&text), matches!(byte, b'+'..=b'Z'));
        }

        #[test]
        fn known_texts_are_compared_whole(text in "[ab]{0,20}", literal in "[ab]{8,20}", rest in "[ab]{0,9}") {
            for text in [text.clone() + &rest, literal.clone() + &rest, text] {
                let (mut one, mut other) = (Scan::new(text.as_bytes()), Scan::new(text.as_bytes()));
                let found = one.known(literal.as_bytes());
                prop_assert_eq!(found.is_some(), other.literal(literal.as_bytes()).is_some());
                prop_assert!(found.is_none_or(|found| found == literal.as_bytes()));
                prop_assert_eq!(one.0, other.0);
            }
        }

        #[test]
        fn a_known_text_that_differs_in_one_letter_is_another(literal in "[ab]{8,30}", at in 0_usize..30) {
            let mut text = literal.clone().into_bytes();
            let at = at % text.len();
            text[at] ^= 1;
            prop_assert_eq!(Scan::new(&text).known(literal.as_bytes()), None);
        }

        #[test]
        fn numbers_and_strings_are_those_of_serde(text in r#"[0-9]{1,22}|"[ -~]{0,4}"|[ -~]{0,4}"#) {
            let mut number = Scan::new(text.as_bytes());
            let mut string = Scan::new(text.as_bytes());
            if let (Some(value), true) = (number.number(), number.is_at_end()) {
                prop_assert_eq!(serde_json::from_str::<u64>(&text).ok(), Some(value));
            }
            if let (Some(value), true) = (string.string(), string.is_at_end()) {
                let read = serde_json::from_str::<String>(&text).ok();
                prop_assert_eq!(read.as_deref(), Some(value));
            }
        }
    }
}
