//! Whether what the client says of a bucket can have happened: several clients write and read the same
//! keys of a bucket with three replicas, while its nodes are killed, restarted and frozen, and
//! connections are cut in one direction. A checker looks at what they were told.

#[path = "kv_consistency/checker.rs"]
mod checker;
#[path = "kv_consistency/history.rs"]
mod history;
mod support;
#[path = "kv_consistency/workload.rs"]
mod workload;

use checker::{Violation, check_linearizable, check_sessions, count_stale};
use evnats::kv::{Config, Entry, Error, KeyValue, Reads};
use evnats::{EventLoop, HeaderMap, Options, OutgoingMessage};
use evnats_harness::{Cluster, Direction, Fault, FaultProxy, requires};
use history::{Expected, Operation, Outcome, Read, What, Write};
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use support::asking::Asking;
use support::new_cluster::create_bucket;
use support::{turn_until, unique};
use workload::{Worker, World, connect, go_on};

const CLIENTS: usize = 6;

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

/// Runs the clients for some time, and returns what they were told.
fn run(time: Duration, faults: &Faults, seed: u64) -> World {
    let mut cluster = Cluster::start();
    let proxies: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let port = cluster.server(client % 3).port();
            FaultProxy::start(port, one_way_cuts(seed + client as u64))
        })
        .collect();
    let (event_loop, mut world) = (EventLoop::new().expect("a loop"), World::new(seed));
    let bucket = unique("consistency");
    let clients: Vec<_> = proxies
        .iter()
        .enumerate()
        .map(|(client, proxy)| {
            let direct = (1..3).map(|other| cluster.server((client + other) % 3).url());
            let servers: Vec<_> = std::iter::once(proxy.url()).chain(direct).collect();
            connect(&event_loop, &servers)
        })
        .collect();
    let config = Config::new().replicas(3);
    create_bucket(&clients[0].jetstream().key_value(&bucket), config, |world: &mut World, _| {
        world.under_way = CLIENTS;
    });
    turn_until(&event_loop, &mut world, "a bucket", |world| world.under_way > 0);
    for (client, nats) in clients.iter().enumerate() {
        go_on(&mut world, &Worker { client, kv: nats.jetstream().key_value(&bucket) });
    }
    let (stop, stopped) = channel();
    std::thread::scope(|scope| {
        let cluster = &mut cluster;
        scope.spawn(move || harm(cluster, faults, seed, &stopped));
        let end = Instant::now() + time;
        turn_until(&event_loop, &mut world, "the time", |_| Instant::now() >= end);
        drop(stop);
        world.stops = true;
        turn_until(&event_loop, &mut world, "the last outcomes", |world| world.under_way == 0);
    });
    world
}

fn reads_of(history: &[Operation], kind: Reads) -> usize {
    let is_it = |operation: &&Operation| match &operation.what {
        What::Read(read) => read.reads == kind,
        What::Write(_) => false,
    };
    history.iter().filter(is_it).count()
}

/// Checks a history, and returns a line about it.
fn check(seed: u64, world: &World) -> String {
    let history = &world.history;
    let context = format!("seed {seed}, failures {:#?}", world.failures);
    assert_eq!(check_linearizable(history), [], "{context}");
    assert_eq!(check_sessions(history, Reads::Verified), [], "{context}");
    let stale = |kind| {
        let (stale, all) = (count_stale(history, kind), reads_of(history, kind));
        let sessions = check_sessions(history, kind).len();
        format!("{kind:?} {stale} stale of {all}, {sessions} of them behind what was seen")
    };
    let anomalies: Vec<_> = [Reads::Leader, Reads::Replica, Reads::Verified].map(stale).into();
    format!("seed {seed}: {} operations; {}", history.len(), anomalies.join("; "))
}

#[test]
fn writes_and_linearizable_reads_are_linearizable_while_nodes_fail() {
    requires!(support::server(), 2, 11);
    let faults = Faults { frozen: 800..3_000, dead: 200..1_500, pause: 300..1_200 };
    let seed = fastrand::u64(..1_000_000);
    let world = run(Duration::from_secs(12), &faults, seed);
    println!("{}", check(seed, &world));
    assert!(world.history.len() > 500, "{:#?}", world.failures);
    for kind in workload::KINDS {
        assert!(reads_of(&world.history, kind) > 20, "{kind:?}: {:#?}", world.failures);
    }
}

#[test]
#[ignore = "takes more than ten minutes"]
fn twenty_runs_of_half_a_minute_are_linearizable() {
    requires!(support::server(), 2, 11);
    let faults = Faults { frozen: 1_000..20_000, dead: 200..5_000, pause: 500..3_000 };
    for seed in 1..=20 {
        let world = run(Duration::from_secs(30), &faults, seed);
        println!("{}", check(seed, &world));
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
