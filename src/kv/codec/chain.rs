//! Several codecs, one after the other.

use super::coding::{CodecError, KeyCodec, ValueCodec};
use std::fmt;
use std::rc::Rc;

/// Codecs of keys, one after the other: the first one added encodes first and decodes last. A pattern goes
/// through all of them. Without any, keys are as they are.
///
/// `KeyChain::new().then(PathKeys).then(Base64Keys)`: paths of any characters.
#[derive(Clone, Default)]
pub struct KeyChain {
    codecs: Vec<Rc<dyn KeyCodec>>,
}

/// Codecs of values, one after the other: the first one added encodes first and decodes last. Without any,
/// values are as they are.
#[derive(Clone, Default)]
pub struct ValueChain {
    codecs: Vec<Rc<dyn ValueCodec>>,
}

impl KeyChain {
    /// A chain without codecs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a codec.
    #[must_use]
    pub fn then(mut self, codec: impl KeyCodec + 'static) -> Self {
        self.codecs.push(Rc::new(codec));
        self
    }
}

impl ValueChain {
    /// A chain without codecs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a codec.
    #[must_use]
    pub fn then(mut self, codec: impl ValueCodec + 'static) -> Self {
        self.codecs.push(Rc::new(codec));
        self
    }
}

impl KeyCodec for KeyChain {
    fn encode(&self, key: &str) -> Result<String, CodecError> {
        self.codecs.iter().try_fold(key.to_owned(), |key, codec| codec.encode(&key))
    }

    fn decode(&self, key: &str) -> Result<String, CodecError> {
        self.codecs.iter().rev().try_fold(key.to_owned(), |key, codec| codec.decode(&key))
    }

    fn encode_pattern(&self, pattern: &str) -> Result<String, CodecError> {
        self.codecs.iter().try_fold(pattern.to_owned(), |text, codec| codec.encode_pattern(&text))
    }
}

impl ValueCodec for ValueChain {
    fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        self.codecs.iter().try_fold(value.to_vec(), |value, codec| codec.encode(&value))
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        self.codecs.iter().rev().try_fold(value.to_vec(), |value, codec| codec.decode(&value))
    }
}

impl fmt::Debug for KeyChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyChain").field("len", &self.codecs.len()).finish()
    }
}

impl fmt::Debug for ValueChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueChain").field("len", &self.codecs.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::base64::{Base64Keys, Base64Values};
    use super::super::path::PathKeys;
    use super::*;
    use proptest::prelude::*;

    fn paths() -> KeyChain {
        KeyChain::new().then(PathKeys).then(Base64Keys)
    }

    /// Puts a letter in front, and takes it away again.
    struct Tagged(u8);

    impl ValueCodec for Tagged {
        fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
            Ok([&[self.0], value].concat())
        }

        fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
            let rest = value.strip_prefix(&[self.0]);
            rest.map(<[u8]>::to_vec).ok_or_else(|| CodecError::new("another letter is in front"))
        }
    }

    #[test]
    fn the_first_codec_encodes_first_and_decodes_last() {
        assert_eq!(paths().encode("/a b/c").as_deref(), Ok("X3Jvb3Rf.YSBi.Yw"));
        assert_eq!(paths().decode("X3Jvb3Rf.YSBi.Yw").as_deref(), Ok("/a b/c"));
        assert_eq!(paths().encode_pattern("/a b/*").as_deref(), Ok("X3Jvb3Rf.YSBi.*"));
        let tags = ValueChain::new().then(Tagged(b'a')).then(Tagged(b'b'));
        assert_eq!(tags.encode(b"x").as_deref(), Ok(b"bax".as_slice()));
        assert_eq!(tags.decode(b"bax").as_deref(), Ok(b"x".as_slice()));
        assert!(tags.decode(b"abx").is_err());
    }

    #[test]
    fn a_chain_without_codecs_changes_nothing() {
        assert_eq!(KeyChain::new().encode("a.b").as_deref(), Ok("a.b"));
        assert_eq!(KeyChain::new().encode_pattern("a.*").as_deref(), Ok("a.*"));
        assert_eq!(ValueChain::new().decode(b"x").as_deref(), Ok(b"x".as_slice()));
    }

    #[test]
    fn codecs_may_be_shared_and_known_only_at_run_time() {
        let keys: Rc<dyn KeyCodec> = Rc::new(paths());
        let values: Rc<dyn ValueCodec> = Rc::new(Tagged(b'a'));
        let (keys, values) = (KeyChain::new().then(keys), ValueChain::new().then(values));
        assert_eq!(keys.encode_pattern("/*").as_deref(), Ok("X3Jvb3Rf.*"));
        assert_eq!(keys.decode("X3Jvb3Rf.YQ").as_deref(), Ok("/a"));
        assert_eq!(values.encode(b"x").as_deref(), Ok(b"ax".as_slice()));
        assert_eq!(values.decode(b"ax").as_deref(), Ok(b"x".as_slice()));
    }

    #[test]
    fn a_chain_takes_wildcards_only_if_each_of_its_codecs_does() {
        struct NoPatterns;
        impl KeyCodec for NoPatterns {
            fn encode(&self, key: &str) -> Result<String, CodecError> {
                Ok(key.into())
            }

            fn decode(&self, key: &str) -> Result<String, CodecError> {
                Ok(key.into())
            }
        }
        let refused = paths().then(NoPatterns).encode_pattern("/a/*").expect_err("a refusal");
        assert_eq!(refused.to_string(), "the codec of the keys takes no wildcards");
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(path in "/?[a-z é*>]{1,3}(/[ -,:-~]{1,3}){0,3}", value: Vec<u8>) {
            let encoded = paths().encode(&path).expect("any path is encoded");
            prop_assert!(crate::kv::name::check_key(&encoded).is_ok(), "{}", encoded);
            prop_assert_eq!(paths().decode(&encoded), Ok(path));
            let values = ValueChain::new().then(Base64Values).then(Base64Values);
            let encoded = values.encode(&value).expect("any value is encoded");
            prop_assert_eq!(values.decode(&encoded), Ok(value));
        }
    }
}
