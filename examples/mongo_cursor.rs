//! A long list of MongoDB, page by page, with its cursors in a bucket: 137 orders make 50, 50 and 37. Then the
//! last ones of the same list as a connection, as GraphQL servers answer it, whose cursors are signed.
//!
//! `cargo run --features mongodb --example mongo_cursor`. It uses the servers that `NATS_URL` and `MONGODB_URI`
//! name, or else starts some for itself.

use evnats::kv::Config;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{ConnectionArguments, KeyRing, KvCursorStorage, ListCursor, Mongo, Page};
use evnats::{EventLoop, Result};
use evnats_harness::{mongo_url_or_replica_set, url_or_server};
use std::time::Duration;

const DATABASE: &str = "evnats_example_cursor";

#[derive(Default)]
struct App {
    pages: u32,
}

fn main() -> Result {
    let (nats_url, _server) = url_or_server().map_err(evnats::Error::other)?;
    let (mongo_url, _set) = mongo_url_or_replica_set().map_err(evnats::Error::other)?;
    let event_loop = EventLoop::<App>::new()?;
    let mongo = event_loop.connect_mongo(mongo_url)?;
    let nats = event_loop.connect(nats_url)?;
    let bucket = nats.jetstream().key_value("cursors");
    let config = Config::new().ttl(Duration::from_secs(3600));
    bucket.create_or_update_bucket(config, move |_, bucket, created| {
        created?;
        fill(&mongo, KvCursorStorage::new(bucket));
        Ok(())
    });
    event_loop.run(&mut App::default())
}

fn fill(mongo: &Mongo<App>, cursors: KvCursorStorage<App>) {
    let insert = async |client: evnats::mongo::mongodb::Client| {
        let orders = client.database(DATABASE).collection::<Document>("orders");
        orders.drop().await?;
        let rows = (0..137).map(|number| doc! { "_id": number, "customer": number % 7 });
        orders.insert_many(rows).await.map(drop)
    };
    mongo.call(insert, move |_, mongo, inserted| {
        inserted?;
        show(mongo, cursors, None);
        Ok(())
    });
}

/// Shows the page that a token leads to, and those after it. The token is all that a client has to keep.
fn show(mongo: &Mongo<App>, cursors: KvCursorStorage<App>, token: Option<String>) {
    let list = orders().limit(50);
    mongo.list_cursor(list.token(token).storage(&cursors), move |app: &mut App, mongo, page| {
        let page: Page = page?;
        app.pages += 1;
        println!("page {}: {} orders", app.pages, page.rows::<Document>()?.len());
        match page.next {
            Some(token) => show(mongo, cursors, Some(token)),
            None => {
                println!("that was all");
                cursors.bucket().client().drain();
                show_connection(mongo)?;
            }
        }
        Ok(())
    });
}

fn orders() -> ListCursor<App> {
    ListCursor::on(DATABASE, "orders").sort("-customer")
}

fn show_connection(mongo: &Mongo<App>) -> Result {
    let keys = KeyRing::new(1, b"32 random bytes or more, and this is none");
    let keys = keys.map_err(evnats::mongo::Error::from)?;
    let last = ConnectionArguments::new().last(3);
    mongo.list_connection(orders().signed(&keys), last, |_, mongo, connection| {
        let connection = connection?;
        println!("{}", serde_json::to_string_pretty(&connection).map_err(evnats::Error::other)?);
        clean_up(mongo);
        Ok(())
    });
    Ok(())
}

fn clean_up(mongo: &Mongo<App>) {
    let drop_all =
        async |client: evnats::mongo::mongodb::Client| client.database(DATABASE).drop().await;
    mongo.call(drop_all, |_, mongo, dropped| {
        dropped?;
        mongo.close(|_, _, ()| {});
        Ok(())
    });
}
