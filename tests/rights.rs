//! Users with restricted rights: the tables in the documentation of `kv`, `jetstream`, `object_store`,
//! `groups` and `service` are right.
//! With the rights that a table names an operation works, and without one of them it says so.

#[path = "rights/groups.rs"]
mod groups;
#[path = "rights/objects.rs"]
mod objects;
#[path = "rights/services.rs"]
mod services;
mod support;

use evnats::jetstream::{
    self, ByKey, ConsumeOptions, Consumer, ConsumerConfig, Consumption, DeadLetter,
    DeadLetterOptions, Delivery, FetchOptions, Listed, Listing, MessageQuery, MessagesQuery,
    NextError, PublishOptions, ReadFrom, StreamConfig,
};
use evnats::kv::{
    Cache, CacheEvent, CacheOptions, Config, Error, KeyListing, KeyValue, ListedKey, Lock,
    LockOptions, PurgeDeletes, PurgeOptions, Reads, Update, WatchOptions, WriteOptions,
};
use evnats::{Client, ConnectionState, EventLoop, Options};
use evnats_harness::Server;
use std::time::Duration;
use support::turn_until;

#[derive(Default)]
struct App {
    outcomes: Vec<Result<String, Error>>,
    /// The keys of a listing that has not ended.
    listed: Vec<String>,
    /// What only the hook for errors was told.
    reported: Vec<String>,
}

type Kv = KeyValue<App>;

/// An operation, what it needs to publish to, and what it also publishes to if it may.
struct Row {
    name: &'static str,
    needs: &'static [&'static str],
    uses: &'static [&'static str],
    run: fn(&Kv),
    expected: &'static str,
}

fn note<T: std::fmt::Debug>(app: &mut App, _: &Kv, outcome: Result<T, Error>) {
    app.outcomes.push(outcome.map(|value| format!("{value:?}")));
}

/// Notes what a cache holds, or why it does not.
fn note_cached(app: &mut App, cache: &Cache<App>, event: CacheEvent) {
    match event {
        CacheEvent::Ready => {
            app.outcomes.push(Ok(format!("{:?}", cache.keys())));
            cache.stop();
        }
        CacheEvent::Ended(error) => app.outcomes.push(Err(error)),
        _ => {}
    }
}

/// Notes the keys when all have come, or why they have not.
fn note_listed(app: &mut App, _: &KeyListing<App>, listed: ListedKey) {
    match listed {
        ListedKey::Key(key) => app.listed.push(key),
        ListedKey::Ended(end) => {
            let keys = std::mem::take(&mut app.listed);
            app.outcomes.push(end.map(|()| format!("{keys:?}")));
        }
    }
}

fn note_found(app: &mut App, _: &Kv, found: Result<Option<evnats::kv::Entry>, Error>) {
    let text = |entry: evnats::kv::Entry| entry.text().into_owned();
    app.outcomes.push(found.map(|entry| entry.map_or("none".into(), text)));
}

fn note_done<T>(app: &mut App, _: &Kv, outcome: Result<T, Error>) {
    app.outcomes.push(outcome.map(|_| "done".into()));
}

/// Acquires a lock that nobody has, and gives it back.
fn lock_and_release(kv: &Kv) {
    let kv = kv.jetstream().key_value("t");
    kv.try_lock(&support::unique("lock"), LockOptions::new(), note_locked);
}

fn note_locked(app: &mut App, lock: &Lock<App>, acquired: Result<u64, Error>) {
    match acquired {
        Ok(_) => lock.release(|app: &mut App, _, released| {
            app.outcomes.push(released.map(|()| "done".into()));
        }),
        Err(error) => app.outcomes.push(Err(error)),
    }
}

/// What the server refuses for another reason was permitted.
fn note_permitted<H, T>(app: &mut App, _: &H, outcome: Result<T, jetstream::Error>) {
    let outcome = outcome.map(drop).or_else(|error| match error.is_denied() {
        true => Err(Error::JetStream(error)),
        false => Ok(()),
    });
    app.outcomes.push(outcome.map(|()| "done".into()));
}

/// Notes the end of a listing.
fn note_end<T, E>(app: &mut App, listing: &Listing<App>, listed: Listed<T, E>) {
    if let Listed::Ended(end) = listed {
        note_permitted(app, listing, end);
    }
}

/// Whether the deletion is permitted is another row's question.
fn create_over_a_deletion(kv: &Kv) {
    kv.delete("gone", |_, _, _| {});
    kv.create("gone", "1", note_done);
}

/// Asked for what needs an API level.
const LEVEL: &str = "$JS.API.INFO";
const INFO: &str = "$JS.API.STREAM.INFO.KV_b";
const GET: &str = "$JS.API.STREAM.MSG.GET.KV_b";
const DIRECT: &str = "$JS.API.DIRECT.GET.KV_b.>";
const DIRECT_BY_BODY: &str = "$JS.API.DIRECT.GET.KV_b";
const WRITE: &str = "$KV.b.>";
const CREATE: &str = "$JS.API.CONSUMER.CREATE.KV_b.>";
const DELETE: &str = "$JS.API.CONSUMER.DELETE.KV_b.>";

/// The table. The bucket has `a`, and a tombstone of `gone`.
const ROWS: &[Row] = &[
    Row {
        name: "put",
        needs: &[WRITE],
        uses: &[INFO],
        run: |kv| kv.put("other", "1", note_done),
        expected: "done",
    },
    Row {
        name: "delete",
        needs: &[WRITE],
        uses: &[INFO],
        run: |kv| kv.delete("other", note_done),
        expected: "done",
    },
    Row {
        name: "create",
        needs: &[WRITE, GET],
        uses: &[INFO],
        run: create_over_a_deletion,
        expected: "done",
    },
    Row {
        name: "create with direct reads",
        needs: &[WRITE, DIRECT],
        uses: &[INFO],
        run: create_over_a_deletion,
        expected: "done",
    },
    Row {
        name: "get",
        needs: &[GET],
        uses: &[INFO],
        run: |kv| kv.get("a", note_found),
        expected: "1",
    },
    Row {
        name: "get of nothing",
        needs: &[GET],
        uses: &[INFO],
        run: |kv| kv.get("nothing", note_found),
        expected: "none",
    },
    Row {
        name: "direct get",
        needs: &[DIRECT],
        uses: &[INFO],
        run: |kv| kv.with_reads(Reads::Replica).get("a", note_found),
        expected: "1",
    },
    Row {
        name: "direct get of nothing",
        needs: &[DIRECT],
        uses: &[INFO],
        run: |kv| kv.with_reads(Reads::Replica).get("nothing", note_found),
        expected: "none",
    },
    Row {
        name: "get_revision",
        needs: &[GET],
        uses: &[INFO],
        run: |kv| kv.get_revision("a", 1, note_found),
        expected: "1",
    },
    Row {
        name: "get_revision without the leader",
        needs: &["$JS.API.DIRECT.GET.KV_b"],
        uses: &[INFO],
        run: |kv| kv.get_revision("a", 1, note_found),
        expected: "1",
    },
    Row {
        name: "direct get_revision",
        needs: &["$JS.API.DIRECT.GET.KV_b"],
        uses: &[INFO],
        run: |kv| kv.with_reads(Reads::Replica).get_revision("a", 1, note_found),
        expected: "1",
    },
    Row {
        name: "keys",
        needs: &[CREATE, GET],
        uses: &[INFO, DELETE],
        run: |kv| kv.keys_matching(&["a"], note),
        expected: r#"["a"]"#,
    },
    Row {
        name: "list_keys",
        needs: &[CREATE, GET],
        uses: &[INFO, DELETE],
        run: |kv| drop(kv.list_keys(&["a"], note_listed)),
        expected: r#"["a"]"#,
    },
    Row {
        name: "cache",
        needs: &[CREATE, GET],
        uses: &[INFO, DELETE],
        run: |kv| drop(kv.cache(&["a"], CacheOptions::new(), note_cached)),
        expected: r#"["a"]"#,
    },
    Row {
        name: "direct keys",
        needs: &[CREATE],
        uses: &[INFO, DELETE],
        run: |kv| kv.with_reads(Reads::Replica).keys_matching(&["a"], note),
        expected: r#"["a"]"#,
    },
    Row {
        name: "history",
        needs: &[CREATE, GET],
        uses: &[INFO, DELETE],
        run: |kv| kv.history("a", note_done),
        expected: "done",
    },
    Row {
        name: "watch",
        needs: &[CREATE, GET],
        uses: &[INFO, DELETE],
        run: |kv| {
            kv.watch("a", WatchOptions::new(), |app: &mut App, watcher, update| match update {
                Update::Initialized => {
                    app.outcomes.push(Ok("done".into()));
                    watcher.stop();
                }
                Update::Ended(error) => app.outcomes.push(Err(error)),
                _ => {}
            });
        },
        expected: "done",
    },
    Row {
        name: "status",
        needs: &[INFO],
        uses: &[],
        run: |kv| kv.status(note_done),
        expected: "done",
    },
    Row {
        name: "create_bucket",
        needs: &["$JS.API.STREAM.CREATE.KV_b"],
        uses: &[],
        run: |kv| kv.create_bucket(Config::new().history(5), note_done),
        expected: "done",
    },
    Row {
        name: "update_bucket",
        needs: &[INFO, "$JS.API.STREAM.UPDATE.KV_b"],
        uses: &[],
        run: |kv| kv.update_bucket(Config::new().history(5), note_done),
        expected: "done",
    },
    Row { name: "bind", needs: &[INFO], uses: &[], run: |kv| kv.bind(note_done), expected: "done" },
    Row {
        name: "key_value_names",
        needs: &["$JS.API.STREAM.NAMES"],
        uses: &[],
        run: |kv| kv.jetstream().key_value_names(note_permitted),
        expected: "done",
    },
    Row {
        name: "list_key_values",
        needs: &["$JS.API.STREAM.LIST"],
        uses: &[],
        run: |kv| drop(kv.jetstream().list_key_values(note_end)),
        expected: "done",
    },
    Row {
        name: "delete_bucket",
        needs: &["$JS.API.STREAM.DELETE.KV_c"],
        uses: &[],
        run: |kv| kv.jetstream().key_value("c").delete_bucket(note_done),
        expected: "done",
    },
    Row {
        name: "publish and stored messages",
        needs: &["events", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.DIRECT.GET.EVENTS.>"],
        uses: &[],
        run: |kv| {
            let done = |app: &mut App, outcome: Result<(), jetstream::Error>| {
                let last = app.outcomes.pop().unwrap_or(Ok("done".into()));
                app.outcomes
                    .push(last.and(outcome.map_err(Error::JetStream).map(|()| "done".into())));
            };
            let last = MessageQuery::LastBySubject("events");
            kv.jetstream().publish("events", "1", move |app: &mut App, js, stored| {
                let stored = stored.map(|_| ());
                js.stored_message(
                    "EVENTS",
                    last,
                    ReadFrom::Leader,
                    move |app: &mut App, js, read| {
                        let stored = stored.and(read.map(|_| ()));
                        js.stored_message("EVENTS", last, ReadFrom::Direct, move |app, _, read| {
                            done(app, stored.and(read.map(|_| ())));
                        });
                        let _ = app;
                    },
                );
                let _ = app;
            });
        },
        expected: "done",
    },
    Row {
        name: "publish window",
        needs: &["events"],
        uses: &["$JS.API.STREAM.NAMES"],
        run: |kv| {
            let window = kv.jetstream().publish_window(jetstream::WindowOptions::new());
            let done =
                |app: &mut App, _: &_, stored: Result<jetstream::PubAck, jetstream::Error>| {
                    app.outcomes.push(stored.map(|_| "done".into()).map_err(Error::JetStream));
                };
            window.publish("events", "1", done).expect("room");
        },
        expected: "done",
    },
    Row {
        name: "schedule, cancel_schedule",
        needs: &["$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.STREAM.PURGE.EVENTS"],
        uses: &[],
        run: |kv| {
            kv.jetstream().schedule("EVENTS", "none", |app: &mut App, js, scheduled| {
                let error = scheduled.expect_err("there is none");
                if !error.is_not_found() {
                    return app.outcomes.push(Err(Error::JetStream(error)));
                }
                js.cancel_schedule("EVENTS", "none", |app: &mut App, _, was_there| {
                    let done = was_there.map(|_| "done".into()).map_err(Error::JetStream);
                    app.outcomes.push(done);
                });
            });
        },
        expected: "done",
    },
    Row {
        name: "delete_message",
        needs: &["$JS.API.STREAM.MSG.DELETE.EVENTS"],
        uses: &[],
        run: |kv| kv.jetstream().stream("EVENTS").delete_message(99, note_permitted),
        expected: "done",
    },
    Row {
        name: "list_streams",
        needs: &["$JS.API.STREAM.LIST"],
        uses: &[],
        run: |kv| drop(kv.jetstream().list_streams(None, note_end)),
        expected: "done",
    },
    Row {
        name: "list_stream_names",
        needs: &["$JS.API.STREAM.NAMES"],
        uses: &[],
        run: |kv| drop(kv.jetstream().list_stream_names(None, note_end)),
        expected: "done",
    },
    Row {
        name: "stream_by_subject",
        needs: &["$JS.API.STREAM.NAMES"],
        uses: &[],
        run: |kv| kv.jetstream().stream_by_subject("events", note_permitted),
        expected: "done",
    },
    Row {
        name: "list_consumers",
        needs: &["$JS.API.CONSUMER.LIST.EVENTS"],
        uses: &[],
        run: |kv| drop(kv.jetstream().stream("EVENTS").list_consumers(note_end)),
        expected: "done",
    },
    Row {
        name: "consumer_names",
        needs: &["$JS.API.CONSUMER.NAMES.EVENTS"],
        uses: &[],
        run: |kv| kv.jetstream().stream("EVENTS").consumer_names(note_permitted),
        expected: "done",
    },
    // what else they need, the tests of backups show
    Row {
        name: "snapshot_stream",
        needs: &["$JS.API.STREAM.SNAPSHOT.NONE"],
        uses: &[],
        run: |kv| {
            let options = jetstream::SnapshotOptions::new();
            kv.jetstream().snapshot_stream("NONE", &options, note_end);
        },
        expected: "done",
    },
    Row {
        name: "restore_stream",
        needs: &["$JS.API.STREAM.RESTORE.EVENTS"],
        uses: &[],
        run: |kv| {
            let backup = br#"{"config":{"name":"EVENTS"},"state":{}}"#;
            let backup = jetstream::StreamBackup::from_json(backup).expect("a backup");
            let note = |app: &mut App, restore: &jetstream::Restore<App>, restoring| {
                if let jetstream::Restoring::Ended(end) = restoring {
                    note_permitted(app, restore, end);
                }
            };
            kv.jetstream().restore_stream(&backup, note);
        },
        expected: "done",
    },
    Row {
        name: "step_down_stream",
        needs: &["$JS.API.STREAM.LEADER.STEPDOWN.EVENTS"],
        uses: &[],
        run: |kv| kv.jetstream().stream("EVENTS").step_down(None, note_permitted),
        expected: "done",
    },
    Row {
        name: "remove_stream_peer",
        needs: &["$JS.API.STREAM.PEER.REMOVE.EVENTS"],
        uses: &[],
        run: |kv| kv.jetstream().stream("EVENTS").remove_peer("x", note_permitted),
        expected: "done",
    },
    Row {
        name: "step_down_consumer",
        needs: &["$JS.API.CONSUMER.LEADER.STEPDOWN.EVENTS.C"],
        uses: &[],
        run: |kv| kv.jetstream().step_down_consumer("EVENTS", "C", None, note_permitted),
        expected: "done",
    },
];

/// What older servers than 2.12 lack, so that no right is asked for there. The question for the level
/// is answered by what the server does, if it may not be asked.
const ROWS_OF_2_12: &[Row] = &[
    Row {
        name: "verified get",
        needs: &[DIRECT_BY_BODY],
        uses: &[LEVEL, DIRECT, WRITE, INFO],
        run: |kv| kv.with_reads(Reads::Verified).get("a", note_found),
        expected: "1",
    },
    Row {
        name: "linearizable get of nothing",
        needs: &[DIRECT_BY_BODY, WRITE],
        uses: &[LEVEL, INFO],
        run: |kv| kv.with_reads(Reads::Linearizable).get("nothing", note_found),
        expected: "none",
    },
    Row {
        name: "stored_message_without_headers",
        needs: &["$JS.API.STREAM.MSG.GET.EVENTS"],
        uses: &[LEVEL],
        run: |kv| {
            let query = MessageQuery::Sequence(99);
            let stream = kv.jetstream().stream("EVENTS");
            stream.stored_message_without_headers(query, note_permitted);
        },
        expected: "done",
    },
    Row {
        name: "stored_messages",
        needs: &["$JS.API.DIRECT.GET.EVENTS"],
        uses: &[LEVEL],
        run: |kv| {
            let query = MessagesQuery::subject("nothing");
            kv.jetstream().stored_messages("EVENTS", &query, note_end);
        },
        expected: "done",
    },
    Row {
        name: "atomic batch",
        needs: &["batched.first", "batched.last"],
        uses: &["$JS.API.INFO"],
        run: |kv| {
            let (batch, options) = (kv.jetstream().atomic_batch(), PublishOptions::new());
            batch.add("batched.first", "1", &options).expect("room");
            batch.commit("batched.last", "2", &options, |app: &mut App, _, stored| {
                app.outcomes.push(stored.map(|_| "done".into()).map_err(Error::JetStream));
            });
        },
        expected: "done",
    },
    Row {
        name: "put_with and touch with a TTL",
        needs: &["$KV.t.>", "$JS.API.STREAM.INFO.KV_t", "$JS.API.STREAM.MSG.GET.KV_t"],
        uses: &[],
        run: |kv| {
            let hour = Duration::from_secs(3600);
            let kv = kv.jetstream().key_value("t");
            kv.put_with("a", "1", WriteOptions::new().ttl(hour), move |app: &mut App, kv, put| {
                match put {
                    Ok(_) => kv.touch("a", hour, note_done),
                    Err(error) => app.outcomes.push(Err(error)),
                }
            });
        },
        expected: "done",
    },
    Row {
        name: "create_with and purge_with with a TTL",
        needs: &["$KV.t.>"],
        uses: &["$JS.API.STREAM.INFO.KV_t", LEVEL],
        run: |kv| {
            let hour = Duration::from_secs(3600);
            let kv = kv.jetstream().key_value("t");
            let key = support::unique("key");
            let made = key.clone();
            kv.create_with(
                &key,
                "1",
                WriteOptions::new().ttl(hour),
                move |app: &mut App, kv, created| match created {
                    Ok(_) => kv.purge_with(&made, PurgeOptions::new().ttl(hour), note_done),
                    Err(error) => app.outcomes.push(Err(error)),
                },
            );
        },
        expected: "done",
    },
    Row {
        name: "batch",
        needs: &["$KV.t.>"],
        uses: &[LEVEL],
        run: |kv| {
            let kv = kv.jetstream().key_value("t");
            kv.batch().put("a", "1").put("b", "1").commit(note_done);
        },
        expected: "done",
    },
    Row {
        name: "batch with an expectation that does not hold",
        needs: &["$KV.t.>"],
        uses: &[LEVEL, "$JS.API.STREAM.MSG.GET.KV_t", "$JS.API.DIRECT.GET.KV_t.>"],
        run: |kv| {
            let kv = kv.jetstream().key_value("t");
            kv.batch().put("a", "1").update("none", "1", 9).commit(
                |app: &mut App, _, committed| {
                    let outcome = match committed {
                        Err(error) if error.is_conflict() => Ok("a conflict".into()),
                        other => other.map(|_| "done".into()),
                    };
                    app.outcomes.push(outcome);
                },
            );
        },
        expected: "a conflict",
    },
    Row {
        name: "try_lock and release",
        needs: &["$KV.t.>", "$JS.API.STREAM.MSG.GET.KV_t"],
        uses: &["$JS.API.STREAM.INFO.KV_t"],
        run: lock_and_release,
        expected: "done",
    },
    Row {
        name: "try_lock and release, read from a replica",
        needs: &["$KV.t.>", "$JS.API.DIRECT.GET.KV_t.>"],
        uses: &["$JS.API.STREAM.INFO.KV_t"],
        run: lock_and_release,
        expected: "done",
    },
    Row {
        name: "lock, which another one holds",
        needs: &["$KV.t.>", "$JS.API.STREAM.MSG.GET.KV_t", "$JS.API.CONSUMER.CREATE.KV_t.>"],
        uses: &["$JS.API.STREAM.INFO.KV_t", "$JS.API.CONSUMER.DELETE.KV_t.>"],
        run: |kv| {
            let kv = kv.jetstream().key_value("t");
            let held = r#"{"owner":"another","id":"another","ttl_ms":1000}"#;
            kv.put("held", held, |app: &mut App, kv, put| match put {
                Ok(_) => drop(kv.lock("held", LockOptions::new(), note_locked)),
                Err(error) => app.outcomes.push(Err(error)),
            });
        },
        expected: "done",
    },
    Row {
        name: "get_many",
        needs: &["$JS.API.DIRECT.GET.KV_b"],
        uses: &[LEVEL],
        run: |kv| kv.get_many(["a"], note_done),
        expected: "done",
    },
    Row {
        name: "get_many behind a fence",
        needs: &["$JS.API.DIRECT.GET.KV_t", "$KV.t.>"],
        uses: &[LEVEL],
        run: |kv| {
            let kv = kv.jetstream().key_value("t").with_reads(Reads::Linearizable);
            kv.get_many(["nothing"], note_done);
        },
        expected: "done",
    },
    Row {
        name: "purge_keys",
        needs: &["$KV.t.>", "$JS.API.CONSUMER.CREATE.KV_t.>", "$JS.API.STREAM.MSG.GET.KV_t"],
        uses: &["$JS.API.STREAM.INFO.KV_t", "$JS.API.CONSUMER.DELETE.KV_t.>"],
        run: |kv| {
            let kv = kv.jetstream().key_value("t");
            kv.put("p", "1", |app: &mut App, kv, put| match put {
                Ok(_) => kv.purge_keys(&["p"], note_done),
                Err(error) => app.outcomes.push(Err(error)),
            });
        },
        expected: "done",
    },
    Row {
        name: "purge_deletes",
        needs: &[
            "$KV.t.>",
            "$JS.API.CONSUMER.CREATE.KV_t.>",
            "$JS.API.STREAM.MSG.GET.KV_t",
            "$JS.API.STREAM.INFO.KV_t",
            "$JS.API.STREAM.PURGE.KV_t",
        ],
        uses: &["$JS.API.CONSUMER.DELETE.KV_t.>"],
        run: |kv| {
            let kv = kv.jetstream().key_value("t");
            kv.delete("d", |app: &mut App, kv, deleted| match deleted {
                Ok(_) => {
                    kv.purge_deletes(PurgeDeletes::new().older_than(Duration::ZERO), note_done);
                }
                Err(error) => app.outcomes.push(Err(error)),
            });
        },
        expected: "done",
    },
    Row {
        name: "clear",
        needs: &["$JS.API.STREAM.PURGE.KV_t"],
        uses: &[],
        run: |kv| kv.jetstream().key_value("t").clear(note_done),
        expected: "done",
    },
    Row {
        name: "counters",
        needs: &["counted", "$JS.API.STREAM.MSG.GET.COUNTED", "$JS.API.DIRECT.GET.COUNTED.>"],
        uses: &["$JS.API.INFO"],
        run: |kv| {
            kv.jetstream().counter_add("counted", 1, |_, js, added| {
                let added = added.map(|_| ());
                js.counter_get("COUNTED", "counted", ReadFrom::Leader, |_, js, read| {
                    let read = added.and(read.map(|_| ()));
                    js.counter_get(
                        "COUNTED",
                        "counted",
                        ReadFrom::Direct,
                        |app: &mut App, _, last| {
                            let all = read.and(last.map(|_| "done".into()));
                            app.outcomes.push(all.map_err(Error::JetStream));
                        },
                    );
                });
            });
        },
        expected: "done",
    },
];

/// The rights of a user without one of those that a row names.
fn user(name: &str, publish: &[&str]) -> String {
    user_with(name, publish, &["_INBOX.*.*"])
}

/// A user that may publish to and subscribe to these subjects.
fn user_with(name: &str, publish: &[&str], subscribe: &[&str]) -> String {
    // an empty list would permit everything
    let publish = [publish, &["nothing"]].concat();
    format!(
        "{{ user: {name}, password: p, permissions: {{ publish: {{ allow: {publish:?} }}, \
         subscribe: {{ allow: {subscribe:?} }} }} }}"
    )
}

/// A client of one of the users.
fn client(event_loop: &EventLoop<App>, server: &Server, user: &str) -> Client<App> {
    let url = server.url().replace("://", &format!("://{user}:p@"));
    let nats = event_loop.connect(Options::new(url)).expect("a client");
    nats.on_error(|app: &mut App, _, error| app.reported.push(error.to_string()));
    nats
}

/// Runs a row's operation as a user, and returns its outcome.
fn outcome(
    event_loop: &EventLoop<App>,
    app: &mut App,
    server: &Server,
    user: &str,
    row: &Row,
) -> Result<String, Error> {
    let nats = client(event_loop, server, user);
    (row.run)(&nats.jetstream().key_value("b"));
    turn_until(event_loop, app, row.name, |app| !app.outcomes.is_empty());
    // what is still under way is somebody's error, if it is one
    nats.drain();
    turn_until(event_loop, app, "a drain", |_| nats.state() == ConnectionState::Closed);
    assert_eq!(app.outcomes.len(), 1, "{}", row.name);
    app.outcomes.remove(0)
}

#[test]
fn every_operation_needs_the_rights_that_the_table_says_and_no_others() {
    let mut users = vec!["{ user: admin, password: p }".to_owned()];
    let rows: Vec<&Row> = ROWS.iter().chain(ROWS_OF_2_12).collect();
    for (place, row) in rows.iter().enumerate() {
        users.push(user(&format!("all{place}"), &[row.needs, row.uses].concat()));
        users.push(user(&format!("exact{place}"), row.needs));
        for without in 0..row.needs.len() {
            let mut rest = row.needs.to_vec();
            rest.remove(without);
            users.push(user(&format!("less{place}x{without}"), &[&rest[..], row.uses].concat()));
        }
    }
    let config = format!("authorization {{ users: [ {} ] }}", users.join(",\n"));
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin");
    let js = admin.jetstream();
    let events = StreamConfig::new("EVENTS").subjects(["events"]).allow_direct(true);
    js.create_stream(&events, |_, _, created| assert!(created.is_ok()));
    js.key_value("b").create_bucket(Config::new().history(5), |_, kv, created| {
        created.expect("a bucket");
        kv.put("a", "1", note_done);
    });
    turn_until(&event_loop, &mut app, "a value", |app| !app.outcomes.is_empty());
    app.outcomes.clear();
    let has_2_12 = (server.version().major, server.version().minor) >= (2, 12);
    if has_2_12 {
        let batched = StreamConfig::new("BATCHED").subjects(["batched.*"]).allow_atomic(true);
        let counted = StreamConfig::new("COUNTED").subjects(["counted"]).allow_msg_counter(true);
        for config in [batched, counted.allow_direct(true)] {
            js.create_stream(&config, |app: &mut App, _, created| {
                app.outcomes.push(Ok(created.expect("a stream").config.name));
            });
        }
        let config = Config::new().limit_marker_ttl(Duration::from_secs(1)).atomic_batches(true);
        js.key_value("t").create_bucket(config, note_done);
        turn_until(&event_loop, &mut app, "three streams", |app| app.outcomes.len() == 3);
        app.outcomes.clear();
    }
    let served = if has_2_12 { rows.len() } else { ROWS.len() };
    for (place, row) in rows.into_iter().take(served).enumerate() {
        for user in ["all", "exact"] {
            if row.name == "delete_bucket" {
                js.key_value("c").create_bucket(Config::new(), note_done);
                turn_until(&event_loop, &mut app, "a bucket", |app| !app.outcomes.is_empty());
                app.outcomes.clear();
            }
            let outcome = outcome(&event_loop, &mut app, &server, &format!("{user}{place}"), row);
            assert_eq!(outcome.as_deref(), Ok(row.expected), "{} with {user}", row.name);
            let reported = std::mem::take(&mut app.reported);
            assert!(reported.is_empty(), "{} with {user}: {reported:?}", row.name);
        }
        for (without, right) in row.needs.iter().enumerate() {
            let user = format!("less{place}x{without}");
            let error = outcome(&event_loop, &mut app, &server, &user, row).expect_err(right);
            assert!(error.is_denied(), "{} without {right}: {error}", row.name);
            app.reported.clear();
        }
    }
    admin.close();
    support::finish_with(&event_loop, &mut app);
}

#[test]
fn a_denied_inbox_is_the_reason_that_every_operation_gives() {
    let config = "authorization { users: [ { user: deaf, password: p, permissions: { \
                  subscribe: { deny: \"_INBOX.>\" } } } ] }";
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    for row in ROWS {
        let outcome = outcome(&event_loop, &mut app, &server, "deaf", row);
        let error = outcome.expect_err(row.name);
        assert!(error.is_denied(), "{}: {error}", row.name);
    }
    support::finish_with(&event_loop, &mut app);
}

/// Notes the last thing that a watch says of its being fed, and every entry.
fn note_update(app: &mut App, _: &evnats::kv::Watcher<App>, update: Update) {
    match update {
        Update::Entry(entry) => app.outcomes.push(Ok(entry.key().into_owned())),
        Update::Stalled(stall) => app.reported.push(format!("stalled: {stall}")),
        Update::Resumed => app.reported.push("resumed".into()),
        Update::Ended(error) => app.outcomes.push(Err(error)),
        _ => {}
    }
}

#[test]
fn a_watch_without_the_right_to_answer_flow_control_says_that_it_is_stalled() {
    let config = format!(
        "authorization {{ users: [ {{ user: admin, password: p }}, {} ] }}",
        user("slow", &[CREATE, GET, INFO, DELETE])
    );
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin");
    const VALUES: usize = 40;
    admin.jetstream().key_value("b").create_bucket(Config::new(), |_, kv, created| {
        created.expect("a bucket");
        for n in 0..VALUES {
            kv.put(&format!("k{n}"), vec![0; 500_000], note_done);
        }
    });
    turn_until(&event_loop, &mut app, "values", |app| app.outcomes.len() == VALUES);
    app.outcomes.clear();
    let nats = client(&event_loop, &server, "slow");
    let options = WatchOptions::new().heartbeat(Duration::from_millis(100));
    nats.on_error(|_: &mut App, _, _| {});
    nats.jetstream().key_value("b").watch(">", options, note_update);
    turn_until(&event_loop, &mut app, "the reason, and then everything", |app| {
        let stalled = "stalled: the server waits for answers to its flow control, which do not \
                       reach it";
        app.outcomes.len() == VALUES && app.reported.iter().any(|report| report == stalled)
    });
    assert!(app.outcomes.iter().all(Result::is_ok));
    nats.close();
    admin.close();
    support::finish_with(&event_loop, &mut app);
}

#[test]
fn a_watch_whose_deliveries_go_nowhere_says_so() {
    // the account imports the API, and not the inboxes
    let server = support::server_with_guests();
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin");
    admin.jetstream().key_value("b").create_bucket(Config::new(), |_, kv, created| {
        created.expect("a bucket");
        kv.put("k", "v", note_done);
    });
    turn_until(&event_loop, &mut app, "a value", |app| app.outcomes.len() == 1);
    app.outcomes.clear();
    let guest = client(&event_loop, &server, "guest");
    let js = guest.jetstream().with_prefix(support::IMPORTED);
    let options = WatchOptions::new().heartbeat(Duration::from_millis(100));
    js.key_value("b").watch(">", options, note_update);
    turn_until(&event_loop, &mut app, "the reason", |app| !app.reported.is_empty());
    assert_eq!(
        app.reported,
        ["stalled: nothing that the consumer sends arrives, not even heartbeats"]
    );
    assert!(app.outcomes.is_empty());
    guest.close();
    admin.close();
    support::finish_with(&event_loop, &mut app);
}

/// Notes a dead letter: its message, or why there is none.
fn note_letter(app: &mut App, _: &Listing<App>, listed: Listed<DeadLetter>) {
    app.outcomes.push(match listed {
        Listed::Item(letter) => letter
            .message
            .map(|message| String::from_utf8_lossy(message.payload()).into_owned())
            .map_err(Error::JetStream),
        Listed::Ended(end) => end.map(|()| "over".into()).map_err(Error::JetStream),
    });
}

#[test]
fn dead_letters_need_two_subscriptions_and_to_read_the_message() {
    const EVENTS: &str = "$JS.EVENT.ADVISORY.CONSUMER";
    let events = |kind: &str| format!("{EVENTS}.{kind}.S.C");
    let (exceeded, terminated) = (events("MAX_DELIVERIES"), events("MSG_TERMINATED"));
    let user = |name: &str, publish: &str, subscribe: &[&str]| {
        user_with(name, &[publish], &[&["_INBOX.*.*"], subscribe].concat())
    };
    let get = "$JS.API.STREAM.MSG.GET.S";
    let config = format!(
        "authorization {{ users: [ {{ user: admin, password: p }}, {}, {}, {}, {} ] }}",
        user("exact", get, &[&exceeded, &terminated]),
        user("blind", "nothing", &[&exceeded, &terminated]),
        user("deaf", get, &[&exceeded]),
        user("deaf_as_well", get, &[&terminated]),
    );
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin");
    admin.jetstream().create_stream(&StreamConfig::new("S").subjects(["s"]), |_, js, created| {
        created.expect("a stream");
        js.publish("s", "the message", |app: &mut App, _, stored| {
            app.outcomes.push(Ok(stored.expect("stored").sequence.to_string()));
        });
    });
    turn_until(&event_loop, &mut app, "a message", |app| !app.outcomes.is_empty());
    app.outcomes.clear();
    // what a server says when a delivery is terminated
    let advisory = r#"{"type":"io.nats.jetstream.advisory.v1.terminated","stream":"S",
        "consumer":"C","stream_seq":1}"#;
    for (user, is_told) in
        [("exact", true), ("blind", true), ("deaf", false), ("deaf_as_well", false)]
    {
        let nats = client(&event_loop, &server, user);
        let consumer = nats.jetstream().stream("S").consumer("C");
        consumer.dead_letters(&DeadLetterOptions::new(), note_letter);
        support::flush(&event_loop, &mut app, &nats);
        admin.publish(&terminated, advisory).expect("sent");
        turn_until(&event_loop, &mut app, user, |app| !app.outcomes.is_empty());
        match (user, app.outcomes.remove(0)) {
            ("exact", outcome) => assert_eq!(outcome.as_deref(), Ok("the message")),
            (_, outcome) => assert!(outcome.expect_err(user).is_denied(), "{user}"),
        }
        assert_eq!(app.outcomes, [], "{user}");
        nats.close();
        turn_until(&event_loop, &mut app, user, |_| nats.state() == ConnectionState::Closed);
        // the end of whoever was not told of theirs
        support::flush(&event_loop, &mut app, &admin);
        let ends = app.outcomes.drain(..).filter(|end| end.is_err()).count();
        assert_eq!(ends, usize::from(is_told), "{user}");
    }
    admin.close();
    support::finish_with(&event_loop, &mut app);
}

/// Takes one message in each way, and acknowledges it.
fn read(
    nats: &Client<App>,
    app: &mut App,
    event_loop: &EventLoop<App>,
    ways: &[fn(&Consumer<App>)],
) -> Vec<String> {
    let consumer = nats.jetstream().stream("S").consumer("C");
    for (number, way) in ways.iter().enumerate() {
        way(&consumer);
        turn_until(event_loop, app, "an outcome", |app| app.outcomes.len() > number);
    }
    let outcomes = app.outcomes.drain(..);
    outcomes.map(|outcome| outcome.unwrap_or_else(|error| error.to_string())).collect()
}

fn note_way(app: &mut App, outcome: Result<&str, jetstream::Error>) {
    app.outcomes.push(outcome.map(str::to_owned).map_err(Error::JetStream));
}

fn fetch_one(consumer: &Consumer<App>) {
    consumer.fetch(
        FetchOptions::new(),
        |_: &mut App, _, message| Ok(message.ack()?),
        |app, _, end| note_way(app, end.map(|_| "fetched")),
    );
}

fn take_next(consumer: &Consumer<App>) {
    consumer.next(FetchOptions::new(), |app: &mut App, _, next| match next {
        Ok(message) => {
            note_way(app, Ok("next"));
            Ok::<_, evnats::Error>(message.expect("a message").ack()?)
        }
        Err(error) => {
            note_way(app, Err(error));
            Ok(())
        }
    });
}

fn consume_one(consumer: &Consumer<App>) {
    let options = ConsumeOptions::new().stop_after(1);
    let consumption = consumer.consume(options, |_: &mut App, _, message| Ok(message.ack()?));
    consumption.on_end(|app, _, end| {
        note_way(app, end.failure().map_or(Ok("consumed"), |error| Err(error.clone())));
    });
}

fn consume_one_by_key(consumer: &Consumer<App>) {
    let options = ConsumeOptions::new().stop_after(1);
    let callback = |_: &mut App, _: &Consumption<App>, message: &Delivery<'_, App>| {
        Ok::<_, evnats::Error>(message.ack()?)
    };
    let consumption = consumer.consume_by_key(options, ByKey::subject(), callback);
    consumption.on_end(|app, _, end| {
        note_way(app, end.failure().map_or(Ok("consumed by key"), |error| Err(error.clone())));
    });
}

fn take_one(consumer: &Consumer<App>) {
    let messages = consumer.messages(ConsumeOptions::new().max_messages(1));
    messages.next(|app: &mut App, messages, next| {
        match next {
            Ok(message) => {
                note_way(app, Ok("taken"));
                message.expect("a message").ack()?;
            }
            Err(NextError::Failed(error)) => note_way(app, Err(error)),
            Err(error) => support::fail(error),
        }
        messages.stop();
        Ok::<_, evnats::Error>(())
    });
}

#[test]
fn reading_a_consumer_needs_the_rights_that_the_table_says_and_is_told_what_it_lacks() {
    const PULL: &str = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    const ACK: &str = "$JS.ACK.S.C.>";
    // where servers are told to name domain and account
    const LONGER_ACK: &str = "$JS.ACK.*.*.S.C.>";
    const INFO: &str = "$JS.API.CONSUMER.INFO.S.C";
    const WAYS: [fn(&Consumer<App>); 4] = [fetch_one, take_next, consume_one, take_one];
    let config = format!(
        "authorization {{ users: [ {{ user: admin, password: p }}, {}, {}, {}, {} ] }}",
        user("exact", &[PULL, ACK, LONGER_ACK]),
        user("keyed", &[PULL, ACK, LONGER_ACK, INFO]),
        user("mute", &[ACK, LONGER_ACK]),
        user_with("deaf", &[PULL, ACK, LONGER_ACK], &["other"]),
    );
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin");
    admin.jetstream().create_stream(&StreamConfig::new("S").subjects(["s"]), |_, js, created| {
        created.expect("a stream");
        (0..20).for_each(|_| js.client().publish("s", "x").expect("room"));
        let config = ConsumerConfig::new("C").durable_name("C");
        js.create_consumer("S", &config, |app: &mut App, _, made| {
            made.expect("a consumer");
            app.outcomes.push(Ok("made".into()));
        });
    });
    turn_until(&event_loop, &mut app, "a consumer", |app| app.outcomes.len() == 1);
    app.outcomes.clear();
    let mut read_as = |user: &str, ways: &[fn(&Consumer<App>)]| {
        let nats = client(&event_loop, &server, user);
        let outcomes = read(&nats, &mut app, &event_loop, ways);
        nats.close();
        (outcomes, std::mem::take(&mut app.reported))
    };
    let (outcomes, reported) = read_as("exact", &WAYS);
    assert_eq!(outcomes, ["fetched", "next", "consumed", "taken"]);
    assert_eq!(reported, [""; 0]);
    let (outcomes, _) = read_as("mute", &WAYS);
    assert!(outcomes.iter().all(|outcome| outcome.contains(PULL)), "{outcomes:?}");
    let (outcomes, reported) = read_as("keyed", &[consume_one_by_key]);
    assert_eq!((outcomes, reported), (vec!["consumed by key".to_owned()], vec![]));
    let (outcomes, _) = read_as("exact", &[consume_one_by_key]);
    assert_eq!(outcomes, ["consumed by key"], "it goes on without the information");
    let (outcomes, _) = read_as("deaf", &WAYS);
    let denied = "the server does not permit the inbox for deliveries; see the client's on_error";
    assert_eq!(outcomes, [denied; 4]);
    admin.close();
    support::finish_with(&event_loop, &mut app);
}
