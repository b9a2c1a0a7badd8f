//! `kv`: the configuration of buckets, times to live, and what is removed.

use super::{Tool, decoded, objects};
use evnats_harness::{Server, requires};
use serde_json::json;

#[test]
fn buckets_are_edited_and_keep_what_is_not_named() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--history", "5", "--ttl", "1h", "--description", "my text"]);
    let edit = ["kv", "edit", "B", "--history", "3", "--ttl", "0s", "--max-value-size", "1KB"];
    let info = tool.json(&edit);
    let of = |member: &str| info[member].clone();
    assert_eq!((of("history"), of("ttl_ns")), (json!(3), json!(null)));
    assert_eq!((of("max_value_size"), of("description")), (json!(1024), json!("my text")));
    let unlimited = tool.json(&["kv", "edit", "B", "--max-value-size", "-1"]);
    assert_eq!((&unlimited["max_value_size"], &unlimited["history"]), (&json!(null), &json!(3)));
    assert_eq!(tool.error_kind(&["kv", "edit", "NONE", "--history", "3"]), "bucket_not_found");
    assert_eq!(tool.error_kind(&["kv", "edit", "B", "--history", "65"]), "invalid_config");
}

#[test]
fn values_have_a_time_to_live() {
    let server = Server::start();
    requires!(server, 2, 11);
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    let disabled = tool.error(&["kv", "create", "B", "k", "v", "--ttl", "1h"]);
    assert_eq!((&disabled["kind"], &disabled["bucket"]), (&json!("ttl_disabled"), &json!("B")));
    tool.text(&["kv", "edit", "B", "--per-key-ttl"]);
    assert_eq!(tool.text(&["kv", "create", "B", "k", "v", "--ttl", "1h"]), "v\n");
    assert_eq!(tool.text(&["kv", "put", "B", "k", "w", "--ttl", "90s"]), "w\n");
    assert_eq!(tool.text(&["kv", "update", "B", "k", "x", "2", "--ttl", "90s"]), "x\n");
    let shown = tool.text(&["stream", "get", "KV_B", "3"]);
    assert!(shown.contains("Nats-TTL: 90"), "{shown}");
    tool.text(&["kv", "add", "H", "--history", "2", "--marker-ttl", "1h"]);
    let refused = tool.error(&["kv", "put", "H", "k", "v", "--ttl", "1h"]);
    assert_eq!(refused["kind"], "ttl_needs_history_of_one");
    assert_eq!(refused["history"], 2);
}

#[test]
fn a_key_is_given_an_old_value_again() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--history", "5"]);
    for value in ["one", "two"] {
        tool.text(&["kv", "put", "B", "k", value]);
    }
    tool.text(&["kv", "del", "B", "k"]);
    assert_eq!(tool.text(&["kv", "revert", "B", "k", "1"]), "one\n");
    let entry = tool.json(&["kv", "get", "B", "k"]);
    assert_eq!((&entry["revision"], decoded(&entry["value_base64"])), (&json!(4), b"one".to_vec()));
    let reverted = tool.json(&["kv", "revert", "B", "k", "2", "--force"]);
    let expected = json!({ "bucket": "B", "key": "k", "revision": 5, "operation": "PUT" });
    assert_eq!(reverted, expected);
    // a tombstone is no value to go back to, and neither is what was never there
    for revision in ["3", "99"] {
        let missing = tool.error(&["kv", "revert", "B", "k", revision]);
        assert_eq!(missing["kind"], "key_not_found");
    }
}

#[test]
fn keys_are_purged_and_what_is_left_of_them_removed() {
    let server = Server::start();
    requires!(server, 2, 10);
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--history", "5"]);
    for key in ["a.x", "a.y", "b", "c"] {
        tool.text(&["kv", "put", "B", key, "1"]);
    }
    let several = ["kv", "purge", "B", "a.*", "b"];
    assert_eq!(tool.error_kind(&several), "confirmation_required");
    let purged = tool.json(&[&several[..], &["--force"]].concat());
    assert_eq!(purged, json!({ "bucket": "B", "purged": 3 }));
    assert_eq!(tool.text(&["kv", "purge", "B", ">", "-f"]), "1 keys purged\n");
    assert_eq!(tool.text(&["kv", "ls", "B"]), "");

    tool.text(&["kv", "put", "B", "d", "1"]);
    tool.text(&["kv", "del", "B", "d"]);
    assert_eq!(tool.error_kind(&["kv", "compact", "B"]), "confirmation_required");
    let young = tool.json(&["kv", "compact", "B", "--force"]);
    assert_eq!(young, json!({ "bucket": "B", "keys": 1, "messages": 1 }), "the history of d");
    let all = tool.text(&["kv", "compact", "B", "--force", "--older-than", "0s"]);
    assert_eq!(all, "5 messages of 5 deleted keys removed\n");
    assert_eq!(tool.json(&["kv", "info", "B"])["values"], 0);
}

#[test]
fn a_bucket_is_emptied() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    tool.text(&["kv", "put", "B", "k", "1"]);
    assert_eq!(tool.error_kind(&["kv", "clear", "B"]), "confirmation_required");
    assert_eq!(tool.text(&["kv", "clear", "B", "-f"]), "");
    assert_eq!(objects(&tool.run(&["kv", "ls", "B", "--json"]), 0), [json!(null); 0]);
    let cleared = tool.json(&["kv", "clear", "B", "--force"]);
    assert_eq!(cleared, json!({ "bucket": "B", "cleared": true }));
    assert_eq!(tool.error_kind(&["kv", "clear", "NONE", "-f"]), "bucket_not_found");
}

#[test]
fn buckets_are_listed() {
    let server = Server::start();
    let tool = Tool::at(&server);
    assert_eq!(tool.text(&["kv", "ls"]), "");
    tool.text(&["kv", "add", "B", "--description", "the first"]);
    tool.text(&["kv", "add", "C"]);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    tool.text(&["kv", "put", "B", "k", "1"]);
    assert_eq!(tool.text(&["kv", "ls", "--names"]), "B\nC\n");
    assert!(tool.text(&["kv", "ls"]).contains("the first"));
    let listed = objects(&tool.run(&["kv", "ls", "--json"]), 0);
    let values = |at: usize| (listed[at]["bucket"].clone(), listed[at]["values"].clone());
    assert_eq!((values(0), values(1)), ((json!("B"), json!(1)), (json!("C"), json!(0))));
}

#[test]
fn reads_prove_what_they_are_asked_to() {
    let server = Server::start();
    requires!(server, 2, 11);
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--history", "2"]);
    tool.text(&["kv", "put", "B", "k", "1"]);
    for kind in ["leader", "verified", "linearizable", "replica"] {
        let get = ["kv", "get", "B", "k", "--raw", "--read", kind];
        assert_eq!(tool.text(&get), "1", "{kind}");
        assert_eq!(tool.text(&["kv", "ls", "B", "--read", kind]), "k\n", "{kind}");
        let absent = tool.error_kind(&["kv", "get", "B", "absent", "--read", kind]);
        assert_eq!(absent, "key_not_found", "{kind}");
    }
    assert_eq!(tool.json(&["kv", "info", "B"])["values"], 1, "the fence is not counted");
}

#[test]
fn what_was_written_as_one_is_shown_as_one() {
    let server = Server::start();
    requires!(server, 2, 12);
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--atomic-batches"]);
    let event_loop = evnats::EventLoop::new().expect("a loop");
    let nats = event_loop.connect(server.url().as_str()).expect("a client");
    let batch = nats.jetstream().key_value("B").batch().put("a", "1").put("b", "2");
    batch.commit(|(), kv, committed| {
        committed.expect("a batch");
        kv.client().close();
    });
    event_loop.run(&mut ()).expect("a run");
    let shown = tool.run(&["kv", "watch", "B", "--whole-batches", "--count", "2", "--json"]);
    let shown = objects(&shown, 0);
    let batch = shown[0]["batch"].as_array().expect("a batch");
    let keys: Vec<_> = batch.iter().map(|entry| entry["key"].clone()).collect();
    assert_eq!(keys, [json!("a"), json!("b")]);
    assert!(
        tool.text(&["kv", "watch", "B", "--whole-batches", "--count", "2"])
            .contains("2 entries of one batch:")
    );
}

#[test]
fn a_mirror_is_read_near_and_written_at_its_origin() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "ORIGIN"]);
    tool.text(&[
        "stream",
        "add",
        "KV_MIRROR",
        "--mirror",
        "KV_ORIGIN",
        "--max-msgs-per-subject",
        "1",
    ]);
    tool.text(&["kv", "put", "MIRROR", "k", "1"]);
    assert_eq!(tool.text(&["kv", "get", "ORIGIN", "k", "--raw"]), "1");
    let shown = tool.run(&["kv", "watch", "MIRROR", "--count", "1", "--json"]);
    assert_eq!(objects(&shown, 0).last().expect("an entry")["key"], "k");
    assert_eq!(tool.text(&["kv", "get", "MIRROR", "k", "--raw"]), "1");
    assert_eq!(tool.text(&["kv", "ls", "MIRROR"]), "k\n");
}
