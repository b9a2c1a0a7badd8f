//! Positions that the server has forgotten, and such as nobody can read.

use super::world::{Told, Watcher, World, listen};
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{
    Backoff, ChangeStream, Error, HistoryLost, MongoResumeStore, Resnapshot, ResumePoint,
    ResumeStore, ResumeToken, StopReason, WatchState,
};
use evnats_harness::{FailTimes, ReplicaSet, mongo_database, replica_set};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[test]
fn a_position_that_is_none_stops_the_watcher_and_is_kept() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let broken = ResumePoint::new(ResumeToken::from_data("no token at all"));
    let is_saved = Rc::new(Cell::new(false));
    let saved = is_saved.clone();
    world.store().save(
        &broken,
        None,
        Box::new(move |(), outcome| {
            saved.set(outcome.is_ok());
            Ok(())
        }),
    );
    world.until("the broken one", || is_saved.get());
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the end", || told.is_stopped());
    assert!(
        matches!(&*told.stopped.borrow(), Some(StopReason::HistoryLost(Error::Server(_)))),
        "{:?}",
        told.stopped.borrow()
    );
    assert_eq!(world.stored(), Some(broken));
    // unless the program wants to go on with what happens from now on
    let (watcher, told) =
        world.watch(world.stream().history_lost(HistoryLost::ResetToNow), world.store());
    world.until("the stream", || told.is_live());
    assert!(told.has(|state| matches!(state, WatchState::Reset { from: Some(_), .. })));
    world.insert(0..1);
    world.until("the change", || told.ids() == [0]);
    world.stop(&watcher, &told);
}

#[test]
fn a_position_that_the_server_forgets_is_told_so() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    let lost = doc! { "failCommands": ["getMore"], "errorCode": 286,
    "errorLabels": ["NonResumableChangeStreamError"] };
    let stream = world.stream().history_lost(HistoryLost::ResetToNow);
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    let failing = set.fail_command(FailTimes::Times(1), lost.clone());
    failing.wait_entered(1);
    world.until("a reset", || told.has(|state| matches!(state, WatchState::Reset { .. })));
    drop(failing);
    world.until("the stream again", || told.lives() >= 2);
    world.insert(0..1);
    world.until("the change", || told.ids() == [0]);
    // what is lost again and again without a change between ends
    let failing = set.fail_command(FailTimes::Always, lost);
    world.until("the end", || told.is_stopped());
    drop(failing);
    let stopped = told.stopped.borrow();
    assert!(
        matches!(&*stopped, Some(StopReason::HistoryLost(Error::Server(error))) if error.code == 286),
        "{stopped:?}"
    );
    let resets = told.count(|state| matches!(state, WatchState::Reset { .. }));
    assert_eq!(resets, 4, "one, and three in a row");
    drop(watcher);
}

/// The ways in which a server says that a position is no good any more: command and code.
const WAYS: [(&str, i32); 4] =
    [("aggregate", 286), ("getMore", 286), ("getMore", 280), ("getMore", 464)];

fn failing((command, code): (&str, i32)) -> Document {
    doc! { "failCommands": [command], "errorCode": code,
    "errorLabels": ["NonResumableChangeStreamError"] }
}

/// Has a watcher save the position of one row, and stop.
fn save_a_position(world: &World, id: i32) -> ResumePoint {
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(id..id + 1);
    world.until("the row", || told.ids().contains(&id));
    world.stop(&watcher, &told);
    world.stored().expect("a position")
}

#[test]
fn by_default_a_lost_position_stops_the_watcher_and_is_kept() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    for (id, way) in (0..).zip(WAYS) {
        let saved = save_a_position(&world, id);
        let failing = set.fail_command(FailTimes::Always, failing(way));
        let (watcher, told) = world.watch(world.stream(), world.store());
        world.until("the end", || told.is_stopped());
        drop(failing);
        let stopped = told.stopped.borrow();
        assert!(
            matches!(&*stopped, Some(StopReason::HistoryLost(Error::Server(error))) if error.code == way.1),
            "{way:?}: {stopped:?}"
        );
        assert_eq!(watcher.metrics().openings, 1);
        assert_eq!(world.stored(), Some(saved), "{way:?}");
    }
}

#[test]
fn a_position_that_is_lost_again_and_again_is_not_tried_often() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    for (id, way) in (0..).zip(WAYS) {
        save_a_position(&world, id);
        let failing = set.fail_command(FailTimes::Always, failing(way));
        let stream = world.stream().backoff(Backoff::default());
        let started = Instant::now();
        let (watcher, told) =
            world.watch(stream.history_lost(HistoryLost::ResetToNow), world.store());
        world.until("the end", || told.is_stopped());
        let took = started.elapsed();
        drop(failing);
        assert!(matches!(*told.stopped.borrow(), Some(StopReason::HistoryLost(_))), "{way:?}");
        let metrics = watcher.metrics();
        assert_eq!((metrics.openings, metrics.resets), (4, 3), "{way:?}");
        assert!(took > Duration::from_secs(1), "four in {took:?}");
    }
}

/// Watches, and is asked to read everything anew.
fn watch_anew(world: &World, stream: ChangeStream) -> (Watcher, Rc<Told>, Rc<Asked>) {
    let asked: Rc<Asked> = Rc::default();
    let asking = asked.clone();
    let stream = stream.history_lost(HistoryLost::Resnapshot);
    let watch = world.mongo.watch(stream).resume(world.store());
    let watch = watch.on_history_lost(move |(), _, resnapshot| {
        asking.borrow_mut().push_back(resnapshot);
    });
    let (watcher, told) = listen(watch);
    (watcher, told, asked)
}

type Asked = RefCell<VecDeque<Resnapshot>>;

#[test]
fn what_is_read_anew_and_what_comes_behind_it_leave_no_gap() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    for (round, way) in (0..).zip(WAYS) {
        let saved = save_a_position(&world, 10 * round);
        let failing = set.fail_command(FailTimes::Times(1), failing(way));
        let (watcher, told, asked) = watch_anew(&world, world.stream());
        world.until("a question", || !asked.borrow().is_empty());
        drop(failing);
        assert!(told.has(|state| matches!(state, WatchState::Resnapshot { .. })));
        let resnapshot = asked.borrow_mut().pop_front().expect("a question");
        assert_eq!(resnapshot.from().map(|from| &from.token), Some(&saved.token), "{way:?}");
        // while the program reads
        let first = 10 * round + 1;
        world.insert(first..first + 3);
        assert_eq!(told.ids(), [] as [i32; 0]);
        resnapshot.done();
        world.until("what has happened since", || told.ids().contains(&(first + 2)));
        world.insert(first + 3..first + 4);
        world.until("what happens then", || told.ids().contains(&(first + 3)));
        // the last change before may come, too: it was at that time
        let since: Vec<_> = told.ids().into_iter().filter(|id| *id >= first).collect();
        assert_eq!(since, (first..first + 4).collect::<Vec<_>>(), "{way:?}");
        world.stop(&watcher, &told);
        assert!(asked.borrow().is_empty());
    }
}

#[test]
fn who_cannot_read_anew_stops_the_watcher_and_the_position_is_kept() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    let saved = save_a_position(&world, 0);
    for is_dropped in [false, true] {
        let failing = set.fail_command(FailTimes::Times(1), failing(WAYS[0]));
        let (_, told, asked) = watch_anew(&world, world.stream());
        world.until("a question", || !asked.borrow().is_empty());
        drop(failing);
        let resnapshot = asked.borrow_mut().pop_front().expect("a question");
        match is_dropped {
            true => drop(resnapshot),
            false => resnapshot.fail(evnats::Error::other("the disk is full")),
        }
        world.until("the end", || told.is_stopped());
        assert!(matches!(*told.stopped.borrow(), Some(StopReason::Resnapshot(_))));
        assert_eq!(world.stored().as_ref(), Some(&saved));
    }
    // nobody is there to be asked
    let failing = set.fail_command(FailTimes::Times(1), failing(WAYS[0]));
    let stream = world.stream().history_lost(HistoryLost::Resnapshot);
    let (_, told) = world.watch(stream, world.store());
    world.until("the end", || told.is_stopped());
    drop(failing);
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::HistoryLost(_))));
}

#[test]
fn what_was_read_anew_and_is_lost_again_and_again_comes_to_an_end() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    save_a_position(&world, 0);
    let failing = set.fail_command(FailTimes::Always, failing(WAYS[1]));
    let (watcher, told, asked) = watch_anew(&world, world.stream());
    let mut questions = 0;
    while !told.is_stopped() {
        world.until("a question or the end", || !asked.borrow().is_empty() || told.is_stopped());
        for resnapshot in asked.take() {
            questions += 1;
            resnapshot.done();
        }
    }
    drop(failing);
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::HistoryLost(_))));
    assert_eq!((questions, watcher.metrics().openings), (3, 4));
}

#[test]
fn one_that_is_stopped_while_it_is_read_anew_stops_at_once() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    save_a_position(&world, 0);
    let failing = set.fail_command(FailTimes::Times(1), failing(WAYS[0]));
    let (watcher, told, asked) = watch_anew(&world, world.stream());
    world.until("a question", || !asked.borrow().is_empty());
    drop(failing);
    world.stop(&watcher, &told);
    // the answer is late, and changes nothing
    asked.take().into_iter().for_each(Resnapshot::done);
    world.insert(1..2);
    assert_eq!(told.ids(), [] as [i32; 0]);
    assert_eq!(watcher.metrics().openings, 1);
}

#[test]
fn a_server_that_has_forgotten_has_everything_read_anew() {
    let set = replica_set!(ReplicaSet::builder().trimmable_oplog());
    let world = World::new(set.uri(), "shop");
    save_a_position(&world, 0);
    world.insert(1..3);
    set.trim_oplog();
    let (watcher, told, asked) = watch_anew(&world, world.stream());
    world.until("a question", || !asked.borrow().is_empty());
    let resnapshot = asked.borrow_mut().pop_front().expect("a question");
    world.insert(3..5);
    resnapshot.done();
    world.until("what has happened since", || told.ids().ends_with(&[3, 4]));
    world.stop(&watcher, &told);
}

/// Puts what is no position where positions are.
fn spoil(world: &World) {
    let is_put = Rc::new(Cell::new(false));
    let put = is_put.clone();
    world.positions.put("orders", "{ no JSON", move |(), _, done| put.set(done.is_ok()));
    world.until("what is no position", || is_put.get());
}

fn unreadable(told: &Told) -> bool {
    matches!(&*told.stopped.borrow(), Some(StopReason::HistoryLost(Error::BadPoint { .. })))
}

#[test]
fn a_stored_value_that_is_no_position_is_lost_history() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    spoil(&world);
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the end", || told.is_stopped());
    assert!(unreadable(&told), "{:?}", told.stopped.borrow());
    // it was kept
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the end", || told.is_stopped());
    assert!(unreadable(&told));

    let stream = world.stream().history_lost(HistoryLost::ResetToNow);
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.until("the row", || told.ids() == [0]);
    world.stop(&watcher, &told);
    let last = told.events.borrow()[0].resume_point();
    assert_eq!(world.stored(), Some(last), "it was replaced");

    spoil(&world);
    let (watcher, told, asked) = watch_anew(&world, world.stream());
    world.until("a question", || !asked.borrow().is_empty());
    world.insert(1..2);
    asked.take().into_iter().for_each(Resnapshot::done);
    world.until("the row", || told.ids().last() == Some(&1));
    world.stop(&watcher, &told);
}

#[test]
fn a_stored_document_that_is_no_position_is_lost_history() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let store = || MongoResumeStore::new(&world.mongo, database.name(), "points", "orders");
    let put = |document: Document| {
        let name = world.database.clone();
        world.run(async move |client| {
            let points = client.database(&name).collection::<Document>("points");
            points.replace_one(doc! { "_id": "orders" }, document).upsert(true).await
        });
    };
    put(doc! { "revision": 7_i64, "point": "none" });
    let (_, told) = world.watch(world.stream(), store());
    world.until("the end", || told.is_stopped());
    assert!(unreadable(&told), "{:?}", told.stopped.borrow());
    let stream = world.stream().history_lost(HistoryLost::ResetToNow);
    let (watcher, told) = world.watch(stream.clone(), store());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.until("the row", || told.ids() == [0]);
    world.stop(&watcher, &told);
    // without a revision it cannot be replaced, whatever the policy is
    put(doc! { "revision": "seven", "point": "none" });
    let (_, told) = world.watch(stream, store());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(
        matches!(&*stopped, Some(StopReason::Store(Error::BadPoint { revision: None, .. }))),
        "{stopped:?}"
    );
}
