//! The end while a watcher is doing whatever it may do: it ends once, with the reason, and no thread is left.

use super::{TIMEOUT, World, alone, impatient, wait_for_threads};
use crate::support::Log;
use evnats::mongo::bson::doc;
use evnats::mongo::{
    Ack, Backoff, ChangeStream, ChangeStreamWatcher, MongoResumeStore, StopReason, WatchState,
};
use evnats_harness::{MongoStandIn, Reply, Request};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a watcher is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    Loading,
    Opening,
    Live,
    /// It pauses before it opens its stream again.
    Waiting,
    /// A change was given out, and is not answered.
    Unanswered,
    Saving,
}

const DOINGS: [Doing; 6] =
    [Doing::Loading, Doing::Opening, Doing::Live, Doing::Waiting, Doing::Unanswered, Doing::Saving];

fn stand_in(doing: Doing) -> MongoStandIn {
    let insert = doc! { "_id": { "_data": "A1" }, "operationType": "insert" };
    let mut events = vec![insert];
    MongoStandIn::start(move |request: &Request| match (doing, request.command()) {
        (Doing::Loading, "find") | (Doing::Opening, "aggregate") => Reply::Silence,
        (Doing::Saving, "insert" | "update") => Reply::Silence,
        // a stream that fails, and a pause of a minute
        (Doing::Waiting, "aggregate") => Reply::error(91, "ShutdownInProgress"),
        (Doing::Unanswered | Doing::Saving, "getMore") if !events.is_empty() => {
            Reply::next_batch(7, std::mem::take(&mut events)).resume_token("A1")
        }
        _ => Reply::Usual,
    })
}

/// What a watcher holds: it is dropped with it.
type Held = Rc<RefCell<Vec<Ack>>>;

/// Brings a watcher to where it does this.
fn begin(world: &mut World, stand_in: &MongoStandIn, doing: Doing) -> Held {
    let held = Held::default();
    let holding = held.clone();
    let pause = Backoff::new().first(Duration::from_secs(60)).longest(Duration::from_secs(60));
    let stream = ChangeStream::on("shop", "orders")
        .max_await_time(Duration::from_millis(50))
        .save_every(1, Duration::from_millis(1))
        .backoff(pause);
    world
        .mongo
        .watch(stream)
        .resume(MongoResumeStore::new(&world.mongo, "shop", "points", "orders"))
        .dispatch_later(move |log: &mut Log, _, ack: Ack| {
            log.push("change".into());
            match doing {
                Doing::Unanswered => holding.borrow_mut().push(ack),
                _ => ack.ok(),
            }
        })
        .on_state(|log: &mut Log, _, state| match state {
            WatchState::Live => log.push("live".into()),
            WatchState::Waiting { .. } => log.push("waiting".into()),
            _ => {}
        })
        .start(|log: &mut Log, watcher: &ChangeStreamWatcher<Log>, reason| {
            assert!(watcher.is_stopped());
            // what is asked of it now changes nothing
            watcher.stop();
            log.push(match reason {
                StopReason::Failed(error) => format!("end: {error}"),
                reason => format!("end: {reason:?}"),
            });
        });
    let limit = Instant::now() + Duration::from_secs(20);
    let has = |world: &World, line: &str| world.log.iter().any(|told| told == line);
    while !match doing {
        Doing::Loading => stand_in.seen("find") > 0,
        Doing::Opening => stand_in.seen("aggregate") > 0,
        Doing::Live => has(world, "live"),
        Doing::Waiting => has(world, "waiting"),
        Doing::Unanswered => has(world, "change"),
        Doing::Saving => stand_in.seen("insert") + stand_in.seen("update") > 0,
    } {
        assert!(Instant::now() < limit, "{doing:?}: {:?}", world.log);
        world.turn();
    }
    held
}

#[test]
fn a_closed_connection_ends_a_watcher_once_whatever_it_does() {
    let _company = alone();
    for doing in DOINGS {
        let stand_in = stand_in(doing);
        let mut world = World::new(impatient(&stand_in));
        let held = begin(&mut world, &stand_in, doing);
        let started = Instant::now();
        for _ in 0..2 {
            world.mongo.close(|log: &mut Log, _, ()| log.push("closed".into()));
        }
        world.finish();
        let took = started.elapsed();
        assert!(took < TIMEOUT + Duration::from_secs(2), "{doing:?}: {took:?}");
        let ends: Vec<_> = world.log.iter().filter(|line| line.starts_with("end: ")).collect();
        assert_eq!(ends, ["end: the connection to MongoDB is closed"], "{doing:?}");
        assert_eq!(world.log.iter().filter(|line| *line == "closed").count(), 2, "{doing:?}");
        wait_for_threads(0);
        // late answers change nothing
        let told = world.log.len();
        held.take().into_iter().for_each(Ack::ok);
        world.finish();
        assert_eq!(world.log.len(), told, "{doing:?}: {:?}", world.log);
    }
}

#[test]
fn a_loop_that_is_dropped_takes_a_watcher_with_it_whatever_it_does() {
    let _company = alone();
    for doing in DOINGS {
        let stand_in = stand_in(doing);
        let mut world = World::new(impatient(&stand_in));
        let held = begin(&mut world, &stand_in, doing);
        let World { event_loop, mongo, log } = world;
        let started = Instant::now();
        drop(event_loop);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(2), "{doing:?}: {took:?}");
        wait_for_threads(0);
        assert!(mongo.is_closed());
        assert!(!log.iter().any(|line| line.starts_with("end: ")), "{doing:?}: {log:?}");
        assert_eq!(Rc::strong_count(&held), 1, "{doing:?}: the watcher's functions are dropped");
        held.take().into_iter().for_each(Ack::ok);
    }
}
