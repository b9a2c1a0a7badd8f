//! A route: the way to one server, and the bytes on it.
//!
//! A client has one, and a second one while it moves to another server; both have the same
//! operations, each for its own leg of the session. What the bytes mean is the session's business:
//! what has happened waits there as an event.

use super::candidates::Candidates;
use super::capture::Wire;
use super::connector;
use super::hooks::{ClientLeg, ClientSession};
use super::link::{self, Link};
use super::protection::Protection;
use super::stream::{ReadOutcome, Stream};
use crate::event_loop::{Readiness, Slot, Transport};
use evnats_protocol::{DisconnectReason, Phase, PoolServer, Scheme, Which};
use mio::Token;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub(super) struct Route {
    which: Which,
    /// `None` for a transport that was given without a URL.
    server: Option<PoolServer>,
    /// Which of the server's addresses this is the way to, if its URL has a name.
    address: Option<IpAddr>,
    /// The server's addresses that have not been tried.
    candidates: Option<Candidates>,
    link: Link,
    /// What is on the wire, decoded, if the user wants to see it.
    wire: Option<Wire>,
    /// A write has failed. What the server sent before, perhaps the reason, is read first.
    write_error: Option<io::Error>,
    /// A write is tried when this many bytes are waiting, and not before the end of the turn.
    write_mark: usize,
}

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

/// What a transport is called that nobody has named.
pub(super) const GIVEN: &str = "the given transport";

/// Fewer bytes are not worth a system call.
const LEAST_READ: usize = 4 * 1024;

/// Bytes at which a write is worth its system call within a turn.
const WRITE_MARK: usize = 64 * 1024;

impl Route {
    /// No way at all.
    pub(super) fn closed() -> Self {
        Self {
            which: Which::Current,
            server: None,
            address: None,
            candidates: None,
            link: Link::Closed,
            wire: None,
            write_error: None,
            write_mark: WRITE_MARK,
        }
    }

    /// A way to a server that nothing has been done for.
    pub(super) fn new(which: Which, server: PoolServer, candidates: Candidates) -> Self {
        let candidates = Some(candidates);
        Self { which, server: Some(server), candidates, ..Self::closed() }
    }

    /// Takes the first step towards the server.
    pub(super) fn begin(
        &mut self,
        session: &mut ClientSession,
        protection: &Protection,
        slot: &Slot,
    ) {
        if self.has_candidates() {
            return self.begin_next(session, protection, slot);
        }
        let Some(server) = &self.server else { return };
        let (url, layers) = (&server.url, protection.layers(Some(server), slot));
        let begun = match url.host().parse() {
            _ if url.scheme() == Scheme::Unix => Link::connect_unix(url.path(), &layers, slot),
            Ok(address) => Link::connect(SocketAddr::new(address, url.port()), &layers, slot),
            Err(_) => Link::resolve(url.host(), url.port(), slot),
        };
        self.proceed(session, begun);
    }

    /// Begins to connect to the next of the server's addresses.
    fn begin_next(&mut self, session: &mut ClientSession, protection: &Protection, slot: &Slot) {
        let now = slot.event_loop().now();
        let next = self.candidates.as_mut().and_then(|candidates| candidates.next(now));
        let Some((address, deadline)) = next else {
            let reason = "the host name has no address";
            return self.fail(session, &io::Error::new(io::ErrorKind::NotFound, reason));
        };
        self.address = Some(address.ip());
        if let Some(deadline) = deadline {
            session.leg(self.which).limit_connecting(deadline);
        }
        let layers = protection.layers(self.server(), slot);
        self.proceed(session, Link::connect(address, &layers, slot));
    }

    fn proceed(&mut self, session: &mut ClientSession, link: io::Result<Link>) {
        match link {
            Ok(link) => self.link = link,
            Err(error) => self.fail(session, &error),
        }
    }

    fn has_candidates(&self) -> bool {
        self.candidates.as_ref().is_some_and(|candidates| !candidates.is_empty())
    }

    /// The server's addresses that have not been tried, if there are any.
    pub(super) fn take_candidates(&mut self) -> Option<Candidates> {
        self.candidates.take().filter(|candidates| !candidates.is_empty())
    }

    /// A way over a transport that is open already, to a server that a URL may have named.
    pub(super) fn open(
        transport: Box<dyn Transport>,
        server: Option<PoolServer>,
        session: &mut ClientSession,
        protection: &Protection,
        slot: &Slot,
    ) -> Self {
        let mut route = Self { server, ..Self::closed() };
        let layers = protection.layers(route.server(), slot);
        route.proceed(session, Link::open(transport, &layers, slot));
        route.advance(session, protection, slot);
        route
    }

    pub(super) fn server(&self) -> Option<&PoolServer> {
        self.server.as_ref()
    }

    /// The server for logs and errors, with the address that was chosen for its name.
    pub(super) fn description(&self) -> Option<String> {
        let url = &self.server.as_ref()?.url;
        Some(self.address.map_or_else(|| url.to_string(), |address| format!("{url} at {address}")))
    }

    /// Has the bytes decoded from now on, for the user to see.
    pub(super) fn capture(&mut self) {
        self.wire.get_or_insert_default();
    }

    pub(super) fn wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// Whether the transport is open, so that it can be upgraded to TLS.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// When there is something to do that no readiness tells of.
    pub(super) fn due(&self) -> Option<Instant> {
        self.link.due()
    }

    /// Bytes that may wait before a write is tried.
    #[inline]
    pub(super) fn write_mark(&self) -> usize {
        self.write_mark
    }

    /// Takes note of what became ready.
    pub(super) fn handle_ready(&mut self, id: Token, readiness: Readiness) {
        self.link.handle_ready(id, readiness);
    }

    /// Goes on with connecting as far as possible without waiting.
    #[inline]
    pub(super) fn advance(
        &mut self,
        session: &mut ClientSession,
        protection: &Protection,
        slot: &Slot,
    ) {
        if self.link.is_on_the_way() {
            self.advance_link(session, protection, slot);
        }
    }

    fn advance_link(&mut self, session: &mut ClientSession, protection: &Protection, slot: &Slot) {
        match self.link.advance(slot) {
            Ok(link::Progress::Resolved(addresses)) => {
                if let Some(candidates) = &mut self.candidates {
                    candidates.fill(addresses, || slot.event_loop().random());
                }
                self.begin_next(session, protection, slot);
            }
            Ok(link::Progress::Connected) => {
                let server = self.server.as_ref();
                if protection.begins_with_tls(server) {
                    protection.handle_secured();
                }
                session.leg(self.which).handle_connected(protection.security(server));
            }
            Ok(link::Progress::Secured) => {
                protection.handle_secured();
                session.leg(self.which).handle_secured();
            }
            Ok(link::Progress::Underway | link::Progress::Rest) => {}
            Err(error) => self.fail(session, &error),
        }
    }

    /// Puts TLS around the transport, as the session asks for.
    pub(super) fn begin_tls(
        &mut self,
        session: &mut ClientSession,
        protection: &Protection,
        slot: &Slot,
    ) {
        if let Err(error) = self.link.secure(&protection.tls_layer(self.server())) {
            return self.fail(session, &error);
        }
        self.advance(session, protection, slot);
    }

    /// Reads once, if the stream and the budget allow it. Returns whether there is something new.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        session: &mut ClientSession,
        now: Instant,
        budget: &mut Budget,
    ) -> bool {
        let Link::Open(stream) = &mut self.link else { return false };
        let mut leg = session.leg(self.which);
        if budget.bytes == 0 || !stream.is_readable() || !leg.wants_read() {
            return false;
        }
        // who wants to see everything sees one read's frames before the next one
        if self.wire.as_ref().is_some_and(|wire| !wire.is_empty()) {
            return false;
        }
        // a buffer that holds a large message may have room for more than a turn is to read
        let room = leg.read_room();
        let len = room.len().min(budget.bytes.max(LEAST_READ));
        let room = &mut room[..len];
        match stream.read(room) {
            Ok(ReadOutcome::Read(count)) => {
                budget.spend(count);
                if let Some(wire) = &mut self.wire {
                    wire.read(&room[..count]);
                }
                leg.handle_read(count, now);
            }
            outcome => match (outcome, self.write_error.take()) {
                (_, Some(error)) | (Err(error), None) => self.fail(session, &error),
                (Ok(ReadOutcome::WouldBlock), None) => return false,
                (Ok(_), None) => leg.handle_disconnected(DisconnectReason::ServerClosed),
            },
        }
        true
    }

    /// Whether another read is worth trying, if the session wants one.
    pub(super) fn is_readable(&self) -> bool {
        matches!(&self.link, Link::Open(stream) if stream.is_readable())
    }

    /// Writes as much as the stream takes, and sends it on its way.
    pub(super) fn settle(&mut self, session: &mut ClientSession) {
        self.write(session);
        self.flush();
    }

    /// Writes as much as the stream takes.
    pub(super) fn write(&mut self, session: &mut ClientSession) {
        let Link::Open(stream) = &mut self.link else { return };
        let mut leg = session.leg(self.which);
        let mut waiting = leg.writable_len();
        while waiting > 0 && self.write_error.is_none() {
            let written = match leg.only_chunk() {
                Some(chunk) => stream.write(chunk),
                None => write_pieces(stream, &leg),
            };
            match written {
                Ok(0) => break,
                Ok(count) => {
                    if let Some(wire) = &mut self.wire {
                        capture_written(wire, &leg, count);
                    }
                    leg.handle_written(count);
                    waiting = waiting.saturating_sub(count);
                }
                Err(error) => {
                    self.write_error = Some(error);
                    stream.set_readable();
                }
            }
        }
        self.write_mark = waiting + WRITE_MARK;
    }

    /// Sends what layers around the socket have kept back.
    fn flush(&mut self) {
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
    pub(super) fn has_work(&self, session: &mut ClientSession) -> bool {
        let may_read = self.is_readable() && session.leg(self.which).wants_read();
        may_read || self.wire.as_ref().is_some_and(|wire| !wire.is_empty())
    }

    /// Closes the way. What was captured on it is kept.
    pub(super) fn close(&mut self) {
        self.link.close();
        let wire = self.wire.take().map(Wire::reset);
        let (server, address) = (self.server.take(), self.address);
        *self = Self { which: self.which, server, address, wire, ..Self::closed() };
    }

    /// The server that the session has moved to is its current one from now on. What was captured
    /// before on the way to the old one comes first.
    pub(super) fn succeed(mut self, mut old: Self) -> Self {
        old.close();
        let captured = old.wire.unwrap_or_default();
        self.wire = self.wire.map(|wire| wire.after(captured));
        self.which = Which::Current;
        self
    }

    /// The transport has failed, or could not be had.
    pub(super) fn fail(&self, session: &mut ClientSession, error: &io::Error) {
        let server = self.description().unwrap_or_else(|| GIVEN.into());
        let mut leg = session.leg(self.which);
        let doing = match leg.phase() {
            Phase::Connecting => format!("cannot connect to {server}"),
            _ => format!("connection to {server}"),
        };
        leg.handle_disconnected(connector::reason(error, &doing));
    }
}

/// Writes what lies in pieces.
#[inline(never)]
fn write_pieces(stream: &mut Stream, leg: &ClientLeg<'_>) -> io::Result<usize> {
    stream.write_pieces(leg.chunks())
}

/// Takes note of what was written of the pieces, for the user to see.
#[inline(never)]
fn capture_written(wire: &mut Wire, leg: &ClientLeg<'_>, count: usize) {
    wire.wrote(leg.chunks(), count);
}
