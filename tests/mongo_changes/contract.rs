//! What both stores of positions do, and positions of changes whose ids are of any type.

use super::storage::wait;
use super::world::World;
use evnats::mongo::bson::spec::BinarySubtype;
use evnats::mongo::bson::{Binary, Bson, Document, Timestamp, doc, oid::ObjectId};
use evnats::mongo::{
    Error, MongoResumeStore, ResumePoint, ResumeStore, ResumeToken, StorageCallback, StoredPoint,
};
use evnats_harness::mongo_database;

fn point(token: &str, time: Option<u32>) -> ResumePoint {
    let mut point = ResumePoint::new(ResumeToken::from_data(token));
    point.timestamp = time.map(|time| Timestamp { time, increment: 1 });
    point
}

/// `one` and `other` are two instances that share a position.
fn check_the_contract(world: &World, one: &impl ResumeStore<()>, other: &impl ResumeStore<()>) {
    let get = |store: &dyn Fn(StorageCallback<(), Option<StoredPoint>>)| {
        wait(&world.event_loop, |done| store(done))
            .map(|found| found.map(|found| (found.point, found.revision)))
    };
    let found = || get(&|done| one.get(done));
    let (first, second) = (point("8263", Some(7)), point("8264", None));
    // there is nothing yet
    assert_eq!(found(), Ok(None));
    assert_eq!(wait(&world.event_loop, |done| one.get_time(done)), Ok(None));
    assert_eq!(wait(&world.event_loop, |done| one.delete(&first, done)), Ok(()));
    let missing = wait(&world.event_loop, |done| one.save(&first, Some(3), done));
    assert_eq!(missing, Err(Error::Fenced), "there is none to be saved over");

    let revision = wait(&world.event_loop, |done| one.save(&first, None, done)).expect("saved");
    assert_eq!(found(), Ok(Some((first.clone(), revision))));
    assert_eq!(wait(&world.event_loop, |done| one.get_time(done)), Ok(first.timestamp));
    let late = wait(&world.event_loop, |done| other.save(&first, None, done));
    assert_eq!(late, Err(Error::Fenced), "another instance, though at the same position");

    let next =
        wait(&world.event_loop, |done| other.save(&second, Some(revision), done)).expect("saved");
    assert!(next != revision);
    let fenced = wait(&world.event_loop, |done| one.save(&first, Some(revision), done));
    assert_eq!(fenced, Err(Error::Fenced));
    assert_eq!(found(), Ok(Some((second.clone(), next))), "nothing was saved over it");
    assert_eq!(wait(&world.event_loop, |done| one.get_time(done)), Ok(None), "of no change");

    assert_eq!(wait(&world.event_loop, |done| one.delete(&first, done)), Ok(()));
    assert_eq!(found(), Ok(Some((second.clone(), next))), "it is another one");
    for _ in 0..2 {
        assert_eq!(wait(&world.event_loop, |done| one.delete(&second, done)), Ok(()));
        assert_eq!(found(), Ok(None));
    }
    wait(&world.event_loop, |done| one.save(&first, None, done)).expect("saved anew");
    assert_eq!(found().map(|found| found.map(|(point, _)| point)), Ok(Some(first)));
}

#[test]
fn a_bucket_keeps_a_position() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    check_the_contract(&world, &world.store(), &world.store());
}

#[test]
fn a_collection_keeps_a_position() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let store = || MongoResumeStore::new(&world.mongo, database.name(), "positions", "orders");
    check_the_contract(&world, &store(), &store());
}

#[test]
fn changes_come_and_are_gone_on_from_whatever_the_type_of_their_ids() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let uuid = Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: vec![3; 16] });
    let ids = [
        Bson::Null,
        1.into(),
        Bson::Int64(1 << 40),
        2.5.into(),
        true.into(),
        "x".into(),
        doc! { "k": { "l": 1 } }.into(),
        uuid,
        ObjectId::from_bytes([4; 12]).into(),
    ];
    let mut seen = Vec::new();
    for id in &ids {
        // each position is that of one of them
        let (watcher, told) = world.watch(world.stream(), world.store());
        world.until("the stream", || told.is_live() || told.is_stopped());
        assert!(!told.is_stopped(), "{id}: {:?}", told.stopped.borrow());
        let (row, name) = (doc! { "_id": id.clone() }, world.database.clone());
        world.run(async move |client| {
            client.database(&name).collection::<Document>("orders").insert_one(row).await
        });
        world.until("the change", || !told.events.borrow().is_empty());
        world.stop(&watcher, &told);
        seen.extend(told.events.borrow().iter().map(|event| event.document_id()));
    }
    assert_eq!(seen, ids.map(Some));
}

#[test]
fn a_position_that_the_program_gives_counts_before_the_stored_one() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..5);
    world.until("the changes", || told.ids().len() == 5);
    world.stop(&watcher, &told);
    let second = told.events.borrow()[1].resume_point();
    let (watcher, told) = world.watch(world.stream().start_after(second), world.store());
    world.until("the changes", || told.ids().len() == 3);
    assert_eq!(told.ids(), [2, 3, 4]);
    world.stop(&watcher, &told);
    let time = told.events.borrow()[1].cluster_time().expect("a time");
    let (watcher, told) = world.watch(world.stream().start_at(time), world.store());
    world.until("the changes", || told.ids().last() == Some(&4));
    assert!(told.ids() == [3, 4] || told.ids() == [2, 3, 4], "{:?}", told.ids());
    world.stop(&watcher, &told);
}
