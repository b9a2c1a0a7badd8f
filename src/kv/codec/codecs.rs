//! A codec of keys and one of values, and what they do to whole entries.

use super::coding::{CodecError, CodecStep, KeyCodec, ValueCodec};
use super::decoded::Undecodable;
use super::plain::{PlainKeys, PlainValues};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use std::fmt;
use std::rc::Rc;

/// How long the key and the value of an entry may be together, in bytes, when they are decoded.
const MAX_DECODED: usize = u32::MAX as usize;

/// The codecs of a handle: `Codecs::new().keys(Base64Keys).values(Base64Values)`. Default: keys and values
/// as they are. A cheap handle.
#[derive(Clone)]
pub struct Codecs {
    keys: Rc<dyn KeyCodec>,
    values: Rc<dyn ValueCodec>,
}

/// Whether entries have their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Shown,
    LeftOut,
}

impl Codecs {
    /// Keys and values as they are.
    #[must_use]
    pub fn new() -> Self {
        Self { keys: Rc::new(PlainKeys), values: Rc::new(PlainValues) }
    }

    /// Sets the codec of the keys.
    #[must_use]
    pub fn keys(mut self, codec: impl KeyCodec + 'static) -> Self {
        self.keys = Rc::new(codec);
        self
    }

    /// Sets the codec of the values.
    #[must_use]
    pub fn values(mut self, codec: impl ValueCodec + 'static) -> Self {
        self.values = Rc::new(codec);
        self
    }

    pub(super) fn encode_key(&self, key: &str) -> Result<String, Error> {
        self.keys.encode(key).map_err(|cause| failed(CodecStep::EncodeKey, key, cause))
    }

    pub(super) fn encode_value(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        self.values.encode(value).map_err(|cause| failed(CodecStep::EncodeValue, key, cause))
    }

    pub(super) fn encode_patterns(&self, patterns: &[&str]) -> Result<Vec<String>, Error> {
        patterns.iter().map(|pattern| self.encode_pattern(pattern)).collect()
    }

    fn encode_pattern(&self, pattern: &str) -> Result<String, Error> {
        match pattern {
            ">" => Ok(pattern.into()),
            pattern if pattern.contains(['*', '>']) => self
                .keys
                .encode_pattern(pattern)
                .map_err(|cause| failed(CodecStep::EncodePattern, pattern, cause)),
            key => self.encode_key(key),
        }
    }

    pub(super) fn decode_key(&self, key: &str) -> Result<String, Error> {
        self.keys.decode(key).map_err(|cause| failed(CodecStep::DecodeKey, key, cause))
    }

    /// The same entry as the program knows it. Without a value there is none to decode.
    pub(super) fn decode_entry(&self, entry: &Entry, values: Values) -> Result<Entry, Error> {
        let stored = std::str::from_utf8(entry.key_bytes()).map_err(|_| {
            failed(CodecStep::DecodeKey, &entry.key(), CodecError::new("it is not UTF-8"))
        })?;
        let key = self.decode_key(stored)?;
        let value = match values {
            Values::Shown if !entry.operation().is_tombstone() => self.values.decode(entry.value()),
            _ => Ok(Vec::new()),
        };
        let fits = |value: &Vec<u8>| key.len().saturating_add(value.len()) <= MAX_DECODED;
        let value = value.and_then(|value| match fits(&value) {
            true => Ok(value),
            false => Err(CodecError::new("there are more than 4 GiB in it")),
        });
        let value = value.map_err(|cause| failed(CodecStep::DecodeValue, &key, cause))?;
        Ok(entry.recoded(&key, &value))
    }

    /// As [`decode_entry`](Self::decode_entry), for one of several.
    pub(super) fn decode_one(&self, entry: &Entry, values: Values) -> Result<Entry, Undecodable> {
        self.decode_entry(entry, values).map_err(|error| {
            let (key, revision) = (entry.key().into_owned(), Some(entry.revision()));
            Undecodable { key, revision, error }
        })
    }

    /// As [`decode_key`](Self::decode_key), for one of several.
    pub(super) fn decode_one_key(&self, key: String) -> Result<String, Undecodable> {
        self.decode_key(&key).map_err(|error| Undecodable { key, revision: None, error })
    }
}

fn failed(step: CodecStep, key: &str, cause: CodecError) -> Error {
    Error::Codec { step, key: key.into(), cause }
}

/// The same error, about the key as the program knows it.
pub(super) fn about(error: Error, key: &str) -> Error {
    let key = key.to_owned();
    match error {
        Error::KeyExists { revision, .. } => Error::KeyExists { key, revision },
        Error::WrongRevision { expected, actual, .. } => {
            Error::WrongRevision { key, expected, actual }
        }
        Error::Unproven { .. } => Error::Unproven { key },
        error => error,
    }
}

impl Default for Codecs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codecs").finish_non_exhaustive()
    }
}
