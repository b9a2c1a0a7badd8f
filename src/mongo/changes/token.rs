//! A position in a change stream, as the server names it.

use bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A position in a change stream: what an event has as its `_id`. Its content is the server's own, and may
/// hold the document's key.
///
/// Into JSON, it serializes as Extended JSON.
#[derive(Clone, PartialEq, Deserialize)]
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

/// That of a change of a document whose key is not a text, but a double, for example, has binary data in it.
/// Of that, `Document` itself makes an array of numbers in JSON, which no server takes.
impl Serialize for ResumeToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => Bson::from(&self.0).into_canonical_extjson().serialize(serializer),
            false => self.0.serialize(serializer),
        }
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
    use bson::Binary;
    use bson::spec::BinarySubtype;

    #[test]
    fn a_token_is_the_same_after_a_journey_through_json() {
        let token = ResumeToken::from_data("8263A1");
        let json = serde_json::to_string(&token).expect("JSON");
        assert_eq!(json, r#"{"_data":"8263A1"}"#);
        assert_eq!(serde_json::from_str::<ResumeToken>(&json).expect("a token"), token);
    }

    #[test]
    fn the_binary_data_of_a_token_is_the_same_after_a_journey_through_json_and_bson() {
        let bits = Binary { subtype: BinarySubtype::Generic, bytes: vec![129, 128] };
        let token = ResumeToken::from_document(doc! { "_data": "8263A1", "_typeBits": bits });
        let json = serde_json::to_string(&token).expect("JSON");
        assert!(json.contains("$binary"), "{json}");
        assert_eq!(serde_json::from_str::<ResumeToken>(&json).expect("a token"), token);
        let document = bson::serialize_to_document(&token).expect("a document");
        assert_eq!(&document, token.as_document());
        assert_eq!(
            bson::deserialize_from_document::<ResumeToken>(document).expect("a token"),
            token
        );
    }
}
