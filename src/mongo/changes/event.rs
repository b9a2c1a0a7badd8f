//! A change, as the server tells of it.

use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::token::ResumeToken;
use crate::mongo::error::Error;
use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A change. Whatever the server has sent is in [`raw`](Self::raw), also what this type knows nothing of.
///
/// It serializes under the original's names: `_id`, `user`, `timestamp`, `operationType`, `database`,
/// `collection`, `documentKey` (the key's `_id`, of whatever type), `fullDocument`,
/// `fullDocumentBeforeChange`, `updateDescription`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeEvent {
    raw: RawDocumentBuf,
    token: ResumeToken,
    operation_type: String,
}

impl ChangeEvent {
    pub(in crate::mongo) fn new(raw: RawDocumentBuf) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::MalformedEvent { reason: reason.to_owned() };
        let token = match raw.get("_id") {
            Ok(Some(RawBsonRef::Document(token))) => Document::try_from(token),
            Ok(_) => return Err(malformed("it has no document as its _id")),
            Err(error) => return Err(malformed(&error.to_string())),
        };
        let token = token.map_err(|error| malformed(&error.to_string()))?;
        let operation_type = match raw.get_str("operationType") {
            Ok(operation_type) => operation_type.to_owned(),
            Err(error) => return Err(malformed(&error.to_string())),
        };
        Ok(Self { raw, token: ResumeToken::from_document(token), operation_type })
    }

    /// Everything that the server has sent.
    #[must_use]
    pub fn raw(&self) -> &RawDocument {
        &self.raw
    }

    /// The event's position.
    #[must_use]
    pub fn token(&self) -> &ResumeToken {
        &self.token
    }

    /// What has happened: `insert`, `update`, `replace`, `delete`, `drop`, `rename`, `dropDatabase`,
    /// `invalidate`, and others of newer servers.
    #[must_use]
    pub fn operation_type(&self) -> &str {
        &self.operation_type
    }

    /// Whether it is the last event of the stream, because what was watched is gone.
    #[must_use]
    pub fn is_invalidate(&self) -> bool {
        self.operation_type == "invalidate"
    }

    /// When it was, by the cluster's clock.
    #[must_use]
    pub fn cluster_time(&self) -> Option<Timestamp> {
        self.raw.get_timestamp("clusterTime").ok()
    }

    /// When it was, by the server's clock (servers from 6.0 on).
    #[must_use]
    pub fn wall_time(&self) -> Option<bson::DateTime> {
        self.raw.get_datetime("wallTime").ok()
    }

    /// The database that it was in.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.raw.get_document("ns").ok()?.get_str("db").ok()
    }

    /// The collection that it was in.
    #[must_use]
    pub fn collection(&self) -> Option<&str> {
        self.raw.get_document("ns").ok()?.get_str("coll").ok()
    }

    /// The `_id` of the document, of whatever type.
    #[must_use]
    pub fn document_id(&self) -> Option<Bson> {
        self.document_key()?.get("_id").ok()??.try_into().ok()
    }

    /// The document's key: its `_id`, and its shard key where there is one.
    #[must_use]
    pub fn document_key(&self) -> Option<&RawDocument> {
        self.part("documentKey")
    }

    /// The document, as far as was asked for. One that was deleted since an update has none.
    #[must_use]
    pub fn full_document(&self) -> Option<&RawDocument> {
        self.part("fullDocument")
    }

    /// The document before the change, if that was asked for and the collection keeps it.
    #[must_use]
    pub fn full_document_before_change(&self) -> Option<&RawDocument> {
        self.part("fullDocumentBeforeChange")
    }

    /// What an update has changed: `updatedFields`, `removedFields`, `truncatedArrays`.
    #[must_use]
    pub fn update_description(&self) -> Option<&RawDocument> {
        self.part("updateDescription")
    }

    /// The transaction that it was part of: session and number.
    #[must_use]
    pub fn transaction(&self) -> Option<(&RawDocument, i64)> {
        Some((self.part("lsid")?, self.raw.get_i64("txnNumber").ok()?))
    }

    /// Where a stream goes on behind the event.
    #[must_use]
    pub fn resume_point(&self) -> ResumePoint {
        ResumePoint {
            token: self.token.clone(),
            timestamp: self.cluster_time(),
            operation_type: Some(self.operation_type.clone()),
        }
    }

    /// The event as relaxed Extended JSON, under the names that it serializes to.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        bson::serialize_to_bson(self).map_or(serde_json::Value::Null, Bson::into_relaxed_extjson)
    }

    fn part(&self, name: &str) -> Option<&RawDocument> {
        self.raw.get_document(name).ok()
    }
}

impl Serialize for ChangeEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", &self.token)?;
        entry(&mut map, "user", self.raw.get_str("user").ok())?;
        entry(&mut map, "timestamp", self.cluster_time())?;
        map.serialize_entry("operationType", &self.operation_type)?;
        entry(&mut map, "database", self.database())?;
        entry(&mut map, "collection", self.collection())?;
        entry(&mut map, "documentKey", self.document_id())?;
        entry(&mut map, "fullDocument", self.full_document())?;
        entry(&mut map, "fullDocumentBeforeChange", self.full_document_before_change())?;
        entry(&mut map, "updateDescription", self.update_description())?;
        map.end()
    }
}

fn entry<M: SerializeMap>(
    map: &mut M,
    name: &str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};

    fn update() -> ChangeEvent {
        let raw = rawdoc! {
            "_id": { "_data": "82AB" },
            "operationType": "update",
            "clusterTime": Timestamp { time: 7, increment: 2 },
            "ns": { "db": "shop", "coll": "orders" },
            "documentKey": { "_id": 5_i64 },
            "updateDescription": { "updatedFields": { "state": "sent" }, "removedFields": ["hold"] },
            "lsid": { "id": "s" },
            "txnNumber": 3_i64,
        };
        ChangeEvent::new(raw).expect("an event")
    }

    #[test]
    fn an_event_serializes_under_the_original_names() {
        let expected = serde_json::json!({
            "_id": { "_data": "82AB" },
            "timestamp": { "$timestamp": { "t": 7, "i": 2 } },
            "operationType": "update",
            "database": "shop",
            "collection": "orders",
            "documentKey": 5,
            "updateDescription": { "updatedFields": { "state": "sent" }, "removedFields": ["hold"] },
        });
        assert_eq!(update().to_json(), expected);
    }

    #[test]
    fn what_an_event_has_is_lent() {
        let event = update();
        assert_eq!(event.document_id(), Some(Bson::Int64(5)));
        assert_eq!((event.database(), event.collection()), (Some("shop"), Some("orders")));
        assert_eq!(event.full_document(), None);
        assert_eq!(event.transaction().map(|(_, number)| number), Some(3));
        let point = event.resume_point();
        assert_eq!(point.token.as_document(), &doc! { "_data": "82AB" });
        assert_eq!(point.timestamp, Some(Timestamp { time: 7, increment: 2 }));
    }

    #[test]
    fn what_is_no_event_is_told_so() {
        let table = [
            rawdoc! {},
            rawdoc! { "_id": 5, "operationType": "insert" },
            rawdoc! { "_id": { "_data": "82" } },
            rawdoc! { "_id": { "_data": "82" }, "operationType": 7 },
        ];
        for raw in table {
            let refused = ChangeEvent::new(raw);
            assert!(matches!(refused, Err(Error::MalformedEvent { .. })), "{refused:?}");
        }
    }
}
