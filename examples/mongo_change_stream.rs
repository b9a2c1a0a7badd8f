//! Orders of a shop, watched in MongoDB: each change is printed, and the position behind it is kept in a
//! bucket, so that the next run goes on where this one ends.
//!
//! `cargo run --features mongodb --example mongo_change_stream` starts servers of its own; with `NATS_URL`
//! and `MONGODB_URI` (a replica set) it uses those, and leaves its bucket and its database there for the next
//! run. Elsewhere than on Linux for x86-64, have a `mongod` on the `PATH`.

use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{
    ChangeStream, ChangeStreamWatcher, FullDocument, KvResumeStore, Mongo, StopReason, WatchState,
};
use evnats::{EventLoop, kv};

/// How many changes were seen.
type App = u32;

const DATABASE: &str = "evnats_example_changes";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let (nats, mongodb) = ("nats://127.0.0.1:4222", "mongodb://127.0.0.1:27017");
    let (nats, _server) = evnats_harness::url_or_server()?;
    let (mongodb, _replica_set) = evnats_harness::mongo_url_or_replica_set()?;
    let event_loop = EventLoop::<App>::new()?;
    let mongo = event_loop.connect_mongo(mongodb)?;
    let positions = event_loop.connect(nats)?.jetstream().key_value("example_positions");
    positions.create_bucket(kv::Config::default(), move |_, positions, created| {
        created?;
        watch(&mongo, positions);
        Ok(())
    });
    let mut seen = 0;
    event_loop.run(&mut seen)?;
    println!("{seen} changes");
    Ok(())
}

fn watch(mongo: &Mongo<App>, positions: &kv::KeyValue<App>) {
    let client = positions.client().clone();
    mongo
        .watch(ChangeStream::on(DATABASE, "orders").full_document(FullDocument::UpdateLookup))
        .resume(KvResumeStore::new(positions, "orders"))
        .dispatch(|seen, watcher, event, _| {
            println!("{}", event.to_json());
            *seen += 1;
            // yours would go on for ever
            if event.operation_type() == "delete" {
                watcher.stop();
            }
            Ok(())
        })
        .on_state(|_, watcher, state| match state {
            WatchState::Live => sell(watcher.mongo()),
            WatchState::Waiting { cause, pause, .. } => println!("{cause}; again in {pause:?}"),
            _ => {}
        })
        .start(move |_, watcher: &ChangeStreamWatcher<App>, reason: StopReason| {
            if let Some(error) = reason.error() {
                println!("stopped: {error}");
            }
            client.drain();
            watcher.mongo().close(|_, _, ()| {});
        });
}

/// What happens in the shop meanwhile.
fn sell(mongo: &Mongo<App>) {
    mongo.call(
        async |client| {
            let orders = client.database(DATABASE).collection::<Document>("orders");
            let order = orders.insert_one(doc! { "of": "ada", "state": "open" }).await?.inserted_id;
            let order = doc! { "_id": order };
            orders.update_one(order.clone(), doc! { "$set": { "state": "sent" } }).await?;
            orders.delete_one(order).await
        },
        |_, _, sold| {
            sold?;
            Ok(())
        },
    );
}
