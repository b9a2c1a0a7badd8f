//! A peer that falls silent with its connections open: it is noticed, left, and nothing of it stays.

use super::{World, alone, descriptors, impatient, note, threads, until_no_more_than};
use crate::support::Log;
use evnats_harness::{MongoStandIn, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A stand-in whose first connections are silent: all before this one.
fn silent_before(limit: &Arc<AtomicUsize>) -> MongoStandIn {
    let limit = limit.clone();
    MongoStandIn::start(move |request| {
        if request.connection() < limit.load(Ordering::SeqCst) {
            Reply::Silence
        } else {
            Reply::Usual
        }
    })
}

#[test]
fn a_silent_peer_is_left_in_time_and_nothing_of_it_stays() {
    let _company = alone();
    let silent = Arc::new(AtomicUsize::new(0));
    let stand_in = silent_before(&silent);
    let mut world = World::new(impatient(&stand_in));
    assert_eq!(world.ping(), "ping: ok");
    let (threads_before, descriptors_before) = (threads(), descriptors());
    for round in 0..3 {
        // all are silent: the client may make another connection meanwhile
        silent.store(usize::MAX, Ordering::SeqCst);
        let started = Instant::now();
        for _ in 0..3 {
            assert_eq!(world.ping(), "ping: timeout", "round {round}");
        }
        silent.store(stand_in.connections(), Ordering::SeqCst);
        assert_eq!(world.ping(), "ping: ok", "round {round}: with new connections");
        let took = started.elapsed();
        assert!(took < Duration::from_secs(2), "three timeouts of 300 ms took {took:?}");
        // the new client may have one connection of its monitor more than the old one had by then
        until_no_more_than(&mut world, threads_before, descriptors_before + 2);
    }
}

#[test]
fn many_calls_to_a_silent_peer_make_one_new_client() {
    let _company = alone();
    let silent = Arc::new(AtomicUsize::new(0));
    let stand_in = silent_before(&silent);
    let mut world = World::new(impatient(&stand_in));
    assert_eq!(world.ping(), "ping: ok");
    silent.store(usize::MAX, Ordering::SeqCst);
    for _ in 0..100 {
        world.mongo.ping(|log: &mut Log, _, result| {
            assert!(result.is_err());
            log.push(format!("{} threads", threads()));
        });
    }
    world.until_told(100);
    let most =
        world.log.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap_or(0)).max();
    assert!(most <= Some(2), "{most:?} threads at once");
    silent.store(stand_in.connections(), Ordering::SeqCst);
    until_no_more_than(&mut world, 1, usize::MAX);
}

#[test]
fn calls_that_were_refused_do_not_keep_an_old_thread() {
    let _company = alone();
    let silent = Arc::new(AtomicUsize::new(usize::MAX));
    let stand_in = silent_before(&silent);
    let mut world = World::new(impatient(&stand_in).max_calls(3));
    (0..5).for_each(|_| world.mongo.ping(note("ping")));
    world.until_told(5);
    let expected = ["busy", "busy", "timeout", "timeout", "timeout"];
    assert_eq!(world.log, expected.map(|outcome| format!("ping: {outcome}")));
    until_no_more_than(&mut world, 1, usize::MAX);
}

#[test]
fn a_slow_peer_is_not_left() {
    let _company = alone();
    // answers one of two
    let mut count = 0;
    let stand_in = MongoStandIn::start(move |request| {
        count += usize::from(request.command() == "ping");
        if request.command() == "ping" && count % 2 == 1 { Reply::Silence } else { Reply::Usual }
    });
    let mut world = World::new(impatient(&stand_in));
    for _ in 0..5 {
        assert_eq!(world.ping(), "ping: timeout");
        assert_eq!(world.ping(), "ping: ok");
    }
    assert_eq!(threads(), 1);
}
