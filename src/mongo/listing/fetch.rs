//! What runs in the driver's thread: the rows of a page are read, and counted.

use super::error::ListError;
use super::query::{Query, VALUES};
use crate::mongo::cursor::position::{Position, Towards};
use crate::mongo::error::Error;
use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use mongodb::options::AggregateOptions;
use mongodb::{Client, Collection, Cursor};
use std::sync::Arc;

/// The rows of a page, in their order.
pub(super) struct Fetched {
    pub(super) rows: Vec<RawDocumentBuf>,
    /// The sort values of the first row and of the last.
    pub(super) ends: Option<(Vec<Bson>, Vec<Bson>)>,
    /// Whether there are more, in the direction that was read.
    pub(super) has_more: bool,
    /// How many there are in all, as far as they were counted.
    pub(super) count: Option<u64>,
}

pub(super) async fn fetch(
    client: Client,
    query: Arc<Query>,
    position: Option<Position>,
) -> Result<Fetched, Error> {
    let of = &query.arguments;
    let collection = client.database(&of.database).collection::<RawDocumentBuf>(&of.collection);
    // a count that is not needed any more, because the rows have failed, ends by itself
    let counting =
        of.total.map(|up_to| tokio::spawn(count(collection.clone(), query.clone(), up_to)));
    let rows = collection.aggregate(query.pipeline(position.as_ref()));
    let cursor = rows.with_options(options(&query)).with_type::<RawDocumentBuf>().await?;
    let is_backward = position.is_some_and(|at| at.towards == Towards::Previous);
    let mut fetched = read(cursor, &query).await?;
    if is_backward {
        fetched.rows.reverse();
        fetched.ends = fetched.ends.map(|(first, last)| (last, first));
    }
    if let Some(counting) = counting {
        fetched.count = Some(counting.await.map_err(|_| Error::Panicked)??);
    }
    Ok(fetched)
}

async fn read(mut cursor: Cursor<RawDocumentBuf>, query: &Query) -> Result<Fetched, Error> {
    let mut fetched = Fetched { rows: Vec::new(), ends: None, has_more: false, count: None };
    let mut bytes = 0;
    while cursor.advance().await? {
        if fetched.rows.len() == query.limit || bytes >= query.arguments.max_bytes {
            fetched.has_more = true;
            break;
        }
        let (row, values) = split(cursor.current())?;
        check_values(query, &values)?;
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
    up_to: u64,
) -> Result<u64, Error> {
    let counting = collection.aggregate(query.counting(up_to)).with_options(options(&query));
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
        return Err(ListError::ArrayInSortKey { key: key.path.clone() });
    }
    let key = query.sort.tie_breaker();
    match values.last() {
        Some(Bson::Null | Bson::Undefined) if key != "_id" => {
            Err(ListError::NoTieBreaker { key: key.to_owned() })
        }
        _ => Ok(()),
    }
}

fn unreadable(error: impl ToString) -> ListError {
    ListError::UnreadableRow { reason: error.to_string() }
}
