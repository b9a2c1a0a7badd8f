//! Messages that are sent again, each at its time, and in the order of their times.

use super::retry::Attempts;
use crate::callback::{Ran, State};
use crate::event_loop::TimerId;
use crate::jetstream::error::Error;
use crate::jetstream::publish::pub_ack::PubAck;
use bytes::Bytes;
use evnats_protocol::HeaderMap;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(super) type OnDone = Box<dyn FnOnce(&mut State, Result<PubAck, Error>) -> Ran>;

/// A message whose outcome is still to be reported.
pub(super) struct Pending {
    pub(super) number: u64,
    pub(super) subject: Rc<str>,
    pub(super) done: OnDone,
}

/// A message that may be sent more than once.
pub(super) struct Kept {
    pub(super) pending: Pending,
    pub(super) content: Rc<Content>,
    pub(super) attempts: Attempts,
}

pub(super) struct Content {
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
}

#[derive(Default)]
pub(super) struct Resend {
    /// By time, and of one time by the order in which they were published.
    waiting: BTreeMap<(Instant, u64), Kept>,
    pub(super) timer: Option<(TimerId, Instant)>,
}

impl Resend {
    pub(super) fn insert(&mut self, at: Instant, kept: Kept) {
        self.waiting.insert((at, kept.pending.number), kept);
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// The first one that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Kept> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Any of them.
    pub(super) fn pop(&mut self) -> Option<Kept> {
        self.waiting.pop_first().map(|(_, kept)| kept)
    }
}
