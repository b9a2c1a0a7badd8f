//! What becomes of a row when the stream has told how much of it is stored. Without I/O.

use super::draft::Draft;
use super::row::Row;
use super::unit::Unit;
use std::collections::VecDeque;

impl Row {
    /// Everything up to the message with this id is stored. Returns whether the row has it.
    pub(super) fn settle_through(&mut self, id: &str) -> bool {
        let is_last = |unit: &Unit| unit.drafts.last().is_some_and(|draft| draft.id == id);
        let Some(index) = self.units.iter().position(is_last) else { return false };
        for mut unit in self.units.drain(..=index) {
            if !unit.is_stored {
                unit.settle();
                self.counted.deduplicated += unit.count();
            }
        }
        true
    }

    /// Everything up to this token is stored, by another instance. To be followed by
    /// [`go_on_at`](Self::go_on_at).
    pub(super) fn settle_until(&mut self, token: &str) {
        let is_behind = |draft: &Draft| draft.token.as_deref().is_none_or(|own| own > token);
        for unit in &mut self.units {
            let count = unit.drafts.len();
            unit.drafts.retain_mut(|draft| {
                let is_kept = is_behind(draft);
                if !is_kept {
                    draft.settle();
                    self.counted.left_out += 1;
                }
                is_kept
            });
            unit.is_batch &= unit.drafts.len() == count;
        }
        let units = std::mem::take(&mut self.units).into_iter();
        self.units = units
            .flat_map(|unit| match unit.is_batch {
                true => vec![unit],
                false => unit.drafts.into_iter().map(Unit::one).collect(),
            })
            .collect();
    }

    /// Goes on behind this sequence of the stream, with what is not known to be stored.
    pub(super) fn go_on_at(&mut self, sequence: u64) {
        for unit in &mut self.units {
            if unit.known_at.take().is_some_and(|known| known <= sequence) {
                unit.settle();
                self.counted.deduplicated += unit.count();
            }
        }
        self.units.retain(|unit| !unit.is_stored);
        for unit in &mut self.units {
            if std::mem::take(&mut unit.is_out) {
                self.counted.resent += unit.count();
            }
        }
        (self.first, self.sent, self.messages, self.bytes) = (0, 0, 0, 0);
        self.end = sequence;
    }

    /// Has a batch go out as ordinary messages the next time.
    pub(super) fn unbatch(&mut self, number: u64) {
        let Some(index) = self.index(number) else { return };
        let Some(unit) = self.units.remove(index) else { return };
        self.counted.unbatched += 1;
        for (offset, draft) in unit.drafts.into_iter().enumerate() {
            self.units.insert(index + offset, Unit::one(draft));
        }
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) -> VecDeque<Unit> {
        self.give_up_round();
        let units = std::mem::take(&mut self.units);
        self.go_on_at(0);
        units
    }
}
