//! `object`: buckets of objects, and what is in them.

use super::{Tool, objects};
use evnats_harness::{Server, requires};
use serde_json::json;
use std::fs;

#[test]
fn files_are_put_and_got() {
    let server = Server::start();
    requires!(server, 2, 10);
    let tool = Tool::at(&server);
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(path("in"), &data).expect("a file");
    tool.text(&["object", "add", "B", "--description", "my text", "--metadata", "k=v"]);
    let info = tool.json(&["object", "info", "B"]);
    assert_eq!((&info["description"], &info["metadata"]), (&json!("my text"), &json!({"k": "v"})));

    let put = [
        "object",
        "put",
        "B",
        &path("in"),
        "--name",
        "../a/b",
        "--description",
        "d",
        "-H",
        "h: 1",
        "--metadata",
        "x=y",
        "--chunk-size",
        "64KB",
    ];
    let stored = tool.json(&put);
    assert_eq!((&stored["size"], &stored["chunks"]), (&json!(1_200_000), &json!(19)));
    let known = tool.json(&["object", "info", "B", "../a/b"]);
    assert_eq!((&known["headers"], &known["metadata"]), (&json!({"h": ["1"]}), &json!({"x": "y"})));
    let text = tool.text(&["object", "info", "B", "../a/b"]);
    assert!(text.contains("Digest: SHA-256=") && text.contains("Header: h: 1"), "{text}");

    let got = tool.json(&["object", "get", "B", "../a/b", "-O", &path("out")]);
    assert_eq!((&got["bytes"], &got["verified"]), (&json!(1_200_000), &json!(true)));
    assert!(fs::read(path("out")).expect("a file") == data);
    let again = ["object", "get", "B", "../a/b", "-O", &path("out")];
    assert_eq!(tool.error_kind(&again), "confirmation_required");
    let part =
        ["object", "get", "B", "../a/b", "-O", &path("out"), "--from", "4", "--to", "12", "-f"];
    assert!(tool.text(&part).contains("not verified"));
    assert_eq!(fs::read(path("out")).expect("a file"), data[4..12]);
    let raw = tool.run(&["object", "get", "B", "../a/b", "-O", "-"]);
    assert!(raw.stdout == data);
    assert_eq!(tool.error_kind(&["object", "get", "B", "none", "-O", "-"]), "object_not_found");
    assert_eq!(tool.error_kind(&["object", "get", "NONE", "none", "-O", "-"]), "bucket_not_found");
    assert_eq!(tool.error_kind(&["object", "put", "B", &path("missing")]), "io");
    assert_eq!(
        tool.error_kind(&["object", "put", "B", &path("in"), "--name", "n", "--revision", "7"]),
        "wrong_revision"
    );
    assert_eq!(tool.error_kind(&["object", "put", "B"]), "usage");
    assert_eq!(tool.error_kind(&["object", "get", "B", "..", "-f"]), "usage");
}

#[test]
fn objects_and_buckets_go_and_are_sealed() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["object", "add", "B", "--max-bucket-size", "1MB"]);
    let put = |name: &str| tool.start(&["object", "put", "B", "--name", name], b"abc").finish();
    assert!(put("n").code == Some(0));
    assert_eq!(tool.text(&["object", "del", "B", "n", "-f"]), "Deleted B > n\n");
    assert_eq!(tool.error_kind(&["object", "info", "B", "n"]), "object_not_found");
    assert!(put("m").code == Some(0));
    assert_eq!(tool.error_kind(&["object", "seal", "B"]), "confirmation_required");
    assert_eq!(tool.json(&["object", "seal", "B", "-f"])["sealed"], true);
    assert_eq!(tool.error_kind(&["object", "del", "B", "m", "-f"]), "sealed");
    assert_eq!(tool.run(&["object", "get", "B", "m", "-O", "-"]).stdout, b"abc");
    assert_eq!(tool.error_kind(&["object", "rm", "B"]), "confirmation_required");
    let deleted = tool.json(&["object", "rm", "B", "-f"]);
    assert_eq!(deleted, json!({ "bucket": "B", "deleted": true }));
    assert_eq!(tool.error_kind(&["object", "info", "B"]), "bucket_not_found");
}

#[test]
fn objects_and_buckets_are_listed_and_watched() {
    let server = Server::start();
    let tool = Tool::at(&server);
    assert_eq!(tool.text(&["object", "ls"]), "");
    tool.text(&["object", "add", "B", "--description", "the first"]);
    tool.text(&["object", "add", "C"]);
    tool.text(&["kv", "add", "K"]);
    assert_eq!(tool.text(&["object", "ls", "--names"]), "B\nC\n");
    assert!(tool.text(&["object", "ls"]).contains("the first"));
    assert_eq!(tool.text(&["object", "ls", "B"]), "");
    let watched = tool.listen(&["object", "watch", "B", "--count", "3", "--json"], "Watching B");
    for name in ["b", "a"] {
        let put = tool.start(&["object", "put", "B", "--name", name], b"abc").finish();
        assert_eq!(put.code, Some(0), "{put:?}");
    }
    assert_eq!(tool.text(&["object", "ls", "B", "--names"]), "a\nb\n");
    tool.text(&["object", "del", "B", "a", "-f"]);
    let updates = objects(&watched.finish(), 0);
    let shown: Vec<_> = updates
        .iter()
        .filter(|update| update["initialized"].is_null())
        .map(|update| (update["name"].clone(), update["deleted"].clone()))
        .collect();
    let expected = [("b", false), ("a", false), ("a", true)];
    assert_eq!(shown, expected.map(|(name, deleted)| (json!(name), json!(deleted))));
    let listed = tool.json(&["object", "ls", "B"]);
    assert_eq!((&listed["name"], &listed["size"]), (&json!("b"), &json!(3)));
    assert_eq!(objects(&tool.run(&["object", "ls", "B", "--deleted", "--json"]), 0).len(), 2);
    assert_eq!(tool.error_kind(&["object", "ls", "NONE"]), "bucket_not_found");
}
