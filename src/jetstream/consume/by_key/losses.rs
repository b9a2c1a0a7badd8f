//! Deliveries that were lost on their way, as numbers of the consumer's that are missing: it may be any key
//! that the messages are of, so nothing newer is handed over until they have come again.
//!
//! Whoever reads the consumer besides leaves such gaps, too. When nothing has come of a gap, it was
//! somebody else's, and gaps tell nothing any more.

use super::terms::Terms;
use super::waits::{Look, PROBE};
use crate::event_loop::after;
use crate::jetstream::consume::delivery_info::DeliveryInfo;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Losses {
    /// The number of the last delivery.
    last: Option<u64>,
    /// The newest message that has come.
    newest: u64,
    gap: Option<Gap>,
    is_shared: bool,
}

#[derive(Debug)]
struct Gap {
    /// The first message that may not be handed over.
    from: u64,
    /// So many deliveries are missing.
    missing: u64,
    /// Something has come again.
    has_come: bool,
    due: Instant,
    gives_up: Instant,
    /// When there may be something to do.
    next: Instant,
}

impl Gap {
    fn wait(&mut self, terms: &Terms, now: Instant) {
        self.due = after(now, terms.ack_wait);
        self.gives_up = after(now, terms.recovery());
        self.next = self.due;
    }
}

impl Losses {
    /// A delivery has come.
    pub(super) fn note(&mut self, info: &DeliveryInfo<'_>, terms: &Terms, now: Instant) {
        let last = self.last.replace(info.consumer_sequence);
        let expected = last.map_or(info.consumer_sequence, |last| last.saturating_add(1));
        let missing = info.consumer_sequence.saturating_sub(expected);
        if missing > 0 && !self.is_shared && terms.wants_answers {
            self.open(missing, terms, now);
        }
        if let Some(gap) = self.gap.as_mut().filter(|_| info.delivered > 1) {
            gap.has_come = true;
            // an older one is waited for by its key alone
            gap.missing -= u64::from(info.stream_sequence >= gap.from);
        }
        self.gap.take_if(|gap| gap.missing == 0);
        self.newest = self.newest.max(info.stream_sequence);
    }

    fn open(&mut self, missing: u64, terms: &Terms, now: Instant) {
        let from = self.newest.saturating_add(1);
        let new = Gap { from, missing: 0, has_come: false, due: now, gives_up: now, next: now };
        let gap = self.gap.get_or_insert(new);
        gap.missing = gap.missing.saturating_add(missing);
        gap.wait(terms, now);
    }

    /// The first message that may not be handed over.
    pub(super) fn barrier(&self) -> Option<u64> {
        self.gap.as_ref().map(|gap| gap.from)
    }

    /// When to look.
    pub(super) fn next(&self) -> Option<Instant> {
        self.gap.as_ref().map(|gap| gap.next)
    }

    /// Looks for what there is to do, if the time has come. What has not come in time is given up.
    pub(super) fn look(&mut self, now: Instant) -> Option<Look> {
        let gap = self.gap.as_mut().filter(|gap| gap.next <= now)?;
        gap.next = after(now, PROBE).min(gap.gives_up);
        let is_late = after(gap.due, PROBE) <= now;
        let (overdue, has_lapsed) = (gap.missing, gap.gives_up <= now);
        if has_lapsed {
            self.is_shared = !gap.has_come;
            self.gap = None;
        }
        Some(Look { overdue, is_late, has_lapsed })
    }

    /// Waits anew: nothing could come until now. Perhaps nobody else reads the consumer any more.
    pub(super) fn restart(&mut self, terms: &Terms, now: Instant) {
        self.is_shared = false;
        if let Some(gap) = &mut self.gap {
            gap.wait(terms, now);
        }
    }

    /// Nothing can come any more.
    pub(super) fn clear(&mut self) {
        self.gap = None;
    }
}
