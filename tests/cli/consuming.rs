//! Consumers that are read on the command line.

use super::process::Finished;
use super::{Tool, decoded, objects};
use evnats_harness::{Server, requires};
use serde_json::{Value, json};

/// A tool at a server with a stream of so many messages and a consumer.
fn with_consumer(server: &Server, messages: u64) -> Tool {
    let tool = Tool::at(server);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    tool.text(&["consumer", "add", "S", "C", "--wait", "1m"]);
    publish(&tool, messages);
    tool
}

fn publish(tool: &Tool, messages: u64) {
    tool.text(&["pub", "s.a", "no {{Count}}", "-J", "--count", &messages.to_string(), "-H", "a:b"]);
}

fn numbers(finished: &Finished, member: &str) -> Vec<u64> {
    let shown = objects(finished, 0);
    shown.iter().map(|message| message[member].as_u64().expect("a number")).collect()
}

/// How many messages wait for an answer, and how many were never delivered.
fn state(tool: &Tool) -> (Value, Value) {
    let info = tool.json(&["consumer", "info", "S", "C"]);
    (info["num_ack_pending"].clone(), info["num_pending"].clone())
}

#[test]
fn the_next_messages_of_a_consumer_are_shown_and_acknowledged() {
    let server = Server::start();
    let tool = with_consumer(&server, 6);
    let shown = tool.text(&["consumer", "next", "S", "C"]);
    let (time, shown) = shown.split_once("] ").expect("a time");
    assert!(time.starts_with("[2"), "{time}");
    assert_eq!(
        shown,
        "subj: s.a / tries: 1 / cons seq: 1 / str seq: 1 / pending: 5\n\na: b\n\nno 1\n\n"
    );
    let message = tool.json(&["con", "next", "S", "C", "--no-ack"]);
    assert_eq!((&message["stream"], &message["consumer"]), (&json!("S"), &json!("C")));
    assert_eq!((&message["subject"], &message["sequence"]), (&json!("s.a"), &json!(2)));
    assert_eq!((&message["delivered"], &message["pending"]), (&json!(1), &json!(4)));
    assert_eq!(message["headers"], json!({ "a": ["b"] }));
    assert_eq!(decoded(&message["payload_base64"]), b"no 2");
    assert_eq!(state(&tool), (json!(1), json!(4)), "one is acknowledged, the other is not");

    let without = ["consumer", "next", "S", "C", "--headers-only", "--ack"];
    assert_eq!(tool.json(&without).get("payload_base64"), None);
    assert_eq!(tool.text(&["consumer", "next", "S", "C", "--raw", "--count", "2"]), "no 4\nno 5\n");
    // there is one left
    let fewer = tool.run(&["consumer", "next", "S", "C", "--count", "3", "--wait", "500ms", "-r"]);
    assert_eq!((fewer.code, fewer.text()), (Some(0), "no 6\n"));
    assert!(fewer.stderr.contains("1 of 3 messages have come"), "{fewer:?}");
    assert_eq!(tool.error_kind(&["consumer", "next", "S", "C", "--wait", "500ms"]), "timeout");
}

#[test]
fn messages_are_handed_back_and_terminated() {
    let server = Server::start();
    let tool = with_consumer(&server, 2);
    let next = |options: &[&str]| tool.json(&[&["consumer", "next", "S", "C"], options].concat());
    assert_eq!(next(&["--nak"])["delivered"], 1);
    let again = next(&["--term"]);
    assert_eq!((&again["sequence"], &again["delivered"]), (&json!(1), &json!(2)));
    assert_eq!(next(&[])["sequence"], 2);
    assert_eq!(state(&tool), (json!(0), json!(0)));
    assert_eq!(tool.error_kind(&["consumer", "next", "S", "C", "--nak", "--term"]), "usage");
}

#[test]
fn a_consumer_is_read_until_there_were_enough() {
    let server = Server::start();
    let tool = with_consumer(&server, 700);
    let shown = tool.run(&["consumer", "sub", "S", "C", "--count", "600", "--json"]);
    assert_eq!(numbers(&shown, "sequence"), (1..=600).collect::<Vec<_>>());
    assert_eq!(state(&tool), (json!(0), json!(100)), "and no more was asked for");
    let shown = tool.run(&["consumer", "sub", "S", "C", "--timeout", "500ms", "--raw"]);
    assert_eq!((shown.code, shown.text().lines().count()), (Some(0), 100), "{shown:?}");
    assert_eq!(state(&tool), (json!(0), json!(0)));
}

#[cfg(unix)]
#[test]
fn an_interrupted_read_ends_in_order_and_takes_nothing_more() {
    use rustix::process::{Pid, Signal, kill_process};
    let server = Server::start();
    let tool = with_consumer(&server, 3);
    let mut reading =
        tool.listen(&["consumer", "sub", "S", "C", "--raw"], "Reading consumer C of stream S");
    reading.wait_for_line("no 3");
    let id = Pid::from_raw(i32::try_from(reading.id()).expect("a number")).expect("a process");
    kill_process(id, Signal::INT).expect("a signal");
    let finished = reading.finish();
    assert_eq!((finished.code, finished.text()), (Some(0), "no 1\nno 2\nno 3\n"), "{finished:?}");
    assert_eq!(state(&tool), (json!(0), json!(0)));
    // a request that were left would have taken it
    publish(&tool, 1);
    assert_eq!(tool.json(&["consumer", "next", "S", "C"])["delivered"], 1);
}

#[test]
fn a_stream_is_read_without_a_consumer_of_its_own() {
    let server = Server::start();
    let tool = with_consumer(&server, 3);
    let shown = tool.run(&["consumer", "sub", "S", "--count", "3", "--json"]);
    assert_eq!(numbers(&shown, "sequence"), [1, 2, 3]);
    assert_eq!(tool.text(&["consumer", "ls", "S", "--names"]), "C\n", "it is gone");
    assert_eq!(state(&tool), (json!(0), json!(3)), "another consumer does not know of it");
}

#[test]
fn who_is_served_of_a_priority_group_is_noted() {
    let server = Server::start();
    requires!(server, 2, 11);
    let tool = Tool::at(&server);
    tool.text(&["stream", "add", "S", "--subjects", "s.>"]);
    tool.text(&["consumer", "add", "S", "C", "--groups", "g", "--priority", "pinned"]);
    publish(&tool, 1);
    let read = tool.run(&["consumer", "sub", "S", "C", "--group", "g", "--count", "1", "--raw"]);
    assert_eq!((read.code, read.text()), (Some(0), "no 1\n"), "{read:?}");
    assert!(read.stderr.contains("this client is pinned, as "), "{read:?}");
}

#[test]
fn what_a_server_pushes_is_shown() {
    let server = Server::start();
    let tool = with_consumer(&server, 3);
    tool.text(&["consumer", "add", "S", "P", "--target", "pushed"]);
    let read = tool.text(&["consumer", "sub", "S", "P", "--raw", "--count", "3"]);
    assert_eq!(read, "no 1\nno 2\nno 3\n");
}

#[test]
fn consumers_that_cannot_be_read_are_errors() {
    let server = Server::start();
    let tool = with_consumer(&server, 1);
    tool.text(&["consumer", "add", "S", "P", "--target", "pushed"]);
    for verb in ["next", "sub"] {
        assert_eq!(tool.error(&["consumer", verb, "S", "none"])["err_code"], 10014);
        assert_eq!(tool.error(&["consumer", verb, "NONE", "C"])["err_code"], 10059);
        assert_eq!(tool.error_kind(&["consumer", verb, "S", "a.b"]), "invalid_name");
    }
    assert_eq!(tool.error_kind(&["consumer", "next", "S", "P"]), "push_consumer");
    assert_eq!(tool.error(&["consumer", "sub", "NONE"])["err_code"], 10059);
    assert_eq!(tool.error_kind(&["consumer", "next", "S", "C", "--wait", "0s"]), "invalid_options");
    let mut reading =
        tool.listen(&["consumer", "sub", "S", "C", "--raw"], "Reading consumer C of stream S");
    reading.wait_for_line("no 1");
    tool.text(&["consumer", "rm", "S", "C", "-f"]);
    let finished = reading.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("error: the consumer was deleted"), "{finished:?}");
}
