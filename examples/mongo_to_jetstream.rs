//! Orders of a shop, in MongoDB: each change is published to a stream of JetStream once, and the next run
//! goes on behind the last one that is in the stream.
//!
//! `cargo run --features mongodb --example mongo_to_jetstream` starts servers of its own; with `NATS_URL`
//! and `MONGODB_URI` (a replica set) it uses those, and leaves its stream and its database there for the next
//! run. Elsewhere than on Linux for x86-64, have a `mongod` on the `PATH`.

use evnats::EventLoop;
use evnats::jetstream::{JetStream, StreamConfig};
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{
    ChangeStream, ChangeStreamWatcher, JetStreamSink, Mongo, StopReason, WatchState,
};

/// How many changes were published.
type App = u32;

const DATABASE: &str = "evnats_example_sink";
const STREAM: &str = "EXAMPLE_CHANGES";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let (nats, mongodb) = ("nats://127.0.0.1:4222", "mongodb://127.0.0.1:27017");
    let (nats, _server) = evnats_harness::url_or_server()?;
    let (mongodb, _replica_set) = evnats_harness::mongo_url_or_replica_set()?;
    let event_loop = EventLoop::<App>::new()?;
    let mongo = event_loop.connect_mongo(mongodb)?;
    let js = event_loop.connect(nats)?.jetstream();
    // transactions are stored as a whole
    let config = StreamConfig::new(STREAM).subjects(["changes.>"]).allow_atomic(true);
    js.create_or_update_stream(&config, move |_, js, created| {
        created?;
        publish(&mongo, js);
        Ok(())
    });
    let mut published = 0;
    event_loop.run(&mut published)?;
    println!("{published} changes");
    Ok(())
}

fn publish(mongo: &Mongo<App>, js: &JetStream<App>) {
    let client = js.client().clone();
    mongo
        .watch(ChangeStream::on(DATABASE, "orders"))
        .publish_to(JetStreamSink::new(js, STREAM))
        // behind the sink: when the change is stored
        .dispatch(|published, watcher, event, _| {
            println!("{} of {:?} is in the stream", event.operation_type(), event.document_id());
            *published += 1;
            // yours would go on for ever
            if event.operation_type() == "delete" {
                watcher.stop();
            }
            Ok(())
        })
        .on_state(|_, watcher, state| match state {
            WatchState::Live => sell(watcher.mongo()),
            WatchState::Waiting { cause, pause, .. } => println!("{cause}; again in {pause:?}"),
            WatchState::SinkAway(cause) => println!("{cause}; changes wait"),
            WatchState::SinkBack => println!("changes go out again"),
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
