//! What can go wrong with cursors: their tokens, and the storage of them.

use thiserror::Error;

/// Why a cursor cannot be stored, found or used. No variant shows a token, because whoever has it can read on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CursorError {
    /// There is no such cursor: it was never made, has expired, or was deleted. Which of them is not told.
    #[error("there is no such cursor, or it has expired: begin again with the first page")]
    NotFound,
    /// A cursor is stored under this key already. It was left as it is.
    #[error("a cursor is stored under this key already")]
    Exists,
    /// The cursor is not at the expected revision: another one has renewed or deleted it meanwhile.
    #[error("the cursor is not at revision {expected} any more: load it again")]
    Changed {
        /// The revision that was expected.
        expected: u64,
    },
    /// What is stored under the key is no cursor that this version can read.
    #[error("what is stored is no cursor that can be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// The storage in memory holds as many cursors as it may. Some of them expire by and by.
    #[error("the storage holds {limit} cursors, and may not hold more")]
    Full {
        /// How many it may hold.
        limit: usize,
    },
    /// The token is none that is made here: it has another form, was changed, or was signed with another
    /// secret.
    #[error("the token is not valid: {reason}")]
    InvalidToken {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The token was signed with a key that the ring has no more, or never had.
    #[error(
        "the token was signed with key {key}, which is not in the ring: begin with the first page"
    )]
    UnknownKey {
        /// The key's number.
        key: u32,
    },
    /// The token belongs to another query: the namespace, the filter, the sort order, the collation or the
    /// tie-breaker is not what it was. The limit and the projection may change.
    #[error(
        "the token belongs to another query: keep filter and sort, or begin with the first page"
    )]
    QueryChanged,
    /// The token belongs to another subject, or to none, or the call has none.
    #[error("the token belongs to another subject")]
    OtherSubject,
    /// A signed token would be longer than tokens may be, because of long sort values.
    #[error(
        "a token of {length} bytes is too long, {limit} are allowed: keep cursors in a storage"
    )]
    TokenTooLong {
        /// How long it would be.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A secret that is too short to sign with.
    #[error("a secret of {length} bytes is too short to sign with, {minimum} are needed")]
    WeakSecret {
        /// How long it is.
        length: usize,
        /// How long it has to be.
        minimum: usize,
    },
    /// A key ring is given a key whose number it has already.
    #[error("the ring has a key {key} already: give the new one another number")]
    KeyExists {
        /// The key's number.
        key: u32,
    },
}
