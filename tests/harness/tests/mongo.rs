//! Real replica sets, started, killed, frozen and made to fail by the harness.

use bson::{Document, doc};
use evnats_harness::{
    FailTimes, MongoDatabase, MongoError, ReplicaSet, mongo_database, provision_mongod, replica_set,
};
use std::net::{Ipv4Addr, TcpStream};

fn insert(set: &ReplicaSet, id: i32) -> Result<Document, MongoError> {
    let insert = doc! {
        "insert": "kept",
        "documents": [{ "_id": id }],
        "writeConcern": { "w": "majority", "j": true },
    };
    set.run_command("evnats", insert)
}

fn count(set: &ReplicaSet) -> i32 {
    set.run_command("evnats", doc! { "count": "kept" }).unwrap().get_i32("n").unwrap()
}

fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[test]
fn a_set_keeps_port_and_data_over_a_kill() {
    let mut set = replica_set!();
    let (port, pid) = (set.port(0), set.pid(0));
    assert_eq!(set.uri(), format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0"));
    assert_eq!(set.version(), provision_mongod().unwrap().version());
    insert(&set, 1).unwrap();
    let error = insert(&set, 1).unwrap_err();
    assert_eq!(error.code(), Some(11000), "{error}");

    set.kill(0);
    assert!(!accepts(port));
    set.restart(0);
    assert_eq!(set.port(0), port);
    assert_ne!(set.pid(0), pid);
    assert_eq!(count(&set), 1);
    set.restart(0);
    assert_eq!(count(&set), 1);
}

#[test]
fn a_paused_server_goes_on_when_it_is_resumed() {
    let mut set = replica_set!();
    set.pause(0);
    assert!(accepts(set.port(0)), "its connections stay open");
    set.resume(0);
    insert(&set, 1).unwrap();
    set.pause(0);
    set.restart(0);
    assert_eq!(count(&set), 1);
}

#[test]
fn the_only_member_steps_down_and_is_the_primary_again() {
    let set = replica_set!();
    set.step_down(1);
    let hello = set.run_command_on(0, "admin", doc! { "hello": 1 }).unwrap();
    assert!(!hello.get_bool("isWritablePrimary").unwrap(), "{hello}");
    set.wait_ready();
    insert(&set, 1).unwrap();
}

#[test]
fn three_members_have_another_primary_when_one_is_killed_or_steps_down() {
    let mut set = replica_set!(ReplicaSet::builder().nodes(3));
    assert_eq!(set.nodes(), 3);
    insert(&set, 1).unwrap();
    let first = set.primary();
    set.kill(first);
    set.wait_ready();
    let second = set.primary();
    assert_ne!(second, first);
    insert(&set, 2).unwrap();
    set.restart(first);
    set.wait_ready();

    set.step_down(20);
    set.wait_ready();
    assert_ne!(set.primary(), second);
    assert_eq!(count(&set), 2);
}

#[test]
fn commands_fail_as_often_as_they_are_to() {
    let set = replica_set!();
    let twice = doc! {
        "failCommands": ["insert"],
        "errorCode": 189,
        "errorLabels": ["RetryableWriteError"],
    };
    let failing = set.fail_command(FailTimes::Times(2), twice);
    for id in 0..2 {
        let MongoError::Command { code, reply, .. } = insert(&set, id).unwrap_err() else {
            panic!("no error of the server");
        };
        assert_eq!(code, 189);
        assert_eq!(reply.get_array("errorLabels").unwrap().len(), 1, "{reply}");
    }
    failing.wait_entered(2);
    insert(&set, 2).unwrap();
    drop(failing);
}

#[test]
fn a_fail_point_is_off_when_it_is_dropped() {
    let mut set = replica_set!();
    let cut = || doc! { "failCommands": ["insert"], "closeConnection": true };
    let failing = set.fail_command(FailTimes::Always, cut());
    assert!(matches!(insert(&set, 1), Err(MongoError::Io { .. })));
    drop(failing);
    insert(&set, 1).unwrap();

    let later = set.fail_command(FailTimes::After(1), cut());
    insert(&set, 2).unwrap();
    insert(&set, 3).unwrap_err();
    set.kill(0);
    drop(later); // which nobody hears
    set.restart(0);
    insert(&set, 4).unwrap();
}

/// The token that a change stream opened now could be resumed from.
fn resume_token(set: &ReplicaSet) -> Document {
    let reply = open_change_stream(set, doc! {}).unwrap();
    let cursor = reply.get_document("cursor").unwrap();
    cursor.get_document("postBatchResumeToken").unwrap().clone()
}

fn open_change_stream(set: &ReplicaSet, options: Document) -> Result<Document, MongoError> {
    let pipeline = vec![doc! { "$changeStream": options }];
    set.run_command("evnats", doc! { "aggregate": "kept", "pipeline": pipeline, "cursor": {} })
}

/// Resumes a change stream, and asks for its first batch.
fn resume(set: &ReplicaSet, token: &Document) -> Result<Document, MongoError> {
    let reply = open_change_stream(set, doc! { "resumeAfter": token.clone() })?;
    let cursor = reply.get_document("cursor").unwrap();
    if !cursor.get_array("firstBatch").unwrap().is_empty() {
        return Ok(reply);
    }
    let more = doc! { "getMore": cursor.get_i64("id").unwrap(), "collection": "kept" };
    set.run_command("evnats", more)
}

#[test]
fn a_change_stream_cannot_be_resumed_from_before_the_oplog() {
    let set = replica_set!(ReplicaSet::builder().trimmable_oplog());
    insert(&set, 1).unwrap();
    let token = resume_token(&set);
    insert(&set, 2).unwrap();
    resume(&set, &token).unwrap();
    set.trim_oplog();
    let error = resume(&set, &token).unwrap_err();
    assert_eq!(error.code(), Some(286), "{error}");
}

#[test]
fn arguments_and_parameters_reach_the_server() {
    let set =
        replica_set!(ReplicaSet::builder().oplog_mb(17).parameter("cursorTimeoutMillis=4321"));
    let get = doc! { "getParameter": 1, "cursorTimeoutMillis": 1 };
    let reply = set.run_command("admin", get).unwrap();
    assert_eq!(reply.get("cursorTimeoutMillis").unwrap().as_i64(), Some(4321), "{reply}");
    let reply = set.run_command("local", doc! { "collStats": "oplog.rs", "scale": 1 << 20 });
    assert_eq!(reply.unwrap().get_i32("maxSize").unwrap(), 17);
}

#[test]
fn a_bad_argument_is_explained() {
    let _needs_a_mongod = mongo_database!();
    let error = ReplicaSet::builder().argument("--no-such-argument").start().unwrap_err();
    assert!(matches!(error, MongoError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no-such-argument"), "{error}");
}

fn collections(database: &MongoDatabase) -> Vec<String> {
    let reply = database.run_command(doc! { "listCollections": 1, "nameOnly": true }).unwrap();
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.iter().map(|entry| entry.as_document().unwrap().get_str("name").unwrap().into()).collect()
}

#[test]
fn databases_are_fresh_and_share_a_set() {
    let first = mongo_database!();
    let second = mongo_database!();
    assert_eq!(first.uri(), second.uri());
    assert_ne!(first.name(), second.name());
    first.run_command(doc! { "insert": "rows", "documents": [{ "_id": 1 }] }).unwrap();
    assert_eq!(collections(&first), ["rows"]);
    assert!(collections(&second).is_empty());
}
