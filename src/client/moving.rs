//! A move to another server: a second link beside the first, until it takes its place.
//!
//! The session decides what is said on it and when; see `NextServer` of the protocol.

use super::connection::{Budget, Connection};
use super::connector::{self, Connector, Identity};
use super::driver::Driver;
use super::link::{self, Link};
use super::transport::ReadOutcome;
use crate::event_loop::{Readiness, Slot};
use evnats_protocol::{DisconnectReason, Phase, PoolServer};
use mio::Token;
use std::io;
use std::time::Instant;

/// The way to the server that is being moved to.
pub(super) struct NextLink {
    server: PoolServer,
    link: Link,
}

impl Driver {
    /// Does what the next server waits for. Says whether there may be something new.
    pub(super) fn serve_next(&self, now: Instant, budget: &mut Budget) -> bool {
        let mut connection = self.connection.borrow_mut();
        let Connection { session, next: Some(next), connector: Some(connector), .. } =
            &mut *connection
        else {
            return false;
        };
        let Some(next_server) = session.next_server() else { return false };
        match next_server.phase() {
            Phase::AwaitingTls if matches!(next.link, Link::Open(_)) => {
                let layer = connector.tls_layer(&next.server);
                let secured = next.link.secure(&layer);
                connection.check_next(secured);
                connection.advance_next(self.slot());
                true
            }
            Phase::AwaitingAuthentication => {
                let info = next_server.server_info().cloned().unwrap_or_default();
                let identity = Identity::new(Some(&next.server), self.credentials.as_ref());
                drop(connection);
                // user code
                let answer = identity.answer(&info);
                let mut connection = self.connection.borrow_mut();
                match (connection.session.next_server(), answer) {
                    (Some(mut next), Ok(answer)) => next.authenticate(answer),
                    (Some(mut next), Err(reason)) => next.handle_disconnected(reason),
                    (None, _) => {}
                }
                true
            }
            _ => connection.read_next(now, budget),
        }
    }
}

impl Connection {
    /// Sets out for another server, if one is known.
    pub(super) fn begin_move(&mut self, slot: &Slot, now: Instant) {
        // own messages would come back by way of the other server
        let is_possible = self.echo && self.next.is_none();
        let Some(connector) = self.connector.as_mut().filter(|_| is_possible) else { return };
        let Some(server) = connector.refuge() else { return };
        self.session.begin_move(now);
        if self.session.next_server().is_none() {
            return;
        }
        log::info!("moving to {}", server.url);
        let layers = connector.layers(&server);
        match Link::begin(&server.url, layers, slot) {
            Ok(link) => self.next = Some(NextLink { server, link }),
            Err(error) => self.check_next(Err(error)),
        }
    }

    pub(super) fn advance_next(&mut self, slot: &Slot) {
        let (Some(next), Some(connector)) = (&mut self.next, &self.connector) else { return };
        let progress = next.link.advance(slot);
        let security = connector.security(&next.server);
        let Some(mut next_server) = self.session.next_server() else { return };
        match progress {
            Ok(link::Progress::Connected) => next_server.handle_connected(security),
            Ok(link::Progress::Secured) => next_server.handle_secured(),
            Ok(link::Progress::Underway | link::Progress::Rest) => {}
            Err(error) => self.check_next(Err(error)),
        }
    }

    /// Reads once, if the budget allows it. Returns whether there is something new.
    fn read_next(&mut self, now: Instant, budget: &mut Budget) -> bool {
        const ROOM: usize = 16 * 1024;
        let Some(NextLink { link: Link::Open(stream), .. }) = &mut self.next else { return false };
        let Some(mut next_server) = self.session.next_server() else { return false };
        if budget.bytes == 0 || !stream.is_readable() || !next_server.wants_read() {
            return false;
        }
        let mut room = [0; ROOM];
        match stream.read(&mut room) {
            Ok(ReadOutcome::Read(count)) => {
                budget.spend(count);
                if let Some(capture) = &mut self.capture {
                    capture.next.read(&room[..count]);
                }
                next_server.handle_bytes(&room[..count], now);
            }
            Ok(ReadOutcome::WouldBlock) => return false,
            Ok(ReadOutcome::End) => next_server.handle_disconnected(DisconnectReason::ServerClosed),
            Err(error) => self.check_next(Err(error)),
        }
        true
    }

    pub(super) fn write_next(&mut self) {
        let Some(NextLink { link: Link::Open(stream), .. }) = &mut self.next else { return };
        let Some(mut next_server) = self.session.next_server() else { return };
        while !next_server.chunk().is_empty() {
            let chunk = next_server.chunk();
            match stream.write(std::iter::once(chunk)) {
                Ok(0) => break,
                Ok(count) => {
                    if let Some(capture) = &mut self.capture {
                        capture.next.wrote(std::iter::once(chunk), count);
                    }
                    next_server.handle_written(count);
                }
                Err(error) => return self.check_next(Err(error)),
            }
        }
        let flushed = if stream.has_unflushed() { stream.flush() } else { Ok(()) };
        self.check_next(flushed);
    }

    fn check_next(&mut self, result: io::Result<()>) {
        let (Err(error), Some(next_server)) = (result, &mut self.session.next_server()) else {
            return;
        };
        next_server.handle_disconnected(connector::reason(&error, "moving"));
    }

    pub(super) fn next_handle_ready(&mut self, id: Token, readiness: Readiness) {
        if let Some(next) = &mut self.next {
            next.link.handle_ready(id, readiness);
        }
    }

    /// Whether the next server has sent something that there is room for.
    pub(super) fn next_has_work(&mut self) -> bool {
        let Some(NextLink { link: Link::Open(stream), .. }) = &self.next else { return false };
        stream.is_readable() && self.session.next_server().is_some_and(|next| next.wants_read())
    }

    /// The next server is the session's server now.
    pub(super) fn finish_move(&mut self, now: Instant) {
        let Some(NextLink { server, link }) = self.next.take() else { return };
        self.close_link();
        self.link = link;
        if let Some(capture) = &mut self.capture {
            capture.handle_moved();
        }
        if let Some(connector) = &mut self.connector {
            connector.pool.handle_moved(&server.url, now);
        }
    }

    pub(super) fn close_next(&mut self) {
        if let Some(mut next) = self.next.take() {
            next.link.close();
        }
    }

    /// Whether there are servers that have not been tried in this move.
    pub(super) fn may_move_elsewhere(&self, failures: usize) -> bool {
        let servers = self.connector.as_ref().map_or(0, |c: &Connector| c.pool.servers().count());
        failures + 1 < servers
    }
}
