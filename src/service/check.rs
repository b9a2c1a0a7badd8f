//! What names and versions may be (ADR-32). Subjects and queue groups are checked by whoever subscribes.

use super::error::Error;

/// Checks the name of a service or of an endpoint: letters, digits, `-` and `_`.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !name.is_empty() && name.bytes().all(is_allowed) {
        true => Ok(()),
        false => Err(Error::InvalidName { name: name.to_owned() }),
    }
}

/// Checks a version by the grammar of SemVer 2.0: `1.2.3`, `1.2.3-rc.1`, `1.2.3+build.7`.
pub(super) fn check_version(version: &str) -> Result<(), Error> {
    let (version_and_release, build) = split(version, '+');
    let (core, release) = split(version_and_release, '-');
    let is_valid = core.split('.').count() == 3
        && core.split('.').all(is_number)
        && release.is_none_or(|release| release.split('.').all(is_release_identifier))
        && build.is_none_or(|build| build.split('.').all(is_identifier));
    match is_valid {
        true => Ok(()),
        false => Err(Error::InvalidVersion { version: version.to_owned() }),
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// Whether it is a number without leading zeros.
fn is_number(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

/// Whether it may stand behind the `-`: a number, or something that is not only digits.
fn is_release_identifier(text: &str) -> bool {
    is_identifier(text) && (!is_digits(text) || is_number(text))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "A-b_9", "-"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "a.b", "a b", "a*", ">", "ä", "a\r\n"] {
            assert!(matches!(check_name(name), Err(Error::InvalidName { .. })), "{name:?}");
        }
    }

    #[test]
    fn versions() {
        for version in [
            "0.0.0",
            "1.20.300",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-0.x-y.-",
            "1.0.0+001.a",
            "1.0.0-rc.1+x-y",
            "99999999999999999999.0.0",
        ] {
            assert_eq!(check_version(version), Ok(()), "{version}");
        }
        for version in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0-a..b",
            "1.0.0+",
            "1.0.0+a+b",
            "1.0.0-a_b",
            "1. 0.0",
            "1.0.0\n",
        ] {
            assert!(
                matches!(check_version(version), Err(Error::InvalidVersion { .. })),
                "{version:?}"
            );
        }
    }
}
