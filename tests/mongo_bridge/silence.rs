//! A peer that falls silent with its connections open: it is noticed, left, and nothing of it stays.

use super::{
    TIMEOUT, World, alone, descriptors, impatient, note, threads, until_no_more_than,
    wait_for_threads,
};
use crate::support::Log;
use evnats::mongo::{Backoff, ChangeStream, ChangeStreamWatcher, WatchState};
use evnats_harness::{MongoStandIn, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    let descriptors_before = descriptors();
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
        assert!(took < TIMEOUT * 3 + Duration::from_secs(1), "three timeouts took {took:?}");
        // the new client may have one connection of its monitor more than the old one had by then
        until_no_more_than(&mut world, 1, descriptors_before + 2);
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
    until_only_the_new_thread(&mut world, &silent, &stand_in);
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
    until_only_the_new_thread(&mut world, &silent, &stand_in);
}

/// Lets new connections be answered. An answer comes of the new thread, which runs by then.
fn until_only_the_new_thread(world: &mut World, silent: &AtomicUsize, stand_in: &MongoStandIn) {
    silent.store(stand_in.connections(), Ordering::SeqCst);
    assert_eq!(world.ping(), "ping: ok");
    until_no_more_than(world, 1, usize::MAX);
}

#[test]
fn watchers_of_a_silent_peer_go_on_in_one_new_thread() {
    let _company = alone();
    let is_silent = Arc::new(AtomicBool::new(false));
    let silent = is_silent.clone();
    let stand_in = MongoStandIn::start(move |request| match request.command() {
        "getMore" if silent.load(Ordering::SeqCst) => Reply::Silence,
        _ => Reply::Usual,
    });
    let mut world = World::new(impatient(&stand_in).stall_timeout(Duration::from_millis(300)));
    let watchers = three_watchers(&mut world);
    let before = stand_in.seen("aggregate");
    let started = Instant::now();
    is_silent.store(true, Ordering::SeqCst);
    stand_in.wait_seen("getMore", stand_in.seen("getMore") + 1);
    // each notices, and opens its stream anew, while the peer answers again
    while stand_in.seen("aggregate") == before {
        world.turn();
    }
    is_silent.store(false, Ordering::SeqCst);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "noticed after {took:?}, not after some 350 ms");
    until_live(&mut world, 6);
    until_no_more_than(&mut world, 1, usize::MAX);
    stop(world, &watchers);
}

/// It kept the old thread, and its connections, for as long as it lived.
#[test]
fn a_watcher_that_gets_its_answers_goes_along_when_another_gets_none() {
    let _company = alone();
    let is_silent = Arc::new(AtomicBool::new(false));
    let silent = is_silent.clone();
    let stand_in = MongoStandIn::start(move |request| {
        let is_of_first = request.body().get_str("collection").is_ok_and(|name| name == "rows0");
        match is_of_first && silent.load(Ordering::SeqCst) {
            true => Reply::Silence,
            false => Reply::Usual,
        }
    });
    let mut world = World::new(impatient(&stand_in).stall_timeout(Duration::from_millis(300)));
    let watchers = three_watchers(&mut world);
    let before = stand_in.seen("aggregate");
    is_silent.store(true, Ordering::SeqCst);
    while stand_in.seen("aggregate") == before {
        world.turn();
    }
    is_silent.store(false, Ordering::SeqCst);
    until_live(&mut world, 6);
    until_no_more_than(&mut world, 1, usize::MAX);
    stop(world, &watchers);
}

/// Watchers of `rows0`, `rows1` and `rows2`, which are live.
fn three_watchers(world: &mut World) -> Vec<ChangeStreamWatcher<Log>> {
    let watchers = (0..3).map(|index| {
        let stream = ChangeStream::on("shop", format!("rows{index}"))
            .max_await_time(Duration::from_millis(50))
            .backoff(Backoff::new().first(Duration::from_millis(10)));
        let watch = world.mongo.watch(stream).on_state(|log: &mut Log, _, state| {
            log.push(if matches!(state, WatchState::Live) { "live" } else { "other" }.into());
        });
        watch.start(|log: &mut Log, _, reason| log.push(format!("stopped: {reason:?}")))
    });
    let watchers = watchers.collect();
    until_live(world, 3);
    watchers
}

fn stop(mut world: World, watchers: &[ChangeStreamWatcher<Log>]) {
    watchers.iter().for_each(ChangeStreamWatcher::stop);
    world.mongo.close(|log: &mut Log, _, ()| log.push("closed".into()));
    world.finish();
    let stopped = world.log.iter().filter(|line| *line == "stopped: Stopped").count();
    assert_eq!(stopped, 3, "{:?}", world.log);
    wait_for_threads(0);
}

/// Turns until watchers were live so often in all.
fn until_live(world: &mut World, times: usize) {
    let limit = Instant::now() + Duration::from_secs(20);
    while world.log.iter().filter(|line| *line == "live").count() < times {
        world.turn();
        assert!(Instant::now() < limit, "{times} times live: {:?}", world.log);
    }
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
    wait_for_threads(1);
}
