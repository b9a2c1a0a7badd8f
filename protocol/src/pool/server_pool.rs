//! The server pool: which server to try next, and after how long a pause.
//!
//! The servers that the user named are never forgotten, unless they use up their attempts; those
//! that servers announce come and go with the announcements. A pass over the pool is made without
//! a pause; between two passes the pause doubles (ADR-40). It has no clock and no source of
//! randomness: time and a seed are passed in.

use super::server_url::ServerUrl;
use crate::disconnect::DisconnectReason;
use crate::wire::error::{ServerError, ServerErrorKind};
use crate::wire::info::ServerInfo;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How servers are chosen and paced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Whether the servers are tried in random order, so that many clients spread. Default: true.
    pub randomize: bool,
    /// Whether servers announced by servers join the pool. Default: true.
    pub discover: bool,
    /// Failed attempts in a row after which a server leaves the pool. Default: none, they go on
    /// for ever.
    pub max_attempts: Option<u32>,
    /// Pause after the first pass over the pool; it doubles with each pass. Default: 100 ms.
    pub first_delay: Duration,
    /// Longest pause. Default: 4 s.
    pub max_delay: Duration,
    /// Most that is added to a pause at random. Default: 100 ms.
    pub jitter: Duration,
    /// The same for servers that demand TLS, whose handshakes cost more. Default: 1 s.
    pub jitter_tls: Duration,
    /// Whether the same authentication error twice in a row from the same server ends the
    /// attempts. Default: true.
    pub stop_on_repeated_auth_error: bool,
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
    /// Where it is.
    pub url: ServerUrl,
    /// Whether a server has announced it, and not the user.
    pub discovered: bool,
    /// The host name to expect in its certificate, if it was announced by its address: that of the
    /// server that announced it.
    pub tls_name: Option<String>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Whether it was tried in this pass.
    tried: bool,
    /// How it refused the client the last time.
    auth_error: Option<ServerErrorKind>,
    /// It is no longer named, and leaves the pool with its connection.
    expelled: bool,
}

impl PoolServer {
    fn new(url: ServerUrl) -> Self {
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

/// Which servers there are, and which is next.
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

/// Most servers that are learned of at once. A cluster has not nearly so many.
const MOST_DISCOVERED: usize = 1000;

/// A connection that lasts as long as this counts as a success; before, a server that takes
/// connections only to close them would be tried without a pause for ever.
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

    /// Names other servers in place of all there are. The current connection is not touched.
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
    pub fn current(&self) -> Option<&PoolServer> {
        self.current.as_ref()
    }

    /// All servers, the current one first.
    pub fn servers(&self) -> impl Iterator<Item = &PoolServer> {
        self.current.iter().chain(&self.others)
    }

    /// Whether there is a server beside the current one.
    pub fn has_other(&self) -> bool {
        !self.others.is_empty()
    }

    /// Passes over the pool since the last connection that lasted. 0 during the first.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Makes the next server the current one. Returns how long to wait before trying it, or
    /// `None` if no server is left.
    pub fn advance(&mut self) -> Option<Duration> {
        self.leave_current();
        self.current = self.others.pop_front();
        self.begin_attempt()
    }

    /// The current server stands behind the others, or leaves the pool.
    fn leave_current(&mut self) {
        if let Some(server) = self.current.take()
            && !self.is_used_up(&server)
        {
            self.others.push_back(server);
        }
    }

    /// As [`advance`](Self::advance), with the server that somebody has chosen: its place in
    /// [`servers`](Self::servers). If there is no such place, or the server has just left the pool,
    /// the usual one is taken.
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
        delay + jitter.mul_f64(self.random_below(1 << 20) as f64 / f64::from(1 << 20))
    }

    /// The next attempt is made without a pause: somebody has asked for it.
    pub fn hurry(&mut self) {
        self.at_once = true;
    }

    /// The server to move to from the current one, and puts it behind the others: another call
    /// gives another one.
    pub fn alternative(&mut self) -> Option<PoolServer> {
        self.others.rotate_left(usize::from(!self.others.is_empty()));
        self.others.back().cloned()
    }

    /// The connection has moved to another server of the pool.
    pub fn handle_moved(&mut self, url: &ServerUrl, now: Instant) {
        self.leave_current();
        let place = self.others.iter().position(|server| server.url == *url);
        let known = place.and_then(|place| self.others.remove(place));
        // it may have been forgotten meanwhile, and stays for as long as it is used
        let forgotten = || PoolServer { expelled: true, ..PoolServer::new(url.clone()) };
        self.current = Some(known.unwrap_or_else(forgotten));
        self.handle_connected(now);
    }

    /// The current server has taken the connection.
    pub fn handle_connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
        if let Some(server) = &mut self.current {
            (server.failures, server.auth_error) = (0, None);
        }
    }

    /// The connection to the current server was lost, after it stood. Says whether to go on.
    pub fn handle_disconnected(&mut self, reason: &DisconnectReason, now: Instant) -> bool {
        let lasted = self.connected_at.take().map(|since| now.saturating_duration_since(since));
        if lasted.is_some_and(|time| time >= LASTING) {
            self.passes = 0;
            self.servers_mut().for_each(|server| server.tried = false);
        }
        self.note_auth_error(reason)
    }

    /// The current server could not be connected to. Says whether to go on.
    pub fn handle_failure(&mut self, reason: &DisconnectReason) -> bool {
        if let Some(server) = &mut self.current {
            server.failures += 1;
        }
        let goes_on = self.note_auth_error(reason);
        if is_misconfigured(reason) {
            self.current = None;
        }
        goes_on
    }

    /// Takes note of the servers that the current one announces. Returns those that are new.
    pub fn handle_info(&mut self, info: &ServerInfo) -> Vec<String> {
        let Some(current) = self.current.clone().filter(|_| self.config.discover) else {
            return Vec::new();
        };
        let announced = match current.url.scheme().is_websocket() {
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
        let servers: Vec<_> = servers.take(MOST_DISCOVERED).collect();
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

    fn note_auth_error(&mut self, reason: &DisconnectReason) -> bool {
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

/// No later attempt at this server would end differently.
fn is_misconfigured(reason: &DisconnectReason) -> bool {
    matches!(reason, DisconnectReason::Server(error) if error.kind() == ServerErrorKind::WrongPort)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pool(urls: &str, change: impl FnOnce(&mut PoolConfig)) -> ServerPool {
        let mut config =
            PoolConfig { randomize: false, jitter: Duration::ZERO, ..Default::default() };
        change(&mut config);
        ServerPool::new(ServerUrl::parse_list(urls).unwrap(), config, 1)
    }

    fn host(pool: &ServerPool) -> &str {
        pool.current().map_or("none", |server| server.url.host())
    }

    /// The next attempt: its server, and the pause before it in milliseconds.
    fn attempt(pool: &mut ServerPool) -> (String, u128) {
        let delay = pool.advance().map_or(0, |delay| delay.as_millis());
        (host(pool).to_owned(), delay)
    }

    fn attempts(pool: &mut ServerPool, count: usize) -> Vec<(String, u128)> {
        let refused = DisconnectReason::ServerClosed;
        (0..count)
            .map(|_| {
                let attempt = attempt(pool);
                assert!(pool.handle_failure(&refused));
                attempt
            })
            .collect()
    }

    fn table(rows: &[(&str, u128)]) -> Vec<(String, u128)> {
        rows.iter().map(|(host, delay)| ((*host).to_owned(), *delay)).collect()
    }

    fn auth_error(text: &str) -> DisconnectReason {
        DisconnectReason::Server(ServerError::new(text))
    }

    fn announces(urls: &[&str]) -> ServerInfo {
        let connect_urls = urls.iter().map(|url| (*url).to_owned()).collect();
        ServerInfo { connect_urls, ..ServerInfo::default() }
    }

    fn hosts(pool: &ServerPool) -> Vec<&str> {
        pool.servers().map(|server| server.url.host()).collect()
    }

    #[test]
    fn a_pass_has_no_pause_and_pauses_double_up_to_the_longest() {
        let mut pool = pool("a,b", |_| {});
        let expected =
            [("a", 0), ("b", 0), ("a", 100), ("b", 0), ("a", 200), ("b", 0), ("a", 400), ("b", 0)];
        assert_eq!(attempts(&mut pool, 8), table(&expected));
        attempts(&mut pool, 10);
        assert_eq!(attempt(&mut pool), ("a".into(), 4000));
    }

    #[test]
    fn the_jitter_stays_within_its_limit_and_is_another_one_each_time() {
        let mut pool = pool("a", |config| config.jitter = 50 * Duration::from_millis(1));
        attempts(&mut pool, 20);
        let delays: Vec<_> = attempts(&mut pool, 50).into_iter().map(|(_, delay)| delay).collect();
        assert!(delays.iter().all(|delay| (4000..=4050).contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }

    #[test]
    fn a_connection_that_lasted_starts_afresh() {
        let mut pool = pool("a,b", |_| {});
        let now = Instant::now();
        attempts(&mut pool, 5);
        attempt(&mut pool);
        pool.handle_connected(now);
        assert!(pool.handle_disconnected(&DisconnectReason::ServerClosed, now + SECOND));
        assert_eq!(attempts(&mut pool, 3), table(&[("a", 0), ("b", 0), ("a", 100)]));
    }

    #[test]
    fn a_server_that_drops_connections_at_once_is_not_tried_without_a_pause() {
        let mut pool = pool("a", |_| {});
        let now = Instant::now();
        let delays: Vec<_> = (0..4)
            .map(|_| {
                let (_, delay) = attempt(&mut pool);
                pool.handle_connected(now);
                assert!(pool.handle_disconnected(&DisconnectReason::ServerClosed, now));
                delay
            })
            .collect();
        assert_eq!(delays, [0, 100, 200, 400]);
    }

    #[test]
    fn attempts_are_counted_for_each_server_and_the_last_one_ends_the_pool() {
        let mut pool = pool("a,b", |config| config.max_attempts = Some(2));
        attempts(&mut pool, 3);
        attempt(&mut pool);
        pool.handle_connected(Instant::now());
        assert!(pool.handle_disconnected(&DisconnectReason::ServerClosed, Instant::now()));
        // a has used up its attempts, b begins again
        assert_eq!(attempts(&mut pool, 2).last().unwrap().0, "b");
        assert_eq!(pool.advance(), None);
        assert!(pool.current().is_none());
    }

    #[test]
    fn the_same_auth_error_twice_in_a_row_from_the_same_server_stops() {
        let violation = auth_error("Authorization Violation");
        let mut one = pool("a", |_| {});
        attempt(&mut one);
        assert!(one.handle_failure(&violation));
        attempt(&mut one);
        assert!(one.handle_failure(&auth_error("User Authentication Expired")), "another one");
        assert!(one.handle_failure(&violation));
        assert!(!one.handle_failure(&violation));

        let mut two = pool("a,b", |_| {});
        attempt(&mut two);
        assert!(two.handle_failure(&violation));
        attempt(&mut two);
        assert!(two.handle_failure(&violation), "another server");

        let mut connected = pool("a", |_| {});
        attempt(&mut connected);
        assert!(connected.handle_failure(&violation));
        connected.handle_connected(Instant::now());
        assert!(connected.handle_disconnected(&violation, Instant::now()), "not in a row");

        let mut told = pool("a", |config| config.stop_on_repeated_auth_error = false);
        attempt(&mut told);
        assert!((0..9).all(|_| told.handle_failure(&violation)));
    }

    #[test]
    fn a_port_that_is_not_for_clients_is_left_for_good() {
        let mut pool = pool("a,b", |_| {});
        attempt(&mut pool);
        assert!(pool.handle_failure(&auth_error("attempted to connect to route port")));
        assert_eq!(attempts(&mut pool, 2), table(&[("b", 0), ("b", 100)]));
    }

    #[test]
    fn announced_servers_come_and_go_and_named_ones_stay() {
        let mut pool = pool("a,b", |_| {});
        attempt(&mut pool);
        assert_eq!(
            pool.handle_info(&announces(&["a:4222", "c:4222", "[::1]:4"])),
            ["[::1]:4", "c:4222"]
        );
        assert_eq!(hosts(&pool), ["a", "b", "::1", "c"]);
        assert!(pool.handle_info(&announces(&[])).is_empty());
        assert_eq!(hosts(&pool).len(), 4, "no list, no change");
        assert_eq!(pool.handle_info(&announces(&["d:1", "bad url:x", ""])), ["d:1"]);
        assert_eq!(hosts(&pool), ["a", "b", "d"]);
        attempts(&mut pool, 2);
        assert_eq!(host(&pool), "d");
        pool.handle_info(&announces(&["e:1"]));
        assert_eq!(hosts(&pool)[0], "d", "the current one never");
    }

    #[test]
    fn discovery_can_be_turned_off() {
        let mut pool = pool("a", |config| config.discover = false);
        attempt(&mut pool);
        assert!(pool.handle_info(&announces(&["b:1"])).is_empty());
        assert_eq!(hosts(&pool), ["a"]);
    }

    #[test]
    fn announced_servers_are_spoken_to_as_the_one_that_announced_them() {
        let mut pool = pool("tls://joe:pw@name.example:1", |_| {});
        attempt(&mut pool);
        pool.handle_info(&announces(&["10.0.0.1:2", "other.example:3"]));
        let all: Vec<_> = pool.servers().cloned().collect();
        assert_eq!(all[1].tls_name.as_deref(), Some("name.example"));
        assert_eq!(all[2].tls_name, None, "it has a name of its own");
        assert!(all.iter().all(|server| server.url.user_info() == all[0].url.user_info()));
        assert!(all[1..].iter().all(|server| server.url.scheme().demands_tls()));
        attempt(&mut pool);
        pool.handle_info(&announces(&["10.0.0.2:2"]));
        let passed_on = pool.servers().find(|server| server.url.host() == "10.0.0.2").unwrap();
        assert_eq!(passed_on.tls_name.as_deref(), Some("name.example"), "through an address");
    }

    #[test]
    fn a_move_makes_another_server_the_current_one() {
        let mut pool = pool("a,b,c", |_| {});
        attempt(&mut pool);
        assert_eq!(pool.alternative().unwrap().url.host(), "b");
        let next = pool.alternative().unwrap();
        assert_eq!(next.url.host(), "c");
        assert_eq!(host(&pool), "a");
        pool.handle_moved(&next.url, Instant::now());
        assert_eq!(hosts(&pool), ["c", "b", "a"]);
        assert!(
            super::ServerPool::new(Vec::new(), PoolConfig::default(), 1).alternative().is_none()
        );
    }

    #[test]
    fn randomised_pools_spread() {
        let urls = "a,b,c,d";
        let first: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| {
                let urls = ServerUrl::parse_list(urls).unwrap();
                let mut pool = ServerPool::new(urls, PoolConfig::default(), seed);
                attempt(&mut pool).0
            })
            .collect();
        assert_eq!(first.len(), 4);
    }

    #[test]
    fn another_set_of_servers_can_be_named() {
        let mut pool = pool("a,b", |_| {});
        attempt(&mut pool);
        pool.replace(ServerUrl::parse_list("c,d").unwrap());
        assert_eq!(hosts(&pool), ["a", "c", "d"]);
        assert_eq!(attempts(&mut pool, 3), table(&[("c", 0), ("d", 0), ("c", 100)]));
    }

    #[test]
    fn somebody_may_choose_and_may_be_in_a_hurry() {
        let mut pool = pool("a,b,c", |_| {});
        assert_eq!(pool.advance_to(2), Some(Duration::ZERO));
        assert_eq!(hosts(&pool), ["c", "a", "b"]);
        assert_eq!(pool.advance_to(0), Some(Duration::from_millis(100)));
        assert_eq!(host(&pool), "c");
        pool.hurry();
        assert_eq!(pool.advance_to(0), Some(Duration::ZERO));
        assert!(pool.advance_to(99).is_some());
        assert_eq!(host(&pool), "a", "as usual");
    }

    #[test]
    fn a_server_that_is_no_longer_named_leaves_with_its_connection_however_that_ends() {
        let connected = |urls: &str| {
            let mut pool = pool(urls, |_| {});
            attempt(&mut pool);
            pool.handle_connected(Instant::now());
            pool
        };
        let mut moved = connected("old,next");
        moved.replace(ServerUrl::parse_list("next").unwrap());
        let next = moved.alternative().unwrap();
        moved.handle_moved(&next.url, Instant::now());
        assert_eq!(hosts(&moved), ["next"]);

        let mut chosen = connected("old");
        chosen.replace(ServerUrl::parse_list("a").unwrap());
        chosen.handle_disconnected(&DisconnectReason::ServerClosed, Instant::now());
        chosen.advance_to(0);
        assert_eq!(hosts(&chosen), ["a"]);
    }

    #[test]
    fn a_server_that_was_forgotten_during_the_move_to_it_is_the_current_one() {
        let mut pool = pool("a,b", |_| {});
        attempt(&mut pool);
        let next = pool.alternative().unwrap();
        pool.replace(ServerUrl::parse_list("a,c").unwrap());
        pool.handle_moved(&next.url, Instant::now());
        assert_eq!(hosts(&pool), ["b", "c", "a"]);
        attempt(&mut pool);
        assert_eq!(hosts(&pool), ["c", "a"]);
    }

    #[test]
    fn choosing_does_not_give_more_attempts() {
        let mut pool = pool("a,b", |config| config.max_attempts = Some(2));
        attempt(&mut pool);
        let more = (0..100).take_while(|_| {
            pool.handle_failure(&DisconnectReason::ServerClosed);
            pool.advance_to(1).is_some()
        });
        assert_eq!(more.count(), 3);
    }

    #[test]
    fn a_discovered_server_that_is_named_later_is_never_forgotten() {
        let mut pool = pool("a", |_| {});
        attempt(&mut pool);
        pool.handle_info(&announces(&["a:4222", "b:4222"]));
        attempt(&mut pool);
        pool.replace(ServerUrl::parse_list("a,b").unwrap());
        attempt(&mut pool);
        pool.handle_info(&announces(&["a:4222"]));
        assert_eq!(hosts(&pool), ["a", "b"]);
    }

    #[test]
    fn an_endless_list_of_servers_is_cut() {
        let mut pool = pool("a", |_| {});
        attempt(&mut pool);
        let names: Vec<_> = (1..20_000).map(|port| format!("b:{port}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(pool.handle_info(&announces(&names)).len(), MOST_DISCOVERED);
    }
}
