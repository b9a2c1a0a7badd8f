//! The server pool: which server to try next, and after how long a pause.
//!
//! The servers that the user named are never forgotten, unless they use up their attempts; those
//! that servers announce come and go with the announcements. A pass over the pool is made without a
//! pause; between two passes the pause doubles (ADR-40). It has no clock and no source of
//! randomness: time and a seed are passed in.

use super::server_url::ServerUrl;
use crate::disconnect::DisconnectReason;
use crate::setters::setters;
use crate::wire::error::{ServerError, ServerErrorKind};
use crate::wire::info::ServerInfo;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How servers are chosen and paced: `PoolConfig::new().randomize(false)`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Whether the servers are tried in random order, so that many clients spread. Default: true.
    pub randomize: bool,
    /// Whether servers announced by servers join the pool. Default: true.
    pub discover: bool,
    /// Failed attempts in a row after which a server leaves the pool. Default: none, they continue
    /// forever.
    pub max_attempts: Option<u32>,
    /// Pause after the first pass over the pool. It doubles with each pass. Default: 100 ms.
    pub first_delay: Duration,
    /// Maximum pause, jitter not counted. Default: 4 s.
    pub max_delay: Duration,
    /// Maximum random addition to a pause. Default: 100 ms.
    pub jitter: Duration,
    /// The same for servers that require TLS, whose handshakes cost more. Default: 1 s.
    pub jitter_tls: Duration,
    /// Whether the same authentication error twice in a row from the same server ends the attempts.
    /// Default: true.
    pub stop_on_repeated_auth_error: bool,
}

impl PoolConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        randomize: bool,
        discover: bool,
        max_attempts: impl Into<Option<u32>>,
        first_delay: Duration,
        max_delay: Duration,
        jitter: Duration,
        jitter_tls: Duration,
        stop_on_repeated_auth_error: bool,
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            randomize: true,
            discover: true,
            max_attempts: None,
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(4),
            jitter: Duration::from_millis(100),
            jitter_tls: Duration::from_secs(1),
            stop_on_repeated_auth_error: true,
        }
    }
}

/// A server of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolServer {
    /// Its address.
    pub url: ServerUrl,
    /// Whether it was announced by a server rather than named by the user.
    pub discovered: bool,
    /// The host name to expect in its certificate, if it was announced by its address: that of the
    /// server that announced it.
    pub tls_name: Option<String>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Whether it was tried in this pass.
    tried: bool,
    /// How it refused the client's credentials the last time.
    auth_error: Option<ServerErrorKind>,
    /// It is no longer named, and leaves the pool with its connection.
    expelled: bool,
}

impl PoolServer {
    /// A server that the user names, and that has not been tried.
    #[must_use]
    pub fn new(url: ServerUrl) -> Self {
        Self {
            url,
            discovered: false,
            tls_name: None,
            failures: 0,
            tried: false,
            auth_error: None,
            expelled: false,
        }
    }

    fn announced(&self, authority: &str) -> Option<Self> {
        let url = self.url.announced(authority)?;
        let name = || Some(self.url.host()).filter(|_| !self.url.is_address());
        let tls_name = self.tls_name.as_deref().or_else(name).map(str::to_owned);
        let tls_name = tls_name.filter(|_| url.is_address());
        Some(Self { discovered: true, tls_name, ..Self::new(url) })
    }
}

/// The known servers, the current one and the order of the others.
#[derive(Debug)]
pub struct ServerPool {
    config: PoolConfig,
    current: Option<PoolServer>,
    /// In the order in which they are to be tried.
    others: VecDeque<PoolServer>,
    /// Passes over the pool since the last connection that lasted.
    passes: u32,
    connected_at: Option<Instant>,
    /// The next attempt is to be made without a pause.
    at_once: bool,
    random: u64,
}

/// Maximum number of servers that one announcement adds. No cluster has nearly as many.
const MAX_DISCOVERED: usize = 1000;

/// A connection that lasts as long as this counts as a success; otherwise, a server that accepts
/// connections only to close them would be tried without a pause forever.
const LASTING: Duration = Duration::from_secs(1);

impl ServerPool {
    /// A pool of the servers that the user names.
    pub fn new(urls: Vec<ServerUrl>, config: PoolConfig, seed: u64) -> Self {
        let mut pool = Self {
            config,
            current: None,
            others: VecDeque::new(),
            passes: 0,
            connected_at: None,
            at_once: false,
            random: seed,
        };
        pool.others.extend(urls.into_iter().map(PoolServer::new));
        pool.shuffle();
        pool
    }

    /// Replaces all servers by others. The current connection is not affected.
    pub fn replace(&mut self, urls: Vec<ServerUrl>) {
        let known = |url: &ServerUrl| {
            let mut all = self.current.iter().chain(&self.others);
            all.find(|server| server.url == *url && !server.discovered).cloned()
        };
        let servers: Vec<_> = urls
            .into_iter()
            .map(|url| known(&url).unwrap_or_else(|| PoolServer::new(url)))
            .collect();
        if let Some(current) = &mut self.current {
            let is_named = servers.iter().any(|server| server.url == current.url);
            (current.expelled, current.discovered) = (!is_named, current.discovered && !is_named);
        }
        let current = self.current.as_ref().map(|server| &server.url);
        self.others = servers.iter().filter(|s| Some(&s.url) != current).cloned().collect();
        self.shuffle();
    }

    /// The server that is being tried, or connected to.
    #[must_use]
    pub fn current(&self) -> Option<&PoolServer> {
        self.current.as_ref()
    }

    /// All servers, the current one first.
    pub fn servers(&self) -> impl Iterator<Item = &PoolServer> {
        self.current.iter().chain(&self.others)
    }

    /// Whether there are servers other than the current one.
    #[must_use]
    pub fn has_other(&self) -> bool {
        !self.others.is_empty()
    }

    /// Passes over the pool since the last connection that lasted. 0 during the first.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Makes the next server the current one. Returns how long to wait before trying it, or `None`
    /// if no server is left.
    pub fn advance(&mut self) -> Option<Duration> {
        self.leave_current();
        self.current = self.others.pop_front();
        self.begin_attempt()
    }

    /// Moves the current server behind the others, or out of the pool.
    fn leave_current(&mut self) {
        if let Some(server) = self.current.take()
            && !self.is_used_up(&server)
        {
            self.others.push_back(server);
        }
    }

    /// Like [`advance`](Self::advance), with a chosen server, given as its index in
    /// [`servers`](Self::servers). If there is no such index, or the server has just left the pool,
    /// the usual one is next.
    pub fn advance_to(&mut self, place: usize) -> Option<Duration> {
        let chosen = self.servers().nth(place).map(|server| server.url.clone());
        self.leave_current();
        let place = self.others.iter().position(|server| Some(&server.url) == chosen.as_ref());
        self.current = self.others.remove(place.unwrap_or(0));
        self.begin_attempt()
    }

    fn begin_attempt(&mut self) -> Option<Duration> {
        let tried = std::mem::replace(&mut self.current.as_mut()?.tried, true);
        if tried {
            self.passes = self.passes.saturating_add(1);
            self.others.iter_mut().for_each(|server| server.tried = false);
        }
        let at_once = std::mem::take(&mut self.at_once);
        Some(if tried && !at_once { self.delay() } else { Duration::ZERO })
    }

    fn delay(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.passes - 1).unwrap_or(u32::MAX);
        let delay = self.config.first_delay.saturating_mul(factor).min(self.config.max_delay);
        let demands_tls = self.current.as_ref().is_some_and(|s| s.url.scheme().demands_tls());
        let jitter = if demands_tls { self.config.jitter_tls } else { self.config.jitter };
        let part = self.random_below(1 << 20) as f64 / f64::from(1 << 20);
        delay.saturating_add(jitter.mul_f64(part))
    }

    /// Makes the next attempt without a pause.
    pub fn hurry(&mut self) {
        self.at_once = true;
    }

    /// The server to move to from the current one. It goes behind the others, so another call
    /// returns another one.
    pub fn alternative(&mut self) -> Option<PoolServer> {
        self.others.rotate_left(usize::from(!self.others.is_empty()));
        self.others.back().cloned()
    }

    /// The connection has moved to another server, which is the current one from now on.
    pub fn handle_moved(&mut self, url: &ServerUrl, now: Instant) {
        self.leave_current();
        let place = self.others.iter().position(|server| server.url == *url);
        let known = place.and_then(|place| self.others.remove(place));
        // it may have been forgotten meanwhile, and stays for as long as it is used
        let forgotten = || PoolServer { expelled: true, ..PoolServer::new(url.clone()) };
        self.current = Some(known.unwrap_or_else(forgotten));
        self.handle_connected(now);
    }

    /// The handshake with the current server is done.
    pub fn handle_connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
        if let Some(server) = &mut self.current {
            (server.failures, server.auth_error) = (0, None);
        }
    }

    /// An established connection to the current server was lost. Returns whether to continue with
    /// another attempt.
    pub fn handle_disconnected(&mut self, reason: &DisconnectReason, now: Instant) -> bool {
        let lasted = self.connected_at.take().map(|since| now.saturating_duration_since(since));
        if lasted.is_some_and(|time| time >= LASTING) {
            self.passes = 0;
            self.servers_mut().for_each(|server| server.tried = false);
        }
        self.record_auth_error(reason)
    }

    /// The attempt to connect to the current server failed. Returns whether to continue with
    /// another attempt.
    pub fn handle_failure(&mut self, reason: &DisconnectReason) -> bool {
        if let Some(server) = &mut self.current {
            server.failures += 1;
        }
        let may_continue = self.record_auth_error(reason);
        if is_misconfigured(reason) {
            self.current = None;
        }
        may_continue
    }

    /// Adds the servers that the current one announces, and removes those that it no longer does.
    /// Returns the new ones as `host:port`.
    pub fn handle_info(&mut self, info: &ServerInfo) -> Vec<String> {
        let Some(current) = self.current.clone().filter(|_| self.config.discover) else {
            return Vec::new();
        };
        // on a WebSocket, servers put those for WebSocket into `connect_urls`, and leave out the
        // other list
        let is_websocket = current.url.scheme().is_websocket();
        let announced = match is_websocket && !info.ws_connect_urls.is_empty() {
            true => &info.ws_connect_urls,
            false => &info.connect_urls,
        };
        if announced.is_empty() {
            return Vec::new();
        }
        let announced: BTreeSet<&str> = announced.iter().map(String::as_str).collect();
        let is_announced = |server: &PoolServer| announced.contains(&*server.url.authority());
        self.others.retain(|server| !server.discovered || is_announced(server));
        let known: BTreeSet<_> = self.servers().map(|server| server.url.authority()).collect();
        let unknown = announced.into_iter().filter(|authority| !known.contains(*authority));
        let servers = unknown.filter_map(|authority| current.announced(authority));
        let servers: Vec<_> = servers.take(MAX_DISCOVERED).collect();
        let new: Vec<_> = servers.iter().map(|server| server.url.authority()).collect();
        self.others.extend(servers);
        if !new.is_empty() {
            self.shuffle();
        }
        new
    }

    fn servers_mut(&mut self) -> impl Iterator<Item = &mut PoolServer> {
        self.current.iter_mut().chain(&mut self.others)
    }

    fn is_used_up(&self, server: &PoolServer) -> bool {
        server.expelled || self.config.max_attempts.is_some_and(|max| server.failures >= max)
    }

    fn record_auth_error(&mut self, reason: &DisconnectReason) -> bool {
        let kind = match reason {
            DisconnectReason::Server(error) if is_auth_error(error) => error.kind(),
            _ => return true,
        };
        let Some(server) = &mut self.current else { return true };
        let repeated = server.auth_error.replace(kind) == Some(kind);
        !(repeated && self.config.stop_on_repeated_auth_error)
    }

    fn shuffle(&mut self) {
        if !self.config.randomize {
            return;
        }
        for end in (1..self.others.len()).rev() {
            let other = self.random_below(end + 1);
            self.others.swap(end, other);
        }
    }

    /// SplitMix64, which is random enough to spread clients.
    fn random_below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % limit as u64) as usize
    }
}

fn is_auth_error(error: &ServerError) -> bool {
    matches!(error.kind(), ServerErrorKind::Authorization | ServerErrorKind::AuthenticationExpired)
}

/// Whether no later attempt at this server would end differently.
fn is_misconfigured(reason: &DisconnectReason) -> bool {
    matches!(reason, DisconnectReason::Server(error) if error.kind() == ServerErrorKind::WrongPort)
}

#[cfg(test)]
mod tests;
