//! What a bucket holds under an object's name, and nobody can read.

use crate::object_store::name::decoded;
use std::fmt;

/// What a bucket holds under an object's name, and cannot be read: another program has written it. The
/// object's name can be put again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The object's name, as the subject has it. `None`: the subject is none of an object's.
    pub name: Option<String>,
    /// The subject of the message.
    pub subject: String,
    /// The sequence of the message in the bucket's stream.
    pub revision: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Unreadable {
    /// A message on a subject that ends with this token.
    #[cold]
    pub(in crate::object_store) fn new(
        subject: &[u8],
        token: &[u8],
        revision: u64,
        reason: String,
    ) -> Self {
        let subject = String::from_utf8_lossy(subject).into_owned();
        Self { name: decoded(token), subject, revision, reason }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, subject, revision, reason } = self;
        match name {
            Some(name) => write!(f, "what is stored of object {name:?}")?,
            None => write!(f, "what is stored on {subject}")?,
        }
        write!(f, " at {revision} cannot be read: {reason}")
    }
}
