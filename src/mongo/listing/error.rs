//! What can be wrong with the arguments of a list, and with what it finds.

use thiserror::Error;

/// Why a list cannot be given. Nothing was asked of MongoDB, unless the variant says so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListError {
    /// The number of rows is not positive, or larger than allowed.
    #[error("a page of {limit} rows is not possible: 1 to {max} are")]
    InvalidLimit {
        /// The number that was asked for.
        limit: i64,
        /// The largest that is allowed.
        max: i64,
    },
    /// The sort order cannot be one.
    #[error("cannot sort by {key:?}: {reason}")]
    InvalidSort {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The program does not allow to sort by this key.
    #[error("cannot sort by {key:?}: it is not among the keys that are allowed")]
    SortNotAllowed {
        /// The key.
        key: String,
    },
    /// An operator that runs code in the server.
    #[error("{operator} is not allowed in a {place}: it runs code in the server")]
    RefusedOperator {
        /// The operator.
        operator: String,
        /// Where it is: `filter` or `projection`.
        place: &'static str,
    },
    /// A document that is nested too deeply, or that cannot be encoded.
    #[error("the {place} cannot be used: {reason}")]
    InvalidDocument {
        /// Which one: `filter`, `projection`, `collation`.
        place: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A row has an array where it is sorted by. MongoDB sorts it by one of its elements, so that no place in
    /// the list can be told by it, and rows might come twice.
    #[error(
        "the row {row} has an array at {key:?}, and cannot be sorted by that page by page: filter it out"
    )]
    ArrayInSortKey {
        /// The sort key.
        key: String,
        /// Which row: the tie-breaker's path and its value, of at most 100 characters, as in `_id: 7`.
        row: String,
    },
    /// A row has no value that it can be told by: the tie-breaker is missing.
    #[error("a row has no {key:?}, which tells rows apart whose other sort values are equal")]
    NoTieBreaker {
        /// The path of the tie-breaker.
        key: String,
    },
    /// A row that was read cannot be understood.
    #[error("a row cannot be read: {reason}")]
    UnreadableRow {
        /// What is wrong with it.
        reason: String,
    },
    /// A token was given, and the list has neither a storage nor a key ring.
    #[error("a token was given, and the list has neither a storage nor a key ring for tokens")]
    NoTokens,
    /// A connection has a cursor for each row, and the list keeps cursors in a storage: that would be a write for
    /// each row.
    #[error(
        "each row of a connection has a cursor, which would be a write each: sign them instead"
    )]
    StoredRowCursors,
    /// A connection has a cursor for each row, and the list has no key ring to sign them.
    #[error("each row of a connection has a cursor, and the list has no key ring to sign it")]
    UnsignedRowCursors,
    /// A connection was asked for with both `first` and `last`, which do not say from which end it is read.
    #[error("a connection has its `first` rows or its `last` ones, and both were asked for")]
    FirstAndLast,
    /// A connection was asked for of a list with a token.
    #[error("a connection goes on at `after` or `before`, and the list has a token")]
    TokenOfConnection,
}
