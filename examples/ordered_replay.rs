//! Ordered replay: the state of accounts is rebuilt from the stream of everything that has happened to
//! them, and then follows it. Meanwhile somebody deletes the server-side consumer, and nothing is lost
//! or counted twice.
//!
//! `cargo run --example ordered_replay` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    ConsumeOptions, Consumption, Delivery, JetStream, OrderedOptions, PurgeOptions, StreamConfig,
};
use std::collections::BTreeMap;

const STREAM: &str = "EXAMPLE_LEDGER";

/// What has been read so far.
#[derive(Default)]
struct Ledger {
    balances: BTreeMap<String, i64>,
    entries: u64,
    /// It has caught up with what was there when it began.
    is_current: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = evnats::EventLoop::<Ledger>::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new(STREAM).subjects(["ledger.*"]);
    js.create_or_update_stream(&config, |_, js, created| {
        created?;
        js.purge_stream(STREAM, &PurgeOptions::new(), |_, js, purged| {
            purged?;
            for (account, amount) in [("ada", 100), ("bob", 50), ("ada", -30), ("bob", 5)] {
                enter(js, account, amount);
            }
            // the server has read them before it is asked for them
            js.client().flush(|_, nats, flushed| {
                flushed?;
                replay(&nats.jetstream());
                Ok(())
            });
            Ok(())
        });
        Ok(())
    });
    event_loop.run(&mut Ledger::default())?;
    Ok(())
}

fn enter(js: &JetStream<Ledger>, account: &str, amount: i64) {
    js.publish(&format!("ledger.{account}"), amount.to_string(), |_, _, stored| {
        stored?;
        Ok(())
    });
}

fn replay(js: &JetStream<Ledger>) {
    let options = OrderedOptions::new().filter_subjects(["ledger.*"]).name_prefix("replay");
    let ledger = js.stream(STREAM).ordered_consumer(options);
    let reading = ledger.consume(ConsumeOptions::new(), apply);
    reading.on_event(|_, _, event| println!("{event}"));
    reading.on_end(|ledger, reading, end| {
        println!("{} entries, {:?}: {end:?}", ledger.entries, ledger.balances);
        reading.client().drain();
    });
}

fn apply(
    ledger: &mut Ledger,
    reading: &Consumption<Ledger>,
    entry: &Delivery<'_, Ledger>,
) -> evnats::Result {
    let subject = entry.subject();
    let account = subject.strip_prefix("ledger.").unwrap_or(&subject);
    let amount: i64 = entry.text().parse().unwrap_or_default();
    *ledger.balances.entry(account.to_owned()).or_default() += amount;
    ledger.entries += 1;

    let info = entry.info()?;
    if info.pending == 0 && !ledger.is_current {
        ledger.is_current = true;
        println!("rebuilt from {} entries: {:?}", ledger.entries, ledger.balances);
        disturb(&reading.client().jetstream(), info.consumer);
    } else if ledger.is_current {
        println!("{account}: {amount:+}");
    }
    if account == "eve" {
        reading.stop();
    }
    Ok(())
}

/// Deletes the consumer that is being read, and goes on with business.
fn disturb(js: &JetStream<Ledger>, consumer: &str) {
    js.delete_consumer(STREAM, consumer, |_, js, deleted| {
        deleted?;
        for (account, amount) in [("ada", 7), ("bob", -55), ("eve", 1)] {
            enter(js, account, amount);
        }
        Ok(())
    });
}
