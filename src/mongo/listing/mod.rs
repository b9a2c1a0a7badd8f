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
//! | fault | what comes of it |
//! |---|---|
//! | a token was changed, made up, signed with a foreign or a retired key | [`CursorError::InvalidToken`](crate::mongo::CursorError::InvalidToken), [`UnknownKey`](crate::mongo::CursorError::UnknownKey) |
//! | it has expired, or was deleted | [`CursorError::NotFound`](crate::mongo::CursorError::NotFound) |
//! | it is of another query, or of another subject | [`CursorError::QueryChanged`](crate::mongo::CursorError::QueryChanged), [`OtherSubject`](crate::mongo::CursorError::OtherSubject) |
//! | MongoDB is away | an error within the timeout; the same call, with the same token, later |
//! | the storage is away | an error, and no page; the same call, with the same token, later |
//! | a row has an array where it is sorted by | [`ListError::ArrayInSortKey`] |

mod check;
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
mod seek;
mod sort;
mod token;
mod tokens;

pub use each::{ListEnd, Listing};
pub use error::ListError;
pub use options::ListCursor;
pub use page::{Page, Total};
pub use ring::KeyRing;
pub use sort::SortBy;
