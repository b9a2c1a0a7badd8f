//! A move to another server: a second link beside the first, until it takes its place.
//!
//! The session decides what is said on it and when; see `Which::Next` of the protocol. Both links
//! report to the same place in the loop, which makes each of them look a little too often.

use super::connector::{self, Connector, Identity};
use super::core::Core;
use super::inner::Inner;
use super::link::{self, Link};
use super::transport::{ReadOutcome, Stream};
use crate::event_loop::Handle;
use evnats_protocol::{DisconnectReason, Phase, PoolServer, Which};
use mio::{Registry, Token};
use std::io;
use std::time::Instant;

/// The way to the server that is being moved to.
pub(super) struct NextLink {
    server: PoolServer,
    link: Link,
}

impl<S: 'static> Core<S> {
    /// Does what the next server waits for. Says whether there may be something new.
    pub(super) fn serve_next(&self, now: Instant) -> bool {
        let mut inner = self.inner.borrow_mut();
        let Inner { session, next: Some(next), connector: Some(connector), .. } = &mut *inner
        else {
            return false;
        };
        let next_leg = session.leg(Which::Next);
        match next_leg.phase() {
            Phase::AwaitingTls if matches!(next.link, Link::Open(_)) => {
                let layer = connector.tls_layer(&next.server);
                let secured = next.link.secure(&layer);
                inner.check_next(secured);
                inner.advance_next(&self.handle().shared().registry, self.token());
                true
            }
            Phase::AwaitingAuthentication => {
                let info = next_leg.server_info().cloned().unwrap_or_default();
                let identity = Identity::new(Some(&next.server), self.credentials.as_ref());
                drop(inner);
                // user code
                let answer = identity.answer(&info);
                let mut inner = self.inner.borrow_mut();
                let mut next_leg = inner.session.leg(Which::Next);
                match answer {
                    Ok(answer) => next_leg.authenticate(answer),
                    Err(reason) => next_leg.handle_disconnected(reason),
                }
                true
            }
            _ => inner.read_next(now),
        }
    }
}

impl<S: 'static> Inner<S> {
    /// Sets out for another server, if one is known.
    pub(super) fn begin_move(&mut self, handle: &Handle<S>, token: Token, now: Instant) {
        // own messages would come back by way of the other server
        let is_possible = self.echo && self.next.is_none();
        let Some(connector) = self.connector.as_mut().filter(|_| is_possible) else { return };
        let Some(server) = connector.refuge() else { return };
        if !self.session.begin_move(now) {
            return;
        }
        log::info!("moving to {}", server.url);
        let (shared, layers) = (handle.shared(), connector.layers(&server));
        match Link::begin(&server.url, layers, shared.waker(), &shared.registry, token) {
            Ok(link) => self.next = Some(NextLink { server, link }),
            Err(error) => self.check_next(Err(error)),
        }
    }

    pub(super) fn advance_next(&mut self, registry: &Registry, token: Token) {
        let (Some(next), Some(connector)) = (&mut self.next, &self.connector) else { return };
        let progress = next.link.advance(registry, token);
        let security = connector.security(&next.server);
        let mut next_leg = self.session.leg(Which::Next);
        match progress {
            Ok(link::Progress::Connected) => next_leg.handle_connected(security),
            Ok(link::Progress::Secured) => next_leg.handle_secured(),
            Ok(link::Progress::Underway | link::Progress::Rest) => {}
            Err(error) => self.check_next(Err(error)),
        }
    }

    /// Reads once. Says whether there is something new.
    fn read_next(&mut self, now: Instant) -> bool {
        const ROOM: usize = 16 * 1024;
        let Some(NextLink { link: Link::Open(stream), .. }) = &mut self.next else { return false };
        let mut next_leg = self.session.leg(Which::Next);
        if !stream.is_readable() || !next_leg.wants_read() {
            return false;
        }
        let mut room = [0; ROOM];
        match stream.read(&mut room) {
            Ok(ReadOutcome::Read(count)) => {
                if let Some(capture) = &mut self.capture {
                    capture.next.read(&room[..count]);
                }
                next_leg.handle_bytes(&room[..count], now);
            }
            Ok(ReadOutcome::WouldBlock) => return false,
            Ok(ReadOutcome::End) => next_leg.handle_disconnected(DisconnectReason::ServerClosed),
            Err(error) => self.check_next(Err(error)),
        }
        true
    }

    pub(super) fn write_next(&mut self) {
        let Some(NextLink { link: Link::Open(stream), .. }) = &mut self.next else { return };
        let mut next_leg = self.session.leg(Which::Next);
        while next_leg.writable_len() > 0 {
            match stream.write(next_leg.chunks()) {
                Ok(0) => break,
                Ok(count) => {
                    if let Some(capture) = &mut self.capture {
                        capture.next.wrote(next_leg.chunks(), count);
                    }
                    next_leg.handle_written(count);
                }
                Err(error) => return self.check_next(Err(error)),
            }
        }
        let flushed = if stream.has_unflushed() { stream.flush() } else { Ok(()) };
        self.check_next(flushed);
    }

    fn check_next(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            let reason = connector::reason(&error, "moving");
            self.session.leg(Which::Next).handle_disconnected(reason);
        }
    }

    pub(super) fn next_stream(&mut self) -> Option<&mut Stream> {
        self.next.as_mut().and_then(|next| next.link.stream())
    }

    /// Whether the next server has sent something that there is room for.
    pub(super) fn next_has_work(&mut self) -> bool {
        let Some(NextLink { link: Link::Open(stream), .. }) = &self.next else { return false };
        stream.is_readable() && self.session.leg(Which::Next).wants_read()
    }

    /// The next server is the session's server now.
    pub(super) fn finish_move(&mut self, registry: &Registry, now: Instant) {
        let Some(NextLink { server, link }) = self.next.take() else { return };
        self.close_link(registry);
        self.link = link;
        if let Some(capture) = &mut self.capture {
            capture.handle_moved();
        }
        if let Some(connector) = &mut self.connector {
            connector.pool.handle_moved(&server.url, now);
        }
    }

    pub(super) fn close_next(&mut self, registry: &Registry) {
        if let Some(mut next) = self.next.take() {
            next.link.close(registry);
        }
    }

    /// Whether there are servers that have not been tried in this move.
    pub(super) fn may_move_elsewhere(&self, failures: usize) -> bool {
        let servers = self.connector.as_ref().map_or(0, |c: &Connector| c.pool.servers().count());
        failures + 1 < servers
    }
}
