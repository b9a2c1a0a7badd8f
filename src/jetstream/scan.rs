//! Reading text in the one shape that servers write: the fast path of the replies that there is one
//! of for each operation.
//!
//! A scan may assume nothing. It gives up (`None`) at anything that is not as usual, and whoever
//! scans then asks the full reader, for JSON serde. What it accepts has to be what that would read,
//! which the tests of each scan hold it against: so members are expected in one order and at most
//! once, strings are printable ASCII without escapes, and numbers have no sign, fraction or leading
//! zero.

use std::str;

/// The part of a body that is still to be read.
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

    /// A string that has to be these parts, which must themselves be plain.
    #[inline]
    pub(super) fn string_of(&mut self, parts: [&str; 2]) -> Option<()> {
        self.literal(b"\"")?;
        for part in parts {
            self.literal(part.as_bytes())?;
        }
        self.literal(b"\"")
    }

    /// A time in RFC 3339, of which only the letters are looked at, between here and an end which is
    /// that of the body.
    #[inline]
    pub(super) fn time_before(self, end: &[u8]) -> Option<&'a [u8]> {
        let text = self.0.strip_suffix(end)?;
        let is_letter = |byte: &u8| matches!(byte, b'+'..=b'Z');
        // the compiler looks at all letters of a chunk at once
        let (chunks, rest) = text.as_chunks::<8>();
        let are_letters = |chunk: &[u8; 8]| chunk.iter().fold(true, |all, b| all & is_letter(b));
        (chunks.iter().all(are_letters) && rest.iter().all(is_letter)).then_some(text)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let (mut number, mut len) = (0_u64, 0);
        for byte in self.0 {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            len += 1;
        }
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        match digits {
            [] | [b'0', _, ..] => None,
            // so few cannot have overflowed
            digits if digits.len() < 20 => Some(number),
            digits => str::from_utf8(digits).ok()?.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
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
