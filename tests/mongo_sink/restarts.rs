//! Where a sink goes on, and who may publish.

use crate::support::{assert_same, server, unique};
use crate::world::{World, header, ids};
use evnats::jetstream::{PublishOptions, PurgeOptions};
use evnats::kv;
use evnats::mongo::{Backoff, Error, KvResumeStore, StopReason};
use evnats_harness::{FaultProxy, mongo_database};
use std::time::{Duration, Instant};

#[test]
fn a_stop_and_a_start_publish_each_change_once() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.publish_live(world.changes());
    world.insert(0..500);
    world.until_stored(1);
    world.stop(&watcher, &told);
    world.insert(500..600);
    let other = world.again(database.uri());
    let (watcher, told) = other.publish_live(other.changes());
    other.insert(600..700);
    other.until_stored(700);
    other.stop(&watcher, &told);
    assert_same(&ids(&other.stored()), &(0..700).collect::<Vec<_>>());
}

/// The server knows ids for two seconds only.
#[test]
fn each_change_is_published_once_also_when_the_server_has_forgotten_its_id() {
    let database = mongo_database!();
    let world = World::with(database.uri(), database.name(), |config| {
        config.duplicate_window(Duration::from_secs(2))
    });
    let (_, told) = world.publish_live(world.changes());
    world.insert(0..50);
    world.until_stored(20);
    // it is dropped in the middle, as if it had died
    drop(told);
    let other = world.again(database.uri());
    drop(world);
    other.forget_ids(Duration::from_secs(3));
    let (watcher, told) = other.publish_live(other.changes());
    other.insert(50..60);
    other.until_stored(60);
    other.stop(&watcher, &told);
    assert_same(&ids(&other.stored()), &(0..60).collect::<Vec<_>>());
}

#[test]
fn one_that_was_left_for_dead_is_fenced_when_it_wakes_up() {
    let database = mongo_database!();
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let world = World::on(&proxy.url(), database.uri(), database.name(), &unique("CHANGES"));
    world.create(|config| config.duplicate_window(Duration::from_millis(100)));
    let (_, old) = world.publish_live(world.changes());
    world.insert(0..10);
    world.until_stored(10);
    proxy.stall_all();
    let other = world.again(database.uri());
    let (watcher, told) = other.publish_live(other.changes());
    other.insert(10..50);
    other.until_stored(50);
    proxy.resume_all();
    world.until("the end of the old one", || old.is_stopped());
    let stopped = old.stopped.borrow();
    assert!(matches!(*stopped, Some(StopReason::Fenced)), "{stopped:?}");
    other.insert(50..60);
    other.until_stored(60);
    other.stop(&watcher, &told);
    let stored = other.stored();
    assert_same(&ids(&stored), &(0..60).collect::<Vec<_>>());
    let mut writers: Vec<_> = stored.iter().map(|stored| header(stored, "Mongo-Writer")).collect();
    writers.dedup();
    assert_eq!(writers.len(), 2, "{writers:?}");
}

/// Both have the same changes to publish at the same time.
#[test]
fn of_two_on_one_stream_one_goes_on_and_no_change_is_published_twice() {
    let database = mongo_database!();
    let world = World::with(database.uri(), database.name(), |config| {
        config.duplicate_window(Duration::from_millis(100))
    });
    let (_, one) = world.publish_live(world.changes());
    let (_, two) = world.publish_live(world.changes());
    let mut inserted = 0;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !one.is_stopped() && !two.is_stopped() && Instant::now() < deadline {
        world.insert(inserted..inserted + 100);
        inserted += 100;
    }
    world.until_stored(u64::try_from(inserted).expect("positive"));
    assert_same(&ids(&world.stored()), &(0..i64::from(inserted)).collect::<Vec<_>>());
    for told in [one, two] {
        let stopped = told.stopped.borrow();
        assert!(matches!(*stopped, None | Some(StopReason::Fenced)), "{stopped:?}");
    }
}

#[test]
fn somebody_else_s_message_ends_the_watcher() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.publish_live(world.changes());
    world.insert(0..1);
    world.until_stored(1);
    let publish = |options: PublishOptions| {
        let subject = format!("{}.foreign", world.stream);
        world
            .ask(|done| {
                world.js.publish_with(&subject, "", &options, move |(), _, stored| done(stored));
            })
            .expect("a message");
    };
    publish(PublishOptions::new());
    world.insert(1..2);
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Fenced)));
    // and so it does at the start
    let (_, told) = world.publish(world.changes());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    let is_told =
        matches!(&*stopped, Some(StopReason::Sink(Error::ForeignMessage { sequence: 2, .. })));
    assert!(is_told, "{stopped:?}");
}

#[test]
fn of_the_stream_s_position_and_the_store_s_the_later_one_counts() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let positions = world.js.key_value(&unique("positions"));
    world
        .ask(|done| {
            positions.create_bucket(kv::Config::default(), move |(), _, made| done(made.map(drop)));
        })
        .expect("a bucket");
    let publish = || {
        let store = KvResumeStore::new(&positions, "orders");
        let changes = world.changes().save_every(1, Duration::from_millis(10));
        let builder = world.mongo.watch(changes).resume(store).publish_to(world.sink());
        let (watcher, told) = world.start(builder);
        world.until("the changes", || told.is_live() || told.is_stopped());
        (watcher, told)
    };
    let (watcher, told) = publish();
    world.insert(0..10);
    world.until_stored(10);
    world.stop(&watcher, &told);
    // the last messages are gone, and the store still knows that they were published
    let stream = world.stream.clone();
    for sequence in [9, 10] {
        world
            .ask(|done| {
                world.js.delete_message(&stream, sequence, move |(), _, deleted| done(deleted));
            })
            .expect("it is deleted");
    }
    let (watcher, told) = publish();
    world.insert(10..12);
    world.until_stored(10);
    world.stop(&watcher, &told);
    assert_same(&ids(&world.stored()), &(0..8).chain(10..12).collect::<Vec<_>>());
    // the whole stream is gone
    world
        .ask(|done| {
            world.js.purge_stream(&stream, &PurgeOptions::new(), move |(), _, purged| done(purged));
        })
        .expect("it is purged");
    let (watcher, told) = publish();
    world.insert(12..14);
    world.until_stored(2);
    world.stop(&watcher, &told);
    assert_eq!(ids(&world.stored()), [12, 13]);
}

/// What was published already comes again with what was not.
#[test]
fn a_dispatch_that_is_tried_again_publishes_nothing_twice() {
    let database = mongo_database!();
    // the server has forgotten the ids when changes come again
    let window = Duration::from_millis(100);
    let world =
        World::with(database.uri(), database.name(), |config| config.duplicate_window(window));
    let pause = Backoff::new().first(Duration::from_millis(700));
    let mut failures = 0;
    let builder = world
        .mongo
        .watch(world.changes().backoff(pause).retry_dispatch())
        .dispatch(move |(), _, event, _| {
            let id = event.document_id().and_then(|id| id.as_i32());
            if id.is_some_and(|id| id % 100 == 50) && failures < 6 {
                failures += 1;
                return Err(evnats::Error::other("not now"));
            }
            Ok(())
        })
        .publish_to(world.sink());
    let (watcher, told) = world.start(builder);
    world.until_live(&told);
    world.insert(0..300);
    world.until_stored(300);
    world.stop(&watcher, &told);
    assert_same(&ids(&world.stored()), &(0..300).collect::<Vec<_>>());
}
