//! NATS on the same loop stays responsive while MongoDB is busy, frozen or gone.

use super::together;
use crate::support::{finish, server};
use evnats::mongo::{Mongo, Options};
use evnats::{Client, EventLoop};
use evnats_harness::replica_set;
use std::time::{Duration, Instant};

/// How many requests are made, at least.
const REQUESTS: usize = 200;

/// How many calls are under way all the time, and are to have an outcome meanwhile.
const CALLS: usize = 100;

/// How long one may take. Far more than it does, for machines that are busy with a build.
const BOUND: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    of_mongo: usize,
}

/// Makes one request after the other, on the loop that also answers them, and stops the loop.
fn request(nats: &Client<Seen>, left: usize) {
    let asked = Instant::now();
    nats.request("echo", "hello", move |seen: &mut Seen, nats, _| {
        seen.took.push(asked.elapsed());
        // MongoDB has a part in it, however slow it is
        match left {
            0 if seen.of_mongo > CALLS => nats.close(),
            _ => request(nats, left.saturating_sub(1)),
        }
    });
}

/// Calls for as long as there is a connection to NATS.
fn keep_busy(mongo: &Mongo<Seen>, nats: &Client<Seen>) {
    let nats = nats.clone();
    mongo.ping(move |seen: &mut Seen, mongo, _| {
        seen.of_mongo += 1;
        if nats.state() != evnats::ConnectionState::Closed {
            keep_busy(mongo, &nats);
        }
    });
}

/// Makes requests while calls are under way all the time.
fn run(options: Options) -> Seen {
    let event_loop = EventLoop::<Seen>::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.subscribe("echo", |_, subscription, message| {
        subscription.client().respond(message, message.payload())
    })
    .expect("a subscription");
    let mongo = event_loop.connect_mongo(options).expect("MongoDB");
    (0..CALLS).for_each(|_| keep_busy(&mongo, &nats));
    request(&nats, REQUESTS - 1);
    finish(&event_loop)
}

#[track_caller]
fn assert_responsive(seen: &Seen) {
    assert!(seen.took.len() >= REQUESTS);
    let slowest = seen.took.iter().max().unwrap();
    assert!(*slowest < BOUND, "{slowest:?} for a request");
}

#[test]
fn nats_is_responsive_while_mongodb_is_busy() {
    let _company = together();
    let set = replica_set!();
    let seen = run(Options::new(set.uri()));
    assert_responsive(&seen);
}

#[test]
fn nats_is_responsive_while_mongodb_is_frozen_and_gone() {
    let _company = together();
    let mut set = replica_set!();
    let options = Options::new(set.uri()).timeout(Duration::from_millis(20));
    set.pause(0);
    assert_responsive(&run(options.clone()));
    set.kill(0);
    assert_responsive(&run(options));
}
