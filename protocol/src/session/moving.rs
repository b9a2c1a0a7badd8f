//! Moving to another server while the connection to this one still stands.
//!
//! A server that is about to shut down leaves time to move, and the move loses nothing:
//! 1. the session connects to the next server, and subscribes there to all it has (*joining*);
//! 2. for a moment it is subscribed at both, until the cluster knows of it (*overlapping*);
//! 3. it unsubscribes at the old server and sets a fence (*leaving*). Commands wait meanwhile;
//! 4. when the fence is passed, the next server takes the place of the old one.
//!
//! What both servers deliver is delivered once: what the old one delivers during the overlap is
//! remembered, and taken out of what the next one delivers, which waits for the move's end.
//! Members of queue groups get nothing twice, so nothing of theirs waits, and no reply does.

use super::peer::{Peer, Stage};
use super::{Mux, Phase, Security, Session};
use crate::encode;
use crate::error::{ServerError, ServerErrorKind};
use crate::events::{DisconnectReason, Event};
use crate::fences::Purpose;
use crate::info::{Authentication, ServerInfo};
use crate::op::{Message, ServerOp};
use crate::subscriptions::{MUX_SID, SubscriptionId};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Time for a cluster to learn of new subscriptions, far more than it needs.
const OVERLAP: Duration = Duration::from_millis(250);
/// Time for what the old server has delivered to come from the next one too.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Most bytes that wait for the next server to take its place.
const MOST_WAITING: usize = 16 << 20;

pub(super) struct Move {
    peer: Peer,
    step: Step,
    /// What the next server has delivered and the old one may deliver too.
    arrived: VecDeque<Message>,
    arrived_bytes: usize,
    overlap_ends: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    ShakingHands,
    Joining,
    Overlapping,
    Leaving,
}

/// What may be delivered twice, because two servers knew of a subscription at the same time.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    /// Messages that the old server has delivered, as numbers, and how often.
    seen: HashMap<u64, u32>,
    /// The next server has taken the place of the old one, and the numbers are forgotten then.
    pub(super) ends: Option<Instant>,
    is_over: bool,
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
        if self.phase() != Phase::Ready || self.moving.is_some() || self.overlap.is_some() {
            return;
        }
        let mut peer = Peer::new(&self.config);
        peer.handle_connecting(self.config.connect_timeout, now);
        self.moving = Some(Box::new(Move {
            peer,
            step: Step::ShakingHands,
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            overlap_ends: None,
        }));
    }

    /// The server that the session is moving to, if it is.
    pub fn next_server(&mut self) -> Option<NextServer<'_, S, R, F>> {
        self.moving.is_some().then_some(NextServer { session: self })
    }

    /// Whether two servers know of the session, so that a subscription is to be told to both.
    pub(super) fn joined(&mut self) -> Option<&mut Vec<u8>> {
        let moving = self.moving.as_mut()?;
        let is_joined = matches!(moving.step, Step::Joining | Step::Overlapping);
        is_joined.then_some(&mut *moving.peer.first)
    }

    pub(super) fn move_deadline(&self) -> Option<Instant> {
        let moving = self.moving.iter();
        let moving = moving.flat_map(|moving| [moving.peer.connect_deadline, moving.overlap_ends]);
        let overlap = self.overlap.iter().map(|overlap| overlap.ends);
        moving.chain(overlap).flatten().min()
    }

    pub(super) fn handle_move_timeout(&mut self, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if let Some(moving) = &mut self.moving {
            if is_due(moving.peer.connect_deadline) {
                self.fail_move(DisconnectReason::ConnectTimeout);
            } else if is_due(moving.overlap_ends) {
                self.leave();
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
        if message.sid() == MUX_SID || entry.is_some_and(|entry| entry.queue.is_some()) {
            return self.handle_early_message(message);
        }
        let moving = self.moving.as_mut()?;
        moving.arrived_bytes += message.len();
        moving.arrived.push_back(message.detached());
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
                moving.overlap_ends = moving.peer.last_read.map(|now| now + OVERLAP);
            }
            ServerOp::Ping => moving.peer.first.extend_from_slice(encode::PONG),
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
            let pattern = format!("{}*", self.inbox);
            encode::subscribe(out, pattern.as_bytes(), None, MUX_SID);
        }
        for (key, entry) in self.subscriptions.slots.iter_mut() {
            if entry.draining || entry.has_all() {
                continue;
            }
            let sid = SubscriptionId(key).sid();
            let queue = entry.queue.as_deref().map(str::as_bytes);
            encode::subscribe(out, entry.subject.as_bytes(), queue, sid);
            entry.received_before = entry.received;
            entry.has_moved = true;
            if let Some(max) = entry.server_max() {
                encode::unsubscribe(out, sid, Some(max));
            }
        }
        out.extend_from_slice(encode::PING);
        self.overlap = Some(Box::default());
    }

    /// Takes leave of the old server: what it still sends is delivered before the fence is passed.
    fn leave(&mut self) {
        let Some(moving) = &mut self.moving else { return };
        moving.step = Step::Leaving;
        moving.overlap_ends = None;
        for (key, entry) in self.subscriptions.slots.iter() {
            if !entry.draining {
                let sid = SubscriptionId(key).sid();
                encode::unsubscribe(self.outgoing.buffer(), sid, None);
            }
        }
        self.push_fence(Purpose::Leave);
        self.outgoing.hold();
    }

    /// The old server has nothing more to say: the next one takes its place.
    pub(super) fn finish_move(&mut self) {
        let Some(moving) = self.moving.take() else { return };
        let now = moving.peer.last_read;
        self.peer = moving.peer;
        self.outgoing.release();
        self.backlog = moving.arrived;
        if let Some(overlap) = &mut self.overlap {
            overlap.is_over = true;
            overlap.ends = now.map(|now| now + AFTERMATH);
        }
        self.statistics.reconnects += 1;
        self.events.push_back(Event::Moved);
        self.report_lame_duck();
    }

    fn fail_move(&mut self, reason: DisconnectReason) {
        let Some(moving) = self.moving.take() else { return };
        self.overlap = None;
        if moving.step == Step::Leaving {
            // the old server has been told to stop
            return self.lose_connection(reason);
        }
        self.events.push_back(Event::MoveFailed(reason));
    }

    /// A drain begins: there is no need to move, unless the old server has been left already.
    pub(super) fn stop_move(&mut self) {
        if self.moving.as_ref().is_some_and(|moving| moving.step != Step::Leaving) {
            self.fail_move(DisconnectReason::Requested);
        }
    }

    /// The connection is lost: so is the move.
    pub(super) fn forget_move(&mut self) {
        self.moving = None;
        self.overlap = None;
        self.backlog.clear();
        self.outgoing.release();
    }

    /// Whether the next server has sent something that is to be looked at now.
    pub(super) fn has_news_of_move(&self) -> bool {
        self.moving
            .as_ref()
            .is_some_and(|moving| moving.peer.is_listening() && moving.peer.decoder.has_news())
    }

    /// Whether a message is to be delivered, and has not been by the other server.
    #[cold]
    pub(super) fn is_new(&mut self, message: &Message) -> bool {
        let id = SubscriptionId::from_sid(message.sid());
        let entry = id.and_then(|id| self.subscriptions.get(id));
        let Some(overlap) = self.overlap.as_mut() else { return true };
        // the members of a queue group share, they do not each get all
        if entry.is_none_or(|entry| entry.queue.is_some()) {
            return true;
        }
        let number = number(message);
        if !overlap.is_over {
            *overlap.seen.entry(number).or_default() += 1;
            return true;
        }
        match overlap.seen.get_mut(&number) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
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
            Some(Stage::Idle) => Phase::Connecting,
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
