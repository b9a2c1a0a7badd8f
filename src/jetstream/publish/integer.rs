//! Whole numbers of any size, as counters have them: read, compared and shown, and not calculated
//! with, which is the server's.
//!
//! Invariant: the text is the only one of its number, so that equal numbers are equal texts.

use crate::jetstream::error::Error;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A whole number of any size.
///
/// ```
/// use evnats::jetstream::Integer;
///
/// let million = Integer::from(1_000_000);
/// let googol: Integer = format!("1{}", "0".repeat(100)).parse()?;
/// assert!(million < googol);
/// assert_eq!((million.to_i128(), googol.to_i128()), (Some(1_000_000), None));
/// assert_eq!("+007".parse::<Integer>()?.as_str(), "7");
/// # Ok::<(), evnats::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Integer(String);

impl Integer {
    /// Its digits, behind a `-` if it is negative.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number, if it has no more than 128 bits.
    #[must_use]
    pub fn to_i128(&self) -> Option<i128> {
        self.0.parse().ok()
    }

    /// Whether it is negative, and its digits.
    fn parts(&self) -> (bool, &str) {
        let digits = self.0.strip_prefix('-');
        (digits.is_some(), digits.unwrap_or(&self.0))
    }
}

impl Default for Integer {
    /// Zero.
    fn default() -> Self {
        Self("0".into())
    }
}

impl FromStr for Integer {
    type Err = Error;

    /// Reads digits, behind a `+` or a `-` or nothing.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'-') => ("-", &text[1..]),
            Some(b'+') => ("", &text[1..]),
            _ => ("", text),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::InvalidNumber(text.to_owned()));
        }
        match digits.trim_start_matches('0') {
            "" => Ok(Self::default()),
            digits => Ok(Self(format!("{sign}{digits}"))),
        }
    }
}

impl TryFrom<&str> for Integer {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

macro_rules! from_primitives {
    ($($primitive:ty),+) => {
        $(impl From<$primitive> for Integer {
            fn from(number: $primitive) -> Self {
                Self(number.to_string())
            }
        })+
    };
}

from_primitives!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl Ord for Integer {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((one, digits), (another, others)) = (self.parts(), other.parts());
        let size = digits.len().cmp(&others.len()).then_with(|| digits.cmp(others));
        match (one, another) {
            (false, false) => size,
            (true, true) => size.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_whole_number_is_an_error() {
        for text in ["", "-", "+", "--1", "+-1", "1.0", "1e3", "0x10", "1_000", " 1", "1 ", "١"] {
            assert_eq!(text.parse::<Integer>(), Err(Error::InvalidNumber(text.into())));
        }
    }

    #[test]
    fn a_number_has_one_text() {
        for (text, expected) in
            [("0", "0"), ("-0", "0"), ("+0", "0"), ("000", "0"), ("-007", "-7"), ("+10", "10")]
        {
            assert_eq!(text.parse::<Integer>().expect(text).as_str(), expected);
        }
        assert_eq!(Integer::from(i128::MIN).to_i128(), Some(i128::MIN));
        assert_eq!(Integer::from(u128::MAX).to_i128(), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_and_ordered_as_those_of_the_language(one: i128, another: i128) {
            let (a, b) = (Integer::from(one), Integer::from(another));
            prop_assert_eq!(a.cmp(&b), one.cmp(&another));
            prop_assert_eq!(a.to_i128(), Some(one));
            prop_assert_eq!(a.as_str().parse::<Integer>().ok(), Some(a));
        }

        #[test]
        fn whatever_is_read_is_a_number_for_the_language_too(text in "[+-]?[0-9x]{0,12}") {
            let read = text.parse::<Integer>().ok().and_then(|number| number.to_i128());
            prop_assert_eq!(read, text.parse::<i128>().ok());
        }
    }
}
