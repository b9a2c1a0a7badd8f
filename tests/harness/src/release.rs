//! Which server: the release lines that the tests know, and the version that a running server
//! reports.
//!
//! A [`Release`] is a wish, a [`Version`] a fact. [`Release::accepts`] is the only bridge between
//! them.

use std::{fmt, str::FromStr};

/// The environment variable that [`Release::from_env`] reads.
const RELEASE_VARIABLE: &str = "EVNATS_TEST_SERVER";

/// A line of `nats-server` releases that the tests run against: the newest one, and those of the
/// Debian releases in use, which stand for what is found in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// 2.15 or newer (Debian unstable). The default.
    Main,
    /// 2.10 (Debian 13, "trixie").
    V2_10,
    /// 2.9 (Debian 12, "bookworm").
    V2_9,
}

impl Release {
    /// Every release, newest first.
    pub const ALL: [Release; 3] = [Release::Main, Release::V2_10, Release::V2_9];

    /// The release named by `EVNATS_TEST_SERVER` (`2.15`, `2.10` or `2.9`), [`Release::Main`] if it
    /// is not set.
    ///
    /// # Panics
    ///
    /// When the variable holds anything else: a run that silently tests another server than asked
    /// for is worse.
    #[must_use]
    pub fn from_env() -> Release {
        let Some(wanted) = std::env::var_os(RELEASE_VARIABLE) else { return Release::Main };
        let wanted = wanted.to_string_lossy();
        Release::ALL.into_iter().find(|release| release.name() == wanted).unwrap_or_else(|| {
            panic!(
                "{RELEASE_VARIABLE} is {wanted:?}, but it must be 2.15, 2.10 or 2.9 (or not set)"
            )
        })
    }

    /// Whether a server of this version belongs to the release.
    #[must_use]
    pub fn accepts(self, version: Version) -> bool {
        let line = (version.major, version.minor);
        match self {
            Release::Main => line >= (2, 15),
            Release::V2_10 => line == (2, 10),
            Release::V2_9 => line == (2, 9),
        }
    }

    /// The name in `EVNATS_TEST_SERVER`, in texts, and of the directory that keeps the binary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Release::Main => "2.15",
            Release::V2_10 => "2.10",
            Release::V2_9 => "2.9",
        }
    }

    /// The environment variable that names a binary of this release.
    pub(crate) fn binary_variable(self) -> &'static str {
        match self {
            Release::Main => "NATS_SERVER_BIN",
            Release::V2_10 => "NATS_SERVER_BIN_2_10",
            Release::V2_9 => "NATS_SERVER_BIN_2_9",
        }
    }

    /// The Debian suite whose `nats-server` is of this release.
    pub(crate) fn debian_suite(self) -> &'static str {
        match self {
            Release::Main => "unstable",
            Release::V2_10 => "trixie",
            Release::V2_9 => "bookworm",
        }
    }

    /// The version query that makes `go install` build this release.
    pub(crate) fn go_version(self) -> &'static str {
        match self {
            Release::Main => "latest",
            Release::V2_10 => "v2.10",
            Release::V2_9 => "v2.9",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of a server, ordered as versions are. What follows the patch number (`-RC.1`,
/// `-dev`) is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number: 2 in `2.10.27`.
    pub major: u32,
    /// The second number: 10 in `2.10.27`.
    pub minor: u32,
    /// The third number: 27 in `2.10.27`.
    pub patch: u32,
}

impl Version {
    /// The version `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Version {
        Version { major, minor, patch }
    }

    /// Finds the version in what `nats-server --version` prints.
    pub(crate) fn from_command_output(output: &str) -> Option<Version> {
        output
            .split_whitespace()
            .find_map(|word| word.strip_prefix('v').unwrap_or(word).parse().ok())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Version, ParseVersionError> {
        let refused = || ParseVersionError(text.to_owned());
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or_else(refused);
        let (major, minor, rest) = (next()?, next()?, next()?);
        let patch = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let number = |part: &str| part.parse().map_err(|_| refused());
        Ok(Version { major: number(major)?, minor: number(minor)?, patch: number(patch)? })
    }
}

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version like 2.10.27")]
pub struct ParseVersionError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        let table = [
            ("2.9.10", Some(Version::new(2, 9, 10))),
            ("2.15.1", Some(Version::new(2, 15, 1))),
            ("2.11.0-RC.1", Some(Version::new(2, 11, 0))),
            ("2.12.0-dev", Some(Version::new(2, 12, 0))),
            ("2.12", None),
            ("2.12.", None),
            ("two", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
        let table = [
            ("nats-server: v2.10.27\n", Some(Version::new(2, 10, 27))),
            ("nats-server: 2.9.10", Some(Version::new(2, 9, 10))),
            ("bash 5.2", None),
        ];
        for (text, expected) in table {
            assert_eq!(Version::from_command_output(text), expected, "{text:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(Version::new(2, 9, 30) < Version::new(2, 10, 0));
        assert!(Version::new(2, 10, 2) < Version::new(2, 10, 11));
    }

    #[test]
    fn a_release_accepts_its_own_line() {
        let table = [
            (Release::Main, Version::new(2, 15, 0), true),
            (Release::Main, Version::new(2, 16, 3), true),
            (Release::Main, Version::new(2, 14, 9), false),
            (Release::V2_10, Version::new(2, 10, 27), true),
            (Release::V2_10, Version::new(2, 11, 0), false),
            (Release::V2_9, Version::new(2, 9, 10), true),
            (Release::V2_9, Version::new(2, 10, 0), false),
        ];
        for (release, version, expected) in table {
            assert_eq!(release.accepts(version), expected, "{release} and {version}");
        }
    }
}
