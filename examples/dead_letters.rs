//! Orders that nobody can pack: a worker's dead letters are stored in a stream of their own, with the
//! reason and the place of the original, and shown from there.
//!
//! One order is no order, and the worker terminates it. Another one wants more than the shelf has: the
//! worker hands it back, until the consumer has delivered it as often as it may. `cargo run --example
//! dead_letters` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    ConsumeOptions, Consumer, ConsumerConfig, Consumption, DeadLetter, DeadLetterCause,
    DeadLetterOptions, Delivery, Error, JetStream, Listed, MessageQuery, PublishOptions, ReadFrom,
    StoredMessage, StreamConfig, WindowOptions,
};
use evnats::{EventLoop, HeaderMap, Result};

const ORDERS: &str = "EXAMPLE_ORDERS";
const DEAD: &str = "EXAMPLE_DEAD";

/// What is on the shelf, and what became of the orders.
struct Shop {
    cups: u32,
    packed: usize,
    buried: usize,
    work: Option<Consumption<Shop>>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let dead = StreamConfig::new(DEAD).subjects(["example.dead.>"]);
    js.create_stream(&dead, |_: &mut Shop, js, created| {
        created?;
        let orders = StreamConfig::new(ORDERS).subjects(["example.orders.*"]);
        js.create_stream(&orders, |_, js, created| {
            created?;
            // an order is tried three times
            let config = ConsumerConfig::new("packer").durable_name("packer").max_deliver(3);
            js.stream(ORDERS)
                .create_consumer(&config, |shop: &mut Shop, _, packer| open(shop, &packer?));
            Ok(())
        });
        Ok(())
    });
    let mut shop = Shop { cups: 10, packed: 0, buried: 0, work: None };
    event_loop.run(&mut shop)?;
    println!("{} orders are packed, {} cups are left", shop.packed, shop.cups);
    Ok(())
}

fn open(shop: &mut Shop, packer: &Consumer<Shop>) -> Result {
    let js = packer.stream().jetstream();
    // who listens late is told nothing of what was before, so this comes first
    let options = DeadLetterOptions::new().queue_group("undertakers");
    packer.dead_letters(&options, |_, listing, listed| match listed {
        Listed::Item(letter) => bury(listing.jetstream(), &letter),
        Listed::Ended(end) => {
            // the end of the client is not worth a word
            end.or_else(|error| if error.is_closed() { Ok(()) } else { Err(error.into()) })
        }
    });
    shop.work = Some(packer.consume(ConsumeOptions::new(), pack));
    let window = js.publish_window(WindowOptions::new());
    for (customer, order) in [("ada", "3"), ("bob", "a dragon"), ("eve", "500"), ("ada", "2")] {
        window.enqueue(&format!("example.orders.{customer}"), order)?;
    }
    window.finish(|_, _, report| println!("{} orders are stored", report.stored));
    Ok(())
}

/// Packs what the consumer delivers.
fn pack(shop: &mut Shop, _: &Consumption<Shop>, order: &Delivery<'_, Shop>) -> Result {
    match order.text().parse().map(|cups: u32| shop.cups.checked_sub(cups)) {
        Ok(Some(left)) => {
            shop.cups = left;
            shop.packed += 1;
            order.ack()?;
        }
        // there may be more of them later
        Ok(None) => order.nak()?,
        // this will not get any better
        Err(_) => order.terminate_with("not a number of cups")?,
    }
    Ok(())
}

/// Stores a dead letter, with what is known of it.
fn bury(js: &JetStream<Shop>, letter: &DeadLetter) -> Result {
    let delivery = &letter.delivery;
    let cause = match &letter.cause {
        DeadLetterCause::Terminated { reason: Some(reason) } => reason.clone(),
        cause => format!("{cause:?} after {} deliveries", delivery.deliveries),
    };
    let (payload, found) = match &letter.message {
        Ok(message) => (message.payload(), message.subject().into_owned()),
        // all that is left of it is that there was one
        Err(error) => (&b""[..], error.to_string()),
    };
    let headers = HeaderMap::new()
        .with("Dead-Cause", cause)
        .with("Dead-Subject", found)
        .with("Dead-Sequence", delivery.stream_sequence.to_string());
    // servers may tell of it twice, and it is buried once
    let id = format!("{}.{}.{}", delivery.stream, delivery.consumer, delivery.stream_sequence);
    let options = PublishOptions::new().headers(&headers).message_id(&id);
    let subject = format!("example.dead.{}", delivery.consumer);
    js.publish_with(&subject, payload, &options, |shop, js, stored| {
        stored?;
        shop.buried += 1;
        if shop.buried == 2 {
            // that was the last order
            if let Some(work) = shop.work.take() {
                work.stop();
            }
            show(js, 1);
        }
        Ok(())
    });
    Ok(())
}

/// Shows what was buried, one after the other.
fn show(js: &JetStream<Shop>, sequence: u64) {
    let query = MessageQuery::Sequence(sequence);
    js.stored_message(DEAD, query, ReadFrom::Leader, move |_, js, read| {
        match read {
            Ok(dead) => {
                print(&dead);
                show(js, sequence + 1);
            }
            Err(error) if error.is_not_found() => close(js),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    });
}

fn print(dead: &StoredMessage) {
    let header = |name| dead.headers().get(name).unwrap_or_default();
    let order = String::from_utf8_lossy(dead.payload());
    println!("{}: {order:?}: {}", header("Dead-Subject"), header("Dead-Cause"));
}

fn close(js: &JetStream<Shop>) {
    let done = |_: &mut Shop, js: &JetStream<Shop>, deleted: std::result::Result<(), Error>| {
        deleted?;
        js.delete_stream(DEAD, |_, js, deleted| {
            js.client().drain();
            deleted.map_err(evnats::Error::from)
        });
        Ok::<(), evnats::Error>(())
    };
    js.delete_stream(ORDERS, done);
}
