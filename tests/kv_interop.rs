//! Other clients on the same buckets: what we write they read, and the other way round. They run in
//! processes of their own, nats-py and nats.js, as `.ci/interop` installs them.

#[path = "kv_interop/entries.rs"]
mod entries;
#[path = "interop/peer.rs"]
mod peer;
mod support;

use entries::Shown;
use evnats::jetstream::StreamConfig;
use evnats::kv::{Config, Entry, Error, Operation, Reads, Update, WatchOptions, WriteOptions};
use evnats_harness::{requires, skip};
use peer::{Library, Peer};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::session::{Kv, Session};
use support::{server, unique};

/// A key of everything that a key may have in it.
const KEY: &str = "a=b/c_d.e-1";

/// A test for each of the other clients.
macro_rules! with_each {
    ($($name:ident)*) => {
        mod nats_py {
            $(#[test] fn $name() { super::with!(NatsPy, $name) })*
        }
        mod nats_js {
            $(#[test] fn $name() { super::with!(NatsJs, $name) })*
        }
    };
}

/// Leaves the test where the client is missing, or the server is too old for the whole of it.
macro_rules! with {
    ($library:ident, $name:ident) => {{
        let library = crate::Library::$library;
        crate::requires!(crate::server(), 2, 11);
        if let Some(missing) = library.missing() {
            crate::skip!(missing);
        }
        crate::$name(library)
    }};
}
use with;

with_each! {
    values_are_the_same_for_both
    conflicts_are_conflicts_for_both
    tombstones_and_histories_are_the_same_for_both
    keys_are_the_same_for_both_and_nobody_lists_the_fence
    watches_show_what_the_other_writes
    expired_values_leave_markers_for_both
    buckets_that_others_have_created_are_used_as_they_are
    a_limit_of_markers_is_what_the_other_has_set
}

#[test]
fn a_mirror_of_nats_js_is_read_near_and_written_to_its_origin() {
    with!(NatsJs, mirrors_are_mirrors)
}

/// The server, a bucket of ours on it, and the other client, which is bound to the bucket.
fn both(library: Library, config: Config) -> (Session, Peer) {
    let session = Session::new(config);
    let mut peer = Peer::start(library, &server().url());
    peer.bind(session.kv.bucket());
    (session, peer)
}

/// A bucket that the other client has created, and we have bound.
fn theirs(library: Library, mut options: serde_json::Value) -> (Session, Peer) {
    let bucket = unique("theirs");
    let mut peer = Peer::start(library, &server().url());
    options["bucket"] = bucket.as_str().into();
    peer.run("create_bucket", options);
    let session = Session::unmade(&server().url(), &bucket);
    session.wait(|kv, done| kv.bind(done)).expect("a bucket");
    (session, peer)
}

#[track_caller]
fn found(session: &Session, key: &str, reads: Reads) -> Option<Shown> {
    let kv = session.kv.with_reads(reads);
    let found: Result<Option<Entry>, Error> = session.ask(|done| kv.get(key, done));
    found.expect("an answer").as_ref().map(shown)
}

#[track_caller]
fn put(session: &Session, key: &str, value: &[u8]) -> u64 {
    session.wait(|kv, done| kv.put(key, value, done)).expect("stored")
}

#[track_caller]
fn conflict<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.expect_err("a conflict");
    assert!(error.is_conflict(), "{error}");
}

/// An entry as other clients show it, which have no expirations.
fn shown(entry: &Entry) -> Shown {
    let operation = match entry.operation() {
        Operation::Put => "PUT",
        Operation::Delete => "DEL",
        _ => "PURGE",
    };
    let (key, value) = (entry.key().into_owned(), entry.value().to_vec());
    Shown { key, value, revision: entry.revision(), operation: operation.into() }
}

fn values_are_the_same_for_both(library: Library) {
    let (session, mut peer) = both(library, Config::new());
    let binary: Vec<u8> = (0..=255).collect();
    let large = vec![b'x'; 64 << 10];
    let kinds = [Reads::Leader, Reads::Replica, Reads::Verified, Reads::Linearizable];
    for value in [&b""[..], &binary, &large] {
        let revision = put(&session, KEY, value);
        let (key, operation) = (KEY.to_owned(), "PUT".to_owned());
        let expected = Shown { key, value: value.to_vec(), revision, operation };
        assert_eq!(peer.get(KEY).as_ref(), Some(&expected));
        let revision = peer.put(KEY, value);
        let expected = Shown { revision, ..expected };
        for reads in kinds {
            assert_eq!(found(&session, KEY, reads).as_ref(), Some(&expected), "{reads:?}");
        }
    }
    assert_eq!(peer.get("absent"), None);
}

fn conflicts_are_conflicts_for_both(library: Library) {
    let (session, mut peer) = both(library, Config::new());
    let first = peer.create("k", b"theirs").expect("created");
    conflict(session.wait(|kv, done| kv.create("k", "ours", done)));
    let second = session.wait(|kv, done| kv.update("k", "ours", first, done)).expect("updated");
    peer.update("k", b"theirs", first).expect_err("a conflict");
    peer.create("k", b"theirs").expect_err("a conflict");
    peer.update("k", b"theirs", second).expect("updated");
    conflict(session.wait(|kv, done| kv.update("k", "ours", second, done)));
    conflict(session.wait(|kv, done| kv.delete_at("k", second, done)));
    assert_eq!(found(&session, "k", Reads::Leader).expect("a value").value, b"theirs");
}

fn tombstones_and_histories_are_the_same_for_both(library: Library) {
    let (session, mut peer) = both(library, Config::new().history(8));
    let raw = |key: &'static str| {
        let found: Result<Option<Entry>, Error> = session.wait(|kv, done| kv.get_raw(key, done));
        found.expect("an answer").expect("an entry").operation()
    };
    put(&session, "k", b"1");
    peer.run("delete", json!({ "key": "k" }));
    assert_eq!((raw("k"), session.get("k")), (Operation::Delete, None));
    session.wait(|kv, done| kv.create("k", "2", done)).expect("created over their tombstone");
    session.delete("k");
    assert_eq!(peer.get("k"), None);
    peer.create("k", b"3").expect("created over our tombstone");
    let ours: Vec<Entry> = session.wait(|kv, done| kv.history("k", done)).expect("a history");
    let ours: Vec<_> = ours.iter().map(shown).collect();
    let operations: Vec<_> = ours.iter().map(|entry| &*entry.operation).collect();
    assert_eq!(operations, ["PUT", "DEL", "PUT", "DEL", "PUT"]);
    assert_eq!(peer.history("k"), ours);
    let first = peer.run("get_revision", json!({ "key": "k", "revision": ours[0].revision }));
    assert_eq!(first["value"], "MQ==");

    peer.run("purge", json!({ "key": "k" }));
    assert_eq!((raw("k"), session.messages()), (Operation::Purge, 1));
    session.wait(|kv, done| kv.create("k", "4", done)).expect("created over their purge");
    session.wait(|kv, done| kv.purge("k", done)).expect("purged");
    assert_eq!((peer.get("k"), session.messages()), (None, 1));
    peer.create("k", b"5").expect("created over our purge");
    assert_eq!(session.get("k").expect("a value").0, "5");
}

fn keys_are_the_same_for_both_and_nobody_lists_the_fence(library: Library) {
    let (session, mut peer) = both(library, Config::new());
    put(&session, KEY, b"ours");
    peer.put("b", b"theirs");
    for key in ["deleted", "purged"] {
        put(&session, key, b"");
    }
    peer.run("delete", json!({ "key": "deleted" }));
    session.wait(|kv, done| kv.purge("purged", done)).expect("purged");
    // this read writes a fence
    assert!(found(&session, KEY, Reads::Linearizable).is_some());
    let mut keys = peer.keys();
    keys.sort();
    assert_eq!(keys, [KEY, "b"]);
    let mut keys: Vec<String> = session.wait(|kv, done| kv.keys(done)).expect("keys");
    keys.sort();
    assert_eq!(keys, [KEY, "b"]);
    // it is a message like others, which other clients count, and we don't
    assert_eq!(session.messages(), 4);
    assert_eq!(peer.run("values", json!({})), 5);
    assert_eq!(peer.history("_kv_fence")[0].operation, "PURGE");
}

/// A watch of ours, of which every entry is kept as others show it.
fn watch(kv: &Kv) -> Rc<RefCell<Vec<Shown>>> {
    let seen: Rc<RefCell<Vec<Shown>>> = Rc::default();
    let noted = seen.clone();
    kv.watch(">", WatchOptions::new(), move |(), _, update| {
        if let Update::Entry(entry) = update {
            noted.borrow_mut().push(shown(&entry));
        }
    });
    seen
}

fn watches_show_what_the_other_writes(library: Library) {
    let (session, mut peer) = both(library, Config::new());
    peer.put("before", b"theirs");
    let seen = watch(&session.kv);
    session.until("their value", || seen.borrow().len() == 1);
    peer.run("watch", json!({}));
    assert_eq!(peer.next(), seen.borrow()[0]);
    // the number of entries so far, each of which both have to be shown
    let shown_to_both = |peer: &mut Peer, count: usize| {
        session.until("what was written", || seen.borrow().len() == count);
        assert_eq!(peer.next(), seen.borrow()[count - 1]);
    };
    put(&session, KEY, b"ours");
    shown_to_both(&mut peer, 2);
    peer.put(KEY, &[0, 255]);
    shown_to_both(&mut peer, 3);
    session.delete(KEY);
    shown_to_both(&mut peer, 4);
    peer.run("delete", json!({ "key": "before" }));
    shown_to_both(&mut peer, 5);
    session.wait(|kv, done| kv.purge(KEY, done)).expect("purged");
    shown_to_both(&mut peer, 6);
    peer.run("purge", json!({ "key": "before" }));
    shown_to_both(&mut peer, 7);
    let operations: Vec<_> = seen.borrow().iter().map(|entry| entry.operation.clone()).collect();
    assert_eq!(operations, ["PUT", "PUT", "PUT", "DEL", "DEL", "PURGE", "PURGE"]);
}

fn expired_values_leave_markers_for_both(library: Library) {
    let (session, mut peer) =
        both(library, Config::new().limit_marker_ttl(Duration::from_secs(60)));
    let seen = watch(&session.kv);
    peer.run("watch", json!({}));
    let second = WriteOptions::new().ttl(Duration::from_secs(1));
    session.wait(|kv, done| kv.create_with("ours", "1", second, done)).expect("created");
    peer.run("create", json!({ "key": "theirs", "value": "MQ==", "ttl": 1 }));
    session.until("two values and two markers", || seen.borrow().len() == 4);
    for expected in &*seen.borrow() {
        assert_eq!(&peer.next(), expected);
    }
    let markers: Vec<_> = seen.borrow()[2..].iter().map(|entry| entry.operation.clone()).collect();
    assert_eq!(markers, ["PURGE", "PURGE"]);
    assert_eq!((session.get("ours"), session.get("theirs")), (None, None));

    // a tombstone with a time of its own goes without another one
    put(&session, "purged", b"");
    let before = session.messages();
    peer.run("purge", json!({ "key": "purged", "ttl": 1 }));
    session.until("the tombstone", || seen.borrow().len() == 6);
    session.until("its end", || session.messages() < before);
}

/// The stream of a bucket, as the server has it.
fn stream_of(session: &Session) -> StreamConfig {
    let status = session.wait(|kv, done| kv.status(done)).expect("a status");
    status.stream().config.clone()
}

/// nats-py: no direct reads, and messages with a time to live in every bucket. nats.js: messages may be
/// deleted.
fn buckets_that_others_have_created_are_used_as_they_are(library: Library) {
    let direct = library == Library::NatsJs;
    let (session, mut peer) = theirs(library, json!({ "history": 3, "direct": direct }));
    let before = stream_of(&session);
    assert_eq!(before.allow_direct, direct);
    assert_eq!(before.allow_msg_ttl, library == Library::NatsPy);
    assert_eq!(before.deny_delete, library == Library::NatsPy);
    peer.put("k", b"theirs");
    assert_eq!(session.get("k"), Some(("theirs".into(), 1)));
    put(&session, "k", b"ours");
    assert_eq!(peer.get("k").expect("a value").value, b"ours");
    let keys: Vec<String> = session.wait(|kv, done| kv.keys(done)).expect("keys");
    assert_eq!(keys, ["k"]);
    let history: Vec<Entry> = session.wait(|kv, done| kv.history("k", done)).expect("a history");
    assert_eq!(history.len(), 2);

    // the same settings: it counts as created
    let config = Config::new().history(3);
    session.wait(|kv, done| kv.create_bucket(config.clone(), done)).expect("it is that bucket");
    let other = session.wait(|kv, done| kv.create_bucket(config.clone().history(4), done));
    assert!(matches!(other, Err(Error::BucketExists { .. })), "{other:?}");
    // an update changes what it is about
    let config = config.description("described");
    session.wait(|kv, done| kv.update_bucket(config, done)).expect("updated");
    let after = stream_of(&session);
    assert_eq!(after.description.as_deref(), Some("described"));
    assert_eq!(after.allow_msg_ttl, before.allow_msg_ttl);
    assert_eq!(session.get("k"), Some(("ours".into(), 2)));
}

fn a_limit_of_markers_is_what_the_other_has_set(library: Library) {
    let (session, _peer) = theirs(library, json!({ "marker_ttl": 60 }));
    let minute = Duration::from_secs(60);
    let status = session.wait(|kv, done| kv.status(done)).expect("a status");
    assert_eq!(status.limit_marker_ttl(), Some(minute));
    let config = Config::new().limit_marker_ttl(minute);
    session.wait(|kv, done| kv.create_bucket(config, done)).expect("it is that bucket");
    let seen = watch(&session.kv);
    let second = WriteOptions::new().ttl(Duration::from_secs(1));
    session.wait(|kv, done| kv.create_with("k", "1", second, done)).expect("created");
    session.until("a value and its marker", || seen.borrow().len() == 2);
    assert_eq!(seen.borrow()[1].operation, "PURGE");
}

fn mirrors_are_mirrors(library: Library) {
    let origin = Session::new(Config::new());
    put(&origin, "k", b"1");
    let (mirror, _peer) = theirs(library, json!({ "mirror": origin.kv.bucket() }));
    let (kv, bound) = mirror_handle(&mirror);
    assert!(bound.stream().config.mirror.is_some());
    let read = |expected: &str| {
        // what is copied takes its time
        mirror.until(expected, || {
            let found: Result<Option<Entry>, Error> = mirror.ask(|done| kv.get("k", done));
            found.expect("an answer").is_some_and(|entry| entry.text() == expected)
        });
    };
    read("1");
    mirror.ask(|done| kv.put("k", "2", done)).expect("stored by the origin");
    assert_eq!(origin.get("k").expect("a value").0, "2");
    read("2");
    let keys: Vec<String> = mirror.ask(|done| kv.keys(done)).expect("keys");
    assert_eq!(keys, ["k"]);
}

/// The handle that knows that its bucket is a mirror.
fn mirror_handle(session: &Session) -> (Kv, evnats::kv::Status) {
    let handle = Rc::new(RefCell::new(None));
    let given = handle.clone();
    session.kv.bind(move |(), kv: &Kv, status| {
        given.replace(Some((kv.clone(), status.expect("a mirror"))));
    });
    session.until("a mirror", || handle.borrow().is_some());
    handle.take().expect("it is there")
}
