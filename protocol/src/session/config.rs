//! What a session does and how far it goes, in numbers and switches.
//!
//! It holds no state: a session never changes its configuration.

use crate::wire::decode::Limits;
use crate::wire::info::ConnectInfo;
use std::time::Duration;

/// The settings of a [`Session`](crate::Session).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The contents of `CONNECT`. `headers` and `no_responders` are cleared for servers without
    /// headers.
    pub connect: ConnectInfo,
    /// First token or tokens of inboxes. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// Time limit for name lookup, connecting and handshake together. Default: 5 s (ADR-40).
    pub connect_timeout: Duration,
    /// Time between keep-alive pings. Default: 2 min. Zero: none are sent.
    pub ping_interval: Duration,
    /// Unanswered keep-alive pings at which the connection counts as stale. Default: 2.
    pub max_pings_outstanding: u32,
    /// Time limit for draining the connection. Default: 30 s.
    pub drain_timeout: Duration,
    /// Maximum number of bytes waiting to be written; further commands are refused.
    /// Default: 64 MiB.
    pub max_buffered: usize,
    /// Number of bytes at which a buffer that was full counts as writable again. Default: 16 MiB.
    pub low_water: usize,
    /// Maximum number of bytes waiting for a connection; further commands are refused, and with
    /// zero all commands that send something. Default: 8 MiB.
    pub max_unconnected: usize,
    /// Whether the session outlives its connection and waits for another one. Default: false.
    pub resume: bool,
    /// Whether requests that were sent on a lost connection keep waiting for their replies, which
    /// may arrive on the next one, until they time out. Default: false, they fail at once.
    pub keep_requests: bool,
    /// Whether the driver supplies the credentials with
    /// [`LegMut::authenticate`](crate::LegMut::authenticate), once it knows the nonce that the
    /// server wants signed. Default: false, `connect` has them.
    pub ask_authentication: bool,
    /// Maximum length of a control line to send in bytes, the `CONNECT` included. Default: 4096,
    /// the default of servers, which close the connection on longer ones.
    pub max_control_line: usize,
    /// What the server may make the session hold.
    pub limits: Limits,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            connect: ConnectInfo::new(),
            inbox_prefix: "_INBOX".into(),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(120),
            max_pings_outstanding: 2,
            drain_timeout: Duration::from_secs(30),
            max_buffered: 64 << 20,
            low_water: 16 << 20,
            max_unconnected: 8 << 20,
            resume: false,
            keep_requests: false,
            ask_authentication: false,
            max_control_line: 4096,
            limits: Limits::default(),
        }
    }
}
