//! What is kept of a cursor, and its form as JSON.
//!
//! The names of the fields are those that go-atlas uses, where they mean the same. `v` is the version of the
//! form, and what has another one is not read.

use super::error::CursorError;
use super::position::{Position, Towards};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::{Bson, DateTime, Document, doc};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

/// The version of the form.
const VERSION: u32 = 1;

/// A cursor: a place between two rows of a sorted query, and what it is bound to. It never changes once it is
/// stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CursorDoc {
    /// The place.
    pub position: Position,
    /// The sort order, the tie-breaker included: paths with 1 or -1.
    pub sort: Document,
    /// The path of the tie-breaker.
    pub tie_breaker: String,
    /// A hash of the query; see [`CursorError::QueryChanged`].
    pub fingerprint: [u8; 32],
    /// When it was made.
    pub created_at: DateTime,
    /// Whom it is bound to. `None`: to nobody.
    pub subject: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    v: u32,
    sort: String,
    cursor_id_field: String,
    /// All of them; go-atlas has `sort_value` for the first.
    sort_values: String,
    direction: Towards,
    fingerprint: String,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

impl CursorDoc {
    /// A cursor that is bound to nobody.
    #[must_use]
    pub fn new(
        position: Position,
        sort: Document,
        tie_breaker: impl Into<String>,
        fingerprint: [u8; 32],
        created_at: DateTime,
    ) -> Self {
        let tie_breaker = tie_breaker.into();
        Self { position, sort, tie_breaker, fingerprint, created_at, subject: None }
    }

    /// Binds it to a subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<Option<String>>) -> Self {
        self.subject = subject.into();
        self
    }

    /// The cursor as JSON.
    ///
    /// # Errors
    /// [`CursorError::Unreadable`]: a path or a value is not valid BSON, a time is beyond the year 9999.
    pub fn to_json(&self) -> Result<Vec<u8>, CursorError> {
        let values = doc! { "v": self.position.values.clone() };
        let form = Form {
            v: VERSION,
            sort: encode(&self.sort)?,
            cursor_id_field: self.tie_breaker.clone(),
            sort_values: encode(&values)?,
            direction: self.position.towards,
            fingerprint: HEXLOWER.encode(&self.fingerprint),
            created_at: self.created_at.try_to_rfc3339_string().map_err(unreadable)?,
            subject: self.subject.clone(),
        };
        serde_json::to_vec(&form).map_err(unreadable)
    }

    /// Reads the JSON of a cursor.
    ///
    /// # Errors
    /// [`CursorError::Unreadable`].
    pub fn from_json(json: &[u8]) -> Result<Self, CursorError> {
        let form: Form = serde_json::from_slice(json).map_err(unreadable)?;
        if form.v != VERSION {
            return Err(unreadable(format!("its version is {}, and not {VERSION}", form.v)));
        }
        let sort = decode(&form.sort)?;
        let Ok(Bson::Array(values)) = decode(&form.sort_values)?.remove("v").ok_or(()) else {
            return Err(unreadable("it has no sort values"));
        };
        if values.len() != sort.len() {
            return Err(unreadable("it has not as many sort values as sort keys"));
        }
        Ok(Self {
            position: Position { values, towards: form.direction },
            sort,
            tie_breaker: form.cursor_id_field,
            fingerprint: digest(&form.fingerprint)
                .ok_or_else(|| unreadable("its fingerprint is none"))?,
            created_at: DateTime::parse_rfc3339_str(&form.created_at).map_err(unreadable)?,
            subject: form.subject,
        })
    }
}

fn encode(document: &Document) -> Result<String, CursorError> {
    Ok(STANDARD.encode(document.to_vec().map_err(unreadable)?))
}

fn decode(text: &str) -> Result<Document, CursorError> {
    let bytes = STANDARD.decode(text).map_err(unreadable)?;
    Document::from_reader(&bytes[..]).map_err(unreadable)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn unreadable(reason: impl ToString) -> CursorError {
    CursorError::Unreadable { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> CursorDoc {
        let values = vec![Bson::Null, Bson::Double(f64::INFINITY), Bson::String("x".into())];
        let position = Position { values, towards: Towards::Next };
        let sort = doc! { "a": 1, "b.c": -1, "_id": 1 };
        let created = DateTime::from_millis(1_700_000_000_123);
        CursorDoc::new(position, sort, "_id", [0xA5; 32], created).subject("alice".to_owned())
    }

    #[test]
    fn it_comes_back_as_it_was_and_has_the_known_names() {
        let json = cursor().to_json().unwrap();
        assert_eq!(CursorDoc::from_json(&json), Ok(cursor()));
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["v"], 1);
        assert_eq!(value["cursor_id_field"], "_id");
        assert_eq!(value["created_at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(value["direction"], "next");
        assert_eq!(value["subject"], "alice");
        assert_eq!(value["fingerprint"], "a5".repeat(32));
        let nobody = cursor().subject(None);
        assert!(!String::from_utf8(nobody.to_json().unwrap()).unwrap().contains("subject"));
        assert_eq!(CursorDoc::from_json(&nobody.to_json().unwrap()), Ok(nobody));
    }

    #[test]
    fn what_is_no_cursor_is_an_error_that_says_why() {
        let with = |field: &str, value: serde_json::Value| {
            let mut json: serde_json::Value =
                serde_json::from_slice(&cursor().to_json().unwrap()).unwrap();
            json[field] = value;
            CursorDoc::from_json(json.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert!(with("v", 2.into()).contains("version is 2"));
        assert!(with("sort", "AAAA".into()).contains("no cursor that can be read"));
        assert!(with("sort", "%".into()).contains("no cursor that can be read"));
        assert!(with("sort_values", encode(&doc! {}).unwrap().into()).contains("no sort values"));
        let two = encode(&doc! { "v": [1, 2] }).unwrap();
        assert!(with("sort_values", two.into()).contains("as many"));
        assert!(with("fingerprint", "é".repeat(32).into()).contains("fingerprint"));
        assert!(with("direction", "up".into()).contains("up"));
        for broken in [&b""[..], b"{", b"null", b"[]", b"\xff"] {
            assert!(CursorDoc::from_json(broken).is_err());
        }
    }
}
