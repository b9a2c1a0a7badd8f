//! A place between two rows.

use bson::Bson;
use serde::{Deserialize, Serialize};

/// Where a page begins: beyond the row with these sort values.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The row's values of all sort keys, in their order. Null stands for a missing one, too.
    pub values: Vec<Bson>,
    /// On which side of the row the page is.
    pub towards: Towards,
}

/// In which direction a page is, seen from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Towards {
    /// The rows that come after it.
    Next,
    /// The rows that come before it.
    Previous,
}

impl Towards {
    pub(in crate::mongo) fn opposite(self) -> Self {
        match self {
            Self::Next => Self::Previous,
            Self::Previous => Self::Next,
        }
    }
}
