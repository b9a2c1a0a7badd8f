//! What is listed, and how.

use super::ring::KeyRing;
use super::sort::SortBy;
use super::tokens::Tokens;
use crate::mongo::cursor::{CursorStorage, Erased};
use bson::Document;
use mongodb::options::{Collation, Hint};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// A list that is read page by page, for [`Mongo::list_cursor`](crate::mongo::Mongo::list_cursor).
pub struct ListCursor<S: 'static = ()> {
    pub(super) arguments: Arguments,
    pub(super) tokens: Tokens,
    state: PhantomData<fn(&mut S)>,
}

/// The arguments as they were given.
#[derive(Clone)]
pub(super) struct Arguments {
    pub(super) database: String,
    pub(super) collection: String,
    pub(super) filter: Document,
    pub(super) sort: SortBy,
    pub(super) allowed: Option<Vec<String>>,
    pub(super) tie_breaker: String,
    pub(super) projection: Option<Document>,
    pub(super) limit: i64,
    pub(super) max_limit: i64,
    pub(super) max_bytes: usize,
    pub(super) collation: Option<Collation>,
    pub(super) hint: Option<Hint>,
    pub(super) max_time: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) total: Option<u64>,
    pub(super) previous: bool,
    pub(super) token: Option<String>,
    pub(super) subject: Option<String>,
}

impl<S: 'static> ListCursor<S> {
    /// All documents of a collection, sorted by `_id`, 100 to a page.
    pub fn on(database: impl Into<String>, collection: impl Into<String>) -> Self {
        let arguments = Arguments {
            database: database.into(),
            collection: collection.into(),
            filter: Document::new(),
            sort: SortBy::Text(String::new()),
            allowed: None,
            tie_breaker: "_id".to_owned(),
            projection: None,
            limit: 100,
            max_limit: 1_000,
            max_bytes: 64 << 20,
            collation: None,
            hint: None,
            max_time: None,
            timeout: None,
            total: None,
            previous: true,
            token: None,
            subject: None,
        };
        Self { arguments, tokens: Tokens::None, state: PhantomData }
    }

    fn set(mut self, set: impl FnOnce(&mut Arguments)) -> Self {
        set(&mut self.arguments);
        self
    }

    /// Which documents. Operators that run code in the server are refused. Default: all.
    #[must_use]
    pub fn filter(self, filter: Document) -> Self {
        self.set(|of| of.filter = filter)
    }

    /// In which order: `"-created_at,name"`, or a document. What is equal by that is sorted by the
    /// [tie-breaker](Self::tie_breaker), in the direction of the last key. An index on all of these keys, in
    /// this order, makes pages cheap. A row that has an array there fails the list, with
    /// [`ListError::ArrayInSortKey`](crate::mongo::ListError::ArrayInSortKey).
    #[must_use]
    pub fn sort(self, sort: impl Into<SortBy>) -> Self {
        self.set(|of| of.sort = sort.into())
    }

    /// The only keys that may be sorted by, where others choose the order. Default: all.
    #[must_use]
    pub fn allow_sort<T: Into<String>>(self, keys: impl IntoIterator<Item = T>) -> Self {
        self.set(|of| of.allowed = Some(keys.into_iter().map(Into::into).collect()))
    }

    /// A path whose values are there and unique, of whatever type. Default: `_id`.
    #[must_use]
    pub fn tie_breaker(self, path: impl Into<String>) -> Self {
        self.set(|of| of.tie_breaker = path.into())
    }

    /// What of the documents is shown, as an aggregation's `$project` has it. It need not show what is sorted by.
    #[must_use]
    pub fn projection(self, projection: Document) -> Self {
        self.set(|of| of.projection = Some(projection))
    }

    /// How many rows a page has at most. It may change from one page to the next.
    #[must_use]
    pub fn limit(self, limit: i64) -> Self {
        self.set(|of| of.limit = limit)
    }

    /// The largest [`limit`](Self::limit) that is allowed; more is refused. Default: 1,000.
    #[must_use]
    pub fn max_limit(self, limit: i64) -> Self {
        self.set(|of| of.max_limit = limit)
    }

    /// How many bytes of rows are read for a page. A page ends with the row that reaches it, and the next one goes
    /// on from there. Default: 64 MiB.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.set(|of| of.max_bytes = bytes)
    }

    /// How strings are compared. An index has to have the same collation to be of use.
    #[must_use]
    pub fn collation(self, collation: Collation) -> Self {
        self.set(|of| of.collation = Some(collation))
    }

    /// Which index is to be used.
    #[must_use]
    pub fn hint(self, hint: Hint) -> Self {
        self.set(|of| of.hint = Some(hint))
    }

    /// For how long the server may work on it, which then gives up with an error. Default: for as long as it
    /// is waited for.
    #[must_use]
    pub fn max_time(self, time: Duration) -> Self {
        self.set(|of| of.max_time = Some(time))
    }

    /// For how long MongoDB is waited for. Default: [`Options::timeout`](crate::mongo::Options::timeout).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|of| of.timeout = Some(timeout))
    }

    /// Counts how many rows there are in all, up to this many. It costs a query of its own. Default: not counted.
    #[must_use]
    pub fn total(self, up_to: u64) -> Self {
        self.set(|of| of.total = Some(up_to))
    }

    /// Whether pages have a token for the page before them, too, which is one more write of a stored token; and
    /// whether a connection knows what is behind the cursor that it goes on from, which is one more query.
    /// Default: yes.
    #[must_use]
    pub fn previous(self, previous: bool) -> Self {
        self.set(|of| of.previous = previous)
    }

    /// Where to go on: a token of an earlier page, or `None` for the first page.
    #[must_use]
    pub fn token(self, token: impl Into<Option<String>>) -> Self {
        self.set(|of| of.token = token.into())
    }

    /// For whom the list is. Its tokens are of use for no other subject, and the same is to be given with the
    /// token. Default: for nobody in particular.
    #[must_use]
    pub fn subject(self, subject: impl Into<Option<String>>) -> Self {
        self.set(|of| of.subject = subject.into())
    }

    /// Keeps the cursors of tokens in a storage; tokens are 128 random bits. Signed tokens are refused then.
    #[must_use]
    pub fn storage<C: CursorStorage<S> + Clone>(mut self, storage: &C) -> Self {
        self.tokens = Tokens::Stored(Rc::new(Erased::<S, C>::new(storage.clone())));
        self
    }

    /// Keeps nothing, and signs what is in the tokens. Tokens of stored cursors are refused then.
    #[must_use]
    pub fn signed(mut self, keys: &KeyRing) -> Self {
        self.tokens = Tokens::Signed(Rc::new(keys.clone()));
        self
    }
}

impl<S> Clone for ListCursor<S> {
    fn clone(&self) -> Self {
        let (arguments, tokens) = (self.arguments.clone(), self.tokens.clone());
        Self { arguments, tokens, state: PhantomData }
    }
}

/// Without the token and the filter, which are nobody else's business.
impl<S> fmt::Debug for ListCursor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListCursor")
            .field("database", &self.arguments.database)
            .field("collection", &self.arguments.collection)
            .field("sort", &self.arguments.sort)
            .field("limit", &self.arguments.limit)
            .finish_non_exhaustive()
    }
}
