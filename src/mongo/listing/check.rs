//! What of a filter and a projection is not passed on to the server.

use super::error::ListError;
use bson::{Bson, Document};

/// They run code in the server.
const REFUSED: [&str; 3] = ["$where", "$function", "$accumulator"];
/// As deep as MongoDB nests documents.
const MAX_DEPTH: usize = 100;

/// Refuses operators that run code, wherever they are.
pub(super) fn check(document: &Document, place: &'static str) -> Result<(), ListError> {
    check_document(document, place, MAX_DEPTH)
}

fn check_document(document: &Document, place: &'static str, depth: usize) -> Result<(), ListError> {
    for (name, value) in document {
        if REFUSED.contains(&name.as_str()) {
            return Err(ListError::RefusedOperator { operator: name.clone(), place });
        }
        check_value(value, place, depth)?;
    }
    Ok(())
}

fn check_value(value: &Bson, place: &'static str, depth: usize) -> Result<(), ListError> {
    let Some(below) = depth.checked_sub(1) else {
        let reason = "it is nested too deeply".to_owned();
        return Err(ListError::InvalidDocument { place, reason });
    };
    match value {
        Bson::Document(document) => check_document(document, place, below),
        Bson::Array(values) => values.iter().try_for_each(|value| check_value(value, place, below)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn operators_that_run_code_are_refused_wherever_they_are() {
        let code = "return true";
        for filter in [
            doc! { "$where": code },
            doc! { "$or": [{ "a": 1 }, { "$and": [{ "$where": code }] }] },
            doc! { "$expr": { "$eq": [1, { "$function": { "body": code, "args": [], "lang": "js" } }] } },
            doc! { "a": { "$elemMatch": { "$accumulator": {} } } },
        ] {
            let refused = check(&filter, "filter").unwrap_err();
            assert!(matches!(refused, ListError::RefusedOperator { .. }), "{refused}");
        }
        let allowed = doc! { "where": "$where", "a": { "$in": [{ "b": { "$gt": 1 } }] } };
        assert_eq!(check(&allowed, "filter"), Ok(()));
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let nested = |levels| (0..levels).fold(doc! {}, |inner, _| doc! { "a": inner });
        assert_eq!(check(&nested(MAX_DEPTH), "filter"), Ok(()));
        let refused = check(&nested(MAX_DEPTH + 1), "filter");
        assert!(matches!(refused, Err(ListError::InvalidDocument { place: "filter", .. })));
    }
}
