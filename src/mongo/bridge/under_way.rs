//! What is under way in the driver's thread, and whom to tell.

use super::id::Id;
use super::line::Line;
use super::outbox::Parcel;
use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::event_loop::TimerId;
use crate::mongo::error::Error;
use slab::Slab;
use std::sync::Arc;

pub(super) type OnItem = Box<dyn FnMut(&mut State, Parcel, usize) -> Ran>;

pub(super) enum Kind {
    Call,
    Stream { on_item: CallbackSlot<OnItem>, line: Arc<Line> },
}

impl Kind {
    fn line(&self) -> Option<&Line> {
        match self {
            Self::Call => None,
            Self::Stream { line, .. } => Some(line),
        }
    }
}

pub(super) struct UnderWay {
    pub(super) serial: u64,
    pub(super) generation: u64,
    pub(super) kind: Kind,
    pub(super) on_end: Answer<Result<Parcel, Error>>,
    /// When it is given up, or looked after.
    pub(super) timer: Option<TimerId>,
}

#[derive(Default)]
pub(super) struct Table {
    places: Slab<UnderWay>,
    next_serial: u64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn insert(
        &mut self,
        generation: u64,
        kind: Kind,
        on_end: Answer<Result<Parcel, Error>>,
    ) -> Id {
        let serial = self.next_serial;
        self.next_serial += 1;
        let index = self.places.insert(UnderWay { serial, generation, kind, on_end, timer: None });
        Id { index, serial }
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut UnderWay> {
        self.places.get_mut(id.index).filter(|place| place.serial == id.serial)
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<UnderWay> {
        self.get_mut(id)?;
        self.places.try_remove(id.index)
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.places.iter().map(|(index, place)| Id { index, serial: place.serial }).collect()
    }

    /// Those of a generation.
    pub(super) fn of_generation(&self, generation: u64) -> Vec<Id> {
        let is_of_it = |id: &Id| self.places[id.index].generation == generation;
        self.ids().into_iter().filter(is_of_it).collect()
    }

    /// Hangs up the streams of some generations, and returns which they are.
    pub(super) fn hang_up_streams_of(&self, is_of: impl Fn(u64) -> bool) -> Vec<Id> {
        let streams = self.places.iter().filter_map(|(index, place)| {
            let line = place.kind.line().filter(|_| is_of(place.generation))?;
            line.hang_up();
            Some(Id { index, serial: place.serial })
        });
        streams.collect()
    }

    /// The line of a stream.
    pub(super) fn line(&self, id: Id) -> Option<&Line> {
        let place = self.places.get(id.index).filter(|place| place.serial == id.serial)?;
        place.kind.line()
    }

    /// The lines of all streams.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.places.iter().filter_map(|(_, place)| place.kind.line())
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> Vec<UnderWay> {
        self.places.drain().collect()
    }
}
