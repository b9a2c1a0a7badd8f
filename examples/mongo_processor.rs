//! Orders of a shop, given to the methods of a type as they change. The point of each change is saved before
//! it is given out, and one is left, so that the next run begins with the last change of this one.
//!
//! `cargo run --features mongodb --example mongo_processor` starts a replica set of its own; with
//! `MONGODB_URI` it uses that, and leaves its database there for the next run. Elsewhere than on Linux for
//! x86-64, have a `mongod` on the `PATH`.

use evnats::EventLoop;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{
    Ack, Backoff, BeforeChange, ChangeStream, CollectionWatcher, CommitMode, DocumentProcessor,
    Mongo, MongoResumeStore, WatchState,
};

#[derive(Default)]
struct App {
    seen: u32,
    processor: Option<DocumentProcessor<App>>,
}

const DATABASE: &str = "evnats_example_processor";
const COLLECTION: &str = "processed_orders";

/// Yours would keep a search index, a cache or a report up to date.
struct Orders;

impl CollectionWatcher<App> for Orders {
    fn insert(&mut self, app: &mut App, json: &[u8], ack: Ack) {
        println!("new: {}", String::from_utf8_lossy(json));
        app.seen += 1;
        ack.ok();
    }

    fn update(&mut self, app: &mut App, json: &[u8], ack: Ack) {
        println!("changed: {}", String::from_utf8_lossy(json));
        app.seen += 1;
        ack.ok();
    }

    fn delete(&mut self, app: &mut App, json: &[u8], ack: Ack) {
        println!("gone: {}", String::from_utf8_lossy(json));
        app.seen += 1;
        ack.ok();
        // yours would go on for ever; the first one of the next run is this one again
        if let Some(processor) = app.processor.as_ref().filter(|_| app.seen >= 3) {
            processor.stop();
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let mongodb = "mongodb://127.0.0.1:27017";
    let (mongodb, _replica_set) = evnats_harness::mongo_url_or_replica_set()?;
    let event_loop = EventLoop::<App>::new()?;
    let mongo = event_loop.connect_mongo(mongodb)?;
    mongo.ensure_pre_images(DATABASE, COLLECTION, |app, mongo, ensured| {
        ensured?;
        app.processor = Some(process(mongo));
        Ok(())
    });
    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("{} changes", app.seen);
    Ok(())
}

fn process(mongo: &Mongo<App>) -> DocumentProcessor<App> {
    let stream = ChangeStream::on(DATABASE, COLLECTION)
        .full_document_before_change(BeforeChange::WhenAvailable)
        .commit(CommitMode::SeedOrder);
    mongo
        .process(stream, Orders)
        .resume(MongoResumeStore::new(mongo, DATABASE, "points", COLLECTION))
        .on_state(|_, processor, state| {
            if matches!(state, WatchState::Live) {
                sell(processor.watcher().mongo());
            }
        })
        .on_start_err(|_, _, error| println!("{error:?}"))
        .start_with_retry(Backoff::new(), |_, processor, reason| {
            if let Some(error) = reason.error() {
                println!("stopped: {error}");
            }
            processor.watcher().mongo().close(|_, _, ()| {});
        })
}

/// What happens in the shop meanwhile.
fn sell(mongo: &Mongo<App>) {
    mongo.call(
        async |client| {
            let orders = client.database(DATABASE).collection::<Document>(COLLECTION);
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
