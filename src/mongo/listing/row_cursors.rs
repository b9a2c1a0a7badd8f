//! The cursors of rows, which a connection has for each of them. They are signed where the rows are read, so
//! that the loop is not held up.

use super::query::Query;
use super::ring::KeyRing;
use super::token::{Claim, sign};
use crate::mongo::cursor::error::CursorError;
use crate::mongo::cursor::position::{Position, Towards};
use bson::Bson;
use std::time::SystemTime;

pub(super) struct RowCursors {
    pub(super) ring: KeyRing,
    pub(super) now: SystemTime,
}

impl RowCursors {
    /// The cursor of a row with these sort values. As the token of a page, it leads to what comes after the
    /// row.
    pub(super) fn sign(&self, query: &Query, values: &[Bson]) -> Result<String, CursorError> {
        let position = Position { values: values.to_vec(), towards: Towards::Next };
        let subject = query.arguments.subject.clone();
        let claim = Claim { position, fingerprint: query.fingerprint, subject };
        sign(&claim, &self.ring, self.now)
    }
}
