//! Watches of Key-Value over losses of all kinds: what they show, and what they leave at the server.

mod support;

use evnats::jetstream::PublishOptions;
use evnats::kv::{Entry, Error, KeyValue, Update, WatchOptions, WatchState, Watcher};
use evnats::{HeaderMap, Options};
use evnats_harness::{FaultProxy, requires};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use support::buckets::{Bench, stream_info};
use support::{Log, finish_with, server};

type Kv = KeyValue<Log>;

impl Bench {
    /// The bucket, as a client behind a proxy has it.
    fn behind(&self, proxy: &FaultProxy) -> Kv {
        let options = Options::new(proxy.url())
            .reconnect_delay(Duration::from_millis(2))
            .max_reconnect_delay(Duration::from_millis(2));
        let nats = self.event_loop.connect(options).expect("a client");
        nats.jetstream().key_value(self.kv.bucket())
    }

    /// Turns the loop until the log has a line.
    #[track_caller]
    fn expect(&mut self, line: &str) {
        self.turn_until(line, |log| log.iter().any(|seen| seen == line));
    }
}

fn shown(entry: &Entry) -> String {
    format!("{}={}", entry.key(), entry.text())
}

/// Notes what a watch reports, a line each.
fn note(log: &mut Log, _: &Watcher<Log>, update: Update) {
    log.push(match update {
        Update::Entry(entry) => shown(&entry),
        Update::Batch(entries) => entries.iter().map(shown).collect::<Vec<_>>().join(" + "),
        Update::Recreating { .. } => "recreating".into(),
        Update::Ended(error) => error.to_string(),
        other => format!("{other:?}").to_lowercase(),
    });
}

/// Cuts the connection of many watches again and again. Each of them has to see every value, once and
/// in order, and one consumer is to be there for each.
fn cut_many_watches(watches: usize, losses: usize) {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config.max_msgs_per_subject(64));
    let watched = bench.behind(&proxy);
    let seen: Vec<Rc<Cell<usize>>> = (0..watches).map(|_| Rc::default()).collect();
    let (signals, doubles) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let watchers: Vec<_> = seen
        .iter()
        .map(|seen| {
            let (seen, signals, doubles) = (seen.clone(), signals.clone(), doubles.clone());
            watched.watch(">", WatchOptions::new(), move |_: &mut Log, _, update| match update {
                Update::Entry(entry) => {
                    let expected = (seen.get() + 1).to_string();
                    doubles.set(doubles.get() + usize::from(entry.text() != expected));
                    seen.set(seen.get() + 1);
                }
                Update::Initialized => signals.set(signals.get() + 1),
                Update::Ended(error) => support::fail(error),
                _ => {}
            })
        })
        .collect();
    bench.turn_until("the signals", |_| signals.get() == watches);
    let mut written = 0;
    for loss in 0..losses {
        let before = watched.client().statistics().reconnects;
        proxy.cut_all();
        let nats = watched.client().clone();
        bench.turn_until("a reconnect", |_| nats.statistics().reconnects > before);
        // now and then they get so far that they show what was written
        if loss % 10 == 9 || loss + 1 == losses {
            written += 1;
            bench.put("k", &written.to_string());
            bench.turn_until("the entry", |_| seen.iter().all(|seen| seen.get() == written));
        }
    }
    bench.expect_consumers(watches as u64);
    assert_eq!((signals.get(), doubles.get()), (watches, 0));
    assert!(watchers.iter().all(|watcher| watcher.state() == WatchState::Live));
    watchers.iter().for_each(Watcher::stop);
    bench.expect_consumers(0);
    bench.end(&[&watched]);
}

#[test]
fn reconnects_of_several_watches_leave_one_consumer_each() {
    cut_many_watches(10, 50);
}

#[test]
#[ignore = "a long test: a thousand reconnects of a hundred watches"]
fn a_thousand_reconnects_of_a_hundred_watches_leave_a_hundred_consumers() {
    cut_many_watches(100, 1000);
}

/// Starts watches and stops them, at once, when they have a consumer, or after their signal.
fn start_and_stop(watches: usize) {
    let mut bench = Bench::new(|config| config);
    bench.put("k", "v");
    for round in 0..watches {
        let watcher = bench.kv.watch(">", WatchOptions::new(), |log: &mut Log, watcher, update| {
            note(log, watcher, update)
        });
        match round % 3 {
            0 => {}
            1 => bench.turn_until("a consumer", |_| watcher.state() == WatchState::Live),
            _ => {
                bench.turn_until("the signal", |log| log.last().is_some_and(|l| l == "initialized"))
            }
        }
        watcher.stop();
        bench.log.clear();
        assert_eq!((watcher.is_active(), watcher.state()), (false, WatchState::Ended));
    }
    bench.expect_consumers(0);
    assert_eq!(bench.end(&[]), [""; 0], "nothing comes after a stop");
}

#[test]
fn watches_that_were_started_and_stopped_leave_no_consumer() {
    start_and_stop(60);
}

#[test]
#[ignore = "a long test: a thousand watches, one after the other"]
fn a_thousand_watches_that_were_started_and_stopped_leave_no_consumer() {
    start_and_stop(1000);
}

/// Watches as many keys, each by a watch of its own, which sees its key and no other.
fn watch_at_once(watches: usize) {
    let mut bench = Bench::new(|config| config);
    let (signals, entries) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let watchers: Vec<_> = (0..watches)
        .map(|number| {
            let (signals, entries) = (signals.clone(), entries.clone());
            let key = format!("key.{number}");
            bench.kv.watch(&key.clone(), WatchOptions::new(), move |_: &mut Log, _, update| {
                match update {
                    Update::Entry(entry) => {
                        assert_eq!(entry.key(), key);
                        entries.set(entries.get() + 1);
                    }
                    Update::Initialized => signals.set(signals.get() + 1),
                    Update::Ended(error) => support::fail(error),
                    _ => {}
                }
            })
        })
        .collect();
    bench.turn_until("the signals", |_| signals.get() == watches);
    for number in 0..watches {
        bench.kv.put(&format!("key.{number}"), "v", |_, _, stored| assert!(stored.is_ok()));
    }
    bench.turn_until("the entries", |_| entries.get() == watches);
    bench.expect_consumers(watches as u64);
    watchers.iter().for_each(Watcher::stop);
    bench.expect_consumers(0);
    bench.end(&[]);
}

#[test]
fn many_watches_on_one_client_see_each_its_own() {
    watch_at_once(50);
}

#[test]
#[ignore = "a long test: a thousand watches at once"]
fn a_thousand_watches_on_one_client_see_each_its_own() {
    watch_at_once(1000);
}

#[test]
fn a_watch_tells_since_when_there_is_no_consumer_and_when_there_is_one_again() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config);
    let watched = bench.behind(&proxy);
    let began = std::time::Instant::now();
    let watcher = watched.watch(">", WatchOptions::new(), note);
    assert!(matches!(watcher.state(), WatchState::Recreating { since } if since >= began));
    bench.expect("initialized");
    assert_eq!(watcher.state(), WatchState::Live);
    proxy.refuse(true);
    proxy.cut_all();
    bench.expect("recreating");
    let WatchState::Recreating { since } = watcher.state() else { panic!("{:?}", watcher.state()) };
    assert!(since > began);
    bench.put("k", "meanwhile");
    assert_eq!(watcher.state(), WatchState::Recreating { since });
    proxy.refuse(false);
    // an entry may be faster than the answer that there is a consumer
    bench.expect("k=meanwhile");
    bench.expect("live");
    assert_eq!(watcher.state(), WatchState::Live);
    watcher.stop();
    let log = bench.end(&[&watched]);
    assert_eq!((log.len(), &log[..2]), (4, &["initialized".to_owned(), "recreating".into()][..]));
}

#[test]
fn a_watch_that_is_stopped_without_a_connection_leaves_no_consumer() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config);
    let watched = bench.behind(&proxy);
    let watcher = watched.watch(">", WatchOptions::new(), note);
    bench.expect("initialized");
    proxy.refuse(true);
    proxy.cut_all();
    bench.expect("recreating");
    watcher.stop();
    let info = stream_info(&bench.event_loop, &mut bench.log, &bench.kv);
    assert_eq!(info.state.consumer_count, 1, "nobody could say that it is not needed");
    proxy.refuse(false);
    // far less than the half minute after which the server gives it up
    bench.expect_consumers(0);
    assert_eq!(bench.end(&[&watched]), ["initialized", "recreating"]);
}

#[test]
fn a_client_that_closes_does_not_wait_for_what_its_watches_leave() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config);
    let watched = bench.behind(&proxy);
    let stopped = watched.watch(">", WatchOptions::new(), note);
    watched.watch(">", WatchOptions::new(), note);
    bench.turn_until("the signals", |log| log.len() == 2);
    proxy.refuse(true);
    proxy.cut_all();
    bench.expect("recreating");
    stopped.stop();
    let began = std::time::Instant::now();
    let log = bench.end(&[&watched]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(log.last().map(String::as_str), Some("the connection is closed"));
}

#[test]
fn keys_that_are_reserved_are_not_shown_and_count_for_the_signal() {
    let mut bench = Bench::new(|config| config);
    let subject = |key: &str| format!("$KV.{}.{key}", bench.kv.bucket());
    let (hidden, late) = (subject("_kv_fence"), subject("_kv.more"));
    bench.admin.jetstream().publish(&hidden, "x", |log: &mut Log, _, stored| {
        assert!(stored.is_ok());
        log.push("stored".into());
    });
    bench.expect("stored");
    let watcher = bench.kv.watch(">", WatchOptions::new(), note);
    bench.expect("initialized");
    bench.admin.jetstream().publish(&late, "x", |_, _, stored| assert!(stored.is_ok()));
    bench.put("k", "v");
    bench.expect("k=v");
    watcher.stop();
    assert_eq!(bench.end(&[]), ["stored", "initialized", "k=v"]);
}

/// Updates that a watch passes on at once are held against those of one that puts batches together, whose
/// updates are all noted first.
#[test]
fn updates_come_the_same_at_once_and_noted_before() {
    // what is replaced before its turn is seen, too
    let mut bench = Bench::new(|config| config.max_msgs_per_subject(5));
    let start = |bench: &Bench, options: WatchOptions, name: &'static str| {
        bench.kv.watch(">", options, move |log: &mut Log, watcher, update| {
            let last = matches!(&update, Update::Entry(entry) if entry.text() == "last");
            log.push(match update {
                Update::Entry(entry) => format!(
                    "{name} {} {} {} {}",
                    entry.key(),
                    entry.operation(),
                    entry.revision(),
                    entry.text()
                ),
                other => format!("{name} {other:?}"),
            });
            if last {
                watcher.stop();
            }
        })
    };
    for n in 0..20 {
        bench.put(&format!("k{n}"), "early");
    }
    let options = || WatchOptions::new().heartbeat(Duration::from_millis(500));
    let watchers =
        [start(&bench, options(), "one"), start(&bench, options().whole_batches(), "other")];
    bench.expect("one Initialized");
    bench.expect("other Initialized");
    for n in 0..20 {
        bench.put(&format!("k{n}"), "late");
        bench.kv.delete(&format!("k{n}"), |_, _, deleted| assert!(deleted.is_ok()));
    }
    bench.put("k", "last");
    bench.put("k", "after the end");
    bench.turn_until("both have stopped", |_| watchers.iter().all(|watch| !watch.is_active()));
    let log = bench.end(&[]);
    let of = |name: &str| -> Vec<String> {
        log.iter().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    };
    let (one, other) = (of("one "), of("other "));
    assert_eq!(one, other);
    assert_eq!(one.len(), 20 + 1 + 40 + 1);
    assert_eq!(one[20], "Initialized");
}

/// Writes keys with values in one atomic batch, with the last of them or with an end of its own.
fn write_batch(bench: &mut Bench, pairs: &[(&str, &str)], with_end: bool) {
    let subject = |key: &str| format!("$KV.{}.{key}", bench.kv.bucket());
    let stored = Rc::new(Cell::new(false));
    let told = stored.clone();
    let on_stored = move |_: &mut Log, _: &_, ack: Result<evnats::jetstream::PubAck, _>| {
        assert!(ack.is_ok(), "{ack:?}");
        told.set(true);
    };
    let batch = bench.admin.jetstream().atomic_batch();
    let (last, others) = pairs.split_last().expect("some");
    let options = PublishOptions::new();
    for (key, value) in others {
        batch.add(&subject(key), *value, &options).expect("room");
    }
    if with_end {
        batch.add(&subject(last.0), last.1, &options).expect("room");
        batch.commit_with_end(on_stored);
    } else {
        batch.commit(&subject(last.0), last.1, &options, on_stored);
    }
    bench.turn_until("a batch", |_| stored.get());
}

fn with_batches() -> Bench {
    Bench::new(|config| config.allow_atomic(true).max_msgs_per_subject(5))
}

#[test]
fn batches_come_whole_live_and_of_the_history() {
    requires!(server(), 2, 12);
    let mut bench = with_batches();
    bench.put("a", "0");
    write_batch(&mut bench, &[("a", "1"), ("b", "1")], false);
    let options = WatchOptions::new().include_history().whole_batches();
    let watcher = bench.kv.watch(">", options, note);
    bench.expect("initialized");
    write_batch(&mut bench, &[("c", "2"), ("b", "2"), ("a", "2")], false);
    bench.put("z", "end");
    bench.expect("z=end");
    watcher.stop();
    assert_eq!(bench.end(&[]), ["a=0", "a=1 + b=1", "initialized", "c=2 + b=2 + a=2", "z=end"]);
}

#[test]
fn parts_of_a_batch_among_the_last_values_come_before_the_signal() {
    requires!(server(), 2, 12);
    let mut bench = with_batches();
    write_batch(&mut bench, &[("a", "1"), ("b", "1"), ("c", "1")], false);
    // its end is the last value of nothing any more
    bench.put("c", "2");
    let watcher = bench.kv.watch(">", WatchOptions::new().whole_batches(), note);
    bench.expect("initialized");
    watcher.stop();
    // "d" hides the end: nothing but a heartbeat tells that no more comes
    write_batch(&mut bench, &[("x.1", "3"), ("x.2", "3"), ("d", "3")], false);
    let heartbeat = Duration::from_millis(200);
    let options = WatchOptions::new().whole_batches().heartbeat(heartbeat);
    let watcher = bench.kv.watch("x.*", options, note);
    bench.turn_until("the second signal", |log| log.len() == 5);
    watcher.stop();
    assert_eq!(bench.end(&[]), ["a=1 + b=1", "c=2", "initialized", "x.1=3 + x.2=3", "initialized"]);
}

/// The server marks the last message that it has stored, so nothing has to be waited for.
#[test]
fn a_batch_that_was_committed_without_a_last_message_comes_whole() {
    requires!(server(), 2, 14);
    let mut bench = with_batches();
    let watcher = bench.kv.watch(">", WatchOptions::new().whole_batches(), note);
    bench.expect("initialized");
    write_batch(&mut bench, &[("a", "1"), ("b", "1")], true);
    bench.expect("a=1 + b=1");
    write_batch(&mut bench, &[("a", "2"), ("b", "2")], true);
    bench.put("c", "3");
    bench.expect("c=3");
    watcher.stop();
    assert_eq!(bench.end(&[]), ["initialized", "a=1 + b=1", "a=2 + b=2", "c=3"]);
}

/// Batches arrive in pieces while connections are cut between any two bytes.
#[test]
fn batches_come_whole_over_losses_of_the_connection() {
    requires!(server(), 2, 12);
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let mut bench = Bench::new(|config| config.allow_atomic(true).max_msgs_per_subject(64));
    let watched = bench.behind(&proxy);
    let options = WatchOptions::new().include_history().whole_batches();
    let (whole, next) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(1)));
    let (counted, expected) = (whole.clone(), next.clone());
    let watcher = watched.watch(">", options, move |_: &mut Log, _, update| match update {
        Update::Batch(entries) => {
            assert_eq!(entries.len(), 20);
            for entry in entries {
                assert_eq!(entry.revision(), expected.replace(expected.get() + 1));
            }
            counted.set(counted.get() + 1);
        }
        Update::Entry(entry) => support::fail(shown(&entry)),
        Update::Ended(error) => support::fail(error),
        _ => {}
    });
    bench.turn_until("a consumer", |_| watcher.state() == WatchState::Live);
    let keys: Vec<String> = (0..20).map(|n| format!("key.{n}")).collect();
    let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "value")).collect();
    for round in 1..=40 {
        write_batch(&mut bench, &pairs, false);
        proxy.cut_all();
        if round % 8 == 0 {
            bench.turn_until("all batches", |_| whole.get() == round);
        }
    }
    watcher.stop();
    bench.end(&[&watched]);
}

#[test]
fn the_end_of_a_bucket_comes_after_what_was_held_of_a_batch() {
    requires!(server(), 2, 12);
    let mut bench = with_batches();
    let options = WatchOptions::new().whole_batches().heartbeat(Duration::from_millis(500));
    let watcher = bench.kv.watch("x.*", options, note);
    bench.expect("initialized");
    // whoever watches "x.*" does not see its end
    write_batch(&mut bench, &[("x.1", "1"), ("x.2", "1"), ("c", "1")], false);
    let ended = Rc::new(Cell::new(false));
    let told = ended.clone();
    bench.kv.delete_bucket(move |_, _, deleted| {
        deleted.expect("deleted");
        told.set(true);
    });
    bench.turn_until("the end", |_| !watcher.is_active());
    assert!(ended.get());
    bench.admin.close();
    finish_with(&bench.event_loop, &mut bench.log);
    let gone = Error::BucketNotFound { bucket: bench.kv.bucket().into() }.to_string();
    let lines = bench.log.iter().filter(|line| *line != "recreating").collect::<Vec<_>>();
    assert_eq!(lines, ["initialized", "x.1=1 + x.2=1", &gone]);
}

/// What a batch says of itself in headers may be anything that somebody has stored.
#[test]
fn headers_of_a_batch_that_never_was_hold_nothing_back() {
    let mut bench = Bench::new(|config| config.max_msgs_per_subject(5));
    let watcher = bench.kv.watch(">", WatchOptions::new().whole_batches(), note);
    bench.expect("initialized");
    let subject = format!("$KV.{}.k", bench.kv.bucket());
    for value in ["1", "2"] {
        let mut headers = HeaderMap::new();
        headers.append("Nats-Batch-Id", "x");
        headers.append("Nats-Batch-Sequence", value);
        let options = PublishOptions::new().headers(&headers);
        bench.admin.jetstream().publish_with(&subject, value, &options, |_, _, _| {});
    }
    bench.put("k", "3");
    bench.expect("k=3");
    watcher.stop();
    let log = bench.end(&[]);
    assert_eq!(log.last().map(String::as_str), Some("k=3"));
}
