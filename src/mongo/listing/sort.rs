//! Sort orders: read, checked, and completed by a tie-breaker.

use super::error::ListError;
use bson::{Bson, Document};

/// How many keys there may be, as in a compound index.
const MAX_KEYS: usize = 32;

/// How a list is to be sorted: `"-created_at,name"`, or a document of paths with 1 or -1.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SortBy {
    /// Paths, separated by commas; one with a minus before it is sorted downward.
    Text(String),
    /// As MongoDB has it.
    Document(Document),
}

impl From<&str> for SortBy {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SortBy {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Document> for SortBy {
    fn from(document: Document) -> Self {
        Self::Document(document)
    }
}

/// A checked order. The last key is the tie-breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mongo) struct Sort {
    pub(super) keys: Vec<SortKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SortKey {
    pub(super) path: String,
    pub(super) descends: bool,
}

impl Sort {
    /// Checks an order, and has it end with the tie-breaker, which is sorted as the first key is. What comes
    /// after the tie-breaker decides nothing, and is left out.
    pub(super) fn new(
        by: &SortBy,
        tie_breaker: &str,
        allowed: Option<&[String]>,
    ) -> Result<Self, ListError> {
        let mut keys = match by {
            SortBy::Text(text) => read_text(text),
            SortBy::Document(document) => read_document(document)?,
        };
        for (index, key) in keys.iter().enumerate() {
            check_path(&key.path)?;
            let is_allowed = |path| allowed.is_none_or(|allowed| allowed.contains(path));
            if key.path != tie_breaker && !is_allowed(&key.path) {
                return Err(ListError::SortNotAllowed { key: key.path.clone() });
            }
            if keys[..index].iter().any(|before| before.path == key.path) {
                return Err(invalid(&key.path, "it is there twice"));
            }
        }
        check_path(tie_breaker)?;
        match keys.iter().position(|key| key.path == tie_breaker) {
            Some(index) => keys.truncate(index + 1),
            None => {
                let descends = keys.first().is_some_and(|key| key.descends);
                keys.push(SortKey { path: tie_breaker.to_owned(), descends });
            }
        }
        match keys.get(MAX_KEYS) {
            Some(key) => Err(invalid(&key.path, "there are more than 32 keys")),
            None => Ok(Self { keys }),
        }
    }

    /// As MongoDB has it; for what is read backward, the other way round.
    pub(super) fn document(&self, is_backward: bool) -> Document {
        let sign = |key: &SortKey| if key.descends == is_backward { 1 } else { -1 };
        self.keys.iter().map(|key| (key.path.clone(), Bson::Int32(sign(key)))).collect()
    }

    pub(super) fn tie_breaker(&self) -> &str {
        self.keys.last().map_or("", |key| &key.path)
    }
}

fn read_text(text: &str) -> Vec<SortKey> {
    let parts = text.split(',').map(str::trim);
    let read = |part: &str| match part.strip_prefix('-') {
        Some(path) => SortKey { path: path.to_owned(), descends: true },
        None => {
            SortKey { path: part.strip_prefix('+').unwrap_or(part).to_owned(), descends: false }
        }
    };
    match text.trim().is_empty() {
        true => Vec::new(),
        false => parts.map(read).collect(),
    }
}

fn read_document(document: &Document) -> Result<Vec<SortKey>, ListError> {
    let read = |(path, direction): (&String, &Bson)| {
        let direction = match direction {
            Bson::Int32(number) => Some(f64::from(*number)),
            // 1 and -1 are all that there is, and a rounded one is none of them
            Bson::Int64(number) => i32::try_from(*number).ok().map(f64::from),
            Bson::Double(number) => Some(*number),
            _ => None,
        };
        match direction {
            Some(1.0) => Ok(SortKey { path: path.clone(), descends: false }),
            Some(-1.0) => Ok(SortKey { path: path.clone(), descends: true }),
            _ => Err(invalid(path, "the direction is 1 or -1")),
        }
    };
    document.iter().map(read).collect()
}

fn check_path(path: &str) -> Result<(), ListError> {
    if path.contains('\0') {
        return Err(invalid(path, "there is a null character in it"));
    }
    for part in path.split('.') {
        if part.is_empty() {
            return Err(invalid(path, "a part of the path is empty"));
        }
        if part.starts_with('$') {
            return Err(invalid(path, "a part of the path begins with $"));
        }
    }
    Ok(())
}

fn invalid(key: &str, reason: &'static str) -> ListError {
    ListError::InvalidSort { key: key.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn sort(by: impl Into<SortBy>) -> Result<Document, ListError> {
        Sort::new(&by.into(), "_id", None).map(|sort| sort.document(false))
    }

    #[test]
    fn text_and_documents_are_read_and_end_with_the_tie_breaker() {
        assert_eq!(sort(""), Ok(doc! { "_id": 1 }));
        assert_eq!(sort("a"), Ok(doc! { "a": 1, "_id": 1 }));
        assert_eq!(sort("-a.b, +c"), Ok(doc! { "a.b": -1, "c": 1, "_id": -1 }));
        assert_eq!(sort("a,-_id,c"), Ok(doc! { "a": 1, "_id": -1 }));
        let directions = doc! { "a": -1_i64, "b": 1.0 };
        assert_eq!(sort(directions), Ok(doc! { "a": -1, "b": 1, "_id": -1 }));
        let backward = Sort::new(&"a,-b".into(), "n", None).unwrap();
        assert_eq!(backward.document(true), doc! { "a": -1, "b": 1, "n": -1 });
        assert_eq!(backward.tie_breaker(), "n");
    }

    #[test]
    fn what_cannot_be_sorted_by_is_refused() {
        for text in
            ["$where", "a.$b", "a,,b", ",", "-", "a..b", ".a", "a.", "a\0b", "a,-a", "--a,-"]
        {
            let refused = sort(text).unwrap_err();
            assert!(matches!(refused, ListError::InvalidSort { .. }), "{text:?}: {refused}");
        }
        for direction in [Bson::Int32(0), Bson::Int32(2), Bson::Null, Bson::Double(0.5)] {
            assert!(sort(doc! { "a": direction }).is_err());
        }
        assert!(sort(doc! { "a": { "$meta": "textScore" } }).is_err());
        assert!(sort(doc! { "$natural": 1 }).is_err());
        let many: Vec<_> = (0..32).map(|number| format!("k{number}")).collect();
        assert!(sort(many.join(",")).unwrap_err().to_string().contains("more than 32"));
        assert!(sort(many[1..].join(",")).is_ok());
    }

    #[test]
    fn only_what_is_allowed_is_sorted_by() {
        let allowed = ["a".to_owned(), "b.c".to_owned()];
        let sort = |text: &str| Sort::new(&text.into(), "_id", Some(&allowed));
        assert!(sort("-b.c,a,_id").is_ok());
        assert_eq!(sort("a,b"), Err(ListError::SortNotAllowed { key: "b".into() }));
    }
}
