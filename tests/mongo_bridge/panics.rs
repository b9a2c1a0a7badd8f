//! Panics and errors: in what the driver's thread runs, and in callbacks.

use super::{World, endless, impatient, note, together};
use crate::support::Log;
use evnats::mongo::Error;
use evnats::mongo::mongodb::{self, Client};
use evnats_harness::{MongoStandIn, Reply};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

async fn panicking(_: Client) -> mongodb::error::Result<()> {
    panic!("in an operation, as a test wants it")
}

/// Panics before there is anything to wait for.
fn panicking_at_once(client: Client) -> impl Future<Output = mongodb::error::Result<()>> + Send {
    assert!(client.default_database().is_some(), "before an operation, as a test wants it");
    std::future::ready(Ok(()))
}

#[test]
fn a_panic_in_an_operation_is_its_outcome_and_that_of_no_other() {
    let _company = together();
    let stand_in = MongoStandIn::start(|_| Reply::Usual);
    let mut world = World::new(impatient(&stand_in));
    world.mongo.call(panicking, note("in it"));
    world.mongo.call(panicking_at_once, note("before it"));
    world.mongo.call(endless, note("beside it"));
    world.finish();
    assert_eq!(world.log, ["in it: panicked", "before it: panicked", "beside it: timeout"]);
    assert_eq!(world.ping(), "ping: ok");
}

#[test]
fn a_panic_in_a_callback_leaves_the_loop_and_nothing_else_is_lost() {
    let _company = together();
    let stand_in = MongoStandIn::start(|_| Reply::Usual);
    let mut world = World::new(stand_in.uri());
    let expected = 20;
    for index in 0..expected {
        world.mongo.ping(move |log: &mut Log, _, result| {
            log.push(format!("{index}: {}", result.is_ok()));
            assert!(index % 5 != 0, "in a callback, as a test wants it");
        });
    }
    let mut panics = 0;
    while !world.event_loop.is_empty() {
        let tick = Some(Duration::from_secs(1));
        let turn = || world.event_loop.dispatch(&mut world.log, tick).map(drop);
        panics += usize::from(catch_unwind(AssertUnwindSafe(turn)).is_err());
    }
    assert_eq!(panics, 4);
    let mut log = std::mem::take(&mut world.log);
    log.sort();
    let mut all: Vec<_> = (0..expected).map(|index| format!("{index}: true")).collect();
    all.sort();
    assert_eq!(log, all);
    assert_eq!(world.ping(), "ping: ok");
}

#[test]
fn an_error_of_a_callback_leaves_the_turn_and_the_loop_goes_on() {
    let _company = together();
    let stand_in = MongoStandIn::start(|request| match request.command() {
        "ping" => Reply::error(13, "Unauthorized"),
        _ => Reply::Usual,
    });
    let mut world = World::new(stand_in.uri());
    world.mongo.ping(|_, _, result| Ok(result?));
    let error = world.event_loop.run(&mut world.log).unwrap_err();
    let Some(error) = error.downcast_ref::<Error>() else { panic!("{error:?}") };
    assert_eq!(super::outcome::<()>(Err(error.clone())), "server 13");
    world.mongo.call(async |_| Ok(()), note("call"));
    world.finish();
    assert_eq!(world.log, ["call: ok"]);
}
