//! The order of BSON values, as MongoDB sorts them, written down once more for the tests: without arrays, and with
//! numbers that a double holds exactly.

use evnats::mongo::bson::{Bson, Document};
use std::cmp::Ordering;

/// Compares two rows by paths; `true` is downward. What is missing is null.
pub(crate) fn compare_rows(one: &Document, other: &Document, keys: &[(String, bool)]) -> Ordering {
    let of = |row: &Document, path: &str| look_up(row, path).cloned().unwrap_or(Bson::Null);
    let by_key = keys.iter().map(|(path, descends)| {
        let ordering = compare(&of(one, path), &of(other, path));
        if *descends { ordering.reverse() } else { ordering }
    });
    by_key.fold(Ordering::Equal, Ordering::then)
}

fn look_up<'d>(row: &'d Document, path: &str) -> Option<&'d Bson> {
    match path.split_once('.') {
        Some((first, rest)) => look_up(row.get(first)?.as_document()?, rest),
        None => row.get(path),
    }
}

pub(crate) fn compare(one: &Bson, other: &Bson) -> Ordering {
    rank(one).cmp(&rank(other)).then_with(|| within(one, other))
}

fn rank(value: &Bson) -> u8 {
    match value {
        Bson::MinKey => 0,
        Bson::Undefined => 1,
        Bson::Null => 2,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => 3,
        Bson::String(_) | Bson::Symbol(_) => 4,
        Bson::Document(_) => 5,
        Bson::Array(_) => 6,
        Bson::Binary(_) => 7,
        Bson::ObjectId(_) => 8,
        Bson::Boolean(_) => 9,
        Bson::DateTime(_) => 10,
        Bson::Timestamp(_) => 11,
        Bson::RegularExpression(_) => 12,
        Bson::DbPointer(_) => 13,
        Bson::JavaScriptCode(_) => 14,
        Bson::JavaScriptCodeWithScope(_) => 15,
        Bson::MaxKey => 16,
    }
}

fn within(one: &Bson, other: &Bson) -> Ordering {
    match (one, other) {
        (Bson::Document(one), Bson::Document(other)) => compare_documents(one, other),
        (Bson::Binary(one), Bson::Binary(other)) => {
            let key = |binary: &evnats::mongo::bson::Binary| {
                (binary.bytes.len(), u8::from(binary.subtype), binary.bytes.clone())
            };
            key(one).cmp(&key(other))
        }
        (Bson::ObjectId(one), Bson::ObjectId(other)) => one.cmp(other),
        (Bson::Boolean(one), Bson::Boolean(other)) => one.cmp(other),
        (Bson::DateTime(one), Bson::DateTime(other)) => one.cmp(other),
        (Bson::Timestamp(one), Bson::Timestamp(other)) => {
            (one.time, one.increment).cmp(&(other.time, other.increment))
        }
        (Bson::RegularExpression(one), Bson::RegularExpression(other)) => {
            one.pattern.as_str().cmp(other.pattern.as_str())
        }
        (Bson::JavaScriptCode(one), Bson::JavaScriptCode(other)) => one.cmp(other),
        _ => match (text(one).zip(text(other)), number(one).zip(number(other))) {
            (Some((one, other)), _) => one.cmp(other),
            (_, Some((one, other))) => match (one.is_nan(), other.is_nan()) {
                (false, false) => one.partial_cmp(&other).expect("numbers"),
                (one, other) => other.cmp(&one),
            },
            _ => Ordering::Equal,
        },
    }
}

/// Field by field: the type, the name, the value.
fn compare_documents(one: &Document, other: &Document) -> Ordering {
    for ((name, value), (other_name, other_value)) in one.iter().zip(other) {
        let by_type = rank(value).cmp(&rank(other_value));
        let ordering = by_type.then_with(|| name.cmp(other_name));
        let ordering = ordering.then_with(|| compare(value, other_value));
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    one.len().cmp(&other.len())
}

fn text(value: &Bson) -> Option<&str> {
    match value {
        Bson::String(text) | Bson::Symbol(text) => Some(text),
        _ => None,
    }
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        Bson::Decimal128(number) => Some(match number.to_string().as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            text => text.parse().expect("a number"),
        }),
        _ => None,
    }
}
