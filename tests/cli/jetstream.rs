//! Streams, consumers, counters, the account, codes and events on the command line.

use super::{Tool, decoded, file, objects};
use evnats_harness::{Server, Version, requires};
use serde_json::{Value, json};
use tempfile::TempDir;

fn names(listed: &[Value], member: &str) -> Vec<String> {
    listed.iter().map(|object| object[member].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn streams_are_added_shown_changed_and_deleted() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let added = tool.json(&[
        "stream",
        "add",
        "ORDERS",
        "--subjects",
        "orders.>,returns.*",
        "--storage",
        "memory",
        "--retention",
        "limits",
        "--discard",
        "new",
        "--max-msgs",
        "1000",
        "--max-bytes",
        "1MB",
        "--max-age",
        "1h",
        "--max-msg-size",
        "1KB",
        "--description",
        "all orders",
        "--allow-direct",
        "--deny-purge=false",
    ]);
    let config = &added["config"];
    assert_eq!(config["subjects"], json!(["orders.>", "returns.*"]));
    assert_eq!((&config["storage"], &config["discard"]), (&json!("memory"), &json!("new")));
    assert_eq!((&config["max_msgs"], &config["max_bytes"]), (&json!(1000), &json!(1_048_576)));
    assert_eq!(config["max_age"], json!(3_600_000_000_000_u64));
    assert_eq!((&config["allow_direct"], &config["max_msg_size"]), (&json!(true), &json!(1024)));
    assert_eq!(added["state"]["messages"], 0);
    tool.text(&["stream", "add", "OTHER"]);

    let edited = tool.json(&[
        "stream",
        "edit",
        "ORDERS",
        "--max-msgs=-1",
        "--max-age",
        "0s",
        "--allow-direct=false",
    ]);
    assert_eq!(edited["config"].get("max_msgs"), None);
    assert_eq!(edited["config"].get("max_age"), None);
    assert_eq!(edited["config"]["description"], "all orders", "what is not given stays");
    tool.text(&["pub", "orders.1", "one", "--js"]);
    let shown = tool.text(&["stream", "info", "ORDERS"]);
    let expected = [
        "Information for Stream ORDERS created ",
        "Subjects: orders.>, returns.*\n",
        "Maximum Messages: unlimited\n",
        "Messages: 1\n",
        "Description: all orders\n",
    ];
    for part in expected {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    assert_eq!(tool.json(&["stream", "info", "ORDERS"])["state"]["last_seq"], 1);

    let listed = objects(&tool.run(&["stream", "ls", "--json"]), 0);
    assert_eq!(
        listed.iter().map(|s| &s["config"]["name"]).collect::<Vec<_>>(),
        ["ORDERS", "OTHER"]
    );
    assert_eq!(tool.text(&["stream", "ls", "--names", "--subject", "orders.1"]), "ORDERS\n");
    let names_only = objects(&tool.run(&["stream", "ls", "--names", "--json"]), 0);
    assert_eq!(names(&names_only, "stream"), ["ORDERS", "OTHER"]);
    assert!(tool.text(&["stream", "ls"]).contains("all orders"));

    assert_eq!(tool.error_kind(&["stream", "rm", "OTHER"]), "confirmation_required");
    let deleted = tool.json(&["stream", "rm", "OTHER", "--force"]);
    assert_eq!(deleted, json!({ "stream": "OTHER", "deleted": true }));
    let error = tool.error(&["stream", "info", "OTHER"]);
    assert_eq!((&error["kind"], &error["err_code"]), (&json!("jetstream_api"), &json!(10059)));
    assert_eq!(tool.error_kind(&["stream", "info", "a.b"]), "invalid_name");
}

#[test]
fn a_configuration_comes_from_a_file() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let folder = TempDir::new().expect("a folder");
    let config = r#"{"name":"FILED","subjects":["filed.*"],"storage":"memory","max_msgs":7}"#;
    let path = file(&folder, "stream.json", config);
    let added = tool.json(&["stream", "add", "--config", &path, "--max-msgs", "9"]);
    assert_eq!(
        (&added["config"]["name"], &added["config"]["max_msgs"]),
        (&json!("FILED"), &json!(9))
    );
    let edited = tool.json(&["stream", "edit", "FILED", "--config", &path]);
    assert_eq!(edited["config"]["max_msgs"], 7);
    let consumer = file(&folder, "consumer.json", r#"{"ack_policy":"explicit","max_deliver":3}"#);
    let added = tool.json(&["consumer", "add", "FILED", "C", "--config", &consumer]);
    assert_eq!(added["config"]["max_deliver"], 3);
    let broken = file(&folder, "broken.json", "{");
    let error = tool.error(&["stream", "add", "X", "--config", &broken]);
    assert_eq!(error["kind"], "invalid_config");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("broken.json")), "{error}");
    assert_eq!(tool.error_kind(&["stream", "add", "X", "--config", "/nowhere.json"]), "io");
}

#[test]
fn messages_are_stored_shown_deleted_and_purged() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    let stored =
        tool.json(&["pub", "s.{{Count}}", "no {{Count}}", "-J", "--count", "5", "-H", "a:b"]);
    let expected = json!({ "subject": "s.{{Count}}", "bytes": 4, "count": 5, "duplicates": 0,
        "last_sequence": 5 });
    assert_eq!(stored, expected);
    let one = tool.text(&["pub", "s.1", "again", "--jetstream"]);
    assert_eq!(one, "Stored 1 message of 5 bytes on \"s.1\", last sequence: 6\n");
    assert_eq!(tool.text(&["pub", "s.1", "x", "-J", "--quiet"]), "");
    assert_eq!(tool.error_kind(&["pub", "nowhere", "x", "-J"]), "not_stored");

    let message = tool.json(&["stream", "get", "S", "2"]);
    assert_eq!((&message["subject"], &message["sequence"]), (&json!("s.2"), &json!(2)));
    assert_eq!(decoded(&message["payload_base64"]), b"no 2");
    assert_eq!(message["headers"], json!({ "a": ["b"] }));
    let shown = tool.text(&["stream", "get", "S", "2"]);
    assert!(shown.starts_with("Item: S#2 received 2"), "{shown}");
    assert!(shown.ends_with(" on Subject s.2\n\na: b\n\nno 2\n\n"), "{shown}");
    assert_eq!(tool.text(&["stream", "get", "S", "--last-for", "s.3", "--raw"]), "no 3");
    assert_eq!(tool.json(&["stream", "get", "S", "2", "--next-for", "s.1"])["sequence"], 6);
    assert_eq!(tool.error(&["stream", "get", "S", "99"])["err_code"], 10037);

    assert_eq!(tool.error_kind(&["stream", "rmm", "S", "2"]), "confirmation_required");
    let deleted = tool.json(&["stream", "rmm", "S", "2", "--force"]);
    assert_eq!(deleted, json!({ "stream": "S", "sequence": 2, "deleted": true }));
    let subjects = objects(&tool.run(&["stream", "subjects", "S", "--json"]), 0);
    assert_eq!(names(&subjects, "subject"), ["s.1", "s.3", "s.4", "s.5"]);
    assert_eq!(subjects[0]["messages"], 3);
    assert_eq!(tool.text(&["stream", "subjects", "S", "s.1"]), "s.1: 3\n");

    assert_eq!(tool.error_kind(&["stream", "purge", "S"]), "confirmation_required");
    let purged = tool.json(&["stream", "purge", "S", "--subject", "s.1", "--keep", "1", "--force"]);
    assert_eq!(purged, json!({ "stream": "S", "purged": 2 }));
    let purged = tool.text(&["stream", "purge", "S", "--seq", "5", "-f"]);
    assert_eq!(purged, "Purged 2 messages from Stream S\n");
    assert_eq!(tool.json(&["stream", "purge", "S", "-f"])["purged"], 2);
}

#[test]
fn the_messages_of_a_stream_are_viewed() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    let none = tool.run(&["stream", "view", "S"]);
    assert_eq!(
        (none.code, none.text(), none.stderr.as_str()),
        (Some(0), "", "No messages found\n")
    );
    tool.text(&["pub", "s.a", "no {{Count}}", "-J", "--count", "12", "-H", "a:b"]);
    tool.text(&["pub", "s.b", "no {{Count}}", "-J", "--count", "12"]);
    for sequence in ["3", "11", "12", "20"] {
        tool.text(&["stream", "rmm", "S", sequence, "-f"]);
    }
    let view = |arguments: &[&str]| {
        let arguments = [&["stream", "view", "S"], arguments, &["--json"]].concat();
        let viewed = objects(&tool.run(&arguments), 0);
        viewed.iter().map(|message| message["sequence"].as_u64().expect("one")).collect::<Vec<_>>()
    };
    // without a terminal, nobody is asked after the first ten
    let all: Vec<u64> = (1..=24).filter(|sequence| ![3, 11, 12, 20].contains(sequence)).collect();
    assert_eq!(view(&[]), all);
    assert_eq!(view(&["--count", "3"]), all[..3]);
    assert_eq!(view(&["--id", "3", "--count", "2"]), [4, 5]);
    assert!(view(&["--id", "25"]).is_empty());
    assert_eq!(view(&["--last", "5"]), all[15..]);
    assert_eq!(view(&["--last", "5", "--count", "1"]), [19]);
    assert_eq!(view(&["--last", "99"]), all);
    // behind the others, so that more and more has to be looked at
    assert_eq!(view(&["--last", "2", "--subject", "s.a"]), [9, 10]);
    assert_eq!(view(&["--subject", "*.b", "--id", "1", "--count", "2"]), [13, 14]);
    assert!(view(&["--subject", "s.c"]).is_empty());
    assert_eq!(view(&["--since", "1h"]), all);
    assert!(view(&["--since", "0s"]).is_empty());

    let message = tool.json(&["stream", "view", "S", "--id", "2", "--count", "1"]);
    assert_eq!((&message["subject"], &message["stream"]), (&json!("s.a"), &json!("S")));
    assert_eq!(decoded(&message["payload_base64"]), b"no 2");
    let message = tool.json(&["stream", "view", "S", "--count", "1", "--headers-only"]);
    assert_eq!(
        (&message["headers"], &message["payload_base64"]),
        (&json!({"a":["b"]}), &json!(null))
    );
    assert_eq!(tool.text(&["stream", "view", "S", "--raw", "--count", "2"]), "no 1\nno 2\n");
    let shown = tool.text(&["stream", "view", "S", "--last", "1"]);
    assert!(shown.starts_with("Item: S#24 received 2"), "{shown}");
    assert!(shown.ends_with(" on Subject s.b\n\nno 12\n\n"), "{shown}");
    assert_eq!(tool.error(&["stream", "view", "NONE"])["err_code"], 10059);
    assert_eq!(tool.error_kind(&["stream", "view", "S", "--id", "1", "--last", "1"]), "usage");
}

#[test]
fn what_was_stored_since_a_time_is_found_by_its_time() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s"]);
    tool.text(&["pub", "s", "x", "-J", "--count", "6", "--sleep", "200ms"]);
    let viewed = objects(&tool.run(&["stream", "view", "S", "--json"]), 0);
    let time = |message: &Value| {
        let text = message["time"].as_str().expect("a time");
        humantime::parse_rfc3339(text).expect("a time")
    };
    let between = time(&viewed[2]) + std::time::Duration::from_millis(100);
    let ago = std::time::SystemTime::now().duration_since(between).expect("it is over");
    let since = format!("{}ms", ago.as_millis());
    let since = tool.json(&["stream", "view", "S", "--since", &since, "--count", "1"]);
    assert!(since["sequence"] == 4 || since["sequence"] == 5, "{since}");
}

#[test]
fn on_a_terminal_each_page_is_asked_for() {
    use super::terminal::Terminal;
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s"]);
    tool.text(&["pub", "s", "no {{Count}}", "-J", "--count", "5"]);
    let view = |arguments: &[&str], answers: &str| {
        let arguments = [&["stream", "view", "S"], arguments].concat();
        Terminal::run(&tool, &arguments, answers)
    };
    let items = |text: &str| text.matches("Item: S#").count();
    let all = view(&["2"], "\ny\n");
    assert_eq!((items(&all), all.matches("Next page? (Y/n)").count()), (5, 2), "{all}");
    assert!(all.contains("That was the last message in Stream S"), "{all}");
    let two = view(&["2"], "n\n");
    assert_eq!(items(&two), 2, "{two}");
    let four = view(&["2", "--id", "2"], "y\n");
    assert_eq!((items(&four), four.matches("Next page?").count()), (4, 1), "{four}");
    let without = view(&["2", "--json"], "");
    assert_eq!((without.matches("\"sequence\"").count(), items(&without)), (5, 0), "{without}");
}

#[test]
fn many_messages_go_through_the_window() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s"]);
    let stored = tool.json(&["pub", "s", "x", "-J", "--count", "20000"]);
    assert_eq!((&stored["count"], &stored["last_sequence"]), (&json!(20_000), &json!(20_000)));
    let slow = ["pub", "s", "x", "-J", "--count", "3", "--sleep", "10ms"];
    assert_eq!(tool.json(&slow)["last_sequence"], 20_003);
}

#[test]
fn consumers_are_added_shown_changed_and_deleted() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    let added = tool.json(&[
        "consumer",
        "add",
        "S",
        "C",
        "--filter",
        "s.a",
        "--deliver",
        "new",
        "--wait",
        "7s",
        "--max-deliver",
        "5",
        "--max-pending",
        "10",
        "--sample",
        "50%",
        "--description",
        "works",
        "--replay",
        "original",
    ]);
    let config = &added["config"];
    assert_eq!((&config["durable_name"], &config["filter_subject"]), (&json!("C"), &json!("s.a")));
    assert_eq!((&config["deliver_policy"], &config["max_deliver"]), (&json!("new"), &json!(5)));
    assert_eq!(
        (&config["ack_wait"], &config["replay_policy"]),
        (&json!(7_000_000_000_u64), &json!("original"))
    );
    let named = tool.json(&["consumer", "add", "S", "--ack", "none", "--inactive-threshold", "1h"]);
    let nameless = named["consumer"].as_str().expect("a name").to_owned();
    assert_eq!(
        (&named["config"]["ack_policy"], named["config"].get("durable_name")),
        (&json!("none"), None)
    );

    let edited = tool.json(&["consumer", "edit", "S", "C", "--max-deliver=-1", "--wait", "9s"]);
    assert_eq!(edited["config"]["ack_wait"], json!(9_000_000_000_u64));
    assert_eq!(edited["config"]["description"], "works", "what is not given stays");
    let shown = tool.text(&["consumer", "info", "S", "C"]);
    let expected = [
        "Information for Consumer S > C created ",
        "Ack Wait: 9s\n",
        "Max Deliver: unlimited\n",
        "Filter Subjects: s.a\n",
    ];
    for part in expected {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let listed = objects(&tool.run(&["consumer", "ls", "S", "--json"]), 0);
    let mut expected = vec!["C".to_owned(), nameless.clone()];
    expected.sort();
    assert_eq!(names(&listed, "consumer"), expected);
    let mut named: Vec<_> =
        tool.text(&["consumer", "ls", "S", "-n"]).lines().map(String::from).collect();
    named.sort();
    assert_eq!(named, expected);
    assert!(tool.text(&["consumer", "ls", "S"]).contains("Unprocessed"));

    assert_eq!(tool.error_kind(&["consumer", "rm", "S", &nameless]), "confirmation_required");
    let deleted = tool.json(&["consumer", "rm", "S", &nameless, "--force"]);
    assert_eq!(deleted, json!({ "stream": "S", "consumer": nameless, "deleted": true }));
    assert_eq!(tool.error(&["consumer", "info", "S", "none"])["err_code"], 10014);
}

#[test]
fn consumers_are_paused_reset_and_unpinned() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    tool.text(&["consumer", "add", "S", "C"]);
    if server.version() < Version::new(2, 11, 0) {
        assert_eq!(tool.error_kind(&["consumer", "pause", "S", "C", "1h"]), "unsupported");
    }
    requires!(server, 2, 14);
    let paused = tool.json(&["consumer", "pause", "S", "C", "2099-01-01T00:00:00Z"]);
    assert_eq!(
        (&paused["paused"], &paused["pause_until"]),
        (&json!(true), &json!("2099-01-01T00:00:00.000000000Z"))
    );
    assert!(tool.text(&["consumer", "pause", "S", "C", "1h"]).starts_with("Paused S > C until 2"));
    assert_eq!(tool.text(&["consumer", "resume", "S", "C"]), "Consumer S > C is not paused\n");
    tool.text(&["pub", "s.a", "x", "-J", "--count", "3"]);
    let reset = tool.json(&["consumer", "reset", "S", "C", "--seq", "2"]);
    assert_eq!(reset["num_pending"], 2);

    let pinned = [
        "consumer",
        "add",
        "S",
        "P",
        "--groups",
        "g",
        "--priority",
        "pinned",
        "--pinned-ttl",
        "1m",
    ];
    assert_eq!(tool.json(&pinned)["config"]["priority_policy"], "pinned_client");
    let unpinned = tool.json(&["consumer", "unpin", "S", "P", "g", "--force"]);
    assert_eq!(unpinned, json!({ "stream": "S", "consumer": "P", "unpinned": true }));
}

#[test]
fn a_stream_is_backed_up_into_a_folder_and_restored_from_it() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let folder = TempDir::new().expect("a folder");
    let backup = folder.path().join("backup");
    let path = backup.to_str().expect("a path");
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    tool.text(&["consumer", "add", "S", "C"]);
    tool.text(&[
        "pub",
        "s.{{Count}}",
        "no {{Count}} {{Random 1000 1000}}",
        "-J",
        "--count",
        "500",
        "-H",
        "a:b",
    ]);
    let before = tool.json(&["stream", "get", "S", "77"]);
    let finished = tool.run(&["stream", "backup", "S", path, "--json"]);
    assert_eq!(finished.stderr, "", "progress is for terminals");
    let kept = objects(&finished, 0).remove(0);
    assert_eq!((&kept["stream"], &kept["state"]["messages"]), (&json!("S"), &json!(500)));
    let data = std::fs::metadata(backup.join("stream.tar.s2")).expect("the data");
    assert_eq!(kept["bytes"], data.len());
    let document = std::fs::read(backup.join("backup.json")).expect("the document");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_eq!(
        (&document["config"]["name"], &document["state"]["messages"]),
        (&json!("S"), &json!(500))
    );

    assert_eq!(tool.error_kind(&["stream", "backup", "S", path]), "exists");
    assert_eq!(tool.error(&["stream", "restore", path])["err_code"], 10130);
    tool.text(&["stream", "rm", "S", "-f"]);
    let restored = tool.json(&["stream", "restore", path]);
    assert_eq!(
        (&restored["state"]["messages"], &restored["state"]["consumer_count"]),
        (&json!(500), &json!(1))
    );
    assert_eq!(tool.json(&["stream", "get", "S", "77"]), before);

    let smaller = folder.path().join("smaller");
    let smaller = smaller.to_str().expect("a path");
    let text = tool.text(&[
        "stream",
        "backup",
        "S",
        smaller,
        "--no-consumers",
        "--check",
        "--chunk-size",
        "4KB",
    ]);
    assert!(text.starts_with("Backed up 500 messages of Stream S to "), "{text}");
    tool.text(&["stream", "rm", "S", "-f"]);
    let shown = tool.text(&["stream", "restore", smaller]);
    assert!(shown.contains("Active Consumers: 0\n"), "{shown}");

    let missing = folder.path().join("none");
    assert_eq!(tool.error_kind(&["stream", "restore", missing.to_str().expect("a path")]), "io");
    assert_eq!(
        tool.error(&["stream", "backup", "NONE", missing.to_str().expect("a path")])["err_code"],
        10059
    );
    // what was broken off is no backup
    assert_eq!(tool.error_kind(&["stream", "restore", missing.to_str().expect("a path")]), "io");
}

#[test]
fn a_single_server_has_no_cluster_to_change() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S"]);
    let error = tool.error(&["stream", "cluster", "step-down", "S"]);
    assert_eq!(error["kind"], "jetstream_api", "{error}");
    let remove = ["stream", "cluster", "peer-remove", "S", "n1"];
    assert_eq!(tool.error_kind(&remove), "confirmation_required");
    assert_eq!(tool.error_kind(&[&remove[..], &["-f"]].concat()), "jetstream_api");
}

#[test]
fn what_the_account_uses_is_shown() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S"]);
    tool.text(&["consumer", "add", "S", "C"]);
    let info = tool.json(&["account", "info"]);
    assert_eq!((&info["streams"], &info["consumers"]), (&json!(1), &json!(1)));
    let shown = tool.text(&["account", "info"]);
    assert!(shown.contains("Streams: 1 of unlimited\n"), "{shown}");
    let without = Server::builder().jetstream(false).start().expect("a server");
    let kind = Tool::at(&without).error_kind(&["account", "info"]);
    assert_eq!(kind, "jetstream_not_available");
}

#[test]
fn codes_are_explained_without_a_server() {
    let tool = Tool::with_url("nats://127.0.0.1:1");
    let code = tool.json(&["errors", "lookup", "10059"]);
    let expected = json!({ "err_code": 10059, "code": 404, "name": "StreamNotFound",
        "text": "stream not found", "since": "2.3" });
    assert_eq!(code, expected);
    let shown = tool.text(&["errors", "lookup", "10059"]);
    assert!(shown.contains("Text: stream not found\n") && shown.contains("Code: 404\n"), "{shown}");
    assert_eq!(tool.error_kind(&["errors", "lookup", "1"]), "unknown_code");
    assert_eq!(objects(&tool.run(&["errors", "ls", "--json"]), 0).len(), 227);
    assert!(tool.text(&["errors", "ls", "Not Found"]).contains("10059"));
}

#[test]
fn counters_are_added_to_and_shown() {
    let server = Server::start();
    let tool = Tool::at(&server);
    requires!(server, 2, 12);
    tool.text(&[
        "stream",
        "add",
        "COUNTS",
        "--subjects",
        "count.>",
        "--allow-counter",
        "--allow-direct",
    ]);
    assert_eq!(tool.text(&["counter", "add", "count.a", "5"]), "5\n");
    assert_eq!(tool.text(&["counter", "add", "count.a", "-7"]), "-2\n");
    assert_eq!(
        tool.json(&["counter", "add", "count.a"]),
        json!({ "subject": "count.a", "value": "-1" })
    );
    assert_eq!(tool.text(&["counter", "get", "count.a"]), "-1\n");
    assert_eq!(tool.text(&["counter", "get", "count.a", "--stream", "COUNTS"]), "-1\n");
    assert_eq!(tool.error_kind(&["counter", "get", "count.b"]), "counter_not_found");
    assert_eq!(tool.error_kind(&["counter", "get", "elsewhere"]), "counter_not_found");
    assert_eq!(tool.error_kind(&["counter", "add", "count.a", "x"]), "invalid_number");
}

#[test]
fn events_are_shown_as_they_happen() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let created = ["events", "--filter", "ADVISORY.STREAM.*.S", "--count", "3"];
    let for_people = tool.listen(&created, "Listening for events");
    let for_programs = tool.listen(&[&created[..], &["--json"]].concat(), "Listening for events");
    let all = tool.listen(&["events", "--js-advisory", "--count", "1"], "Listening for events");
    tool.text(&["stream", "add", "S"]);
    tool.text(&["stream", "edit", "S", "--description", "x"]);
    tool.text(&["stream", "rm", "S", "-f"]);
    let shown = for_people.finish();
    let lines: Vec<_> =
        shown.text().lines().map(|line| line.split_once("] ").expect("a time").1).collect();
    assert_eq!(lines, ["[Stream Created] S", "[Stream Updated] S", "[Stream Deleted] S"]);
    let events = objects(&for_programs.finish(), 0);
    assert_eq!(
        events.iter().map(|e| &e["event"]["action"]).collect::<Vec<_>>(),
        ["create", "modify", "delete"]
    );
    assert_eq!(events[0]["subject"], "$JS.EVENT.ADVISORY.STREAM.CREATED.S");
    assert_eq!(all.finish().text().lines().count(), 1);
    assert_eq!(tool.text(&["events", "--js-metric", "--timeout", "300ms"]), "");
}
