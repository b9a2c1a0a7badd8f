//! Keys and values as they are: what [`Codecs`](super::Codecs) begins with.

use super::coding::{CodecError, KeyCodec, ValueCodec};

/// Keys as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlainKeys;

/// Values as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlainValues;

impl KeyCodec for PlainKeys {
    fn encode(&self, key: &str) -> Result<String, CodecError> {
        Ok(key.into())
    }

    fn decode(&self, key: &str) -> Result<String, CodecError> {
        Ok(key.into())
    }

    fn encode_pattern(&self, pattern: &str) -> Result<String, CodecError> {
        Ok(pattern.into())
    }
}

impl ValueCodec for PlainValues {
    fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(value.into())
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(value.into())
    }
}
