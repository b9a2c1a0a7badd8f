//! What is to be done again, each at its time, and in the order of their times.

use crate::event_loop::TimerId;
use std::collections::BTreeMap;
use std::time::Instant;

pub(super) struct Resend<T> {
    /// By time, and of one time by the order in which they were published.
    waiting: BTreeMap<(Instant, u64), T>,
    /// Nothing is due before.
    not_before: Option<Instant>,
    /// The timer for the first one, and when it is due.
    pub(super) timer: Option<(TimerId, Instant)>,
}

impl<T> Default for Resend<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), not_before: None, timer: None }
    }
}

impl<T> Resend<T> {
    pub(super) fn insert(&mut self, at: Instant, number: u64, message: T) {
        self.waiting.insert((at, number), message);
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = self.waiting.first_key_value().map(|((at, _), _)| *at)?;
        Some(self.not_before.map_or(first, |not_before| first.max(not_before)))
    }

    pub(super) fn pause_until(&mut self, not_before: Instant) {
        self.not_before = Some(not_before);
    }

    /// The first one that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Any of them.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, message)| message)
    }
}
