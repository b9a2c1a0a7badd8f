//! What is published: subjects, headers, bodies, order.

use crate::world::{World, header, ids, quick};
use evnats::jetstream::StoredMessage;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{Body, ChangeStream};
use evnats_harness::mongo_database;
use std::collections::HashSet;

#[test]
fn changes_are_published_in_their_order_with_what_is_known_of_them() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.publish_live(world.changes());
    world.insert(0..300);
    world.command(doc! { "update": "orders", "updates": [
        { "q": { "_id": 7 }, "u": { "$set": { "state": "sent" } } },
    ] });
    world.command(doc! { "delete": "orders", "deletes": [{ "q": { "_id": 7 }, "limit": 1 }] });
    world.until_stored(302);
    world.stop(&watcher, &told);
    let stored = world.stored();
    assert_eq!(ids(&stored), (0..300).chain([7, 7]).collect::<Vec<_>>());
    let (update, delete) = (&stored[300], &stored[301]);
    let subject =
        |operation: &str| format!("{0}.{1}.orders.{operation}", world.stream, world.database);
    assert_eq!(update.subject(), subject("update"));
    assert_eq!(delete.subject(), subject("delete"));
    assert_eq!(header(update, "Mongo-Op"), "update");
    assert_eq!(header(update, "Mongo-Ns"), format!("{}.orders", world.database));
    assert_eq!(header(update, "Nats-Expected-Last-Sequence"), "300");
    let time = header(update, "Mongo-Cluster-Time");
    assert!(time.split(':').all(|part| part.parse::<u32>().is_ok()), "{time}");
    let position = told.states.borrow().len();
    assert!(position > 0);
    let body: serde_json::Value = serde_json::from_slice(update.payload()).expect("JSON");
    assert_eq!(body["updateDescription"]["updatedFields"]["state"], "sent");
    assert_eq!(body["_id"]["_data"], header(update, "Mongo-Resume-Token"));
    let all = |name| stored.iter().map(|message| header(message, name)).collect::<HashSet<_>>();
    assert_eq!(all("Nats-Msg-Id").len(), 302);
    assert_eq!(all("Mongo-Resume-Token").len(), 302);
    assert_eq!(all("Mongo-Writer").len(), 1);
}

#[test]
fn names_that_no_subject_can_have_are_escaped() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let changes = quick(ChangeStream::on_database(&world.database));
    let (watcher, told) = world.publish_live(changes);
    let names = ["a.b", "a b", "a*b", "a>b", "a%b", "ä"];
    for name in names {
        world.insert_into(name, 0..1);
    }
    world.command(doc! { "drop": "a.b" });
    world.until_stored(7);
    world.stop(&watcher, &told);
    let start = format!("{}.{}.", world.stream, world.database);
    let subjects: Vec<_> =
        world.stored().iter().map(|stored| stored.subject().into_owned()).collect();
    let ends: Vec<_> =
        subjects.iter().map(|subject| subject.strip_prefix(&start).expect(subject)).collect();
    let expected = [
        "a%2Eb.insert",
        "a%20b.insert",
        "a%2Ab.insert",
        "a%3Eb.insert",
        "a%25b.insert",
        "%C3%A4.insert",
        "a%2Eb.drop",
    ];
    assert_eq!(ends, expected);
}

#[test]
fn bodies_and_subjects_are_as_asked_for() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let insert = |body| {
        let sink = world.sink().body(body);
        let stream = world.stream.clone();
        let sink = sink.subject(move |event| format!("{stream}.all.{}", event.operation_type()));
        let (watcher, told) = world.start(world.mongo.watch(world.changes()).publish_to(sink));
        world.until_live(&told);
        let (before, id) = (world.count(), i32::try_from(world.count()).expect("few"));
        world.insert(id..id + 1);
        world.until_stored(before + 1);
        world.stop(&watcher, &told);
        world.stored().pop().expect("a message")
    };
    let id = |message: &StoredMessage| {
        let json: serde_json::Value = serde_json::from_slice(message.payload()).expect("JSON");
        json["fullDocument"]["_id"].clone()
    };
    let message = insert(Body::RelaxedJson);
    assert_eq!(message.subject(), format!("{}.all.insert", world.stream));
    assert_eq!(id(&message), serde_json::json!(0));
    assert_eq!(id(&insert(Body::CanonicalJson)), serde_json::json!({ "$numberInt": "1" }));
    let bson = Document::from_reader(insert(Body::Bson).payload()).expect("BSON");
    let document = bson.get_document("fullDocument").expect("a document");
    assert_eq!(document.get_i32("_id").ok(), Some(2));
}
