//! A connection is read: from its arguments to a span of the list, and from rows to edges.

use super::connection::{Connection, Edge, PageInfo};
use super::connection_arguments::ConnectionArguments;
use super::error::ListError;
use super::fetch::Fetched;
use super::options::Arguments;
use super::page::Total;
use super::query::Query;
use super::reading::{accept, read_rows};
use super::ring::KeyRing;
use super::row_cursors::RowCursors;
use super::span::Span;
use super::token;
use super::tokens::Tokens;
use crate::callback::{Answer, State};
use crate::mongo::bridge::Bridge;
use crate::mongo::cursor::error::CursorError;
use crate::mongo::cursor::position::{Position, Towards};
use crate::mongo::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

type OnConnection = Answer<Result<Connection, Error>>;

/// A list of which a connection is read.
pub(super) struct Connecting {
    query: Arc<Query>,
    span: Span,
    row_cursors: RowCursors,
}

impl Connecting {
    pub(super) fn new(
        list: Arguments,
        tokens: &Tokens,
        of: &ConnectionArguments,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let ring = match tokens {
            Tokens::Signed(ring) => ring,
            Tokens::Stored(_) => return Err(ListError::StoredRowCursors.into()),
            Tokens::None => return Err(ListError::UnsignedRowCursors.into()),
        };
        let query = query(list, of)?;
        let mut bounds = Vec::new();
        for (cursor, towards) in [(&of.after, Towards::Next), (&of.before, Towards::Previous)] {
            if let Some(cursor) = cursor {
                bounds.push(bound(cursor, towards, &query, ring, now)?);
            }
        }
        let span = Span { bounds, is_backward: of.last.is_some() };
        let row_cursors = RowCursors { ring: KeyRing::clone(ring), now };
        Ok(Self { query: Arc::new(query), span, row_cursors })
    }

    pub(super) fn begin(self, bridge: &Rc<Bridge>, answer: OnConnection) {
        let (is_backward, up_to) = (self.span.is_backward, self.query.arguments.total);
        let on_fetched = move |state: &mut State, fetched: Result<Fetched, Error>| {
            answer(state, fetched.map(|fetched| assemble(fetched, is_backward, up_to)))
        };
        let row_cursors = Some(self.row_cursors);
        read_rows(bridge, &self.query, self.span, row_cursors, Box::new(on_fetched));
    }
}

fn query(mut list: Arguments, of: &ConnectionArguments) -> Result<Query, ListError> {
    if list.token.is_some() {
        return Err(ListError::TokenOfConnection);
    }
    list.limit = match (of.first, of.last) {
        (Some(_), Some(_)) => return Err(ListError::FirstAndLast),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => list.limit,
    };
    Query::new(list)
}

/// A place, on whichever side of which a token has led: here, the argument says that.
fn bound(
    cursor: &str,
    towards: Towards,
    query: &Query,
    ring: &KeyRing,
    now: SystemTime,
) -> Result<Position, CursorError> {
    let position = accept(query, token::verify(cursor, ring, now)?)?;
    Ok(Position { towards, ..position })
}

fn assemble(fetched: Fetched, is_backward: bool, up_to: Option<u64>) -> Connection {
    let (has_previous_page, has_next_page) = match is_backward {
        true => (fetched.has_more, fetched.has_behind),
        false => (fetched.has_behind, fetched.has_more),
    };
    let page_info = PageInfo {
        start_cursor: fetched.cursors.first().cloned(),
        end_cursor: fetched.cursors.last().cloned(),
        has_next_page,
        has_previous_page,
    };
    let rows = fetched.rows.into_iter().zip(fetched.cursors);
    let edges = rows.map(|(node, cursor)| Edge { node, cursor }).collect();
    Connection { edges, page_info, total: Total::of(fetched.count, up_to) }
}
