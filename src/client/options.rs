//! The options of a connection.

use super::credentials::Credentials;
use super::proxy_key::ProxyKey;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::error::Result;
use evnats_protocol::{
    Limits, PoolConfig, PoolServer, ServerInfo, ServerUrl, SessionConfig, UrlError,
};
use std::error::Error as StdError;
use std::fmt;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The options of a connection. `"nats://127.0.0.1:4222"` is enough where the defaults will do.
///
/// ```
/// use evnats::Options;
/// use std::time::Duration;
/// let options = Options::new("nats://127.0.0.1:4222")
///     .name("billing")
///     .request_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(super) servers: Vec<String>,
    pub(super) session: SessionConfig,
    pub(super) pool: PoolConfig,
    pub(super) request_timeout: Duration,
    pub(super) reconnect: bool,
    pub(super) retry_first_connect: bool,
    pub(super) move_on_lame_duck: bool,
    pub(super) turn: TurnLimits,
    pub(super) credentials: Option<CredentialsCallback>,
    pub(super) proxy: Option<ProxyKey>,
    pub(super) delay: Option<DelayCallback>,
    pub(super) choice: Option<ChoiceCallback>,
    pub(super) require_tls: bool,
    #[cfg(feature = "tls")]
    pub(super) tls: Tls,
}

pub(super) type CredentialsCallback =
    Arc<dyn Fn(&ServerInfo) -> Result<Credentials, Box<dyn StdError + Send + Sync>> + Send + Sync>;
pub(super) type DelayCallback = Arc<dyn Fn(u32) -> Duration + Send + Sync>;
pub(super) type ChoiceCallback = Arc<dyn Fn(&[PoolServer]) -> Option<usize> + Send + Sync>;

/// How much a client may do in one turn of the loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnLimits {
    pub(super) bytes: usize,
    pub(super) events: usize,
}

impl Options {
    /// Options for a server: `nats://host[:port]` or `host[:port]`, port 4222 if none is given, an
    /// IPv6 address in brackets; `tls://` where TLS is a must, `ws://` and `wss://` for WebSocket
    /// (with feature `websocket`), or `unix:path` for a Unix socket, where a leading `~/` is the
    /// user's home. Several servers of a cluster have commas between them. `user:password@` or
    /// `token@` before the host, percent-encoded, decides who to be there, and takes precedence over
    /// [`credentials`](Self::credentials). A comma in it is `%2C`; and in a list, a server with it
    /// has its scheme, unless it is the first one.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: vec![servers.into()],
            session: SessionConfig::default(),
            pool: PoolConfig::default(),
            request_timeout: Duration::from_secs(5),
            reconnect: true,
            retry_first_connect: false,
            move_on_lame_duck: true,
            turn: TurnLimits { bytes: 256 * 1024, events: 4096 },
            credentials: None,
            proxy: None,
            delay: None,
            choice: None,
            require_tls: false,
            #[cfg(feature = "tls")]
            tls: Tls::new(),
        }
    }

    /// Options for the servers of a cluster, each as in [`new`](Self::new).
    pub fn for_servers<U: Into<String>>(servers: impl IntoIterator<Item = U>) -> Self {
        let servers = servers.into_iter().map(Into::into).collect();
        Self { servers, ..Self::new("") }
    }

    /// Options for a server, or something in front of one, that listens on a Unix socket.
    #[cfg(unix)]
    pub fn for_unix_socket(path: impl AsRef<Path>) -> Self {
        Self::new(format!("unix:{}", path.as_ref().display()))
    }

    /// The connection's name in the server's monitoring. Default: none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.session.connect.name = name.into();
        self
    }

    /// Whether the connection receives what it published itself. Default: true.
    pub fn echo(mut self, echo: bool) -> Self {
        self.session.connect.echo = echo;
        self
    }

    /// Has the server answer every command with `+OK`; for debugging servers. Default: false.
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.session.connect.verbose = verbose;
        self
    }

    /// Has the server check subjects more strictly. Default: false.
    pub fn pedantic(mut self, pedantic: bool) -> Self {
        self.session.connect.pedantic = pedantic;
        self
    }

    /// The first token or tokens of inboxes, a literal subject. Default: `_INBOX`.
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.session.inbox_prefix = prefix.into();
        self
    }

    /// Time for address look-up, connecting and handshake together, for each server. A server whose
    /// name has several addresses is tried at one after the other, whatever goes wrong with each of
    /// them. They share the time, and each has at least an eighth of it. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.session.connect_timeout = timeout;
        self
    }

    /// Time for requests that do not say their own, JetStream's and Key-Value's included, and for
    /// flushes. Default: 5 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Time between keep-alive pings. Default: 2 min. Zero turns them off.
    #[doc(alias = "keep_alive")]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.session.ping_interval = interval;
        self
    }

    /// How many keep-alive pings may be unanswered before the connection counts as stale. Default:
    /// 2.
    pub fn max_pings_outstanding(mut self, max: u32) -> Self {
        self.session.max_pings_outstanding = max;
        self
    }

    /// Time for a drain of the connection. Default: 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.session.drain_timeout = timeout;
        self
    }

    /// Most bytes that wait to be written; commands beyond are refused. Default: 64 MiB.
    pub fn outgoing_limit(mut self, max: usize) -> Self {
        self.session.max_buffered = max;
        self.session.low_water = self.session.low_water.min(max);
        self
    }

    /// Bytes at which `on_writable` is called after a command was refused because of the
    /// [limit](Self::outgoing_limit), at most that. Default: 16 MiB.
    pub fn outgoing_low_water(mut self, low: usize) -> Self {
        self.session.low_water = low.min(self.session.max_buffered);
        self
    }

    /// Longest control line to send; raise it with the server's `max_control_line`. Default: 4096
    /// bytes.
    pub fn max_control_line(mut self, max: usize) -> Self {
        self.session.max_control_line = max;
        self
    }

    /// What the server may have the client hold. Default: see [`Limits`].
    pub fn incoming_limits(mut self, limits: Limits) -> Self {
        self.session.limits = limits;
        self
    }

    // ---- who the client is ------------------------------------------------------------------

    /// Who the client is. Default: nobody.
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.credentials_with(move |_| Ok(credentials.clone()))
    }

    /// Asks who the client is at every attempt to connect, for credentials that change. An
    /// error fails that attempt. The callback runs on the loop: it should not take long.
    pub fn credentials_with(
        mut self,
        callback: impl Fn(&ServerInfo) -> Result<Credentials, Box<dyn StdError + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.credentials = Some(Arc::new(callback));
        self
    }

    /// The key of a trusted proxy, which signs beside the client's own credentials in every attempt
    /// to connect: for a proxy that speaks NATS, and connects on behalf of a client. Default: none.
    pub fn proxy_key(mut self, key: ProxyKey) -> Self {
        self.proxy = Some(key);
        self
    }

    /// The settings of TLS. Calling this also requires TLS; see [`require_tls`](Self::require_tls).
    /// Default: certificates that the system trusts, no certificate of the client's own.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self.require_tls = true;
        self
    }

    /// Whether servers without TLS are refused, whatever their URLs say. Default: false, until
    /// [`tls`](Self::tls) is called; `tls://` and `wss://` demand it one by one, and a server that
    /// requires TLS gets it in any case.
    ///
    /// A client that was connected with TLS once demands it from then on, of every server that it
    /// tries and whatever is set here: otherwise, whoever can answer in a server's place could have
    /// the credentials in the clear.
    #[cfg(feature = "tls")]
    pub fn require_tls(mut self, require: bool) -> Self {
        self.require_tls = require;
        self
    }

    // ---- reconnecting ---------------------------------------------------------------------------

    /// Whether a lost connection is made again. Default: true.
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Whether the first connection is tried again like a lost one, when every server was tried
    /// once in vain. Default: false, the client closes then.
    pub fn retry_first_connect(mut self, retry: bool) -> Self {
        self.retry_first_connect = retry;
        self
    }

    /// Whether servers, and the addresses of each name, are tried in random order, which spreads
    /// clients over a cluster, or in the order given. Default: true.
    pub fn randomize_servers(mut self, randomize: bool) -> Self {
        self.pool.randomize = randomize;
        self
    }

    /// Whether servers that a server announces are tried too. Default: true.
    pub fn discover_servers(mut self, discover: bool) -> Self {
        self.pool.discover = discover;
        self
    }

    /// Failed attempts in a row after which a server is tried no more. When none is left, the
    /// client closes. Default: no limit.
    pub fn max_reconnects(mut self, attempts: u32) -> Self {
        self.pool.max_attempts = Some(attempts);
        self
    }

    /// The pause after all servers were tried once in vain; it doubles with each pass, up to
    /// [`max_reconnect_delay`](Self::max_reconnect_delay). Default: 100 ms. The first pass is made
    /// without a pause.
    #[doc(alias = "ReconnectWait")]
    pub fn reconnect_delay(mut self, first: Duration) -> Self {
        self.pool.first_delay = first;
        self.pool.max_delay = self.pool.max_delay.max(first);
        self
    }

    /// The longest pause between passes, at least the [first](Self::reconnect_delay). Default: 4 s.
    pub fn max_reconnect_delay(mut self, max: Duration) -> Self {
        self.pool.max_delay = max.max(self.pool.first_delay);
        self
    }

    /// The most that is added to a pause at random, for servers without `tls://`. Default: 100 ms.
    pub fn reconnect_jitter(mut self, most: Duration) -> Self {
        self.pool.jitter = most;
        self
    }

    /// The most that is added to a pause at random, for servers with `tls://`. Default: 1 s.
    pub fn reconnect_jitter_tls(mut self, most: Duration) -> Self {
        self.pool.jitter_tls = most;
        self
    }

    /// Asks for the pause instead, with the number of passes made in vain, from 1. A pause of less
    /// than 1 ms counts as 1 ms.
    pub fn reconnect_delay_with(
        mut self,
        callback: impl Fn(u32) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.delay = Some(Arc::new(callback));
        self
    }

    /// Asks which server to try next. The callback gets all of them, the last one tried first, and
    /// returns a place in the slice, or `None` for the usual order.
    pub fn choose_server(
        mut self,
        callback: impl Fn(&[PoolServer]) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        self.choice = Some(Arc::new(callback));
        self
    }

    /// Whether the same authentication error twice in a row from the same server closes the client.
    /// Default: true.
    pub fn stop_on_repeated_auth_error(mut self, stop: bool) -> Self {
        self.pool.stop_on_repeated_auth_error = stop;
        self
    }

    /// Whether to move to another server, if one is known, when the server announces its shutdown
    /// (lame duck mode). The move loses no message: for a moment the client is subscribed at both
    /// servers, and delivers once what comes from both. Only of messages that are equal in everything
    /// and come within half a second, some may be delivered twice. Default: true. A client
    /// without [`echo`](Self::echo) does not move, its own messages would come back to it.
    pub fn move_on_lame_duck(mut self, moves: bool) -> Self {
        self.move_on_lame_duck = moves;
        self
    }

    /// Most bytes that wait while there is no connection; a message whose payload goes beyond is
    /// refused, and with zero every message. Subscriptions are always taken. Default: 8 MiB.
    pub fn reconnect_buffer(mut self, max: usize) -> Self {
        self.session.max_unconnected = max;
        self
    }

    /// Whether requests that were sent before the connection was lost wait for a reply on the next
    /// one, until their time is up. Default: false, they fail at once with
    /// [`RequestError::OutcomeUnknown`](crate::RequestError::OutcomeUnknown).
    pub fn keep_requests(mut self, keep: bool) -> Self {
        self.session.keep_requests = keep;
        self
    }

    // ---- the loop -------------------------------------------------------------------------------

    /// Most bytes that are read in one turn of the loop, so that other clients, timers and the host
    /// have theirs. Fewer than 4 KiB count as 4 KiB. Default: 256 KiB.
    pub fn turn_bytes(mut self, most: usize) -> Self {
        self.turn.bytes = most.max(1);
        self
    }

    /// Most callbacks that run in one turn of the loop. Default: 4096.
    pub fn turn_callbacks(mut self, most: usize) -> Self {
        self.turn.events = most.max(1);
        self
    }

    pub(super) fn parse_servers(&self) -> Result<Vec<ServerUrl>> {
        parse_servers(&self.servers)
    }

    /// The server that a transport leads to that is given; `None` if it is not named.
    pub(super) fn parse_server_at_the_other_end(&self) -> Result<Option<PoolServer>> {
        if self.servers.iter().all(|server| server.trim().is_empty()) {
            return Ok(None);
        }
        Ok(self.parse_servers()?.into_iter().next().map(PoolServer::new))
    }
}

/// The servers that a user names.
pub(super) fn parse_servers(servers: &[String]) -> Result<Vec<ServerUrl>> {
    let mut urls = Vec::new();
    for list in servers.iter().filter(|list| !list.trim().is_empty()) {
        let before = urls.len();
        let parsed = ServerUrl::parse_list(list);
        urls.extend(parsed.map_err(|e| UrlError { place: before + e.place, ..e })?);
    }
    if urls.is_empty() {
        return Err(UrlError { place: 1, reason: "no server is named" }.into());
    }
    for (url, place) in urls.iter().zip(1..) {
        let scheme = url.scheme();
        let missing = if scheme.demands_tls() && cfg!(not(feature = "tls")) {
            "this build has no TLS: turn on feature `tls`"
        } else if scheme.is_websocket() && cfg!(not(feature = "websocket")) {
            "this build has no WebSocket: turn on feature `websocket`"
        } else {
            continue;
        };
        return Err(UrlError { place, reason: missing }.into());
    }
    Ok(urls)
}

/// Without what may be secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|list| ServerUrl::parse_list(list)).collect();
        f.debug_struct("Options")
            .field("servers", &servers)
            .field("session", &self.session)
            .field("pool", &self.pool)
            .field("request_timeout", &self.request_timeout)
            .field("reconnect", &self.reconnect)
            .field("retry_first_connect", &self.retry_first_connect)
            .field("move_on_lame_duck", &self.move_on_lame_duck)
            .field("turn", &self.turn)
            .field("require_tls", &self.require_tls)
            .finish_non_exhaustive()
    }
}

impl From<&str> for Options {
    fn from(server: &str) -> Self {
        Self::new(server)
    }
}

impl From<String> for Options {
    fn from(server: String) -> Self {
        Self::new(server)
    }
}
