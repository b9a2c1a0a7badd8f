//! Which names buckets and keys can have. They become parts of subjects, so a wrong one would mean
//! another subject, or the end of the connection.

use crate::jetstream::{check_bucket_name, first_bad};
use crate::kv::error::Error;

/// The key of the fence that proven reads write.
pub(in crate::kv) const FENCE_KEY: &str = "_kv_fence";

/// Whether a key is one of those that are not the user's (ADR-8). They are hidden from users of this
/// client.
#[inline]
pub(in crate::kv) fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(b"_kv")
}

/// Letters, digits, `_` and `-`.
pub(in crate::kv) fn check_bucket(bucket: &str) -> Result<(), Error> {
    check_bucket_name(bucket)
        .map_err(|reason| Error::InvalidBucket { bucket: bucket.into(), reason })
}

/// Letters, digits, `-/_=.`, no dot at an end and no two in a row; names with `_kv` in front are
/// reserved (ADR-8).
#[inline]
pub(in crate::kv) fn check_key(key: &str) -> Result<(), Error> {
    // as if there were a dot before the key, and another after it
    let (mut doubts, mut previous) = (0, DOT);
    for byte in key.bytes() {
        let class = CLASS[byte as usize];
        doubts |= class & (previous | FORBIDDEN);
        previous = class;
    }
    if (doubts | (previous & DOT)) != 0 || is_reserved(key.as_bytes()) {
        return Err(invalid_key(key, false));
    }
    Ok(())
}

/// A key in which tokens may be `*` and the last one `>`.
pub(in crate::kv) fn check_pattern(pattern: &str) -> Result<(), Error> {
    let mut tokens = pattern.split('.').peekable();
    while let Some(token) = tokens.next() {
        let is_wildcard = token == "*" || (token == ">" && tokens.peek().is_none());
        if !is_wildcard && (token.is_empty() || !token.bytes().all(is_key_byte)) {
            return Err(invalid_key(pattern, true));
        }
    }
    Ok(())
}

const ORDINARY: u8 = 0;
const DOT: u8 = 1;
const FORBIDDEN: u8 = 2;

/// What each byte is in a key.
const CLASS: [u8; 256] = {
    let mut table = [FORBIDDEN; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_' | b'=') {
            table[byte] = ORDINARY;
        }
        byte += 1;
    }
    table[b'.' as usize] = DOT;
    table
};

fn is_key_byte(byte: u8) -> bool {
    CLASS[byte as usize] != FORBIDDEN
}

/// Returns what is wrong with a key that is known to be invalid.
#[cold]
fn invalid_key(key: &str, wildcards: bool) -> Error {
    let is_allowed = |byte| is_key_byte(byte) || (wildcards && matches!(byte, b'*' | b'>'));
    let reason = if key.is_empty() {
        "it is empty".into()
    } else if let Some(reason) = first_bad(key, is_allowed) {
        reason
    } else if key.starts_with("_kv") {
        "names that begin with _kv are reserved".into()
    } else if wildcards && key.contains(['*', '>']) && !key.contains("..") {
        "a wildcard must be a whole token, and '>' the last one".into()
    } else {
        "it begins or ends with a dot, or has two in a row".into()
    };
    Error::InvalidKey { key: key.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys() {
        for good in ["a", "a.b", "A-b_c=d/e", "1", "a.b.c", "k_kv"] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        let table = [
            ("", "it is empty"),
            ("a b", "' ' at byte 1 is not allowed"),
            ("a\r\n", "'\\r' at byte 1 is not allowed"),
            ("*", "'*' at byte 0 is not allowed"),
            ("a.>", "'>' at byte 2 is not allowed"),
            ("aü", "'ü' at byte 1 is not allowed"),
            (".a", "it begins or ends with a dot, or has two in a row"),
            ("a.", "it begins or ends with a dot, or has two in a row"),
            ("a..b", "it begins or ends with a dot, or has two in a row"),
            ("_kvx", "names that begin with _kv are reserved"),
        ];
        for (bad, expected) in table {
            match check_key(bad) {
                Err(Error::InvalidKey { reason, .. }) => assert_eq!(reason, expected, "{bad:?}"),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_keys_with_the_reserved_beginning_are_hidden() {
        assert!(is_reserved(FENCE_KEY.as_bytes()));
        assert!(!is_reserved(b"kv") && !is_reserved(b"a._kv"));
    }

    /// What is said of keys, rule by rule.
    fn is_key(text: &str) -> bool {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-/_=.".contains(c);
        text.chars().all(is_allowed)
            && text.split('.').all(|token| !token.is_empty())
            && !text.starts_with("_kv")
    }

    proptest! {
        #[test]
        fn a_key_is_what_keeps_the_rules(text in "(_kv)?[a.]{0,4}[ -~]{0,3}[é._k=/-]{0,4}") {
            prop_assert_eq!(check_key(&text).is_ok(), is_key(&text), "{:?}", text);
        }
    }

    /// So a request that a key is a part of can be written without looking for what to escape.
    #[test]
    fn names_and_keys_need_no_escapes_in_json() {
        let allowed: String = (0..=127).filter(|byte| is_key_byte(*byte)).map(char::from).collect();
        assert_eq!(serde_json::to_string(&allowed).expect("JSON"), format!("\"{allowed}\""));
        let is_key =
            |byte: u8| is_key_byte(byte) || check_bucket(&char::from(byte).to_string()).is_err();
        assert!((0..=127).all(is_key), "a bucket's name has no other bytes");
    }

    #[test]
    fn patterns() {
        for good in [">", "*", "a.*.c", "a.>", "a"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in ["", "a..b", ">.a", "a*", "a b", "a.>.b", "x>"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn buckets() {
        assert_eq!(check_bucket("config-1_A"), Ok(()));
        for bad in ["", "a.b", "a b", "ü", "a*"] {
            assert!(check_bucket(bad).is_err(), "{bad}");
        }
        let error = check_bucket("a.b").unwrap_err().to_string();
        assert_eq!(error, r#"invalid bucket name "a.b": '.' at byte 1 is not allowed"#);
    }
}
