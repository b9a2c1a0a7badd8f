//! What the subjects of the API are made of: its prefix, and the names of streams and consumers, which
//! become tokens.

use super::error::Error;

pub(super) const DEFAULT_PREFIX: &str = "$JS.API";

/// Checks the name of a stream or a consumer, which becomes a token of a subject.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let forbidden = |c: char| {
        matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c' | '\0' | '.' | '*' | '>' | '/' | '\\')
    };
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > 255 {
        "it is longer than 255 bytes"
    } else if name.contains(forbidden) {
        "it has a space, a dot, a wildcard or a slash"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.chars().take(255).collect(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(check_name("KV_config-1"), Ok(()));
        for bad in ["", "a b", "a.b", "a*", ">", "a/b", "a\\b", &"x".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
