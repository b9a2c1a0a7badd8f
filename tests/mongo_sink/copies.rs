//! Initial copies: what was there before comes first, and nothing that changes meanwhile is missing.

use crate::support::assert_same;
use crate::world::{Told, Watcher, World, header, quick};
use evnats::jetstream::StoredMessage;
use evnats::mongo::bson::{Bson, Document, doc};
use evnats::mongo::{ChangeStream, Error, StopReason};
use evnats_harness::mongo_database;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

fn copy(world: &World, changes: ChangeStream) -> (Watcher, Rc<Told>) {
    world.start(world.mongo.watch(changes).publish_to(world.sink().initial_copy()))
}

fn body(message: &StoredMessage) -> Value {
    serde_json::from_slice(message.payload()).expect("JSON")
}

/// Operation and document of each message.
fn told(stored: &[StoredMessage]) -> Vec<(String, Value)> {
    let told = |message: &StoredMessage| {
        (header(message, "Mongo-Op"), body(message)["documentKey"]["_id"].clone())
    };
    stored.iter().map(told).collect()
}

/// The states of the documents, as a reader of the stream has them in the end.
fn replayed(stored: &[StoredMessage]) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for message in stored {
        let body = body(message);
        let id = body["documentKey"]["_id"].to_string();
        let state = |value: &Value| value["state"].as_str().unwrap_or_default().to_owned();
        match header(message, "Mongo-Op").as_str() {
            "copy" | "insert" => drop(rows.insert(id, state(&body["fullDocument"]))),
            "update" => {
                let updated = state(&body["updateDescription"]["updatedFields"]);
                drop(rows.insert(id, updated));
            }
            "delete" => drop(rows.remove(&id)),
            "copied" => {}
            other => panic!("{other}"),
        }
    }
    rows
}

#[test]
fn what_changes_while_documents_are_copied_comes_behind_them() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.insert(0..3_000);
    let (watcher, told_of) = copy(&world, world.changes().credit(50, 1 << 20));
    world.until_stored(100);
    world.insert(10_000..10_100);
    world.command(doc! { "update": "orders", "updates": [
        { "q": { "_id": { "$gte": 2_900 } }, "u": { "$set": { "state": "sent" } }, "multi": true },
    ] });
    world.command(
        doc! { "delete": "orders", "deletes": [{ "q": { "_id": { "$lt": 10 } }, "limit": 0 }] },
    );
    world.insert(20_000..20_001);
    world.until("the last change", || {
        let last = world.stored().pop().map(|last| body(&last)["documentKey"]["_id"].clone());
        last == Some(Value::from(20_000)) && told_of.is_live()
    });
    world.stop(&watcher, &told_of);
    let stored = world.stored();
    let told = told(&stored);
    let end = told.iter().position(|(operation, _)| operation == "copied").expect("an end");
    assert!(told[..end].iter().all(|(operation, _)| operation == "copy"));
    assert!(told[end + 1..].iter().all(|(operation, _)| operation != "copy"));
    let copied: Vec<_> = told[..end].iter().filter_map(|(_, id)| id.as_i64()).collect();
    assert!(copied.len() >= 3_000 && copied.is_sorted_by(|one, other| one < other));
    let inserted: Vec<_> = told.iter().filter(|(operation, _)| operation == "insert").collect();
    assert_eq!(inserted.len(), 101);
    let expected: BTreeMap<_, _> = (10..3_000)
        .chain(10_000..10_100)
        .chain([20_000])
        .map(|id| {
            (id.to_string(), if id < 2_900 || id == 20_000 { "open" } else { "sent" }.to_owned())
        })
        .collect();
    assert_eq!(replayed(&stored), expected);
    // once is enough
    let (watcher, told_of) = copy(&world, world.changes());
    world.until_live(&told_of);
    world.insert(30_000..30_001);
    world.until_stored(stored.len() as u64 + 1);
    world.stop(&watcher, &told_of);
}

#[test]
fn a_copy_that_is_interrupted_goes_on_behind_its_last_document() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.insert(0..600);
    let name = world.database.clone();
    let others = world.run(async move |client| {
        let orders = client.database(&name).collection::<Document>("orders");
        let texts = (0..600).map(|id| doc! { "_id": format!("{id:04}"), "state": "open" });
        orders.insert_many(texts).await?;
        let more = (0..100).map(|_| doc! { "state": "open" });
        let more = orders.insert_many(more).await?.inserted_ids;
        orders.insert_one(doc! { "_id": { "a": 1, "b": [1, 2] }, "state": "open" }).await?;
        Ok(more.into_values().collect::<Vec<Bson>>())
    });
    assert_eq!(others.len(), 100);
    for count in [50, 300, 640, 1_000, 1_210] {
        let (watcher, told_of) = copy(&world, world.changes().credit(20, 1 << 20));
        world.until_stored(count);
        assert!(!told_of.is_live());
        world.stop(&watcher, &told_of);
        // inserted while nobody copies, before and behind where the copy is
        let id = -i32::try_from(count).expect("small");
        world.insert(id..id + 1);
    }
    let other = world.again(database.uri());
    let (watcher, told_of) = copy(&other, other.changes());
    other.until_live(&told_of);
    other.insert(7_000..7_001);
    other.until("the last change", || {
        let last = other.stored().pop().map(|last| body(&last)["documentKey"]["_id"].clone());
        last == Some(Value::from(7_000))
    });
    other.stop(&watcher, &told_of);
    let stored = other.stored();
    let told = told(&stored);
    let of = |wanted: &str| {
        let of = told.iter().filter(|(operation, _)| operation == wanted);
        of.map(|(_, id)| id.to_string()).collect::<Vec<_>>()
    };
    let copied = of("copy");
    assert_eq!(of("copied").len(), 1);
    let numbers = (0..600).map(|id| id.to_string());
    let texts = (0..600).map(|id| format!("\"{id:04}\""));
    let expected: Vec<_> = numbers.chain(texts).collect();
    // by type and value: numbers, texts, the document, ids
    assert_same(&copied[..1_200], &expected);
    assert_eq!(copied.len(), 1_301);
    assert_eq!(copied.iter().collect::<std::collections::BTreeSet<_>>().len(), 1_301);
    assert_same(
        &of("insert"),
        &["-50", "-300", "-640", "-1000", "-1210", "7000"].map(str::to_owned),
    );
    assert_eq!(replayed(&stored).len(), 1_307);
}

#[test]
fn a_database_is_copied_collection_by_collection() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    for collection in ["b.b", "a", "c"] {
        world.insert_into(collection, 0..100);
    }
    world.command(doc! { "create": "view", "viewOn": "a", "pipeline": [] });
    let changes = quick(ChangeStream::on_database(&world.database)).credit(20, 1 << 20);
    let (watcher, told_of) = copy(&world, changes.clone());
    world.until_stored(130);
    world.stop(&watcher, &told_of);
    let (watcher, told_of) = copy(&world, changes);
    world.until_live(&told_of);
    world.insert_into("d", 0..1);
    world.until_stored(302);
    world.stop(&watcher, &told_of);
    let stored = world.stored();
    let subjects: Vec<_> = stored.iter().map(|message| message.subject().into_owned()).collect();
    let start = format!("{}.{}", world.stream, world.database);
    let expected: Vec<_> = ["a", "b%2Eb", "c"]
        .iter()
        .flat_map(|name| std::iter::repeat_n(format!("{start}.{name}.copy"), 100))
        .chain([format!("{start}._.copied"), format!("{start}.d.insert")])
        .collect();
    assert_same(&subjects, &expected);
}

#[test]
fn a_deployment_is_not_copied() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = copy(&world, quick(ChangeStream::on_deployment()));
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    let is_told = matches!(&*stopped, Some(StopReason::Sink(Error::NoCopyOfDeployment)));
    assert!(is_told, "{stopped:?}");
}
