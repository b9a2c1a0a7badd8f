//! Keys that are listed as they come.

mod support;

use evnats::EventLoop;
use evnats::jetstream::Storage;
use evnats::kv::{Config, Error, KeyListing, KeyValue, ListedKey, Reads};
use evnats_harness::{Cluster, requires};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use support::buckets::{bucket, expect_consumers};
use support::filled_bucket::{fill, in_own_process, key, resident};
use support::new_cluster::create_bucket;
use support::{Log, finish, finish_with, run, server, turn_until, unique};

type Kv = KeyValue<Log>;

fn with_bucket(go_on: impl FnOnce(&mut Log, &Kv) + 'static) -> Log {
    let config = Config::new().storage(Storage::Memory);
    run(|nats: &evnats::Client<Log>| {
        nats.jetstream().key_value(&unique("bucket")).create_bucket(config, |log, kv, created| {
            created.expect("a bucket");
            go_on(log, kv);
        });
    })
}

/// Puts so many keys, and waits until they are stored: a listing that is asked for earlier may find fewer.
fn put_keys(event_loop: &EventLoop<Log>, log: &mut Log, kv: &Kv, count: usize) {
    let stored = Rc::new(Cell::new(0));
    for number in 0..count {
        let stored = stored.clone();
        kv.put(&key(number), "x", move |_, _, revision| {
            revision.expect("a revision");
            stored.set(stored.get() + 1);
        });
    }
    turn_until(event_loop, log, "all keys to be stored", |_| stored.get() == count);
}

fn note(log: &mut Log, listing: &KeyListing<Log>, listed: ListedKey) {
    match listed {
        ListedKey::Key(key) => log.push(key),
        ListedKey::Ended(end) => {
            assert!(!listing.is_active());
            log.push(end.map_or_else(|error| error.to_string(), |()| "end".into()));
        }
    }
}

/// As [`note`], and closes at the end.
fn note_and_close(log: &mut Log, listing: &KeyListing<Log>, listed: ListedKey) {
    let is_end = matches!(listed, ListedKey::Ended(_));
    note(log, listing, listed);
    if is_end {
        listing.bucket().client().close();
    }
}

#[test]
fn keys_with_a_value_are_listed_and_then_the_end() {
    requires!(server(), 2, 10);
    let log = with_bucket(|_, kv| {
        for key in ["a.1", "a.2", "b.1", "c"] {
            kv.put(key, "x", |_, _, _| {});
        }
        kv.delete("a.2", |_, kv, deleted| {
            deleted.expect("deleted");
            kv.list_keys(&[">"], |log: &mut Log, listing, listed| {
                let is_end = matches!(listed, ListedKey::Ended(_));
                note(log, listing, listed);
                if is_end {
                    // patterns that others cover bring nothing twice
                    listing.bucket().list_keys(&["a.*", "a.1", "nothing"], note_and_close);
                }
            });
        });
    });
    assert_eq!(log, ["a.1", "b.1", "c", "end", "a.1", "end"]);
}

#[test]
fn an_empty_bucket_has_an_end_and_a_missing_one_an_error() {
    let log = with_bucket(|_, kv| {
        kv.list_keys(&[">"], |log: &mut Log, listing, listed| {
            note(log, listing, listed);
            let missing = listing.bucket().jetstream().key_value("missing");
            missing.list_keys(&[">"], |log: &mut Log, listing, listed| {
                note(log, listing, listed);
                listing.bucket().list_keys(&[], |log: &mut Log, listing, listed| {
                    assert_eq!(listed, ListedKey::Ended(Err(Error::NoPatterns)));
                    note_and_close(log, listing, listed);
                });
            });
        });
    });
    let missing = Error::BucketNotFound { bucket: "missing".into() }.to_string();
    assert_eq!(log, ["end", &missing, &Error::NoPatterns.to_string()]);
}

#[test]
fn no_key_is_lost_and_none_comes_twice_beside_writes() {
    const KEYS: usize = 200;
    fn write(kv: &Kv, round: usize, stop: Rc<Cell<bool>>) {
        if stop.get() {
            return;
        }
        kv.put(&format!("k{}", round % KEYS), "x", move |_, kv, stored| {
            stored.expect("stored");
            write(kv, round + 1, stop);
        });
    }
    for reads in [Reads::Leader, Reads::Replica] {
        let log = with_bucket(move |_, kv| {
            for number in 1..KEYS {
                kv.put(&format!("k{number}"), "x", |_, _, _| {});
            }
            kv.put("k0", "x", move |_, kv, stored| {
                stored.expect("stored, as all before it");
                let stop = Rc::new(Cell::new(false));
                for lane in 0..10 {
                    write(kv, lane * 17, stop.clone());
                }
                kv.with_reads(reads).list_keys(&[">"], move |log: &mut Log, listing, listed| {
                    stop.set(matches!(listed, ListedKey::Ended(_)));
                    note(log, listing, listed);
                    if stop.get() {
                        listing.bucket().client().drain();
                    }
                });
            });
        });
        assert_eq!(log.last().map(String::as_str), Some("end"));
        let unique: BTreeSet<&String> = log.iter().collect();
        assert_eq!((log.len(), unique.len()), (KEYS + 1, KEYS + 1));
    }
}

#[test]
fn a_listing_that_is_stopped_reports_nothing_more_and_leaves_no_consumer() {
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let mut log = Log::new();
    let kv = bucket(&event_loop, &mut log, &nats, |config| config);
    put_keys(&event_loop, &mut log, &kv, 100);
    kv.list_keys(&[">"], |log: &mut Log, listing, listed| {
        note(log, listing, listed);
        if log.len() == 10 {
            listing.stop();
        }
    });
    kv.list_keys(&[">"], note).stop();
    turn_until(&event_loop, &mut log, "ten keys", |log| log.len() == 10);
    expect_consumers(&event_loop, &mut log, &kv, 0);
    nats.close();
    finish_with(&event_loop, &mut log);
    assert_eq!(log, (0..10).map(key).collect::<Vec<_>>());
}

#[test]
fn a_listing_whose_callback_panics_goes_on_with_the_next_key() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let mut log = Log::new();
    let kv = bucket(&event_loop, &mut log, &nats, |config| config);
    put_keys(&event_loop, &mut log, &kv, 4);
    kv.list_keys(&[">"], |log: &mut Log, listing, listed| {
        note_and_close(log, listing, listed);
        assert_ne!(log.len(), 2, "a bug in the application");
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| finish_with(&event_loop, &mut log)));
    assert!(panicked.is_err());
    finish_with(&event_loop, &mut log);
    assert_eq!(log, (0..4).map(key).chain(["end".into()]).collect::<Vec<_>>());
}

#[test]
fn a_server_that_does_not_answer_is_a_timeout() {
    let server = evnats_harness::Server::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let options = evnats::Options::new(server.url()).request_timeout(Duration::from_millis(300));
    let nats = event_loop.connect(options).expect("a client");
    let mut log = Log::new();
    let kv = bucket(&event_loop, &mut log, &nats, |config| config);
    server.pause();
    kv.list_keys(&[">"], note_and_close);
    finish_with(&event_loop, &mut log);
    server.resume();
    assert_eq!(log.len(), 1);
    assert!(log[0].contains("time"), "{log:?}");
}

#[test]
fn on_a_bucket_with_replicas_the_leader_confirms_what_is_shown() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let nats = event_loop.connect(cluster.server(0).url()).expect("a client");
    let config = Config::new().storage(Storage::Memory).replicas(3);
    create_bucket(&nats.jetstream().key_value("three"), config, |_, kv| {
        for number in 0..600 {
            kv.put(&key(number), "x", |_, _, stored| assert!(stored.is_ok()));
        }
        kv.delete(&key(7), |_, kv, deleted| {
            deleted.expect("deleted");
            kv.list_keys(&[">"], note_and_close);
        });
    });
    let mut log = finish(&event_loop);
    assert_eq!(log.pop().as_deref(), Some("end"));
    log.sort();
    let expected = (0..600).filter(|number| *number != 7).map(key);
    support::assert_same(&log, &expected.collect::<Vec<_>>());
}

/// How many bytes more this process has at most, while a million keys are listed.
const MEASURED: &str = "EVNATS_MEASURED_LISTING";

#[test]
#[ignore = "a long test: a million keys"]
fn a_million_keys_are_listed_in_64_mib() {
    const KEYS: usize = 1_000_000;
    const TEST: &str = "a_million_keys_are_listed_in_64_mib";
    if let Ok(what) = std::env::var(MEASURED) {
        let (url, how) = what.split_once(' ').expect("two words");
        return println!("{MEASURED} {}", measure_listing(url, how, KEYS));
    }
    let server = evnats_harness::Server::start();
    support::run_with(server.url().as_str(), |nats: &evnats::Client<()>| {
        let config = Config::new().storage(Storage::Memory);
        nats.jetstream().key_value("million").create_bucket(config, |(), kv, created| {
            created.expect("a bucket");
            kv.client().close();
        });
    });
    fill(&server.url(), "million", KEYS);
    let [streamed, collected] = ["streamed", "collected"].map(|how| {
        let bytes = in_own_process(TEST, MEASURED, &format!("{} {how}", server.url()));
        println!("{how}: {} KiB for {KEYS} keys", bytes >> 10);
        bytes
    });
    assert!(streamed <= 64 << 20, "{streamed} bytes");
    assert!(collected <= 128 << 20, "{collected} bytes");
}

#[derive(Default)]
struct Measured {
    keys: usize,
    most: usize,
    ended: bool,
}

fn measure_listing(url: &str, how: &str, keys: usize) -> usize {
    let event_loop = EventLoop::<Measured>::new().expect("an event loop");
    let nats = event_loop.connect(url).expect("a client");
    let mut measured = Measured::default();
    support::flush(&event_loop, &mut measured, &nats);
    let before = resident();
    let kv = nats.jetstream().key_value("million");
    match how {
        "streamed" => {
            drop(kv.list_keys(&[">"], |measured: &mut Measured, _, listed| match listed {
                ListedKey::Key(_) => {
                    measured.keys += 1;
                    if measured.keys.is_multiple_of(10_000) {
                        measured.most = measured.most.max(resident());
                    }
                }
                ListedKey::Ended(end) => {
                    end.expect("all of them");
                    measured.ended = true;
                }
            }))
        }
        _ => kv.keys(|measured: &mut Measured, _, keys| {
            measured.keys = keys.expect("all of them").len();
            measured.ended = true;
        }),
    }
    let began = std::time::Instant::now();
    while !measured.ended {
        event_loop.dispatch(&mut measured, Some(Duration::from_secs(1))).expect("a turn");
        measured.most = measured.most.max(resident());
        assert!(began.elapsed() < Duration::from_secs(120));
    }
    assert_eq!(measured.keys, keys);
    nats.close();
    measured.most.saturating_sub(before)
}
