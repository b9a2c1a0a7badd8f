//! Where a change stream goes on.

use crate::mongo::changes::token::ResumeToken;
use bson::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a change stream goes on: behind an event, or behind a time in which there was none.
///
/// It serializes under the original's names: `_id` with the token, `timestamp`, `operationType`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumePoint {
    /// The position.
    #[serde(rename = "_id")]
    pub token: ResumeToken,
    /// When the event was, by the cluster's clock. `None` for a point without an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// The event's type. `None` for a point without an event: what the server has read without finding
    /// anything is behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_type: Option<String>,
}

impl ResumePoint {
    /// A point from a token, which may come from anywhere.
    #[must_use]
    pub fn new(token: ResumeToken) -> Self {
        Self { token, timestamp: None, operation_type: None }
    }

    pub(super) fn is_invalidate(&self) -> bool {
        self.operation_type.as_deref() == Some("invalidate")
    }
}
