//! Per-key order: the orders of each customer are handled one after the other, in the order in which they
//! came, and those of several customers at once. The work takes its time, and goes on after the callback;
//! when it fails, the order comes again, and only its customer's have to wait.
//!
//! `cargo run --example per_key_order` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    Acker, ByKey, ConsumeOptions, Consumer, ConsumerConfig, Consumption, Delivery, JetStream,
    PurgeOptions, StreamConfig,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const STREAM: &str = "EXAMPLE_SALES";
const CUSTOMERS_AT_ONCE: usize = 2;
const ORDERS: [(&str, &str); 9] = [
    ("ada", "tea"),
    ("ada", "milk"),
    ("bob", "bread"),
    ("eve", "honey"),
    ("ada", "a cup"),
    ("bob", "butter"),
    ("eve", "a spoon"),
    ("bob", "a knife"),
    ("ada", "sugar"),
];

#[derive(Default)]
struct Shop {
    sold: BTreeMap<String, Vec<String>>,
    /// Whose orders are being handled.
    served: BTreeSet<String>,
    most_served: usize,
    count: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = evnats::EventLoop::<Shop>::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new(STREAM).subjects(["sales.*"]);
    js.create_or_update_stream(&config, |_, js, created| {
        created?;
        js.purge_stream(STREAM, &PurgeOptions::new(), |_, js, purged| {
            purged?;
            for (customer, item) in ORDERS {
                js.client().publish(&format!("sales.{customer}"), item)?;
            }
            open(js);
            Ok(())
        });
        Ok(())
    });
    event_loop.run(&mut Shop::default())?;
    Ok(())
}

fn open(js: &JetStream<Shop>) {
    let config = ConsumerConfig::new("clerk").durable_name("clerk");
    js.stream(STREAM).create_or_update_consumer(&config, |_, _, clerk| {
        serve(&clerk?);
        Ok(())
    });
}

/// The subject is the key: there is one for each customer.
fn serve(clerk: &Consumer<Shop>) {
    let by_customer = ByKey::subject().max_keys(CUSTOMERS_AT_ONCE);
    let orders = clerk.consume_by_key(ConsumeOptions::new(), by_customer, handle);
    orders.on_event(|_, _, event| println!("{event}"));
    orders.on_end(|shop, orders, end| {
        for (customer, items) in &shop.sold {
            println!("{customer} has bought {}", items.join(", "));
        }
        println!("{} orders, {} customers at once: {end:?}", shop.count, shop.most_served);
        orders.client().drain();
    });
}

/// Begins with the work on an order, and returns.
fn handle(
    shop: &mut Shop,
    orders: &Consumption<Shop>,
    order: &Delivery<'_, Shop>,
) -> evnats::Result {
    let subject = order.subject();
    let customer = subject.strip_prefix("sales.").unwrap_or(&subject).to_owned();
    let (item, acker) = (order.text().into_owned(), order.to_acker()?);
    let is_paid = item != "bread" || order.info()?.delivered > 1;
    shop.served.insert(customer.clone());
    shop.most_served = shop.most_served.max(shop.served.len());
    // stands for a payment, which takes the longer the more is bought
    let time = Duration::from_millis(10 * item.len() as u64);
    orders.set_timer(time, move |shop: &mut Shop, orders| {
        shop.served.remove(&customer);
        if is_paid {
            sell(shop, orders, customer, item, &acker)
        } else {
            try_again(&customer, &acker)
        }
    });
    Ok(())
}

fn sell(
    shop: &mut Shop,
    orders: &Consumption<Shop>,
    customer: String,
    item: String,
    acker: &Acker<Shop>,
) -> evnats::Result {
    acker.ack()?;
    shop.sold.entry(customer).or_default().push(item);
    shop.count += 1;
    if shop.count == ORDERS.len() {
        orders.stop();
    }
    Ok(())
}

fn try_again(customer: &str, acker: &Acker<Shop>) -> evnats::Result {
    println!("{customer} could not pay");
    Ok(acker.nak_after(Duration::from_millis(100))?)
}
