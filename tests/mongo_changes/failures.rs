//! Servers that fail, and what can never work.

use super::world::World;
use evnats::mongo::bson::doc;
use evnats::mongo::{Error, StopReason, WatchState};
use evnats_harness::{ReplicaSet, mongo_database, replica_set};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn what_can_never_work_stops_the_watcher_at_once() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().pipeline([doc! { "$noSuchStage": {} }]);
    let (_, told) = world.watch(stream, world.store());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Failed(Error::Server(_)))), "{stopped:?}");
    assert!(!told.has(|state| matches!(state, WatchState::Waiting { .. })));
}

#[test]
fn a_watcher_with_a_wrong_password_stops_at_once() {
    let database = mongo_database!();
    let uri = database.uri().replace("://", "://nobody:hunter2@");
    let world = World::new(&uri, database.name());
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(
        matches!(&*stopped, Some(StopReason::Failed(Error::Authentication { .. }))),
        "{stopped:?}"
    );
    assert!(!told.has(|state| matches!(state, WatchState::Waiting { .. })));
}

#[test]
fn a_stream_goes_on_over_step_downs_and_the_death_of_the_server() {
    let mut set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..50);
    world.until("the first", || told.ids().len() >= 50);
    set.step_down(1);
    set.wait_ready();
    world.insert(50..100);
    world.until("what is behind the step-down", || told.ids().len() >= 100);
    set.kill(0);
    world.until("a pause", || told.has(|state| matches!(state, WatchState::Waiting { .. })));
    set.restart(0);
    set.wait_ready();
    world.insert(100..150);
    world.until("what is behind the death", || told.ids().len() >= 150);
    assert_eq!(told.ids(), (0..150).collect::<Vec<_>>());
    world.stop(&watcher, &told);
}

#[test]
fn a_closed_connection_ends_a_watcher() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    let is_closed = Rc::new(Cell::new(false));
    let closed = is_closed.clone();
    world.mongo.close(move |(), _, ()| closed.set(true));
    world.until("the end", || told.is_stopped() && is_closed.get());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Failed(Error::Closed))), "{stopped:?}");
}
