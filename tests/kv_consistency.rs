//! Whether what the client says of a bucket can have happened: several clients write and read the same
//! keys of a bucket with three replicas, while its nodes are killed, restarted and frozen, and
//! connections are cut in one direction. A checker looks at what they were told. Watches and a cache go
//! through the same, and have in the end what the server has.

#[path = "kv_consistency/checker.rs"]
mod checker;
#[path = "kv_consistency/followers.rs"]
mod followers;
#[path = "kv_consistency/history.rs"]
mod history;
mod support;
#[path = "kv_consistency/workload.rs"]
mod workload;

use checker::{Violation, check_linearizable, check_sessions, count_stale};
use evnats::kv::{Config, Entry, Error, KeyValue, Reads};
use evnats::{Client, EventLoop, HeaderMap, Options, OutgoingMessage};
use evnats_harness::{Cluster, Direction, Fault, FaultProxy, requires};
use followers::{Contents, FOLLOWERS, Followers};
use history::{Expected, Operation, Outcome, Read, What, Write};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use support::asking::Asking;
use support::buckets::expect_consumers_within;
use support::new_cluster::create_bucket;
use support::{turn_until, unique};
use workload::{Kv, Worker, World, connect, go_on};

/// How many clients write and read.
const WORKERS: usize = 6;

/// How long watches and caches may take to come to what the server has, when all is well again; and
/// servers, to give up consumers whose deletion they have not heard of.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens to a cluster meanwhile.
struct Faults {
    /// How long a node is frozen, in milliseconds.
    frozen: Range<u64>,
    /// How long a node is dead.
    dead: Range<u64>,
    /// The time between two faults.
    pause: Range<u64>,
}

/// Kills, restarts and freezes one node after the other until it is told to stop.
fn harm(cluster: &mut Cluster, faults: &Faults, seed: u64, stop: &Receiver<()>) {
    let mut random = fastrand::Rng::with_seed(seed);
    // the schedule of what goes wrong; nothing is waited for
    let passes = |range: &Range<u64>, random: &mut fastrand::Rng| {
        let time = Duration::from_millis(random.u64(range.clone()));
        stop.recv_timeout(time).is_err_and(|error| error == RecvTimeoutError::Timeout)
    };
    while passes(&faults.pause, &mut random) {
        let node = random.usize(..3);
        match random.u8(..4) {
            0 => {
                cluster.server_mut(node).kill9();
                passes(&faults.dead, &mut random);
                cluster.server_mut(node).start_again();
            }
            1 => cluster.server_mut(node).restart(),
            _ => {
                cluster.server(node).pause();
                passes(&faults.frozen, &mut random);
                cluster.server(node).resume();
            }
        }
    }
}

/// Cuts every other connection in one direction, after some time.
fn one_way_cuts(seed: u64) -> impl FnMut(usize) -> Vec<Fault> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(seed);
    move |connection| {
        let at = random.u64(20_000..200_000);
        let direction = if random.bool() { Direction::ToClient } else { Direction::ToServer };
        match connection % 2 {
            0 => vec![Fault::Stall { direction, at }],
            _ => Vec::new(),
        }
    }
}

/// Clients of a cluster, and those who follow the bucket that they write to.
struct Run {
    cluster: Cluster,
    proxies: Vec<FaultProxy>,
    event_loop: EventLoop<World>,
    world: World,
    /// The bucket, as a client has it whose connections nobody cuts.
    admin: Kv,
    followers: Followers,
    history: u64,
}

impl Run {
    /// Runs the clients for some time, until those who follow have what the server has.
    fn through(time: Duration, faults: &Faults, seed: u64) -> Self {
        println!("seed {seed}");
        let mut run = Self::begin(seed);
        let Self { cluster, event_loop, world, .. } = &mut run;
        let (stop, stopped) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || harm(cluster, faults, seed, &stopped));
            let end = Instant::now() + time;
            turn_until(event_loop, world, "the time", |_| Instant::now() >= end);
            drop(stop);
            world.stops = true;
            turn_until(event_loop, world, "the last outcomes", |world| world.under_way == 0);
        });
        run.proxies.iter().for_each(|proxy| proxy.set_plan(|_| Vec::new()));
        run.expect_same();
        run
    }

    fn begin(seed: u64) -> Self {
        let cluster = Cluster::start();
        let (event_loop, mut world) = (EventLoop::new().expect("a loop"), World::new(seed));
        let admin = connect(&event_loop, &cluster.urls()).jetstream();
        let admin = admin.key_value(&unique("consistency"));
        // what a watch is too slow for is soon replaced, or stays there
        let history = match seed % 2 {
            0 => 64,
            _ => 1,
        };
        let config = Config::new().replicas(3).atomic_batches(true).history(history);
        create_bucket(&admin, config, |world: &mut World, _| world.under_way = WORKERS);
        turn_until(&event_loop, &mut world, "a bucket", |world| world.under_way > 0);
        let (proxies, clients) = connect_all(&event_loop, &cluster, seed);
        let buckets = clients.iter().map(|nats| nats.jetstream().key_value(admin.bucket()));
        let mut buckets: Vec<Kv> = buckets.collect();
        let followers = Followers::begin(&mut world, &buckets.split_off(WORKERS));
        for (client, kv) in buckets.into_iter().enumerate() {
            go_on(&mut world, &Worker { client, kv });
        }
        let history = history.into();
        Self { cluster, proxies, event_loop, world, admin, followers, history }
    }

    /// Waits until those who follow the bucket have what the server has.
    #[track_caller]
    fn expect_same(&mut self) {
        let limit = Instant::now() + PATIENCE;
        loop {
            // a write of which nobody knows the outcome may still be under way
            let server = contents(&self.event_loop, &mut self.world, &self.admin);
            let soon = Instant::now() + Duration::from_secs(1);
            let mut differences = Vec::new();
            turn_until(&self.event_loop, &mut self.world, "the same", |world| {
                differences = self.followers.differences(world, &server);
                differences.is_empty() || Instant::now() > soon
            });
            if differences.is_empty() {
                return;
            }
            assert!(Instant::now() < limit, "the server has {server:?}, and not {differences:#?}");
        }
    }

    /// Waits until there is one consumer for each of those who follow the bucket, and then, until none
    /// is left of those who have stopped.
    #[track_caller]
    fn expect_consumers(&mut self) {
        let Self { event_loop, world, admin, .. } = self;
        expect_consumers_within(event_loop, world, admin, FOLLOWERS as u64, PATIENCE);
        self.followers.stop();
        expect_consumers_within(event_loop, world, admin, 0, PATIENCE);
    }

    /// Checks what the clients were told, and returns a line about it.
    fn check(&self, seed: u64) -> String {
        let history = &self.world.history;
        let context = format!("seed {seed}, failures {:#?}", self.world.failures);
        assert_eq!(check_linearizable(history), [], "{context}");
        assert_eq!(check_sessions(history, Reads::Verified), [], "{context}");
        let stale = |kind| {
            let (stale, all) = (count_stale(history, kind), reads_of(history, kind));
            let sessions = check_sessions(history, kind).len();
            format!("{kind:?} {stale} stale of {all}, {sessions} of them behind what was seen")
        };
        let anomalies: Vec<_> = [Reads::Leader, Reads::Replica, Reads::Verified].map(stale).into();
        let followed = self.followers.check(&self.world, self.history);
        format!("seed {seed}: {} operations; {}; {followed}", history.len(), anomalies.join("; "))
    }
}

/// The clients of those who work, and then of those who follow, each behind a proxy.
fn connect_all(
    event_loop: &EventLoop<World>,
    cluster: &Cluster,
    seed: u64,
) -> (Vec<FaultProxy>, Vec<Client<World>>) {
    let connect = |client: usize| {
        let cuts = one_way_cuts(seed + client as u64);
        let proxy = FaultProxy::start(cluster.server(client % 3).port(), cuts);
        let direct = (1..3).map(|other| cluster.server((client + other) % 3).url());
        let servers: Vec<_> = std::iter::once(proxy.url()).chain(direct).collect();
        let nats = connect(event_loop, &servers);
        (proxy, nats)
    };
    (0..WORKERS + FOLLOWERS).map(connect).unzip()
}

/// Reads all keys, linearizably.
fn contents(event_loop: &EventLoop<World>, world: &mut World, kv: &Kv) -> Contents {
    let mut contents = Contents::new();
    for key in workload::names() {
        let entry = read_until_answered(event_loop, world, kv, &key);
        let found = entry.map(|entry| (entry.revision(), workload::content(&entry)));
        contents.extend(found.map(|found| (key, found)));
    }
    contents
}

fn read_until_answered(
    event_loop: &EventLoop<World>,
    world: &mut World,
    kv: &Kv,
    key: &str,
) -> Option<Entry> {
    let kv = kv.with_reads(Reads::Linearizable);
    let limit = Instant::now() + PATIENCE;
    loop {
        let answer = Rc::new(RefCell::new(None));
        let given = answer.clone();
        kv.get_raw(key, move |_, _, found: Result<Option<Entry>, Error>| {
            given.replace(Some(found));
        });
        turn_until(event_loop, world, "an answer", |_| answer.borrow().is_some());
        match answer.take() {
            Some(Ok(found)) => return found,
            other => assert!(Instant::now() < limit, "{other:?}"),
        }
    }
}

fn reads_of(history: &[Operation], kind: Reads) -> usize {
    let is_it = |operation: &&Operation| match &operation.what {
        What::Read(read) => read.reads == kind,
        What::Write(_) => false,
    };
    history.iter().filter(is_it).count()
}

#[test]
fn writes_reads_watches_and_a_cache_agree_while_nodes_fail() {
    requires!(support::server(), 2, 12);
    let faults = Faults { frozen: 800..3_000, dead: 200..1_500, pause: 300..1_200 };
    let seed = fastrand::u64(..1_000_000);
    let run = Run::through(Duration::from_secs(12), &faults, seed);
    println!("{}", run.check(seed));
    let world = &run.world;
    assert!(world.batches.len() > 20, "{:#?}", world.failures);
    assert!(world.history.len() > 500, "{:#?}", world.failures);
    for kind in workload::KINDS {
        assert!(reads_of(&world.history, kind) > 20, "{kind:?}: {:#?}", world.failures);
    }
}

#[test]
#[ignore = "takes more than ten minutes"]
fn twenty_runs_of_half_a_minute_are_linearizable() {
    requires!(support::server(), 2, 12);
    let faults = Faults { frozen: 1_000..20_000, dead: 200..5_000, pause: 500..3_000 };
    for seed in 1..=20 {
        let mut run = Run::through(Duration::from_secs(30), &faults, seed);
        println!("{}", run.check(seed));
        run.expect_consumers();
    }
}

/// One client that does one thing after the other, and notes it.
struct Sequence {
    asking: Asking,
    kv: KeyValue<()>,
    history: Vec<Operation>,
}

impl Sequence {
    fn new(options: impl Into<Options>, bucket: &str) -> Self {
        let asking = Asking::with(options);
        let kv = asking.nats.jetstream().key_value(bucket);
        Self { asking, kv, history: Vec::new() }
    }

    fn note(&mut self, what: What) {
        let begun = 2 * self.history.len() as u64;
        self.history.push(Operation { client: 0, key: 0, begun, ended: begun + 1, what });
    }

    fn note_write(&mut self, content: Option<u64>, revision: u64) {
        let (expected, outcome) = (Expected::Nothing, Outcome::Stored(revision));
        self.note(What::Write(Write { content, expected, outcome }));
    }

    #[track_caller]
    fn read(&self, reads: Reads) -> Result<Option<(u64, Option<u64>)>, Error> {
        let kv = self.kv.with_reads(reads);
        let found: Result<Option<Entry>, Error> = self.asking.ask(|told| kv.get_raw("k", told));
        Ok(found?.map(|entry| (entry.revision(), workload::content(&entry))))
    }

    #[track_caller]
    fn put(&self, value: u64) -> Result<u64, Error> {
        self.asking.ask(|told| self.kv.put("k", value.to_string(), told))
    }
}

/// What other clients do: a tombstone is published, and counts as written with the `PONG`.
#[test]
#[ignore = "may take a minute"]
fn the_checker_catches_a_tombstone_that_counts_as_written_with_the_pong() {
    let server = evnats_harness::Server::start();
    let mut sequence = Sequence::new(server.url().as_str(), "b");
    let asking = &sequence.asking;
    asking.ask(|told| sequence.kv.create_bucket(Config::new(), told)).expect("a bucket");
    let headers = HeaderMap::new().with("KV-Operation", "DEL");
    for round in 0..20_000 {
        sequence.history.clear();
        let put = sequence.put(round).expect("a revision");
        sequence.note_write(Some(round), put);
        let tombstone = OutgoingMessage::new("$KV.b.k", "").headers(&headers);
        sequence.asking.nats.send(tombstone).expect("published");
        sequence.asking.ask(|told| sequence.asking.nats.flush(told)).expect("a pong");
        let found = sequence.read(Reads::Leader).expect("an answer");
        sequence.note_write(None, put + 1);
        sequence.note(What::Read(Read { reads: Reads::Linearizable, found }));
        let violations = check_linearizable(&sequence.history);
        if !violations.is_empty() {
            assert!(matches!(violations[..], [Violation::Stale { .. }]), "{violations:?}");
            println!("caught in round {round}");
            return;
        }
        let is_there = |sequence: &Sequence| {
            sequence.read(Reads::Leader).is_ok_and(|found| found == Some((put + 1, None)))
        };
        while !is_there(&sequence) {}
    }
    panic!("never stale");
}

/// A leader that was frozen for longer than an election takes, and that goes on.
#[test]
#[ignore = "takes minutes"]
fn the_checker_catches_a_leader_that_answers_from_its_old_state() {
    requires!(support::server(), 2, 11);
    let cluster = Cluster::start();
    let bucket = unique("leader");
    let (mut rounds, mut stale, mut proven) = (0, 0, 0);
    let making = Sequence::new(cluster.server(0).url().as_str(), &bucket);
    let config = Config::new().replicas(3);
    making.asking.ask(|told| making.kv.create_bucket(config, told)).expect("a bucket");
    while rounds < 10 || (stale == 0 && rounds < 40) {
        let round = rounds;
        rounds += 1;
        let status = making.asking.ask(|told| making.kv.status(told)).expect("a status");
        let leader = status.stream().cluster.as_ref().and_then(|info| info.leader.clone());
        let leader = cluster.index_by_name(&leader.expect("a leader")).expect("a node");
        let mut old = Sequence::new(cluster.server(leader).url().as_str(), &bucket);
        let new = Sequence::new(cluster.server((leader + 1) % 3).url().as_str(), &bucket);
        let first = old.put(2 * round).expect("a revision");
        old.note_write(Some(2 * round), first);
        cluster.server(leader).pause();
        let limit = Instant::now() + Duration::from_secs(60);
        let second = loop {
            match new.put(2 * round + 1) {
                Ok(revision) => break revision,
                Err(error) => assert!(Instant::now() < limit, "{error}"),
            }
        };
        cluster.server(leader).resume();
        old.note_write(Some(2 * round + 1), second);
        if let Ok(found) = old.read(Reads::Leader) {
            old.note(What::Read(Read { reads: Reads::Linearizable, found }));
            stale += check_linearizable(&old.history).len();
            old.history.pop();
        }
        if let Ok(found) = old.read(Reads::Linearizable) {
            old.note(What::Read(Read { reads: Reads::Linearizable, found }));
            assert_eq!(check_linearizable(&old.history), []);
            proven += 1;
        }
    }
    println!("{stale} of {rounds} leader reads were stale; {proven} linearizable ones were not");
    assert!(stale > 0 && proven > 5);
}
