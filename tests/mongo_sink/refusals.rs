//! What a stream cannot take ends the watcher, with the reason, and not in a loop.

use crate::support::{unique, url_for};
use crate::world::World;
use evnats::jetstream;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{Error, StopReason};
use evnats_harness::{Server, mongo_database};

/// Why the watcher has ended.
#[track_caller]
fn reason(world: &World) -> Error {
    let (_, told) = world.publish(world.changes());
    world.until("the changes", || told.is_live() || told.is_stopped());
    if !told.is_stopped() {
        world.insert(0..3);
    }
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.take();
    match stopped {
        Some(StopReason::Sink(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn of_jetstream(error: Error) -> jetstream::Error {
    match error {
        Error::JetStream(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_does_not_exist_is_told_so() {
    let database = mongo_database!();
    let url = crate::support::server().url();
    let world = World::on(&url, database.uri(), database.name(), &unique("NONE"));
    assert!(of_jetstream(reason(&world)).is_not_found());
}

#[test]
fn a_server_without_jetstream_is_told_so() {
    let database = mongo_database!();
    let server = Server::builder().jetstream(false).start().expect("a server");
    let world = World::on(&server.url(), database.uri(), database.name(), "NONE");
    assert_eq!(reason(&world), Error::NoJetStream);
}

#[test]
fn a_stream_that_is_deleted_ends_the_watcher() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.publish_live(world.changes());
    world.insert(0..10);
    world.until_stored(10);
    let stream = world.stream.clone();
    world
        .ask(|done| world.js.delete_stream(&stream, move |(), _, deleted| done(deleted)))
        .expect("it is deleted");
    world.insert(10..20);
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.take();
    let Some(StopReason::Sink(error)) = stopped else { panic!("{stopped:?}") };
    assert!(of_jetstream(error).is_not_found());
}

#[test]
fn a_stream_that_is_made_anew_is_another_one() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.publish_live(world.changes());
    world.insert(0..10);
    world.until_stored(10);
    let stream = world.stream.clone();
    world
        .ask(|done| world.js.delete_stream(&stream, move |(), _, deleted| done(deleted)))
        .expect("it is deleted");
    world.create(|config| config);
    world.insert(10..20);
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.take();
    let Some(StopReason::Sink(error)) = stopped else { panic!("{stopped:?}") };
    assert_eq!(of_jetstream(error), jetstream::Error::StreamRecreated);
    assert_eq!(world.count(), 0);
}

#[test]
fn a_subject_that_is_not_permitted_ends_the_watcher() {
    let database = mongo_database!();
    let config = "accounts { A { jetstream: enabled, users: [ \
        {user: all, password: p}, \
        {user: few, password: p, permissions: {publish: {deny: \"*.*.*.insert\"}}}] } }";
    let server = Server::builder().config(config).start().expect("a server");
    let stream = unique("CHANGES");
    let url = |user| url_for(&server, user);
    World::on(&url("all"), database.uri(), database.name(), &stream).create(|config| config);
    let world = World::on(&url("few"), database.uri(), database.name(), &stream);
    assert!(of_jetstream(reason(&world)).is_denied());
}

#[test]
fn a_subject_that_the_stream_does_not_have_ends_the_watcher() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let nowhere = world.sink().prefix(unique("nowhere"));
    let (_, told) = world.start(world.mongo.watch(world.changes()).publish_to(nowhere));
    world.until_live(&told);
    world.insert(0..3);
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.take();
    let Some(StopReason::Sink(error)) = stopped else { panic!("{stopped:?}") };
    assert!(of_jetstream(error).is_no_responders());
}

#[test]
fn a_change_that_is_too_large_ends_the_watcher_before_it() {
    let database = mongo_database!();
    let server = Server::builder().config("max_payload: 4096").start().expect("a server");
    let world = World::on(&server.url(), database.uri(), database.name(), &unique("CHANGES"));
    world.create(|config| config);
    let (_, told) = world.publish_live(world.changes());
    world.insert(0..5);
    let name = world.database.clone();
    world.run(async move |client| {
        let orders = client.database(&name).collection::<Document>("orders");
        orders.insert_one(doc! { "_id": 5, "text": "x".repeat(5_000) }).await
    });
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.take();
    let Some(StopReason::Sink(error)) = stopped else { panic!("{stopped:?}") };
    assert!(!error.is_temporary(), "{error}");
    assert_eq!(world.count(), 5);
}
