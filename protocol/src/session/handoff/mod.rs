//! A handoff: the leg to the next server, while the current one still serves.
//!
//! A server that is about to shut down leaves time to move, and the move loses nothing:
//! 1. the session connects to the next server, and subscribes there to all it has (*joining*);
//! 2. for a moment it is subscribed at both, until the cluster knows of it (*overlapping*);
//! 3. it unsubscribes at the old server and sets a fence (*leaving*). Commands wait meanwhile;
//! 4. when the fence is passed, the next server takes the place of the old one.
//!
//! What both servers deliver is delivered once: a message of the one and an equal message of the
//! other within a short time are the same; see [`overlap`]. What the next server delivers waits for
//! the end of the handoff, except the messages of queue groups, of which nobody gets two, and
//! replies.
//!
//! Requests and fences do not notice. Drains wait for the end of the handoff. This file has the
//! steps and what waits; what they mean for the session's tables is the session's.

pub(super) mod overlap;

use super::config::SessionConfig;
use super::leg::Leg;
use crate::tables::deadlines::earlier;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::message::Message;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time for a cluster to learn of the new subscriptions, and for what was delivered before it did
/// to be forgotten: of that, the next server delivers nothing.
const OVERLAP: Duration = Duration::from_millis(750);
/// Maximum number of bytes that wait for the next server to take its place.
const MAX_WAITING: usize = 16 << 20;
/// What a waiting message takes in addition to its own bytes.
const OVERHEAD: usize = 128;

#[derive(Debug)]
pub(super) struct Handoff<F> {
    pub(super) leg: Leg,
    step: Step,
    /// When the step has to be complete; for the overlap, when it is complete.
    deadline: Option<Instant>,
    /// What the next server has delivered and the old one may deliver too.
    arrived: VecDeque<Message>,
    arrived_bytes: usize,
    /// Drains of subscriptions that wait for the end of the handoff.
    pub(super) delayed_drains: Vec<DelayedDrain<F>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Handshake,
    Joining,
    Overlapping,
    Leaving,
}

/// A drain of a subscription that waits for the end of a handoff.
#[derive(Debug)]
pub(super) struct DelayedDrain<F> {
    pub(super) id: SubscriptionId,
    pub(super) timeout: Duration,
    pub(super) context: F,
}

impl<F> Handoff<F> {
    pub(super) fn new(config: &SessionConfig, now: Instant) -> Self {
        let mut leg = Leg::new(config);
        // the handoff has its own deadline, which lasts beyond the handshake
        leg.handle_connecting(Duration::MAX, now);
        Self {
            leg,
            step: Step::Handshake,
            deadline: now.checked_add(config.connect_timeout),
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            delayed_drains: Vec::new(),
        }
    }

    pub(super) fn step(&self) -> Step {
        self.step
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        // the leg has one of its own until its handshake is done, if there are other addresses
        earlier(self.deadline, self.leg.connect_deadline())
    }

    /// Whether two servers know of the session.
    pub(super) fn has_joined(&self) -> bool {
        self.step != Step::Handshake
    }

    /// Where changes of subscriptions are written for the next server, while both are told.
    pub(super) fn joined_mut(&mut self) -> Option<&mut Vec<u8>> {
        let is_joined = matches!(self.step, Step::Joining | Step::Overlapping);
        is_joined.then(|| self.leg.first_mut())
    }

    /// Whether there is room for more of what waits.
    pub(super) fn has_room(&self) -> bool {
        self.arrived_bytes < MAX_WAITING
    }

    /// The next server is being told of the subscriptions.
    pub(super) fn begin_joining(&mut self) {
        self.step = Step::Joining;
    }

    /// The next server has answered the fence after the subscriptions.
    pub(super) fn handle_pong(&mut self) {
        if self.step == Step::Joining {
            self.step = Step::Overlapping;
            self.deadline = self.leg.last_read().map(|now| now + OVERLAP);
        }
    }

    /// The old server is told to stop, and has to answer before the timeout.
    pub(super) fn begin_leaving(&mut self, timeout: Duration, now: Instant) {
        self.step = Step::Leaving;
        self.deadline = now.checked_add(timeout);
    }

    /// Keeps a message that the old server may deliver too. Returns the limit if it is exceeded.
    pub(super) fn keep(&mut self, message: &Message) -> Result<(), usize> {
        self.arrived_bytes += message.len() + OVERHEAD;
        self.arrived.push_back(message.clone());
        // after the leave there is no way back to the old server
        let is_exceeded = self.arrived_bytes > MAX_WAITING && self.step != Step::Leaving;
        if is_exceeded { Err(MAX_WAITING) } else { Ok(()) }
    }

    pub(super) fn take_arrived(&mut self) -> VecDeque<Message> {
        self.arrived_bytes = 0;
        std::mem::take(&mut self.arrived)
    }
}
