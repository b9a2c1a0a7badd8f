//! The messages that are to be delivered again, for each of which a key waits.

use super::lanes::Key;
use crate::event_loop::after;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often more is asked for because of what should have come.
pub(super) const PROBE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Wait {
    pub(super) key: Key,
    /// When the server has it ready.
    pub(super) due: Instant,
    /// When it is taken for one that never comes.
    pub(super) gives_up: Instant,
    pub(super) patience: Duration,
}

/// By the numbers of the messages in the stream.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waits: BTreeMap<u64, Wait>,
    /// When there may be something to do, and not later.
    next: Option<Instant>,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// So many should have come.
    pub(super) overdue: u64,
    /// Some of them should have come long ago.
    pub(super) is_late: bool,
    /// Some are not waited for any longer.
    pub(super) has_lapsed: bool,
}

impl Waits {
    pub(super) fn add(&mut self, sequence: u64, wait: Wait) {
        let next = wait.due.min(wait.gives_up);
        self.next = Some(self.next.map_or(next, |earliest| earliest.min(next)));
        self.waits.insert(sequence, wait);
    }

    /// It has come.
    pub(super) fn remove(&mut self, sequence: u64) {
        self.waits.remove(&sequence);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When to look.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next.filter(|_| !self.waits.is_empty())
    }

    /// Looks for what there is to do, if the time has come. Whatever has lapsed is found once.
    pub(super) fn look(&mut self, now: Instant) -> Option<Look> {
        self.next().filter(|next| *next <= now)?;
        let overdue = self.waits.values().filter(|wait| wait.due <= now).count() as u64;
        let is_late = self.waits.values().any(|wait| after(wait.due, PROBE) <= now);
        let has_lapsed = self.waits.values().any(|wait| wait.gives_up <= now);
        let times = self.waits.values().flat_map(|wait| [wait.due, wait.gives_up]);
        let probe = (overdue > 0).then(|| after(now, PROBE));
        self.next = times.filter(|time| *time > now).chain(probe).min();
        Some(Look { overdue, is_late, has_lapsed })
    }

    /// Takes those that are not waited for any longer.
    pub(super) fn take_lapsed(
        &mut self,
        now: Instant,
        is_certain: impl Fn(&Wait) -> bool,
    ) -> Vec<(u64, Key)> {
        let lapsed = self.waits.iter().filter(|(_, wait)| wait.gives_up <= now && is_certain(wait));
        let lapsed: Vec<_> = lapsed.map(|(sequence, wait)| (*sequence, wait.key.clone())).collect();
        lapsed.iter().for_each(|(sequence, _)| self.remove(*sequence));
        lapsed
    }

    /// Waits anew for what has lapsed: nothing could come.
    pub(super) fn postpone_lapsed(&mut self, now: Instant) {
        self.postpone(now, |wait| wait.gives_up <= now);
    }

    /// Waits anew: nothing could come until now.
    pub(super) fn restart(&mut self, now: Instant) {
        self.postpone(now, |_| true);
    }

    fn postpone(&mut self, now: Instant, is_meant: impl Fn(&Wait) -> bool) {
        for wait in self.waits.values_mut().filter(|wait| is_meant(wait)) {
            wait.gives_up = after(now, wait.patience);
        }
        self.next = Some(now);
    }
}
