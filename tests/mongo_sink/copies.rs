//! Initial copies: what was there before comes first, and nothing that changes meanwhile is missing.

use crate::support::{assert_same, level, server, unique};
use crate::world::{Told, Watcher, World, batched, header, quick};
use evnats::jetstream::{IngestOptions, StoredMessage, StreamConfig};
use evnats::mongo::bson::{Bson, Document, doc};
use evnats::mongo::{ChangeStream, Error, SinkMetrics, StopReason, WatchState};
use evnats_harness::{
    Cluster, Direction, Fault, FaultProxy, Release, ReplicaSet, Server, mongo_database,
    replica_set, requires,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

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

/// Whether everything that there was is in the stream once and in order, with the mark behind it.
#[track_caller]
fn assert_copied(world: &World, count: i64) {
    let told = told(&world.stored());
    let expected: Vec<_> = (0..count).map(|id| ("copy".to_owned(), Value::from(id))).collect();
    let count = expected.len();
    assert!(told.len() > count, "{} of {count}", told.len());
    assert_same(&told[..count], &expected);
    assert_eq!(told[count].0, "copied");
}

fn sink_metrics(watcher: &Watcher) -> SinkMetrics {
    watcher.metrics().sink.expect("there is a sink")
}

#[test]
fn a_copy_goes_by_fast_ingest_where_the_stream_takes_it() {
    let database = mongo_database!();
    let can = level() >= 4;
    let old = Server::builder().release(Release::V2_10).start().expect("a server");
    let table = [(server().url(), can), (server().url(), false), (old.url(), false)];
    World::on(&server().url(), database.uri(), database.name(), "").insert(0..3_000);
    for (url, is_fast) in table {
        let world = World::on(&url, database.uri(), database.name(), &unique("CHANGES"));
        world.create(|config| config.allow_batched(is_fast));
        let (watcher, told_of) = copy(&world, world.changes());
        world.until_live(&told_of);
        let ingested = if is_fast { 3_001 } else { 0 };
        let metrics = sink_metrics(&watcher);
        assert_eq!((metrics.stored, metrics.ingested), (3_001, ingested), "{metrics:?}");
        assert_eq!((metrics.recoveries, metrics.resent, metrics.deduplicated), (0, 0, 0));
        assert_copied(&world, 3_000);
        // what changes goes out at once, and is acknowledged one by one
        let update = doc! { "q": { "_id": 7 }, "u": { "$inc": { "count": 1 } } };
        world.command(doc! { "update": "orders", "updates": [update] });
        world.until_stored(3_002);
        world.stop(&watcher, &told_of);
        assert_eq!(sink_metrics(&watcher).ingested, ingested);
    }
}

/// Acknowledgements come before the credit is used up, however little that is.
#[test]
fn little_credit_does_not_hold_up_an_ingest() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let world = World::new(database.uri(), database.name());
    world.insert(0..300);
    let large = "x".repeat(30_000);
    let name = world.database.clone();
    world.run(async move |client| {
        let orders = client.database(&name).collection::<Document>("orders");
        let rows = (300..340).map(|id| doc! { "_id": id, "text": &large });
        orders.insert_many(rows).await
    });
    for (items, bytes) in [(1, 1 << 20), (2, 1 << 20), (5, 1 << 20), (1_000, 1), (1_000, 60_000)] {
        let begun = Instant::now();
        let world = World::with(database.uri(), database.name(), batched);
        let (watcher, told_of) = copy(&world, world.changes().credit(items, bytes));
        world.until_live(&told_of);
        let metrics = sink_metrics(&watcher);
        assert_eq!((metrics.stored, metrics.recoveries), (341, 0), "{metrics:?}");
        // with as many bytes under way as there may be, the rest goes out as ordinary messages
        assert_eq!(metrics.ingested == 341, items < 1_000, "{metrics:?}");
        world.stop(&watcher, &told_of);
        assert_copied(&world, 340);
        println!("credit {items}, {bytes}: {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(15), "it waits for a second again and again");
    }
}

/// What is read next has to wait for messages that the stream does not acknowledge, because they are few.
#[test]
fn an_ingest_that_stalls_is_ended_and_the_copy_goes_on() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let world = World::with(database.uri(), database.name(), batched);
    world.insert(0..20);
    let name = world.database.clone();
    world.run(async move |client| {
        let orders = client.database(&name).collection::<Document>("orders");
        orders.insert_one(doc! { "_id": 20, "text": "x".repeat(250_000) }).await
    });
    world.insert(21..41);
    let (watcher, told_of) = copy(&world, world.changes().credit(1_000, 200_000));
    world.until_live(&told_of);
    let metrics = sink_metrics(&watcher);
    assert_eq!((metrics.stored, metrics.ingested), (42, 21), "{metrics:?}");
    assert_eq!(metrics.recoveries, 0, "{metrics:?}");
    world.stop(&watcher, &told_of);
    assert_copied(&world, 41);
}

#[test]
fn an_ingest_that_is_interrupted_goes_on_behind_its_last_document() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let world = World::with(database.uri(), database.name(), batched);
    world.insert(0..2_000);
    let mut ingested = 0;
    for count in [1, 50, 400, 1_000, 1_500] {
        let (watcher, told_of) = copy(&world, world.changes().credit(20, 1 << 20));
        world.until_stored(count);
        assert!(!told_of.is_live());
        world.stop(&watcher, &told_of);
        ingested += sink_metrics(&watcher).ingested;
    }
    assert!(ingested > 1_000, "{ingested}");
    let other = world.again(database.uri());
    let (watcher, told_of) = copy(&other, other.changes());
    other.until_live(&told_of);
    other.stop(&watcher, &told_of);
    assert_copied(&other, 2_000);
    assert_eq!(other.count(), 2_001);
}

/// Each connection ends in the middle of acknowledgements, or of messages.
#[test]
fn an_ingest_whose_connection_is_cut_loses_and_repeats_nothing() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    for direction in [Direction::ToClient, Direction::ToServer] {
        let per_connection = match direction {
            Direction::ToClient => 4_000,
            _ => 150_000,
        };
        let proxy = FaultProxy::start(server().port(), move |connection| match connection {
            1..=6 => vec![Fault::Cut { direction, at: per_connection }],
            _ => Vec::new(),
        });
        let uri = database.uri();
        let world = World::on(&proxy.url(), uri, database.name(), &unique("CHANGES"));
        world.create(|config| batched(config).duplicate_window(Duration::from_millis(100)));
        if direction == Direction::ToClient {
            world.insert(0..5_000);
        }
        proxy.cut_all();
        let (watcher, told_of) = copy(&world, world.changes());
        world.until_live(&told_of);
        let metrics = sink_metrics(&watcher);
        println!("{direction:?}: {metrics:?}, {} connections", proxy.connections());
        assert!(proxy.connections() > 2 && metrics.ingested > 0, "{metrics:?}");
        // an ingest outlives its connection, if all of its messages have come
        assert!(metrics.recoveries > 0 || direction == Direction::ToClient, "{metrics:?}");
        assert_eq!(metrics.stored + metrics.deduplicated, 5_001, "{metrics:?}");
        world.stop(&watcher, &told_of);
        // over a connection that is not cut
        let sound = world.again(uri);
        assert_copied(&sound, 5_000);
        assert_eq!(sound.count(), 5_001);
    }
}

#[test]
fn an_ingest_whose_server_dies_and_comes_back_loses_and_repeats_nothing() {
    let database = mongo_database!();
    let mut server = Server::start();
    requires!(server, 2, 14);
    let world = World::on(&server.url(), database.uri(), database.name(), &unique("CHANGES"));
    world.create(batched);
    world.insert(0..5_000);
    let (watcher, told_of) = copy(&world, world.changes().credit(50, 1 << 20));
    for count in [500, 1_500, 3_000] {
        world.until_stored(count);
        server.kill9();
        let away = || {
            let states = told_of.states.borrow();
            states.iter().filter(|state| matches!(state, WatchState::SinkAway(_))).count()
        };
        let before = away();
        world.until("the sink to be away", || away() > before);
        server.start_again();
    }
    world.until_live(&told_of);
    let metrics = sink_metrics(&watcher);
    println!("{metrics:?}");
    assert!(metrics.recoveries >= 3 && metrics.ingested > 0, "{metrics:?}");
    world.stop(&watcher, &told_of);
    assert_copied(&world, 5_000);
    assert_eq!(world.count(), 5_001);
}

#[test]
fn an_ingest_into_replicas_that_lose_their_leader_loses_and_repeats_nothing() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let mut cluster = Cluster::start();
    let urls = cluster.urls().join(",");
    let world = World::on(&urls, database.uri(), database.name(), &unique("CHANGES"));
    let info = world.create(|config| batched(config).num_replicas(3));
    world.insert(0..5_000);
    let leader = info.cluster.and_then(|cluster| cluster.leader).expect("a leader");
    let leader = cluster.index_by_name(&leader).expect("a node");
    let (watcher, told_of) = copy(&world, world.changes().credit(50, 1 << 20));
    world.until_stored(1_000);
    cluster.server_mut(leader).kill9();
    world.until_stored(3_000);
    cluster.server_mut(leader).start_again();
    world.until_live(&told_of);
    let metrics = sink_metrics(&watcher);
    println!("{metrics:?}");
    assert!(metrics.recoveries > 0 && metrics.ingested > 0, "{metrics:?}");
    world.stop(&watcher, &told_of);
    assert_copied(&world, 5_000);
    assert_eq!(world.count(), 5_001);
}

/// Nothing is stored behind somebody else's message, though it may be in the middle of a batch.
#[test]
fn somebody_else_s_message_in_the_middle_of_an_ingest_ends_the_watcher() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let world = World::with(database.uri(), database.name(), batched);
    world.insert(0..5_000);
    let (watcher, told_of) = copy(&world, world.changes().credit(20, 1 << 20));
    world.until_stored(500);
    let subject = format!("{}.foreign", world.stream);
    let stored =
        world.ask(|done| world.js.publish(&subject, "", move |(), _, stored| done(stored)));
    let foreign = stored.expect("it is stored").sequence;
    world.until("the end", || told_of.is_stopped());
    let stopped = told_of.stopped.borrow();
    assert!(matches!(*stopped, Some(StopReason::Fenced)), "{stopped:?}");
    assert!(sink_metrics(&watcher).ingested > 0);
    assert!(foreign < 5_000, "the copy was not complete");
    assert_eq!(world.count(), foreign, "nothing is behind it");
}

/// Of two that copy at once, the stream has each document once.
#[test]
fn two_ingests_into_one_stream_store_each_document_once() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let world = World::with(database.uri(), database.name(), batched);
    world.insert(0..2_000);
    let (_, one) = copy(&world, world.changes().credit(50, 1 << 20));
    let other = world.again(database.uri());
    let (_, two) = copy(&other, other.changes().credit(50, 1 << 20));
    let is_done = |told: &Told| told.is_live() || told.is_stopped();
    world.until("both", || {
        other.turn();
        is_done(&one) && is_done(&two)
    });
    assert!(
        one.is_live() || two.is_live(),
        "{:?} {:?}",
        one.stopped.borrow(),
        two.stopped.borrow()
    );
    for told in [&one, &two] {
        let stopped = told.stopped.borrow();
        assert!(matches!(*stopped, None | Some(StopReason::Fenced)), "{stopped:?}");
    }
    assert_copied(&world, 2_000);
    assert_eq!(world.count(), 2_001);
}

/// The server has as many batches under way as it allows.
#[test]
fn an_ingest_that_is_refused_goes_on_as_ordinary_messages() {
    let database = mongo_database!();
    let config = "jetstream { limits { batch { max_inflight_total: 1 } } }";
    let server = Server::builder().config(config).start().expect("a server");
    requires!(server, 2, 14);
    let world = World::on(&server.url(), database.uri(), database.name(), &unique("CHANGES"));
    world.create(batched);
    world.insert(0..1_000);
    let other = World::on(&server.url(), database.uri(), database.name(), &unique("OTHER"));
    other.create(batched);
    let ingest = other.js.fast_ingest(IngestOptions::new());
    let subject = format!("{}.x", other.stream);
    other.until("a batch", || ingest.add(&subject, "").is_ok());
    other.until_stored(1);
    let (watcher, told_of) = copy(&world, world.changes());
    world.until_live(&told_of);
    let metrics = sink_metrics(&watcher);
    assert_eq!((metrics.ingested, metrics.stored), (0, 1_001), "{metrics:?}");
    assert_eq!(metrics.recoveries, 1, "{metrics:?}");
    world.stop(&watcher, &told_of);
    assert_copied(&world, 1_000);
}

#[test]
fn a_stream_that_takes_no_ingests_any_more_is_sent_ordinary_messages() {
    let database = mongo_database!();
    requires!(server(), 2, 14);
    let world = World::with(database.uri(), database.name(), batched);
    world.insert(0..3_000);
    let (watcher, told_of) = copy(&world, world.changes().credit(20, 1 << 20));
    world.until_stored(500);
    let subjects = [format!("{}.>", world.stream)];
    let config = StreamConfig::new(&world.stream).subjects(subjects).allow_batched(false);
    world
        .ask(|done| world.js.update_stream(&config, move |(), _, updated| done(updated)))
        .expect("it is updated");
    world.until_live(&told_of);
    let metrics = sink_metrics(&watcher);
    assert!(metrics.ingested > 0 && metrics.ingested < 3_000, "{metrics:?}");
    world.stop(&watcher, &told_of);
    assert_copied(&world, 3_000);
    assert_eq!(world.count(), 3_001);
}

/// What was still under way when MongoDB had failed is not copied again.
#[test]
fn a_copy_whose_documents_stop_coming_goes_on_behind_the_last_one() {
    let mut set = replica_set!(ReplicaSet::builder());
    let uri = format!("{}&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000", set.uri());
    for is_fast in [level() >= 4, false] {
        let database = unique("shop");
        let world = World::with(&uri, &database, |config| config.allow_batched(is_fast));
        world.insert(0..5_000);
        let (watcher, told_of) = copy(&world, world.changes().credit(50, 1 << 20));
        for count in [500, 2_000] {
            world.until_stored(count);
            set.kill(0);
            let waits = |state: &WatchState| matches!(state, WatchState::Waiting { .. });
            let before = told_of.states.borrow().len();
            world.until("a failure", || told_of.states.borrow()[before..].iter().any(waits));
            set.restart(0);
            set.wait_ready();
        }
        world.until_live(&told_of);
        println!("{:?}", sink_metrics(&watcher));
        world.stop(&watcher, &told_of);
        assert_copied(&world, 5_000);
        assert_eq!(world.count(), 5_001);
    }
}
