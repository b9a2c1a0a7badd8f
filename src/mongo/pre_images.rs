//! Collections are made to keep documents as they were before a change.

use crate::callback::Callback;
use crate::mongo::error::Error;
use crate::mongo::handle::Mongo;
use bson::{Document, doc};
use mongodb::Database;
use mongodb::error::{ErrorKind, Result as DriverResult};

/// NamespaceExists: another one has created it meanwhile.
const EXISTS: i32 = 48;
/// NamespaceNotFound: another one has dropped it meanwhile.
const NOT_FOUND: i32 = 26;
/// How often it is looked again when others create and drop the collection meanwhile.
const ATTEMPTS: u32 = 5;

impl<S: 'static> Mongo<S> {
    /// Has a collection keep documents as they are before and after a change
    /// (`changeStreamPreAndPostImages`), so that changes come
    /// [with them](super::ChangeStream::full_document_before_change). If there is no such collection, it is
    /// created. Tells whether anything had to be changed. The setting goes with the
    /// collection: one that is dropped and created again needs it again.
    ///
    /// # Errors
    /// [`Error::Server`]: the server is older than 6.0, it is a view, or it is not permitted.
    pub fn ensure_pre_images(
        &self,
        database: impl Into<String>,
        collection: impl Into<String>,
        callback: impl Callback<S, Self, Result<bool, Error>>,
    ) {
        let (database, collection) = (database.into(), collection.into());
        self.call(
            async move |client| ensure(&client.database(&database), &collection).await,
            callback,
        );
    }
}

async fn ensure(database: &Database, collection: &str) -> DriverResult<bool> {
    let mut attempt = 1;
    loop {
        let changed = match keeps_images(database, collection).await? {
            Some(true) => return Ok(false),
            Some(false) => database.run_command(keeping(doc! { "collMod": collection })).await,
            None => database.run_command(keeping(doc! { "create": collection })).await,
        };
        match changed {
            Err(error) if attempt < ATTEMPTS && is_overtaken(&error) => attempt += 1,
            changed => return changed.map(|_| true),
        }
    }
}

/// Whether the collection keeps them. `None`: there is none.
async fn keeps_images(database: &Database, collection: &str) -> DriverResult<Option<bool>> {
    let list = doc! { "listCollections": 1, "filter": { "name": collection } };
    let reply = database.run_command(list).await?;
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let found = batch.ok().and_then(|batch| batch.first()).and_then(|found| found.as_document());
    Ok(found.map(|found| {
        let images = found
            .get_document("options")
            .and_then(|options| options.get_document("changeStreamPreAndPostImages"));
        images.is_ok_and(|images| images.get_bool("enabled").unwrap_or(false))
    }))
}

fn keeping(mut command: Document) -> Document {
    command.insert("changeStreamPreAndPostImages", doc! { "enabled": true });
    command
}

fn is_overtaken(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(error) if [EXISTS, NOT_FOUND].contains(&error.code))
}
