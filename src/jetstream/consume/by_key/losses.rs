//! Deliveries that were lost on their way, as numbers of the consumer's that are missing: it may be any key
//! that the messages are of, so nothing newer is handed over until they have come again.
//!
//! Whoever reads the consumer besides leaves such gaps, too. When nothing has come of a gap, it was
//! somebody else's, and gaps tell nothing any more.

use super::terms::Terms;
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
}

impl Losses {
    /// A delivery has come.
    pub(super) fn note(&mut self, info: &DeliveryInfo<'_>, terms: &Terms, now: Instant) {
        let last = self.last.replace(info.consumer_sequence);
        if let Some(gap) = self.gap.as_mut().filter(|_| info.delivered > 1) {
            gap.has_come = true;
            // an older one is waited for by its key alone
            gap.missing -= u64::from(info.stream_sequence >= gap.from);
        }
        self.gap.take_if(|gap| gap.missing == 0);
        let expected = last.map_or(info.consumer_sequence, |last| last.saturating_add(1));
        let missing = info.consumer_sequence.saturating_sub(expected);
        if missing > 0 && !self.is_shared && terms.wants_answers {
            self.open(missing, terms, now);
        }
        self.newest = self.newest.max(info.stream_sequence);
    }

    fn open(&mut self, missing: u64, terms: &Terms, now: Instant) {
        let (from, due) = (self.newest.saturating_add(1), after(now, terms.ack_wait));
        let gives_up = after(now, terms.recovery());
        let gap = self.gap.get_or_insert(Gap { from, missing: 0, has_come: false, due, gives_up });
        gap.missing = gap.missing.saturating_add(missing);
        (gap.due, gap.gives_up) = (due, gives_up);
    }

    /// The first message that may not be handed over.
    pub(super) fn barrier(&self) -> Option<u64> {
        self.gap.as_ref().map(|gap| gap.from)
    }

    /// How many should have come again, now that the server has had the time for it.
    pub(super) fn overdue(&self, now: Instant) -> u64 {
        self.gap.as_ref().filter(|gap| gap.due <= now).map_or(0, |gap| gap.missing)
    }

    /// When there may be something to do, after this time.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let gap = self.gap.as_ref()?;
        Some(if gap.due > now { gap.due } else { gap.gives_up })
    }

    /// Gives up what has not come in time.
    pub(super) fn lapse(&mut self, now: Instant) {
        if let Some(gap) = self.gap.take_if(|gap| gap.gives_up <= now) {
            self.is_shared = !gap.has_come;
        }
    }

    /// Waits anew: nothing could come until now. Perhaps nobody else reads the consumer any more.
    pub(super) fn restart(&mut self, terms: &Terms, now: Instant) {
        self.is_shared = false;
        if let Some(gap) = &mut self.gap {
            (gap.due, gap.gives_up) = (after(now, terms.ack_wait), after(now, terms.recovery()));
        }
    }

    /// Nothing can come any more.
    pub(super) fn clear(&mut self) {
        self.gap = None;
    }
}
