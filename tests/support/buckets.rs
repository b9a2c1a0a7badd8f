//! What the tests of Key-Value share: buckets, and what their streams have.

use super::{Log, finish_with, server, turn_until, unique};
use evnats::jetstream::{ConsumerInfo, Storage, StreamConfig, StreamInfo};
use evnats::kv::KeyValue;
use evnats::{Client, EventLoop};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A loop, a client whose connection is never cut, and its bucket.
pub struct Bench {
    pub event_loop: EventLoop<Log>,
    pub log: Log,
    pub admin: Client<Log>,
    pub kv: KeyValue<Log>,
}

impl Bench {
    pub fn new(adjust: impl FnOnce(StreamConfig) -> StreamConfig) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let admin = event_loop.connect(server().url()).expect("a client");
        let mut log = Log::new();
        let kv = bucket(&event_loop, &mut log, &admin, adjust);
        Self { event_loop, log, admin, kv }
    }

    #[track_caller]
    pub fn turn_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Log) -> bool) {
        turn_until(&self.event_loop, &mut self.log, what, |log| is_so(log));
    }

    pub fn put(&mut self, key: &str, value: &str) -> u64 {
        put(&self.event_loop, &mut self.log, &self.kv, key, value)
    }

    #[track_caller]
    pub fn expect_consumers(&mut self, expected: u64) {
        expect_consumers(&self.event_loop, &mut self.log, &self.kv, expected);
    }

    /// Closes the clients of others, deletes the bucket, and returns the log.
    pub fn end(mut self, others: &[&KeyValue<Log>]) -> Log {
        others.iter().for_each(|kv| kv.client().close());
        self.kv.delete_bucket(|_, kv, deleted| {
            deleted.expect("deleted");
            kv.client().close();
        });
        finish_with(&self.event_loop, &mut self.log);
        self.log
    }
}

/// The consumers of a bucket's stream, as the server has them.
pub fn consumers<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    kv: &KeyValue<S>,
) -> Vec<ConsumerInfo> {
    let answer = Rc::new(RefCell::new(None));
    let given = answer.clone();
    let list = format!("$JS.API.CONSUMER.LIST.KV_{}", kv.bucket());
    kv.client().request(&list, b"", move |_, _, reply| {
        let reply: serde_json::Value =
            serde_json::from_slice(reply.expect("a list").payload()).expect("JSON");
        let consumers = reply["consumers"].as_array().into_iter().flatten();
        // server 2.9 has null in the place of one that is deleted meanwhile
        let consumers = consumers.filter(|consumer| !consumer.is_null()).cloned();
        let consumers = consumers.map(|info| serde_json::from_value(info).expect("a consumer"));
        given.replace(Some(consumers.collect()));
    });
    turn_until(event_loop, state, "a list of consumers", |_| answer.borrow().is_some());
    answer.take().unwrap_or_default()
}

/// Turns the loop until so many consumers are left, which takes far less time than a server takes to
/// give up those that nobody listens to.
#[track_caller]
pub fn expect_consumers<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    kv: &KeyValue<S>,
    expected: u64,
) {
    expect_consumers_within(event_loop, state, kv, expected, Duration::from_secs(20));
}

/// As [`expect_consumers`], with a time limit.
#[track_caller]
pub fn expect_consumers_within<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    kv: &KeyValue<S>,
    expected: u64,
    limit: Duration,
) {
    let limit = Instant::now() + limit;
    loop {
        let count = stream_info(event_loop, state, kv).state.consumer_count;
        if count == expected {
            return;
        }
        assert!(Instant::now() < limit, "{count} consumers, and {expected} expected");
    }
}

/// What the server tells of a bucket's stream.
pub fn stream_info<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    kv: &KeyValue<S>,
) -> StreamInfo {
    let answer = Rc::new(RefCell::new(None));
    let given = answer.clone();
    kv.jetstream().stream(&format!("KV_{}", kv.bucket())).info(move |_, _, info| {
        given.replace(Some(info.expect("the stream")));
    });
    turn_until(event_loop, state, "a stream's information", |_| answer.borrow().is_some());
    answer.take().expect("it is there")
}

/// Creates a bucket in memory, in which batches are allowed and the stream is adjusted otherwise, and
/// turns the loop until it is there.
pub fn bucket<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    client: &Client<S>,
    adjust: impl FnOnce(StreamConfig) -> StreamConfig,
) -> KeyValue<S> {
    let name = unique("bucket");
    let config = StreamConfig::new(format!("KV_{name}"))
        .subjects([format!("$KV.{name}.>")])
        .storage(Storage::Memory)
        .max_msgs_per_subject(1)
        .allow_rollup_hdrs(true)
        .allow_direct(true);
    let created = Rc::new(Cell::new(false));
    let told = created.clone();
    client.jetstream().create_stream(&adjust(config), move |_, _, stream| {
        stream.expect("a stream");
        told.set(true);
    });
    turn_until(event_loop, state, "a bucket", |_| created.get());
    client.jetstream().key_value(&name)
}

/// Puts a value, and turns the loop until it is stored. Returns its revision.
pub fn put<S: 'static>(
    event_loop: &EventLoop<S>,
    state: &mut S,
    kv: &KeyValue<S>,
    key: &str,
    value: &str,
) -> u64 {
    let stored = Rc::new(Cell::new(None));
    let told = stored.clone();
    kv.put(key, value, move |_, _, revision| told.set(Some(revision.expect("a revision"))));
    turn_until(event_loop, state, "a put", |_| stored.get().is_some());
    stored.get().expect("it is there")
}
