//! What is watched is dropped, and made again.

use super::world::{World, listen};
use evnats::mongo::bson::doc;
use evnats::mongo::{Ack, Backoff, ChangeStream, Error, StopReason, WatchState};
use evnats_harness::{MongoStandIn, Reply, mongo_database};
use std::time::Duration;

#[test]
fn a_collection_that_is_dropped_and_made_again_is_watched_on() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..2);
    world.command(doc! { "drop": "orders" });
    world.insert(10..12);
    world.until("all", || told.ids().len() >= 4);
    assert_eq!(told.operations(), ["insert", "insert", "drop", "invalidate", "insert", "insert"]);
    assert!(told.has(|state| matches!(state, WatchState::Invalidated)));
    world.command(doc! { "drop": "orders" });
    world.command(doc! { "create": "orders" });
    world.command(doc! { "drop": "orders" });
    world.insert(20..21);
    world.until("what is behind two more", || told.ids().len() >= 5);
    assert_eq!(told.ids(), [0, 1, 10, 11, 20]);
    world.stop(&watcher, &told);
}

#[test]
fn an_invalidate_is_gone_on_from_also_by_another_process() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.command(doc! { "drop": "orders" });
    world.until("the invalidate", || told.acks.borrow().len() == 3);
    watcher.stop();
    told.acks.take().into_iter().for_each(Ack::ok);
    world.until("the end", || told.is_stopped());
    let operation = world.stored().and_then(|point| point.operation_type);
    assert_eq!(operation, Some("invalidate".to_owned()));
    world.insert(5..6);
    let other = world.again(database.uri());
    let (_, later) = other.watch(other.stream(), other.store());
    other.until("the rest", || !later.ids().is_empty());
    assert_eq!(later.ids(), [5]);
}

#[test]
fn a_collection_that_is_renamed_is_watched_on_under_its_name() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    let [from, to] = ["orders", "archive"].map(|name| format!("{}.{name}", database.name()));
    world.run(async move |client| {
        client.database("admin").run_command(doc! { "renameCollection": from, "to": to }).await
    });
    world.insert(1..3);
    world.until("what is behind it", || told.ids().len() >= 3);
    assert_eq!(told.operations(), ["insert", "rename", "invalidate", "insert", "insert"]);
    assert_eq!(told.ids(), [0, 1, 2]);
    world.stop(&watcher, &told);
}

#[test]
fn a_database_that_is_dropped_is_watched_on() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    for whole in [false, true] {
        let stream = match whole {
            true => ChangeStream::on_database(database.name())
                .max_await_time(Duration::from_millis(100)),
            false => world.stream(),
        };
        let (watcher, told) = listen(world.mongo.watch(stream));
        world.until("the stream", || told.is_live());
        world.insert(0..1);
        world.command(doc! { "dropDatabase": 1 });
        world.insert(1..2);
        world.until("what is behind it", || told.ids().len() >= 2);
        let expected = match whole {
            true => &["insert", "drop", "dropDatabase", "invalidate", "insert"][..],
            false => &["insert", "drop", "invalidate", "insert"],
        };
        assert_eq!(told.operations(), expected);
        assert!(told.has(|state| matches!(state, WatchState::Invalidated)));
        world.stop(&watcher, &told);
        world.command(doc! { "drop": "orders" });
    }
}

/// A server ends the stream without a word then.
#[test]
fn one_whose_pipeline_hides_the_invalidate_goes_on() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let inserts = doc! { "$match": { "operationType": "insert" } };
    let (watcher, told) = world.watch(world.stream().pipeline([inserts]), world.store());
    world.until("the stream", || told.is_live());
    for id in 0..4 {
        world.insert(id..id + 1);
        world.until("the row", || told.ids().last() == Some(&id));
        let lives = told.lives();
        world.command(doc! { "drop": "orders" });
        world.until("the stream again", || told.lives() > lives);
    }
    assert_eq!(told.operations(), ["insert"; 4]);
    assert!(!told.has(|state| matches!(state, WatchState::Reset { .. })));
    world.stop(&watcher, &told);
}

#[test]
fn a_stream_that_ends_again_and_again_without_a_word_ends_the_watcher() {
    // as a server does that is asked to go on behind an invalidate that it does not show
    let stand_in = MongoStandIn::start(|request| match request.command() {
        "getMore" => Reply::next_batch(0, Vec::new()),
        _ => Reply::Usual,
    });
    let world = World::new(stand_in.uri(), "shop");
    let pause = Backoff::new().first(Duration::from_millis(10)).attempts(3);
    let (watcher, told) = world.watch(world.stream().backoff(pause), world.store());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Failed(Error::StreamEnded))), "{stopped:?}");
    assert_eq!(watcher.metrics().openings, 4);
}
