//! A page.

use super::error::ListError;
use crate::mongo::error::Error;
use bson::RawDocumentBuf;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Some rows of a list, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The rows as they came.
    pub raw_rows: Vec<RawDocumentBuf>,
    /// Whether there are rows after these.
    pub has_next: bool,
    /// Whether there were rows before these: on a page that a token led forward to, the row beside it.
    pub has_previous: bool,
    /// The token for the rows after these, if there are some and the list has tokens.
    pub next: Option<String>,
    /// The token for the rows before these.
    pub previous: Option<String>,
    /// How many rows there are in all, if they were counted.
    pub total: Option<Total>,
}

/// How many rows a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Total {
    /// As many as were counted.
    pub count: u64,
    /// Whether there may be more, because no more were to be counted.
    pub is_capped: bool,
}

impl Total {
    pub(super) fn of(count: Option<u64>, up_to: Option<u64>) -> Option<Self> {
        let (count, up_to) = count.zip(up_to)?;
        Some(Self { count, is_capped: count >= up_to })
    }
}

impl Page {
    /// The rows as a type of the program's own, or as [`Document`](bson::Document)s.
    ///
    /// # Errors
    /// [`ListError::UnreadableRow`]: a row does not fit the type.
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.raw_rows.iter().map(read_row).collect()
    }
}

pub(super) fn read_row<T: DeserializeOwned>(row: &RawDocumentBuf) -> Result<T, Error> {
    bson::deserialize_from_slice(row.as_bytes())
        .map_err(|error| ListError::UnreadableRow { reason: error.to_string() }.into())
}
