//! What tells one query from another.

use super::error::ListError;
use super::sort::Sort;
use bson::{Bson, Document, doc};
use mongodb::options::Collation;
use sha2::{Digest, Sha256};

/// The version of the form that is hashed.
const VERSION: i32 = 1;

/// A SHA-256 of everything that decides which row comes where: the namespace, the filter, the order with its
/// tie-breaker, and the collation. The order of the filter's topmost fields does not count, because they all
/// hold. Neither does what may change from one page to the next: limit, projection, hint.
pub(super) fn fingerprint(
    namespace: (&str, &str),
    filter: &Document,
    sort: &Sort,
    collation: Option<&Collation>,
) -> Result<[u8; 32], ListError> {
    let collation = match collation {
        Some(collation) => {
            Bson::Document(bson::serialize_to_document(collation).map_err(invalid("collation"))?)
        }
        None => Bson::Null,
    };
    let mut fields: Vec<_> = filter.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    let filter: Document =
        fields.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let query = doc! {
        "v": VERSION,
        "ns": [namespace.0, namespace.1],
        "filter": filter,
        "sort": sort.document(false),
        "collation": collation,
    };
    Ok(Sha256::digest(query.to_vec().map_err(invalid("filter"))?).into())
}

fn invalid<E: ToString>(place: &'static str) -> impl Fn(E) -> ListError {
    move |error| ListError::InvalidDocument { place, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ns: (&str, &str), filter: Document, sort: &str, collation: Option<&str>) -> [u8; 32] {
        let sort = Sort::new(&sort.into(), "_id", None).unwrap();
        let collation = collation.map(|locale| Collation::builder().locale(locale).build());
        fingerprint(ns, &filter, &sort, collation.as_ref()).unwrap()
    }

    #[test]
    fn only_what_decides_the_rows_and_their_order_counts() {
        let ns = ("db", "orders");
        let base = of(ns, doc! { "a": 1, "b": { "c": 1, "d": 2 } }, "a", None);
        assert_eq!(base, of(ns, doc! { "b": { "c": 1, "d": 2 }, "a": 1 }, "a,_id", None));
        for other in [
            of(("dborders", ""), doc! { "a": 1, "b": { "c": 1, "d": 2 } }, "a", None),
            of(ns, doc! { "a": 2, "b": { "c": 1, "d": 2 } }, "a", None),
            of(ns, doc! { "a": 1, "b": { "d": 2, "c": 1 } }, "a", None),
            of(ns, doc! { "a": 1, "b": { "c": 1, "d": 2 } }, "-a", None),
            of(ns, doc! { "a": 1, "b": { "c": 1, "d": 2 } }, "a,b", None),
            of(ns, doc! { "a": 1, "b": { "c": 1, "d": 2 } }, "a", Some("de")),
            of(ns, doc! {}, "a", None),
        ] {
            assert_ne!(base, other);
        }
    }
}
