//! A consumer group: packers share the orders by customer, so that each customer's are packed by one of
//! them, in order, also while a packer comes and another one goes.
//!
//! The packers are in one program here; each of them could as well be in several of its own, of which one
//! would be at work. `cargo run --example consumer_group` starts a server of its own (it has to be 2.11 or
//! later); with `NATS_URL` it uses that one.

use evnats::groups::{
    ElasticGroup, ElasticGroupConfig, GroupConsumption, GroupEvent, GroupOptions,
    PartitioningFilter, without_partition,
};
use evnats::jetstream::{Delivery, StreamConfig, WindowOptions};
use evnats::{EventLoop, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const STREAM: &str = "EXAMPLE_SHARED";
const ORDERS: u64 = 1_200;
const CUSTOMERS: u64 = 24;

#[derive(Default)]
struct Shop {
    /// The number of each customer's next order.
    next: BTreeMap<String, u64>,
    packed: u64,
    again: u64,
    packers: BTreeSet<String>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new(STREAM).subjects(["example.shared.*"]);
    js.create_stream(&config, |_: &mut Shop, js, created| {
        created?;
        // six partitions, by the customer
        let by_customer = PartitioningFilter::new("example.shared.*", [1]);
        let config =
            ElasticGroupConfig::new(6).partitioning_filters([by_customer]).members(["ada", "ben"]);
        js.stream(STREAM).elastic_group("packers").create(&config, |_, group, made| {
            made?;
            open(group)
        });
        Ok(())
    });
    event_loop.run(&mut Shop::default())?;
    Ok(())
}

fn open(group: &ElasticGroup<Shop>) -> Result {
    // cleo has nothing to do yet
    for packer in ["ada", "ben", "cleo"] {
        let packing = group.consume(packer, GroupOptions::new(), pack);
        packing.on_event(|_, packing, event| {
            if let GroupEvent::Assigned(filters) = event {
                println!("{} has {} partitions", packing.member(), filters.len());
            }
        });
        packing.on_end(|_, packing, end| println!("{}: {end}", packing.member()));
    }
    order(group, 0..400)
}

/// Publishes the orders with these numbers.
fn order(group: &ElasticGroup<Shop>, numbers: Range<u64>) -> Result {
    let window = group.stream().jetstream().publish_window(WindowOptions::new());
    for number in numbers {
        let subject = format!("example.shared.c{}", number % CUSTOMERS);
        window.enqueue(&subject, (number / CUSTOMERS).to_string())?;
    }
    Ok(())
}

fn pack(
    shop: &mut Shop,
    packing: &GroupConsumption<Shop>,
    delivery: &Delivery<'_, Shop>,
) -> Result {
    let customer = without_partition(&delivery.subject()).to_owned();
    let number: u64 = delivery.text().parse().unwrap_or_default();
    let next = shop.next.entry(customer).or_default();
    match number == *next {
        true => *next += 1,
        false => shop.again += 1,
    }
    delivery.ack()?;
    shop.packed += 1;
    shop.packers.insert(packing.member().to_owned());
    let client = packing.client();
    let group = client.jetstream().stream(STREAM).elastic_group("packers");
    // the changes are made while orders are on their way
    match shop.packed {
        200 => group.add_members(&["cleo"], |_, group, changed| {
            changed?;
            order(group, 400..800)
        }),
        600 => group.remove_members(&["ada"], |_, group, changed| {
            changed?;
            order(group, 800..ORDERS)
        }),
        ORDERS => close(shop, &group),
        _ => {}
    }
    Ok(())
}

fn close(shop: &Shop, group: &ElasticGroup<Shop>) {
    let (packers, again) = (&shop.packers, shop.again);
    println!("{ORDERS} orders of {} customers, {again} out of order", shop.next.len());
    println!("packed by {}", packers.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    group.delete(|_, group, deleted| {
        deleted?;
        group.stream().delete(|_, stream, deleted| {
            stream.client().close();
            deleted.map_err(evnats::Error::from)
        });
        Ok(())
    });
}
