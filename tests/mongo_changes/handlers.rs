//! Dispatch functions that panic, stop their watcher, and use it while they run.

use super::world::{World, listen};
use evnats::mongo::bson::doc;
use evnats::mongo::{StopReason, WatchState};
use evnats_harness::{MongoDatabase, mongo_database};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Turns until something is so, over the panics of callbacks, which are counted.
fn until_over_panics(world: &World, done: impl Fn() -> bool) -> usize {
    let limit = Instant::now() + super::world::PATIENCE;
    let mut panics = 0;
    while !done() {
        assert!(Instant::now() < limit, "it does not go on");
        let turn = || world.event_loop.dispatch(&mut (), Some(Duration::from_millis(20))).map(drop);
        panics += usize::from(catch_unwind(AssertUnwindSafe(turn)).is_err());
    }
    panics
}

/// Inserts three rows in one command, without a turn of the loop, in which dispatch functions run.
fn insert(database: &MongoDatabase) {
    let rows: Vec<_> = (0..3).map(|id| doc! { "_id": id }).collect();
    database.run_command(doc! { "insert": "orders", "documents": rows }).expect("inserted");
}

/// A function that panics twice, at the second row.
fn panic_twice(database: &MongoDatabase, answers_later: bool) {
    let world = World::new(database.uri(), database.name());
    let panics_left = Rc::new(Cell::new(2));
    let left = panics_left.clone();
    let panic_at_times = move |id: Option<i32>| {
        if id == Some(1) && left.get() > 0 {
            left.set(left.get() - 1);
            panic!("in a dispatch function, as a test wants it");
        }
    };
    let seen = Rc::new(RefCell::new(Vec::new()));
    let is_live = Rc::new(Cell::new(false));
    let stopped: Rc<RefCell<Option<StopReason>>> = Rc::default();
    let (noted, live, end) = (seen.clone(), is_live.clone(), stopped.clone());
    let watch = world.mongo.watch(world.stream().retry_dispatch()).resume(world.store());
    let watch = match answers_later {
        true => watch.dispatch_later(move |(), _, ack| {
            let id = ack.event().document_id().and_then(|id| id.as_i32());
            panic_at_times(id);
            noted.borrow_mut().push(id);
            ack.ok();
        }),
        false => watch.dispatch(move |(), _, event, _| {
            let id = event.document_id().and_then(|id| id.as_i32());
            panic_at_times(id);
            noted.borrow_mut().push(id);
            Ok(())
        }),
    };
    let watcher = watch
        .on_state(move |(), _, state| live.set(live.get() || matches!(state, WatchState::Live)))
        .start(move |(), _, reason| drop(end.replace(Some(reason))));
    world.until("the stream", || is_live.get());
    insert(database);
    let panics = until_over_panics(&world, || seen.borrow().last() == Some(&Some(2)));
    assert_eq!(panics, 2);
    // one that panics comes again, and what was given out behind it, too
    let mut rows = seen.borrow().clone();
    rows.dedup();
    rows.sort();
    rows.dedup();
    assert_eq!(rows, [Some(0), Some(1), Some(2)], "{:?}", seen.borrow());
    watcher.stop();
    world.until("the end", || stopped.borrow().is_some());
    assert!(matches!(*stopped.borrow(), Some(StopReason::Stopped)));
}

#[test]
fn a_change_whose_dispatch_panics_has_failed_and_the_loop_goes_on() {
    let database = mongo_database!();
    panic_twice(&database, false);
}

#[test]
fn a_change_whose_later_dispatch_panics_has_failed_and_the_loop_goes_on() {
    let database = mongo_database!();
    panic_twice(&database, true);
}

#[test]
fn a_panic_stops_a_watcher_that_does_not_try_again_before_the_change() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let is_live = Rc::new(Cell::new(false));
    let stopped: Rc<RefCell<Option<StopReason>>> = Rc::default();
    let (live, end) = (is_live.clone(), stopped.clone());
    world
        .mongo
        .watch(world.stream())
        .resume(world.store())
        .dispatch(|(), _, event, _| {
            let id = event.document_id().and_then(|id| id.as_i32());
            assert!(id != Some(1), "in a dispatch function, as a test wants it");
            Ok(())
        })
        .on_state(move |(), _, state| live.set(live.get() || matches!(state, WatchState::Live)))
        .start(move |(), _, reason| drop(end.replace(Some(reason))));
    world.until("the stream", || is_live.get());
    insert(&database);
    assert_eq!(until_over_panics(&world, || stopped.borrow().is_some()), 1);
    assert!(matches!(*stopped.borrow(), Some(StopReason::Dispatch(_))));
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the rest", || told.ids() == [1, 2]);
    world.stop(&watcher, &told);
}

#[test]
fn a_watcher_is_stopped_and_asked_and_another_one_started_from_inside_a_dispatch() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let is_live = Rc::new(Cell::new(false));
    let stopped: Rc<RefCell<Option<StopReason>>> = Rc::default();
    let inner: Rc<RefCell<Option<_>>> = Rc::default();
    let (noted, live, end, another) =
        (seen.clone(), is_live.clone(), stopped.clone(), inner.clone());
    let stream = world.stream();
    let again = stream.clone();
    let told_elsewhere = Rc::new(Cell::new(0));
    let elsewhere = told_elsewhere.clone();
    let watcher = world
        .mongo
        .watch(stream)
        .resume(world.store())
        .dispatch(move |(), watcher, event, _| {
            noted.borrow_mut().push(event.document_id().and_then(|id| id.as_i32()));
            assert_eq!(watcher.metrics().in_flight, 1, "this one");
            assert!(watcher.position().is_some());
            if noted.borrow().len() == 2 {
                // twice is once
                watcher.stop();
                watcher.stop();
                assert!(watcher.is_stopped());
                another.replace(Some(listen(watcher.mongo().watch(again.clone()))));
                let elsewhere = elsewhere.clone();
                watcher.mongo().ping(move |(), _, answer| {
                    elsewhere.set(elsewhere.get() + u32::from(answer.is_ok()));
                });
            }
            Ok(())
        })
        .on_state(move |(), watcher, state| {
            live.set(live.get() || matches!(state, WatchState::Live));
            let _ = watcher.metrics();
        })
        .start(move |(), watcher, reason| {
            watcher.stop();
            assert!(end.replace(Some(reason)).is_none(), "told twice");
        });
    world.until("the stream", || is_live.get());
    let before = watcher.position();
    world.until("a position", || watcher.position().is_some() || before.is_some());
    world.insert(0..5);
    world.until("the end", || stopped.borrow().is_some() && told_elsewhere.get() == 1);
    assert!(matches!(*stopped.borrow(), Some(StopReason::Stopped)));
    assert_eq!(*seen.borrow(), [Some(0), Some(1)], "nothing comes behind a stop");
    let (other, told) = inner.take().expect("another one");
    world.until("the other one's stream", || told.is_live());
    world.insert(10..11);
    world.until("its change", || told.ids().last() == Some(&10));
    world.stop(&other, &told);
    // the change within which it was stopped is done
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the rest", || told.ids() == [2, 3, 4, 10]);
    world.stop(&watcher, &told);
}
