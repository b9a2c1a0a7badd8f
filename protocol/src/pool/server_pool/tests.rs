//! The pool under virtual time: attempts as tables of servers and pauses.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn pool(urls: &str, change: impl FnOnce(&mut PoolConfig)) -> ServerPool {
    let mut config = PoolConfig { randomize: false, jitter: Duration::ZERO, ..Default::default() };
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
fn a_pause_beyond_all_measure_is_a_long_pause_and_no_panic() {
    let mut pool = pool("a", |config| {
        (config.first_delay, config.max_delay) = (Duration::MAX, Duration::MAX);
        config.jitter = Duration::MAX;
    });
    pool.advance();
    assert_eq!(pool.advance(), Some(Duration::MAX));
}

#[test]
fn a_connection_that_lasted_starts_again_from_the_first_pass() {
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
fn on_a_websocket_the_servers_for_websocket_are_announced_in_either_list() {
    for (connect, websocket, expected) in [
        // as servers 2.9 to 2.15 do it
        (&["b:81"][..], &[][..], "wss://b:81"),
        (&["b:4222"], &["b:82"], "wss://b:82"),
        (&[], &["b:82"], "wss://b:82"),
    ] {
        let mut pool = pool("wss://joe:pw@a/nats", |_| {});
        pool.advance();
        let ws_connect_urls = websocket.iter().map(|url| (*url).to_owned()).collect();
        let new = pool.handle_info(&ServerInfo { ws_connect_urls, ..announces(connect) });
        assert_eq!(new.len(), 1);
        let announced = pool.servers().nth(1).unwrap();
        assert_eq!(announced.url.to_string(), format!("{expected}/nats"));
        assert!(announced.url.user_info().is_some());
    }
    let mut pool = pool("nats://a", |_| {});
    pool.advance();
    let ws_connect_urls = vec!["b:82".to_owned()];
    assert!(pool.handle_info(&ServerInfo { ws_connect_urls, ..announces(&[]) }).is_empty());
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
    assert!(super::ServerPool::new(Vec::new(), PoolConfig::default(), 1).alternative().is_none());
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
    assert_eq!(pool.handle_info(&announces(&names)).len(), MAX_DISCOVERED);
}
