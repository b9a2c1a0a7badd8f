//! Every example runs to its end, and says what it set out to show.

mod process;

use evnats_harness::{Server, requires};
use process::{Running, example};
use std::process::Command;

/// Runs an example against a server, and looks for lines of its output in this order.
#[track_caller]
fn shows(server: &Server, name: &str, lines: &[&str]) {
    let mut command = example(name);
    command.env("NATS_URL", server.url());
    shows_lines(command, lines);
}

/// The same for an example that starts a server of its own.
#[track_caller]
fn shows_by_itself(name: &str, lines: &[&str]) {
    let mut command = example(name);
    command.env_remove("NATS_URL");
    shows_lines(command, lines);
}

#[track_caller]
fn shows_lines(command: Command, lines: &[&str]) {
    let name = format!("{command:?}");
    let finished = Running::start(command, b"").finish();
    assert_eq!(finished.code, Some(0), "{name}: {finished:?}");
    let mut output = finished.text().lines();
    for line in lines {
        assert!(output.any(|shown| shown == *line), "{name}: no {line:?} in {}", finished.text());
    }
}

#[test]
fn examples_show_what_they_promise() {
    let server = Server::start();
    shows(
        &server,
        "quickstart",
        &["bucket \"config\" is ready", "put: revision 1", "bucket deleted"],
    );
    shows(&server, "pubsub", &["hurry: a table", "audited 4, previewed 2"]);
    shows(
        &server,
        "request_reply",
        &[
            "12 squared is 144",
            "no proof in 200 ms: no reply in time",
            "no responders: nobody integrates here",
            "served 1, ignored 1",
        ],
    );
    shows(
        &server,
        "object_store",
        &["latest is 2026/may: 100000 lines, verified: true", "bucket deleted"],
    );
    shows(
        &server,
        "service_calculator",
        &[
            "84 / 2 = 42",
            "1 / 0: error 422: nothing can be divided by zero",
            "two, ten times: error 500: the handler of the request panicked",
            "20 sums, each of them answered",
        ],
    );
    shows(
        &server,
        "service_discovery",
        &[
            "3 printers",
            "the south has the least to do: 2 jobs",
            "a poster is printed in the south",
            "it has answered 1 request",
            "0 printers",
        ],
    );
    shows(
        &server,
        "kv_store",
        &[
            "lamp exists at Some(1)",
            "lamp is not at 1 any more, but at Some(2)",
            "it was Some(\"40\")",
            "a deleted key has no value: Ok(None)",
            "entries left in its history: 1",
            "keys with a value: [\"chair\"]",
            "2 messages in KV_example_prices",
        ],
    );
    shows(
        &server,
        "rate_limiter",
        &["12 requests of two workers: 5 may pass, 7 are refused", "a token later, one may pass"],
    );
    shows(
        &server,
        "distributed_lock",
        &[
            "worker 1 has the lock, and writes 10 books",
            "worker 1 has died with the lock",
            "worker 2 has the lock, and writes 12 books",
            "what worker 1 has left to write is refused: 12 books",
        ],
    );
    shows(
        &server,
        "leader_election",
        &[
            "ada leads",
            "ada resigns",
            "a second one leads, and crashes",
            "a third one leads; every token was higher than the one before",
        ],
    );
    shows(
        &server,
        "kv_watch",
        &[
            "initially PUT floor1.bath = 23 degrees",
            "that is all there was",
            "now PUT floor1.kitchen = 20 degrees",
            "now DEL floor1.kitchen",
            "now PURGE floor1.bath",
            "stored, unseen: true",
        ],
    );
    shows(
        &server,
        "kv_cache",
        &[
            "1000 prices are at hand",
            "100000 articles cost 1000000 in all",
            "article.7 costs 1010 now, all of them 1100000",
            "article.7 is sold out: None",
        ],
    );
    shows(
        &server,
        "publish_window",
        &[
            "20000 records: 20000 stored, 0 of them were there already, 0 failed",
            "20000 records: 20000 stored, 20000 of them were there already, 0 failed",
        ],
    );
}

#[test]
fn the_example_of_streams_shows_and_erases_what_is_stored() {
    let server = Server::start();
    requires!(server, 2, 11);
    shows(
        &server,
        "jetstream",
        &[
            "consumer shipping is ready",
            "4 orders are stored, 0 are not",
            "order 1 of ada: tea",
            "order 3 of ada: a cup",
            "2 of 2 orders of ada are erased",
            "2 orders are left, of [\"orders.bob\", \"orders.eve\"]",
            "2 of them are still to be shipped",
            "stream ORDERS has 1 consumers",
        ],
    );
}

#[test]
fn the_example_of_a_program_whose_settings_follow_a_bucket_takes_what_belongs_together_at_once() {
    let server = Server::start();
    requires!(server, 2, 12);
    shows(
        &server,
        "config_watcher",
        &[
            "these are the settings to begin with",
            r#"2 at once: Settings { workers: 8, host: "example.org", port: 8080 }"#,
            r#"app.workers cannot be "many""#,
            r#"Settings { workers: 4, host: "example.org", port: 8080 }"#,
            "the default is in force again",
        ],
    );
}

#[test]
fn the_example_of_an_ordered_replay_loses_nothing_with_its_consumer() {
    shows_by_itself(
        "ordered_replay",
        &[
            r#"rebuilt from 4 entries: {"ada": 70, "bob": 55}"#,
            "ada: +7",
            "bob: -55",
            "eve: +1",
            r#"7 entries, {"ada": 77, "bob": 0, "eve": 1}: Stopped"#,
        ],
    );
}

#[test]
fn the_example_of_a_push_consumer_sends_every_mail_once() {
    let command = example("push_consumer");
    let finished = Running::start(command, b"").finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let last = finished.text().lines().last().expect("a line").to_owned();
    assert!(last.starts_with("sent to ada, bob, carol, dave, eve, frank; "), "{last}");
}

#[test]
fn the_example_of_per_key_order_serves_each_customer_in_order() {
    shows_by_itself(
        "per_key_order",
        &[
            "bob could not pay",
            "ada has bought tea, milk, a cup, sugar",
            "bob has bought bread, butter, a knife",
            "eve has bought honey, a spoon",
            "9 orders, 2 customers at once: Stopped",
        ],
    );
}

#[test]
fn the_example_of_fast_ingest_loads_a_day() {
    shows_by_itself("fast_ingest", &["86400 readings, 86400 of them stored"]);
}

#[test]
fn the_example_of_dead_letters_shows_them_with_their_reasons() {
    let server = Server::start();
    // older servers do not know that a termination may have a reason
    requires!(server, 2, 10);
    shows(
        &server,
        "dead_letters",
        &[
            "4 orders are stored",
            "example.orders.bob: \"a dragon\": not a number of cups",
            "example.orders.eve: \"500\": MaxDeliver after 3 deliveries",
            "2 orders are packed, 5 cups are left",
        ],
    );
}

#[test]
fn the_example_of_a_worker_settles_every_order_or_leaves_it() {
    let server = Server::start();
    shows(
        &server,
        "pull_worker",
        &[
            "less is asked for from now on: max_batch is 20",
            "5 put off for a while",
            "50 orders: 49 packed, 1 refused, 0 left",
        ],
    );
    let mut command = example("pull_worker");
    command.env("NATS_URL", server.url()).arg("--terminate");
    let finished = Running::start(command, b"").finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let counts = finished.text().lines().last().expect("a line").replace(" orders:", ",");
    let counts: Vec<u64> = counts
        .split(", ")
        .map(|count| count.split(' ').next().and_then(|count| count.parse().ok()).expect("a count"))
        .collect();
    let [orders, packed, refused, left] = counts[..] else { panic!("{finished:?}") };
    assert_eq!((orders, packed + refused + left), (50, 50), "{finished:?}");
    assert!(packed + refused >= 20 && left > 0, "{finished:?}");
}

#[test]
fn the_example_of_a_work_queue_does_each_job_once() {
    shows_by_itself("work_queue", &["12 jobs, 12 of them done once by 3 workers, 0 left"]);
}

#[test]
fn the_example_of_a_group_keeps_the_order_while_members_come_and_go() {
    let server = Server::start();
    requires!(server, 2, 11);
    shows(
        &server,
        "consumer_group",
        &["1200 orders of 24 customers, 0 out of order", "packed by ada, ben, cleo"],
    );
}

#[test]
fn the_example_of_schedules_shows_them() {
    let server = Server::start();
    evnats_harness::requires!(server, 2, 14);
    shows(
        &server,
        "schedule",
        &[
            "a backup is planned at \"0 30 3 * * *\"",
            "cancelled: true",
            "due.reminder: water the plants",
            "due.report: all is well",
            "due.report: all is well",
        ],
    );
}

#[test]
fn examples_of_atomic_batches_and_counters_show_what_they_promise() {
    let server = Server::start();
    requires!(server, 2, 12);
    shows(
        &server,
        "atomic_batch",
        &["opened Some(2) accounts", "alice has 20, bob has 80", "moved 2, refused 1"],
    );
    shows(
        &server,
        "kv_batch",
        &[
            "alice has 70 and bob has 30",
            "nothing was moved: key \"bob\" is not at revision 4 but at 5",
            "read again, both as of one time",
            "alice has 50 and bob has 55",
            "the account is closed: alice has none",
        ],
    );
    shows(
        &server,
        "counters",
        &[
            "EXAMPLE_WORLD counts",
            "eu: 3",
            "eu: Some(7)",
            "eu, once more: None",
            "us, corrected: -2",
            "us: 999999999999999999999999999999999999999998, as an i128: None",
            "world: 1000000000000000000000000000000000000000005",
            "  EXAMPLE_EU EXAMPLE_EU.views.home: 7",
            "  EXAMPLE_US EXAMPLE_US.views.home: 999999999999999999999999999999999999999998",
        ],
    );
}

#[test]
fn examples_start_a_server_of_their_own() {
    shows_by_itself("pubsub", &["audited 4, previewed 2"]);
    shows_by_itself(
        "resilient",
        &[
            "all 3 subscriptions get readings",
            "report: disconnected, outcome unknown",
            "sensor: reconnected, readings have waited: true",
            "all 3 subscriptions get readings again: none was lost",
        ],
    );
    shows_by_itself(
        "secure",
        &[
            "insider: connected, the server demands TLS: true",
            "insider: got \"open\" on vault.door",
            "unknown: server error: Authorization Violation",
        ],
    );
}
