//! Sinks of which one publishes, the one that leads.

use crate::support::{assert_same, unique};
use crate::world::{Told, Watcher, World, ids};
use evnats::kv::{Config, ElectionOptions, KeyValue};
use evnats::mongo::{KvResumeStore, WatchState};
use evnats_harness::mongo_database;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const KEY: &str = "lease";

fn leases(world: &World) -> KeyValue<()> {
    let bucket = world.js.key_value(&unique("leases"));
    let made = world.ask(|done| bucket.create_bucket(Config::new(), move |(), _, made| done(made)));
    made.expect("a bucket");
    bucket
}

fn stand(world: &World, bucket: &KeyValue<()>, name: &str) -> (Watcher, Rc<Told>) {
    let options = ElectionOptions::new(name).ttl(Duration::from_secs(2));
    // until the first change is in the stream, the position is in the store only
    let store = KvResumeStore::new(bucket, "position");
    let watch = world.mongo.watch(world.changes()).resume(store).lease(bucket, KEY, options);
    world.start(watch.publish_to(world.sink()))
}

#[test]
fn of_two_one_publishes_and_the_other_one_goes_on_when_it_stops() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let bucket = leases(&world);
    let (one, told) = stand(&world, &bucket, "one");
    world.until_live(&told);
    let (two, later) = stand(&world, &bucket, "two");
    world.insert(0..100);
    world.until_stored(100);
    assert!(!later.is_live());
    world.insert(100..200);
    world.stop(&one, &told);
    world.insert(200..300);
    world.until_stored(300);
    world.stop(&two, &later);
    assert_same(&ids(&world.stored()), &(0..300).collect::<Vec<_>>());
}

/// Each time, what was on its way is given up, and the stream is asked where to go on.
#[test]
fn a_lead_that_is_lost_again_and_again_loses_and_repeats_nothing() {
    let database = mongo_database!();
    let world = World::with(database.uri(), database.name(), |config| {
        config.duplicate_window(Duration::from_millis(100))
    });
    let bucket = leases(&world);
    let watchers = ["one", "two"].map(|name| stand(&world, &bucket, name));
    let count = |wanted: fn(&WatchState) -> bool| {
        let states = |(_, told): &(Watcher, Rc<Told>)| {
            told.states.borrow().iter().filter(|state| wanted(state)).count()
        };
        watchers.iter().map(states).sum::<usize>()
    };
    let standbys = || count(|state| matches!(state, WatchState::Standby));
    let lives = || count(|state| matches!(state, WatchState::Live));
    for round in 0..6 {
        // the lease of a leader is deleted, and not what is left of one
        world.until("a leader", || lives() > round);
        world.until("a position", || watchers.iter().any(|(one, _)| one.metrics().saves > 0));
        let (before, first) = (standbys(), 100 * i32::try_from(round).expect("few"));
        world.insert(first..first + 50);
        let is_deleted = Rc::new(Cell::new(false));
        let deleted = is_deleted.clone();
        bucket.delete(KEY, move |(), _, done| deleted.set(done.is_ok()));
        world.insert(first + 50..first + 100);
        world.until("a lost lead", || is_deleted.get() && standbys() > before);
    }
    world.until_stored(600);
    for (watcher, told) in &watchers {
        world.stop(watcher, told);
    }
    assert_same(&ids(&world.stored()), &(0..600).collect::<Vec<_>>());
}
