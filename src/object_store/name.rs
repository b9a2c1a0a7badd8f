//! The subjects of an object: its metadata's, which is made of its name, and its chunks'.

use crate::object_store::error::Error;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// What the names of buckets' streams begin with.
pub(in crate::object_store) const STREAM_PREFIX: &str = "OBJ_";

/// What the subject of an object's metadata ends with: any name becomes one token (ADR-20).
pub(in crate::object_store) fn encoded(name: &str) -> String {
    URL_SAFE.encode(name)
}

/// The name that such a token stands for, if it is one.
pub(in crate::object_store) fn decoded(token: &[u8]) -> Option<String> {
    String::from_utf8(URL_SAFE.decode(token).ok()?).ok()
}

pub(in crate::object_store) fn check_object(name: &str) -> Result<(), Error> {
    match name.is_empty() {
        true => Err(Error::EmptyName),
        false => Ok(()),
    }
}

/// Whether an identity that somebody has written can be a token of a subject. One that could not would
/// stand for the chunks of other objects.
pub(in crate::object_store) fn is_identity(nuid: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'*' | b'>');
    !nuid.is_empty() && nuid.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_encoded_as_others_do() {
        assert_eq!(encoded("a"), "YQ==");
        assert_eq!(encoded("ü/ÿ?>"), "w7wvw78_Pg==");
        assert_eq!(decoded(b"w7wvw78_Pg=="), Some("ü/ÿ?>".into()));
        assert_eq!(decoded(b"w7w"), None);
    }

    #[test]
    fn identities_that_are_no_token_are_none() {
        assert!(is_identity("0123456789ABCDEFGHIJkl"));
        for bad in ["", "a.b", ">", "a*", "a b", "é"] {
            assert!(!is_identity(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in any::<String>()) {
            prop_assert_eq!(decoded(encoded(&name).as_bytes()), Some(name));
        }
    }
}
