//! What a copy looks like in the stream: its documents, and the mark behind them, as events whose positions
//! say how far the copy is.

use super::copy_job::Behind;
use crate::mongo::changes::ResumeToken;
use bson::{Bson, RawDocument, RawDocumentBuf, Timestamp, rawdoc};

/// The operation of a document that was copied, and the member of its position with the copy's time.
const COPY: &str = "copy";
/// The same of the mark behind the last one.
const COPIED: &str = "copied";

/// How far a copy is.
#[derive(Debug, PartialEq)]
pub(super) enum CopyMark {
    Behind(Behind),
    /// It is complete.
    Copied(Timestamp),
}

/// The event of a document that is copied.
pub(super) fn document(
    time: Timestamp,
    database: &str,
    collection: &str,
    document: &RawDocument,
) -> RawDocumentBuf {
    let id = document.get("_id").ok().flatten().map(bson::RawBson::from);
    let id = id.unwrap_or(bson::RawBson::Null);
    rawdoc! {
        "_id": { "copy": time, "collection": collection, "id": id.clone() },
        "operationType": COPY,
        "clusterTime": time,
        "ns": { "db": database, "coll": collection },
        "documentKey": { "_id": id },
        "fullDocument": document.to_owned(),
    }
}

/// The event behind the last one.
pub(super) fn copied(time: Timestamp, database: &str, collection: Option<&str>) -> RawDocumentBuf {
    let namespace = match collection {
        Some(collection) => rawdoc! { "db": database, "coll": collection },
        None => rawdoc! { "db": database },
    };
    rawdoc! {
        "_id": { "copied": time },
        "operationType": COPIED,
        "clusterTime": time,
        "ns": namespace,
    }
}

/// How far the copy is, if it is one's position.
pub(super) fn copy_mark(token: &ResumeToken) -> Option<CopyMark> {
    let token = token.as_document();
    if let Ok(time) = token.get_timestamp(COPIED) {
        return Some(CopyMark::Copied(time));
    }
    let time = token.get_timestamp(COPY).ok()?;
    let collection = token.get_str("collection").ok()?.to_owned();
    let id = token.get("id").cloned().unwrap_or(Bson::Null);
    Some(CopyMark::Behind(Behind { time, collection, id }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mongo::changes::ChangeEvent;

    const TIME: Timestamp = Timestamp { time: 7, increment: 2 };

    #[test]
    fn a_copy_knows_how_far_it_is() {
        let ids =
            [Bson::Int32(5), Bson::String("a".into()), Bson::Document(bson::doc! { "b": 1.5 })];
        for id in ids {
            let row = bson::RawDocumentBuf::try_from(&bson::doc! { "_id": id.clone(), "c": 1 });
            let event = document(TIME, "shop", "orders", &row.expect("a document"));
            let event = ChangeEvent::new(event).expect("an event");
            assert_eq!(event.document_id(), Some(id.clone()));
            let behind = Behind { time: TIME, collection: "orders".to_owned(), id };
            assert_eq!(copy_mark(event.token()), Some(CopyMark::Behind(behind)));
        }
        let event = ChangeEvent::new(copied(TIME, "shop", None)).expect("an event");
        assert_eq!(copy_mark(event.token()), Some(CopyMark::Copied(TIME)));
        assert_eq!(copy_mark(&ResumeToken::from_data("82")), None);
    }
}
