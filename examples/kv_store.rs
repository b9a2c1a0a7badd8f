//! A Key-Value bucket with a history: revisions, conflicts, tombstones, keys and numbers.
//!
//! Each step is the callback of the one before. `cargo run --example kv_store` starts a server of
//! its own; with `NATS_URL` it uses that one.

use evnats::{EventLoop, kv};

type Prices = kv::KeyValue<()>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<()>::new()?;
    let prices = event_loop.connect(url)?.jetstream().key_value("example_prices");
    prices.create_bucket(kv::Config::new().history(5), |_, prices, created| {
        let status = created?;
        println!("bucket {} keeps {:?} values per key", status.bucket(), status.history());
        prices.create("lamp", "40", created_lamp);
        Ok(())
    });
    event_loop.run(&mut ())?;
    Ok(())
}

fn created_lamp(_: &mut (), prices: &Prices, created: Result<u64, kv::Error>) -> evnats::Result {
    let first = created?;
    println!("created at revision {first}");
    prices.create("lamp", "41", move |_, prices, again| {
        match again {
            // the revision of the value that is there comes with the error
            Err(kv::Error::KeyExists { key, revision }) => println!("{key} exists at {revision:?}"),
            other => println!("created twice? {other:?}"),
        }
        prices.update("lamp", "42", first, move |_, prices, updated| {
            println!("updated from revision {first} to {}", updated?);
            update_outdated(prices, first);
            Ok(())
        });
    });
    Ok(())
}

fn update_outdated(prices: &Prices, first: u64) {
    prices.update("lamp", "43", first, move |_, prices, outdated| {
        match outdated {
            Err(kv::Error::WrongRevision { key, expected, actual }) => {
                println!("{key} is not at {expected} any more, but at {actual:?}");
            }
            other => println!("updated from an old revision? {other:?}"),
        }
        prices.get_revision("lamp", first, |_, prices, entry| {
            println!("it was {:?}", entry?.map(|entry| entry.text().into_owned()));
            prices.get("lamp", read_lamp);
            Ok(())
        });
    });
}

fn read_lamp(
    _: &mut (),
    prices: &Prices,
    entry: Result<Option<kv::Entry>, kv::Error>,
) -> evnats::Result {
    println!("it is {:?}", entry?.map(|entry| entry.text().into_owned()));
    prices.put("chair", "90", |_, _, _| {});
    prices.delete("lamp", |_, prices, deleted| {
        println!("deleted: the tombstone is revision {}", deleted?);
        prices.get("lamp", |_, _, entry| println!("a deleted key has no value: {entry:?}"));
        prices.get_raw("lamp", |_, _, entry| println!("but a last revision: {entry:?}"));
        prices.history("lamp", |_, prices, entries| {
            for entry in entries? {
                println!("  {} {} {:?}", entry.revision(), entry.operation(), entry.text());
            }
            prices.purge("lamp", purged);
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

fn purged(_: &mut (), prices: &Prices, purged: Result<u64, kv::Error>) -> evnats::Result {
    println!("purged at revision {}", purged?);
    prices.history("lamp", |_, prices, entries| {
        println!("entries left in its history: {}", entries?.len());
        prices.keys(|_, prices, keys| {
            println!("keys with a value: {:?}", keys?);
            prices.status(count_and_delete);
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

fn count_and_delete(
    _: &mut (),
    prices: &Prices,
    status: Result<kv::Status, kv::Error>,
) -> evnats::Result {
    let status = status?;
    println!("{} messages in {}", status.values(), status.stream().config.name);
    prices.delete_bucket(|_, prices, deleted| {
        deleted?;
        prices.client().drain();
        Ok(())
    });
    Ok(())
}
