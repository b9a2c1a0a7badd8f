//! What a message carries: bytes that are lent, given away, or shared.
//!
//! Invariant: converting into a payload never copies. What needs the bytes for longer than they
//! were lent pays for the copy.

use bytes::Bytes;
use std::borrow::Cow;
use std::ops::Deref;

/// What a message carries: lent, given away, or shared.
///
/// Small payloads are copied into the outgoing buffer, whatever they come in. From 64 KiB on, one
/// that was given away or is shared goes to the socket from where it is.
#[derive(Debug, Clone)]
pub enum Payload<'a> {
    /// Lent by the caller, who keeps it.
    Lent(&'a [u8]),
    /// Given away by the caller.
    Owned(Vec<u8>),
    /// Shared by reference count.
    Shared(Bytes),
}

impl Payload<'_> {
    /// The payload to give back to a caller: nothing if it was only lent.
    #[must_use]
    pub fn given_back(self) -> Payload<'static> {
        match self {
            Payload::Lent(_) => Payload::Lent(&[]),
            Payload::Owned(bytes) => Payload::Owned(bytes),
            Payload::Shared(bytes) => Payload::Shared(bytes),
        }
    }

    /// The payload as shared bytes, which costs a copy only if it was lent.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Payload::Lent(bytes) => Bytes::copy_from_slice(bytes),
            Payload::Owned(bytes) => bytes.into(),
            Payload::Shared(bytes) => bytes,
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Lent(bytes) => bytes,
            Payload::Owned(bytes) => bytes,
            Payload::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}

impl Default for Payload<'_> {
    fn default() -> Self {
        Payload::Lent(&[])
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Payload::Lent(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Payload::Lent(bytes)
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Payload::Lent(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        Payload::Lent(text.as_bytes())
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Payload::Lent(bytes)
    }
}

impl From<String> for Payload<'_> {
    fn from(text: String) -> Self {
        Payload::Owned(text.into_bytes())
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Payload::Owned(bytes)
    }
}

impl From<Bytes> for Payload<'_> {
    fn from(bytes: Bytes) -> Self {
        Payload::Shared(bytes)
    }
}

impl From<&Bytes> for Payload<'_> {
    fn from(bytes: &Bytes) -> Self {
        Payload::Shared(bytes.clone())
    }
}

impl<'a> From<Cow<'a, str>> for Payload<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}
