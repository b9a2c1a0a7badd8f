//! What a codec is, and how it fails.

use std::fmt;
use std::rc::Rc;
use thiserror::Error;

/// A codec of keys (ADR-54). What it makes of a key has to be a key of a bucket: letters, digits and
/// `-/_=.`, without a dot at an end or two in a row. Two keys have to remain two.
///
/// It is called within the call that names the key, and, for what is read, right before the callback. Keys
/// of other clients come to it too.
pub trait KeyCodec {
    /// Encodes a key, as it is in the bucket then.
    ///
    /// # Errors
    /// Why this cannot be a key. Nothing is sent then.
    fn encode(&self, key: &str) -> Result<String, CodecError>;

    /// Decodes a key of the bucket.
    ///
    /// # Errors
    /// Why this is no key that it has encoded.
    fn decode(&self, key: &str) -> Result<String, CodecError>;

    /// Encodes a pattern: a key in which `*` stands for a token, and `>` at the end for the rest. They
    /// have to remain tokens of their own.
    ///
    /// # Errors
    /// Unless it is implemented, every pattern is refused. What has neither `*` nor `>` in it is encoded
    /// as a key instead, and `>` alone, for all keys, is not encoded, so that these work with any codec.
    fn encode_pattern(&self, pattern: &str) -> Result<String, CodecError> {
        let _ = pattern;
        Err(CodecError::new("the codec of the keys takes no wildcards"))
    }
}

/// A codec of values (ADR-54), as for compression or encryption.
///
/// It is called within the call that has the value, and, for what is read, right before the callback.
/// Values of other clients come to it too; the empty ones of tombstones, and those that a watch leaves
/// out, do not.
pub trait ValueCodec {
    /// Encodes a value, as it is in the bucket then.
    ///
    /// # Errors
    /// Why it cannot be encoded. Nothing is sent then.
    fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError>;

    /// Decodes a value of the bucket.
    ///
    /// # Errors
    /// Why this is no value that it has encoded.
    fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError>;
}

/// A codec that is shared, also one of a type that is only known at run time.
impl<C: KeyCodec + ?Sized> KeyCodec for Rc<C> {
    fn encode(&self, key: &str) -> Result<String, CodecError> {
        (**self).encode(key)
    }

    fn decode(&self, key: &str) -> Result<String, CodecError> {
        (**self).decode(key)
    }

    fn encode_pattern(&self, pattern: &str) -> Result<String, CodecError> {
        (**self).encode_pattern(pattern)
    }
}

/// A codec that is shared, also one of a type that is only known at run time.
impl<C: ValueCodec + ?Sized> ValueCodec for Rc<C> {
    fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        (**self).encode(value)
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        (**self).decode(value)
    }
}

/// Why a codec has failed, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct CodecError {
    reason: String,
}

impl CodecError {
    /// An error with a reason, which begins in lower case and has no full stop.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// What a codec was about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecStep {
    /// Encode a key.
    EncodeKey,
    /// Decode a key of the bucket.
    DecodeKey,
    /// Encode a pattern of keys.
    EncodePattern,
    /// Encode the value for a key.
    EncodeValue,
    /// Decode a value of the bucket.
    DecodeValue,
}

impl fmt::Display for CodecStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EncodeKey => "encode the key",
            Self::DecodeKey => "decode the key",
            Self::EncodePattern => "encode the pattern",
            Self::EncodeValue => "encode the value of key",
            Self::DecodeValue => "decode the value of key",
        })
    }
}
