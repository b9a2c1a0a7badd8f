//! A server's version, to be compared with the one that a feature came with.
//!
//! It does not know which version has which feature.

use std::cmp::Ordering;
use std::fmt;

/// The version of a server: major, minor and patch number.
///
/// A pre-release counts as the release that it comes before: `2.10.0-RC.1` is a 2.10.0, because it
/// has the features of one.
///
/// ```
/// use evnats_protocol::ServerVersion;
/// let version = ServerVersion::parse("2.10.3-RC.1").unwrap();
/// assert!(version >= (2, 10, 0) && version < (2, 11, 0));
/// assert_eq!(version.to_string(), "2.10.3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl ServerVersion {
    /// Reads `2.10.3`, with or without a `v` in front and with anything after a `-` or `+`. A
    /// missing minor or patch number is 0. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
        let major = numbers.next()??;
        let mut next = || numbers.next().unwrap_or(Some(0));
        let (minor, patch) = (next()?, next()?);
        numbers.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl From<(u32, u32, u32)> for ServerVersion {
    fn from((major, minor, patch): (u32, u32, u32)) -> Self {
        Self { major, minor, patch }
    }
}

impl PartialEq<(u32, u32, u32)> for ServerVersion {
    fn eq(&self, other: &(u32, u32, u32)) -> bool {
        *self == Self::from(*other)
    }
}

impl PartialOrd<(u32, u32, u32)> for ServerVersion {
    fn partial_cmp(&self, other: &(u32, u32, u32)) -> Option<Ordering> {
        self.partial_cmp(&Self::from(*other))
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_versions_and_texts_that_are_not() {
        let table = [
            ("2.10.3", Some((2, 10, 3))),
            ("v2.9.25", Some((2, 9, 25))),
            ("2.14.0-RC.1", Some((2, 14, 0))),
            ("2.14.0-dev.20261101+abc", Some((2, 14, 0))),
            ("2.10", Some((2, 10, 0))),
            ("3", Some((3, 0, 0))),
            ("", None),
            ("dev", None),
            ("2.x.0", None),
            ("2.10.", None),
            ("1.2.3.4", None),
            ("-1.0.0", None),
            ("99999999999.0.0", None),
        ];
        for (text, expected) in table {
            assert_eq!(ServerVersion::parse(text), expected.map(ServerVersion::from), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let version = |text| ServerVersion::parse(text).unwrap();
        assert!(version("2.9.25") < version("2.10.0"));
        assert!(version("2.10.0") == (2, 10, 0) && version("2.10.1") > (2, 10, 0));
        assert!(version("2.10.0-beta") >= (2, 10, 0), "it has what the release has");
        assert!(version("3.0.0") > (2, 99, 99));
    }
}
