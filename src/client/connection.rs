//! The connection of a client: the session, its link, and the bytes between the two.
//!
//! No user code runs here: what has happened waits in the session as an event.

use super::capture::Capture;
use super::connector::{self, Connector};
use super::error::ConnectionError;
use super::hooks::{Hooks, OnEnd, OnFence, OnObserved, OnReply, Subscriber};
use super::link::{self, Link};
use super::moving::NextLink;
use super::transport::ReadOutcome;
use crate::callback::CallbackSlot;
use crate::event_loop::{Progress, Slot};
use evnats_protocol::{DisconnectReason, Phase, Security, Session, SubscriptionId};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Instant;

pub(crate) type ClientSession = Session<Subscriber, OnReply, OnFence>;

pub(super) struct Connection {
    pub(super) session: ClientSession,
    pub(super) hooks: Hooks,
    /// Layers above that are told of losses and of new connections.
    pub(super) observers: Slab<CallbackSlot<OnObserved>>,
    /// The user's callbacks for the ends of subscriptions.
    pub(super) on_end: HashMap<SubscriptionId, OnEnd>,
    /// Errors that no call has returned, and that the user has not been told of.
    pub(super) reports: VecDeque<ConnectionError>,
    /// Answers that could not be sent.
    pub(super) answers_failed: u64,
    /// `None` for a transport that was given, and cannot be made again.
    pub(super) connector: Option<Connector>,
    pub(super) link: Link,
    /// The way to the server that the session is moving to.
    pub(super) next: Option<NextLink>,
    /// How many servers could not be moved to.
    pub(super) failed_moves: usize,
    /// A reconnect was requested; it happens after the data already read has been dispatched.
    pub(super) wants_reconnect: bool,
    /// Whether own messages come back.
    pub(super) echo: bool,
    /// Servers that were announced and that the user has not been told of.
    pub(super) discovered: Vec<String>,
    pub(super) capture: Option<Capture>,
    /// A write has failed. What the server sent before, perhaps the reason, is read first.
    pub(super) write_error: Option<io::Error>,
    /// A write is tried when this many bytes are waiting, and not before the end of the turn.
    pub(super) write_mark: usize,
}

/// Bytes at which a write is worth its system call within a turn.
pub(super) const WRITE_MARK: usize = 64 * 1024;

/// What a turn may still do.
pub(super) struct Budget {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Budget {
    /// Bytes were read. A read costs something also if it brings little.
    pub(super) fn spend(&mut self, bytes: usize) {
        const LEAST: usize = 64;
        self.bytes = self.bytes.saturating_sub(bytes.max(LEAST));
    }
}

impl Connection {
    /// The server's name for logs and errors.
    pub(super) fn server(&self) -> String {
        self.connector.as_ref().map_or_else(|| "the given transport".into(), Connector::server)
    }

    pub(super) fn begin_turn(&mut self, slot: &Slot, now: Instant) {
        if self.session.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
        }
        if self.connector.as_ref().is_some_and(|c| c.due.is_some_and(|due| due <= now)) {
            self.begin_attempt(slot, now);
        }
        self.advance_link(slot);
        self.advance_next(slot);
    }

    /// Sets out for the current server.
    fn begin_attempt(&mut self, slot: &Slot, now: Instant) {
        let Some(connector) = &mut self.connector else { return };
        connector.due = None;
        if self.session.phase() != Phase::Connecting {
            return;
        }
        let Some(server) = connector.pool.current() else {
            return self.give_up(DisconnectReason::NoServers);
        };
        log::debug!("connecting to {}", server.url);
        self.session.handle_connecting(now);
        let layers = connector.layers(server);
        match Link::begin(&server.url, layers, slot) {
            Ok(link) => self.link = link,
            Err(error) => self.fail(&error),
        }
    }

    /// There will be no other connection.
    pub(super) fn give_up(&mut self, reason: DisconnectReason) {
        if let Some(connector) = &mut self.connector {
            connector.due = None;
        }
        self.session.give_up(reason);
    }

    pub(super) fn advance_link(&mut self, slot: &Slot) {
        match self.link.advance(slot) {
            Ok(link::Progress::Connected) => {
                let connector = self.connector.as_ref();
                let server = connector.and_then(|connector| connector.pool.current());
                let security = connector.zip(server).map(|(c, server)| c.security(server));
                let security = security.unwrap_or(Security::Plain);
                self.session.handle_connected(security);
            }
            Ok(link::Progress::Secured) => self.session.handle_secured(),
            Ok(link::Progress::Underway | link::Progress::Rest) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// Puts TLS around the stream, as the session asks for.
    pub(super) fn begin_tls(&mut self) {
        let Some(connector) = &self.connector else { return };
        let Some(server) = connector.pool.current() else { return };
        let layer = connector.tls_layer(server);
        if let Err(error) = self.link.secure(&layer) {
            self.fail(&error);
        }
    }

    pub(super) fn close_link(&mut self) {
        self.link.close();
        self.write_error = None;
        self.write_mark = WRITE_MARK;
        if let Some(capture) = &mut self.capture {
            capture.current.reset();
        }
    }

    /// Begins to capture frames.
    pub(super) fn capture(&mut self) {
        self.capture.get_or_insert_default();
    }

    /// Reads once, if the stream and the budget allow it. Returns whether there is something new.
    pub(super) fn read(&mut self, now: Instant, budget: &mut Budget) -> bool {
        let Link::Open(stream) = &mut self.link else { return false };
        let is_listening = !matches!(self.session.phase(), Phase::Connecting | Phase::Closed);
        if budget.bytes == 0 || !stream.is_readable() || !is_listening {
            return false;
        }
        let room = self.session.read_room();
        match stream.read(room) {
            Ok(ReadOutcome::Read(count)) => {
                budget.spend(count);
                if let Some(capture) = &mut self.capture {
                    capture.current.read(&room[..count]);
                }
                self.session.handle_read(count, now);
            }
            outcome => match (outcome, self.write_error.take()) {
                (_, Some(error)) | (Err(error), None) => self.fail(&error),
                (Ok(ReadOutcome::WouldBlock), None) => return false,
                (Ok(_), None) => self.session.handle_disconnected(DisconnectReason::ServerClosed),
            },
        }
        true
    }

    /// Writes as much as the stream takes.
    pub(super) fn write(&mut self) {
        let Link::Open(stream) = &mut self.link else { return };
        while self.session.writable_len() > 0 && self.write_error.is_none() {
            match stream.write(self.session.chunks()) {
                Ok(0) => break,
                Ok(count) => {
                    if let Some(capture) = &mut self.capture {
                        capture.current.wrote(self.session.chunks(), count);
                    }
                    self.session.handle_written(count);
                }
                Err(error) => {
                    self.write_error = Some(error);
                    stream.set_readable();
                }
            }
        }
        self.write_mark = self.session.writable_len() + WRITE_MARK;
    }

    /// Sends what layers around the socket have kept back.
    pub(super) fn flush(&mut self) {
        let Link::Open(stream) = &mut self.link else { return };
        if stream.has_unflushed()
            && self.write_error.is_none()
            && let Err(error) = stream.flush()
        {
            self.write_error = Some(error);
            stream.set_readable();
        }
    }

    /// Whether another turn would find something to do without waiting.
    fn has_work(&mut self) -> bool {
        let has_frames = self.capture.as_ref().is_some_and(|capture| !capture.is_empty());
        let is_readable = match &self.link {
            Link::Open(stream) => stream.is_readable(),
            _ => false,
        };
        let has_news = has_frames
            || !self.discovered.is_empty()
            || !self.reports.is_empty()
            || self.wants_reconnect;
        self.session.needs_turn() || is_readable || has_news || self.next_has_work()
    }

    /// What the connection waits for.
    pub(super) fn progress(&mut self) -> Progress {
        if self.has_work() {
            Progress::More
        } else if self.session.phase() == Phase::Closed {
            Progress::Over
        } else {
            let due = self.connector.as_ref().and_then(|connector| connector.due);
            Progress::Idle(self.session.next_deadline().into_iter().chain(due).min())
        }
    }

    pub(super) fn fail(&mut self, error: &io::Error) {
        let doing = match self.session.phase() {
            Phase::Connecting => format!("cannot connect to {}", self.server()),
            _ => format!("connection to {}", self.server()),
        };
        self.session.handle_disconnected(connector::reason(error, &doing));
    }
}
