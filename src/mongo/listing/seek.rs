//! The predicate that finds what is beyond a row, over the full BSON order.
//!
//! The order of a sort is total, whatever types the values have; comparisons of a query stay within a type. So
//! what is beyond a value is what the comparison finds within its type, and everything of the types that rank
//! above, or below. Null and a missing value sort as equal. NaN is below all numbers, and no comparison finds
//! it. MinKey and MaxKey are compared with everything by a query, so that only types are used for them. Values
//! that a query does not compare at all, such as regular expressions, are compared by an expression.
//!
//! Rows with an array are found on either side of any value: whoever reads them is to refuse them, and nothing
//! is passed over in silence.

use super::rank::{ALL, Rank};
use super::sort::{Sort, SortKey};
use crate::mongo::cursor::position::{Position, Towards};
use bson::{Bson, Document, doc};

/// What is beyond a position. It has as many values as the order has keys.
pub(super) fn beyond(sort: &Sort, position: &Position) -> Document {
    let is_backward = position.towards == Towards::Previous;
    let mut branches = Vec::new();
    let mut equal: Vec<Document> = Vec::new();
    for (key, value) in sort.keys.iter().zip(&position.values) {
        let alternatives = alternatives(key, value, key.descends == is_backward);
        if !alternatives.is_empty() {
            let mut all = equal.clone();
            all.push(any(alternatives));
            branches.push(every(all));
        }
        equal.push(equal_to(&key.path, value));
    }
    any(branches)
}

/// What is not beyond a position: the row there, and what is on its other side.
pub(super) fn up_to(sort: &Sort, position: &Position) -> Document {
    let other_side =
        Position { values: position.values.clone(), towards: position.towards.opposite() };
    let values = sort.keys.iter().zip(&position.values);
    let there = values.map(|(key, value)| equal_to(&key.path, value)).collect();
    any(vec![beyond(sort, &other_side), every(there)])
}

/// One of them. Of nothing, none is true.
fn any(mut documents: Vec<Document>) -> Document {
    match documents.len() {
        0 => doc! { "_id": { "$in": [] } },
        1 => documents.remove(0),
        _ => doc! { "$or": documents },
    }
}

fn every(mut documents: Vec<Document>) -> Document {
    match documents.len() {
        1 => documents.remove(0),
        _ => doc! { "$and": documents },
    }
}

fn is(path: &str, condition: impl Into<Bson>) -> Document {
    let mut document = Document::new();
    document.insert(path, condition);
    document
}

fn equal_to(path: &str, value: &Bson) -> Document {
    match value {
        // MongoDB before 8.0 takes an undefined value for null here, and sorts it below
        Bson::Null => is(path, doc! { "$eq": null, "$not": { "$type": Rank::Undefined.types() } }),
        Bson::Undefined | Bson::MinKey | Bson::MaxKey => {
            is(path, doc! { "$type": Rank::of(value).types() })
        }
        value => is(path, doc! { "$eq": value.clone() }),
    }
}

/// What is above a value, or below it: one of these is true.
fn alternatives(key: &SortKey, value: &Bson, is_above: bool) -> Vec<Document> {
    let (path, rank) = (key.path.as_str(), Rank::of(value));
    let mut alternatives = within_rank(path, value, rank, is_above);
    let is_beyond = |other: &&Rank| if is_above { **other > rank } else { **other < rank };
    let others: Vec<_> = ALL.iter().filter(is_beyond).collect();
    if others.contains(&&Rank::Null) {
        let null = match others.contains(&&Rank::Undefined) {
            true => is(path, Bson::Null),
            false => equal_to(path, &Bson::Null),
        };
        alternatives.push(null);
    }
    let types = others.iter().filter(|rank| ***rank != Rank::Null);
    let types: Vec<_> = types.flat_map(|rank| rank.types()).copied().collect();
    if !types.is_empty() || !alternatives.is_empty() {
        // with arrays, wherever they are
        let arrays = Rank::Array.types().iter().copied();
        let arrays = arrays.filter(|array| !types.contains(array));
        let types: Vec<_> = types.iter().copied().chain(arrays).collect();
        alternatives.push(is(path, doc! { "$type": types }));
    }
    alternatives
}

/// What is beyond a value among those of its own rank.
fn within_rank(path: &str, value: &Bson, rank: Rank, is_above: bool) -> Vec<Document> {
    let operator = if is_above { "$gt" } else { "$lt" };
    match rank {
        Rank::MinKey | Rank::Undefined | Rank::Null | Rank::MaxKey => Vec::new(),
        Rank::Number if is_nan(value) => match is_above {
            true => vec![is(path, doc! { "$gte": f64::NEG_INFINITY })],
            false => Vec::new(),
        },
        Rank::Number => {
            let mut beyond = vec![is(path, doc! { operator: value.clone() })];
            if !is_above {
                beyond.push(is(path, doc! { "$eq": f64::NAN }));
            }
            beyond
        }
        Rank::Regex | Rank::DbPointer | Rank::Code | Rank::CodeWithScope => {
            let (of, literal) = (format!("${path}"), doc! { "$literal": value.clone() });
            let has_type = |name: &&str| doc! { "$eq": [{ "$type": of.as_str() }, *name] };
            let types: Vec<_> = rank.types().iter().map(has_type).collect();
            vec![doc! { "$expr": { "$and": [
                { "$or": types },
                { operator: [of.as_str(), literal] },
            ] } }]
        }
        _ => vec![is(path, doc! { operator: value.clone() })],
    }
}

/// Whether it is a NaN, which a decimal has several of.
fn is_nan(value: &Bson) -> bool {
    match value {
        Bson::Double(number) => number.is_nan(),
        Bson::Decimal128(number) => number.bytes()[15] & 0x7C == 0x7C,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seek(sort: &str, values: Vec<Bson>, towards: Towards) -> Document {
        let sort = Sort::new(&sort.into(), "_id", None).unwrap();
        beyond(&sort, &Position { values, towards })
    }

    #[test]
    fn each_key_is_beyond_where_those_before_it_are_equal() {
        let found = seek("-a,b", vec![1.into(), "x".into(), 7.into()], Towards::Next);
        let branches = found.get_array("$or").unwrap();
        assert_eq!(branches.len(), 3);
        let second = branches[1].as_document().unwrap().get_array("$and").unwrap();
        assert_eq!(second[0], Bson::Document(doc! { "a": { "$eq": 1 } }));
        let third = branches[2].as_document().unwrap().get_array("$and").unwrap();
        assert_eq!(third.len(), 3);
        assert!(third[2].to_string().contains("$lt"), "the tie-breaker is sorted as the first key");
        let first = branches[0].to_string();
        assert!(
            first.contains("$lt") && first.contains("NaN") && first.contains("null"),
            "{first}"
        );
    }

    #[test]
    fn what_can_have_nothing_beyond_it_has_no_branch() {
        let found = seek("_id", vec![Bson::MaxKey], Towards::Next);
        assert_eq!(found, doc! { "_id": { "$in": [] } });
        let found = seek("_id", vec![Bson::MinKey], Towards::Previous);
        assert_eq!(found, doc! { "_id": { "$in": [] } });
        let found = seek("a", vec![Bson::MaxKey, 1.into()], Towards::Next);
        assert!(found.get_array("$and").is_ok(), "{found}");
    }

    #[test]
    fn the_row_itself_is_not_beyond_its_place() {
        let sort = Sort::new(&"a".into(), "_id", None).unwrap();
        let values = vec![Bson::MinKey, 7.into()];
        let found = up_to(&sort, &Position { values: values.clone(), towards: Towards::Next });
        let branches = found.get_array("$or").unwrap();
        // as texts: a NaN is not equal to itself
        let before = seek("a", values, Towards::Previous).to_string();
        assert_eq!(branches[0].to_string(), before);
        let there = doc! { "$and": [{ "a": { "$type": ["minKey"] } }, { "_id": { "$eq": 7 } }] };
        assert_eq!(branches[1], Bson::Document(there));
    }

    #[test]
    fn a_decimal_that_is_no_number_is_known() {
        let nan: bson::Decimal128 = "NaN".parse().unwrap();
        assert!(is_nan(&Bson::Decimal128(nan)));
        for number in ["Infinity", "-Infinity", "1", "-9E6144", "0"] {
            assert!(!is_nan(&Bson::Decimal128(number.parse().unwrap())), "{number}");
        }
    }
}
