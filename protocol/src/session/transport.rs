//! The session's side of its transports: one set of operations for either leg.
//!
//! Invariant: an operation on a leg that does not exist changes nothing, so a driver does not have
//! to know that a move has failed before it polls the event.

use super::config::SessionConfig;
use super::leg::{Leg, Phase, Security};
use super::state::Session;
use crate::disconnect::DisconnectReason;
use crate::wire::info::{Authentication, ServerInfo};
use std::time::Instant;

/// One of the session's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// The connection that commands go to.
    Current,
    /// The connection to the server that the session is moving to, from [`Session::begin_move`]
    /// until [`Event::Moved`](crate::Event::Moved) makes it the current one or
    /// [`Event::MoveFailed`](crate::Event::MoveFailed) ends it.
    Next,
}

/// One of the session's connections, lent for its transport to be driven.
///
/// Both legs have the same operations. On a leg that does not exist they do nothing:
/// [`phase`](Self::phase) is [`Phase::Closed`], there is nothing to write and no room to read.
#[derive(Debug)]
pub struct LegMut<'s, S, R, F> {
    session: &'s mut Session<S, R, F>,
    which: Which,
}

impl<S, R, F> Session<S, R, F> {
    /// Begins an attempt to connect: the connect timeout starts now. Every attempt begins like
    /// this, and ends with [`Event::Connected`](crate::Event::Connected),
    /// [`Event::Reconnected`](crate::Event::Reconnected) or
    /// [`Event::ConnectFailed`](crate::Event::ConnectFailed). Does nothing if there is a connection
    /// or an attempt already, or if the session is over.
    pub fn handle_connecting(&mut self, now: Instant) {
        if !self.life.is_over() {
            self.current.handle_connecting(self.config.connect_timeout, now);
        }
    }

    /// One of the session's two connections, to drive its transport.
    #[inline]
    #[must_use]
    pub fn leg(&mut self, which: Which) -> LegMut<'_, S, R, F> {
        LegMut { session: self, which }
    }

    fn lose_leg(&mut self, which: Which, reason: DisconnectReason) {
        match which {
            Which::Current => self.lose_connection(reason),
            Which::Next => self.fail_move(reason),
        }
    }
}

impl<S, R, F> LegMut<'_, S, R, F> {
    /// How far the connection is. The next leg goes up to [`Phase::Ready`].
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.which {
            Which::Current => self.session.phase(),
            Which::Next => self.leg().map_or(Phase::Closed, Leg::phase),
        }
    }

    /// The server's last `INFO`, once it has sent one.
    #[must_use]
    pub fn server_info(&self) -> Option<&ServerInfo> {
        self.leg()?.server_info()
    }

    // ---- the handshake ------------------------------------------------------------------------

    /// The attempt to connect has to be complete by this time, if that is earlier than the connect
    /// timeout: there are other addresses to be tried. Ignored once the handshake is done.
    pub fn limit_connecting(&mut self, deadline: Instant) {
        if let Some(leg) = self.leg_mut() {
            leg.limit_connecting(deadline);
        }
    }

    /// The transport is open. What the server sends goes into [`read_room`](Self::read_room).
    /// Ignored unless the leg is [`Phase::Connecting`] and an attempt was begun.
    pub fn handle_connected(&mut self, security: Security) {
        if let Some(leg) = self.leg_mut() {
            leg.handle_connected(security);
        }
    }

    /// The transport has been upgraded to TLS, as [`Phase::AwaitingTls`] asked for. Ignored in any
    /// other phase.
    pub fn handle_secured(&mut self) {
        let Some((leg, config)) = self.leg_and_config() else { return };
        if let Err(reason) = leg.handle_secured(config) {
            self.session.lose_leg(self.which, reason);
        }
    }

    /// Supplies the credentials, as [`Phase::AwaitingAuthentication`] asked for. Ignored in any
    /// other phase.
    pub fn authenticate(&mut self, authentication: Authentication) {
        let Some((leg, config)) = self.leg_and_config() else { return };
        if let Err(reason) = leg.authenticate(authentication, config) {
            self.session.lose_leg(self.which, reason);
        }
    }

    // ---- bytes --------------------------------------------------------------------------------

    /// Whether it makes sense to read from the transport now. Not before it is open, not while it
    /// is to be upgraded to TLS, and from the next server only while there is room for messages
    /// that wait for the end of the move (16 MiB).
    #[must_use]
    pub fn wants_read(&self) -> bool {
        let is_open = self.leg().is_some_and(Leg::wants_read);
        let has_room = match self.which {
            Which::Current => true,
            Which::Next => self.session.handoff.as_ref().is_some_and(|next| next.has_room()),
        };
        is_open && has_room
    }

    /// Room to read into: little on a connection on which little comes, and up to 128 KiB on a busy
    /// one. Report with [`handle_read`](Self::handle_read) how much
    /// of it was used.
    #[inline]
    #[must_use]
    pub fn read_room(&mut self) -> &mut [u8] {
        self.leg_mut().map_or(&mut [], Leg::read_room)
    }

    /// The transport has put `count` bytes into the room.
    #[inline]
    pub fn handle_read(&mut self, count: usize, now: Instant) {
        if let Some(leg) = self.leg_mut() {
            leg.handle_read(count, now);
        }
    }

    /// The transport has delivered bytes that are elsewhere.
    #[inline]
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if let Some(leg) = self.leg_mut() {
            leg.handle_bytes(bytes, now);
        }
    }

    /// What is to be written next, in order.
    #[inline]
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let first = self.leg().map_or(&[][..], Leg::first);
        let first = Some(first).filter(|bytes| !bytes.is_empty());
        let outgoing = self.has_commands().then(|| self.session.outgoing.writable_chunks());
        first.into_iter().chain(outgoing.into_iter().flatten())
    }

    /// All that the chunks have, if it lies in one piece, as it usually does: then this costs a
    /// fraction of looking for the [chunks](Self::chunks).
    #[inline]
    #[must_use]
    pub fn only_chunk(&self) -> Option<&[u8]> {
        let first = self.leg().map_or(&[][..], Leg::first);
        match self.has_commands() {
            false => Some(first),
            true if first.is_empty() => self.session.outgoing.only_chunk(),
            true => None,
        }
    }

    /// How many bytes the chunks have together.
    #[inline]
    #[must_use]
    pub fn writable_len(&self) -> usize {
        let first = self.leg().map_or(0, |leg| leg.first().len());
        first + if self.has_commands() { self.session.outgoing.writable_len() } else { 0 }
    }

    /// The transport has taken the first `count` bytes of the chunks. More than they have counts as
    /// all of them.
    #[inline]
    pub fn handle_written(&mut self, count: usize) {
        let Some(leg) = self.leg_mut() else { return };
        let first = count.min(leg.first().len());
        if first > 0 {
            leg.consume_first(first);
        }
        if self.has_commands() {
            let count = (count - first).min(self.session.outgoing.writable_len());
            if count > 0 {
                self.session.outgoing.consume(count);
            }
            self.session.report_room();
        }
    }

    /// The transport is gone, or could not be opened. Call it when everything that was read before
    /// has been polled.
    pub fn handle_disconnected(&mut self, reason: DisconnectReason) {
        let Some(leg) = self.leg_mut() else { return };
        let reason = leg.reason(reason);
        self.session.lose_leg(self.which, reason);
    }

    #[inline]
    fn leg(&self) -> Option<&Leg> {
        match self.which {
            Which::Current => Some(&self.session.current),
            Which::Next => self.session.handoff.as_deref().map(|handoff| &handoff.leg),
        }
    }

    #[inline]
    fn leg_mut(&mut self) -> Option<&mut Leg> {
        self.leg_and_config().map(|(leg, _)| leg)
    }

    #[inline]
    fn leg_and_config(&mut self) -> Option<(&mut Leg, &SessionConfig)> {
        let Session { current, handoff, config, .. } = &mut *self.session;
        let leg = match self.which {
            Which::Current => current,
            Which::Next => &mut handoff.as_deref_mut()?.leg,
        };
        Some((leg, config))
    }

    /// Whether commands are written on this leg.
    #[inline]
    fn has_commands(&self) -> bool {
        self.which == Which::Current && self.session.is_open()
    }
}
