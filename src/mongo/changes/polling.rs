//! The change stream in the driver's thread: what it has is sent to the loop, until it ends.

use crate::mongo::bridge::{Feed, StreamEnd};
use crate::mongo::changes::fragments::Fragments;
use crate::mongo::changes::options::{BeforeChange, ChangeStream, FullDocument, Scope, Start};
use crate::mongo::changes::token::ResumeToken;
use crate::mongo::error::Error;
use bson::{Bson, Document, RawBsonRef, RawDocumentBuf, doc};
use futures_core::Stream;
use mongodb::Client;
use mongodb::options::AggregateOptions;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use std::future::poll_fn;
use std::pin::Pin;

/// What is sent to the loop.
pub(super) enum Polled {
    Opened,
    Event(RawDocumentBuf),
    /// The server has read up to here and found nothing.
    Position(ResumeToken),
}

/// Opens the stream and sends what it has. It returns when the server has ended the stream.
///
/// The stream is an `aggregate` like any other, and not the driver's change stream, which resumes by itself:
/// when the command for that has to be tried twice (driver 3.9), the second time goes without the position,
/// and whatever has happened meanwhile is lost without a word.
pub(super) async fn poll(
    client: Client,
    stream: ChangeStream,
    start: Start,
    feed: Feed<Polled>,
) -> Result<(), StreamEnd> {
    let mut batches = feed.hear(open(&client, &stream, start)).await.map_err(Error::from)?;
    feed.send(Polled::Opened, 0).await?;
    let mut fragments = Fragments::default();
    let mut position = None;
    while let Some(batch) = feed.hear(next(&mut batches)).await {
        let batch = batch.map_err(Error::from)?;
        let mut is_empty = true;
        for event in batch.doc_slices().map_err(Error::from)? {
            is_empty = false;
            if let Some(event) = fragments.take(document(event)?)? {
                let len = event.as_bytes().len();
                feed.send(Polled::Event(event), len).await?;
            }
        }
        let token = position_of(&batch);
        // the position within an event is behind its first fragments
        if is_empty && token != position && !fragments.is_partial() {
            if let Some(token) = token.clone() {
                feed.send(Polled::Position(token), 0).await?;
            }
            position = token;
        }
        if feed.is_stopped() {
            return Err(StreamEnd::Stopped);
        }
    }
    Ok(())
}

async fn open(
    client: &Client,
    stream: &ChangeStream,
    start: Start,
) -> mongodb::error::Result<RawBatchCursor> {
    let split = stream.splits_large_events.then(|| doc! { "$changeStreamSplitLargeEvent": {} });
    let stages = [doc! { "$changeStream": stage(stream, start) }];
    let pipeline = stages.into_iter().chain(stream.pipeline.iter().cloned()).chain(split);
    let (database, collection) = match &stream.scope {
        Scope::Collection { database, collection } => (database.as_str(), Some(collection)),
        Scope::Database { database } => (database.as_str(), None),
        Scope::Deployment => ("admin", None),
    };
    let options = AggregateOptions::builder()
        .batch_size(stream.batch_size)
        .max_await_time(stream.max_await)
        .build();
    let database = client.database(database);
    match collection {
        Some(collection) => {
            let collection = database.collection::<RawDocumentBuf>(collection);
            collection.aggregate(pipeline).with_options(options).batch().await
        }
        None => database.aggregate(pipeline).with_options(options).batch().await,
    }
}

/// The stage `$changeStream`.
fn stage(stream: &ChangeStream, start: Start) -> Document {
    let mut stage = Document::new();
    let mut set = |name: &str, value: Option<Bson>| {
        if let Some(value) = value {
            stage.insert(name, value);
        }
    };
    let full_document = match stream.full_document {
        FullDocument::Default => None,
        FullDocument::UpdateLookup => Some("updateLookup"),
        FullDocument::WhenAvailable => Some("whenAvailable"),
        FullDocument::Required => Some("required"),
    };
    set("fullDocument", full_document.map(Bson::from));
    let before_change = match stream.before_change {
        BeforeChange::Off => None,
        BeforeChange::WhenAvailable => Some("whenAvailable"),
        BeforeChange::Required => Some("required"),
    };
    set("fullDocumentBeforeChange", before_change.map(Bson::from));
    let is_whole = stream.scope == Scope::Deployment;
    set("allChangesForCluster", is_whole.then_some(Bson::Boolean(true)));
    set("showExpandedEvents", stream.shows_expanded_events.then_some(Bson::Boolean(true)));
    match start {
        Start::Now => {}
        Start::After(token) => set("startAfter", Some(token.into_document().into())),
        Start::At(time) => set("startAtOperationTime", Some(time.into())),
    }
    stage
}

async fn next(batches: &mut RawBatchCursor) -> Option<mongodb::error::Result<RawBatch>> {
    poll_fn(|context| Pin::new(&mut *batches).poll_next(context)).await
}

fn document(event: Result<RawBsonRef<'_>, bson::error::Error>) -> Result<RawDocumentBuf, Error> {
    let malformed = |reason: String| Error::MalformedEvent { reason };
    match event {
        Ok(RawBsonRef::Document(event)) => Ok(event.to_owned()),
        Ok(other) => Err(malformed(format!("it is a {:?}", other.element_type()))),
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// Up to where the server has read.
fn position_of(batch: &RawBatch) -> Option<ResumeToken> {
    let cursor = batch.as_raw_document().get_document("cursor").ok()?;
    let token = cursor.get_document("postBatchResumeToken").ok()?;
    Document::try_from(token).ok().map(ResumeToken::from_document)
}
