//! Base64 for keys and values, URL-safe and without padding: the form that orbit.go gives them, so that
//! clients of both kinds read each other.

use super::coding::{CodecError, KeyCodec, ValueCodec};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Keys of any characters, each token in Base64 (URL-safe, without padding): `user name.1` is
/// `dXNlciBuYW1l.MQ`. Dots separate tokens as before, so patterns match what they would have matched.
///
/// A token that is no Base64 of text, or of text with a dot in it, is none that it has encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Base64Keys;

/// Values in Base64 (URL-safe, without padding).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Base64Values;

impl KeyCodec for Base64Keys {
    fn encode(&self, key: &str) -> Result<String, CodecError> {
        Ok(joined(key.split('.').map(|token| URL_SAFE_NO_PAD.encode(token))))
    }

    fn decode(&self, key: &str) -> Result<String, CodecError> {
        let tokens: Result<Vec<String>, CodecError> = key.split('.').map(decode_token).collect();
        Ok(tokens?.join("."))
    }

    fn encode_pattern(&self, pattern: &str) -> Result<String, CodecError> {
        Ok(joined(pattern.split('.').map(|token| match token {
            "*" | ">" => token.to_owned(),
            token => URL_SAFE_NO_PAD.encode(token),
        })))
    }
}

impl ValueCodec for Base64Values {
    fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(URL_SAFE_NO_PAD.encode(value).into_bytes())
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        decode(value)
    }
}

fn joined(tokens: impl Iterator<Item = String>) -> String {
    tokens.collect::<Vec<_>>().join(".")
}

fn decode_token(token: &str) -> Result<String, CodecError> {
    let text = String::from_utf8(decode(token.as_bytes())?)
        .map_err(|_| CodecError::new("a token is Base64 of what is not UTF-8"))?;
    // it would be another key's
    match text.contains('.') {
        true => Err(CodecError::new("a token is Base64 of what has a dot in it")),
        false => Ok(text),
    }
}

fn decode(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let decoded = URL_SAFE_NO_PAD.decode(bytes);
    decoded
        .map_err(|error| CodecError::new(format!("not URL-safe Base64 without padding: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_of_keys_have_the_form_that_orbit_gives_them() {
        let table = [
            (
                "test.key.with.special.chars!@#$%^&*()",
                "dGVzdA.a2V5.d2l0aA.c3BlY2lhbA.Y2hhcnMhQCMkJV4mKigp",
            ),
            ("user name.1", "dXNlciBuYW1l.MQ"),
            ("a/b", "YS9i"),
            ("ÿþ?", "w7_Dvj8"),
            ("*", "Kg"),
            ("", ""),
            ("a..b", "YQ..Yg"),
        ];
        for (key, encoded) in table {
            assert_eq!(Base64Keys.encode(key).as_deref(), Ok(encoded));
            assert_eq!(Base64Keys.decode(encoded).as_deref(), Ok(key));
        }
    }

    #[test]
    fn whole_wildcards_of_a_pattern_stay_as_they_are() {
        let table = [
            ("user.123", "dXNlcg.MTIz"),
            ("user.*", "dXNlcg.*"),
            ("user.>", "dXNlcg.>"),
            ("app.*.config.>", "YXBw.*.Y29uZmln.>"),
            ("a*.b", "YSo.Yg"),
            (">", ">"),
        ];
        for (pattern, encoded) in table {
            assert_eq!(Base64Keys.encode_pattern(pattern).as_deref(), Ok(encoded));
        }
    }

    #[test]
    fn what_it_has_not_encoded_is_not_decoded() {
        let table = [
            ("a b", "not URL-safe Base64 without padding: Invalid symbol 32, offset 1."),
            ("YQ==", "not URL-safe Base64 without padding: Invalid padding"),
            ("_w", "a token is Base64 of what is not UTF-8"),
            ("YS5i", "a token is Base64 of what has a dot in it"),
        ];
        for (key, reason) in table {
            let error = Base64Keys.decode(key).expect_err(key).to_string();
            assert!(error.starts_with(reason), "{key}: {error}");
        }
        // another text for the same value, which two keys would have in common
        assert!(Base64Keys.decode("YR").is_err());
        assert!(Base64Values.decode(b"plain text").is_err());
    }

    proptest! {
        #[test]
        fn every_key_and_value_comes_back(key in any::<String>(), value: Vec<u8>) {
            let encoded = Base64Keys.encode(&key).expect("any key is encoded");
            prop_assert_eq!(Base64Keys.decode(&encoded), Ok(key));
            let encoded = Base64Values.encode(&value).expect("any value is encoded");
            prop_assert_eq!(Base64Values.decode(&encoded), Ok(value));
        }

        #[test]
        fn no_two_keys_are_decoded_to_the_same(key in "[A-Za-z0-9_-]{0,6}(\\.[A-Za-z0-9_-]{1,4})?") {
            if let Ok(decoded) = Base64Keys.decode(&key) {
                prop_assert_eq!(Base64Keys.encode(&decoded), Ok(key));
            }
        }
    }
}
