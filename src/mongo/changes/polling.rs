//! The change stream in the driver's thread: what it has is sent to the loop, until it ends.

use crate::mongo::bridge::{Feed, StreamEnd};
use crate::mongo::changes::fragments::Fragments;
use crate::mongo::changes::options::{BeforeChange, ChangeStream, FullDocument, Scope, Start};
use crate::mongo::changes::token::ResumeToken;
use crate::mongo::error::{Error, ServerError};
use bson::{RawDocumentBuf, doc};
use mongodb::Client;
use mongodb::change_stream::event::ChangeStreamEvent;
use mongodb::options::{ChangeStreamOptions, FullDocumentBeforeChangeType, FullDocumentType};

/// What is sent to the loop.
pub(super) enum Polled {
    Opened,
    Event(RawDocumentBuf),
    /// The server has read up to here and found nothing.
    Position(ResumeToken),
}

type Raw = mongodb::change_stream::ChangeStream<RawDocumentBuf>;

/// Opens the stream and sends what it has. It returns when the server has ended the stream.
pub(super) async fn poll(
    client: Client,
    stream: ChangeStream,
    start: Start,
    feed: Feed<Polled>,
) -> Result<(), StreamEnd> {
    let mut changes = feed.hear(open(&client, &stream, start)).await?;
    feed.send(Polled::Opened, 0).await?;
    let mut fragments = Fragments::default();
    let mut position = None;
    loop {
        if feed.is_stopped() {
            return Err(StreamEnd::Stopped);
        }
        let event = feed.hear(changes.next_if_any()).await.map_err(Error::from)?;
        if let Some(event) = event {
            if let Some(event) = fragments.take(event)? {
                let len = event.as_bytes().len();
                feed.send(Polled::Event(event), len).await?;
            }
            continue;
        }
        let token = changes.resume_token();
        // the position within an event is behind its first fragments
        if token != position && !fragments.is_partial() {
            if let Some(token) = token.as_ref().and_then(ResumeToken::of_driver) {
                feed.send(Polled::Position(token), 0).await?;
            }
            position = token;
        }
        // what the driver has read ahead comes before, also from a stream that has ended
        if !changes.is_alive() {
            return Ok(());
        }
    }
}

async fn open(client: &Client, stream: &ChangeStream, start: Start) -> Result<Raw, Error> {
    let options = options(stream, start)?;
    let split = stream.splits_large_events.then(|| doc! { "$changeStreamSplitLargeEvent": {} });
    let pipeline: Vec<_> = stream.pipeline.iter().cloned().chain(split).collect();
    let opened = match &stream.scope {
        Scope::Collection { database, collection } => {
            let collection = client.database(database).collection::<RawDocumentBuf>(collection);
            let watch = collection.watch().pipeline(pipeline).with_options(options);
            watch.await.map(|opened: mongodb::change_stream::ChangeStream<ChangeStreamEvent<_>>| {
                opened.with_type()
            })
        }
        Scope::Database { database } => {
            let database = client.database(database);
            let watch = database.watch();
            watch.pipeline(pipeline).with_options(options).await.map(|opened| opened.with_type())
        }
        Scope::Deployment => {
            let watch = client.watch().pipeline(pipeline).with_options(options);
            watch.await.map(|opened| opened.with_type())
        }
    };
    Ok(opened?)
}

fn options(stream: &ChangeStream, start: Start) -> Result<ChangeStreamOptions, Error> {
    let mut options = ChangeStreamOptions::default();
    options.full_document = match stream.full_document {
        FullDocument::Default => None,
        FullDocument::UpdateLookup => Some(FullDocumentType::UpdateLookup),
        FullDocument::WhenAvailable => Some(FullDocumentType::WhenAvailable),
        FullDocument::Required => Some(FullDocumentType::Required),
    };
    options.full_document_before_change = match stream.before_change {
        BeforeChange::Off => None,
        BeforeChange::WhenAvailable => Some(FullDocumentBeforeChangeType::WhenAvailable),
        BeforeChange::Required => Some(FullDocumentBeforeChangeType::Required),
    };
    options.batch_size = stream.batch_size;
    options.max_await_time = Some(stream.max_await);
    options.show_expanded_events = stream.shows_expanded_events.then_some(true);
    match start {
        Start::Now => {}
        Start::After(token) => {
            options.start_after = Some(token.for_driver().ok_or_else(bad_token)?);
        }
        Start::At(time) => options.start_at_operation_time = Some(time),
    }
    Ok(options)
}

/// As the server would say it.
fn bad_token() -> Error {
    Error::Server(ServerError {
        code: 260,
        code_name: "InvalidResumeToken".to_owned(),
        message: "the saved position is no resume token".to_owned(),
        labels: Vec::new(),
    })
}
