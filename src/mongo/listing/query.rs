//! A checked query, and the pipeline that reads a page of it.

use super::check::check;
use super::error::ListError;
use super::fingerprint::fingerprint;
use super::options::Arguments;
use super::sort::Sort;
use super::span::Span;
use bson::{Bson, Document, doc};

/// The field that a row's sort values come in. It is taken out again.
pub(super) const VALUES: &str = "__evnats_sort_values";

/// What is known of a query before anything is asked.
pub(super) struct Query {
    pub(super) arguments: Arguments,
    pub(super) sort: Sort,
    pub(super) fingerprint: [u8; 32],
    pub(super) limit: usize,
}

impl Query {
    pub(super) fn new(arguments: Arguments) -> Result<Self, ListError> {
        let of = &arguments;
        let invalid = ListError::InvalidLimit { limit: of.limit, max: of.max_limit };
        if of.limit < 1 || of.limit > of.max_limit {
            return Err(invalid);
        }
        let limit = usize::try_from(of.limit).map_err(|_| invalid)?;
        check(&of.filter, "filter")?;
        if let Some(projection) = &of.projection {
            check(projection, "projection")?;
        }
        let sort = Sort::new(&of.sort, &of.tie_breaker, of.allowed.as_deref())?;
        let namespace = (of.database.as_str(), of.collection.as_str());
        let fingerprint = fingerprint(namespace, &of.filter, &sort, of.collation.as_ref())?;
        Ok(Self { arguments, sort, fingerprint, limit })
    }

    /// Reads one row more than a page has.
    pub(super) fn pipeline(&self, span: &Span) -> Vec<Document> {
        let values: Vec<_> = self.sort.keys.iter().map(|key| format!("${}", key.path)).collect();
        let limit = self.arguments.limit.saturating_add(1);
        let mut pipeline = vec![
            doc! { "$match": self.matching(span.conditions(&self.sort)) },
            doc! { "$sort": self.sort.document(span.is_backward) },
            doc! { "$limit": limit },
            doc! { "$set": { VALUES: values } },
        ];
        if let Some(projection) = self.arguments.projection.as_ref().filter(|of| !of.is_empty()) {
            let mut projection = projection.clone();
            if !excludes(&projection) {
                projection.insert(VALUES, 1);
            }
            pipeline.push(doc! { "$project": projection });
        }
        pipeline
    }

    /// Counts the rows that meet further conditions, up to a number.
    pub(super) fn counting(&self, conditions: Vec<Document>, up_to: u64) -> Vec<Document> {
        let limit = i64::try_from(up_to).unwrap_or(i64::MAX).max(1);
        vec![
            doc! { "$match": self.matching(conditions) },
            doc! { "$limit": limit },
            doc! { "$count": "n" },
        ]
    }

    fn matching(&self, mut conditions: Vec<Document>) -> Document {
        let filter = self.arguments.filter.clone();
        if conditions.is_empty() {
            return filter;
        }
        conditions.insert(0, filter);
        doc! { "$and": conditions }
    }
}

/// Whether a projection says what is left out. `_id` alone may be left out of either kind.
fn excludes(projection: &Document) -> bool {
    let mut others = projection.iter().filter(|(name, _)| *name != "_id").peekable();
    match others.peek() {
        Some(_) => others.any(|(_, value)| is_exclusion(value)),
        None => projection.values().all(is_exclusion),
    }
}

fn is_exclusion(value: &Bson) -> bool {
    match value {
        Bson::Boolean(shown) => !shown,
        Bson::Int32(number) => *number == 0,
        Bson::Int64(number) => *number == 0,
        Bson::Double(number) => *number == 0.0,
        Bson::Document(nested) => !nested.is_empty() && nested.values().all(is_exclusion),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_leaves_out_or_shows() {
        for excluding in [doc! { "a": 0 }, doc! { "_id": 0 }, doc! { "a": { "b": false } }] {
            assert!(excludes(&excluding), "{excluding}");
        }
        for showing in
            [doc! { "a": 1 }, doc! { "_id": 0, "a": true }, doc! { "_id": 1 }, doc! { "a": "$b" }]
        {
            assert!(!excludes(&showing), "{showing}");
        }
    }
}
