//! The command-line tool, as a user runs it: every verb for people and for programs, its errors,
//! and how it ends.

#[path = "cli/buckets.rs"]
mod buckets;
#[path = "cli/consuming.rs"]
mod consuming;
#[path = "cli/jetstream.rs"]
mod jetstream;
#[path = "cli/objects.rs"]
mod object_store;
mod process;
#[path = "cli/services.rs"]
mod services;
#[path = "cli/terminal.rs"]
mod terminal;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evnats_harness::{Operator, Server, UserClaims, Version};
use process::{Finished, Running};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::Command;
use tempfile::TempDir;

/// The tool, with what it is told of servers in any case.
#[derive(Clone)]
struct Tool {
    options: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

/// What no error may show.
const SECRET: &str = "S3CRET";

impl Tool {
    fn at(server: &Server) -> Self {
        Self::with_url(&server.url())
    }

    fn with_url(url: &str) -> Self {
        Self { options: Vec::new(), variables: vec![("NATS_URL", url.into())] }
    }

    /// The same with more options.
    fn with(&self, options: &[&str]) -> Self {
        let mut tool = self.clone();
        tool.options.extend(options.iter().copied().map(String::from));
        tool
    }

    /// The same with a variable.
    fn variable(&self, name: &'static str, value: &str) -> Self {
        let mut tool = self.clone();
        tool.variables.push((name, value.into()));
        tool
    }

    fn start(&self, arguments: &[&str], stdin: &[u8]) -> Running {
        Running::start(self.command(arguments), stdin)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evnats"));
        // whoever runs the tests may have some of his own
        for name in ["USER", "PASSWORD", "TOKEN", "CREDS", "NKEY", "CERT", "KEY", "CA"] {
            command.env_remove(format!("NATS_{name}"));
        }
        command.args(arguments).args(&self.options).envs(self.variables.iter().cloned());
        command
    }

    /// Starts a verb that listens, and waits until the server knows of it.
    #[track_caller]
    fn listen(&self, arguments: &[&str], note: &str) -> Running {
        let mut running = self.start(arguments, b"");
        running.wait_for_note(note);
        running
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments, b"").finish()
    }

    /// Runs a verb that succeeds.
    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        finished.text().to_owned()
    }

    /// Runs a verb that succeeds with one object.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let objects = objects(&self.run(&arguments), 0);
        assert_eq!(objects.len(), 1, "{arguments:?}: {objects:?}");
        objects[0].clone()
    }

    /// Runs a verb that fails, both ways, and returns the error for programs.
    #[track_caller]
    fn error(&self, arguments: &[&str]) -> Value {
        let for_people = self.run(arguments);
        assert_eq!(for_people.code, Some(1), "{arguments:?}: {for_people:?}");
        assert!(for_people.stderr.contains("error: "), "{arguments:?}: {for_people:?}");
        assert_eq!(for_people.text(), "", "{arguments:?}");
        let objects = objects(&self.run(&[arguments, &["--json"]].concat()), 1);
        assert_eq!(objects.len(), 1, "{arguments:?}: {objects:?}");
        assert!(objects[0]["error"]["message"].is_string(), "{objects:?}");
        let all = format!("{for_people:?} {objects:?}");
        assert!(!all.contains(SECRET), "{arguments:?}: {all}");
        objects[0]["error"].clone()
    }

    /// Runs a verb that fails, and returns the kind of the error.
    #[track_caller]
    fn error_kind(&self, arguments: &[&str]) -> String {
        self.error(arguments)["kind"].as_str().expect("a kind").to_owned()
    }
}

/// Every line of the output, read as JSON.
#[track_caller]
fn objects(finished: &Finished, code: i32) -> Vec<Value> {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    finished.text().lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[track_caller]
fn decoded(base64: &Value) -> Vec<u8> {
    STANDARD.decode(base64.as_str().expect("a string")).expect("base64")
}

fn every_byte() -> Vec<u8> {
    (0..=255).collect()
}

#[test]
fn messages_are_shown_to_people() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let full = tool.listen(&["sub", "greet.*", "--count", "2"], "Subscribing on greet.*");
    let raw = tool.listen(&["sub", "greet.>", "--raw", "--count", "2"], "Subscribing");
    let headers = tool.listen(&["sub", "greet.*", "--headers-only", "--count", "1"], "Subscribing");
    let arguments = ["pub", "greet.joe", "hello", "-H", "Lang:en", "-H", "a: b", "--reply", "r"];
    assert_eq!(tool.text(&arguments), "Published 5 bytes to \"greet.joe\"\n");
    assert_eq!(tool.text(&["pub", "greet.sue", ""]), "Published 0 bytes to \"greet.sue\"\n");

    let finished = full.finish();
    let expected = "[#1] Received on \"greet.joe\" with reply \"r\"\nLang: en\na: b\n\nhello\n\n\
                    [#2] Received on \"greet.sue\"\n\n\n";
    assert_eq!((finished.code, finished.text()), (Some(0), expected));
    assert_eq!(raw.finish().text(), "hello\n\n");
    let expected = "[#1] Received on \"greet.joe\" with reply \"r\"\nLang: en\na: b\n\n";
    assert_eq!(headers.finish().text(), expected);
}

#[test]
fn messages_are_written_for_programs() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let all = tool.listen(&["sub", "a.>", "--json", "--count", "3"], "Subscribing");
    let headers = ["sub", "a.>", "--json", "--headers-only", "--count", "1"];
    let headers = tool.listen(&headers, "Subscribing");
    let published = tool.json(&["pub", "a.b", "x", "-H", "n:1", "-H", "n:2", "--reply", "r"]);
    assert_eq!(published, json!({ "subject": "a.b", "bytes": 1, "count": 1 }));
    let published = tool.json(&["pub", "a.c", "-7", "--count", "2"]);
    assert_eq!(published, json!({ "subject": "a.c", "bytes": 2, "count": 2 }));

    let first = json!({ "subject": "a.b", "reply": "r", "headers": { "n": ["1", "2"] } });
    assert_eq!(objects(&headers.finish(), 0)[..], [json!(first)]);
    let messages = objects(&all.finish(), 0);
    let with_payload = |mut message: Value, payload: &str| {
        message["payload_base64"] = STANDARD.encode(payload).into();
        message
    };
    let second = json!({ "subject": "a.c", "reply": null, "headers": {} });
    let expected =
        [with_payload(first, "x"), with_payload(second.clone(), "-7"), with_payload(second, "-7")];
    assert_eq!(messages, expected);
}

#[test]
fn a_queue_group_shares_the_messages() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let arguments = ["sub", "jobs", "--queue", "workers", "--count", "1", "--raw"];
    let workers = [(); 2].map(|()| tool.listen(&arguments, "Subscribing"));
    // the server knows that each wants one only, and gives the second one to the other
    tool.text(&["pub", "jobs", "one"]);
    tool.text(&["pub", "jobs", "two"]);
    let mut shown = workers.map(|worker| worker.finish().text().to_owned());
    shown.sort();
    assert_eq!(shown, ["one\n", "two\n"]);
}

#[test]
fn a_given_time_ends_what_listens_without_an_error() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    tool.text(&["kv", "put", "B", "k", "v"]);
    assert_eq!(tool.text(&["sub", "silence", "--timeout", "300ms"]), "");
    assert_eq!(tool.text(&["reply", "silence", "x", "--timeout", "300ms"]), "");
    let watched = tool.text(&["kv", "watch", "B", "--timeout", "2s"]);
    assert!(watched.ends_with("PUT B > k: v\n"), "{watched}");
}

#[test]
fn requests_are_replied_to() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let echo = tool.listen(&["reply", "echo", "--echo", "--count", "3"], "Listening on \"echo\"");
    let fixed = ["reply", "time", "noon", "--count", "1", "--json", "--queue", "clocks"];
    let fixed = tool.listen(&fixed, "in group \"clocks\"");

    let reply = tool.run(&["request", "echo", "ping", "-H", "k:v"]);
    assert_eq!((reply.code, reply.text()), (Some(0), "k: v\n\nping\n\n"));
    assert!(reply.stderr.contains("Received with rtt "), "{reply:?}");
    let reply = tool.json(&["req", "echo", "ping", "-H", "k:v"]);
    assert_eq!(decoded(&reply["payload_base64"]), b"ping");
    assert_eq!(reply["headers"], json!({ "k": ["v"] }));
    assert!(reply["rtt_ns"].as_u64().is_some_and(|rtt| rtt > 0), "{reply}");
    let reply = tool.start(&["request", "echo", "--raw"], &every_byte()).finish();
    assert_eq!((reply.code, reply.stdout), (Some(0), every_byte()));
    assert_eq!(tool.text(&["request", "time", "now?", "--raw"]), "noon");

    let echoed = echo.finish();
    assert_eq!(echoed.code, Some(0));
    assert!(echoed.stdout.starts_with(b"[#1] Received on \"echo\" with reply \""), "{echoed:?}");
    let asked = objects(&fixed.finish(), 0);
    assert_eq!(asked.len(), 1);
    assert_eq!(decoded(&asked[0]["payload_base64"]), b"now?");
}

#[test]
fn requests_without_a_reply_are_errors_of_two_kinds() {
    let server = Server::start();
    let tool = Tool::at(&server);
    assert_eq!(tool.error(&["request", "nobody", "x"])["kind"], "no_responders");
    let _mute = tool.listen(&["sub", "mute"], "Subscribing");
    assert_eq!(tool.error(&["request", "mute", "x", "--timeout", "300ms"])["kind"], "timeout");
}

#[test]
fn round_trips_are_measured() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let url = server.url();
    let shown = tool.text(&["rtt"]);
    assert!(shown.starts_with(&format!("{url}:\n\n   {url}: ")), "{shown}");
    assert_eq!(tool.json(&["rtt"])["iterations"], 5);
    let rtt = tool.json(&["rtt", "3"]);
    assert_eq!((&rtt["iterations"], &rtt["server"]), (&json!(3), &json!(url)));
    let [min, average, max] = ["min_ns", "rtt_ns", "max_ns"].map(|name| rtt[name].as_u64());
    assert!(Some(0) < min && min <= average && average <= max, "{rtt}");
    assert_eq!(tool.json(&["rtt", "--count", "2"])["iterations"], 2);
}

#[test]
fn buckets_are_added_described_and_removed() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let options = ["--history", "5", "--ttl", "1h", "--replicas", "1", "--max-value-size", "1KB"];
    let more = ["--max-bucket-size", "1MiB", "--storage", "memory", "--description", "my text"];
    // an older server has no compression, and that is an error, which has a test of its own
    let compress = server.version() >= Version::new(2, 10, 0);
    let flag = if compress { &["--compress"][..] } else { &[] };
    let add = [&["kv", "add", "BIG"][..], &options, &more, flag].concat();
    let info = tool.json(&add);
    let expected = json!({
        "bucket": "BIG", "values": 0, "bytes": 0, "history": 5, "ttl_ns": 3_600_000_000_000_u64,
        "max_bucket_size": 1 << 20, "max_value_size": 1024, "replicas": 1, "storage": "memory",
        "compressed": compress, "description": "my text", "stream": "KV_BIG", "last_revision": 0,
        "created": info["created"],
    });
    assert_eq!(info, expected);
    assert!(info["created"].as_str().is_some_and(|created| created.ends_with('Z')), "{info}");
    assert_eq!(tool.json(&add), info, "the same again is no error");
    assert_eq!(tool.error(&["kv", "add", "BIG"])["kind"], "bucket_exists");

    tool.text(&["kv", "put", "BIG", "k", "v"]);
    let info = tool.text(&["kv", "info", "BIG"]);
    for line in [
        "Information for Key-Value Store Bucket BIG created 20",
        "           Bucket Name: BIG\n",
        "          History Kept: 5\n",
        "         Values Stored: 1\n",
        "   Maximum Bucket Size: 1.0 MiB\n",
        "           Maximum Age: 1h\n",
        "               Storage: Memory\n",
    ] {
        assert!(info.contains(line), "no {line:?} in {info}");
    }

    assert_eq!(tool.error(&["kv", "rm", "BIG"])["kind"], "confirmation_required");
    assert_eq!(tool.error(&["kv", "del", "BIG"])["kind"], "confirmation_required");
    let removed = json!({ "bucket": "BIG", "deleted": true });
    assert_eq!(tool.json(&["kv", "rm", "BIG", "--force"]), removed);
    assert_eq!(tool.error(&["kv", "info", "BIG"])["kind"], "bucket_not_found");
    tool.text(&["kv", "add", "SMALL"]);
    assert_eq!(tool.text(&["kv", "del", "SMALL", "-f"]), "");
    let gone = tool.error(&["kv", "rm", "SMALL", "-f"]);
    assert_eq!((&gone["kind"], &gone["bucket"]), (&json!("bucket_not_found"), &json!("SMALL")));
}

#[test]
fn values_are_written_and_read() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--history", "5"]);
    assert_eq!(tool.text(&["kv", "put", "B", "k", "one"]), "one\n");
    let put = tool.json(&["kv", "put", "B", "k", "two"]);
    assert_eq!(put, json!({ "bucket": "B", "key": "k", "revision": 2, "operation": "PUT" }));

    let shown = tool.text(&["kv", "get", "B", "k"]);
    assert!(shown.starts_with("B > k revision: 2 created @ 20"), "{shown}");
    assert!(shown.ends_with("Z\n\ntwo\n\n"), "{shown}");
    assert_eq!(tool.text(&["kv", "get", "B", "k", "--raw"]), "two");
    assert_eq!(tool.text(&["kv", "get", "B", "k", "--revision", "1", "--raw"]), "one");
    let entry = tool.json(&["kv", "get", "B", "k"]);
    let expected = json!({
        "bucket": "B", "key": "k", "revision": 2, "operation": "PUT", "delta": 0,
        "value_base64": "dHdv", "created": entry["created"],
    });
    assert_eq!(entry, expected);

    let deleted = tool.json(&["kv", "del", "B", "k"]);
    assert_eq!(deleted, json!({ "bucket": "B", "key": "k", "revision": 3, "operation": "DEL" }));
    assert_eq!(tool.text(&["kv", "put", "B", "other", "x"]), "x\n");
    let shown = tool.text(&["kv", "history", "B", "k"]);
    let columns =
        |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let rows: Vec<_> = shown.lines().map(columns).collect();
    assert_eq!(rows[..3], ["History for B > k", "", "Key Revision Op Created Length Value"]);
    assert!(rows[3].starts_with("k 1 PUT 20") && rows[3].ends_with("Z 3 one"), "{shown}");
    assert!(rows[5].starts_with("k 3 DEL 20") && rows[5].ends_with("Z 0"), "{shown}");
    let history = objects(&tool.run(&["kv", "history", "B", "k", "--json"]), 0);
    let operations: Vec<_> = history.iter().map(|entry| entry["operation"].clone()).collect();
    assert_eq!(operations, ["PUT", "PUT", "DEL"]);

    tool.text(&["kv", "put", "B", "k", "three"]);
    assert_eq!(tool.text(&["kv", "ls", "B"]), "k\nother\n");
    let keys = objects(&tool.run(&["kv", "ls", "B", "--json"]), 0);
    assert_eq!(keys, [json!({"bucket": "B", "key": "k"}), json!({"bucket": "B", "key": "other"})]);
    let purged = tool.json(&["kv", "purge", "B", "k"]);
    assert_eq!(purged, json!({ "bucket": "B", "key": "k", "revision": 6, "operation": "PURGE" }));
    assert_eq!(objects(&tool.run(&["kv", "history", "B", "k", "--json"]), 0).len(), 1);
    assert_eq!(tool.text(&["kv", "purge", "B", "other"]), "");
    assert_eq!(tool.text(&["kv", "ls", "B"]), "");
}

#[test]
fn conflicts_say_both_revisions() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    assert_eq!(tool.text(&["kv", "create", "B", "k", "one"]), "one\n");
    let exists = tool.error(&["kv", "create", "B", "k", "two"]);
    assert_eq!(exists["kind"], "key_exists");
    assert_eq!((&exists["key"], &exists["revision"]), (&json!("k"), &json!(1)));
    assert_eq!(tool.text(&["kv", "update", "B", "k", "two", "1"]), "two\n");
    let wrong = tool.error(&["kv", "update", "B", "k", "three", "1"]);
    assert_eq!(wrong["kind"], "wrong_revision");
    assert_eq!((&wrong["expected"], &wrong["actual"]), (&json!(1), &json!(2)));
    tool.text(&["kv", "del", "B", "k"]);
    let created = tool.json(&["kv", "create", "B", "k", "again"]);
    assert_eq!((&created["revision"], &created["operation"]), (&json!(4), &json!("PUT")));
    let updated = tool.json(&["kv", "update", "B", "k", "-1", "4"]);
    assert_eq!(updated["revision"], 5);
}

#[test]
fn every_byte_survives() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    let put = tool.start(&["kv", "put", "B", "k"], &every_byte()).finish();
    assert_eq!((put.code, put.text()), (Some(0), ""), "what was not typed is not shown");
    assert_eq!(tool.run(&["kv", "get", "B", "k", "--raw"]).stdout, every_byte());
    assert_eq!(decoded(&tool.json(&["kv", "get", "B", "k"])["value_base64"]), every_byte());
    let shown = tool.text(&["kv", "get", "B", "k"]);
    assert!(shown.contains(&STANDARD.encode(every_byte())[..120]), "{shown}");
    assert!(shown.contains("Showing first 120 of "), "{shown}");

    let raw = tool.listen(&["sub", "bytes", "--raw", "--count", "1"], "Subscribing");
    let json = tool.listen(&["sub", "bytes", "--json", "--count", "1"], "Subscribing");
    assert_eq!(tool.start(&["pub", "bytes"], &every_byte()).finish().code, Some(0));
    assert_eq!(raw.finish().stdout, [every_byte(), b"\n".to_vec()].concat());
    assert_eq!(decoded(&objects(&json.finish(), 0)[0]["payload_base64"]), every_byte());
}

#[test]
fn a_watch_shows_what_there_is_and_every_change() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--history", "5"]);
    tool.text(&["kv", "put", "B", "a.x", "one"]);
    tool.text(&["kv", "put", "B", "b.x", "other"]);
    let mut watch = tool.start(&["kv", "watch", "B", "a.*", "--json", "--count", "4"], b"");
    watch.wait_for_line("{\"initialized\":true}");
    tool.text(&["kv", "put", "B", "a.x", "two"]);
    tool.text(&["kv", "put", "B", "b.x", "not watched"]);
    tool.text(&["kv", "del", "B", "a.x"]);
    // a purge takes away what the watch has not been sent yet
    watch.wait_for_line("\"DEL\"");
    tool.text(&["kv", "purge", "B", "a.x"]);

    let objects = objects(&watch.finish(), 0);
    let seen: Vec<_> = objects.iter().map(|o| (&o["key"], &o["operation"])).collect();
    let (key, null) = (&json!("a.x"), &Value::Null);
    let [put, del, purge] = [&json!("PUT"), &json!("DEL"), &json!("PURGE")];
    assert_eq!(seen, [(key, put), (null, null), (key, put), (key, del), (key, purge)]);
    assert_eq!(objects[1], json!({ "initialized": true }));
    assert_eq!(decoded(&objects[2]["value_base64"]), b"two");
    assert_eq!((&objects[4]["revision"], &objects[4]["bucket"]), (&json!(6), &json!("B")));
}

#[test]
fn a_watch_is_shown_to_people() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    tool.text(&["kv", "put", "B", "k", "one"]);
    tool.text(&["kv", "put", "B", "l", "two"]);
    tool.text(&["kv", "del", "B", "l"]);
    let shown = tool.text(&["kv", "watch", "B", "--count", "2"]);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines[0].starts_with("[20") && lines[0].ends_with("Z] PUT B > k: one"), "{shown}");
    assert!(lines[1].starts_with("[20") && lines[1].ends_with("Z] DEL B > l"), "{shown}");
}

#[test]
fn errors_have_stable_names() {
    let server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--max-value-size", "100"]);
    tool.text(&["kv", "put", "B", "gone", "x"]);
    tool.text(&["kv", "del", "B", "gone"]);
    let large = "x".repeat(200);
    let table: &[(&[&str], &str)] = &[
        (&["kv", "get", "B", "nope"], "key_not_found"),
        (&["kv", "get", "B", "gone"], "key_not_found"),
        (&["kv", "get", "B", "gone", "--revision", "9"], "key_not_found"),
        (&["kv", "history", "B", "nope"], "key_not_found"),
        (&["kv", "get", "NOPE", "k"], "bucket_not_found"),
        (&["kv", "put", "NOPE", "k", "v"], "bucket_not_found"),
        (&["kv", "del", "NOPE", "k"], "bucket_not_found"),
        (&["kv", "ls", "NOPE"], "bucket_not_found"),
        (&["kv", "watch", "NOPE"], "bucket_not_found"),
        (&["kv", "history", "NOPE", "k"], "bucket_not_found"),
        (&["kv", "put", "B", "a b", "v"], "invalid_key"),
        (&["kv", "get", "B", "a..b"], "invalid_key"),
        (&["kv", "watch", "B", "a>"], "invalid_key"),
        (&["kv", "get", "a.b", "k"], "invalid_bucket"),
        (&["kv", "add", "a b"], "invalid_bucket"),
        (&["kv", "add", "C", "--history", "65"], "invalid_config"),
        (&["kv", "put", "B", "k", &large], "value_too_large"),
        (&["pub", "a b", "x"], "invalid_subject"),
        (&["pub", "a.*", "x"], "invalid_subject"),
        (&["sub", "a..b"], "invalid_subject"),
        (&["sub", "a", "--queue", "b c"], "invalid_queue_group"),
        (&["pub", "a", "x", "-H", "a b:c"], "invalid_header"),
        (&["rtt", "-s", "http://localhost"], "invalid_url"),
        (&["pub"], "usage"),
        (&["nothing"], "usage"),
        (&["sub", "a", "--timeout", "soon"], "usage"),
        (&["kv", "add", "C", "--max-value-size", "1X"], "usage"),
    ];
    for (arguments, kind) in table {
        assert_eq!(tool.error(arguments)["kind"], *kind, "{arguments:?}");
    }
    let too_large = vec![b'x'; 2 << 20];
    for (verb, kind) in [("pub", "payload_too_large"), ("request", "payload_too_large")] {
        let finished = tool.start(&[verb, "a", "--json"], &too_large).finish();
        assert_eq!(objects(&finished, 1)[0]["error"]["kind"], kind, "{verb}");
    }
    let finished = tool.start(&["kv", "put", "B", "k", "--json"], &too_large).finish();
    assert_eq!(objects(&finished, 1)[0]["error"]["kind"], "value_too_large");
}

#[test]
fn what_the_server_does_not_permit_is_an_error() {
    let server = Server::builder()
        .config(
            "authorization { users = [{ user: u, password: p, permissions: {
                publish: { deny: [\"secret\"] }, subscribe: { deny: [\"secret\"] } } }] }
            no_auth_user: u",
        )
        .start()
        .expect("a server");
    let tool = Tool::at(&server);
    assert_eq!(tool.error(&["pub", "secret", "x"])["kind"], "permissions_violation");
    assert_eq!(tool.error(&["sub", "secret"])["kind"], "permissions_violation");
    assert_eq!(tool.text(&["pub", "public", "x"]), "Published 1 bytes to \"public\"\n");
}

#[test]
fn a_server_without_jetstream_has_no_buckets() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let tool = Tool::at(&server);
    assert_eq!(tool.error(&["kv", "info", "B"])["kind"], "jetstream_not_available");
    assert_eq!(tool.error(&["kv", "watch", "B"])["kind"], "jetstream_not_available");
}

#[test]
fn a_server_that_is_not_there_is_an_error_for_every_verb() {
    let mut server = Server::start();
    server.stop();
    let tool = Tool::at(&server);
    let verbs: &[&[&str]] = &[
        &["pub", "a", "x"],
        &["sub", "a"],
        &["sub", "a", "--timeout", "1h"],
        &["request", "a", "x"],
        &["reply", "a", "x"],
        &["rtt"],
        &["kv", "add", "B"],
        &["kv", "put", "B", "k", "v"],
        &["kv", "get", "B", "k"],
        &["kv", "create", "B", "k", "v"],
        &["kv", "update", "B", "k", "v", "1"],
        &["kv", "del", "B", "k"],
        &["kv", "purge", "B", "k"],
        &["kv", "purge", "B", ">", "-f"],
        &["kv", "clear", "B", "-f"],
        &["kv", "compact", "B", "-f"],
        &["kv", "edit", "B", "--history", "2"],
        &["kv", "revert", "B", "k", "1"],
        &["kv", "ls", "B"],
        &["kv", "history", "B", "k"],
        &["kv", "watch", "B"],
        &["kv", "info", "B"],
        &["kv", "rm", "B", "-f"],
    ];
    for arguments in verbs {
        let error = tool.error(arguments);
        assert_eq!(error["kind"], "not_connected", "{arguments:?}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(
            message.starts_with("cannot connect to nats://127.0.0.1:"),
            "{arguments:?}: {message}"
        );
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", silent.local_addr().expect("its address"));
    let error = Tool::with_url(&url).error(&["kv", "get", "B", "k", "--timeout", "300ms"]);
    let message = format!("cannot connect to {url}: connect timed out");
    assert_eq!(error, json!({ "kind": "not_connected", "message": message }));
}

#[test]
fn what_listens_lives_through_a_restart() {
    let mut server = Server::start();
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B"]);
    tool.text(&["kv", "put", "B", "k", "before"]);
    let sub = tool.listen(&["sub", "a", "--raw", "--count", "2"], "Subscribing");
    let reply = tool.listen(&["reply", "echo", "--echo", "--count", "1"], "Listening");
    let watch = ["kv", "watch", "B", "--json", "--count", "2"];
    let mut watch = tool.start(&watch, b"");
    watch.wait_for_line("{\"initialized\":true}");
    tool.text(&["pub", "a", "one"]);
    let mut all = [sub, reply, watch];

    server.kill9();
    let lost = format!("disconnected from {}: ", server.url());
    all.iter_mut().for_each(|running| running.wait_for_note(&lost));
    server.start_again();
    let found = format!("reconnected to {}", server.url());
    all.iter_mut().for_each(|running| running.wait_for_note(&found));

    tool.text(&["pub", "a", "two"]);
    assert_eq!(tool.text(&["request", "echo", "there?", "--raw"]), "there?");
    tool.text(&["kv", "put", "B", "k", "after"]);
    let [sub, reply, watch] = all.map(Running::finish);
    assert_eq!((sub.code, sub.text()), (Some(0), "one\ntwo\n"));
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let values: Vec<_> = objects(&watch, 0).iter().map(|o| o["value_base64"].clone()).collect();
    assert_eq!(values, [json!(STANDARD.encode("before")), Value::Null, json!("YWZ0ZXI=")]);
}

#[test]
fn a_given_time_ends_what_listens_without_a_server() {
    let mut server = Server::start();
    let tool = Tool::at(&server);
    let mut sub = tool.listen(&["sub", "a", "--timeout", "2s"], "Subscribing");
    server.kill9();
    sub.wait_for_note("disconnected from ");
    let finished = sub.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn what_asks_and_loses_its_connection_says_what_it_knows() {
    let mut server = Server::start();
    let tool = Tool::at(&server);
    let mut mute = tool.listen(&["sub", "mute"], "Subscribing");
    let request = tool.start(&["request", "mute", "x", "--json", "--timeout", "1m"], b"");
    mute.wait_for_line("x");
    server.kill9();
    let error = &objects(&request.finish(), 1)[0]["error"];
    let expected = json!({ "kind": "outcome_unknown", "message": "disconnected, outcome unknown" });
    assert_eq!(error, &expected);
}

#[test]
fn several_servers_have_commas_between_them() {
    let server = Server::start();
    let mut gone = Server::start();
    gone.stop();
    let (here, there) = (server.url(), gone.url());
    let rtt = Tool::with_url(&format!("{there},{here}")).json(&["rtt"]);
    assert_eq!(rtt["server"], json!(here));

    let refused = format!("cannot connect to {there}: ");
    let twice = there.replace("nats://", "nats://127.1,nats://").replace("127.1,", "localhost:1,");
    let error = Tool::with_url(&twice).error(&["pub", "a", "x"]);
    assert_eq!(error["kind"], "not_connected");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&refused) && message.contains("nats://localhost:1 at "), "{message}");

    let demanding = users_server();
    let urls = format!("{there},nats://joe:{SECRET}_wrong@127.0.0.1:{}", demanding.port());
    let error = Tool::with_url(&urls).error(&["sub", "a"]);
    assert_eq!(error["kind"], "no_servers", "they fail for different reasons");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&refused), "{message}");
    assert!(message.contains("Authorization Violation"), "{message}");
}

/// A server with users that have passwords.
fn users_server() -> Server {
    let users = format!("authorization {{ users = [{{ user: joe, password: {SECRET} }}] }}");
    Server::builder().config(users).start().expect("a server")
}

#[test]
fn users_say_who_they_are_by_password() {
    let server = users_server();
    let tool = Tool::at(&server);
    let wrong = format!("{SECRET}_wrong");
    for right in [
        tool.with(&["--user", "joe", "--password", SECRET]),
        tool.with(&["--user", "joe"]).variable("NATS_PASSWORD", SECRET),
        tool.with(&["--password", SECRET]).variable("NATS_USER", "joe"),
        tool.variable("NATS_USER", "joe").variable("NATS_PASSWORD", SECRET),
        // the command line before the environment
        tool.with(&["--user", "joe", "--password", SECRET]).variable("NATS_PASSWORD", &wrong),
        tool.with(&["--user", "joe", "--password", SECRET]).variable("NATS_CREDS", "/nowhere"),
        // an empty variable says nothing
        tool.with(&["--user", "joe", "--password", SECRET]).variable("NATS_CA", ""),
        Tool::with_url(&server.url().replace("//", &format!("//joe:{SECRET}@"))),
    ] {
        assert_eq!(right.text(&["pub", "a", "x"]), "Published 1 bytes to \"a\"\n");
        let rtt = right.json(&["rtt"]);
        assert_eq!(rtt["server"], json!(server.url()), "without what may be secret");
    }
    for wrong in [
        tool.clone(),
        tool.with(&["--user", "joe", "--password", &wrong]),
        tool.with(&["--user", "sue", "--password", SECRET]),
        tool.with(&["--user", SECRET]),
        tool.with(&["--token", SECRET]),
        tool.variable("NATS_PASSWORD", SECRET),
    ] {
        assert_eq!(wrong.error_kind(&["pub", "a", "x"]), "authorization");
        assert_eq!(wrong.error_kind(&["sub", "a"]), "authorization");
        assert_eq!(wrong.error_kind(&["kv", "get", "B", "k"]), "authorization");
    }
}

#[test]
fn users_say_who_they_are_by_token() {
    let config = format!("authorization {{ token: {SECRET} }}");
    let server = Server::builder().config(config).start().expect("a server");
    let tool = Tool::at(&server);
    for right in [
        tool.with(&["--token", SECRET]),
        tool.variable("NATS_TOKEN", SECRET),
        // as in the `nats` tool, a user without a password
        tool.with(&["--user", SECRET]),
        tool.variable("NATS_USER", SECRET),
    ] {
        right.text(&["rtt"]);
    }
    let wrong = tool.with(&["--token", &format!("{SECRET}_wrong")]);
    assert_eq!(wrong.error_kind(&["rtt"]), "authorization");
}

#[test]
fn what_listens_ends_when_its_user_is_not_admitted_any_more() {
    let mut server = users_server();
    let tool = Tool::at(&server).with(&["--user", "joe", "--password", SECRET]);
    let mut sub = tool.listen(&["sub", "a", "--json"], "Subscribing");
    server.reload("authorization { users = [{ user: joe, password: another }] }");
    sub.wait_for_note("disconnected from ");
    let finished = sub.finish();
    assert_eq!(objects(&finished, 1)[0]["error"]["kind"], "authorization", "{finished:?}");
}

/// A file with this text.
fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// Runs a verb that fails because of this file, which the error names.
#[track_caller]
fn blames(tool: &Tool, file: &str, kind: &str) {
    let error = tool.error(&["rtt"]);
    assert_eq!(error["kind"], kind, "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(file)), "{error}");
}

#[test]
fn users_say_who_they_are_by_nkey() {
    let (public_key, seed) = evnats_harness::nkey_user();
    let config = format!("authorization {{ users = [{{ nkey: {public_key} }}] }}");
    let server = Server::builder().config(config).start().expect("a server");
    let tool = Tool::at(&server);
    let folder = TempDir::new().expect("a folder");
    let right = file(&folder, "right", &format!("{seed}\n"));
    let decorated = format!("-----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END------\r\n");
    let decorated = file(&folder, "decorated", &decorated);
    tool.with(&["--nkey", &right]).text(&["rtt"]);
    tool.with(&["--nkey", &decorated]).text(&["rtt"]);
    tool.variable("NATS_NKEY", &right).text(&["rtt"]);

    let stranger = file(&folder, "stranger", &evnats_harness::nkey_user().1);
    assert_eq!(tool.with(&["--nkey", &stranger]).error_kind(&["rtt"]), "authorization");
    let malformed = file(&folder, "malformed", &format!("{SECRET}\n"));
    blames(&tool.with(&["--nkey", &malformed]), &malformed, "credentials");
    let missing = format!("{malformed}_not");
    blames(&tool.with(&["--nkey", &missing]), &missing, "credentials");
    let finished = tool.with(&["--nkey", &file(&folder, "cut", &seed[..57])]).run(&["rtt"]);
    assert!(!finished.stderr.contains(&seed[..20]), "{finished:?}");
}

#[test]
fn users_say_who_they_are_by_credentials_file() {
    let operator = Operator::new();
    let server = Server::builder().config(operator.server_config()).start().expect("a server");
    let tool = Tool::at(&server);
    let folder = TempDir::new().expect("a folder");
    let creds = operator.user(UserClaims::default()).creds_text();
    let right = file(&folder, "right.creds", &creds);
    tool.with(&["--creds", &right]).text(&["rtt"]);
    tool.variable("NATS_CREDS", &right).text(&["kv", "add", "B"]);

    let other = Operator::new().user(UserClaims::default()).creds_text();
    let stranger = file(&folder, "stranger.creds", &other);
    assert_eq!(tool.with(&["--creds", &stranger]).error_kind(&["rtt"]), "authorization");
    assert_eq!(tool.error_kind(&["rtt"]), "authorization");
    let cut = file(&folder, "cut.creds", &creds[..creds.len() / 2]);
    blames(&tool.with(&["--creds", &cut]), &cut, "credentials");
    let missing = format!("{right}_not");
    blames(&tool.with(&["--creds", &missing]), &missing, "credentials");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let tool = Tool::with_url("nats://127.0.0.1:1");
    let table: &[(&[&str], &str)] = &[
        (&["--user", SECRET, "--token", SECRET], "only one of"),
        (&["--user", SECRET, "--creds", "f"], "only one of"),
        (&["--creds", "f", "--nkey", "f"], "only one of"),
        (&["--nkey", "f", "--token", SECRET], "only one of"),
        (&["--password", SECRET], "--password needs --user"),
        (&["--creds", "f", "--password", SECRET], "--password needs --user"),
        (&["--tlscert", "f"], "--tlscert needs --tlskey"),
        (&["--tlskey", "f"], "--tlskey needs --tlscert"),
    ];
    for (options, text) in table {
        let error = tool.with(options).error(&["rtt"]);
        assert_eq!(error["kind"], "usage", "{options:?}");
        assert!(error["message"].as_str().is_some_and(|m| m.contains(text)), "{error}");
    }
    // before the verb and behind it
    assert_eq!(tool.error_kind(&["--creds", "f", "rtt", "--token", SECRET]), "usage");
    assert_eq!(tool.variable("NATS_CERT", "f").error_kind(&["rtt"]), "usage");
    assert_eq!(tool.variable("NATS_CREDS", "f").error_kind(&["rtt", "--password", "p"]), "usage");
}

#[test]
fn help_shows_no_secrets() {
    let tool = Tool::with_url(&format!("nats://joe:{SECRET}@127.0.0.1"));
    let tool = tool.variable("NATS_PASSWORD", SECRET).variable("NATS_TOKEN", SECRET);
    for arguments in [&["--help"][..], &["-h"], &["kv", "get", "--help"]] {
        let help = tool.text(arguments);
        assert!(help.contains("NATS_PASSWORD") && !help.contains(SECRET), "{help}");
    }
}

#[test]
fn every_frame_is_traced_without_secrets() {
    let server = users_server();
    let tool = Tool::at(&server).with(&["--user", "joe", "--password", SECRET, "--trace"]);
    let finished = tool.run(&["pub", "a", "hello"]);
    assert_eq!(finished.text(), "Published 5 bytes to \"a\"\n");
    let mut lines = finished.stderr.lines();
    for frame in ["<- INFO {", "-> CONNECT ", "<- PONG", "-> PUB a 5\\r\\nhello", "-> PING"] {
        assert!(lines.any(|line| line.starts_with(frame)), "no {frame:?} in {finished:?}");
    }
    assert!(!finished.stderr.contains(SECRET), "{finished:?}");
}

#[test]
fn replies_come_on_the_inboxes_that_are_asked_for() {
    let server = Server::builder()
        .jetstream(false)
        .config(
            "authorization { users = [{ user: u, password: p, permissions: {
                publish: \">\", subscribe: [\"mine.>\", \"echo queue\", \"echo NATS-RPLY-22\"] } }] }
            no_auth_user: u",
        )
        .start()
        .expect("a server");
    let tool = Tool::at(&server);
    let _echo = tool.listen(&["reply", "echo", "--echo"], "Listening");
    assert_eq!(tool.error_kind(&["request", "echo", "x"]), "permissions_violation");
    let reply = tool.text(&["request", "echo", "x", "--raw", "--inbox-prefix", "mine"]);
    assert_eq!(reply, "x");
    let wildcard = ["request", "echo", "x", "--inbox-prefix", "mine.*"];
    assert_eq!(tool.error_kind(&wildcard), "invalid_subject");
}

#[test]
fn websocket_is_there_if_it_was_built() {
    let server = Server::builder().websocket().start().expect("a server");
    let tool = Tool::with_url(&server.websocket_url());
    // the tool that is there may have been built with other features than this test
    if tool.run(&["rtt"]).code == Some(0) {
        assert_eq!(tool.json(&["rtt"])["server"], json!(server.websocket_url()));
        return;
    }
    let error = tool.error(&["rtt"]);
    assert_eq!(error["kind"], "invalid_url");
    assert!(
        error["message"].as_str().is_some_and(|m| m.contains("feature `websocket`")),
        "{error}"
    );
}

#[test]
fn the_server_option_comes_before_the_environment() {
    let server = Server::start();
    let tool = Tool::with_url("nats://127.0.0.1:1");
    tool.text(&["--server", &server.url(), "rtt", "--connection-name", "me"]);
}

mod tls {
    //! Right and wrong certificates of both sides.

    use super::*;
    use evnats_harness::{Certificates, ServerCertificate, TlsOptions, requires};
    use std::path::Path;

    fn server(
        certificates: &Certificates,
        kind: ServerCertificate,
        options: &TlsOptions,
    ) -> Server {
        let builder = Server::builder().config(certificates.server_config(kind, options));
        let builder = if options.handshake_first { builder.tls_first() } else { builder };
        builder.start().expect("a server")
    }

    fn text(path: &Path) -> &str {
        path.to_str().expect("a path of text")
    }

    #[test]
    fn servers_show_a_certificate_that_is_trusted() {
        let certificates = Certificates::new();
        let server = server(&certificates, ServerCertificate::Valid, &TlsOptions::default());
        let tool = Tool::at(&server);
        let (ca, other) = (certificates.ca(), certificates.other_ca());
        tool.with(&["--tlsca", text(&ca)]).text(&["rtt"]);
        tool.variable("NATS_CA", text(&ca)).text(&["kv", "add", "B"]);
        let by_url = Tool::with_url(&server.url().replace("nats://", "tls://"));
        by_url.with(&["--tlsca", text(&ca)]).text(&["rtt"]);

        assert_eq!(tool.error_kind(&["rtt"]), "tls");
        assert_eq!(tool.with(&["--tlsca", text(&other)]).error_kind(&["sub", "a"]), "tls");
        let missing = format!("{}_not", ca.display());
        blames(&tool.with(&["--tlsca", &missing]), &missing, "tls");
        let key = certificates.client_key();
        blames(&tool.with(&["--tlsca", text(&key)]), text(&key), "tls");
    }

    #[test]
    fn other_certificates_of_servers_are_refused() {
        let certificates = Certificates::new();
        let ca = certificates.ca();
        for (kind, reason) in [
            (ServerCertificate::Expired, "expired"),
            (ServerCertificate::OtherHost, "is for elsewhere.example"),
        ] {
            let server = server(&certificates, kind, &TlsOptions::default());
            let error = Tool::at(&server).with(&["--tlsca", text(&ca)]).error(&["rtt"]);
            assert_eq!(error["kind"], "tls");
            assert!(error["message"].as_str().is_some_and(|text| text.contains(reason)), "{error}");
        }
    }

    #[test]
    fn the_options_demand_tls() {
        let certificates = Certificates::new();
        let server = Server::start();
        let tool = Tool::at(&server);
        let (ca, client, key) =
            (certificates.ca(), certificates.client(), certificates.client_key());
        let identity = ["--tlscert", text(&client), "--tlskey", text(&key)];
        for options in [&["--tlsca", text(&ca)][..], &identity] {
            let error = tool.with(options).error(&["pub", "a", "x"]);
            assert_eq!(error["kind"], "tls", "{error}");
            let message = error["message"].as_str().expect("a message");
            assert!(message.contains("the server does not offer it"), "{message}");
        }
        assert_eq!(tool.with(&["--tlsfirst"]).error_kind(&["rtt"]), "tls");
    }

    #[test]
    fn clients_show_a_certificate_that_is_trusted() {
        let certificates = Certificates::new();
        let verify = TlsOptions { verify: true, ..TlsOptions::default() };
        let server = server(&certificates, ServerCertificate::Valid, &verify);
        let ca = certificates.ca();
        let tool = Tool::at(&server).with(&["--tlsca", text(&ca)]);
        let (client, key) = (certificates.client(), certificates.client_key());
        tool.with(&["--tlscert", text(&client), "--tlskey", text(&key)]).text(&["rtt"]);
        let half = tool.variable("NATS_CERT", text(&client));
        half.with(&["--tlskey", text(&key)]).text(&["rtt"]);
        half.variable("NATS_KEY", text(&key)).text(&["rtt"]);

        assert_eq!(tool.error_kind(&["rtt"]), "tls");
        let (stranger, stranger_key) = (certificates.stranger(), certificates.stranger_key());
        let wrong = tool.with(&["--tlscert", text(&stranger), "--tlskey", text(&stranger_key)]);
        assert_eq!(wrong.error_kind(&["rtt"]), "tls");
        let wrong = tool.with(&["--tlscert", text(&client), "--tlskey", text(&stranger_key)]);
        blames(&wrong, text(&client), "tls");
        let missing = format!("{}_not", key.display());
        blames(&tool.with(&["--tlscert", text(&client), "--tlskey", &missing]), &missing, "tls");
    }

    #[test]
    fn the_handshake_comes_first_if_it_is_asked_for() {
        let reference = Server::start();
        requires!(reference, 2, 10);
        let certificates = Certificates::new();
        let first = TlsOptions { handshake_first: true, ..TlsOptions::default() };
        let server = server(&certificates, ServerCertificate::Valid, &first);
        let ca = certificates.ca();
        let tool = Tool::at(&server).with(&["--tlsca", text(&ca)]);
        tool.with(&["--tlsfirst"]).text(&["rtt"]);
        assert_eq!(tool.error_kind(&["rtt", "--timeout", "300ms"]), "not_connected");
    }
}

#[test]
fn templates_stand_for_another_text_in_each_message() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let arguments = ["sub", "orders.>", "--count", "4", "--json"];
    let all = tool.listen(&arguments, "Subscribing");
    let publish = ["pub", "orders.{{Count}}", "order {{ .Count }} {{ID}}", "-H", "N:{{Count}}"];
    let published = tool.json(&[&publish[..], &["--count", "2", "--sleep", "10ms"]].concat());
    assert_eq!(published["count"], 2);
    assert_eq!(tool.text(&["pub", "orders.x", "{{Coutn}}", "--no-templates", "-q"]), "");
    assert_eq!(tool.start(&["pub", "orders.y"], b"{{stdin}}").finish().code, Some(0));

    let messages = objects(&all.finish(), 0);
    let text = |i: usize| String::from_utf8(decoded(&messages[i]["payload_base64"])).unwrap();
    for (i, number) in ["1", "2"].into_iter().enumerate() {
        assert_eq!(messages[i]["subject"], format!("orders.{number}"));
        assert_eq!(messages[i]["headers"], json!({ "N": [number] }));
        assert!(text(i).starts_with(&format!("order {number} ")) && text(i).len() == 8 + 22);
    }
    assert_ne!(text(0)[8..], text(1)[8..], "identifiers differ");
    assert_eq!((text(2).as_str(), text(3).as_str()), ("{{Coutn}}", "{{stdin}}"));

    let refused = tool.error(&["pub", "orders.x", "{{Coutn}}"]);
    assert_eq!(refused["kind"], "invalid_template");
    let message = refused["message"].as_str().expect("a text");
    assert!(message.contains("{{Coutn}}") && message.contains("--no-templates"), "{message}");
    assert_eq!(tool.error(&["reply", "x", "{{Nothing}}"])["kind"], "invalid_template");
}

#[test]
fn a_request_takes_the_replies_of_several() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let responders = ["a", "b"].map(|name| {
        let body = format!("{name}: {{{{Request}}}}");
        let arguments = ["reply", "census", &body, "--queue", name, "--sleep", "5ms"];
        tool.listen(&arguments, "Listening")
    });
    let replies = |arguments: &[&str]| {
        let all = [&["request", "census", "who?", "--json", "--replies"], arguments].concat();
        let objects = objects(&tool.run(&all), 0);
        let mut texts: Vec<_> = objects.iter().map(|o| decoded(&o["payload_base64"])).collect();
        texts.sort();
        texts
    };
    let both = [&b"a: who?"[..], b"b: who?"];
    assert_eq!(replies(&["2"]), both);
    assert_eq!(replies(&["0", "--timeout", "2s"]), both);

    let few = tool.run(&["request", "census", "x", "--replies", "3", "--timeout", "2s"]);
    assert_eq!(few.code, Some(1), "{few:?}");
    assert!(few.stderr.contains("2 of 3 replies in 2s"), "{few:?}");
    assert_eq!(tool.error_kind(&["request", "nobody", "x", "--replies", "2"]), "no_responders");
    drop(responders);
}

#[test]
fn the_domain_of_jetstream_can_be_chosen() {
    let store = TempDir::new().expect("a directory");
    let config = format!("jetstream {{ domain: leaf, store_dir: {:?} }}", store.path());
    let server = Server::builder().jetstream(false).config(config).start().expect("a server");
    let tool = Tool::at(&server);
    tool.text(&["kv", "add", "B", "--js-domain", "leaf"]);
    let by_prefix = ["kv", "put", "B", "k", "v", "--js-api-prefix", "$JS.leaf.API"];
    assert_eq!(tool.json(&by_prefix)["revision"], 1);
    assert_eq!(tool.text(&["kv", "get", "B", "k", "--raw", "--js-domain", "leaf"]), "v");
    let elsewhere = tool.error_kind(&["kv", "info", "B", "--js-domain", "elsewhere"]);
    assert_eq!(elsewhere, "jetstream_not_available");
}

#[test]
fn a_tilde_in_a_path_is_the_home_directory() {
    let home = TempDir::new().expect("a directory");
    let server = Server::start();
    let tool = Tool::at(&server).variable("HOME", home.path().to_str().expect("a path"));
    let failed = tool.run(&["rtt", "--creds=~/none.creds"]);
    let expected = home.path().join("none.creds");
    assert!(failed.stderr.contains(expected.to_str().unwrap()), "{failed:?}");
}

#[test]
fn help_shows_the_options_of_a_verb_before_those_of_all() {
    let help = Tool::with_url("").text(&["pub", "--help"]);
    let (own, global) = help.split_once("Global options:").expect("a heading");
    for option in ["--count", "--sleep", "--quiet", "--header", "--no-templates"] {
        assert!(own.contains(option) && !global.contains(option), "{option}: {help}");
    }
    assert!(!own.contains("--tlsca") && global.contains("--tlsca"), "{help}");
}
