//! A part of a list as the GraphQL Cursor Connections Specification has it.

use super::page::{Total, read_row};
use crate::mongo::error::Error;
use bson::RawDocumentBuf;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Some rows of a list, in its order, each with a cursor. It serializes under the names of the GraphQL Cursor
/// Connections Specification: `edges` of `node` and `cursor`, and `pageInfo`; `total` of `count` and
/// `isCapped` only if it was counted.
///
/// As they came, nodes serialize as the official driver has it: into JSON, that is Extended JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Connection<N = RawDocumentBuf> {
    /// The rows. Their order is the list's, from whichever end they were read.
    pub edges: Vec<Edge<N>>,
    /// What is around them.
    pub page_info: PageInfo,
    /// How many rows there are in all, if they were counted: whatever the cursors are, those of the whole
    /// list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Total>,
}

/// A row, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Edge<N = RawDocumentBuf> {
    /// The row.
    pub node: N,
    /// The row's place in the list, for `after` and `before`. It is valid as long as a
    /// [token](crate::mongo::KeyRing::ttl), and leads on also when the row is not there any more. As the
    /// [token](crate::mongo::ListCursor::token) of a page, it leads to what comes after the row.
    pub cursor: String,
}

/// What is around the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PageInfo {
    /// The first row's cursor. `None`: there are no rows.
    pub start_cursor: Option<String>,
    /// The last row's cursor.
    pub end_cursor: Option<String>,
    /// Read by `first`: whether there are more rows behind these, within the bounds. Read by `last`: whether
    /// there is a row at `before` or behind it; `false` without a `before`, and if the list does [not
    /// ask](crate::mongo::ListCursor::previous).
    pub has_next_page: bool,
    /// Read by `last`: whether there are more rows in front of these, within the bounds. Read by `first`:
    /// whether there is a row at `after` or in front of it; `false` without an `after`, and if the list does
    /// not ask.
    pub has_previous_page: bool,
}

impl Connection {
    /// The same with nodes of a type of the program's own, or with [`Document`](bson::Document)s.
    ///
    /// # Errors
    /// [`ListError::UnreadableRow`](crate::mongo::ListError::UnreadableRow): a row does not fit the type.
    pub fn typed<T: DeserializeOwned>(self) -> Result<Connection<T>, Error> {
        let typed = |edge: Edge| Ok(Edge { node: read_row(&edge.node)?, cursor: edge.cursor });
        let edges = self.edges.into_iter().map(typed).collect::<Result<_, Error>>()?;
        Ok(Connection { edges, page_info: self.page_info, total: self.total })
    }
}
