//! Key-Value on a real server.

mod support;

use evnats::jetstream::{ConsumerInfo, Discard, PublishOptions, Source, Storage, StreamConfig};
use evnats::kv::{Config, Error, KeyValue, Operation, Reads, Update, WatchOptions, Watcher};
use evnats::{Client, ConnectionState, EventLoop, HeaderMap, Options};
use evnats_harness::{FaultProxy, requires};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use support::buckets::{consumers, expect_consumers, expect_consumers_within};
use support::{Log, run, run_with, server, turn_until, unique};

type Kv = KeyValue<Log>;

/// Creates a bucket and goes on with it; the connection is closed by what goes on.
///
/// It is in memory: now and then server 2.9 fails to make a file store when many come and go.
fn with_bucket(config: Config, go_on: impl FnOnce(&mut Log, &Kv) + 'static) -> Log {
    let config = config.storage(Storage::Memory);
    run(|nats: &Client<Log>| {
        nats.jetstream().key_value(&unique("bucket")).create_bucket(config, |log, kv, created| {
            created.expect("a bucket");
            go_on(log, kv);
        });
    })
}

fn history(count: u8) -> Config {
    Config::new().history(count)
}

/// Ends the test by deleting the bucket and closing.
fn end(kv: &Kv) {
    kv.delete_bucket(|_, kv, _| kv.client().close());
}

/// Notes a result and goes on.
fn note<T: std::fmt::Debug>(
    go_on: impl FnOnce(&mut Log, &Kv) + 'static,
) -> impl FnOnce(&mut Log, &Kv, Result<T, Error>) + 'static {
    move |log, kv, result| {
        log.push(match result {
            Ok(value) => format!("{value:?}"),
            Err(error) => error.to_string(),
        });
        go_on(log, kv);
    }
}

/// Notes the value read, and goes on.
fn note_entry(
    go_on: impl FnOnce(&mut Log, &Kv) + 'static,
) -> impl FnOnce(&mut Log, &Kv, Result<Option<evnats::kv::Entry>, Error>) + 'static {
    move |log, kv, found| {
        log.push(match found.expect("an answer") {
            Some(entry) => format!("{}={}@{}", entry.key(), entry.text(), entry.revision()),
            None => "none".into(),
        });
        go_on(log, kv);
    }
}

#[test]
fn put_get_update_delete_purge() {
    for reads in [Reads::Leader, Reads::Replica] {
        let log = with_bucket(history(5), move |_, kv| {
            let kv = kv.with_reads(reads);
            kv.get(
                "a.b",
                note_entry(|_, kv| {
                    kv.put(
                        "a.b",
                        "1",
                        note(|_, kv| {
                            kv.get(
                                "a.b",
                                note_entry(|_, kv| {
                                    kv.update(
                                        "a.b",
                                        "2",
                                        1,
                                        note(|_, kv| {
                                            kv.delete(
                                                "a.b",
                                                note(|_, kv| {
                                                    kv.get(
                                                        "a.b",
                                                        note_entry(|_, kv| {
                                                            kv.put(
                                                                "a.b",
                                                                "3",
                                                                note(|_, kv| {
                                                                    kv.purge(
                                                                        "a.b",
                                                                        note(|_, kv| {
                                                                            kv.get(
                                                                                "a.b",
                                                                                note_entry(
                                                                                    |_, kv| end(kv),
                                                                                ),
                                                                            );
                                                                        }),
                                                                    );
                                                                }),
                                                            );
                                                        }),
                                                    );
                                                }),
                                            );
                                        }),
                                    );
                                }),
                            );
                        }),
                    );
                }),
            );
        });
        assert_eq!(log, ["none", "1", "a.b=1@1", "2", "3", "none", "4", "5", "none"], "{reads:?}");
    }
}

#[test]
fn entries_say_what_they_are_however_they_were_read() {
    for reads in [Reads::Leader, Reads::Replica] {
        with_bucket(history(1), move |_, kv| {
            let kv = kv.with_reads(reads);
            let before = std::time::SystemTime::now();
            kv.put("k", vec![0xff, 0, b'\n'], move |_, kv, _| {
                kv.get("k", move |_, kv, found| {
                    let entry = found.expect("an answer").expect("an entry");
                    assert_eq!((entry.bucket(), &*entry.key()), (kv.bucket(), "k"));
                    assert_eq!(entry.value(), [0xff, 0, b'\n']);
                    assert_eq!((entry.revision(), entry.delta()), (1, 0));
                    assert_eq!(entry.operation(), Operation::Put);
                    let created = entry.created().expect("a time");
                    let off =
                        created.duration_since(before).unwrap_or_else(|early| early.duration());
                    assert!(off < Duration::from_secs(60));
                    kv.delete("k", move |_, kv, _| {
                        kv.get_raw("k", |_, kv, found| {
                            let entry = found.expect("an answer").expect("the tombstone");
                            assert_eq!(
                                (entry.operation(), entry.revision()),
                                (Operation::Delete, 2)
                            );
                            end(kv);
                        });
                    });
                });
            });
        });
    }
}

#[test]
fn create_over_delete_and_purge_and_conflicts_with_both_revisions() {
    let log = with_bucket(history(3), |_, kv| {
        kv.create(
            "k",
            "1",
            note(|_, kv| {
                kv.create(
                    "k",
                    "again",
                    note(|_, kv| {
                        kv.delete(
                            "k",
                            note(|_, kv| {
                                kv.create(
                                    "k",
                                    "2",
                                    note(|_, kv| {
                                        kv.purge(
                                            "k",
                                            note(|_, kv| {
                                                kv.create(
                                                    "k",
                                                    "3",
                                                    note(|_, kv| {
                                                        kv.update(
                                                            "k",
                                                            "x",
                                                            1,
                                                            |log: &mut Log, kv, updated| {
                                                                let error = updated
                                                                    .expect_err("a conflict");
                                                                assert!(error.is_conflict());
                                                                assert_eq!(
                                                                    error,
                                                                    Error::WrongRevision {
                                                                        key: "k".into(),
                                                                        expected: 1,
                                                                        actual: Some(5),
                                                                    }
                                                                );
                                                                log.push(error.to_string());
                                                                kv.update(
                                                                    "new",
                                                                    "x",
                                                                    0,
                                                                    note(|_, kv| end(kv)),
                                                                );
                                                            },
                                                        );
                                                    }),
                                                );
                                            }),
                                        );
                                    }),
                                );
                            }),
                        );
                    }),
                );
            }),
        );
    });
    let expected = [
        "1",
        "key \"k\" exists",
        "2",
        "3",
        "4",
        "5",
        "key \"k\" is not at revision 1 but at 5",
        "6",
    ];
    assert_eq!(log, expected);
}

#[test]
fn create_after_a_marker_that_the_server_left() {
    requires!(server(), 2, 11);
    let bucket = unique("bucket");
    let log: Log = run(|nats| {
        let config = StreamConfig::new(format!("KV_{bucket}"))
            .subjects([format!("$KV.{bucket}.>")])
            .max_msgs_per_subject(1)
            .max_age(Duration::from_secs(1))
            .duplicate_window(Duration::from_secs(1))
            .subject_delete_marker_ttl(Duration::from_secs(60))
            .allow_msg_ttl(true)
            .allow_rollup_hdrs(true)
            .allow_direct(true);
        let kv = nats.jetstream().key_value(&bucket);
        nats.jetstream().create_stream(&config, move |_, _, created| {
            created.expect("a stream with markers");
            kv.watch(">", WatchOptions::new(), |log: &mut Log, kv, update| match update {
                Update::Entry(entry) if entry.operation() == Operation::Expire => {
                    log.push("expired".into());
                    kv.bucket().get(
                        "k",
                        note_entry(|_, kv| {
                            kv.keys(note(|_, kv| kv.create("k", "anew", note(|_, kv| end(kv)))));
                        }),
                    );
                }
                Update::Entry(entry) => log.push(entry.operation().to_string()),
                _ => {}
            });
            kv.put("k", "1", |_, _, stored| assert!(stored.is_ok()));
        });
    });
    assert_eq!(log[..4], ["PUT", "expired", "none", "[]"], "{log:?}");
    assert!(log.contains(&"3".to_string()), "created over the marker: {log:?}");
}

#[test]
fn delete_and_purge_expect_a_revision() {
    let log = with_bucket(history(3), |_, kv| {
        kv.put(
            "k",
            "1",
            note(|_, kv| {
                kv.delete_at(
                    "k",
                    7,
                    note(|_, kv| {
                        kv.delete_at(
                            "k",
                            1,
                            note(|_, kv| {
                                kv.purge_at(
                                    "k",
                                    1,
                                    note(|_, kv| {
                                        kv.purge_at(
                                            "k",
                                            2,
                                            note(|_, kv| {
                                                kv.history("k", |log: &mut Log, kv, history| {
                                                    log.push(
                                                        history
                                                            .expect("a history")
                                                            .len()
                                                            .to_string(),
                                                    );
                                                    end(kv);
                                                });
                                            }),
                                        );
                                    }),
                                );
                            }),
                        );
                    }),
                );
            }),
        );
    });
    let expected = [
        "1",
        "key \"k\" is not at revision 7 but at 1",
        "2",
        "key \"k\" is not at revision 1 but at 2",
        "3",
        "1",
    ];
    assert_eq!(log, expected, "a purge takes the history with it");
}

#[test]
fn get_revision_of_this_key_only() {
    let log = with_bucket(history(5), |_, kv| {
        kv.put(
            "a",
            "1",
            note(|_, kv| {
                kv.put(
                    "b",
                    "2",
                    note(|_, kv| {
                        kv.put(
                            "a",
                            "3",
                            note(|_, kv| {
                                kv.get_revision(
                                    "a",
                                    1,
                                    note_entry(|_, kv| {
                                        kv.get_revision(
                                            "a",
                                            2,
                                            note_entry(|_, kv| {
                                                kv.get_revision(
                                                    "a",
                                                    99,
                                                    note_entry(|_, kv| end(kv)),
                                                );
                                            }),
                                        );
                                    }),
                                );
                            }),
                        );
                    }),
                );
            }),
        );
    });
    assert_eq!(log, ["1", "2", "3", "a=1@1", "none", "none"]);
}

#[test]
fn keys_leave_out_tombstones_and_take_filters() {
    let log = with_bucket(history(3), |_, kv| {
        kv.keys(note(|_, kv| {
            for key in ["a.1", "a.2", "b.1", "c"] {
                kv.put(key, "x", |_, _, stored| assert!(stored.is_ok()));
            }
            kv.delete("a.2", |_, kv, deleted| {
                deleted.expect("deleted");
                kv.keys(note(|_, kv| kv.keys_matching(&["a.*"], note(|_, kv| end(kv)))));
            });
        }));
    });
    assert_eq!(log, ["[]", r#"["a.1", "b.1", "c"]"#, r#"["a.1"]"#]);
}

#[test]
fn keys_are_not_duplicated_under_concurrent_writes() {
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
    with_bucket(history(1), |_, kv| {
        for n in 1..KEYS {
            kv.put(&format!("k{n}"), "x", |_, _, _| {});
        }
        kv.put("k0", "x", |_, kv, stored| {
            stored.expect("stored, as all before it");
            let stop = Rc::new(Cell::new(false));
            for lane in 0..10 {
                write(kv, lane * 17, stop.clone());
            }
            kv.keys(move |_, kv, keys| {
                let keys = keys.expect("the keys");
                let mut unique = keys.clone();
                unique.dedup();
                assert_eq!((keys.len(), unique.len()), (KEYS, KEYS));
                stop.set(true);
                kv.client().drain();
            });
        });
    });
}

#[test]
fn history_is_in_order_with_tombstones() {
    let log =
        with_bucket(history(3), |_, kv| {
            kv.history(
                "k",
                note(|_, kv| {
                    for value in ["1", "2", "3"] {
                        kv.put("k", value, |_, _, _| {});
                    }
                    kv.delete("k", |_, kv, _| {
                        kv.history("k", |log: &mut Log, kv, history| {
                            let entries = history.expect("a history");
                            log.extend(entries.iter().map(|e| {
                                format!("{} {} {}", e.operation(), e.text(), e.revision())
                            }));
                            end(kv);
                        });
                    });
                }),
            );
        });
    assert_eq!(log, ["[]", "PUT 2 2", "PUT 3 3", "DEL  4"]);
}

/// Notes a watch's reports until the bucket is gone.
fn note_updates(log: &mut Log, _: &Watcher<Log>, update: Update) {
    log.push(match update {
        // when a consumer is lost and made again is for tests of its own
        Update::Recreating { .. } | Update::Live => return,
        Update::Entry(entry) => format!("{} {}={}", entry.operation(), entry.key(), entry.text()),
        Update::Initialized => "initialized".into(),
        Update::Ended(error) => error.to_string(),
        other => format!("{other:?}"),
    });
}

/// Fills a bucket, watches it, changes it, and gives what the watch saw.
fn watch_with(patterns: &'static [&'static str], options: WatchOptions) -> Log {
    with_bucket(history(5), move |_, kv| {
        kv.put("a.1", "old", |_, _, _| {});
        kv.put("a.1", "new", |_, _, _| {});
        kv.put("b", "x", |_, _, _| {});
        kv.delete("c", move |_, kv, deleted| {
            deleted.expect("deleted");
            let (changed, purged) = (Cell::new(false), Cell::new(false));
            let ended = Cell::new(false);
            let stop = Rc::new(RefCell::new(None));
            let own = stop.clone();
            let watcher = kv.watch_many(patterns, options, move |log: &mut Log, kv, update| {
                assert!(!ended.get(), "nothing comes after the stop");
                let is_last = matches!(&update, Update::Entry(entry) if entry.key() == "a.end");
                let is_initialized = matches!(update, Update::Initialized);
                note_updates(log, kv, update);
                if is_initialized {
                    assert!(!changed.replace(true), "the signal comes once");
                    kv.bucket().put("a.1", "live", |_, _, _| {});
                } else if changed.get() && !purged.replace(true) {
                    // once it was seen, because a purge takes away what was not delivered yet
                    kv.bucket().purge("a.1", |_, _, _| {});
                    kv.bucket().put("a.end", "", |_, _, _| {});
                }
                if is_last {
                    ended.set(true);
                    let watcher: Option<evnats::kv::Watcher<Log>> = own.borrow_mut().take();
                    watcher.expect("set").stop();
                    kv.bucket().put("a.after", "", |_, kv, _| {
                        kv.client().flush(|_, nats, _| nats.close())
                    });
                }
            });
            *stop.borrow_mut() = Some(watcher);
        });
    })
}

const LIVE: [&str; 3] = ["PUT a.1=live", "PURGE a.1=", "PUT a.end="];

fn expect_updates(log: &[String], initial: &[&str]) {
    let expected: Vec<&str> =
        initial.iter().chain(&["initialized"]).chain(&LIVE).copied().collect();
    assert_eq!(log, expected);
}

#[test]
fn watch_shows_last_values_the_signal_and_live_updates() {
    let log = watch_with(&[">"], WatchOptions::new());
    expect_updates(&log, &["PUT a.1=new", "PUT b=x", "DEL c="]);
}

#[test]
fn watch_with_history() {
    let log = watch_with(&[">"], WatchOptions::new().include_history());
    expect_updates(&log, &["PUT a.1=old", "PUT a.1=new", "PUT b=x", "DEL c="]);
}

#[test]
fn watch_ignoring_deletes_still_gives_the_signal() {
    requires!(server(), 2, 10);
    let log = watch_with(&["c", "a.*"], WatchOptions::new().ignore_deletes());
    assert_eq!(log, ["PUT a.1=new", "initialized", "PUT a.1=live", "PUT a.end="]);
}

#[test]
fn watch_updates_only() {
    let log = watch_with(&[">"], WatchOptions::new().updates_only());
    expect_updates(&log, &[]);
}

#[test]
fn watch_from_revision() {
    let log = watch_with(&[">"], WatchOptions::new().from_revision(3));
    expect_updates(&log, &["PUT b=x", "DEL c="]);
}

#[test]
fn watch_meta_only_has_no_values() {
    let log = watch_with(&["a.>"], WatchOptions::new().meta_only());
    assert_eq!(log, ["PUT a.1=", "initialized", "PUT a.1=", "PURGE a.1=", "PUT a.end="]);
}

#[test]
fn several_patterns_on_an_old_server_are_an_error_and_not_everything() {
    if server().version() >= evnats_harness::Version::new(2, 10, 0) {
        return;
    }
    let log = with_bucket(history(1), |_, kv| {
        kv.watch_many(&["a", "b"], WatchOptions::new(), |log: &mut Log, kv, update| {
            note_updates(log, kv, update);
            kv.bucket().client().close();
        });
    });
    assert_eq!(log, ["the server does not support several filter subjects"]);
}

#[test]
fn watch_on_an_empty_bucket_gives_the_signal() {
    for options in [
        WatchOptions::new(),
        WatchOptions::new().include_history(),
        WatchOptions::new().updates_only(),
        WatchOptions::new().from_revision(1),
    ] {
        let log = with_bucket(history(1), |_, kv| {
            kv.watch(">", options, |log: &mut Log, kv, update| {
                note_updates(log, kv, update);
                if log.len() == 1 {
                    end(kv.bucket());
                }
            });
        });
        assert_eq!(log[0], "initialized");
    }
}

#[test]
fn a_watch_ends_when_its_bucket_is_deleted_or_does_not_exist() {
    let options = WatchOptions::new().heartbeat(Duration::from_millis(200));
    let missing = unique("missing");
    let name = missing.clone();
    let log: Log = run(|nats| {
        let kv = nats.jetstream().key_value(&missing);
        let later = options.clone();
        kv.watch(">", options, move |log: &mut Log, kv, update| {
            let Update::Ended(error) = update else { panic!("{update:?}") };
            assert!(error.is_bucket_not_found());
            log.push(error.to_string());
            let later = later.clone();
            kv.bucket().create_bucket(Config::default(), move |_, kv, created| {
                created.expect("a bucket");
                kv.watch(">", later, |log: &mut Log, kv, update| {
                    match &update {
                        Update::Initialized => {
                            kv.bucket().delete_bucket(|_, _, deleted| deleted.expect("deleted"));
                        }
                        Update::Ended(_) => kv.bucket().client().close(),
                        _ => {}
                    }
                    note_updates(log, kv, update);
                });
            });
        });
    });
    assert_eq!(log[0], format!("bucket {name:?} not found"));
    assert_eq!(log[1], "initialized");
    assert_eq!(log[2], format!("bucket {name:?} not found"));
}

#[test]
fn a_watch_survives_the_loss_of_its_consumer() {
    let options = WatchOptions::new().heartbeat(Duration::from_millis(200));
    let log = with_bucket(history(5), |_, kv| {
        kv.put("k", "1", |_, kv, _| {
            kv.watch(">", options, |log: &mut Log, kv, update| {
                let initialized = matches!(update, Update::Initialized);
                let is_third = matches!(&update, Update::Entry(entry) if entry.text() == "3");
                note_updates(log, kv, update);
                if initialized {
                    delete_consumers(kv.bucket(), |kv| {
                        kv.put("k", "2", |_, _, _| {});
                        kv.put("k", "3", |_, _, _| {});
                    });
                }
                if is_third {
                    kv.bucket().client().close();
                }
            });
        });
    });
    assert_eq!(log, ["PUT k=1", "initialized", "PUT k=2", "PUT k=3", "the connection is closed"]);
}

#[test]
fn a_watch_whose_own_callback_closes_the_connection_ends_with_it() {
    let log = with_bucket(history(1), |_, kv| {
        kv.client().on_close(|log: &mut Log, _, _| log.push("closed".into()));
        kv.put("k", "v", |_, kv, _| {
            kv.watch(">", WatchOptions::new(), |log: &mut Log, kv, update| {
                let initialized = matches!(update, Update::Initialized);
                note_updates(log, kv, update);
                if initialized {
                    kv.bucket().client().close();
                }
            });
        });
    });
    assert_eq!(log, ["PUT k=v", "initialized", "the connection is closed", "closed"]);
}

#[test]
fn a_watch_whose_callback_panics_goes_on() {
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let config = history(5).storage(Storage::Memory);
    nats.jetstream().key_value(&unique("panics")).create_bucket(config, |_, kv, created| {
        created.expect("a bucket");
        kv.watch(">", WatchOptions::new(), |log: &mut Log, kv, update| {
            let initialized = matches!(update, Update::Initialized);
            note_updates(log, kv, update);
            match log.len() {
                1 if initialized => {
                    for value in ["1", "2", "3"] {
                        kv.bucket().put("k", value, |_, _, stored| assert!(stored.is_ok()));
                    }
                }
                3 => panic!("a bug in the application"),
                4 => kv.bucket().client().drain(),
                _ => {}
            }
        });
    });
    let mut log = Log::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| support::finish_with(&event_loop, &mut log)));
    assert!(panicked.is_err());
    support::finish_with(&event_loop, &mut log);
    assert_eq!(log[..4], ["initialized", "PUT k=1", "PUT k=2", "PUT k=3"]);
}

/// Deletes every consumer of a bucket, behind the back of whoever reads.
fn delete_consumers(kv: &Kv, then: impl FnOnce(&Kv) + 'static) {
    let stream = format!("KV_{}", kv.bucket());
    let kv = kv.clone();
    let list = format!("$JS.API.CONSUMER.LIST.{stream}");
    kv.clone().client().request(&list, b"", move |_, _, reply| {
        let reply: serde_json::Value =
            serde_json::from_slice(reply.expect("a list").payload()).expect("JSON");
        let consumers: Vec<ConsumerInfo> =
            serde_json::from_value(reply["consumers"].clone()).expect("consumers");
        assert_eq!(consumers.len(), 1);
        kv.clone().jetstream().delete_consumer(
            &stream,
            &consumers[0].name,
            move |_, _, deleted| {
                deleted.expect("deleted");
                then(&kv);
            },
        );
    });
}

#[test]
fn names_are_checked_before_anything_is_sent() {
    let log: Log = run(|nats| {
        let bad = nats.jetstream().key_value("a.b");
        bad.create_bucket(Config::default(), note(|_, _| {}));
        bad.put("k", "v", note(|_, _| {}));
        let kv = nats.jetstream().key_value("good");
        kv.put("a key", "v", note(|_, _| {}));
        kv.get("", note(|_, _| {}));
        kv.delete(".a", note(|_, _| {}));
        kv.create("a*", "v", note(|_, _| {}));
        kv.watch("a..b", WatchOptions::new(), note_updates);
        kv.create_bucket(history(65), note(|_, kv| kv.client().close()));
    });
    let expected = [
        "invalid bucket name \"a.b\": '.' at byte 1 is not allowed",
        "invalid bucket name \"a.b\": '.' at byte 1 is not allowed",
        "invalid key \"a key\": ' ' at byte 1 is not allowed",
        "invalid key \"\": it is empty",
        "invalid key \".a\": it begins or ends with a dot, or has two in a row",
        "invalid key \"a*\": '*' at byte 1 is not allowed",
        "invalid key \"a..b\": it begins or ends with a dot, or has two in a row",
        "invalid bucket configuration: the history is 1 to 64 values",
    ];
    assert_eq!(log, expected);
}

#[test]
fn operations_on_a_missing_bucket_say_so() {
    let bucket = unique("missing");
    let expected = format!("bucket {bucket:?} not found");
    let log: Log = run(|nats| {
        let kv = nats.jetstream().key_value(&bucket);
        kv.put("k", "v", note(|_, _| {}));
        kv.create("k", "v", note(|_, _| {}));
        kv.get("k", note(|_, _| {}));
        kv.with_reads(Reads::Replica).get("k", note(|_, _| {}));
        kv.get_revision("k", 1, note(|_, _| {}));
        kv.delete("k", note(|_, _| {}));
        kv.status(note(|_, _| {}));
        kv.delete_bucket(note(|_, _| {}));
        kv.history("k", note(|_, _| {}));
        kv.keys(note(|_, kv| kv.client().drain()));
    });
    assert_eq!(log, vec![expected; 10]);
}

#[test]
fn values_over_the_limits_are_refused_as_such() {
    let config = Config::new().max_value_size(100);
    let log = with_bucket(config, |_, kv| {
        kv.put("k", vec![0; 101], |log: &mut Log, kv, stored| {
            let error = stored.expect_err("over the bucket's limit");
            assert!(matches!(error, Error::ValueTooLarge { .. }), "{error}");
            log.push("bucket".into());
            kv.put("k", vec![0; 2 << 20], |log: &mut Log, kv, stored| {
                let error = stored.expect_err("over the server's limit");
                assert!(matches!(error, Error::ValueTooLarge { .. }), "{error}");
                log.push("server".into());
                kv.put("k", vec![0; 100], note(|_, kv| end(kv)));
            });
        });
    });
    assert_eq!(log, ["bucket", "server", "1"]);
}

#[test]
fn a_full_bucket_refuses_with_the_servers_words() {
    let config = Config::new().max_bytes(1000);
    let log = with_bucket(config, |_, kv| {
        kv.put(
            "a",
            vec![0; 700],
            note(|_, kv| {
                kv.put("b", vec![0; 700], |log: &mut Log, kv, stored| {
                    let error = stored.expect_err("full");
                    assert!(error.to_string().contains("maximum bytes exceeded"), "{error}");
                    log.push("full".into());
                    end(kv);
                });
            }),
        );
    });
    assert_eq!(log, ["1", "full"]);
}

#[test]
fn status_tells_configuration_and_contents() {
    let config = Config::new().history(4).ttl(Duration::from_secs(3600));
    with_bucket(config, |_, kv| {
        kv.put("a", "1", |_, _, _| {});
        kv.put("a", "2", |_, kv, _| {
            kv.status(|_, kv, status| {
                let status = status.expect("a status");
                assert_eq!((status.bucket(), status.values()), (kv.bucket(), 2));
                assert_eq!(status.history(), Some(4));
                assert_eq!(status.ttl(), Some(Duration::from_secs(3600)));
                assert_eq!((status.replicas(), status.is_compressed()), (1, false));
                assert!(status.bytes() > 0);
                assert!(status.stream().config.deny_delete);
                end(kv);
            });
        });
    });
}

#[test]
fn creating_a_bucket_again_is_fine_with_the_same_configuration_only() {
    let log = with_bucket(history(2), |_, kv| {
        let in_memory = |count| history(count).storage(Storage::Memory);
        kv.create_bucket(in_memory(2), move |log: &mut Log, kv, again| {
            log.push(format!("{}", again.is_ok()));
            kv.create_bucket(in_memory(3), |log: &mut Log, kv, other| {
                let error = other.expect_err("another configuration");
                assert_eq!(error, Error::BucketExists { bucket: kv.bucket().into() });
                log.push("exists".into());
                end(kv);
            });
        });
    });
    assert_eq!(log, ["true", "exists"]);
}

#[test]
fn settings_that_an_old_server_passes_over_are_an_error() {
    let markers = Config::new().limit_marker_ttl(Duration::from_secs(60));
    for (setting, since, config) in [
        ("compression", 10, Config::new().compression(true)),
        ("metadata", 10, Config::new().metadata("a", "b")),
        ("markers of expired values", 11, markers),
    ] {
        let supported = server().version() >= evnats_harness::Version::new(2, since, 0);
        run(|nats: &Client<Log>| {
            let kv = nats.jetstream().key_value(&unique("settings"));
            kv.create_bucket(config, move |_, kv, created| {
                match created {
                    Ok(_) => assert!(supported, "{setting}"),
                    Err(error) => {
                        assert_eq!(error, Error::Unsupported { setting });
                        assert!(!supported);
                    }
                }
                end(kv);
            });
        });
    }
}

#[test]
fn an_old_bucket_is_repaired_and_read_from_the_leader_until_then() {
    let bucket = unique("old");
    let log: Log = run(|nats| {
        let config = StreamConfig::new(format!("KV_{bucket}"))
            .subjects([format!("$KV.{bucket}.>")])
            .max_msgs_per_subject(1)
            .discard(Discard::Old)
            .duplicate_window(Duration::from_secs(120))
            .allow_rollup_hdrs(true)
            .deny_delete(true);
        let kv = nats.jetstream().key_value(&bucket).with_reads(Reads::Replica);
        nats.jetstream().create_stream(&config, move |_, _, created| {
            created.expect("a stream");
            kv.put(
                "k",
                "v",
                note(|_, kv| {
                    // direct reads are not allowed: the leader answers
                    kv.get(
                        "k",
                        note_entry(|_, kv| {
                            kv.create_bucket(Config::default(), |log: &mut Log, kv, repaired| {
                                let config = repaired.expect("repaired").stream().config.clone();
                                log.push(format!("{:?} {}", config.discard, config.allow_direct));
                                end(kv);
                            });
                        }),
                    );
                }),
            );
        });
    });
    assert_eq!(log, ["1", "k=v@1", "New true"]);
}

#[test]
fn headers_that_a_publisher_stored_do_not_fool_a_direct_read() {
    let log = with_bucket(history(1), |_, kv| {
        let forged = HeaderMap::new()
            .with("Nats-Sequence", "9999")
            .with("Nats-Subject", "$KV.other.x")
            .with("Nats-Time-Stamp", "2001-01-01T00:00:00Z");
        let options = PublishOptions::new().headers(&forged);
        let subject = format!("$KV.{}.k", kv.bucket());
        let kv = kv.with_reads(Reads::Replica);
        kv.clone().jetstream().publish_with(&subject, "v", &options, move |_, _, stored| {
            stored.expect("stored");
            kv.get("k", note_entry(|_, kv| end(kv)));
        });
    });
    assert_eq!(log, ["k=v@1"]);
}

/// A delete that is complete is seen by the read that follows, under load.
#[test]
fn delete_then_get_is_never_stale() {
    const TRIES: u32 = 2000;
    #[derive(Default)]
    struct App {
        stale: u32,
        tries: u32,
        stop: bool,
    }
    fn load(kv: &KeyValue<App>, n: u64) {
        kv.put(&format!("load.{}", n % 50), [b'x'; 512].as_slice(), move |app: &mut App, kv, _| {
            if !app.stop {
                load(kv, n + 1);
            }
        });
    }
    fn race(kv: &KeyValue<App>) {
        kv.put("k", "live", |_, kv, stored| {
            stored.expect("stored");
            kv.delete("k", |app: &mut App, kv, deleted| {
                deleted.expect("deleted");
                // on one replica, a direct read promises the same
                let even = app.tries.is_multiple_of(2);
                let reads = if even { Reads::Leader } else { Reads::Replica };
                kv.with_reads(reads).get("k", |app: &mut App, kv, found| {
                    app.stale += u32::from(found.expect("an answer").is_some());
                    app.tries += 1;
                    if app.tries < TRIES {
                        race(kv);
                    } else {
                        app.stop = true;
                        kv.client().flush(|_, nats, _| nats.close());
                    }
                });
            });
        });
    }
    let app: App = run_with(Options::new(server().url()), |nats| {
        let kv = nats.jetstream().key_value(&unique("race"));
        kv.create_bucket(Config::default(), |_, kv, created| {
            created.expect("a bucket");
            for lane in 0..50 {
                load(kv, lane);
            }
            race(kv);
        });
    });
    assert_eq!((app.tries, app.stale), (TRIES, 0));
}

#[test]
fn ten_thousand_nested_puts_and_gets() {
    fn link(kv: &KeyValue<u64>) {
        kv.put("k", "v", |_, kv, stored| {
            let revision = stored.expect("stored");
            kv.get("k", move |count: &mut u64, kv, found| {
                let entry = found.expect("an answer").expect("an entry");
                assert_eq!(entry.revision(), revision);
                *count += 1;
                if *count < 10_000 { link(kv) } else { kv.client().close() }
            });
        });
    }
    let count: u64 = run(|nats| {
        let kv = nats.jetstream().key_value(&unique("nested"));
        let config = Config::new().storage(Storage::Memory);
        kv.create_bucket(config, |_, kv, created| {
            created.expect("a bucket");
            link(kv);
        });
    });
    assert_eq!(count, 10_000);
}

#[test]
fn a_domain_prefix_reaches_the_bucket() {
    let server = evnats_harness::Server::builder()
        .jetstream(false)
        .config("jetstream { domain: hub, store_dir: \"js\" }\n")
        .start()
        .expect("a server");
    let log: Log = run_with(server.url().as_str(), |nats| {
        let kv = nats.jetstream().with_domain("hub").key_value("b");
        kv.create_bucket(Config::default(), |_, kv, created| {
            created.expect("a bucket");
            kv.put(
                "k",
                "v",
                note(|_, kv| {
                    kv.get(
                        "k",
                        note_entry(|_, kv| {
                            kv.with_reads(Reads::Replica).get(
                                "k",
                                note_entry(|_, kv| {
                                    kv.keys(note(|_, kv| kv.client().close()));
                                }),
                            );
                        }),
                    );
                }),
            );
        });
    });
    assert_eq!(log, ["1", "k=v@1", "k=v@1", r#"["k"]"#]);
}

#[test]
fn without_jetstream_everything_says_so() {
    let server = evnats_harness::Server::builder().jetstream(false).start().expect("a server");
    let log: Log = run_with(server.url().as_str(), |nats| {
        let kv = nats.jetstream().key_value("b");
        kv.create_bucket(Config::default(), note(|_, _| {}));
        kv.get("k", note(|_, _| {}));
        kv.watch(">", WatchOptions::new(), note_updates);
        kv.keys(note(|_, kv| kv.client().drain()));
    });
    assert_eq!(log, vec!["JetStream is not available: nobody answers on its API"; 4]);
}

#[test]
fn a_mirror_of_a_bucket_says_what_it_is_and_reads_as_empty_to_nobody() {
    let origin = unique("origin");
    let log = run(|nats: &Client<Log>| {
        let js = nats.jetstream();
        let config = Config::new().storage(Storage::Memory);
        js.key_value(&origin).create_bucket(config, |_, kv, created| {
            created.expect("a bucket");
            let mirror = unique("mirror");
            let origin = Source::new(format!("KV_{}", kv.bucket()));
            let config = StreamConfig::new(format!("KV_{mirror}"))
                .mirror(origin)
                .storage(Storage::Memory)
                .max_msgs_per_subject(1);
            kv.put("k", "v", move |_, kv, _| {
                kv.jetstream().clone().create_stream(&config, move |_, js, created| {
                    created.expect("a mirror");
                    let kv = js.key_value(&mirror);
                    // each with a handle that has asked nothing yet
                    kv.get("k", note(|_, _| {}));
                    js.key_value(&mirror).with_reads(Reads::Replica).get("k", note(|_, _| {}));
                    js.key_value(&mirror).get_revision("k", 9, note(|_, _| {}));
                    js.key_value(&mirror).put("k", "v", note(|_, _| {}));
                    js.key_value(&mirror).create("k", "v", note(|_, _| {}));
                    js.key_value(&mirror).keys(note(|_, _| {}));
                    js.key_value(&mirror).history("k", note(|_, _| {}));
                    js.key_value(&mirror).watch(">", WatchOptions::new(), |log, kv, update| {
                        note_updates(log, kv, update);
                        kv.bucket().client().drain();
                    });
                });
            });
        });
    });
    assert_eq!(log.len(), 8, "{log:?}");
    for line in log {
        assert!(line.contains("is a mirror of the stream"), "{line}");
    }
}

#[test]
fn an_account_without_jetstream_is_told_so_by_every_operation() {
    let config = r#"accounts { A { users: [{user: a, password: a}] } }"#;
    let server = evnats_harness::Server::builder().config(config).start().expect("a server");
    let options = server.url().replace("://", "://a:a@");
    let log: Log = run_with(options.as_str(), |nats| {
        let kv = nats.jetstream().key_value("b");
        kv.create_bucket(Config::default(), note(|_, _| {}));
        kv.put("k", "v", note(|_, _| {}));
        kv.delete("k", note(|_, _| {}));
        kv.get("k", note(|_, _| {}));
        kv.status(note(|_, _| {}));
        kv.watch(">", WatchOptions::new(), note_updates);
        kv.keys(note(|_, kv| kv.client().drain()));
    });
    let refused =
        "JetStream is not enabled: JetStream not enabled for account (code 503, error 10039)";
    assert_eq!(log, vec![refused; 7]);
}

#[test]
fn a_put_that_another_stream_acknowledges_is_not_stored_in_the_bucket() {
    let log: Log = run(|nats| {
        let bucket = unique("elsewhere");
        let subject = format!("$KV.{bucket}.k");
        nats.subscribe(&subject, |_, sub, message| {
            let ack = r#"{"stream":"OTHER","seq":1}"#;
            sub.client().respond(message, ack).expect("sent");
        })
        .expect("a subscription");
        let kv = nats.jetstream().key_value(&bucket);
        kv.put("k", "v", note(|_, _| {}));
        kv.create("k", "v", note(|_, kv| kv.client().close()));
    });
    assert_eq!(log.len(), 2);
    for line in log {
        assert!(line.starts_with("stored by the stream \"OTHER\", and not by"), "{line}");
    }
}

/// Breaks a watch's connection, makes its bucket anew with fewer revisions, and lets it come back.
#[test]
fn a_watch_whose_bucket_was_created_anew_ends_and_says_so() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let bucket = unique("anew");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let other = event_loop.connect(server().url()).expect("a client");
    let kv = other.jetstream().key_value(&bucket);
    let config = history(5).storage(Storage::Memory);
    kv.create_bucket(config.clone(), |_, kv, created| {
        created.expect("a bucket");
        for value in ["1", "2", "3", "4", "5"] {
            kv.put("k", value, |log: &mut Log, _, stored| {
                log.push(stored.expect("stored").to_string());
            });
        }
    });
    turn_until(&event_loop, &mut log, "revisions", |log| log.len() == 5);
    log.clear();
    let options = Options::new(proxy.url())
        .reconnect_delay(Duration::from_millis(20))
        .max_reconnect_delay(Duration::from_millis(20));
    let nats = event_loop.connect(options).expect("a client");
    nats.on_disconnect(|log: &mut Log, _, _| log.push("disconnected".into()));
    nats.jetstream().key_value(&bucket).watch(">", WatchOptions::new(), note_updates);
    turn_until(&event_loop, &mut log, "the signal", |log| log.len() == 2);
    assert_eq!(log, ["PUT k=5", "initialized"]);
    proxy.refuse(true);
    proxy.cut_all();
    turn_until(&event_loop, &mut log, "the loss", |log| log.len() == 3);
    kv.delete_bucket(move |_, kv, deleted| {
        deleted.expect("deleted");
        kv.create_bucket(config, |_, kv, created| {
            created.expect("a bucket");
            kv.put("k", "new", |log: &mut Log, _, stored| {
                log.push(format!("new {}", stored.expect("stored")));
            });
        });
    });
    turn_until(&event_loop, &mut log, "another bucket", |log| log.len() == 4);
    proxy.refuse(false);
    turn_until(&event_loop, &mut log, "the end of the watch", |log| log.len() == 5);
    assert_eq!(log[3..], ["new 1", "the stream was created again while it was read"]);
    nats.close();
    other.close();
    support::finish_with(&event_loop, &mut log);
}

#[test]
fn no_patterns_at_all_are_a_mistake_and_not_all_keys() {
    let log = with_bucket(history(1), |_, kv| {
        kv.put("k", "v", |_, kv, _| {
            kv.watch_many(&[], WatchOptions::new(), note_updates);
            kv.keys_matching(&[], note(|_, kv| end(kv)));
        });
    });
    assert_eq!(log, vec!["no pattern was given; all keys are the pattern \">\""; 2]);
}

#[test]
fn many_losses_leave_one_consumer_behind_and_a_stopped_watch_none() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let event_loop = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let admin = event_loop.connect(server().url()).expect("a client");
    let kv = admin.jetstream().key_value(&unique("losses"));
    let config = history(1).storage(Storage::Memory);
    kv.create_bucket(config, |log: &mut Log, _, created| {
        created.expect("a bucket");
        log.push("created".into());
    });
    turn_until(&event_loop, &mut log, "a bucket", |log| log.len() == 1);
    let options = Options::new(proxy.url())
        .reconnect_delay(Duration::from_millis(5))
        .max_reconnect_delay(Duration::from_millis(5));
    let nats = event_loop.connect(options).expect("a client");
    let watched = nats.jetstream().key_value(kv.bucket());
    let watch = watched.watch(">", WatchOptions::new(), note_updates);
    turn_until(&event_loop, &mut log, "the signal", |log| log.len() == 2);
    for loss in 0..20 {
        let before = nats.statistics().reconnects;
        proxy.cut_all();
        turn_until(&event_loop, &mut log, "a reconnect", |_| nats.statistics().reconnects > before);
        // the watch stands again when it shows what is written now
        let shown = log.len();
        kv.put("k", loss.to_string(), |_, _, stored| assert!(stored.is_ok()));
        turn_until(&event_loop, &mut log, "an entry", |log| log.len() > shown);
    }
    expect_consumers(&event_loop, &mut log, &kv, 1);
    let config = consumers(&event_loop, &mut log, &kv).remove(0).config.expect("a configuration");
    // what a program that ends without a word leaves behind
    assert_eq!(config.inactive_threshold, Some(Duration::from_secs(30)));
    watch.stop();
    expect_consumers(&event_loop, &mut log, &kv, 0);
    nats.close();
    admin.close();
    support::finish_with(&event_loop, &mut log);
}

#[test]
fn a_program_whose_inbox_is_denied_leaves_no_consumer_behind() {
    let config = "authorization { users: [ { user: admin, password: p }, { user: deaf, password: p, \
                  permissions: { subscribe: { deny: \"_INBOX.>\" } } } ] }";
    let server = evnats_harness::Server::builder().config(config).start().expect("a server");
    let url = |user: &str| server.url().replace("://", &format!("://{user}:p@"));
    let event_loop = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let admin = event_loop.connect(url("admin")).expect("a client");
    let kv = admin.jetstream().key_value("b");
    kv.create_bucket(Config::new(), note(|_, _| {}));
    turn_until(&event_loop, &mut log, "a bucket", |log| log.len() == 1);
    for _ in 0..10 {
        let nats = event_loop.connect(url("deaf")).expect("a client");
        let deaf = nats.jetstream().key_value("b");
        let heard = log.len();
        deaf.watch(">", WatchOptions::new(), note_updates);
        deaf.keys(note(|_, _| {}));
        turn_until(&event_loop, &mut log, "two ends", |log| log.len() == heard + 2);
        nats.drain();
        turn_until(&event_loop, &mut log, "a drain", |_| nats.state() == ConnectionState::Closed);
    }
    // what is not answered may be done in any order, and then the server gives up what is left
    expect_consumers_within(&event_loop, &mut log, &kv, 0, Duration::from_secs(60));
    admin.close();
    support::finish_with(&event_loop, &mut log);
}

#[test]
fn expiry_can_be_watched_if_the_bucket_asks_for_markers() {
    requires!(server(), 2, 11);
    let config = history(1).ttl(Duration::from_secs(1)).limit_marker_ttl(Duration::from_secs(60));
    let log = with_bucket(config, |_, kv| {
        kv.status(|_, kv, status| {
            let ttl = status.expect("a status").limit_marker_ttl();
            assert_eq!(ttl, Some(Duration::from_secs(60)));
            kv.watch(">", WatchOptions::new().updates_only(), |log: &mut Log, kv, update| {
                let initialized = matches!(update, Update::Initialized);
                note_updates(log, kv, update);
                match log.len() {
                    1 if initialized => kv.bucket().put("k", "v", |_, _, _| {}),
                    3 => end(kv.bucket()),
                    _ => {}
                }
            });
        });
    });
    assert_eq!(log[..3], ["initialized", "PUT k=v", "EXPIRE k="]);
}

#[test]
fn a_read_that_is_answered_with_a_key_of_another_bucket_is_an_error() {
    let log: Log = run(|nats| {
        let bucket = unique("answered");
        let subject = format!("$JS.API.DIRECT.GET.KV_{bucket}.>");
        nats.subscribe(&subject, |_, sub, request| {
            let headers = HeaderMap::new()
                .with("Nats-Stream", "KV_other")
                .with("Nats-Subject", "$KV.other.key")
                .with("Nats-Sequence", "7")
                .with("Nats-Time-Stamp", "2026-01-01T00:00:00Z");
            sub.client().respond_with_headers(request, &headers, "v").expect("sent");
        })
        .expect("a subscription");
        let kv = nats.jetstream().key_value(&bucket).with_reads(Reads::Replica);
        kv.get("key", |log: &mut Log, kv, found| {
            log.push(found.expect_err("not this bucket's").to_string());
            kv.client().close();
        });
    });
    assert_eq!(log, ["malformed reply: a read that answers with $KV.other.key"]);
}
