//! Long lists, page by page.
//!
//! A page is found by seeking: what is beyond the last row, by all sort keys and a tie-breaker, whatever types
//! their values have. So the hundredth page costs what the first one does, and rows that come and go do not shift
//! the others.
//!
//! What is promised: no gap and no duplicate among the rows whose sort keys do not change while the list is read,
//! forward and back. A row whose sort keys change may be seen twice or not at all. What is not promised is a
//! snapshot.
//!
//! # Connections
//!
//! The same list is given as a connection, too ([`Mongo::list_connection`](crate::mongo::Mongo::list_connection)),
//! which the GraphQL Cursor Connections Specification describes. Every row has a cursor there: its place, signed.
//! That is the token of a page as well, and both go on with one another.
//!
//! | argument | rows |
//! |---|---|
//! | `first` | the first ones of all, or of those that the cursors leave |
//! | `last` | the last ones, in the same order |
//! | `after`, `before` | only those behind one cursor, in front of the other, or between the two |
//! | none of `first` and `last` | as many of the first ones as the list's limit says |
//! | both of them, or one that is not positive or too large | none: [`ListError::FirstAndLast`], [`ListError::InvalidLimit`] |
//!
//! In the direction that is read, `hasNextPage` or `hasPreviousPage` is the truth within the bounds. In the other
//! one, the specification leaves it open. Here it is the truth, too, if there is a cursor to go back behind: a
//! query beside the one for the rows looks for a row there, unless [`ListCursor::previous`] is turned off. Without
//! that, it is `false`.
//!
//! # Faults
//!
//! | fault | what comes of it |
//! |---|---|
//! | a token was changed, made up, signed with a foreign or a retired key | [`CursorError::InvalidToken`](crate::mongo::CursorError::InvalidToken), [`UnknownKey`](crate::mongo::CursorError::UnknownKey) |
//! | it has expired, or was deleted | [`CursorError::NotFound`](crate::mongo::CursorError::NotFound) |
//! | it is of another query, or of another subject | [`CursorError::QueryChanged`](crate::mongo::CursorError::QueryChanged), [`OtherSubject`](crate::mongo::CursorError::OtherSubject) |
//! | MongoDB is away | an error within the timeout; the same call, with the same token, later |
//! | the storage is away | an error, and no page; the same call, with the same token, later |
//! | a row has an array where it is sorted by | [`ListError::ArrayInSortKey`] |
//! | a connection is asked for, and tokens are stored, or there are none | [`ListError::StoredRowCursors`], [`ListError::UnsignedRowCursors`] |

mod check;
mod connecting;
mod connection;
mod connection_arguments;
mod each;
pub(in crate::mongo) mod error;
mod fetch;
mod fingerprint;
mod handle;
mod options;
mod page;
mod query;
mod rank;
mod reading;
mod ring;
mod row_cursors;
mod seek;
mod sort;
mod span;
mod token;
mod tokens;

pub use connection::{Connection, Edge, PageInfo};
pub use connection_arguments::ConnectionArguments;
pub use each::{ListEnd, Listing};
pub use error::ListError;
pub use options::ListCursor;
pub use page::{Page, Total};
pub use ring::KeyRing;
pub use sort::SortBy;
