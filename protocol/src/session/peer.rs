//! The peer: one connection to one server, from the open transport to its loss.
//!
//! It holds what ends with the connection: the decoder, the handshake, the server's description
//! of itself, the keep-alive. A half operation of a lost connection is lost with it.

use super::{Security, SessionConfig};
use crate::disconnect::DisconnectReason;
use crate::wire::decode::Decoder;
use crate::wire::encode;
use crate::wire::error::{ProtocolError, ServerError};
use crate::wire::info::{Authentication, ConnectInfo, ServerInfo};
use crate::wire::op::ServerOp;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

pub(super) struct Peer {
    pub(super) stage: Stage,
    pub(super) decoder: Decoder<ServerOp>,
    /// What is written before everything that the user sends: the handshake, and after a
    /// reconnect the subscriptions. It holds secrets.
    pub(super) first: Zeroizing<Vec<u8>>,
    pub(super) info: ServerInfo,
    pub(super) info_seen: bool,
    pub(super) lame_duck_seen: bool,
    security: Security,
    pub(super) connect_deadline: Option<Instant>,
    pub(super) next_ping: Option<Instant>,
    pub(super) pings_outstanding: u32,
    pub(super) last_read: Option<Instant>,
    /// What the server said before it closed, perhaps the reason.
    pub(super) last_error: Option<ServerError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no transport, and none is being made.
    Idle,
    /// A transport is being made.
    Connecting,
    AwaitingInfo,
    /// The driver is to upgrade the transport to TLS.
    AwaitingTls,
    /// The driver is to say who the client is.
    AwaitingAuthentication,
    AwaitingPong,
    Open,
}

impl Peer {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            stage: Stage::Idle,
            decoder: Decoder::new(config.limits),
            first: Zeroizing::default(),
            info: ServerInfo::default(),
            info_seen: false,
            lame_duck_seen: false,
            security: Security::Plain,
            connect_deadline: None,
            next_ping: None,
            pings_outstanding: 0,
            last_read: None,
            last_error: None,
        }
    }

    /// Whether what the server sends is looked at now.
    #[inline]
    pub(super) fn is_listening(&self) -> bool {
        matches!(self.stage, Stage::AwaitingInfo | Stage::AwaitingPong | Stage::Open)
    }

    pub(super) fn handle_connecting(&mut self, timeout: Duration, now: Instant) {
        if self.stage == Stage::Idle {
            self.stage = Stage::Connecting;
            self.connect_deadline = now.checked_add(timeout);
        }
    }

    pub(super) fn handle_connected(&mut self, security: Security) {
        // a transport that opens after its attempt was given up comes too late
        if self.stage == Stage::Connecting {
            self.stage = Stage::AwaitingInfo;
            self.security = security;
        }
    }

    /// Deals with an operation that comes during the handshake. Says whether the handshake is
    /// done.
    pub(super) fn handshake(
        &mut self,
        op: ServerOp,
        config: &SessionConfig,
    ) -> Result<bool, DisconnectReason> {
        match op {
            ServerOp::Info(info) => self.handle_info(*info, config)?,
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

    fn handle_info(
        &mut self,
        info: ServerInfo,
        config: &SessionConfig,
    ) -> Result<(), DisconnectReason> {
        self.info = info;
        self.info_seen = true;
        if self.stage != Stage::AwaitingInfo {
            return Ok(());
        }
        if !config.connect.echo && self.info.proto < 1 {
            return Err(DisconnectReason::Unsupported("echo"));
        }
        match self.security {
            Security::Plain if self.info.tls_required => Err(DisconnectReason::Unsupported("TLS")),
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

    /// Bytes that came in the clear would count as if they had come through TLS.
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

    /// Says who the client is, and asks whether that is enough.
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

    /// The first `count` bytes of what goes first have been written.
    pub(super) fn consume_first(&mut self, count: usize) {
        if count == self.first.len() {
            // wiped, because it held secrets
            self.first = Zeroizing::default();
        } else {
            self.first.drain(..count);
        }
    }
}

fn unexpected(verb: &'static str) -> DisconnectReason {
    let phase = "the handshake";
    DisconnectReason::Protocol(ProtocolError::Unexpected { verb, phase })
}
