//! What becomes of replica sets when their process dies, and what the environment says of them: in
//! processes of their own.

#[path = "support/processes.rs"]
mod processes;
#[path = "support/waiting.rs"]
mod waiting;

use bson::doc;
use evnats_harness::{ReplicaSet, mongo_database, mongo_url_or_replica_set, provision_mongod};
use processes::exists;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use waiting::wait_for;

/// This program with one test of its own, which is ignored otherwise.
fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).stdin(Stdio::null());
    // what a child leaves out on purpose is none of the tests that this run has left out
    command.env_remove("EVNATS_SKIP_LOG");
    command
}

/// What the child has said after this word.
fn said(output: &Output, word: &str) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("no {word:?} in {stderr}")).trim().to_owned()
}

#[test]
fn a_panic_stops_the_servers() {
    let _needs_a_mongod = mongo_database!();
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let set = ReplicaSet::start();
        sender.send(set.pid(0)).unwrap();
        panic!("as a failed test does");
    });
    assert!(thread.join().is_err());
    assert!(!exists(receiver.recv().unwrap()));
}

#[test]
#[ignore = "aborts; run in a child process by an_abort_stops_the_servers"]
fn child_that_aborts() {
    let mut set = ReplicaSet::start();
    set.pause(0); // The harder case: it could not hear a polite signal.
    let directory = std::fs::read_link(format!("/proc/{}/cwd", set.pid(0))).unwrap_or_default();
    eprintln!("started {} {}", set.pid(0), directory.display());
    std::process::abort();
}

#[test]
fn an_abort_stops_the_servers() {
    let _needs_a_mongod = mongo_database!();
    let output = child("child_that_aborts").output().unwrap();
    assert!(!output.status.success());
    let started = said(&output, "started ");
    let (pid, directory) = started.split_once(' ').unwrap();
    let directory = (!directory.is_empty()).then(|| PathBuf::from(directory));
    wait_for("the watchdog", || !exists(pid.parse().unwrap()));
    wait_for("the directory's end", || directory.as_deref().is_none_or(|path| !path.exists()));
}

#[test]
#[ignore = "run in child processes by what_the_environment_names_is_used"]
fn child_that_uses_the_environment() {
    let database = mongo_database!();
    database.run_command(doc! { "insert": "rows", "documents": [{ "_id": 1 }] }).unwrap();
    let (uri, started) = mongo_url_or_replica_set().unwrap();
    eprintln!("database {} {uri} {}", database.uri(), started.is_some());
    let _own = evnats_harness::replica_set!();
    eprintln!("own started");
}

/// The names of a set's databases, without the server's own.
fn databases(set: &ReplicaSet) -> Vec<String> {
    let reply = set.run_command("admin", doc! { "listDatabases": 1, "nameOnly": true }).unwrap();
    let names = reply.get_array("databases").unwrap().iter();
    let names = names.map(|entry| entry.as_document().unwrap().get_str("name").unwrap().to_owned());
    names.filter(|name| name.starts_with("evnats")).collect()
}

#[test]
fn what_the_environment_names_is_used() {
    let set = evnats_harness::replica_set!();
    let output = child("child_that_uses_the_environment").env("MONGODB_URI", set.uri()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(said(&output, "database "), format!("{0} {0} false", set.uri()));
    let skipped = "child_that_uses_the_environment needs a replica set of its own, but MONGODB_URI";
    assert!(said(&output, "skipped: ").starts_with(skipped));
    assert!(databases(&set).is_empty(), "dropped at the end");

    let output = child("child_that_uses_the_environment").env_remove("MONGODB_URI").output();
    let output = output.unwrap();
    assert!(said(&output, "database ").ends_with(" true"));
    said(&output, "own started");
}

/// A child that finds nothing on this machine.
fn child_without_anything(test: &str, target: &Path) -> Command {
    let mut command = child(test);
    command.env("PATH", target).env("CARGO_TARGET_DIR", target);
    command.env_remove("MONGOD_BIN").env_remove("MONGODB_URI");
    command
}

#[test]
fn a_test_without_a_mongod_is_left_and_says_so() {
    let target = tempfile::tempdir().unwrap();
    let test = "child_that_uses_the_environment";
    let log = target.path().join("skipped");
    let output = child_without_anything(test, target.path()).env("EVNATS_SKIP_LOG", &log).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.starts_with(&format!("skipped: {test} needs a mongod: ")), "{log}");
    assert!(log.contains("MONGOD_BIN") && log.matches('\n').count() == 1, "{log}");

    let bad = child_without_anything(test, target.path()).env("MONGOD_BIN", "/bin/false").output();
    let bad = bad.unwrap();
    assert!(!bad.status.success(), "a variable that names nonsense is no reason to leave tests");
}

#[test]
#[ignore = "run in child processes by several_processes_provision_at_once"]
fn child_that_provisions() {
    eprintln!("found {}", provision_mongod().unwrap().binary().display());
}

#[test]
fn several_processes_provision_at_once() {
    let _needs_a_mongod = mongo_database!();
    let target = tempfile::tempdir().unwrap();
    let spawn = || {
        child("child_that_provisions")
            .env("CARGO_TARGET_DIR", target.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let found: Vec<_> = [spawn(), spawn(), spawn()]
        .map(|child| said(&child.wait_with_output().unwrap(), "found "))
        .into();
    assert!(found.iter().all(|path| *path == found[0]), "{found:?}");
}
