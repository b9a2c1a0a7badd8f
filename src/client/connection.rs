//! The connection of a client: the session, its routes, and what waits to be reported.
//!
//! No user code runs here: what has happened waits in the session as an event.

use super::candidates::Candidates;
use super::capture::{Frame, Wire};
use super::connector::Connector;
use super::error::ConnectionError;
use super::hooks::{ClientSession, Hooks, Notice, OnEnd, OnObserved};
use super::protection::Protection;
use super::route::{Budget, GIVEN, Route};
use crate::callback::CallbackSlot;
use crate::event_loop::{Progress, Readiness, Slot, Transport, earlier};
use evnats_protocol::{DisconnectReason, Phase, PoolServer, SubscriptionId, Which};
use mio::Token;
use slab::Slab;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

pub(super) struct Connection {
    pub(super) session: ClientSession,
    pub(super) hooks: Hooks,
    /// Layers above that are notified of losses and of new connections.
    pub(super) observers: Slab<CallbackSlot<OnObserved>>,
    /// What layers above keep for this client, one of a type.
    pub(super) layers: Vec<Rc<dyn Any>>,
    /// What callbacks are to hear of before anything new.
    pub(super) notices: VecDeque<Notice>,
    /// The user's callbacks for the ends of subscriptions.
    pub(super) on_end: HashMap<SubscriptionId, OnEnd>,
    /// Errors that no call has returned and that have not been reported to the user yet.
    pub(super) reports: VecDeque<ConnectionError>,
    /// Answers that could not be sent.
    pub(super) answers_failed: u64,
    /// `None` for a transport that was given, and cannot be made again.
    pub(super) connector: Option<Connector>,
    protection: Protection,
    /// The way to the server.
    current: Route,
    /// The way to the server that the session is moving to.
    next: Option<Route>,
    /// When the session has something to do, as of the end of the last turn: only turns bring it
    /// forward.
    session_due: Option<Instant>,
    /// Why the session was given up.
    pub(super) given_up: Option<DisconnectReason>,
    /// `run` has returned the reason.
    pub(super) is_end_reported: bool,
    /// How many servers could not be moved to.
    pub(super) failed_moves: usize,
    /// A reconnect was requested; it happens after the data already read has been dispatched.
    pub(super) wants_reconnect: bool,
    /// Whether own messages come back.
    echo: bool,
    /// Servers that were announced and not reported to the user yet.
    pub(super) discovered: Vec<String>,
    /// The user wants to see every frame.
    is_captured: bool,
}

/// What a look for more work has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Something,
    /// Something, and nothing else was there. What its callbacks bring about is for the next turn.
    All,
}

impl Connection {
    pub(super) fn new(
        session: ClientSession,
        connector: Option<Connector>,
        protection: Protection,
        echo: bool,
    ) -> Self {
        Self {
            session,
            hooks: Hooks::default(),
            observers: Slab::new(),
            layers: Vec::new(),
            notices: VecDeque::new(),
            on_end: HashMap::new(),
            reports: VecDeque::new(),
            answers_failed: 0,
            connector,
            protection,
            current: Route::closed(),
            next: None,
            session_due: None,
            given_up: None,
            is_end_reported: false,
            failed_moves: 0,
            wants_reconnect: false,
            echo,
            discovered: Vec::new(),
            is_captured: false,
        }
    }

    /// The server for logs and errors: the one that the client is connected or connecting to, or
    /// was.
    pub(super) fn server(&self) -> String {
        let next = || self.connector.as_ref().map(Connector::server);
        self.current.description().or_else(next).unwrap_or_else(|| GIVEN.into())
    }

    pub(super) fn begin_turn(&mut self, slot: &Slot, now: Instant) {
        if self.session_due.is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
        }
        if self.connector.as_ref().is_some_and(|c| c.due.is_some_and(|due| due <= now)) {
            self.begin_attempt(slot, now);
        }
        let Self { session, protection, current, next, .. } = self;
        current.advance(session, protection, slot);
        if let Some(next) = next {
            next.advance(session, protection, slot);
        }
    }

    // ---- the server ---------------------------------------------------------------------------

    /// Uses a transport that is open already, to a server that a URL may have named.
    pub(super) fn open(
        &mut self,
        transport: Box<dyn Transport>,
        server: Option<PoolServer>,
        slot: &Slot,
        now: Instant,
    ) {
        self.session.handle_connecting(now);
        self.current = Route::open(transport, server, &mut self.session, &self.protection, slot);
    }

    /// Sets out for the current server.
    fn begin_attempt(&mut self, slot: &Slot, now: Instant) {
        let Some(connector) = &mut self.connector else { return };
        connector.due = None;
        if self.session.phase() != Phase::Connecting {
            return;
        }
        let Some(server) = connector.pool.current().cloned() else {
            return self.give_up(DisconnectReason::NoServers);
        };
        log::debug!("connecting to {}", server.url);
        let candidates = connector.begin(now);
        self.session.handle_connecting(now);
        self.current = self.set_out(Which::Current, server, candidates, slot);
    }

    /// A route to a server. If it cannot even begin, the session has been notified.
    fn set_out(
        &mut self,
        which: Which,
        server: PoolServer,
        candidates: Candidates,
        slot: &Slot,
    ) -> Route {
        let mut route = Route::new(which, server, candidates);
        if self.is_captured {
            route.capture();
        }
        route.begin(&mut self.session, &self.protection, slot);
        route
    }

    /// An attempt has failed. If the server has addresses that have not been tried, the next one is
    /// tried at once. Returns whether that is so.
    pub(super) fn retry_elsewhere(&mut self, now: Instant) -> bool {
        let candidates = self.current.take_candidates();
        let (Some(connector), Some(candidates)) = (&mut self.connector, candidates) else {
            return false;
        };
        connector.retry(candidates, now);
        true
    }

    /// There will be no other connection.
    pub(super) fn give_up(&mut self, reason: DisconnectReason) {
        if let Some(connector) = &mut self.connector {
            connector.due = None;
        }
        self.given_up = Some(reason.clone());
        self.session.give_up(reason);
    }

    /// Closes the ways to servers.
    pub(super) fn close_routes(&mut self) {
        self.current.close();
        self.close_next();
    }

    // ---- another server -----------------------------------------------------------------------

    /// Sets out for another server, if one is known, which takes the place of the current one.
    pub(super) fn begin_move(&mut self, slot: &Slot, now: Instant) {
        // own messages would come back by way of the other server
        let is_possible = self.echo && self.next.is_none();
        let Some(connector) = self.connector.as_mut().filter(|_| is_possible) else { return };
        let Some(server) = connector.next_server_for_move() else { return };
        let candidates = connector.candidates(now);
        self.move_to(server, candidates, slot, now);
    }

    fn move_to(&mut self, server: PoolServer, candidates: Candidates, slot: &Slot, now: Instant) {
        if self.session.begin_move(now) {
            log::info!("moving to {}", server.url);
            self.next = Some(self.set_out(Which::Next, server, candidates, slot));
        }
    }

    /// A move has failed. If the server has addresses that have not been tried, the next one is
    /// tried. Returns whether that is so.
    pub(super) fn move_elsewhere(&mut self, slot: &Slot, now: Instant) -> bool {
        let Some(mut next) = self.next.take() else { return false };
        let (candidates, server) = (next.take_candidates(), next.server().cloned());
        next.close();
        let (Some(candidates), Some(server)) = (candidates, server) else { return false };
        self.move_to(server, candidates, slot, now);
        self.next.is_some()
    }

    /// The next server is the session's server now.
    pub(super) fn finish_move(&mut self, now: Instant) {
        let Some(next) = self.next.take() else { return };
        let old = std::mem::replace(&mut self.current, Route::closed());
        self.current = next.succeed(old);
        if let (Some(connector), Some(server)) = (&mut self.connector, self.current.server()) {
            connector.pool.handle_moved(&server.url, now);
        }
    }

    pub(super) fn close_next(&mut self) {
        if let Some(mut next) = self.next.take() {
            next.close();
        }
    }

    /// Whether there are servers that have not been tried in this move.
    pub(super) fn may_move_elsewhere(&self) -> bool {
        let servers = self.connector.as_ref().map_or(0, |c| c.pool.servers().count());
        self.failed_moves + 1 < servers
    }

    // ---- bytes --------------------------------------------------------------------------------

    pub(super) fn route(&self, which: Which) -> Option<&Route> {
        match which {
            Which::Current => Some(&self.current),
            Which::Next => self.next.as_ref(),
        }
    }

    /// Puts TLS around a transport, as the session asks for.
    pub(super) fn begin_tls(&mut self, which: Which, slot: &Slot) {
        let Self { session, protection, current, next, .. } = self;
        if let Some(route) = pick(current, next, which) {
            route.begin_tls(session, protection, slot);
        }
    }

    /// Reads once from the server, if that is all that may bring something. `None` if it is not.
    #[inline(never)]
    pub(super) fn read_if_all(&mut self, now: Instant, budget: &mut Budget) -> Option<Found> {
        if !self.may_only_read() {
            return None;
        }
        Some(match self.current.read(&mut self.session, now, budget) {
            false => Found::Nothing,
            true if self.current.is_readable() => Found::Something,
            true => Found::All,
        })
    }

    /// Reads once, if the stream and the budget allow it. Returns whether there is something new.
    pub(super) fn read(&mut self, which: Which, now: Instant, budget: &mut Budget) -> bool {
        let Self { session, current, next, .. } = self;
        pick(current, next, which).is_some_and(|route| route.read(session, now, budget))
    }

    /// Writes commands, if so many are waiting that it is worth a system call within a turn.
    #[inline]
    pub(super) fn write_if_much(&mut self) {
        if self.session.buffered_len() >= self.current.write_mark() {
            self.write_commands();
        }
    }

    /// Writes commands as far as the stream takes them.
    pub(super) fn write_commands(&mut self) {
        self.current.write(&mut self.session);
    }

    /// Writes what was commanded, at the end of a turn.
    pub(super) fn settle(&mut self, now: Instant) -> Progress {
        self.session.handle_turn(now);
        let Self { session, current, next, .. } = self;
        current.settle(session);
        if let Some(next) = next {
            next.settle(session);
        }
        self.session_due = self.session.next_deadline();
        self.progress()
    }

    /// What the connection waits for. The clocks of what was commanded have been started.
    fn progress(&mut self) -> Progress {
        if !self.may_only_read() {
            return self.unusual_progress();
        }
        // no way to a server is being made, so none has a time of its own
        match self.has_news() || self.current.is_readable() {
            true => Progress::More,
            false => Progress::Idle(self.session_due),
        }
    }

    #[inline(never)]
    fn unusual_progress(&mut self) -> Progress {
        if self.has_work() {
            Progress::More
        } else if self.session.phase() == Phase::Closed {
            Progress::Over
        } else {
            let connector = self.connector.as_ref().and_then(|connector| connector.due);
            let next = self.next.as_ref().and_then(Route::due);
            let routes = earlier(self.current.due(), next);
            Progress::Idle(earlier(earlier(self.session_due, connector), routes))
        }
    }

    /// Whether there may be something to report that has come already.
    fn has_news(&self) -> bool {
        self.session.may_have_events() || !self.notices.is_empty()
    }

    /// Whether another turn would find something to do without waiting.
    fn has_work(&mut self) -> bool {
        let has_news = self.has_news();
        let Self { session, current, next, .. } = self;
        has_news
            || current.has_work(session)
            || next.as_ref().is_some_and(|next| next.has_work(session))
            || self.is_step_due()
            || self.wants_reconnect
            || !self.discovered.is_empty()
            || !self.reports.is_empty()
    }

    /// Whether a handshake waits for the driver, which had used up its budget.
    fn is_step_due(&mut self) -> bool {
        [Which::Current, Which::Next].into_iter().any(|which| {
            let phase = self.session.leg(which).phase();
            phase == Phase::AwaitingAuthentication
                || phase == Phase::AwaitingTls && self.route(which).is_some_and(Route::is_open)
        })
    }

    pub(super) fn handle_ready(&mut self, id: Token, readiness: Readiness) {
        self.current.handle_ready(id, readiness);
        if let Some(next) = &mut self.next {
            next.handle_ready(id, readiness);
        }
    }

    /// Whether a read from the server is all that may bring something: nearly always.
    fn may_only_read(&self) -> bool {
        self.session.phase() == Phase::Ready
            && self.next.is_none()
            && !self.wants_reconnect
            && !self.has_reports()
    }

    /// Whether the user may have to be told of something that is no event.
    pub(super) fn has_reports(&self) -> bool {
        self.is_captured || !self.discovered.is_empty() || !self.reports.is_empty()
    }

    // ---- frames -------------------------------------------------------------------------------

    /// Begins to capture frames.
    pub(super) fn capture(&mut self) {
        self.is_captured = true;
        self.current.capture();
        if let Some(next) = &mut self.next {
            next.capture();
        }
    }

    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        let Self { current, next, .. } = self;
        let mut wires = current.wire().into_iter().chain(next.as_mut().and_then(Route::wire));
        wires.find_map(Wire::next_frame)
    }
}

fn pick<'r>(
    current: &'r mut Route,
    next: &'r mut Option<Route>,
    which: Which,
) -> Option<&'r mut Route> {
    match which {
        Which::Current => Some(current),
        Which::Next => next.as_mut(),
    }
}
