//! What is watched is dropped, and made again.

use super::world::World;
use evnats::mongo::bson::doc;
use evnats::mongo::{Ack, WatchState};
use evnats_harness::mongo_database;

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
