//! The initial copy in the driver's thread: the documents of a collection, or of those of a database, in
//! the order of their `_id`.
//!
//! The time is noted before the first document is read, and everything is read as it is at that time or
//! later, from what a majority has. So whatever a document lacks is among the changes since that time.

use crate::mongo::bridge::{Feed, StreamEnd};
use crate::mongo::changes::cluster_time;
use crate::mongo::error::Error;
use bson::{Bson, RawDocumentBuf, Timestamp, doc};
use mongodb::options::ReadConcern;
use mongodb::{Client, ClientSession, Database};

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) database: String,
    /// `None`: all of them.
    pub(super) collection: Option<String>,
}

/// Where a copy goes on: behind a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Behind {
    /// When the copy was begun.
    pub(super) time: Timestamp,
    pub(super) collection: String,
    pub(super) id: Bson,
}

/// What a copy is to read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CopyFrom {
    pub(super) scope: Scope,
    /// `None`: from the first document on.
    pub(super) behind: Option<Behind>,
}

/// What is sent to the loop.
pub(super) enum Copied {
    /// The copy is that of this time.
    Begun(Timestamp),
    Document {
        collection: String,
        document: RawDocumentBuf,
    },
}

/// Sends the time, and then the documents.
pub(super) async fn copy(
    client: Client,
    scope: Scope,
    behind: Option<Behind>,
    feed: Feed<Copied>,
) -> Result<(), StreamEnd> {
    let database = client.database(&scope.database);
    let starting = client.start_session().causal_consistency(true);
    let mut session = feed.hear(async { starting.await }).await.map_err(Error::from)?;
    let time = match &behind {
        Some(behind) => {
            session.advance_operation_time(behind.time);
            behind.time
        }
        None => feed.hear(cluster_time(&client, &mut session)).await?,
    };
    feed.send(Copied::Begun(time), 0).await?;
    let collections = match scope.collection {
        Some(collection) => vec![collection],
        None => feed.hear(collections(&database)).await?,
    };
    let first = behind.as_ref().map(|behind| behind.collection.clone()).unwrap_or_default();
    for collection in collections.into_iter().filter(|name| *name >= first) {
        let id = behind.as_ref().filter(|behind| behind.collection == collection);
        let id = id.map(|behind| behind.id.clone());
        copy_collection(&database, &mut session, collection, id, &feed).await?;
    }
    Ok(())
}

/// The names of the collections that hold documents of their own, in their order.
async fn collections(database: &Database) -> Result<Vec<String>, Error> {
    let names = database.list_collection_names().filter(doc! { "type": "collection" }).await?;
    let mut names: Vec<_> = names.into_iter().filter(|name| !name.starts_with("system.")).collect();
    names.sort();
    Ok(names)
}

async fn copy_collection(
    database: &Database,
    session: &mut ClientSession,
    collection: String,
    behind: Option<Bson>,
    feed: &Feed<Copied>,
) -> Result<(), StreamEnd> {
    let documents = database.collection::<RawDocumentBuf>(&collection);
    let by_id = doc! { "_id": 1 };
    let mut find =
        documents.find(doc! {}).sort(by_id.clone()).read_concern(ReadConcern::majority());
    // over the index, because a comparison in a filter knows one type only
    if let Some(id) = behind.clone() {
        find = find.hint(mongodb::options::Hint::Keys(by_id)).min(doc! { "_id": id });
    }
    let found = feed.hear(async { find.session(&mut *session).await }).await;
    let mut found = found.map_err(Error::from)?;
    while let Some(document) = feed.hear(found.next(session)).await {
        if feed.is_stopped() {
            return Err(StreamEnd::Stopped);
        }
        let document = document.map_err(Error::from)?;
        let id = document.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok());
        if behind.is_some() && id == behind {
            continue;
        }
        let bytes = document.as_bytes().len();
        let collection = collection.clone();
        feed.send(Copied::Document { collection, document }, bytes).await?;
    }
    Ok(())
}
