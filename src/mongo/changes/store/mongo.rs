//! Positions in a collection of MongoDB: one document for each watcher, written by compare-and-set.

use super::resume_store::{ResumeStore, StoredPoint};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::error::Error;
use crate::mongo::handle::Mongo;
use crate::mongo::storage_callback::StorageCallback;
use bson::{Document, doc, oid::ObjectId};
use mongodb::error::{ErrorKind, Result, WriteFailure};
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use mongodb::{Client, Collection};
use std::fmt;

/// Keeps the position of a watcher in a document: `_id` is the watcher's name, `point` the position under
/// its own names, `revision` and `writer` what makes two instances notice each other. It is written with
/// `w: "majority"`.
pub struct MongoResumeStore<S: 'static = ()> {
    mongo: Mongo<S>,
    place: Place,
}

/// Where the document is, and who writes it.
#[derive(Debug, Clone)]
struct Place {
    database: String,
    collection: String,
    name: String,
    /// Tells instances apart that are at the same position.
    writer: ObjectId,
}

impl<S: 'static> MongoResumeStore<S> {
    /// The position of the watcher with this name, in a collection, which need not exist.
    pub fn new(
        mongo: &Mongo<S>,
        database: impl Into<String>,
        collection: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        let place = Place {
            database: database.into(),
            collection: collection.into(),
            name: name.into(),
            writer: ObjectId::new(),
        };
        Self { mongo: mongo.clone(), place }
    }
}

impl<S: 'static> ResumeStore<S> for MongoResumeStore<S> {
    fn get(&self, done: StorageCallback<S, Option<StoredPoint>>) {
        let (place, name) = (self.place.clone(), self.place.name.clone());
        self.mongo.call(
            async move |client| place.of(&client).find_one(doc! { "_id": &place.name }).await,
            move |state, _, found| done(state, found.and_then(|found| stored(&name, found))),
        );
    }

    fn save(&self, point: &ResumePoint, expected: Option<u64>, done: StorageCallback<S, u64>) {
        let (place, name) = (self.place.clone(), self.place.name.clone());
        let revision = expected.unwrap_or(0) + 1;
        let point = bson::serialize_to_document(point).map_err(|error| Error::BadPoint {
            key: name,
            reason: error.to_string(),
            revision: expected,
        });
        let point = match point {
            Ok(point) => point,
            Err(error) => {
                self.mongo
                    .set_timer(std::time::Duration::ZERO, move |state: &mut S, _: &Mongo<S>| {
                        done(state, Err(error))
                    });
                return;
            }
        };
        self.mongo.call(
            async move |client| place.replace(&client, point, expected, revision).await,
            move |state, _, replaced: std::result::Result<bool, Error>| {
                let saved = match replaced {
                    Ok(true) => Ok(revision),
                    Ok(false) => Err(Error::Fenced),
                    Err(error) => Err(error),
                };
                done(state, saved)
            },
        );
    }

    fn delete(&self, point: &ResumePoint, done: StorageCallback<S, ()>) {
        let (place, token) = (self.place.clone(), point.token.as_document().clone());
        self.mongo.call(
            async move |client| {
                let own = doc! { "_id": &place.name, "point._id": token };
                place.of(&client).delete_one(own).await.map(drop)
            },
            move |state, _, deleted| done(state, deleted),
        );
    }
}

impl Place {
    fn of(&self, client: &Client) -> Collection<Document> {
        let majority = WriteConcern::builder().w(Acknowledgment::Majority).build();
        let options = CollectionOptions::builder().write_concern(majority).build();
        client.database(&self.database).collection_with_options(&self.collection, options)
    }

    /// Replaces the document of a revision. Returns whether it was there, or is there as it was to be: of a
    /// write that was lost sight of.
    async fn replace(
        &self,
        client: &Client,
        point: Document,
        expected: Option<u64>,
        revision: u64,
    ) -> Result<bool> {
        let documents = self.of(client);
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        let fields = doc! { "revision": revision, "writer": self.writer, "point": point };
        let is_replaced = match expected {
            None => {
                let mut own = doc! { "_id": &self.name };
                own.extend(fields.clone());
                match documents.insert_one(own).await {
                    Err(error) if is_duplicate(&error) => false,
                    inserted => inserted.map(|_| true)?,
                }
            }
            Some(expected) => {
                let expected = i64::try_from(expected).unwrap_or(i64::MAX);
                let old = doc! { "_id": &self.name, "revision": expected };
                let updated = documents.update_one(old, doc! { "$set": fields.clone() }).await?;
                updated.matched_count == 1
            }
        };
        if is_replaced {
            return Ok(true);
        }
        let mut own = doc! { "_id": &self.name };
        own.extend(fields);
        Ok(documents.find_one(own).await?.is_some())
    }
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    const DUPLICATE_KEY: i32 = 11_000;
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY)
}

fn stored(name: &str, found: Option<Document>) -> std::result::Result<Option<StoredPoint>, Error> {
    let Some(found) = found else { return Ok(None) };
    let bad = |reason: String, revision| {
        let key = name.to_owned();
        Error::BadPoint { key, reason, revision }
    };
    let revision = found.get_i64("revision").map_err(|error| bad(error.to_string(), None))?;
    let revision = revision.unsigned_abs();
    let point = match found.get_document("point") {
        Ok(point) => bson::deserialize_from_document(point.clone()),
        Err(error) => return Err(bad(error.to_string(), Some(revision))),
    };
    let point = point.map_err(|error| bad(error.to_string(), Some(revision)))?;
    Ok(Some(StoredPoint { point, revision }))
}

impl<S> fmt::Debug for MongoResumeStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoResumeStore").field("place", &self.place).finish_non_exhaustive()
    }
}
