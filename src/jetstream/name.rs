//! What the subjects of the API are made of: its prefix, and the names of streams and consumers, which
//! become tokens; and the names of buckets, which become parts of them.

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

/// Checks the name of a bucket, of keys or of objects (ADR-8, ADR-20): letters, digits, `_` and `-`.
/// Returns what is wrong with it.
pub(crate) fn check_bucket_name(bucket: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match first_bad(bucket, is_allowed) {
        _ if bucket.is_empty() => Err("it is empty".into()),
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

/// Returns what is wrong with the first byte that is not allowed.
pub(crate) fn first_bad(name: &str, is_allowed: impl Fn(u8) -> bool) -> Option<String> {
    let position = name.bytes().position(|byte| !is_allowed(byte))?;
    let shown = name.char_indices().take_while(|(at, _)| *at <= position).last()?.1;
    Some(format!("{shown:?} at byte {position} is not allowed"))
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
