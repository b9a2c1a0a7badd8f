//! Caches of Key-Value: what they hold, also of what no message tells.

mod support;

use evnats::jetstream::{PublishOptions, PurgeOptions};
use evnats::kv::{Cache, CacheEvent, CacheOptions, CacheState, Entry, Error, Operation};
use evnats::{EventLoop, HeaderMap, Options};
use evnats_harness::{FaultProxy, requires};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use support::buckets::{Bench, expect_consumers};
use support::filled_bucket::{fill, in_own_process, resident};
use support::{Log, server, turn_until};

impl Bench {
    fn cache(&mut self, patterns: &[&str]) -> Cache<Log> {
        let cache = self.kv.cache(patterns, CacheOptions::new(), note);
        self.expect("ready");
        cache
    }

    /// Turns the loop until the log ends with a line.
    #[track_caller]
    fn expect(&mut self, line: &str) {
        self.turn_until(line, |log| log.last().is_some_and(|seen| seen == line));
    }

    /// Puts a value that lives for three seconds.
    fn put_for_seconds(&mut self, key: &str, value: &str) {
        let mut headers = HeaderMap::new();
        headers.append("Nats-TTL", "3");
        let options = PublishOptions::new().headers(&headers);
        let subject = format!("$KV.{}.{key}", self.kv.bucket());
        self.admin.jetstream().publish_with(&subject, value, &options, |_, _, stored| {
            assert!(stored.is_ok(), "{stored:?}");
        });
    }
}

fn shown(entry: &Entry) -> String {
    match entry.operation() {
        Operation::Put => format!("{}={}", entry.key(), entry.text()),
        operation => format!("{operation} {}", entry.key()),
    }
}

/// Notes what a cache reports, a line each.
fn note(log: &mut Log, _: &Cache<Log>, event: CacheEvent) {
    log.push(match event {
        CacheEvent::Changed(entry) => shown(&entry),
        CacheEvent::Batch(entries) => {
            entries.iter().map(|entry| shown(entry)).collect::<Vec<_>>().join(" + ")
        }
        CacheEvent::Removed(entry) => format!("removed {}", entry.key()),
        CacheEvent::CatchingUp { .. } => "catching up".into(),
        CacheEvent::Ended(error) => error.to_string(),
        other => format!("{other:?}").to_lowercase(),
    });
}

/// What a cache holds, in order.
fn held(cache: &Cache<Log>) -> Vec<String> {
    let mut held: Vec<String> = cache.entries().iter().map(|entry| shown(entry)).collect();
    held.sort();
    held
}

#[test]
fn it_holds_what_there_is_and_follows_what_changes() {
    requires!(server(), 2, 10);
    let mut bench = Bench::new(|config| config);
    bench.put("a.1", "1");
    bench.put("b.1", "1");
    bench.put("c", "not cached");
    let cache = bench.cache(&["a.*", "b.*"]);
    assert_eq!(cache.state(), CacheState::Live);
    assert_eq!(held(&cache), ["a.1=1", "b.1=1"]);
    let revision = bench.put("a.1", "2");
    bench.expect("a.1=2");
    let entry = cache.get("a.1").expect("an entry");
    assert_eq!((entry.text().as_ref(), entry.revision()), ("2", revision));
    bench.kv.delete("a.1", |_, _, deleted| assert!(deleted.is_ok()));
    bench.expect("DEL a.1");
    bench.put("a.2", "new");
    bench.kv.purge("b.1", |_, _, purged| assert!(purged.is_ok()));
    bench.expect("PURGE b.1");
    assert_eq!((cache.get("a.1"), cache.get("b.1"), cache.get("c")), (None, None, None));
    assert_eq!((cache.len(), cache.keys()), (1, vec!["a.2".to_owned()]));
    cache.stop();
    expect_consumers(&bench.event_loop, &mut bench.log, &bench.kv, 0);
    bench.put("a.2", "unseen");
    assert_eq!((held(&cache), cache.state()), (vec!["a.2=new".into()], CacheState::Ended(None)));
    assert_eq!(bench.end(&[]), ["ready", "a.1=2", "DEL a.1", "a.2=new", "PURGE b.1"]);
}

#[test]
fn an_empty_bucket_is_ready_at_once_and_a_missing_one_an_end() {
    let mut bench = Bench::new(|config| config);
    let cache = bench.cache(&[">"]);
    assert!(cache.is_empty());
    let missing = bench.admin.jetstream().key_value("missing");
    let never = missing.cache(&[">"], CacheOptions::new(), note);
    let error = Error::BucketNotFound { bucket: "missing".into() };
    bench.expect(&error.to_string());
    assert_eq!(never.state(), CacheState::Ended(Some(error)));
    let wrong = bench.kv.cache(&["a..b"], CacheOptions::new(), note);
    assert!(wrong.is_active(), "it is told in the next turn");
    bench.turn_until("the end", |_| !wrong.is_active());
    cache.stop();
    bench.end(&[]);
}

#[test]
fn a_batch_is_in_the_cache_as_a_whole_before_it_is_told() {
    requires!(server(), 2, 12);
    let mut bench = Bench::new(|config| config.allow_atomic(true));
    bench.put("a", "0");
    let cache = bench.kv.cache(&[">"], CacheOptions::new(), |log: &mut Log, cache, event| {
        if let CacheEvent::Batch(_) = &event {
            log.push(held(cache).join(", "));
        }
        note(log, cache, event);
    });
    bench.expect("ready");
    let subject = |key: &str| format!("$KV.{}.{key}", bench.kv.bucket());
    let batch = bench.admin.jetstream().atomic_batch();
    batch.add(&subject("b"), "1", &PublishOptions::new()).expect("room");
    batch.commit(&subject("a"), "1", &PublishOptions::new(), |_, _, ack| assert!(ack.is_ok()));
    bench.expect("b=1 + a=1");
    cache.stop();
    assert_eq!(bench.end(&[]), ["ready", "a=1, b=1", "b=1 + a=1"]);
}

#[test]
fn markers_remove_what_has_expired() {
    requires!(server(), 2, 11);
    let second = Duration::from_secs(1);
    let mut bench = Bench::new(|config| {
        config
            .allow_msg_ttl(true)
            .subject_delete_marker_ttl(Duration::from_secs(60))
            .max_age(second)
    });
    bench.put("a", "1");
    let cache = bench.cache(&[">"]);
    bench.expect("EXPIRE a");
    assert!(cache.is_empty());
    cache.stop();
    bench.end(&[]);
}

#[test]
fn without_markers_the_leader_is_asked_for_what_should_have_expired() {
    let mut bench = Bench::new(|config| config.max_age(Duration::from_secs(2)));
    bench.put("a", "1");
    let cache = bench.cache(&[">"]);
    bench.put("b", "1");
    bench.expect("b=1");
    bench.turn_until("nothing", |_| cache.is_empty());
    cache.stop();
    // the leader may be asked for both at once
    let mut told = bench.end(&[]);
    told[2..].sort();
    assert_eq!(told, ["ready", "b=1", "removed a", "removed b"]);
}

#[test]
fn a_value_that_comes_back_when_the_one_after_it_has_expired_is_in_the_cache() {
    requires!(server(), 2, 11);
    let mut bench = Bench::new(|config| config.allow_msg_ttl(true).max_msgs_per_subject(2));
    bench.put("a", "old");
    bench.put("b", "stays");
    bench.put_for_seconds("a", "new");
    let cache = bench.cache(&[">"]);
    assert_eq!(held(&cache), ["a=new", "b=stays"]);
    bench.expect("a=old");
    assert_eq!(held(&cache), ["a=old", "b=stays"]);
    cache.stop();
    bench.end(&[]);
}

#[test]
fn what_was_purged_without_a_trace_while_the_connection_was_lost_is_removed() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config.max_msgs_per_subject(3));
    for key in ["a", "b", "c", "d"] {
        bench.put(key, "1");
    }
    let options = Options::new(proxy.url())
        .reconnect_delay(Duration::from_millis(2))
        .max_reconnect_delay(Duration::from_millis(2));
    let nats = bench.event_loop.connect(options).expect("a client");
    let behind = nats.jetstream().key_value(bench.kv.bucket());
    let cache = behind.cache(&[">"], CacheOptions::new(), note);
    bench.expect("ready");
    proxy.refuse(true);
    proxy.cut_all();
    bench.expect("catching up");
    assert!(matches!(cache.state(), CacheState::CatchingUp { .. }));
    assert_eq!(cache.len(), 4, "it holds what it held");
    let stream = format!("KV_{}", bench.kv.bucket());
    let purged = Rc::new(Cell::new(0));
    for key in ["a", "b"] {
        let filter = format!("$KV.{}.{key}", bench.kv.bucket());
        let purged = purged.clone();
        let options = PurgeOptions::new().subject(filter);
        bench.admin.jetstream().purge_stream(&stream, &options, move |_, _, count| {
            assert_eq!(count, Ok(1));
            purged.set(purged.get() + 1);
        });
    }
    bench.turn_until("two purges", |_| purged.get() == 2);
    bench.put("b", "2");
    bench.put("c", "2");
    proxy.refuse(false);
    bench.expect("live");
    assert_eq!(held(&cache), ["b=2", "c=2", "d=1"]);
    assert_eq!(cache.state(), CacheState::Live);
    cache.stop();
    nats.close();
    bench.log.sort();
    let log = bench.end(&[]);
    assert_eq!(log, ["b=2", "c=2", "catching up", "live", "ready", "removed a"]);
}

/// What is hidden is what a bucket keeps for itself, such as the fences of linearizable reads.
#[test]
fn it_has_caught_up_also_when_the_last_that_comes_is_hidden() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config);
    let options = Options::new(proxy.url()).reconnect_delay(Duration::from_millis(2));
    let nats = bench.event_loop.connect(options).expect("a client");
    let behind = nats.jetstream().key_value(bench.kv.bucket());
    let cache = behind.cache(&[">"], CacheOptions::new(), note);
    bench.expect("ready");
    proxy.refuse(true);
    proxy.cut_all();
    bench.expect("catching up");
    bench.put("a", "1");
    let hidden = Rc::new(Cell::new(false));
    let told = hidden.clone();
    let subject = format!("$KV.{}._kv_hidden", bench.kv.bucket());
    bench.admin.jetstream().publish(&subject, "", move |_, _, stored| {
        assert!(stored.is_ok(), "{stored:?}");
        told.set(true);
    });
    bench.turn_until("a hidden message", |_| hidden.get());
    proxy.refuse(false);
    bench.expect("live");
    cache.stop();
    nats.close();
    assert_eq!(bench.end(&[]), ["ready", "catching up", "a=1", "live"]);
}

#[test]
fn a_bucket_that_this_client_empties_is_empty_in_the_cache() {
    let mut bench = Bench::new(|config| config);
    bench.put("a", "1");
    let cache = bench.cache(&[">"]);
    bench.kv.clear(|_, _, cleared| assert_eq!(cleared, Ok(())));
    bench.expect("cleared");
    assert!(cache.is_empty());
    bench.put("b", "2");
    bench.expect("b=2");
    assert_eq!(held(&cache), ["b=2"]);
    cache.stop();
    bench.end(&[]);
}

#[test]
fn a_cache_that_would_hold_more_than_it_may_ends() {
    let mut bench = Bench::new(|config| config);
    let options = CacheOptions::new().max_bytes(10_000);
    let cache = bench.kv.cache(&[">"], options, note);
    bench.expect("ready");
    bench.put("small", "1");
    bench.expect("small=1");
    bench.put("large", &"x".repeat(10_000));
    let full = Error::CacheFull { limit: 10_000 };
    bench.expect(&full.to_string());
    assert_eq!(cache.state(), CacheState::Ended(Some(full)));
    assert_eq!(held(&cache), ["small=1"]);
    expect_consumers(&bench.event_loop, &mut bench.log, &bench.kv, 0);
    bench.end(&[]);
}

#[test]
fn a_callback_that_panics_loses_one_report_and_nothing_of_the_cache() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut bench = Bench::new(|config| config);
    let cache = bench.kv.cache(&[">"], CacheOptions::new(), |log: &mut Log, cache, event| {
        note(log, cache, event);
        assert_ne!(log.last().map(String::as_str), Some("a=1"), "a bug in the application");
    });
    bench.expect("ready");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        bench.put("a", "1");
        bench.expect("never");
    }));
    assert!(panicked.is_err());
    bench.put("b", "2");
    bench.expect("b=2");
    assert_eq!(held(&cache), ["a=1", "b=2"]);
    cache.stop();
    bench.end(&[]);
}

/// Writes at random while connections are cut; then the cache has exactly what the server has.
#[test]
fn after_losses_at_any_time_it_holds_exactly_what_the_server_has() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config);
    let options = Options::new(proxy.url())
        .reconnect_delay(Duration::from_millis(2))
        .max_reconnect_delay(Duration::from_millis(2));
    let nats = bench.event_loop.connect(options).expect("a client");
    let last = Rc::new(RefCell::new(BTreeMap::<String, u64>::new()));
    let seen = last.clone();
    let behind = nats.jetstream().key_value(bench.kv.bucket());
    let cache = behind.cache(&[">"], CacheOptions::new(), move |log: &mut Log, cache, event| {
        if let CacheEvent::Changed(entry) = &event {
            let before = seen.borrow_mut().insert(entry.key().into_owned(), entry.revision());
            assert!(before < Some(entry.revision()), "revisions rise");
        }
        note(log, cache, event);
    });
    bench.expect("ready");
    let stream = format!("KV_{}", bench.kv.bucket());
    for round in 0..300_u32 {
        let key = format!("key.{}", round * 7 % 40);
        match round % 5 {
            0 => bench.kv.delete(&key, |_, _, deleted| assert!(deleted.is_ok())),
            1 => {
                let filter = format!("$KV.{}.{key}", bench.kv.bucket());
                let options = PurgeOptions::new().subject(filter);
                let admin = bench.admin.jetstream();
                admin.purge_stream(&stream, &options, |_, _, purged| assert!(purged.is_ok()));
            }
            _ => bench.kv.put(&key, round.to_string(), |_, _, stored| assert!(stored.is_ok())),
        }
        if round % 10 == 9 {
            bench.put("end", &round.to_string());
            proxy.cut_all();
        }
    }
    proxy.cut_all();
    bench.turn_until("a loss", |_| cache.state() != CacheState::Live);
    bench.turn_until("an exact cache", |_| cache.state() == CacheState::Live);
    let keys = Rc::new(RefCell::new(None));
    let given = keys.clone();
    bench.kv.keys(move |_, _, keys| _ = given.replace(Some(keys.expect("keys"))));
    bench.turn_until("keys", |_| keys.borrow().is_some());
    let mut cached = cache.keys();
    cached.sort();
    assert_eq!(Some(cached), keys.take());
    for entry in cache.entries() {
        let checked = Rc::new(Cell::new(false));
        let told = checked.clone();
        let held = entry.clone();
        bench.kv.get(&entry.key(), move |_, _, found| {
            let found = found.expect("an answer").expect("a value");
            assert_eq!((found.revision(), found.value()), (held.revision(), held.value()));
            told.set(true);
        });
        bench.turn_until("a value", |_| checked.get());
    }
    cache.stop();
    nats.close();
    bench.end(&[]);
}

/// How many bytes more this process has when it caches a hundred thousand keys.
const MEASURED: &str = "EVNATS_MEASURED_CACHE";

#[test]
#[ignore = "a long test: what a hundred thousand keys take"]
fn a_key_takes_as_much_memory_as_the_docs_say() {
    const KEYS: usize = 100_000;
    const TEST: &str = "a_key_takes_as_much_memory_as_the_docs_say";
    if let Ok(what) = std::env::var(MEASURED) {
        let (url, bucket) = what.split_once(' ').expect("two words");
        return println!("{MEASURED} {}", measure(url, bucket, KEYS));
    }
    let mut bench = Bench::new(|config| config);
    fill(&server().url(), bench.kv.bucket(), KEYS);
    let what = format!("{} {}", server().url(), bench.kv.bucket());
    let bytes = in_own_process(TEST, MEASURED, &what);
    // the keys have 16 bytes, and their values up to 5
    println!("{} bytes a key beside itself and its value", bytes / KEYS - 21);
    assert!(bytes / KEYS - 21 <= 240, "{} bytes a key", bytes / KEYS);
    bench.turn_until("nothing", |_| true);
    bench.end(&[]);
}

fn measure(url: &str, bucket: &str, keys: usize) -> usize {
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let nats = event_loop.connect(url).expect("a client");
    let mut log = Log::new();
    support::flush(&event_loop, &mut log, &nats);
    let before = resident();
    let cache = nats.jetstream().key_value(bucket).cache(&[">"], CacheOptions::new(), note);
    turn_until(&event_loop, &mut log, "all of them", |log| !log.is_empty());
    assert_eq!((cache.len(), log.as_slice()), (keys, &["ready".to_owned()][..]));
    nats.close();
    resident().saturating_sub(before)
}
