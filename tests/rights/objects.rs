//! What is needed for objects.

use super::support::{self, turn_until};
use super::{App, client, user};
use evnats::kv::Error;
use evnats::object_store::{
    self, Config, GetOptions, ListOptions, ListedObject, ObjectStore, Update, WatchOptions,
};
use evnats::{ConnectionState, EventLoop};
use evnats_harness::Server;

type Store = ObjectStore<App>;

/// A call of a bucket, and what it needs to publish to.
struct ObjectRow {
    name: &'static str,
    needs: &'static [&'static str],
    run: fn(&Store),
}

fn note<H, T>(app: &mut App, _: &H, outcome: Result<T, object_store::Error>) {
    app.outcomes.push(match outcome {
        Ok(_) => Ok("done".into()),
        Err(error) if error.is_denied() => Err(denied(error)),
        Err(error) => panic!("{error}"),
    });
}

/// What of it JetStream has reported.
fn denied(error: object_store::Error) -> Error {
    use object_store::Error::{ChunksLeft, JetStream};
    match error {
        JetStream(error) => Error::JetStream(error),
        ChunksLeft { cause: Some(cause), .. } => denied(*cause),
        ChunksLeft { removal, .. } => denied(*removal),
        error => panic!("{error}"),
    }
}

/// An object with chunks of its own, so that there is something to free.
fn put(store: &Store, name: &str) {
    store.put(name, "x", note);
}

/// Watches up to the signal.
fn watch(store: &Store) {
    store.watch(WatchOptions::new(), |app: &mut App, watcher, update| match update {
        Update::Initialized => {
            watcher.stop();
            note(app, watcher, Ok(()));
        }
        Update::Ended(error) => note::<_, ()>(app, watcher, Err(error)),
        _ => {}
    });
}

fn list(store: &Store) {
    store.list_objects(ListOptions::new(), |app: &mut App, listing, listed| match listed {
        ListedObject::Ended(end) => note(app, listing, end),
        listed => assert!(matches!(listed, ListedObject::Object(_)), "{listed:?}"),
    });
}

const WRITE: &str = "$O.b.>";
const GET: &str = "$JS.API.STREAM.MSG.GET.OBJ_b";
const PURGE: &str = "$JS.API.STREAM.PURGE.OBJ_b";
const INFO: &str = "$JS.API.STREAM.INFO.OBJ_b";
const READ: &str = "$JS.API.CONSUMER.CREATE.OBJ_b.>";

/// The bucket has an object `there`, which is replaced, and `old`, which is deleted or renamed.
const ROWS: &[ObjectRow] = &[
    ObjectRow { name: "put", needs: &[WRITE, GET, PURGE], run: |store| put(store, "there") },
    ObjectRow { name: "get", needs: &[GET, READ], run: |store| drop(store.get("there", note)) },
    ObjectRow {
        name: "get of a range",
        needs: &[GET, READ],
        run: |store| drop(store.get_with("long", GetOptions::new().range(300_000..), note)),
    },
    ObjectRow { name: "info", needs: &[GET], run: |store| store.info("there", note) },
    ObjectRow {
        name: "delete",
        needs: &[WRITE, GET, PURGE],
        run: |store| store.delete("old", note),
    },
    ObjectRow {
        name: "update_meta",
        needs: &[WRITE, GET],
        run: |store| store.update_meta("there", "there", note),
    },
    ObjectRow {
        name: "update_meta with another name",
        needs: &[WRITE, GET, PURGE],
        run: |store| store.update_meta("old", support::unique("new"), note),
    },
    ObjectRow {
        name: "add_link",
        needs: &[WRITE, GET],
        run: |store| store.add_link("link", "there", note),
    },
    ObjectRow {
        name: "add_bucket_link",
        needs: &[WRITE, GET, "$JS.API.STREAM.INFO.OBJ_c"],
        run: |store| store.add_bucket_link("link", "c", note),
    },
    ObjectRow { name: "watch", needs: &[GET, READ], run: watch },
    ObjectRow { name: "list", needs: &[GET, READ], run: |store| store.list(note) },
    ObjectRow { name: "list_objects", needs: &[GET, READ], run: list },
    ObjectRow { name: "bind", needs: &[INFO], run: |store| store.bind(note) },
    ObjectRow { name: "status", needs: &[INFO], run: |store| store.status(note) },
    ObjectRow {
        name: "create_bucket",
        needs: &["$JS.API.STREAM.CREATE.OBJ_b"],
        run: |store| store.create_bucket(Config::new(), note),
    },
    ObjectRow {
        name: "update_bucket",
        needs: &[INFO, "$JS.API.STREAM.UPDATE.OBJ_b"],
        run: |store| store.update_bucket(Config::new(), note),
    },
    ObjectRow {
        name: "delete_bucket",
        needs: &["$JS.API.STREAM.DELETE.OBJ_c"],
        run: |store| store.jetstream().object_store("c").delete_bucket(note),
    },
];

/// Makes what a row may have used up.
fn prepare(admin: &Store, event_loop: &EventLoop<App>, app: &mut App) {
    let js = admin.jetstream();
    js.object_store("c").create_bucket(Config::new(), note);
    admin.create_bucket(Config::new(), note);
    turn_until(event_loop, app, "buckets", |app| app.outcomes.len() == 2);
    put(admin, "there");
    put(admin, "old");
    admin.put("long", vec![7; 400_000], note);
    turn_until(event_loop, app, "objects", |app| app.outcomes.len() == 5);
    app.outcomes.clear();
}

#[test]
fn objects_need_the_rights_that_their_table_says_and_no_others() {
    let mut users = vec!["{ user: admin, password: p }".to_owned()];
    for (place, row) in ROWS.iter().enumerate() {
        users.push(user(&format!("exact{place}"), row.needs));
        for without in 0..row.needs.len() {
            let mut rest = row.needs.to_vec();
            rest.remove(without);
            users.push(user(&format!("less{place}x{without}"), &rest));
        }
    }
    let config = format!("authorization {{ users: [ {} ] }}", users.join(",\n"));
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin").jetstream().object_store("b");
    for (place, row) in ROWS.iter().enumerate() {
        let mut outcome = |user: &str| {
            prepare(&admin, &event_loop, &mut app);
            let nats = client(&event_loop, &server, user);
            (row.run)(&nats.jetstream().object_store("b"));
            turn_until(&event_loop, &mut app, row.name, |app| !app.outcomes.is_empty());
            nats.close();
            turn_until(&event_loop, &mut app, "the end", |_| {
                nats.state() == ConnectionState::Closed
            });
            let outcome = app.outcomes.remove(0);
            app.outcomes.clear();
            app.reported.clear();
            outcome
        };
        let done = outcome(&format!("exact{place}"));
        assert_eq!(done.as_deref(), Ok("done"), "{}", row.name);
        for (without, right) in row.needs.iter().enumerate() {
            let refused = outcome(&format!("less{place}x{without}"));
            let error = refused.expect_err(right);
            assert!(error.is_denied(), "{} without {right}: {error}", row.name);
        }
    }
    admin.client().close();
    support::finish_with(&event_loop, &mut app);
}
