//! A page is read: from the token to a place, from there to rows, and from these to tokens.

use super::error::ListError;
use super::fetch::{Fetched, fetch};
use super::page::{Page, Total};
use super::query::Query;
use super::row_cursors::RowCursors;
use super::span::Span;
use super::token::{self, Claim};
use super::tokens::Tokens;
use crate::callback::{Answer, Ran, State};
use crate::mongo::bridge::Bridge;
use crate::mongo::cursor::error::CursorError;
use crate::mongo::cursor::position::{Position, Towards};
use crate::mongo::cursor::{CursorDoc, ErasedStorage};
use crate::mongo::error::Error;
use bson::{Bson, DateTime};
use std::rc::Rc;
use std::sync::Arc;

pub(super) type OnPage = Answer<Result<Page, Error>>;

/// A list of which a page is read.
pub(super) struct Reading {
    pub(super) bridge: Rc<Bridge>,
    pub(super) query: Arc<Query>,
    pub(super) tokens: Tokens,
}

impl Reading {
    pub(super) fn begin(self, answer: OnPage) {
        let position = match (&self.query.arguments.token, &self.tokens) {
            (None, _) => Ok(None),
            (Some(_), Tokens::None) => Err(ListError::NoTokens.into()),
            (Some(token), Tokens::Signed(ring)) => {
                let claim = token::verify(token, ring, self.bridge.event_loop().system_time());
                claim.and_then(|claim| accept(&self.query, claim)).map(Some).map_err(Error::from)
            }
            (Some(token), Tokens::Stored(storage)) => match token::check_stored(token) {
                Ok(()) => {
                    let (storage, token) = (storage.clone(), token.clone());
                    return self.load(&storage, &token, answer);
                }
                Err(error) => Err(error.into()),
            },
        };
        match position {
            Ok(position) => self.read(position, answer),
            Err(error) => self.bridge.defer(answer, Err(error)),
        }
    }

    fn load(self, storage: &Rc<dyn ErasedStorage>, token: &str, answer: OnPage) {
        let on_loaded = move |state: &mut State, loaded: Result<(CursorDoc, u64), Error>| {
            let claim = loaded.map(|(cursor, _)| Claim {
                position: cursor.position,
                fingerprint: cursor.fingerprint,
                subject: cursor.subject,
            });
            match claim.and_then(|claim| accept(&self.query, claim).map_err(Error::from)) {
                Ok(position) => {
                    self.read(Some(position), answer);
                    Ok(())
                }
                Err(error) => answer(state, Err(error)),
            }
        };
        storage.load(token, Box::new(on_loaded));
    }

    fn read(self, position: Option<Position>, answer: OnPage) {
        let towards = position.as_ref().map(|position| position.towards);
        let bridge = self.bridge.clone();
        let query = self.query.clone();
        let on_fetched = move |state: &mut State, fetched: Result<Fetched, Error>| match fetched {
            Ok(fetched) => self.mint(state, fetched, towards, answer),
            Err(error) => answer(state, Err(error)),
        };
        read_rows(&bridge, &query, Span::at(position), None, Box::new(on_fetched));
    }

    /// Makes the page's tokens.
    fn mint(
        self,
        state: &mut State,
        fetched: Fetched,
        towards: Option<Towards>,
        answer: OnPage,
    ) -> Ran {
        let mut page = assemble(&fetched, towards, self.query.arguments.total);
        page.raw_rows = fetched.rows;
        let mut places = Vec::new();
        if let Some((first, last)) = fetched.ends {
            if page.has_next {
                places.push(Position { values: last, towards: Towards::Next });
            }
            if page.has_previous && self.query.arguments.previous {
                places.push(Position { values: first, towards: Towards::Previous });
            }
        }
        match self.tokens.clone() {
            Tokens::None => answer(state, Ok(page)),
            Tokens::Signed(ring) => {
                let now = self.bridge.event_loop().system_time();
                let signed = places.into_iter().try_for_each(|position| {
                    let towards = position.towards;
                    let subject = self.query.arguments.subject.clone();
                    let claim = Claim { position, fingerprint: self.query.fingerprint, subject };
                    note(&mut page, towards, token::sign(&claim, &ring, now)?);
                    Ok::<(), CursorError>(())
                });
                answer(state, signed.map(|()| page).map_err(Error::from))
            }
            Tokens::Stored(storage) => self.store(storage, places, page, state, answer),
        }
    }

    /// Stores the cursors one after the other. Without one of them there is no page.
    fn store(
        self,
        storage: Rc<dyn ErasedStorage>,
        mut places: Vec<Position>,
        mut page: Page,
        state: &mut State,
        answer: OnPage,
    ) -> Ran {
        let Some(position) = places.pop() else { return answer(state, Ok(page)) };
        let event_loop = self.bridge.event_loop();
        let token = token::for_stored([event_loop.random(), event_loop.random()]);
        let created = DateTime::from_system_time(event_loop.system_time());
        let (query, towards) = (self.query.clone(), position.towards);
        let sort = query.sort.document(false);
        let tie_breaker = query.sort.tie_breaker();
        let cursor = CursorDoc::new(position, sort, tie_breaker, query.fingerprint, created)
            .subject(query.arguments.subject.clone());
        let (asked, stored) = (storage.clone(), token.clone());
        let on_stored = move |state: &mut State, outcome: Result<u64, Error>| match outcome {
            Ok(_) => {
                note(&mut page, towards, token);
                self.store(storage, places, page, state, answer)
            }
            Err(error) => answer(state, Err(error)),
        };
        asked.store(&stored, &cursor, Box::new(on_stored));
        Ok(())
    }
}

/// Whether the list is the one that the token is of.
pub(super) fn accept(query: &Query, claim: Claim) -> Result<Position, CursorError> {
    let subject = query.arguments.subject.as_deref();
    claim.check(&query.fingerprint, subject, query.sort.keys.len())?;
    Ok(claim.position)
}

fn note(page: &mut Page, towards: Towards, token: String) {
    match towards {
        Towards::Next => page.next = Some(token),
        Towards::Previous => page.previous = Some(token),
    }
}

/// What is on the two sides of a page. Beside one that a token led to there is the token's row.
fn assemble(fetched: &Fetched, towards: Option<Towards>, up_to: Option<u64>) -> Page {
    let has_rows = !fetched.rows.is_empty();
    let (has_previous, has_next) = match towards {
        None => (false, fetched.has_more),
        Some(Towards::Next) => (has_rows, fetched.has_more),
        Some(Towards::Previous) => (fetched.has_more, has_rows),
    };
    let total = Total::of(fetched.count, up_to);
    Page { has_next, has_previous, total, ..Page::default() }
}

/// Reads rows, within the time that the list has.
pub(super) fn read_rows(
    bridge: &Rc<Bridge>,
    query: &Arc<Query>,
    span: Span,
    row_cursors: Option<RowCursors>,
    answer: Answer<Result<Fetched, Error>>,
) {
    let query = query.clone();
    let within = query.arguments.timeout.unwrap_or(bridge.options().timeout);
    bridge.call(within, async move |client| fetch(client, query, span, row_cursors).await, answer);
}

/// The place behind the last row that was read.
pub(super) fn behind(ends: Option<(Vec<Bson>, Vec<Bson>)>) -> Option<Position> {
    ends.map(|(_, values)| Position { values, towards: Towards::Next })
}
