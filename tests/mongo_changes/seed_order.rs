//! The original's order: each change's point is saved before it is given out, and one point is left.

use super::world::{PATIENCE, Told, Watcher, World, listen, listen_slowly};
use evnats::mongo::bson::{Document, doc, serialize_to_document};
use evnats::mongo::{
    Ack, ChangeStream, CommitMode, MongoResumeStore, ResumeFunctions, ResumePoint, ResumeStore,
    StopReason, StorageCallback,
};
use evnats_harness::mongo_database;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

fn in_seed_order(world: &World) -> ChangeStream {
    world.stream().commit(CommitMode::SeedOrder)
}

/// Inserts rows in one transaction, so that they have one time.
fn insert_at_once(world: &World, ids: std::ops::Range<i32>) {
    let database = world.database.clone();
    world.run(async move |client| {
        let mut session = client.start_session().await?;
        session.start_transaction().await?;
        let rows = ids.map(|id| doc! { "_id": id });
        let orders = client.database(&database).collection::<Document>("orders");
        orders.insert_many(rows).session(&mut session).await?;
        session.commit_transaction().await
    });
}

/// Points as the original keeps them: one document each, in a collection of their own.
fn functions(world: &World) -> ResumeFunctions<()> {
    let (saving, deleting, getting) =
        (world.mongo.clone(), world.mongo.clone(), world.mongo.clone());
    let names = [world.database.clone(), world.database.clone(), world.database.clone()];
    let [to_save, to_delete, to_get] = names;
    let save = move |point: &ResumePoint, done: StorageCallback<(), ()>| {
        let (point, name) = (serialize_to_document(point).expect("a document"), to_save.clone());
        saving.call(
            async move |client| {
                let points = client.database(&name).collection::<Document>("points");
                points
                    .replace_one(doc! { "_id": point.get("_id") }, point)
                    .upsert(true)
                    .await
                    .map(drop)
            },
            move |state, _, saved| done(state, saved),
        );
    };
    let delete = move |point: &ResumePoint, done: StorageCallback<(), ()>| {
        let (token, name) = (point.token.as_document().clone(), to_delete.clone());
        deleting.call(
            async move |client| {
                let points = client.database(&name).collection::<Document>("points");
                points.delete_one(doc! { "_id": token }).await.map(drop)
            },
            move |state, _, deleted| done(state, deleted),
        );
    };
    ResumeFunctions::new(&world.mongo, save, delete).get(move |done| {
        let name = to_get.clone();
        getting.call(
            async move |client| {
                let points = client.database(&name).collection::<ResumePoint>("points");
                points.find_one(doc! {}).sort(doc! { "timestamp": -1, "_id": -1 }).await
            },
            move |state, _, found| done(state, found),
        );
    })
}

fn count(world: &World, collection: &'static str) -> u64 {
    let name = world.database.clone();
    world.run(async move |client| {
        client.database(&name).collection::<Document>(collection).count_documents(doc! {}).await
    })
}

/// Five changes leave one point, that of the last one; it comes again, and then what is new.
fn leaves_one_point<R: ResumeStore<()>>(
    world: &World,
    store: impl Fn() -> R,
    points: impl Fn() -> u64,
) {
    let (watcher, told) = world.watch(in_seed_order(world), store());
    world.until("the stream", || told.is_live());
    world.insert(0..5);
    world.until("five changes", || told.ids().len() == 5);
    world.stop(&watcher, &told);
    assert_eq!(points(), 1);
    world.insert(5..7);
    let (watcher, told) = world.watch(in_seed_order(world), store());
    world.until("three changes", || told.ids().len() == 3);
    assert_eq!(told.ids(), [4, 5, 6]);
    world.stop(&watcher, &told);
    assert_eq!(points(), 1);
}

#[test]
fn one_point_is_left_in_a_bucket() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    leaves_one_point(&world, || world.store(), || u64::from(world.stored().is_some()));
    assert_eq!(world.stored().and_then(|point| point.operation_type), Some("insert".to_owned()));
}

#[test]
fn one_point_is_left_in_a_collection() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let store = || MongoResumeStore::new(&world.mongo, database.name(), "points", "orders");
    leaves_one_point(&world, store, || count(&world, "points"));
}

#[test]
fn one_point_is_left_by_functions_of_the_programs_own() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    leaves_one_point(&world, || functions(&world), || count(&world, "points"));
}

#[test]
fn functions_leave_one_point_also_when_it_is_saved_behind_the_changes() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, std::time::Duration::from_millis(10));
    let (watcher, told) = world.watch(stream.clone(), functions(&world));
    world.until("the stream", || told.is_live());
    world.insert(0..20);
    world.until("the changes", || told.ids().len() == 20);
    world.stop(&watcher, &told);
    assert_eq!(count(&world, "points"), 1);
    world.insert(20..21);
    let (watcher, told) = world.watch(stream, functions(&world));
    world.until("the change", || told.ids() == [20]);
    world.stop(&watcher, &told);
    assert_eq!(count(&world, "points"), 1);
}

/// A watcher whose dispatch fails at a row.
fn failing_at(world: &World, stream: ChangeStream, row: i32) -> (Watcher, Rc<Told>) {
    let told = Rc::new(Told::default());
    let (events, stopped, states) = (told.clone(), told.clone(), told.clone());
    let watch = world.mongo.watch(stream).resume(world.store());
    let watcher = watch
        .dispatch(move |(), _, event, _| {
            events.events.borrow_mut().push(event.clone());
            match event.document_id().and_then(|id| id.as_i32()) {
                Some(id) if id == row => Err(evnats::Error::other("no good")),
                _ => Ok(()),
            }
        })
        .on_state(move |(), _, state| states.states.borrow_mut().push(state))
        .start(move |(), _, reason| drop(stopped.stopped.replace(Some(reason))));
    (watcher, told)
}

#[test]
fn a_change_whose_dispatch_fails_leaves_its_point_and_comes_again() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = failing_at(&world, in_seed_order(&world), 4);
    world.until("the stream", || told.is_live());
    world.insert(1..8);
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Dispatch(_))));
    assert_eq!(told.ids(), [1, 2, 3, 4], "one after the other");
    let fourth = told.events.borrow()[3].resume_point();
    assert_eq!(world.stored(), Some(fourth));
    let (watcher, told) = world.watch(in_seed_order(&world), world.store());
    world.until("the rest", || told.ids().len() == 4);
    assert_eq!(told.ids(), [4, 5, 6, 7]);
    world.stop(&watcher, &told);
}

#[test]
fn changes_of_one_time_are_told_apart() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.command(doc! { "create": "orders" });
    let (_, told) = failing_at(&world, in_seed_order(&world), 3);
    world.until("the stream", || told.is_live());
    insert_at_once(&world, 0..6);
    world.until("the end", || told.is_stopped());
    let times: Vec<_> = told.events.borrow().iter().map(|event| event.cluster_time()).collect();
    assert_eq!(times, vec![times[0]; 4], "of one transaction");
    let (watcher, told) = world.watch(in_seed_order(&world), world.store());
    world.until("the rest", || told.ids().len() == 3);
    assert_eq!(told.ids(), [3, 4, 5]);
    world.stop(&watcher, &told);
}

#[test]
fn the_next_change_waits_until_the_one_before_is_done() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let watch = world.mongo.watch(in_seed_order(&world)).resume(world.store());
    let (watcher, told) = listen_slowly(watch);
    world.until("the stream", || told.is_live());
    world.insert(0..3);
    for id in 0..3 {
        world.until("a change", || told.acks.borrow().len() == 1);
        world.until("the others", || watcher.metrics().in_flight == 3 - told.ids().len() + 1);
        let last = told.events.borrow().last().map(|event| event.resume_point());
        assert_eq!(told.ids().last(), Some(&id));
        assert_eq!(world.stored(), last, "saved before it is done");
        told.acks.take().into_iter().for_each(Ack::ok);
        world.until("the next", || told.ids().len() > usize::try_from(id).unwrap() + 1 || id == 2);
    }
    world.stop(&watcher, &told);
    assert_eq!(told.ids(), [0, 1, 2]);
}

#[test]
fn one_that_is_stopped_while_it_saves_has_the_change_come_again() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let store = world.store();
    let held: Rc<RefCell<Vec<StorageCallback<(), ()>>>> = Rc::default();
    let holding = held.clone();
    let saved = Rc::new(RefCell::new(Vec::new()));
    let saving = saved.clone();
    let functions = ResumeFunctions::new(
        &world.mongo,
        move |point, done| {
            saving.borrow_mut().push(point.clone());
            holding.borrow_mut().push(done);
        },
        |_, _| panic!("there is nothing to delete"),
    );
    drop(store);
    let watch = world.mongo.watch(in_seed_order(&world)).resume(functions);
    let (watcher, told) = listen(watch);
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.until("a save", || held.borrow().len() == 1);
    watcher.stop();
    let started = Instant::now();
    for done in held.take() {
        done(&mut (), Ok(())).expect("no error");
    }
    world.until("the end", || told.is_stopped());
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(told.ids(), [] as [i32; 0], "it was not given out");
    assert_eq!(saved.borrow().len(), 1);
}

#[test]
fn a_change_that_fails_comes_again_without_being_saved_again() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = in_seed_order(&world).retry_dispatch();
    let (watcher, told) = listen_slowly(world.mongo.watch(stream).resume(world.store()));
    world.until("the stream", || told.is_live());
    world.insert(0..2);
    for expected in [&[0][..], &[0, 0], &[0, 0, 0]] {
        world.until("a change", || told.acks.borrow().len() == 1);
        assert_eq!(told.ids(), expected);
        if expected.len() < 3 {
            let ack = told.acks.borrow_mut().pop_front().expect("an answer");
            ack.fail(evnats::Error::other("not now"));
        }
    }
    assert_eq!(watcher.metrics().saves, 1);
    told.acks.take().into_iter().for_each(Ack::ok);
    world.until("the next", || told.acks.borrow().len() == 1);
    told.acks.take().into_iter().for_each(Ack::ok);
    assert_eq!(told.ids(), [0, 0, 0, 1]);
    assert_eq!(watcher.metrics().saves, 2);
    world.stop(&watcher, &told);
}

#[test]
fn an_invalidate_is_gone_on_behind() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(in_seed_order(&world), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.command(doc! { "drop": "orders" });
    world.until("the invalidate", || told.operations().len() == 3);
    world.stop(&watcher, &told);
    let operation = world.stored().and_then(|point| point.operation_type);
    assert_eq!(operation, Some("invalidate".to_owned()));
    world.insert(1..2);
    let (watcher, told) = world.watch(in_seed_order(&world), world.store());
    world.until("the change", || told.ids() == [1]);
    world.command(doc! { "drop": "orders" });
    world.insert(2..3);
    world.until("what is behind another one", || told.ids() == [1, 2]);
    assert_eq!(told.operations(), ["insert", "drop", "invalidate", "insert"]);
    world.stop(&watcher, &told);
}
