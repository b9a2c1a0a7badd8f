//! Which part of a list is read, and from which end.

use super::seek::{beyond, up_to};
use super::sort::Sort;
use crate::mongo::cursor::position::{Position, Towards};
use bson::Document;

/// The rows beyond all of the bounds, from one end.
#[derive(Debug, Default)]
pub(super) struct Span {
    pub(super) bounds: Vec<Position>,
    /// From the last row to the first, or else from the first one on.
    pub(super) is_backward: bool,
}

impl Span {
    /// The page at a place, or the first one.
    pub(super) fn at(position: Option<Position>) -> Self {
        let is_backward = position.as_ref().is_some_and(|at| at.towards == Towards::Previous);
        Self { bounds: position.into_iter().collect(), is_backward }
    }

    /// The conditions of its bounds.
    pub(super) fn conditions(&self, sort: &Sort) -> Vec<Document> {
        self.bounds.iter().map(|bound| beyond(sort, bound)).collect()
    }

    /// What is on the other side of the end that it is read from. `None`: it is read from an end of the list.
    pub(super) fn behind(&self, sort: &Sort) -> Option<Document> {
        let from = if self.is_backward { Towards::Previous } else { Towards::Next };
        let bound = self.bounds.iter().find(|bound| bound.towards == from)?;
        Some(up_to(sort, bound))
    }
}
