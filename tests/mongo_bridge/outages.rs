//! Servers that are killed, frozen and slow while calls are under way.

use super::{World, note, together};
use crate::support::Log;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{Error, Mongo, Options};
use evnats_harness::{FailTimes, ReplicaSet, replica_set};
use std::time::{Duration, Instant};

const ROWS: &str = "rows";

/// Inserts one row after the other for as long as it is to, several at once.
fn insert(mongo: &Mongo<Log>, id: i32, until: Instant) {
    let row = async move |client: evnats::mongo::mongodb::Client| {
        let rows = client.database("evnats").collection::<Document>(ROWS);
        rows.insert_one(doc! { "_id": id }).await
    };
    mongo.call(row, move |log: &mut Log, mongo, result| {
        match result {
            Ok(_) => log.push(format!("ok {id}")),
            Err(error) => {
                assert!(is_of_an_outage(&error), "{error:?}");
                log.push(format!("failed {id}"));
            }
        }
        if Instant::now() < until {
            insert(mongo, id + 10, until);
        }
    });
}

/// Whether an error may come of a server that is killed; a retried insert may find its own row.
fn is_of_an_outage(error: &Error) -> bool {
    error.is_temporary() || matches!(error, Error::Server(error) if error.code == 11000)
}

fn patient(set: &ReplicaSet) -> Options {
    Options::new(set.uri())
        .timeout(Duration::from_secs(5))
        .server_selection_timeout(Duration::from_secs(2))
}

#[test]
fn a_server_that_is_killed_and_started_costs_no_callback_and_no_row() {
    let _company = together();
    let mut set = replica_set!();
    let mut world = World::new(patient(&set));
    let until = Instant::now() + Duration::from_secs(6);
    (0..10).for_each(|id| insert(&world.mongo, id, until));
    world.until_told(200);
    set.kill(0);
    let told = world.log.len();
    let restarting = std::thread::spawn(move || {
        set.restart(0);
        set
    });
    world.until_told(told + 1);
    world.finish();
    let set = restarting.join().unwrap();
    let ok = world.log.iter().filter_map(|line| line.strip_prefix("ok "));
    let ok: Vec<i32> = ok.map(|id| id.parse().unwrap()).collect();
    let mut told: Vec<_> = world.log.iter().map(|line| line.split(' ').nth(1)).collect();
    let all = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), all, "each callback runs once");

    let find = doc! { "aggregate": ROWS, "pipeline": [{ "$match": { "_id": { "$in": &ok } } },
    { "$count": "n" }], "cursor": {} };
    let reply = set.run_command("evnats", find).unwrap();
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let count = batch[0].as_document().unwrap().get_i32("n").unwrap();
    assert_eq!(usize::try_from(count).unwrap(), ok.len(), "what was told to be stored is");
    assert_eq!(world.ping(), "ping: ok");
}

#[test]
fn a_server_that_is_frozen_is_noticed_and_used_again() {
    let _company = together();
    let mut set = replica_set!();
    let mut world = World::new(Options::new(set.uri()).timeout(Duration::from_millis(500)));
    assert_eq!(world.ping(), "ping: ok");
    set.pause(0);
    for _ in 0..4 {
        assert_eq!(world.ping(), "ping: timeout");
    }
    set.resume(0);
    let limit = Instant::now() + Duration::from_secs(20);
    while world.ping() != "ping: ok" {
        assert!(Instant::now() < limit, "the server is not used again");
    }
}

#[test]
fn a_late_outcome_is_not_told_again() {
    let _company = together();
    let set = replica_set!();
    let mut world = World::new(Options::new(set.uri()));
    assert_eq!(world.ping(), "ping: ok");
    let slow = doc! { "failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 400 };
    let slow = set.fail_command(FailTimes::Times(1), slow);
    let ping = async |client: evnats::mongo::mongodb::Client| {
        client.database("admin").run_command(doc! { "ping": 1 }).await
    };
    world.mongo.call_within(Duration::from_millis(100), ping, note("late"));
    world.mongo.set_timer(Duration::from_millis(800), |log: &mut Log, _| log.push("later".into()));
    world.until_told(2);
    slow.wait_entered(1);
    assert_eq!(world.log, ["late: timeout", "later"]);
    assert_eq!(world.ping(), "ping: ok");
}

#[test]
fn a_primary_that_steps_down_is_followed() {
    let _company = together();
    let set = replica_set!();
    let mut world = World::new(patient(&set));
    let until = Instant::now() + Duration::from_secs(4);
    (0..10).for_each(|id| insert(&world.mongo, id, until));
    world.until_told(100);
    set.step_down(1);
    world.finish();
    assert!(world.log.last().unwrap().starts_with("ok"), "{:?}", world.log.last());
}
