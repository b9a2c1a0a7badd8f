//! What comes, in what order, and what is done about it.

use super::world::World;
use evnats::mongo::bson::{Bson, Document, doc};
use evnats::mongo::{Ack, BeforeChange, FullDocument, StopReason, WatchState};
use evnats_harness::mongo_database;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[test]
fn every_kind_of_change_comes_with_what_was_asked_for() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.command(doc! { "create": "orders", "changeStreamPreAndPostImages": { "enabled": true } });
    let stream = world
        .stream()
        .full_document(FullDocument::UpdateLookup)
        .full_document_before_change(BeforeChange::Required);
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    world.insert(1..2);
    world.command(doc! { "update": "orders", "updates": [
        { "q": { "_id": 1 }, "u": { "$set": { "state": "sent" } } },
    ] });
    world.command(doc! { "update": "orders", "updates": [
        { "q": { "_id": 1 }, "u": { "state": "back" } },
    ] });
    world.command(doc! { "delete": "orders", "deletes": [{ "q": { "_id": 1 }, "limit": 1 }] });
    world.until("four changes", || told.events.borrow().len() >= 4);
    assert_eq!(told.operations(), ["insert", "update", "replace", "delete"]);
    let events = told.events.borrow();
    let before = |index: usize| events[index].full_document_before_change();
    assert_eq!(before(3).and_then(|row| row.get_str("state").ok()), Some("back"));
    assert_eq!(before(1).and_then(|row| row.get_str("state").ok()), Some("open"));
    assert!(events[1].full_document().is_some(), "the update was looked up");
    assert_eq!(events[0].document_id(), Some(Bson::Int32(1)));
    assert_eq!(events[0].collection(), Some("orders"));
    drop(events);
    world.stop(&watcher, &told);
    assert_eq!(world.stored().and_then(|point| point.operation_type), Some("delete".to_owned()));
}

#[test]
fn an_error_in_the_chain_stays_and_stops_the_watcher_before_the_change() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let stopped = Rc::new(RefCell::new(None));
    let is_live = Rc::new(Cell::new(false));
    let (first, second, live, end) = (seen.clone(), seen.clone(), is_live.clone(), stopped.clone());
    world
        .mongo
        .watch(world.stream())
        .resume(world.store())
        .dispatch(move |(), _, event, before| {
            assert!(before.is_none());
            let id = event.document_id();
            first.borrow_mut().push(format!("first {id:?}"));
            match id {
                Some(Bson::Int32(2)) => Err(evnats::Error::other("two is no good")),
                _ => Ok(()),
            }
        })
        .dispatch(move |(), _, event, before| {
            let id = event.document_id();
            second.borrow_mut().push(format!("second {id:?} {before:?}"));
            Ok(())
        })
        .on_state(move |(), _, state| live.set(live.get() || matches!(state, WatchState::Live)))
        .start(move |(), _, reason| drop(end.replace(Some(reason))));
    world.until("the stream", || is_live.get());
    world.insert(1..4);
    world.until("the end", || stopped.borrow().is_some());
    assert!(
        matches!(&*stopped.borrow(), Some(StopReason::Dispatch(error)) if error.to_string() == "two is no good")
    );
    let expected = [
        "first Some(Int32(1))",
        "second Some(Int32(1)) None",
        "first Some(Int32(2))",
        "second Some(Int32(2)) Some(two is no good)",
    ];
    assert_eq!(*seen.borrow(), expected);
    let (_, later) = world.watch(world.stream(), world.store());
    world.until("the rest", || later.ids().len() >= 2);
    assert_eq!(later.ids(), [2, 3]);
}

#[test]
fn a_change_that_is_dropped_without_an_answer_has_failed() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.watch_slowly(world.stream());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.until("the change", || told.acks.borrow().len() == 1);
    told.acks.borrow_mut().clear();
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Dispatch(_))));
}

#[test]
fn a_change_that_failed_comes_again_if_that_is_wanted() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream().retry_dispatch());
    world.until("the stream", || told.is_live());
    world.insert(0..2);
    world.until("the changes", || told.acks.borrow().len() == 2);
    let first = told.acks.borrow_mut().pop_front().expect("an answer");
    first.fail(evnats::Error::other("not now"));
    world.until("both again", || told.acks.borrow().len() == 3);
    // the answer to what came before the failure is late
    told.acks.take().into_iter().for_each(Ack::ok);
    assert_eq!(told.ids(), [0, 1, 0, 1]);
    world.stop(&watcher, &told);
    let last = told.events.borrow()[3].token().clone();
    assert_eq!(world.stored().map(|point| point.token), Some(last));
}

#[test]
fn no_more_comes_than_there_is_credit_for() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream().credit(10, 1 << 20));
    world.until("the stream", || told.is_live());
    world.insert(0..100);
    world.until("ten", || told.acks.borrow().len() >= 10);
    // the loop lives on: NATS answers meanwhile
    for _ in 0..20 {
        let is_done = Rc::new(Cell::new(false));
        let done = is_done.clone();
        world.client.flush(move |(), _, flushed| done.set(flushed.is_ok()));
        world.until("an answer", || is_done.get());
    }
    assert_eq!(told.acks.borrow().len(), 10);
    while told.ids().len() < 100 || !told.acks.borrow().is_empty() {
        told.acks.take().into_iter().for_each(Ack::ok);
        world.until("more", || !told.acks.borrow().is_empty() || told.ids().len() == 100);
    }
    assert_eq!(told.ids(), (0..100).collect::<Vec<_>>());
    world.stop(&watcher, &told);
}

#[test]
fn no_more_bytes_come_than_there_is_credit_for() {
    const ROW: usize = 64 << 10;
    const CREDIT: usize = 10 * ROW;
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream().credit(1_000, CREDIT));
    world.until("the stream", || told.is_live());
    let name = world.database.clone();
    world.run(async move |client| {
        let rows = (0..60).map(|id| doc! { "_id": id, "filler": "x".repeat(ROW) });
        let orders = client.database(&name).collection::<Document>("orders");
        orders.insert_many(rows).await
    });
    world.until("the credit's worth", || watcher.metrics().in_flight_bytes >= CREDIT - ROW);
    // the loop lives on: MongoDB and NATS answer meanwhile
    for _ in 0..20 {
        let answers = Rc::new(Cell::new(0));
        let (one, other) = (answers.clone(), answers.clone());
        world.client.flush(move |(), _, flushed| one.set(one.get() + i32::from(flushed.is_ok())));
        world.mongo.ping(move |(), _, answer| other.set(other.get() + i32::from(answer.is_ok())));
        world.until("two answers", || answers.get() == 2);
        let metrics = watcher.metrics();
        // the one that reaches the limit is whole
        assert!(metrics.in_flight_bytes < CREDIT + 2 * ROW, "{metrics:?}");
        assert!(told.acks.borrow().len() <= 11, "{} changes", told.acks.borrow().len());
    }
    while told.ids().len() < 60 || !told.acks.borrow().is_empty() {
        told.acks.take().into_iter().for_each(Ack::ok);
        world.until("more", || !told.acks.borrow().is_empty() || told.ids().len() == 60);
    }
    assert_eq!(told.ids(), (0..60).collect::<Vec<_>>());
    world.stop(&watcher, &told);
}
