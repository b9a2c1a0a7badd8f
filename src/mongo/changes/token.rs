//! A position in a change stream, as the server names it.

use bson::{Document, doc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A position in a change stream: what an event has as its `_id`. Its content is the server's own, and may
/// hold the document's key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResumeToken(Document);

impl ResumeToken {
    /// A token from its `_data`, as the original names it.
    pub fn from_data(data: impl Into<String>) -> Self {
        Self(doc! { "_data": data.into() })
    }

    pub(super) fn from_document(document: Document) -> Self {
        Self(document)
    }

    /// The token's `_data`, if it is a text, as that of every server since 4.2 is.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        self.0.get_str("_data").ok()
    }

    /// The whole token.
    #[must_use]
    pub fn as_document(&self) -> &Document {
        &self.0
    }

    pub(super) fn into_document(self) -> Document {
        self.0
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_after_a_journey_through_json() {
        let token = ResumeToken::from_data("8263A1");
        let json = serde_json::to_string(&token).expect("JSON");
        assert_eq!(json, r#"{"_data":"8263A1"}"#);
        assert_eq!(serde_json::from_str::<ResumeToken>(&json).expect("a token"), token);
    }
}
