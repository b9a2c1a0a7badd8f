//! Which method a change goes to, and the document that it is given.

use super::collection_watcher::CollectionWatcher;
use crate::mongo::changes::{Ack, ChangeEvent};
use crate::mongo::error::Error;
use bson::{Bson, Document, RawDocument};

/// Gives a change to the method that it is for, or returns it if there is none.
pub(super) fn route<S: 'static>(
    watcher: &mut impl CollectionWatcher<S>,
    state: &mut S,
    ack: Ack,
) -> Option<Ack> {
    let document = match json(ack.event()) {
        Ok(document) => document,
        Err(error) => {
            ack.fail(error);
            return None;
        }
    };
    match ack.event().operation_type() {
        "insert" => watcher.insert(state, &document, ack),
        "update" => watcher.update(state, &document, ack),
        "replace" => watcher.replace(state, &document, ack),
        "delete" => watcher.delete(state, &document, ack),
        _ => return Some(ack),
    }
    None
}

/// The document that a change is about, as JSON.
fn json(event: &ChangeEvent) -> Result<Vec<u8>, Error> {
    let document = match event.operation_type() {
        "delete" => event
            .full_document_before_change()
            .or_else(|| event.full_document())
            .or_else(|| event.document_key()),
        _ => event.full_document(),
    };
    let value = document.map_or(Ok(Bson::Null), to_bson)?;
    serde_json::to_vec(&value.into_relaxed_extjson()).map_err(|error| malformed(&error))
}

fn to_bson(raw: &RawDocument) -> Result<Bson, Error> {
    Document::try_from(raw).map(Bson::Document).map_err(|error| malformed(&error))
}

fn malformed(error: &dyn std::error::Error) -> Error {
    Error::MalformedEvent { reason: error.to_string() }
}
