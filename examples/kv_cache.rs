//! A cache of a bucket: reads without a round trip, kept by a watch. Prices are looked up a hundred
//! thousand times while they change.
//!
//! `cargo run --example kv_cache` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::kv::{Cache, CacheEvent, CacheOptions, Config};
use evnats::{EventLoop, kv};

const ARTICLES: usize = 1000;
const LOOKUPS: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<()>::new()?;
    let prices = event_loop.connect(url)?.jetstream().key_value("example_cached_prices");
    prices.create_bucket(Config::new(), |_, prices, created| {
        created?;
        for article in 1..ARTICLES {
            prices.put(&key(article), "10", |_, _, _| {});
        }
        prices.put(&key(0), "10", |_, prices, stored| {
            stored?;
            // the cache may take a megabyte, and ends with an error if there is more
            let options = CacheOptions::new().max_bytes(1 << 20);
            prices.cache(&["article.*"], options, followed);
            Ok(())
        });
        Ok(())
    });
    event_loop.run(&mut ())?;
    Ok(())
}

fn key(article: usize) -> String {
    format!("article.{article}")
}

fn followed(_: &mut (), prices: &Cache<()>, event: CacheEvent) -> evnats::Result {
    match event {
        CacheEvent::Ready => {
            println!("{} prices are at hand", prices.len());
            println!("{LOOKUPS} articles cost {} in all", total(prices));
            prices.bucket().put(&key(7), "1010", |_, _, _| {});
        }
        // it is in the cache by now
        CacheEvent::Changed(entry) if entry.operation() == kv::Operation::Put => {
            println!("{} costs {} now, all of them {}", entry.key(), entry.text(), total(prices));
            prices.bucket().delete(&key(7), |_, _, _| {});
        }
        CacheEvent::Changed(entry) => {
            println!("{} is sold out: {:?}", entry.key(), prices.get(&entry.key()));
            prices.stop();
            prices.bucket().delete_bucket(|_, prices, deleted| {
                deleted?;
                prices.client().drain();
                Ok(())
            });
        }
        CacheEvent::CatchingUp { .. } => println!("prices may be old"),
        CacheEvent::Live => println!("prices are new again"),
        CacheEvent::Ended(error) => return Err(error.into()),
        _ => {}
    }
    Ok(())
}

/// What so many articles cost, each looked up.
fn total(prices: &Cache<()>) -> u64 {
    let price = |number| {
        let entry = prices.get(&key(number % ARTICLES))?;
        entry.text().parse::<u64>().ok()
    };
    (0..LOOKUPS).filter_map(price).sum()
}
