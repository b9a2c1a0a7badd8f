//! A leg: one connection to one server, from the attempt to make it to its loss.
//!
//! It owns what ends with the connection: the decoder, the handshake, the server's description of
//! itself, the keep-alive. Half an operation of a lost connection is lost with it. What the
//! connection is used for is not its business: subscriptions, requests and fences are the
//! session's.

use super::config::SessionConfig;
use crate::disconnect::DisconnectReason;
use crate::tables::deadlines::earlier;
use crate::wire::decode::{Decoded, Decoder};
use crate::wire::encode;
use crate::wire::error::{ProtocolError, ServerError};
use crate::wire::info::{Authentication, ConnectInfo, ServerInfo};
use crate::wire::message::Message;
use crate::wire::op::ServerOp;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// What may become of a transport that has just been opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// It stays without TLS. A server that requires TLS is refused.
    Plain,
    /// The driver can upgrade it to TLS, if the server requires that.
    Upgradable,
    /// It has to be upgraded to TLS. A server without TLS is refused.
    Demanded,
    /// There is nothing to decide: it is TLS already, or its security is not for the server to
    /// decide, as on a WebSocket.
    Settled,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// There is no transport: not yet, or no longer.
    Connecting,
    /// The server has not introduced itself.
    AwaitingInfo,
    /// The driver has to upgrade the transport to TLS, and then to call
    /// [`handle_secured`](crate::LegMut::handle_secured).
    AwaitingTls,
    /// The driver has to call [`authenticate`](crate::LegMut::authenticate).
    AwaitingAuthentication,
    /// `CONNECT` was sent, and its `PING` is not answered.
    AwaitingPong,
    /// Connected.
    Ready,
    /// Connected; what is pending is being completed, and then the session closes.
    Draining,
    /// The session is over, or it has no such leg.
    Closed,
}

#[derive(Debug)]
pub(super) struct Leg {
    stage: Stage,
    security: Security,
    decoder: Decoder<ServerOp>,
    /// What is written before everything that the user sends: the handshake, and after a reconnect
    /// the subscriptions. It holds secrets.
    first: Zeroizing<Vec<u8>>,
    info: ServerInfo,
    info_seen: bool,
    lame_duck_seen: bool,
    connect_deadline: Option<Instant>,
    next_ping: Option<Instant>,
    pings_outstanding: u32,
    /// Bytes that have been read.
    received: u64,
    /// The answer to a ping is overdue. If it is not within so many bytes, there is none.
    overdue: Option<u64>,
    last_read: Option<Instant>,
    /// The last error that the server reported, perhaps the reason for closing.
    last_error: Option<ServerError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is no transport, and none is being made.
    Idle,
    /// A transport is being made.
    Connecting,
    AwaitingInfo,
    AwaitingTls,
    AwaitingAuthentication,
    AwaitingPong,
    Open,
}

/// What the clock asks of a leg.
#[derive(Debug)]
pub(super) enum Due {
    /// A keep-alive ping is to be sent.
    Ping,
    /// The connection, or the attempt to make it, has taken too long.
    Lost(DisconnectReason),
}

impl Leg {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            stage: Stage::Idle,
            security: Security::Plain,
            decoder: Decoder::new(config.limits),
            first: Zeroizing::default(),
            info: ServerInfo::default(),
            info_seen: false,
            lame_duck_seen: false,
            connect_deadline: None,
            next_ping: None,
            pings_outstanding: 0,
            received: 0,
            overdue: None,
            last_read: None,
            last_error: None,
        }
    }

    // ---- questions ----------------------------------------------------------------------------

    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Idle | Stage::Connecting => Phase::Connecting,
            Stage::AwaitingInfo => Phase::AwaitingInfo,
            Stage::AwaitingTls => Phase::AwaitingTls,
            Stage::AwaitingAuthentication => Phase::AwaitingAuthentication,
            Stage::AwaitingPong => Phase::AwaitingPong,
            Stage::Open => Phase::Ready,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether the handshake is done.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether what the server sends is looked at now.
    #[inline]
    pub(super) fn is_listening(&self) -> bool {
        matches!(self.stage, Stage::AwaitingInfo | Stage::AwaitingPong | Stage::Open)
    }

    /// Whether the server has sent something that can be looked at now.
    pub(super) fn has_news(&self) -> bool {
        self.decoder.has_news() && self.is_listening()
    }

    /// Whether there is a transport to read from. While it waits to be upgraded to TLS, what comes
    /// is for TLS.
    pub(super) fn wants_read(&self) -> bool {
        !matches!(self.stage, Stage::Idle | Stage::Connecting | Stage::AwaitingTls)
    }

    /// The last `INFO`, once there was one.
    pub(super) fn server_info(&self) -> Option<&ServerInfo> {
        self.info_seen.then_some(&self.info)
    }

    /// Whether the server is known not to support headers.
    #[inline]
    pub(super) fn refuses_headers(&self) -> bool {
        self.info_seen && !self.info.headers
    }

    /// The size limit of a message in bytes.
    #[inline]
    pub(super) fn max_payload(&self) -> usize {
        match usize::try_from(self.info.max_payload) {
            Ok(limit) if limit > 0 => limit,
            // a server that names no limit, or none yet
            _ => usize::MAX,
        }
    }

    pub(super) fn last_read(&self) -> Option<Instant> {
        self.last_read
    }

    /// What is to be written before everything that the user sends.
    #[inline]
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    #[inline]
    pub(super) fn first_mut(&mut self) -> &mut Vec<u8> {
        &mut self.first
    }

    // ---- the transport ------------------------------------------------------------------------

    /// Begins an attempt to connect, which has to be complete after the timeout.
    pub(super) fn handle_connecting(&mut self, timeout: Duration, now: Instant) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Connecting;
            self.connect_deadline = now.checked_add(timeout);
        }
    }

    /// The attempt has to be complete by this time, if that is earlier.
    pub(super) fn limit_connecting(&mut self, deadline: Instant) {
        if !matches!(self.stage, Stage::Idle | Stage::Open) {
            self.connect_deadline =
                Some(self.connect_deadline.map_or(deadline, |end| end.min(deadline)));
        }
    }

    pub(super) fn connect_deadline(&self) -> Option<Instant> {
        self.connect_deadline
    }

    pub(super) fn handle_connected(&mut self, security: Security) {
        // a transport that opens after its attempt was given up comes too late
        if self.stage == Stage::Connecting {
            self.stage = Stage::AwaitingInfo;
            self.security = security;
        }
    }

    #[inline]
    pub(super) fn read_room(&mut self) -> &mut [u8] {
        self.decoder.room()
    }

    #[inline]
    pub(super) fn handle_read(&mut self, count: usize, now: Instant) {
        self.last_read = Some(now);
        self.received += count as u64;
        self.decoder.filled(count);
    }

    #[inline]
    pub(super) fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.last_read = Some(now);
        self.received += bytes.len() as u64;
        self.decoder.feed(bytes);
    }

    #[inline(always)]
    pub(super) fn decoder(&mut self) -> &mut Decoder<ServerOp> {
        &mut self.decoder
    }

    #[inline(always)]
    pub(super) fn next(
        &mut self,
        place: &mut Message,
    ) -> Result<Option<Decoded<ServerOp>>, ProtocolError> {
        self.decoder.next(place)
    }

    /// The first `count` bytes of what goes first have been written.
    pub(super) fn consume_first(&mut self, count: usize) {
        if count == self.first.len() {
            // wiped, because it held secrets
            self.first = Zeroizing::default();
        } else {
            self.first.drain(..count);
        }
    }

    /// The better reason for the end of a connection: a server sends an error, and then closes.
    pub(super) fn reason(&mut self, reason: DisconnectReason) -> DisconnectReason {
        match (reason, self.last_error.take()) {
            (DisconnectReason::ServerClosed | DisconnectReason::Transport { .. }, Some(error)) => {
                DisconnectReason::Server(error)
            }
            (reason, _) => reason,
        }
    }

    // ---- the handshake ------------------------------------------------------------------------

    /// Handles an operation that comes during the handshake. Returns whether the handshake is done.
    pub(super) fn handshake(
        &mut self,
        op: ServerOp,
        config: &SessionConfig,
    ) -> Result<bool, DisconnectReason> {
        match op {
            ServerOp::Info(info) => self.handle_first_info(*info, config)?,
            ServerOp::Pong if self.stage == Stage::AwaitingPong => {
                self.open(config);
                return Ok(true);
            }
            ServerOp::Pong => return Err(unexpected("PONG")),
            ServerOp::Message(_) => return Err(unexpected("message")),
            ServerOp::Error(error) => return Err(DisconnectReason::Server(error)),
            ServerOp::Ping => encode::answer_ping(&mut self.first, config.max_buffered),
            ServerOp::Ok => {}
        }
        Ok(false)
    }

    fn handle_first_info(
        &mut self,
        info: ServerInfo,
        config: &SessionConfig,
    ) -> Result<(), DisconnectReason> {
        self.set_info(info);
        if self.stage != Stage::AwaitingInfo {
            return Ok(());
        }
        if !config.connect.echo && self.info.proto < 1 {
            return Err(DisconnectReason::NoEchoUnsupported);
        }
        match self.security {
            Security::Plain if self.info.tls_required => Err(DisconnectReason::TlsRequired),
            Security::Demanded if !self.info.tls_required && !self.info.tls_available => {
                Err(DisconnectReason::tls_not_available())
            }
            Security::Demanded => self.await_tls(),
            Security::Upgradable if self.info.tls_required => self.await_tls(),
            Security::Plain | Security::Upgradable | Security::Settled => {
                self.begin_connect(config)
            }
        }
    }

    fn await_tls(&mut self) -> Result<(), DisconnectReason> {
        self.stage = Stage::AwaitingTls;
        self.check_nothing_follows()
    }

    /// Checks that nothing has arrived in the clear that would count as if it came through TLS.
    fn check_nothing_follows(&mut self) -> Result<(), DisconnectReason> {
        match self.decoder.pending() {
            0 => Ok(()),
            _ => Err(unexpected("bytes before TLS")),
        }
    }

    /// The transport speaks TLS now.
    pub(super) fn handle_secured(
        &mut self,
        config: &SessionConfig,
    ) -> Result<(), DisconnectReason> {
        if self.stage != Stage::AwaitingTls {
            return Ok(());
        }
        self.check_nothing_follows()?;
        self.security = Security::Settled;
        self.begin_connect(config)
    }

    fn begin_connect(&mut self, config: &SessionConfig) -> Result<(), DisconnectReason> {
        self.stage = Stage::AwaitingAuthentication;
        match config.ask_authentication {
            true => Ok(()),
            false => self.authenticate(config.connect.authentication.clone(), config),
        }
    }

    /// Sends the credentials, and asks whether they are accepted.
    pub(super) fn authenticate(
        &mut self,
        authentication: Authentication,
        config: &SessionConfig,
    ) -> Result<(), DisconnectReason> {
        if self.stage != Stage::AwaitingAuthentication {
            return Ok(());
        }
        let connect = ConnectInfo {
            headers: self.info.headers,
            no_responders: self.info.headers && config.connect.no_responders,
            tls_required: config.connect.tls_required || self.info.tls_required,
            authentication,
            ..config.connect.clone()
        };
        let before = self.first.len();
        encode::connect(&mut self.first, &connect);
        let (size, limit) = (self.first.len() - before, config.max_control_line);
        if size > limit {
            return Err(DisconnectReason::ConnectLineTooLong { size, limit });
        }
        self.first.extend_from_slice(encode::PING);
        self.stage = Stage::AwaitingPong;
        Ok(())
    }

    fn open(&mut self, config: &SessionConfig) {
        self.stage = Stage::Open;
        self.connect_deadline = None;
        if config.ping_interval > Duration::ZERO {
            self.next_ping = self.last_read.and_then(|now| now.checked_add(config.ping_interval));
        }
    }

    // ---- an open connection -------------------------------------------------------------------

    pub(super) fn set_info(&mut self, info: ServerInfo) {
        self.info = info;
        self.info_seen = true;
    }

    pub(super) fn set_last_error(&mut self, error: ServerError) {
        self.last_error = Some(error);
    }

    /// Whether the server has announced its shutdown since the last call. True once at most.
    pub(super) fn take_lame_duck(&mut self) -> bool {
        self.info.ldm && !std::mem::replace(&mut self.lame_duck_seen, true)
    }

    /// The server is alive.
    pub(super) fn handle_pong(&mut self) {
        self.pings_outstanding = 0;
        self.overdue = None;
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        earlier(self.connect_deadline, self.next_ping)
    }

    /// What is due, if anything is.
    pub(super) fn handle_timeout(&mut self, config: &SessionConfig, now: Instant) -> Option<Due> {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.connect_deadline) {
            return Some(Due::Lost(DisconnectReason::ConnectTimeout));
        }
        is_due(self.next_ping).then(|| self.keep_alive(config, now)).flatten()
    }

    fn keep_alive(&mut self, config: &SessionConfig, now: Instant) -> Option<Due> {
        if self.pings_outstanding < config.max_pings_outstanding {
            // a connection that was busy may be idle now
            self.decoder.release();
            self.pings_outstanding += 1;
            self.next_ping = now.checked_add(config.ping_interval);
            return Some(Due::Ping);
        }
        // the answer may be in what has been read by now and not been polled, and nowhere else: a
        // server that goes on sending without it is stale, too
        let end = *self.overdue.get_or_insert(self.received);
        let polled = self.received - self.decoder.pending() as u64;
        if !self.decoder.has_news() || polled >= end {
            return Some(Due::Lost(DisconnectReason::Stale));
        }
        let moment = config.ping_interval.min(Duration::from_secs(1));
        self.next_ping = now.checked_add(moment);
        None
    }
}

fn unexpected(verb: &'static str) -> DisconnectReason {
    let phase = "the handshake";
    DisconnectReason::Protocol(ProtocolError::Unexpected { verb, phase })
}
