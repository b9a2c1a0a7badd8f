//! What is made for a group, on a real server.

use super::config::{ElasticGroupConfig, PartitioningFilter};
use super::consumer::MemberConsumer;
use super::group::Group;
use super::names::without_partition;
use crate::client::Client;
use crate::event_loop::EventLoop;
use crate::jetstream::Error;
use crate::jetstream::ErrorCode;
use crate::jetstream::{
    ConsumerConfig, ConsumerInfo, Listed, MessagesQuery, StoredMessage, StreamConfig,
};
use evnats_harness::{Server, requires};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Told {
    answers: usize,
    stored: u64,
    messages: Vec<StoredMessage>,
    consumers: Vec<Result<ConsumerInfo, Error>>,
}

/// Turns a loop until something is so.
#[track_caller]
fn turn_until(event_loop: &EventLoop<Told>, told: &mut Told, is_so: impl Fn(&Told) -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !is_so(told) {
        event_loop.dispatch(told, Some(Duration::from_millis(50))).expect("a turn");
        assert!(Instant::now() < limit, "not within a minute");
    }
}

#[test]
fn a_server_divides_what_is_stored_and_gives_each_member_its_part() {
    const KEYS: usize = 50;
    let server = Server::start();
    requires!(server, 2, 11);
    let event_loop = EventLoop::<Told>::new().expect("an event loop");
    let nats: Client<Told> = event_loop.connect(server.url().as_str()).expect("a client");
    let (js, mut told) = (nats.jetstream(), Told::default());
    let origin = StreamConfig::new("S").subjects(["orders.>"]);
    let config = ElasticGroupConfig::new(5)
        .partitioning_filters([
            PartitioningFilter::new("orders.new.*.*", [1]),
            PartitioningFilter::new("orders.old.>", []),
        ])
        .members(["a", "b"]);
    config.check().expect("a configuration");
    for config in [&origin, &config.work_queue(&origin, "g")] {
        js.create_stream(config, |told: &mut Told, _, created| {
            created.expect("a stream");
            told.answers += 1;
        });
        let answers = told.answers + 1;
        turn_until(&event_loop, &mut told, |told| told.answers == answers);
    }
    for key in 0..KEYS {
        for subject in [format!("orders.new.{key}.a"), format!("orders.new.{key}.b")] {
            js.publish(&subject, "x", |told: &mut Told, _, stored| {
                stored.expect("stored");
                told.answers += 1;
            });
        }
    }
    js.publish("orders.old.x.y", "x", |told: &mut Told, _, _| told.answers += 1);
    js.publish("orders.others", "x", |told: &mut Told, _, _| told.answers += 1);
    turn_until(&event_loop, &mut told, |told| told.answers == 2 + 2 * KEYS + 2);

    while told.stored < 2 * KEYS as u64 + 1 {
        let answers = told.answers + 1;
        js.stream_info("S-g", |told: &mut Told, _, info| {
            told.stored = info.expect("a stream").state.messages;
            told.answers += 1;
        });
        turn_until(&event_loop, &mut told, |told| told.answers == answers);
    }
    js.stored_messages("S-g", &MessagesQuery::subject(">"), |told: &mut Told, _, listed| {
        match listed {
            Listed::Item(message) => told.messages.push(message),
            Listed::Ended(end) => told.answers += usize::from(end.is_ok()),
        }
    });
    let answers = told.answers + 1;
    turn_until(&event_loop, &mut told, |told| told.answers == answers);
    let mut partitions = BTreeMap::new();
    for message in &told.messages {
        let subject = message.subject();
        let partition: u32 = subject.split('.').next().expect("one").parse().expect("a number");
        assert!(partition < 5, "{subject}");
        let original = without_partition(&subject);
        assert!(original.starts_with("orders."), "{subject}");
        let Some(key) = original.strip_prefix("orders.new.") else { continue };
        let key = key.split('.').next().expect("a key").to_owned();
        assert_eq!(*partitions.entry(key).or_insert(partition), partition, "{subject}");
    }
    assert_eq!((told.messages.len(), partitions.len()), (2 * KEYS + 1, KEYS));

    let group = Group::Elastic(config);
    let made = |name| {
        let wanted = ConsumerConfig::default();
        let consumer = MemberConsumer::new(group.kind(), "g", name, &wanted).expect("a consumer");
        consumer.config(&group.filters_of(name))
    };
    let intruder = made("a").name("c");
    for config in [made("a"), made("b"), made("a"), intruder] {
        js.create_consumer("S-g", &config, |told: &mut Told, _, made| told.consumers.push(made));
        let consumers = told.consumers.len() + 1;
        turn_until(&event_loop, &mut told, |told| told.consumers.len() == consumers);
    }
    let pending = |place: usize| told.consumers[place].as_ref().expect("made").num_pending;
    assert_eq!(pending(0) + pending(1), 2 * KEYS as u64 + 1);
    assert!(pending(0) > 0 && pending(1) > 0);
    let again = told.consumers[2].as_ref().map(|info| info.name.as_str());
    assert_eq!(again, Ok("a"), "the same may be made twice");
    let refused = told.consumers[3].as_ref().expect_err("somebody else has the partitions");
    let code = refused.api().map(|error| error.err_code());
    assert_eq!(code, Some(ErrorCode::CONSUMER_WQ_CONSUMER_NOT_UNIQUE));
    nats.close();
}
