//! Changes of transactions: stored as a whole where that can be.

use crate::support::{assert_same, level, server};
use crate::world::{World, header, ids};
use evnats::jetstream::StoredMessage;
use evnats::mongo::WatchState;
use evnats::mongo::bson::doc;
use evnats_harness::{FailTimes, ReplicaSet, mongo_database, replica_set, requires};
use std::collections::HashSet;
use std::time::Duration;

fn parts(stored: &[StoredMessage]) -> Vec<String> {
    stored.iter().map(|message| header(message, "Mongo-Txn-Part")).collect()
}

fn batches(stored: &[StoredMessage]) -> Vec<String> {
    stored.iter().map(|message| header(message, "Nats-Batch-Id")).collect()
}

/// Also the last one of all, behind which nothing comes.
#[test]
fn a_transaction_is_stored_as_one_batch() {
    requires!(server(), 2, 12);
    let database = mongo_database!();
    let world = World::with(database.uri(), database.name(), |config| config.allow_atomic(true));
    world.command(doc! { "create": "orders" });
    // far less credit than changes of a transaction
    let (watcher, told) = world.publish_live(world.changes().credit(4, 1_000));
    world.insert(0..2);
    world.transact(2..52);
    world.insert(52..54);
    world.transact(54..57);
    world.until_stored(57);
    world.stop(&watcher, &told);
    let stored = world.stored();
    assert_same(&ids(&stored), &(0..57).collect::<Vec<_>>());
    let (parts, batches) = (parts(&stored), batches(&stored));
    let whole = |count: usize| (1..=count).map(move |part| format!("{part} of {count}"));
    let none = || std::iter::repeat_n(String::new(), 2);
    let expected: Vec<_> = none().chain(whole(50)).chain(none()).chain(whole(3)).collect();
    assert_same(&parts, &expected);
    for (range, is_batch) in [(0..2, false), (2..52, true), (52..54, false), (54..57, true)] {
        let of_range: HashSet<_> = batches[range].iter().collect();
        assert_eq!(of_range.len(), 1);
        assert_eq!(of_range.iter().all(|batch| !batch.is_empty()), is_batch);
    }
    assert_eq!(batches.iter().collect::<HashSet<_>>().len(), 3);
    let transactions: HashSet<_> =
        stored.iter().map(|message| header(message, "Mongo-Txn")).collect();
    assert_eq!(transactions.len(), 3, "{transactions:?}");
}

#[test]
fn one_that_is_larger_than_a_batch_tells_how_many_there_are() {
    let database = mongo_database!();
    let world =
        World::with(database.uri(), database.name(), |config| config.allow_atomic(level() >= 2));
    world.command(doc! { "create": "orders" });
    let (watcher, told) = world.publish_live(world.changes());
    world.transact(0..1_500);
    world.until_stored(1_500);
    world.stop(&watcher, &told);
    let stored = world.stored();
    assert_same(&ids(&stored), &(0..1_500).collect::<Vec<_>>());
    let expected: Vec<_> = (1..=1_500).map(|part| format!("{part} of 1500")).collect();
    assert_same(&parts(&stored), &expected);
    assert!(batches(&stored).iter().all(String::is_empty));
}

#[test]
fn one_that_is_too_large_to_be_held_goes_out_as_it_comes() {
    let database = mongo_database!();
    let world =
        World::with(database.uri(), database.name(), |config| config.allow_atomic(level() >= 2));
    world.command(doc! { "create": "orders" });
    let sink = world.sink().largest_transaction(10, 1 << 20);
    let changes = world.changes().credit(4, 100_000);
    let (watcher, told) = world.start(world.mongo.watch(changes).publish_to(sink));
    world.until_live(&told);
    world.transact(0..30);
    world.until_stored(30);
    world.stop(&watcher, &told);
    let stored = world.stored();
    assert_same(&ids(&stored), &(0..30).collect::<Vec<_>>());
    let parts = parts(&stored);
    let expected: Vec<_> =
        (1..30).map(|part| part.to_string()).chain(["30 of 30".to_owned()]).collect();
    assert_same(&parts, &expected);
}

/// The stream takes no batches, and the last messages are deleted: what is left of the transaction is
/// counted on.
#[test]
fn without_batches_it_goes_out_one_by_one_and_is_gone_on_with_in_its_middle() {
    let database = mongo_database!();
    let world = World::with(database.uri(), database.name(), |config| {
        config.duplicate_window(Duration::from_millis(100))
    });
    world.command(doc! { "create": "orders" });
    let (watcher, told) = world.publish_live(world.changes());
    world.transact(0..7);
    world.until_stored(7);
    world.stop(&watcher, &told);
    let expected: Vec<_> = (1..=7).map(|part| format!("{part} of 7")).collect();
    assert_same(&parts(&world.stored()), &expected);
    for sequence in 4..=7 {
        let stream = world.stream.clone();
        world
            .ask(|done| {
                world.js.delete_message(&stream, sequence, move |(), _, deleted| done(deleted));
            })
            .expect("it is deleted");
    }
    world.forget_ids(Duration::from_secs(1));
    let (watcher, told) = world.publish_live(world.changes());
    world.until_stored(7);
    world.stop(&watcher, &told);
    let stored = world.stored();
    assert_same(&ids(&stored), &(0..7).collect::<Vec<_>>());
    assert_same(&parts(&stored), &expected);
}

/// The stream of changes fails while the changes of a transaction are held.
#[test]
fn what_is_held_comes_again_when_the_stream_of_changes_fails() {
    requires!(server(), 2, 12);
    let set = replica_set!(ReplicaSet::builder());
    let world = World::with(&set.uri(), "shop", |config| config.allow_atomic(true));
    world.command(doc! { "create": "orders" });
    let changes = world.changes().max_await_time(Duration::from_secs(1));
    let (watcher, told) = world.publish_live(changes);
    world.insert(0..1);
    world.until_stored(1);
    let failing = doc! { "failCommands": ["getMore"], "errorCode": 91 };
    let _failing = set.fail_command(FailTimes::Times(1), failing);
    world.transact(1..6);
    world.until_stored(6);
    world.stop(&watcher, &told);
    let states = told.states.borrow();
    assert!(states.iter().any(|state| matches!(state, WatchState::Waiting { .. })), "{states:?}");
    let stored = world.stored();
    assert_same(&ids(&stored), &(0..6).collect::<Vec<_>>());
    let batch = header(&stored[1], "Nats-Batch-Id");
    assert!(!batch.is_empty() && batches(&stored)[1..].iter().all(|other| *other == batch));
}
