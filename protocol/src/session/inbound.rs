//! The messages that were decoded before and are not delivered yet, and what is known of copies.
//!
//! Invariant: what waits here comes before what the current server sends next. The messages of
//! paused subscriptions wait with their subscriptions, not here.

use super::handoff::overlap::Overlap;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::message::Message;
use std::collections::VecDeque;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Inbound {
    /// Subscriptions that were resumed and still hold messages.
    pub(super) resumed: VecDeque<SubscriptionId>,
    /// Messages that the current server had sent before it took the place of another one.
    backlog: VecDeque<Message>,
    /// A subscription whose last message has just been reported.
    finished: Option<SubscriptionId>,
    /// Boxed, because there is none most of the time.
    overlap: Option<Box<Overlap>>,
    /// The key of the digests that tell copies apart.
    key: u128,
}

impl Inbound {
    pub(super) fn new(key: u128) -> Self {
        let (resumed, backlog) = (VecDeque::new(), VecDeque::new());
        Self { resumed, backlog, finished: None, overlap: None, key }
    }

    /// Whether messages have been decoded before and not been delivered.
    #[inline]
    pub(super) fn has_messages(&self) -> bool {
        !self.resumed.is_empty() || !self.backlog.is_empty()
    }

    /// Whether nothing comes before what the current server sends, and all of it is new.
    #[inline(always)]
    pub(super) fn is_clear(&self) -> bool {
        !self.has_messages() && self.finished.is_none() && self.overlap.is_none()
    }

    /// Whether there is nothing to report.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_messages() && self.finished.is_none()
    }

    pub(super) fn next_of_backlog(&mut self) -> Option<Message> {
        self.backlog.pop_front()
    }

    /// The last message of a subscription is being reported; its end comes next.
    pub(super) fn finish(&mut self, id: SubscriptionId) {
        self.finished = Some(id);
    }

    #[inline]
    pub(super) fn take_finished(&mut self) -> Option<SubscriptionId> {
        self.finished.take()
    }

    // ---- copies -------------------------------------------------------------------------------

    /// Whether two servers have known of the subscriptions, and their copies are being watched for.
    #[inline]
    pub(super) fn has_overlap(&self) -> bool {
        self.overlap.is_some()
    }

    /// From now on two servers know of the subscriptions.
    pub(super) fn begin_overlap(&mut self) {
        self.overlap = Some(Box::new(Overlap::new(self.key)));
    }

    pub(super) fn overlap_mut(&mut self) -> &mut Overlap {
        self.overlap.get_or_insert_with(|| Box::new(Overlap::new(self.key)))
    }

    /// Whether a message of the current server is a copy of one that another server has delivered.
    pub(super) fn is_copy(&mut self, message: &Message, now: Instant) -> bool {
        let Some(overlap) = &mut self.overlap else { return false };
        if overlap.has_moved() {
            return overlap.is_copy(message, now);
        }
        overlap.handle_old(message, now);
        false
    }

    /// The next server is the current one. Returns how many of the messages that have waited were
    /// copies.
    pub(super) fn handle_moved(&mut self, waiting: VecDeque<Message>, now: Option<Instant>) -> u64 {
        let count = waiting.len();
        self.backlog = self.overlap_mut().handle_moved(waiting, now);
        (count - self.backlog.len()) as u64
    }

    /// When what is known of copies may be forgotten.
    pub(super) fn overlap_ends(&self) -> Option<Instant> {
        self.overlap.as_ref().and_then(|overlap| overlap.ends())
    }

    pub(super) fn forget_overlap(&mut self) {
        self.overlap = None;
    }
}
