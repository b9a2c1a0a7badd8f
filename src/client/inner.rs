//! The inside of a client: the session, its link, and the bytes between the two.
//!
//! No user code runs here: what has happened waits in the session as an event.

use super::callbacks::{Hooks, OnFence, OnReply, Subscriber};
use super::capture::Capture;
use super::connector::{self, Connector};
use super::link::{self, Link};
use super::moving::NextLink;
use super::transport::ReadOutcome;
use crate::event_loop::Handle;
use evnats_protocol::{DisconnectReason, Phase, Security, Session, Which};
use mio::{Registry, Token};
use std::io;
use std::time::Instant;

pub(crate) type ClientSession<S> = Session<Subscriber<S>, OnReply<S>, OnFence<S>>;

pub(super) struct Inner<S: 'static> {
    pub(super) session: ClientSession<S>,
    pub(super) hooks: Hooks<S>,
    /// `None` for a transport that was given, and cannot be made again.
    pub(super) connector: Option<Connector>,
    pub(super) link: Link,
    /// The way to the server that the session is moving to.
    pub(super) next: Option<NextLink>,
    /// How many servers could not be moved to.
    pub(super) failed_moves: usize,
    /// Somebody wants another server, once what has been read has had its callbacks.
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

impl<S: 'static> Inner<S> {
    /// For messages to people.
    pub(super) fn server(&self) -> String {
        self.connector.as_ref().map_or_else(|| "the given transport".into(), Connector::server)
    }

    pub(super) fn begin_turn(&mut self, handle: &Handle<S>, token: Token, now: Instant) {
        if self.session.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
        }
        if self.connector.as_ref().is_some_and(|c| c.due.is_some_and(|due| due <= now)) {
            self.begin_attempt(handle, token, now);
        }
        self.advance_link(&handle.shared().registry, token);
        self.advance_next(&handle.shared().registry, token);
    }

    /// Sets out for the current server.
    fn begin_attempt(&mut self, handle: &Handle<S>, token: Token, now: Instant) {
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
        let shared = handle.shared();
        let layers = connector.layers(server);
        match Link::begin(&server.url, layers, shared.waker(), &shared.registry, token) {
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

    pub(super) fn advance_link(&mut self, registry: &Registry, token: Token) {
        match self.link.advance(registry, token) {
            Ok(link::Progress::Connected) => {
                let connector = self.connector.as_ref();
                let server = connector.and_then(|connector| connector.pool.current());
                let security = connector.zip(server).map(|(c, server)| c.security(server));
                let security = security.unwrap_or(Security::Plain);
                self.session.leg(Which::Current).handle_connected(security);
            }
            Ok(link::Progress::Secured) => self.session.leg(Which::Current).handle_secured(),
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

    pub(super) fn close_link(&mut self, registry: &Registry) {
        self.link.close(registry);
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

    /// Reads once, if the stream and the budget allow it. Says whether there is something new.
    pub(super) fn read(&mut self, now: Instant, budget: &mut Budget) -> bool {
        let Link::Open(stream) = &mut self.link else { return false };
        let is_listening = !matches!(self.session.phase(), Phase::Connecting | Phase::Closed);
        if budget.bytes == 0 || !stream.is_readable() || !is_listening {
            return false;
        }
        let mut leg = self.session.leg(Which::Current);
        let room = leg.read_room();
        match stream.read(room) {
            Ok(ReadOutcome::Read(count)) => {
                budget.bytes = budget.bytes.saturating_sub(count);
                if let Some(capture) = &mut self.capture {
                    capture.current.read(&room[..count]);
                }
                leg.handle_read(count, now);
            }
            outcome => match (outcome, self.write_error.take()) {
                (_, Some(error)) | (Err(error), None) => self.fail(&error),
                (Ok(ReadOutcome::WouldBlock), None) => return false,
                (Ok(_), None) => self
                    .session
                    .leg(Which::Current)
                    .handle_disconnected(DisconnectReason::ServerClosed),
            },
        }
        true
    }

    /// Writes as much as the stream takes.
    pub(super) fn write(&mut self) {
        let Link::Open(stream) = &mut self.link else { return };
        let mut leg = self.session.leg(Which::Current);
        while leg.writable_len() > 0 && self.write_error.is_none() {
            match stream.write(leg.chunks()) {
                Ok(0) => break,
                Ok(count) => {
                    if let Some(capture) = &mut self.capture {
                        capture.current.wrote(leg.chunks(), count);
                    }
                    leg.handle_written(count);
                }
                Err(error) => {
                    self.write_error = Some(error);
                    stream.set_readable();
                }
            }
        }
        self.write_mark = leg.writable_len() + WRITE_MARK;
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
    pub(super) fn has_work(&mut self) -> bool {
        let has_frames = self.capture.as_ref().is_some_and(|capture| !capture.is_empty());
        let is_readable = match &self.link {
            Link::Open(stream) => stream.is_readable(),
            _ => false,
        };
        let has_news = has_frames || !self.discovered.is_empty() || self.wants_reconnect;
        self.session.needs_turn() || is_readable || has_news || self.next_has_work()
    }

    pub(super) fn fail(&mut self, error: &io::Error) {
        let doing = match self.session.phase() {
            Phase::Connecting => format!("cannot connect to {}", self.server()),
            _ => format!("connection to {}", self.server()),
        };
        self.session.leg(Which::Current).handle_disconnected(connector::reason(error, &doing));
    }
}
