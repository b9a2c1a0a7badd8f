//! The orders of a shop in a stream. A customer asks what is stored of her, and has it erased: messages
//! are read back and purged, and stream and consumer tell what is left. Needs server 2.11.
//!
//! `cargo run --example jetstream` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    ConsumerConfig, Error, Listed, Listing, MessagesEnd, MessagesQuery, PurgeOptions,
    StoredMessage, Stream, StreamConfig, StreamDetails, WindowOptions,
};
use evnats::{EventLoop, Result};
use std::time::Duration;

/// How many orders were shown to the customer.
#[derive(Default)]
struct Shown(u64);

type Orders = Stream<Shown>;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<Shown>::new()?;
    let orders = event_loop.connect(url)?.jetstream().stream("ORDERS");
    let config = StreamConfig::new("ORDERS")
        .subjects(["orders.>"])
        .max_age(Duration::from_secs(365 * 24 * 60 * 60))
        .allow_direct(true);
    orders.create(&config, |_, orders, created| {
        println!("stream {} is ready", created?.config.name);
        // whoever ships the orders has a place of its own in the stream
        let shipping = ConsumerConfig::new("shipping").durable_name("shipping");
        orders.create_consumer(&shipping, |_, orders, consumer| {
            println!("consumer {} is ready", consumer?.name());
            take(orders)
        });
        Ok(())
    });
    event_loop.run(&mut Shown::default())?;
    Ok(())
}

/// Stores orders, and goes on when all of them are stored.
fn take(orders: &Orders) -> Result {
    let window = orders.jetstream().publish_window(WindowOptions::new());
    for (customer, order) in [("ada", "tea"), ("bob", "salt"), ("ada", "a cup"), ("eve", "a rope")]
    {
        window.enqueue(&format!("orders.{customer}"), order)?;
    }
    let orders = orders.clone();
    window.finish(move |_, _, report| {
        println!("{} orders are stored, {} are not", report.stored, report.not_stored);
        let of_ada = MessagesQuery::subject("orders.ada");
        orders.stored_messages(&of_ada, show);
    });
    Ok(())
}

/// Shows an order of the customer's, and after the last one erases all of them.
fn show(
    shown: &mut Shown,
    listing: &Listing<Shown>,
    listed: Listed<StoredMessage, MessagesEnd>,
) -> Result {
    match listed {
        Listed::Item(order) => {
            let text = String::from_utf8_lossy(order.payload()).into_owned();
            println!("order {} of ada: {text}", order.sequence());
            shown.0 += 1;
        }
        Listed::Ended(Ok(_)) => erase(&listing.jetstream().stream("ORDERS")),
        Listed::Ended(Err(Error::Unsupported { .. })) => {
            println!("this server is too old to read many messages at once");
            listing.jetstream().client().close();
        }
        Listed::Ended(Err(error)) => return Err(error.into()),
    }
    Ok(())
}

fn erase(orders: &Orders) {
    let of_ada = PurgeOptions::new().subject("orders.ada");
    orders.purge(&of_ada, |shown: &mut Shown, orders, purged| {
        println!("{} of {} orders of ada are erased", purged?, shown.0);
        look(orders);
        Ok(())
    });
}

/// Tells what is left, and takes it away.
fn look(orders: &Orders) {
    let details = StreamDetails::new().subjects_filter(">");
    orders.info_with(&details, |_, orders, info| {
        let state = info?.state;
        println!("{} orders are left, of {:?}", state.messages, state.subjects.keys());
        orders.consumer("shipping").info(|_, shipping, info| {
            println!("{} of them are still to be shipped", info?.num_pending);
            list(shipping.stream());
            Ok(())
        });
        Ok(())
    });
}

fn list(orders: &Orders) {
    let mine = orders.clone();
    orders.jetstream().list_streams(Some("orders.>"), move |_, _, listed| {
        match listed {
            Listed::Item(info) => {
                println!("stream {} has {} consumers", info.config.name, info.state.consumer_count);
            }
            Listed::Ended(end) => {
                end?;
                mine.delete(|_, orders, deleted| {
                    orders.client().drain();
                    deleted.map_err(evnats::Error::from)
                });
            }
        }
        Ok(())
    });
}
