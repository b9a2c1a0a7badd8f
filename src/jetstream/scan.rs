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

    /// A string that is likely to be the expected one, which must itself be plain: then it is
    /// compared, and not read.
    #[inline]
    pub(super) fn string_like(&mut self, expected: &'a str) -> Option<&'a str> {
        let is_expected = |body: &'a [u8]| {
            body.strip_prefix(b"\"")?.strip_prefix(expected.as_bytes())?.strip_prefix(b"\"")
        };
        match is_expected(self.0) {
            Some(rest) => {
                self.0 = rest;
                Some(expected)
            }
            None => self.string(),
        }
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

    /// Printable ASCII without blanks, as far as it goes.
    #[inline]
    pub(super) fn graphic(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_graphic());
        let (text, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        text
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        /// Numbers of so few digits cannot overflow.
        const SAFE_DIGITS: usize = 19;
        let (mut number, mut len) = (0_u64, 0);
        while let Some(digit @ 0..=9) = self.0.get(len).map(|byte| byte.wrapping_sub(b'0')) {
            number = match len < SAFE_DIGITS {
                true => number * 10 + u64::from(digit),
                false => number.checked_mul(10)?.checked_add(u64::from(digit))?,
            };
            len += 1;
        }
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        match digits {
            [] | [b'0', _, ..] => None,
            _ => Some(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_string_that_was_expected_reads_as_one_that_was_not() {
        for (body, value) in [
            (r#""ab""#, Some("ab")),
            (r#""abc""#, Some("abc")),
            (r#""a""#, Some("a")),
            (r#""ab"#, None),
            (r#"ab""#, None),
            (r#""a\"b""#, None),
        ] {
            for expected in ["ab", ""] {
                assert_eq!(Scan::new(body.as_bytes()).string_like(expected), value, "{body}");
            }
        }
    }

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
