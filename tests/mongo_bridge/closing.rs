//! The end, whatever is under way: each callback once, and no thread and no descriptor left.

use super::{TIMEOUT, World, alone, descriptors, endless, impatient, note, wait_for_threads};
use crate::support::Log;
use evnats::EventLoop;
use evnats::mongo::{Mongo, Options};
use evnats_harness::{MongoStandIn, Reply, ReservedPort};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What may be under way when it ends.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Idle,
    Endless,
    SilentPeer,
    NoServer,
    Answered,
}

const STATES: [Before; 6] = [
    Before::Nothing,
    Before::Idle,
    Before::Endless,
    Before::SilentPeer,
    Before::NoServer,
    Before::Answered,
];

/// A stand-in that answers, or says nothing at all.
fn stand_in(before: Before) -> MongoStandIn {
    MongoStandIn::start(move |_| match before {
        Before::SilentPeer => Reply::Silence,
        _ => Reply::Usual,
    })
}

/// Brings a bridge into a state, with this many calls that have no outcome yet.
fn prepare(before: Before, stand_in: &MongoStandIn, port: &ReservedPort) -> (World, usize) {
    let nobody = format!("mongodb://127.0.0.1:{}", port.port());
    let mut world = World::new(match before {
        Before::NoServer => Options::new(nobody).timeout(TIMEOUT),
        _ => impatient(stand_in),
    });
    let under_way = match before {
        Before::Nothing => 0,
        Before::Idle => {
            assert_eq!(world.ping(), "ping: ok");
            0
        }
        Before::Endless => {
            (0..3).for_each(|_| world.mongo.call(endless, note("call")));
            3
        }
        Before::SilentPeer | Before::NoServer | Before::Answered => {
            (0..3).for_each(|_| world.mongo.ping(note("call")));
            3
        }
    };
    (world, under_way)
}

#[test]
fn closing_ends_everything_from_every_state() {
    let _company = alone();
    let port = ReservedPort::any().unwrap();
    for before in STATES {
        let stand_in = stand_in(before);
        let descriptors_before = descriptors();
        let (mut world, under_way) = prepare(before, &stand_in, &port);
        let started = Instant::now();
        world.mongo.close(|log: &mut Log, mongo, ()| {
            assert!(mongo.is_closed());
            log.push("over".into());
        });
        assert!(world.mongo.is_closed());
        world.mongo.close(|log: &mut Log, _, ()| log.push("over again".into()));
        world.mongo.ping(note("late"));
        world.finish();
        let took = started.elapsed();
        // the timeout of what is under way, and the goodbye
        assert!(took < TIMEOUT + Duration::from_secs(2), "{before:?}: {took:?}");
        let calls = world.log.iter().filter(|line| line.starts_with("call: ")).count();
        assert_eq!(calls, under_way, "{before:?}: {:?}", world.log);
        assert_eq!(world.log.len(), under_way + 3, "{before:?}: {:?}", world.log);
        assert_eq!(world.log[under_way + 1..], ["over", "over again"], "{before:?}");
        assert!(world.log.contains(&"late: closed".to_owned()), "{before:?}: {:?}", world.log);
        wait_for_threads(0);

        world.mongo.close(|log: &mut Log, _, ()| log.push("much later".into()));
        world.finish();
        assert_eq!(world.log.last().unwrap(), "much later");
        drop(world);
        settle(before, stand_in, descriptors_before);
    }
}

/// Waits until the descriptors are what they were before the connections were made.
#[track_caller]
fn settle(before: Before, stand_in: MongoStandIn, wanted: usize) {
    let limit = Instant::now() + Duration::from_secs(5);
    while descriptors() > wanted {
        assert!(Instant::now() < limit, "{before:?}: {} in place of {wanted}", descriptors());
        std::thread::yield_now();
    }
    drop(stand_in);
}

/// Counts the callbacks that exist, by being in them.
fn counted(
    held: &Rc<()>,
) -> impl FnOnce(&mut Log, &Mongo<Log>, Result<(), evnats::mongo::Error>) + 'static {
    let held = held.clone();
    move |log, _, _| {
        log.push("call".into());
        drop(held);
    }
}

#[test]
fn a_loop_that_is_dropped_takes_everything_with_it() {
    let _company = alone();
    let port = ReservedPort::any().unwrap();
    for before in STATES {
        let stand_in = stand_in(before);
        let descriptors_before = descriptors();
        let (world, _) = prepare(before, &stand_in, &port);
        let held = Rc::new(());
        world.mongo.call(endless, counted(&held));
        world.mongo.ping(counted(&held));
        let World { event_loop, mongo, log } = world;
        let started = Instant::now();
        drop(event_loop);
        assert!(started.elapsed() < Duration::from_secs(2), "{before:?}: {:?}", started.elapsed());
        wait_for_threads(0);
        assert_eq!(Rc::strong_count(&held), 1, "{before:?}: callbacks are dropped");
        assert!(mongo.is_closed() && log.is_empty(), "{before:?}: {log:?}");

        // what is asked for now has no loop any more
        mongo.ping(counted(&held));
        mongo.close(|_, _, ()| crate::support::fail("there is no loop"));
        drop(mongo);
        assert_eq!(Rc::strong_count(&held), 1, "{before:?}");
        settle(before, stand_in, descriptors_before);
    }
}

#[test]
fn a_loop_that_is_dropped_ends_the_thread_also_if_nothing_is_under_way() {
    let _company = alone();
    let stand_in = stand_in(Before::Idle);
    let mut world = World::new(impatient(&stand_in));
    assert_eq!(world.ping(), "ping: ok");
    let World { event_loop, mongo, .. } = world;
    drop(event_loop);
    assert!(mongo.is_closed());
    wait_for_threads(0);
}

#[test]
fn a_handle_that_is_dropped_ends_the_thread_when_nothing_is_under_way() {
    let _company = alone();
    let stand_in = stand_in(Before::Idle);
    let World { event_loop, mongo, mut log } = World::new(impatient(&stand_in));
    let other = mongo.clone();
    drop(mongo);
    wait_for_threads(1);
    other.ping(note("ping"));
    other.call(endless, note("call"));
    drop(other);
    crate::support::finish_with(&event_loop, &mut log);
    assert_eq!(log, ["ping: ok", "call: timeout"]);
    wait_for_threads(0);
}

#[test]
fn a_bridge_closes_within_a_callback_and_the_loop_goes_on() {
    let _company = alone();
    let stand_in = stand_in(Before::Idle);
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(stand_in.uri()).expect("MongoDB");
    mongo.ping(|_, mongo, _| {
        let handle = mongo.clone();
        mongo.close(move |log: &mut Log, _, ()| {
            log.push("closed".into());
            handle.ping(note("ping"));
        });
    });
    drop(mongo);
    assert_eq!(crate::support::finish(&event_loop), ["closed", "ping: closed"]);
    let again = event_loop.connect_mongo(stand_in.uri()).expect("MongoDB again");
    again.ping(note("again"));
    assert_eq!(crate::support::finish(&event_loop), ["again: ok"]);
}
