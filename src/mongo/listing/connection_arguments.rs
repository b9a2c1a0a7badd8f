//! Which part of a list a connection is.

/// The arguments of a connection. Each setter takes an `Option`, too, as a GraphQL server has them.
///
/// The rows are those behind `after` and in front of `before`, and of these the first ones or the last ones.
/// Without `first` and `last`, it is as many of the first ones as the list's
/// [limit](crate::mongo::ListCursor::limit) says.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionArguments {
    pub(super) first: Option<i64>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i64>,
    pub(super) before: Option<String>,
}

impl ConnectionArguments {
    /// The first rows of the list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many rows there are at most, from the first one on: 1 to the list's
    /// [maximum](crate::mongo::ListCursor::max_limit).
    #[must_use]
    pub fn first(mut self, rows: impl Into<Option<i64>>) -> Self {
        self.first = rows.into();
        self
    }

    /// Only rows behind this cursor, or behind where a page's token points from.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<Option<String>>) -> Self {
        self.after = cursor.into();
        self
    }

    /// How many rows there are at most, up to the last one. Not together with [`first`](Self::first).
    #[must_use]
    pub fn last(mut self, rows: impl Into<Option<i64>>) -> Self {
        self.last = rows.into();
        self
    }

    /// Only rows in front of this cursor.
    #[must_use]
    pub fn before(mut self, cursor: impl Into<Option<String>>) -> Self {
        self.before = cursor.into();
        self
    }
}

/// Without the cursors, which are nobody else's business.
impl std::fmt::Debug for ConnectionArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionArguments")
            .field("first", &self.first)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
