//! What runs in the driver's thread: the rows of a page are read, and counted.

use super::error::ListError;
use super::query::{Query, VALUES};
use super::row_cursors::RowCursors;
use super::span::Span;
use crate::mongo::error::Error;
use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use mongodb::options::AggregateOptions;
use mongodb::{Client, Collection, Cursor};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// How many characters of a value there are in an error.
const MAX_NAME: usize = 100;

/// The rows of a page, in their order.
#[derive(Default)]
pub(super) struct Fetched {
    pub(super) rows: Vec<RawDocumentBuf>,
    /// The sort values of the first row and of the last.
    pub(super) ends: Option<(Vec<Bson>, Vec<Bson>)>,
    /// The rows' own cursors, if they have some.
    pub(super) cursors: Vec<String>,
    /// Whether there are more, in the direction that was read.
    pub(super) has_more: bool,
    /// Whether there are rows in the other direction, if rows have cursors and it was to be found out.
    pub(super) has_behind: bool,
    /// How many there are in all, as far as they were counted.
    pub(super) count: Option<u64>,
}

pub(super) async fn fetch(
    client: Client,
    query: Arc<Query>,
    span: Span,
    row_cursors: Option<RowCursors>,
) -> Result<Fetched, Error> {
    let of = &query.arguments;
    let collection = client.database(&of.database).collection::<RawDocumentBuf>(&of.collection);
    // a count that is not needed any more, because the rows have failed, ends by itself
    let counting = |conditions, up_to| {
        tokio::spawn(count(collection.clone(), query.clone(), query.counting(conditions, up_to)))
    };
    let total = of.total.map(|up_to| counting(Vec::new(), up_to));
    let asks_behind = row_cursors.is_some() && of.previous;
    let behind = if asks_behind { span.behind(&query.sort) } else { None };
    let behind = behind.map(|condition| counting(vec![condition], 1));
    let rows = collection.aggregate(query.pipeline(&span));
    let cursor = rows.with_options(options(&query)).with_type::<RawDocumentBuf>().await?;
    let mut fetched = read(cursor, &query, row_cursors.as_ref()).await?;
    if span.is_backward {
        fetched.rows.reverse();
        fetched.cursors.reverse();
        fetched.ends = fetched.ends.map(|(first, last)| (last, first));
    }
    fetched.count = counted(total).await?;
    fetched.has_behind = counted(behind).await?.is_some_and(|count| count > 0);
    Ok(fetched)
}

async fn counted(counting: Option<JoinHandle<Result<u64, Error>>>) -> Result<Option<u64>, Error> {
    match counting {
        Some(counting) => counting.await.map_err(|_| Error::Panicked)?.map(Some),
        None => Ok(None),
    }
}

async fn read(
    mut cursor: Cursor<RawDocumentBuf>,
    query: &Query,
    row_cursors: Option<&RowCursors>,
) -> Result<Fetched, Error> {
    let mut fetched = Fetched::default();
    let mut bytes = 0;
    while cursor.advance().await? {
        if fetched.rows.len() == query.limit || bytes >= query.arguments.max_bytes {
            fetched.has_more = true;
            break;
        }
        let (row, values) = split(cursor.current())?;
        check_values(query, &values)?;
        if let Some(row_cursors) = row_cursors {
            fetched.cursors.push(row_cursors.sign(query, &values)?);
        }
        bytes += row.as_bytes().len();
        fetched.rows.push(row);
        let first = fetched.ends.take().map_or_else(|| values.clone(), |(first, _)| first);
        fetched.ends = Some((first, values));
    }
    Ok(fetched)
}

fn options(query: &Query) -> AggregateOptions {
    let of = &query.arguments;
    let mut options = AggregateOptions::default();
    options.collation = of.collation.clone();
    options.hint = of.hint.clone();
    options.max_time = of.max_time;
    options
}

async fn count(
    collection: Collection<RawDocumentBuf>,
    query: Arc<Query>,
    pipeline: Vec<Document>,
) -> Result<u64, Error> {
    let counting = collection.aggregate(pipeline).with_options(options(&query));
    let mut cursor = counting.with_type::<Document>().await?;
    let has_any = cursor.advance().await?;
    let count = if has_any { cursor.deserialize_current()?.get("n").cloned() } else { None };
    Ok(match count {
        Some(Bson::Int32(count)) => u64::try_from(count).unwrap_or_default(),
        Some(Bson::Int64(count)) => u64::try_from(count).unwrap_or_default(),
        _ => 0,
    })
}

/// The row as it is, and its sort values.
fn split(found: &RawDocument) -> Result<(RawDocumentBuf, Vec<Bson>), ListError> {
    let mut row = RawDocumentBuf::new();
    let mut values = Vec::new();
    for element in found {
        let (name, value) = element.map_err(unreadable)?;
        match value {
            RawBsonRef::Array(array) if name.as_str() == VALUES => {
                for value in array {
                    let value = value.map_err(unreadable)?;
                    values.push(Bson::try_from(value).map_err(unreadable)?);
                }
            }
            value => row.append(name, value),
        }
    }
    Ok((row, values))
}

/// Refuses what no place can be told by.
fn check_values(query: &Query, values: &[Bson]) -> Result<(), ListError> {
    let keys = &query.sort.keys;
    if values.len() != keys.len() {
        let reason = format!("{} sort values came, not {}", values.len(), keys.len());
        return Err(ListError::UnreadableRow { reason });
    }
    let array = keys.iter().zip(values).find(|(_, value)| matches!(value, Bson::Array(_)));
    if let Some((key, _)) = array {
        return Err(ListError::ArrayInSortKey { key: key.path.clone(), row: name(query, values) });
    }
    let key = query.sort.tie_breaker();
    match values.last() {
        Some(Bson::Null | Bson::Undefined) if key != "_id" => {
            Err(ListError::NoTieBreaker { key: key.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A row's name in an error.
fn name(query: &Query, values: &[Bson]) -> String {
    let value = values.last().map_or_else(String::new, Bson::to_string);
    let value: String = value.chars().take(MAX_NAME).collect();
    format!("{}: {value}", query.sort.tie_breaker())
}

fn unreadable(error: impl ToString) -> ListError {
    ListError::UnreadableRow { reason: error.to_string() }
}
