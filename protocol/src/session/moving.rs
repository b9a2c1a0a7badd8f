//! Moving to another server while the connection to this one still stands.
//!
//! A server that is about to shut down leaves time to move, and the move loses nothing:
//! 1. the session connects to the next server, and subscribes there to all it has (*joining*);
//! 2. for a moment it is subscribed at both, until the cluster knows of it (*overlapping*);
//! 3. it unsubscribes at the old server and sets a fence (*leaving*). Commands wait meanwhile;
//! 4. when the fence is passed, the next server takes the place of the old one.
//!
//! What both servers deliver is delivered once: a message of the one and an equal message of the
//! other within a short time are the same. What the next server delivers waits for the move's end,
//! but for the messages of queue groups, of which nobody gets two, and replies.
//!
//! Requests and fences do not notice. Drains wait for the end of the move.

use super::event::Event;
use super::peer::{Peer, Stage};
use super::{DrainStage, Mux, Phase, Security, Session};
use crate::disconnect::DisconnectReason;
use crate::tables::fences::Purpose;
use crate::tables::requests;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::encode;
use crate::wire::error::{ProtocolError, ServerError, ServerErrorKind};
use crate::wire::info::{Authentication, ServerInfo};
use crate::wire::message::Message;
use crate::wire::op::ServerOp;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Most time between the deliveries of one message by two servers, far more than there is.
const SKEW: Duration = Duration::from_millis(500);
/// Time for a cluster to learn of the new subscriptions, and for what was delivered before it did
/// to be forgotten: of that, the next server delivers nothing.
const OVERLAP: Duration = Duration::from_millis(750);
/// Most bytes that wait for the next server to take its place.
const MOST_WAITING: usize = 16 << 20;
/// What a waiting message takes beside its own bytes.
const OVERHEAD: usize = 128;

pub(super) struct Move {
    peer: Peer,
    step: Step,
    /// When the step has to be over, or, of the overlap, is.
    deadline: Option<Instant>,
    /// What the next server has delivered and the old one may deliver too.
    arrived: VecDeque<Message>,
    arrived_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    ShakingHands,
    Joining,
    Overlapping,
    Leaving,
}

/// What may be delivered twice, because two servers knew of a subscription at the same time. Equal
/// messages have equal numbers.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    /// Messages that the old server has delivered, and the next one may deliver too.
    by_old: Numbers<ByOld>,
    /// How many messages the next server has delivered and the old one has not.
    by_next: Numbers<u32>,
    /// How many of the messages that wait have been delivered by the old server since.
    cancelled: Numbers<u32>,
    /// The old server has been told to stop.
    leaves: bool,
    /// The next server has taken the place of the old one; the numbers are forgotten then.
    ends: Option<Instant>,
}

/// What is known of messages by their numbers. No randomness: the same input, the same output.
type Numbers<T> = HashMap<u64, T, BuildHasherDefault<DefaultHasher>>;

#[derive(Debug)]
struct ByOld {
    /// When they came, of those that the next server has not delivered.
    times: VecDeque<Instant>,
    /// There was more than one.
    is_repeated: bool,
}

/// A drain of a subscription that waits for the end of a move.
pub(super) struct DelayedDrain<F> {
    pub(super) id: SubscriptionId,
    pub(super) timeout: Duration,
    pub(super) context: F,
}

impl Overlap {
    /// The old server delivers a message. It is always new: what the next one delivered waits.
    fn note_old(&mut self, number: u64, now: Instant) {
        if self.leaves && self.by_old.get(&number).is_some_and(|known| known.is_repeated) {
            return;
        }
        if take_one(&mut self.by_next, number) {
            *self.cancelled.entry(number).or_default() += 1;
            return;
        }
        match self.by_old.entry(number) {
            Entry::Vacant(place) => {
                place.insert(ByOld { times: [now].into(), is_repeated: false });
            }
            Entry::Occupied(place) => {
                let ByOld { times, is_repeated } = place.into_mut();
                *is_repeated = true;
                while times.front().is_some_and(|time| now.duration_since(*time) > SKEW) {
                    times.pop_front();
                }
                times.push_back(now);
            }
        }
    }

    /// Whether the old server has just delivered the message that the next one delivers. The
    /// latest delivery is the one that is meant: earlier ones may have been before its time.
    fn is_copy(&mut self, number: u64, now: Instant) -> bool {
        let latest = self.by_old.get_mut(&number).and_then(|known| known.times.pop_back());
        latest.is_some_and(|time| now.saturating_duration_since(time) <= SKEW)
    }

    /// Of several equal messages it cannot be said which had a copy. From here on, where a wrong
    /// guess would lose one, they are all delivered: better some too many than one too few.
    fn handle_leave(&mut self) {
        self.leaves = true;
        for (number, known) in self.by_old.iter_mut().filter(|(_, known)| known.is_repeated) {
            known.times.clear();
            self.by_next.remove(number);
        }
    }
}

fn take_one(counts: &mut Numbers<u32>, number: u64) -> bool {
    match counts.get_mut(&number) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// The server that a session is moving to. It has inputs and outputs of its own, which mean what
/// those of the [`Session`] mean, until [`Event::Moved`] makes it the session's server.
#[derive(Debug)]
pub struct NextServer<'s, S, R, F> {
    session: &'s mut Session<S, R, F>,
}

impl<S, R, F> Session<S, R, F> {
    /// Begins to move to another server. Its transport is driven by [`next_server`](Self::next_server).
    /// Does nothing unless the session is connected and not draining. Ends with [`Event::Moved`] or
    /// [`Event::MoveFailed`].
    pub fn begin_move(&mut self, now: Instant) {
        if self.phase() != Phase::Ready || self.moving.is_some() {
            return;
        }
        self.overlap = None;
        let mut peer = Peer::new(&self.config);
        // the move has a deadline of its own, which goes on after the handshake
        peer.handle_connecting(Duration::MAX, now);
        self.moving = Some(Box::new(Move {
            peer,
            step: Step::ShakingHands,
            deadline: now.checked_add(self.config.connect_timeout),
            arrived: VecDeque::new(),
            arrived_bytes: 0,
        }));
    }

    /// The server that the session is moving to, if it is.
    pub fn next_server(&mut self) -> Option<NextServer<'_, S, R, F>> {
        self.moving.is_some().then_some(NextServer { session: self })
    }

    /// Whether two servers know of the session.
    pub(super) fn is_moving(&self) -> bool {
        self.moving.as_ref().is_some_and(|moving| moving.step != Step::ShakingHands)
    }

    /// Where a subscription is to be told to the next server as well.
    pub(super) fn joined(&mut self) -> Option<&mut Vec<u8>> {
        let moving = self.moving.as_mut()?;
        let is_joined = matches!(moving.step, Step::Joining | Step::Overlapping);
        is_joined.then_some(&mut *moving.peer.first)
    }

    /// The next server has been told of a subscription.
    pub(super) fn mark_joined(&mut self, id: SubscriptionId) {
        if let Some(entry) = self.subscriptions.get_mut(id) {
            entry.received_at_join = Some(entry.received);
        }
    }

    pub(super) fn move_deadline(&self) -> Option<Instant> {
        let moving = self.moving.as_ref().and_then(|moving| moving.deadline);
        let overlap = self.overlap.as_ref().and_then(|overlap| overlap.ends);
        moving.into_iter().chain(overlap).min()
    }

    pub(super) fn handle_move_timeout(&mut self, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if let Some(moving) = self.moving.as_ref().filter(|moving| is_due(moving.deadline)) {
            match moving.step {
                Step::ShakingHands | Step::Joining => {
                    self.fail_move(DisconnectReason::ConnectTimeout);
                }
                Step::Overlapping => self.leave(now),
                Step::Leaving => self.lose_connection(DisconnectReason::Stale),
            }
        }
        if self.overlap.as_ref().is_some_and(|overlap| is_due(overlap.ends)) {
            self.overlap = None;
        }
    }

    /// Deals with what the next server has sent. Returns a message if there is one to deliver.
    #[cold]
    pub(super) fn advance_move(&mut self) -> Option<Event<S, R, F>> {
        while let Some(moving) = &mut self.moving {
            if !moving.peer.is_listening() {
                return None;
            }
            match moving.peer.decoder.next_op() {
                Ok(Some(ServerOp::Message(message))) if moving.step != Step::ShakingHands => {
                    if let Some(event) = self.handle_next_message(message) {
                        return Some(event);
                    }
                }
                Ok(Some(op)) => self.handle_next_op(op),
                Ok(None) => return None,
                Err(error) => self.fail_move(DisconnectReason::Protocol(error)),
            }
        }
        None
    }

    fn handle_next_message(&mut self, message: Message) -> Option<Event<S, R, F>> {
        let id = SubscriptionId::from_sid(message.sid());
        let entry = id.and_then(|id| self.subscriptions.get(id));
        if message.sid() == requests::INBOX_SID || entry.is_some_and(|entry| entry.queue.is_some())
        {
            return self.handle_early_message(message);
        }
        let moving = self.moving.as_mut()?;
        let now = moving.peer.last_read?;
        let overlap = self.overlap.get_or_insert_default();
        let number = number(&message);
        if overlap.is_copy(number, now) {
            self.statistics.duplicates += 1;
            return None;
        }
        *overlap.by_next.entry(number).or_default() += 1;
        moving.arrived_bytes += message.len() + OVERHEAD;
        moving.arrived.push_back(message.detached());
        if moving.arrived_bytes > MOST_WAITING && moving.step != Step::Leaving {
            self.fail_move(DisconnectReason::Unsupported("less traffic during a move"));
        }
        None
    }

    fn handle_next_op(&mut self, op: ServerOp) {
        let Some(moving) = &mut self.moving else { return };
        if moving.step == Step::ShakingHands {
            return match moving.peer.handshake(op, &self.config) {
                Ok(true) => self.join(),
                Ok(false) => {}
                Err(reason) => self.fail_move(reason),
            };
        }
        match op {
            ServerOp::Pong if moving.step == Step::Joining => {
                moving.step = Step::Overlapping;
                moving.deadline = moving.peer.last_read.map(|now| now + OVERLAP);
            }
            ServerOp::Ping => {
                encode::answer_ping(&mut moving.peer.first, self.config.max_buffered);
            }
            ServerOp::Info(info) => moving.peer.info = *info,
            ServerOp::Error(error) => self.handle_next_error(error),
            // messages do not come here
            ServerOp::Pong | ServerOp::Ok | ServerOp::Message(_) => {}
        }
    }

    fn handle_next_error(&mut self, error: ServerError) {
        match error.kind() {
            ServerErrorKind::PermissionsViolation => self.handle_server_error(error),
            _ => self.fail_move(DisconnectReason::Server(error)),
        }
    }

    /// The handshake with the next server is done: tells it what the session has.
    fn join(&mut self) {
        let limit = self.max_payload();
        let Some(moving) = &mut self.moving else { return };
        let max_payload = usize::try_from(moving.peer.info.max_payload).unwrap_or(0);
        if max_payload < limit && max_payload > 0 {
            // what was taken already might not fit it
            return self.fail_move(DisconnectReason::Unsupported("smaller messages"));
        }
        moving.step = Step::Joining;
        let out = &mut *moving.peer.first;
        if self.mux == Mux::Subscribed {
            requests::subscribe_inbox(out, &self.inbox);
        }
        for (id, entry) in self.subscriptions.iter_mut() {
            if entry.draining || entry.has_all() {
                continue;
            }
            entry.received_at_join = Some(entry.received);
            entry.encode(id, entry.next_server_max(), out);
        }
        out.extend_from_slice(encode::PING);
        self.overlap = Some(Box::default());
    }

    /// Takes leave of the old server: what it still sends is delivered before the fence is passed.
    fn leave(&mut self, now: Instant) {
        let Some(moving) = &mut self.moving else { return };
        moving.step = Step::Leaving;
        self.overlap.get_or_insert_default().handle_leave();
        moving.deadline = now.checked_add(self.config.connect_timeout);
        for (id, entry) in self.subscriptions.iter_mut() {
            if !entry.draining {
                let sid = id.sid();
                encode::unsubscribe(self.outgoing.buffer(), sid, None);
                // the next server has been told of it
                entry.position = None;
            }
        }
        self.push_fence(Purpose::Leave);
        self.outgoing.hold();
    }

    /// The old server has answered the last fence.
    pub(super) fn pass_leave(&mut self) {
        if self.outgoing.writable_len() > 0 {
            // it cannot have read what has not been written
            let (verb, phase) = ("PONG", "a move");
            let error = ProtocolError::Unexpected { verb, phase };
            return self.lose_connection(DisconnectReason::Protocol(error));
        }
        self.finish_move();
    }

    /// The old server has nothing more to say: the next one takes its place.
    fn finish_move(&mut self) {
        let Some(moving) = self.moving.take() else { return };
        let now = self.peer.last_read;
        self.peer = moving.peer;
        self.outgoing.release();
        let overlap = self.overlap.get_or_insert_default();
        overlap.ends = now.map(|now| now + SKEW);
        let cancelled = &mut overlap.cancelled;
        let arrived = moving.arrived.len();
        let waits = moving.arrived.into_iter();
        self.backlog = waits.filter(|message| !take_one(cancelled, number(message))).collect();
        self.statistics.duplicates += (arrived - self.backlog.len()) as u64;
        for (_, entry) in self.subscriptions.iter_mut() {
            if let Some(received) = entry.received_at_join.take() {
                entry.received_before = received;
                entry.has_moved = true;
            }
        }
        self.statistics.reconnects += 1;
        self.events.push_back(Event::Moved);
        self.report_lame_duck();
        self.end_delay();
    }

    fn fail_move(&mut self, reason: DisconnectReason) {
        let Some(moving) = &self.moving else { return };
        if moving.step == Step::Leaving {
            // the old server has been told to stop
            return self.lose_connection(reason);
        }
        self.forget_move();
        self.events.push_back(Event::MoveFailed(reason));
        self.end_delay();
    }

    /// Drains that have waited for the end of the move begin.
    fn end_delay(&mut self) {
        for DelayedDrain { id, timeout, context } in std::mem::take(&mut self.delayed_drains) {
            self.drain_subscription(id, timeout, context);
        }
        if self.drain == Some(DrainStage::Requested) && self.is_open() {
            self.begin_drain();
        }
    }

    /// Drains that have waited are lost with the connection.
    pub(super) fn abandon_delayed_drains(&mut self) {
        for DelayedDrain { id, timeout, context } in std::mem::take(&mut self.delayed_drains) {
            if let Some(entry) = self.subscriptions.get_mut(id) {
                entry.draining = true;
            }
            self.fences.push(Purpose::Drain { subscription: id, context, timeout });
        }
    }

    /// A drain begins before the next server knows of anything.
    pub(super) fn stop_move(&mut self) {
        self.fail_move(DisconnectReason::Requested);
    }

    /// Nothing is left of a move, and of what came of one.
    pub(super) fn forget_move(&mut self) {
        if self.moving.take().is_some() {
            self.subscriptions.iter_mut().for_each(|(_, entry)| entry.received_at_join = None);
        }
        self.overlap = None;
        self.outgoing.release();
    }

    /// Whether the next server has sent something that is to be looked at now.
    pub(super) fn has_news_of_move(&self) -> bool {
        self.moving
            .as_ref()
            .is_some_and(|moving| moving.peer.is_listening() && moving.peer.decoder.has_news())
    }

    /// Whether a message of the server of today is to be delivered, and has not been by the one
    /// before.
    #[cold]
    pub(super) fn is_new(&mut self, message: &Message) -> bool {
        let id = SubscriptionId::from_sid(message.sid());
        let entry = id.and_then(|id| self.subscriptions.get(id));
        // the members of a queue group share, they do not each get all
        let is_plain = entry.is_some_and(|entry| entry.queue.is_none());
        let (Some(overlap), Some(now), true) = (&mut self.overlap, self.peer.last_read, is_plain)
        else {
            return true;
        };
        match overlap.ends {
            Some(_) => !overlap.is_copy(number(message), now),
            None => {
                overlap.note_old(number(message), now);
                true
            }
        }
    }
}

/// A number for everything that a subscriber sees of a message.
fn number(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.sid().hash(&mut hasher);
    message.subject_bytes().hash(&mut hasher);
    message.reply_bytes().hash(&mut hasher);
    message.headers().as_bytes().hash(&mut hasher);
    message.payload().hash(&mut hasher);
    hasher.finish()
}

impl<S, R, F> NextServer<'_, S, R, F> {
    fn moving(&mut self) -> Option<&mut Move> {
        self.session.moving.as_deref_mut()
    }

    /// Where the connection to it stands: up to [`Phase::AwaitingPong`] the handshake, then
    /// [`Phase::Ready`].
    pub fn phase(&self) -> Phase {
        match self.session.moving.as_ref().map(|moving| moving.peer.stage) {
            None => Phase::Closed,
            Some(Stage::Idle | Stage::Connecting) => Phase::Connecting,
            Some(Stage::AwaitingInfo) => Phase::AwaitingInfo,
            Some(Stage::AwaitingTls) => Phase::AwaitingTls,
            Some(Stage::AwaitingAuthentication) => Phase::AwaitingAuthentication,
            Some(Stage::AwaitingPong) => Phase::AwaitingPong,
            Some(Stage::Open) => Phase::Ready,
        }
    }

    /// Its `INFO`.
    pub fn server_info(&self) -> Option<&ServerInfo> {
        let peer = &self.session.moving.as_ref()?.peer;
        peer.info_seen.then_some(&peer.info)
    }

    /// Its transport is open.
    pub fn handle_connected(&mut self, security: Security) {
        if let Some(moving) = self.moving() {
            moving.peer.handle_connected(security);
        }
    }

    /// Its transport has been upgraded to TLS.
    pub fn handle_secured(&mut self) {
        let Session { moving: Some(moving), config, .. } = &mut *self.session else { return };
        if let Err(reason) = moving.peer.handle_secured(config) {
            self.session.fail_move(reason);
        }
    }

    /// Says to it who the client is.
    pub fn authenticate(&mut self, authentication: Authentication) {
        let Session { moving: Some(moving), config, .. } = &mut *self.session else { return };
        if let Err(reason) = moving.peer.authenticate(authentication, config) {
            self.session.fail_move(reason);
        }
    }

    /// Whether it makes sense to read from it now. There is a limit to what waits.
    pub fn wants_read(&self) -> bool {
        let moving = self.session.moving.as_ref();
        moving.is_some_and(|moving| moving.arrived_bytes < MOST_WAITING)
    }

    /// It has sent bytes.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if let Some(moving) = self.moving() {
            moving.peer.last_read = Some(now);
            moving.peer.decoder.feed(bytes);
        }
    }

    /// What is to be written to it.
    pub fn chunk(&self) -> &[u8] {
        self.session.moving.as_ref().map_or(&[], |moving| &moving.peer.first)
    }

    /// It has taken the first `count` bytes of the chunk.
    pub fn handle_written(&mut self, count: usize) {
        if let Some(moving) = self.moving() {
            moving.peer.consume_first(count.min(moving.peer.first.len()));
        }
    }

    /// Its transport is gone, or could not be had.
    pub fn handle_disconnected(&mut self, reason: DisconnectReason) {
        self.session.fail_move(reason);
    }
}
