//! The ranks of the types in the BSON order, low to high.

use bson::Bson;

/// Types that are compared with one another. Between two ranks, the rank decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    MinKey,
    Undefined,
    Null,
    Number,
    Text,
    Document,
    Array,
    Binary,
    ObjectId,
    Boolean,
    Date,
    Timestamp,
    Regex,
    DbPointer,
    Code,
    CodeWithScope,
    MaxKey,
}

/// All of them.
pub(super) const ALL: [Rank; 17] = [
    Rank::MinKey,
    Rank::Undefined,
    Rank::Null,
    Rank::Number,
    Rank::Text,
    Rank::Document,
    Rank::Array,
    Rank::Binary,
    Rank::ObjectId,
    Rank::Boolean,
    Rank::Date,
    Rank::Timestamp,
    Rank::Regex,
    Rank::DbPointer,
    Rank::Code,
    Rank::CodeWithScope,
    Rank::MaxKey,
];

impl Rank {
    pub(super) fn of(value: &Bson) -> Self {
        match value {
            Bson::MinKey => Self::MinKey,
            Bson::Undefined => Self::Undefined,
            Bson::Null => Self::Null,
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => Self::Number,
            Bson::String(_) | Bson::Symbol(_) => Self::Text,
            Bson::Document(_) => Self::Document,
            Bson::Array(_) => Self::Array,
            Bson::Binary(_) => Self::Binary,
            Bson::ObjectId(_) => Self::ObjectId,
            Bson::Boolean(_) => Self::Boolean,
            Bson::DateTime(_) => Self::Date,
            Bson::Timestamp(_) => Self::Timestamp,
            Bson::RegularExpression(_) => Self::Regex,
            Bson::DbPointer(_) => Self::DbPointer,
            Bson::JavaScriptCode(_) => Self::Code,
            Bson::JavaScriptCodeWithScope(_) => Self::CodeWithScope,
            Bson::MaxKey => Self::MaxKey,
        }
    }

    /// What `$type` calls the types.
    pub(super) fn types(self) -> &'static [&'static str] {
        match self {
            Self::MinKey => &["minKey"],
            Self::Undefined => &["undefined"],
            Self::Null => &["null"],
            Self::Number => &["int", "long", "double", "decimal"],
            Self::Text => &["string", "symbol"],
            Self::Document => &["object"],
            Self::Array => &["array"],
            Self::Binary => &["binData"],
            Self::ObjectId => &["objectId"],
            Self::Boolean => &["bool"],
            Self::Date => &["date"],
            Self::Timestamp => &["timestamp"],
            Self::Regex => &["regex"],
            Self::DbPointer => &["dbPointer"],
            Self::Code => &["javascript"],
            Self::CodeWithScope => &["javascriptWithScope"],
            Self::MaxKey => &["maxKey"],
        }
    }
}
