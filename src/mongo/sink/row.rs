//! What is to be published, in its order: what is under way, at which sequence it is expected, and what is
//! known to be stored. Without I/O.
//!
//! Invariant: what is under way is the start of the row, and each of it expects the sequence of the one
//! before. When something goes otherwise, nothing more is sent until the stream's tail has told how much of
//! the row is stored. What becomes of the row then is in `settling`.

use super::draft::Draft;
use super::unit::Unit;
use crate::mongo::changes::SinkMetrics;
use std::collections::VecDeque;

/// How many messages may be under way …
const MAX_UNDER_WAY: usize = 1_000;
/// … and how many bytes of them, unless it is a single one.
pub(super) const MAX_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(super) struct Row {
    pub(super) units: VecDeque<Unit>,
    /// The number of the first one.
    pub(super) first: u64,
    /// So many are under way, with so many messages and bytes.
    pub(super) sent: usize,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// The sequence of the stream when everything that is under way is stored.
    pub(super) end: u64,
    /// Answers to what was sent in an earlier one say nothing.
    round: u64,
    pub(super) counted: SinkMetrics,
}

/// What is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) round: u64,
    pub(super) number: u64,
    /// The sequence that the stream has to have before.
    pub(super) expected: u64,
}

/// What an acknowledgement of many messages says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredBefore {
    /// So many more are stored …
    pub(super) count: u64,
    /// … the last of them here.
    pub(super) sequence: u64,
}

/// What an acknowledgement says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is about an earlier round.
    Late,
    Stored,
    /// The message is not where it was expected.
    Elsewhere,
}

impl Row {
    pub(super) fn push(&mut self, unit: Unit) {
        self.units.push_back(unit);
    }

    /// The round of what is sent now.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Takes what is next, if it may be sent now.
    pub(super) fn next(&mut self) -> Option<Next> {
        // nobody knows the sequence behind a batch before it is stored
        if self.sent.checked_sub(1).is_some_and(|last| self.units[last].is_batch) {
            return None;
        }
        let unit = self.units.get_mut(self.sent)?;
        let (count, bytes) = (unit.drafts.len(), unit.bytes());
        let fits = self.messages + count <= MAX_UNDER_WAY && self.bytes + bytes <= MAX_BYTES;
        if self.sent > 0 && !fits {
            return None;
        }
        let expected = self.end;
        self.end += unit.count();
        unit.ends_at = self.end;
        unit.is_out = true;
        let number = self.first + self.sent as u64;
        self.sent += 1;
        self.messages += count;
        self.bytes += bytes;
        Some(Next { round: self.round, number, expected })
    }

    /// What was taken last was not sent.
    pub(super) fn take_back(&mut self) {
        let Some(last) = self.sent.checked_sub(1) else { return };
        let unit = &mut self.units[last];
        unit.is_out = false;
        self.end -= unit.count();
        self.messages -= unit.drafts.len();
        self.bytes -= unit.bytes();
        self.sent = last;
    }

    /// What was counted of its messages.
    pub(super) fn counted(&self) -> SinkMetrics {
        self.counted
    }

    /// The number of what is sent next, if nothing is under way.
    pub(super) fn number(&self) -> Option<u64> {
        (self.sent == 0).then_some(self.first)
    }

    /// How many bytes are under way.
    pub(super) fn bytes_out(&self) -> usize {
        self.bytes
    }

    /// Whether everything is under way.
    pub(super) fn is_out(&self) -> bool {
        self.sent == self.units.len()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Unit> {
        self.units.get(self.index(number)?)
    }

    pub(super) fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Notes an acknowledgement: the last message of a unit has this sequence.
    pub(super) fn handle_stored(&mut self, round: u64, number: u64, sequence: u64) -> Heard {
        if round != self.round {
            return Heard::Late;
        }
        let index = self.index(number);
        let Some(unit) = index.and_then(|index| self.units.get_mut(index)) else {
            return Heard::Late;
        };
        if unit.ends_at != sequence {
            return Heard::Elsewhere;
        }
        unit.settle();
        self.counted.stored += unit.count();
        while self.units.front().is_some_and(|unit| unit.is_stored) {
            self.take_first();
        }
        Heard::Stored
    }

    /// Notes that everything before this one is stored where it was expected. Returns what was not
    /// known to be.
    pub(super) fn handle_stored_before(&mut self, round: u64, number: u64) -> Option<StoredBefore> {
        let mut stored = None;
        while round == self.round && self.sent > 0 && self.first < number {
            let unit = self.units.front_mut()?;
            unit.settle();
            let before = stored.map_or(0, |stored: StoredBefore| stored.count);
            stored = Some(StoredBefore { count: before + unit.count(), sequence: unit.ends_at });
            self.take_first();
        }
        self.counted.stored += stored.map_or(0, |stored| stored.count);
        stored
    }

    /// Notes that the stream knows a message already, and says it is there.
    pub(super) fn handle_known(&mut self, round: u64, number: u64, sequence: u64) -> Heard {
        let index = self.index(number).filter(|_| round == self.round);
        match index.and_then(|index| self.units.get_mut(index)) {
            Some(unit) => {
                unit.known_at = Some(sequence);
                Heard::Elsewhere
            }
            None => Heard::Late,
        }
    }

    /// Nothing that is under way counts any more.
    pub(super) fn give_up_round(&mut self) {
        self.round += 1;
    }

    /// The message with this id, if it is still to be stored.
    pub(super) fn find(&mut self, id: &str) -> Option<&mut Draft> {
        let mut drafts = self.units.iter_mut().flat_map(|unit| &mut unit.drafts);
        drafts.find(|draft| draft.id == id)
    }

    fn take_first(&mut self) {
        let Some(unit) = self.units.pop_front() else { return };
        self.first += 1;
        self.sent = self.sent.saturating_sub(1);
        self.messages = self.messages.saturating_sub(unit.drafts.len());
        self.bytes = self.bytes.saturating_sub(unit.bytes());
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
