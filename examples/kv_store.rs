//! A Key-Value bucket with a history: revisions, conflicts, tombstones, keys and numbers.
//!
//! Each step is the callback of the one before. `cargo run --example kv_store` starts a server of
//! its own; with `NATS_URL` it uses that one.

use evnats::{EventLoop, kv};

type Prices = kv::KeyValue<App>;

#[derive(Default)]
struct App {
    /// What ended the chain before its end.
    failure: Option<kv::Error>,
}

impl App {
    /// Ends the chain if a step has failed.
    fn check<T>(&mut self, kv: &Prices, outcome: Result<T, kv::Error>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.failure = Some(error);
                kv.client().close();
                None
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let prices = event_loop.connect(url)?.jetstream().key_value("example_prices");
    prices.client().on_close(|_, _, reason| println!("closed: {reason}"));
    let config = kv::Config::new().history(5);
    prices.create_bucket(config, |app: &mut App, prices, created| {
        let Some(status) = app.check(prices, created) else { return };
        println!("bucket {} keeps {:?} values per key", status.bucket(), status.history());
        prices.create("lamp", "40", created_lamp);
    });
    let mut app = App::default();
    event_loop.run(&mut app)?;
    Ok(app.failure.map_or(Ok(()), Err)?)
}

fn created_lamp(app: &mut App, prices: &Prices, created: Result<u64, kv::Error>) {
    let Some(first) = app.check(prices, created) else { return };
    println!("created at revision {first}");
    prices.create("lamp", "41", move |_, prices, again| {
        match again {
            // the revision of whoever was first comes with the error
            Err(kv::Error::KeyExists { key, revision }) => println!("{key} exists at {revision:?}"),
            other => println!("created twice? {other:?}"),
        }
        prices.update("lamp", "42", first, move |app, prices, updated| {
            let Some(second) = app.check(prices, updated) else { return };
            println!("updated from revision {first} to {second}");
            update_outdated(prices, first);
        });
    });
}

fn update_outdated(prices: &Prices, first: u64) {
    prices.update("lamp", "43", first, move |_, prices, outdated| {
        match outdated {
            Err(kv::Error::WrongRevision { key, expected, actual }) => {
                println!("{key} is not at {expected} any more, but at {actual:?}");
            }
            other => println!("updated from an old revision? {other:?}"),
        }
        prices.get_revision("lamp", first, |app, prices, entry| {
            let Some(entry) = app.check(prices, entry) else { return };
            println!("it was {:?}", entry.map(|entry| entry.text().into_owned()));
            prices.get("lamp", read_lamp);
        });
    });
}

fn read_lamp(app: &mut App, prices: &Prices, entry: Result<Option<kv::Entry>, kv::Error>) {
    let Some(entry) = app.check(prices, entry) else { return };
    println!("it is {:?}", entry.map(|entry| entry.text().into_owned()));
    prices.put("chair", "90", |_, _, _| {});
    prices.delete("lamp", |app, prices, deleted| {
        let Some(tombstone) = app.check(prices, deleted) else { return };
        println!("deleted: the tombstone is revision {tombstone}");
        prices.get("lamp", |_, _, entry| println!("a deleted key has no value: {entry:?}"));
        prices.get_raw("lamp", |_, _, entry| println!("but a last revision: {entry:?}"));
        prices.history("lamp", |app, prices, entries| {
            for entry in app.check(prices, entries).into_iter().flatten() {
                println!("  {} {} {:?}", entry.revision(), entry.operation(), entry.text());
            }
            prices.purge("lamp", purged);
        });
    });
}

fn purged(app: &mut App, prices: &Prices, purged: Result<u64, kv::Error>) {
    let Some(revision) = app.check(prices, purged) else { return };
    println!("purged at revision {revision}");
    prices.history("lamp", |app, prices, entries| {
        let Some(entries) = app.check(prices, entries) else { return };
        println!("entries left in its history: {}", entries.len());
        prices.keys(|app, prices, keys| {
            let Some(keys) = app.check(prices, keys) else { return };
            println!("keys with a value: {keys:?}");
            prices.status(count_and_delete);
        });
    });
}

fn count_and_delete(app: &mut App, prices: &Prices, status: Result<kv::Status, kv::Error>) {
    let Some(status) = app.check(prices, status) else { return };
    println!("{} messages in {}", status.values(), status.stream().config.name);
    prices.delete_bucket(|app, prices, deleted| {
        if app.check(prices, deleted).is_some() {
            prices.client().drain();
        }
    });
}
