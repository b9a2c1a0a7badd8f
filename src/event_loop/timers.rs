//! Timers: callbacks at a point in time, in order of their deadlines.

use crate::callback::State;
use crate::error::Result;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

/// A timer that was set. Letting go of it does not cancel the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    deadline: Instant,
    /// Never used twice: tells timers with the same deadline apart, and keeps their order.
    serial: u64,
}

pub(crate) type Callback = Box<dyn FnOnce(&mut State) -> Result<()>>;

#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<TimerId, Callback>,
    next_serial: u64,
}

impl Timers {
    pub(super) fn set(&mut self, deadline: Instant, callback: Callback) -> TimerId {
        let id = TimerId { deadline, serial: self.next_serial };
        self.next_serial += 1;
        self.waiting.insert(id, callback);
        id
    }

    /// The callback comes back, to be dropped where no borrow is alive.
    pub(super) fn cancel(&mut self, id: TimerId) -> Option<Callback> {
        self.waiting.remove(&id)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(id, _)| id.deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Runs the timers that are due. One that a callback sets for now has the next turn, so that
    /// a timer that sets itself again does not keep the loop.
    pub(super) fn run_due(timers: &RefCell<Self>, now: Instant, state: &mut State) -> Result<()> {
        let end = timers.borrow().next_serial;
        loop {
            let callback = timers.borrow_mut().pop_due(now, end);
            match callback {
                Some(callback) => callback(state)?,
                None => return Ok(()),
            }
        }
    }

    fn pop_due(&mut self, now: Instant, before: u64) -> Option<Callback> {
        let due = self.waiting.range(..=TimerId { deadline: now, serial: u64::MAX });
        let id = due.map(|(id, _)| *id).find(|id| id.serial < before)?;
        self.waiting.remove(&id)
    }
}
