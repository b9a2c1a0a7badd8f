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
