//! The end of the connection to MongoDB, and of the loop, while a sink waits for the stream.

use crate::support::unique;
use crate::world::{Told, Watcher, World, batched};
use evnats::mongo::{Error, StopReason};
use evnats_harness::{MongoDatabase, Server, Version, mongo_database};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a sink has sent when the server is held.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    /// A part of the initial copy, by fast ingest where the server has it.
    Copying,
    /// Changes.
    Publishing,
}

const DOINGS: [Doing; 2] = [Doing::Copying, Doing::Publishing];

/// Brings a sink to where it waits for acknowledgements.
fn begin(database: &MongoDatabase, server: &Server, doing: Doing) -> (World, Watcher, Rc<Told>) {
    let (uri, name) = (database.uri(), database.name());
    let world = World::on(&server.url(), uri, name, &unique("CHANGES"));
    let has_ingest = server.version() >= Version::new(2, 14, 0);
    world.create(if has_ingest { batched } else { |config| config });
    world.insert(0..5_000);
    let (sink, changes) = (world.sink(), world.changes().credit(50, 1 << 20));
    let (watcher, told) = match doing {
        Doing::Copying => world.start(world.mongo.watch(changes).publish_to(sink.initial_copy())),
        Doing::Publishing => {
            let published = world.publish_live(changes);
            world.insert(5_000..7_000);
            published
        }
    };
    world.until_stored(200);
    server.pause();
    // what is under way is not answered any more
    world.until("a message on its way", || {
        watcher.metrics().in_flight > 0 || doing == Doing::Copying
    });
    (world, watcher, told)
}

#[test]
fn a_closed_connection_ends_a_sink_that_waits_for_the_stream() {
    let server = Server::start();
    for doing in DOINGS {
        let database = mongo_database!();
        let (world, watcher, told) = begin(&database, &server, doing);
        let begun = Instant::now();
        world.ask(|done| world.mongo.close(move |(), _, ()| done(())));
        world.until("the end", || told.is_stopped());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(12), "{doing:?}: {took:?}");
        let stopped = told.stopped.borrow();
        assert!(
            matches!(*stopped, Some(StopReason::Failed(Error::Closed))),
            "{doing:?}: {stopped:?}"
        );
        assert!(watcher.is_stopped());
        server.resume();
    }
}

#[test]
fn a_loop_that_is_dropped_takes_a_sink_with_it_that_waits_for_the_stream() {
    let server = Server::start();
    for doing in DOINGS {
        let database = mongo_database!();
        let (world, watcher, told) = begin(&database, &server, doing);
        drop(watcher);
        drop(world);
        assert_eq!(Rc::strong_count(&told), 1, "{doing:?}: the watcher's functions are dropped");
        assert!(!told.is_stopped(), "{doing:?}");
        server.resume();
    }
}
