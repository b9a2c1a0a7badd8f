//! Several instances of a watcher, of which one watches: in this process, and in processes that are killed
//! and suspended. A real replica set and a real server.

#[path = "process/mod.rs"]
mod process;
mod support;
#[path = "mongo_changes/world.rs"]
mod world;

use evnats::kv::{self, ElectionOptions};
use evnats::mongo::bson::Bson;
use evnats::mongo::{ChangeStream, CommitMode, KvResumeStore, StopReason, WatchState};
use evnats::{EventLoop, kv::KeyValue};
use evnats_harness::{MongoDatabase, mongo_database};
use process::Running;
use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::{server, unique};
use world::{Told, Watcher, World, listen, listen_slowly};

/// After how long an instance that is not heard of is replaced.
const TTL: Duration = Duration::from_secs(2);

/// What an instance in a process of its own is told: where everything is, divided by spaces.
const INSTANCE: &str = "EVNATS_TEST_LEASE";

fn is_standby(state: &WatchState) -> bool {
    matches!(state, WatchState::Standby)
}

/// Stands for the election with a long lease: who takes over soon was given the lead.
fn stand(world: &World, bucket: &KeyValue<()>, name: &str) -> (Watcher, Rc<Told>) {
    let options = ElectionOptions::new(name).ttl(Duration::from_secs(60));
    let watch = world.mongo.watch(world.stream()).resume(world.store());
    listen(watch.lease(bucket, "lease", options))
}

#[test]
fn one_watches_and_another_one_goes_on_when_it_stops() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (one, told) = stand(&world, &world.positions, "one");
    world.until("the stream", || told.is_live());
    assert!(is_standby(&told.states.borrow()[0]), "{:?}", told.states.borrow());
    let (two, later) = stand(&world, &world.positions, "two");
    world.until("a standby", || later.has(is_standby));
    world.insert(0..10);
    world.until("the rows", || told.ids().len() == 10);
    assert_eq!(two.metrics().openings, 0);
    world.stop(&one, &told);
    let stopped = Instant::now();
    world.until("a takeover", || later.is_live());
    assert!(stopped.elapsed() < Duration::from_secs(20), "the lead was given back");
    world.insert(10..20);
    world.until("the rest", || later.ids().len() == 10);
    assert_eq!(later.ids(), (10..20).collect::<Vec<_>>());
    world.stop(&two, &later);
}

#[test]
fn one_that_stands_by_stops_at_once() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = stand(&world, &world.positions, "one");
    world.until("the stream", || told.is_live());
    let (two, later) = stand(&world, &world.positions, "two");
    world.until("a standby", || later.has(is_standby));
    let started = Instant::now();
    world.stop(&two, &later);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn one_whose_lead_is_taken_away_gives_out_and_saves_nothing_until_it_leads_again() {
    let database = mongo_database!();
    for mode in [CommitMode::AfterAck, CommitMode::SeedOrder] {
        let world = World::new(database.uri(), &format!("{}_{mode:?}", database.name()));
        let options = ElectionOptions::new("one").ttl(TTL);
        let stream = world.stream().commit(mode);
        let watch = world.mongo.watch(stream).resume(world.store());
        let (watcher, told) = listen_slowly(watch.lease(&world.positions, "lease", options));
        world.until("the stream", || told.is_live());
        let is_saved = || watcher.metrics().saves > 0;
        world.until("a position", || is_saved() || mode == CommitMode::SeedOrder);
        world.insert(0..3);
        world.until("a row", || !told.acks.borrow().is_empty());
        let saved = world.stored();
        // somebody deletes the lease by hand, and the candidate claims it anew
        let is_deleted = Rc::new(Cell::new(false));
        let deleted = is_deleted.clone();
        world.positions.delete("lease", move |(), _, done| deleted.set(done.is_ok()));
        world.until("no lease", || is_deleted.get());
        world.until("a standby", || told.count(is_standby) == 2);
        assert_eq!(watcher.metrics().in_flight, 0, "it is somebody else's");
        let before = told.ids().len();
        // late answers to what was given out under the old lead
        for ack in told.acks.take() {
            ack.ok();
        }
        world.until("the stream again", || told.lives() == 2);
        if mode == CommitMode::SeedOrder {
            assert_eq!(world.stored(), saved, "the first change's own");
        }
        // everything comes again
        world.until("all rows", || {
            told.acks.take().into_iter().for_each(evnats::mongo::Ack::ok);
            told.ids()[before..].len() >= 3
        });
        assert_eq!(told.ids()[before..], [0, 1, 2], "{mode:?}");
        watcher.stop();
        world.until("the end", || {
            told.acks.take().into_iter().for_each(evnats::mongo::Ack::ok);
            told.is_stopped()
        });
        let name = world.database.clone();
        world.run(async move |client| client.database(&name).drop().await);
    }
}

#[test]
fn one_whose_lease_has_no_bucket_any_more_stops_with_the_reason() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let leases = world.client.jetstream().key_value(&unique("leases"));
    let done = Rc::new(Cell::new(0));
    let (made, gone) = (done.clone(), done.clone());
    leases.create_bucket(kv::Config::default(), move |(), _, created| {
        made.set(made.get() + i32::from(created.is_ok()));
    });
    world.until("a bucket", || done.get() == 1);
    let (_, told) = stand(&world, &leases, "one");
    world.until("the stream", || told.is_live());
    leases.delete_bucket(move |(), _, deleted| gone.set(gone.get() + i32::from(deleted.is_ok())));
    world.until("no bucket", || done.get() == 2);
    let (_, later) = stand(&world, &leases, "two");
    world.until("the end", || later.is_stopped());
    let stopped = later.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Lease(_))), "{stopped:?}");
}

/// The instance that the other tests run in processes of their own.
#[test]
#[ignore = "run by other tests"]
fn instance() {
    let Ok(instance) = std::env::var(INSTANCE) else { return };
    let parts: Vec<_> = instance.split(' ').collect();
    let [mongodb, nats, bucket, database, name] = parts[..] else { panic!("{instance}") };
    let event_loop = EventLoop::<()>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(mongodb).expect("MongoDB");
    let positions = event_loop.connect(nats).expect("a client").jetstream().key_value(bucket);
    let stream = ChangeStream::on(database, "orders")
        .max_await_time(Duration::from_millis(100))
        .save_every(1_000, Duration::from_millis(500));
    mongo
        .watch(stream)
        .resume(KvResumeStore::new(&positions, "orders"))
        .lease(&positions, "lease", ElectionOptions::new(name).ttl(TTL))
        .dispatch(|(), _, event, _| {
            println!("row {:?}", event.document_id().and_then(|id| id.as_i32()));
            Ok(())
        })
        .on_state(|(), _, state| println!("state {state:?}"))
        .start(|(), _, reason| end_with(&reason));
    event_loop.run(&mut ()).expect("no error");
}

fn end_with(reason: &StopReason) {
    println!("over {reason:?}");
    std::process::exit(0);
}

/// Instances that share a position, each in a process of its own.
struct Instances {
    world: World,
    uri: String,
    /// Sees what they see.
    witness: Rc<Told>,
}

impl Instances {
    fn new(database: &MongoDatabase) -> Self {
        let world = World::new(database.uri(), database.name());
        let (_, witness) = listen(world.mongo.watch(world.stream()));
        world.until("a witness", || witness.is_live());
        Self { world, uri: database.uri().to_owned(), witness }
    }

    fn start(&self, name: &str) -> Running {
        let (bucket, database) = (self.world.positions.bucket(), &self.world.database);
        let instance = format!("{} {} {bucket} {database} {name}", self.uri, server().url());
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "instance", "--ignored", "--nocapture"]).env(INSTANCE, instance);
        Running::start_dialog(command)
    }

    /// Waits until the position is this row's, or behind it. Returns it.
    fn until_saved(&self, row: i32) -> String {
        self.world.until("the row", || self.witness.ids().contains(&row));
        let events = self.witness.events.borrow();
        let event = events.iter().find(|event| event.document_id() == Some(Bson::Int32(row)));
        let wanted = event.and_then(|event| event.token().data()).expect("a token").to_owned();
        drop(events);
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let stored = self.stored();
            if stored >= wanted {
                return stored;
            }
            assert!(Instant::now() < limit, "{stored} is saved, and not {wanted}");
        }
    }

    fn until_any_saved(&self) {
        let limit = Instant::now() + Duration::from_secs(30);
        while self.stored().is_empty() {
            assert!(Instant::now() < limit, "no position is saved");
        }
    }

    /// The text of the position, which is in the order of the stream.
    fn stored(&self) -> String {
        let stored = self.world.stored();
        stored.and_then(|point| point.token.data().map(str::to_owned)).unwrap_or_default()
    }
}

fn signal(process: &Running, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

fn row(id: i32) -> String {
    format!("row Some({id})")
}

/// What a row of an instance's own output is.
fn rows(said: &str) -> Vec<i32> {
    let row = |line: &str| line.strip_prefix("row Some(")?.strip_suffix(')')?.parse().ok();
    said.lines().filter_map(row).collect()
}

/// Kills and suspends whichever instance leads, so many times. One that was suspended goes on as another one's
/// standby, and is killed when it leads again.
fn take_turns(database: &MongoDatabase, rounds: i32) {
    let instances = Instances::new(database);
    let mut started = 0..;
    let mut start = || {
        let number = started.next().expect("a number");
        (instances.start(&format!("instance{number}")), false)
    };
    let mut leader = start();
    leader.0.wait_for_line("state Live");
    let mut standby = start();
    standby.0.wait_for_line("state Standby");
    let mut said = Vec::new();
    for round in 0..rounds {
        let first = 6 * round;
        instances.world.insert(first..first + 3);
        leader.0.wait_for_line(&row(first + 2));
        if round % 2 == 0 {
            instances.until_saved(first + 2);
        }
        let kills = leader.1;
        signal(&leader.0, if kills { "-KILL" } else { "-STOP" });
        let begun = Instant::now();
        instances.world.insert(first + 3..first + 6);
        standby.0.wait_for_line("state Live");
        let took = begun.elapsed();
        assert!(took < TTL * 3, "round {round}: {took:?} for a lease of {TTL:?}");
        (first + 3..first + 6).for_each(|id| standby.0.wait_for_line(&row(id)));
        let saved = instances.until_saved(first + 5);
        let (mut old, _) = std::mem::replace(&mut leader, standby);
        standby = if kills {
            said.push(rows(old.finish().text()));
            let mut new = start();
            new.0.wait_for_line("state Standby");
            new
        } else {
            signal(&old, "-CONT");
            old.wait_for_line("state Standby");
            (old, true)
        };
        assert!(instances.stored() >= saved, "round {round}: saved over by the one before");
    }
    for (instance, _) in [leader, standby] {
        signal(&instance, "-KILL");
        said.push(rows(instance.finish().text()));
    }
    for rows in &said {
        assert!(rows.is_sorted_by(|one, other| one < other), "out of turn, or twice: {rows:?}");
    }
    let mut all = said.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..6 * rounds).collect::<Vec<_>>(), "{said:?}");
}

#[test]
fn leaders_that_are_killed_and_suspended_in_turn_are_replaced_and_fenced() {
    let database = mongo_database!();
    take_turns(&database, 4);
}

#[test]
#[ignore = "some minutes"]
fn leaders_that_are_killed_and_suspended_again_and_again_are_replaced_and_fenced() {
    let database = mongo_database!();
    take_turns(&database, 40);
}

#[test]
fn one_that_is_killed_is_replaced_after_about_a_lease() {
    let database = mongo_database!();
    let instances = Instances::new(&database);
    let mut one = instances.start("one");
    one.wait_for_line("state Live");
    let mut two = instances.start("two");
    two.wait_for_line("state Standby");
    instances.world.insert(0..5);
    one.wait_for_line(&row(4));
    instances.until_saved(4);
    signal(&one, "-KILL");
    let killed = Instant::now();
    instances.world.insert(5..8);
    two.wait_for_line("state Live");
    let took = killed.elapsed();
    assert!(took < TTL * 3, "{took:?} for a lease of {TTL:?}");
    (5..8).for_each(|id| two.wait_for_line(&row(id)));
}

#[test]
fn one_that_was_suspended_stands_by_and_saves_nothing_over_the_new_position() {
    let database = mongo_database!();
    let instances = Instances::new(&database);
    let mut one = instances.start("one");
    one.wait_for_line("state Live");
    let mut two = instances.start("two");
    two.wait_for_line("state Standby");
    instances.until_any_saved();
    instances.world.insert(0..3);
    // it may have no time to save what is behind them
    one.wait_for_line(&row(2));
    signal(&one, "-STOP");
    let suspended = Instant::now();
    instances.world.insert(3..6);
    two.wait_for_line("state Live");
    let took = suspended.elapsed();
    assert!(took < TTL * 3, "{took:?} for a lease of {TTL:?}");
    (3..6).for_each(|id| two.wait_for_line(&row(id)));
    let saved = instances.until_saved(5);
    signal(&one, "-CONT");
    one.wait_for_line("state Standby");
    assert!(instances.stored() >= saved);
    instances.world.insert(6..7);
    two.wait_for_line(&row(6));
    let saved = instances.until_saved(6);
    // and takes over in its turn, behind what the other one has saved
    signal(&two, "-KILL");
    one.wait_for_line("state Live");
    assert!(instances.stored() >= saved);
    instances.world.insert(7..8);
    one.wait_for_line(&row(7));
    signal(&one, "-KILL");
    let said = one.finish();
    let rows: Vec<_> = said.text().lines().filter_map(|line| line.split_once("row ")).collect();
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row.to_owned()).collect();
    assert!(!rows.contains(&"Some(3)".to_owned()), "given out by both: {rows:?}");
}
