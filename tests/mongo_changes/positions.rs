//! Where a watcher goes on: what is saved, and when.

use super::world::{PATIENCE, Told, World};
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{MongoResumeStore, ResumePoint, ResumeStore, StopReason};
use evnats_harness::mongo_database;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[test]
fn a_stop_and_a_start_repeat_nothing_and_lose_nothing() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..500);
    world.until("the changes", || told.ids().len() >= 200);
    world.stop(&watcher, &told);
    world.insert(500..600);
    let other = world.again(database.uri());
    let (_, later) = other.watch(other.stream(), other.store());
    other.until("the rest", || told.ids().len() + later.ids().len() >= 600);
    let all: Vec<_> = told.ids().into_iter().chain(later.ids()).collect();
    assert_eq!(all, (0..600).collect::<Vec<_>>());
    drop(world.client);
    drop(other.client);
}

#[test]
fn only_what_is_done_in_a_row_is_saved() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(20));
    let (_, told) = world.watch_slowly(stream.clone());
    world.until("the stream", || told.is_live());
    world.insert(0..10);
    world.until("the changes", || told.acks.borrow().len() == 10);
    // 4 is done behind a gap; 0 to 2 are done in a row
    let mut acks: Vec<_> = told.acks.take().into_iter().map(Some).collect();
    for index in [4, 2, 1, 0] {
        acks[index].take().expect("an answer").ok();
    }
    let third = told.events.borrow()[2].token().clone();
    let is_third = |stored: Option<ResumePoint>| stored.is_some_and(|point| point.token == third);
    let deadline = Instant::now() + PATIENCE;
    while !is_third(world.stored()) {
        assert!(Instant::now() < deadline, "the third is saved");
    }
    // the process dies
    let other = world.again(database.uri());
    drop(world);
    let (_, later) = other.watch(stream, other.store());
    other.until("the rest", || later.ids().len() >= 7);
    assert_eq!(later.ids(), (3..10).collect::<Vec<_>>());
    drop(acks);
}

#[test]
fn the_position_moves_on_though_nothing_happens_here() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(20));
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    let elsewhere = database.name().to_owned();
    let mut positions = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while positions.len() < 3 {
        assert!(Instant::now() < deadline, "{positions:?}");
        let name = elsewhere.clone();
        world.run(async move |client| {
            let others = client.database(&name).collection::<Document>("others");
            others.insert_one(doc! {}).await
        });
        positions.extend(world.stored().map(|point| point.token.data().map(str::to_owned)));
        positions.dedup();
    }
    assert_eq!(told.operations(), [] as [&str; 0]);
    world.stop(&watcher, &told);
}

#[test]
fn two_instances_with_one_position_do_not_overwrite_each_other() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(20));
    let (_, one) = world.watch(stream.clone(), world.store());
    let (_, two) = world.watch(stream, world.store());
    world.until("both streams", || one.is_live() && two.is_live());
    world.insert(0..50);
    world.until("the end of one", || one.is_stopped() || two.is_stopped());
    let fenced = |told: &Told| matches!(*told.stopped.borrow(), Some(StopReason::Fenced));
    assert!(fenced(&one) || fenced(&two));
    assert!(!(one.is_stopped() && two.is_stopped()), "one goes on");
    let left = if one.is_stopped() { &two } else { &one };
    world.until("all", || left.ids().len() >= 50);
    assert_eq!(left.ids(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_position_in_a_collection_is_as_good() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let store = || MongoResumeStore::new(&world.mongo, database.name(), "positions", "orders");
    let (watcher, told) = world.watch(world.stream(), store());
    world.until("the stream", || told.is_live());
    world.insert(0..20);
    world.until("the changes", || told.ids().len() >= 20);
    world.stop(&watcher, &told);
    world.insert(20..30);
    let (watcher, later) = world.watch(world.stream(), store());
    world.until("the rest", || later.ids().len() >= 10);
    assert_eq!(later.ids(), (20..30).collect::<Vec<_>>());
    world.stop(&watcher, &later);

    let last = later.events.borrow().last().expect("an event").resume_point();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (time, old, own) = (seen.clone(), seen.clone(), seen.clone());
    store().get_time(Box::new(move |(), found| {
        time.borrow_mut().push(format!("{:?}", found.expect("a time")));
        Ok(())
    }));
    world.until("the time", || seen.borrow().len() == 1);
    // a position that is stored no more is left alone
    let first = told.events.borrow()[0].resume_point();
    store().delete(
        &first,
        Box::new(move |(), deleted| {
            old.borrow_mut().push(format!("{deleted:?}"));
            Ok(())
        }),
    );
    world.until("no deletion", || seen.borrow().len() == 2);
    store().save(
        &last,
        None,
        Box::new(move |(), saved| {
            own.borrow_mut().push(format!("{saved:?}"));
            Ok(())
        }),
    );
    world.until("a conflict", || seen.borrow().len() == 3);
    let expected = [format!("{:?}", last.timestamp), "Ok(())".to_owned(), "Err(Fenced)".to_owned()];
    assert_eq!(*seen.borrow(), expected);
}
