//! Other clients on the same buckets of objects: what we put they get, and the other way round. They run in
//! processes of their own, nats-py and nats.js, as `.ci/interop` installs them.

#[path = "interop/peer.rs"]
mod peer;
mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evnats::object_store::{Error, GetOptions, ObjectMeta, Update, WatchOptions};
use evnats_harness::{requires, skip};
use peer::{Library, Peer};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use support::asking::Asking;
use support::objects::{Objects, bytes};
use support::{server, unique};

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
        crate::requires!(crate::server(), 2, 10);
        if let Some(missing) = library.missing() {
            crate::skip!(missing);
        }
        crate::$name(library)
    }};
}
use with;

with_each! {
    objects_are_the_same_for_both
    what_one_replaces_or_deletes_is_gone_for_the_other
    buckets_of_others_are_used_as_they_are
    lists_and_watches_show_what_the_other_puts
}

#[test]
fn links_of_nats_js_are_followed() {
    with!(NatsJs, links_are_links)
}

/// A bucket of ours, and the other client, which is bound to it.
fn both(library: Library) -> (Objects, Peer) {
    let objects = Objects::new();
    let mut peer = Peer::start(library, &server().url());
    peer.run("bind_object_bucket", json!({ "bucket": objects.store.bucket() }));
    (objects, peer)
}

/// A bucket that the other client has created, and we have bound.
fn theirs(library: Library) -> (Objects, Peer) {
    let bucket = unique("theirs");
    let mut peer = Peer::start(library, &server().url());
    peer.run("create_object_bucket", json!({ "bucket": bucket }));
    let objects = Objects::of(Asking::new(), &bucket);
    objects.wait(|store, done| store.bind(done)).expect("a bucket");
    (objects, peer)
}

fn put(peer: &mut Peer, name: &str, data: &[u8], chunk_size: usize) {
    let value = STANDARD.encode(data);
    let options =
        json!({ "name": name, "value": value, "chunk_size": chunk_size, "description": "d" });
    peer.run("put_object", options);
}

fn get(peer: &mut Peer, name: &str) -> Option<Vec<u8>> {
    match peer.run("get_object", json!({ "name": name })) {
        Value::Null => None,
        text => Some(STANDARD.decode(text.as_str().expect("a text")).expect("base64")),
    }
}

/// A name that has everything in it that nats.js can write: it takes names for Latin letters.
const NAME: &str = "a/b c.>*";

fn objects_are_the_same_for_both(library: Library) {
    let (objects, mut peer) = both(library);
    for size in [0, 1, 1000, 1001, 300_000] {
        let data = bytes(size);
        let meta = ObjectMeta::new(NAME).chunk_size(1000).description("ours");
        let stored = objects.put(meta, &data);
        assert!(get(&mut peer, NAME).expect("an object") == data, "{size}");
        let info = peer.run("object_info", json!({ "name": NAME }));
        assert_eq!((&info["size"], &info["chunks"]), (&json!(size), &json!(stored.chunks)));
        assert_eq!((&info["description"], &info["deleted"]), (&json!("ours"), &json!(false)));

        put(&mut peer, NAME, &data, 1000);
        let object = objects.get(NAME).expect("an object");
        assert!(object.data == data && object.is_verified, "{size}");
        assert_eq!(object.info.description.as_deref(), Some("d"));
        if size > 2000 {
            let options = GetOptions::new().range(2500..2600);
            let part = objects.wait(|store, done| store.get_with(NAME, options, done));
            assert!(part.expect("a part").data == data[2500..2600]);
        }
    }
}

fn what_one_replaces_or_deletes_is_gone_for_the_other(library: Library) {
    let (objects, mut peer) = both(library);
    put(&mut peer, "n", &bytes(5000), 1000);
    let ours = objects.put("n", b"ours");
    assert_eq!(get(&mut peer, "n").as_deref(), Some(&b"ours"[..]));
    objects.assert_no_leaks(&[&ours]);
    peer.run("delete_object", json!({ "name": "n" }));
    assert!(objects.get("n").expect_err("deleted").is_not_found());
    let deleted = objects.wait(|store, done| store.info_raw("n", done)).expect("known");
    assert!(deleted.deleted);
    objects.assert_no_leaks(&[]);
    objects.put("n", b"again");
    assert_eq!(get(&mut peer, "n").as_deref(), Some(&b"again"[..]));
    objects.delete("n").expect("deleted");
    assert_eq!(get(&mut peer, "n"), None);
    let info = peer.run("object_info", json!({ "name": "n" }));
    assert_eq!(info["deleted"], true);
}

fn buckets_of_others_are_used_as_they_are(library: Library) {
    let (objects, mut peer) = theirs(library);
    put(&mut peer, "theirs", &bytes(400_000), 0);
    assert!(objects.bytes("theirs") == bytes(400_000));
    let options = GetOptions::new().range(399_990..);
    let part = objects.wait(|store, done| store.get_with("theirs", options, done));
    assert!(part.expect("a part").data == bytes(400_000)[399_990..]);
    // more than fits in a window
    let large = bytes(20 << 20);
    objects.put("ours", &large);
    assert!(get(&mut peer, "ours").expect("an object") == large);
    let config = evnats::object_store::Config::new();
    let made = objects.wait(|store, done| store.create_or_update_bucket(config, done));
    made.expect("a bucket");
    assert_eq!(objects.bytes("theirs").len(), 400_000);
}

fn lists_and_watches_show_what_the_other_puts(library: Library) {
    let (objects, mut peer) = both(library);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let shown = seen.clone();
    let watcher = objects.store.watch(WatchOptions::new(), move |(), _, update| match update {
        Update::Object(info) => shown.borrow_mut().push((info.name, info.deleted)),
        Update::Initialized => shown.borrow_mut().push((String::new(), false)),
        Update::Unreadable(bad) => panic!("{bad}"),
        _ => {}
    });
    objects.until("the signal", || seen.borrow().len() == 1);
    put(&mut peer, "one", b"1", 0);
    objects.put("two", b"2");
    peer.run("delete_object", json!({ "name": "one" }));
    objects.until("three updates", || seen.borrow().len() == 4);
    let expected = [("", false), ("one", false), ("two", false), ("one", true)];
    assert_eq!(*seen.borrow(), expected.map(|(name, deleted)| (name.to_owned(), deleted)));
    watcher.stop();
    let list = objects.wait(|store, done| store.list(done)).expect("a list");
    let names: Vec<_> = list.objects.iter().map(|info| info.name.as_str()).collect();
    assert_eq!((names, list.unreadable.len()), (vec!["two"], 0));
    let theirs = peer.run("list_objects", json!({}));
    assert!(theirs.as_array().expect("a list").contains(&json!("two")), "{theirs}");
}

fn links_are_links(library: Library) {
    let (objects, mut peer) = both(library);
    objects.put("target", b"x");
    peer.run("link_object", json!({ "name": "link", "to": "target" }));
    assert_eq!(objects.bytes("link"), b"x");
    objects.wait(|store, done| store.add_link("ours", "target", done)).expect("a link");
    assert_eq!(get(&mut peer, "ours").as_deref(), Some(&b"x"[..]));
    let bucket = objects.store.bucket().to_owned();
    peer.run("link_bucket", json!({ "name": "whole", "bucket": bucket }));
    let refused = objects.get("whole").expect_err("a bucket");
    assert_eq!(refused, Error::BucketLink { name: "whole".into(), bucket });
    let list = objects.wait(|store, done| store.list(done)).expect("a list");
    assert_eq!((list.objects.len(), list.unreadable.len()), (4, 0));
}
