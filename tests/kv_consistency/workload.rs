//! Clients that put, create, update, delete, purge and read the same few keys at random, one operation
//! after the other each, and note what they are told. Now and then one of them writes other keys
//! together, in an atomic batch, which those who follow the bucket look at.

use super::followers::Followed;
use super::history::{
    Content, Expected, NEVER, Operation, Outcome, Read, Tick, Value, What, Write,
};
use evnats::kv::{Committed, Entry, Error, KeyValue, Reads};
use evnats::{Client, EventLoop, Options};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const KEYS: usize = 4;
/// The keys that only batches write, all of them together.
pub(crate) const BATCH_KEYS: usize = 4;

pub(crate) const KINDS: [Reads; 4] =
    [Reads::Leader, Reads::Verified, Reads::Linearizable, Reads::Replica];

/// What all clients share: the clock and the history.
pub(crate) struct World {
    clock: Tick,
    values: u64,
    pub(crate) history: Vec<Operation>,
    /// What came of each batch, by the value that it gives to its keys.
    pub(crate) batches: BTreeMap<Value, Outcome>,
    /// What is seen by those who follow the bucket.
    pub(crate) followed: Vec<Followed>,
    /// The revisions that were last seen, for conditions that may hold.
    seen: [u64; KEYS],
    pub(crate) under_way: usize,
    pub(crate) stops: bool,
    pub(crate) random: fastrand::Rng,
    /// Whatever failed without saying anything about a key, by its text.
    pub(crate) failures: std::collections::BTreeMap<String, usize>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            clock: 0,
            values: 0,
            history: Vec::new(),
            batches: BTreeMap::new(),
            followed: Vec::new(),
            seen: [0; KEYS],
            under_way: 0,
            stops: false,
            random: fastrand::Rng::with_seed(seed),
            failures: Default::default(),
        }
    }

    fn tick(&mut self) -> Tick {
        self.clock += 1;
        self.clock
    }

    fn note_failure(&mut self, error: &Error) {
        *self.failures.entry(error.to_string()).or_default() += 1;
    }
}

pub(crate) type Kv = KeyValue<World>;

/// One of the clients.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) client: usize,
    pub(crate) kv: Kv,
}

/// A client whose first server is at this address, and that notices soon when nothing comes.
pub(crate) fn connect(event_loop: &EventLoop<World>, servers: &[String]) -> Client<World> {
    let options = Options::for_servers(servers)
        .randomize_servers(false)
        .discover_servers(false)
        .ping_interval(Duration::from_millis(400))
        .max_pings_outstanding(2)
        .connect_timeout(Duration::from_secs(1))
        .reconnect_delay(Duration::from_millis(20))
        .max_reconnect_delay(Duration::from_millis(200))
        .request_timeout(Duration::from_secs(3));
    let nats = event_loop.connect(options).expect("a client");
    nats.on_error(|_, _, _| ());
    nats
}

/// Begins the next operation of a client, unless it is to stop.
pub(crate) fn go_on(world: &mut World, worker: &Worker) {
    if world.stops {
        world.under_way -= 1;
        return;
    }
    if world.random.u8(..20) == 0 {
        return write_batch(world, worker);
    }
    let key = world.random.usize(..KEYS);
    match world.random.u8(..10) {
        0..4 => read(world, worker, key),
        choice => write(world, worker, key, choice),
    }
}

fn name(key: usize) -> String {
    format!("key.{key}")
}

/// The name of the key that is at this place in each batch.
pub(crate) fn batch_name(place: usize) -> String {
    format!("batch.{place}")
}

/// All keys that are written.
pub(crate) fn names() -> Vec<String> {
    (0..KEYS).map(name).chain((0..BATCH_KEYS).map(batch_name)).collect()
}

fn read(world: &mut World, worker: &Worker, key: usize) {
    let reads = KINDS[world.random.usize(..KINDS.len())];
    let (begun, next) = (world.tick(), worker.clone());
    let on_found = move |world: &mut World, _: &Kv, found: Result<Option<Entry>, Error>| {
        let ended = world.tick();
        match found {
            Ok(entry) => {
                let found = entry.map(|entry| (entry.revision(), content(&entry)));
                if let Some((revision, _)) = found {
                    world.seen[key] = world.seen[key].max(revision);
                }
                let what = What::Read(Read { reads, found });
                let client = next.client;
                world.history.push(Operation { client, key, begun, ended, what });
            }
            Err(error) => world.note_failure(&error),
        }
        go_on(world, &next);
    };
    worker.kv.with_reads(reads).get_raw(&name(key), on_found);
}

pub(crate) fn content(entry: &Entry) -> Content {
    match entry.operation().is_tombstone() {
        true => None,
        false => Some(entry.text().parse().expect("a number")),
    }
}

fn write_batch(world: &mut World, worker: &Worker) {
    world.values += 1;
    let (number, next) = (world.values, worker.clone());
    let on_committed = move |world: &mut World, _: &Kv, committed: Result<Committed, Error>| {
        let outcome = match committed {
            Ok(committed) => Outcome::Stored(committed.first()),
            Err(error) => {
                world.note_failure(&error);
                if error.is_outcome_unknown() { Outcome::Unknown } else { Outcome::NotStored }
            }
        };
        world.batches.insert(number, outcome);
        go_on(world, &next);
    };
    let batch = (0..BATCH_KEYS)
        .fold(worker.kv.batch(), |batch, place| batch.put(&batch_name(place), number.to_string()));
    batch.commit(on_committed);
}

fn write(world: &mut World, worker: &Worker, key: usize, choice: u8) {
    let removes = choice >= 8;
    let content = (!removes).then(|| {
        world.values += 1;
        world.values
    });
    let seen = world.seen[key];
    let expected = match choice {
        4 => Expected::NoValue,
        5 | 6 | 8 if seen > 0 => Expected::Revision(seen),
        _ => Expected::Nothing,
    };
    let (begun, next) = (world.tick(), worker.clone());
    let on_written = move |world: &mut World, _: &Kv, written: Result<u64, Error>| {
        let outcome = match written {
            Ok(revision) => {
                world.seen[key] = world.seen[key].max(revision);
                Outcome::Stored(revision)
            }
            Err(error) if error.is_conflict() => Outcome::Conflict,
            Err(error) => {
                world.note_failure(&error);
                if error.is_outcome_unknown() { Outcome::Unknown } else { Outcome::NotStored }
            }
        };
        let now = world.tick();
        let ended = if outcome == Outcome::Unknown { NEVER } else { now };
        let what = What::Write(Write { content, expected, outcome });
        world.history.push(Operation { client: next.client, key, begun, ended, what });
        go_on(world, &next);
    };
    let (kv, key) = (&worker.kv, name(key));
    let value = content.unwrap_or_default().to_string();
    match (expected, removes) {
        (Expected::NoValue, _) => kv.create(&key, value, on_written),
        (Expected::Revision(seen), false) => kv.update(&key, value, seen, on_written),
        (Expected::Revision(seen), true) => kv.delete_at(&key, seen, on_written),
        (Expected::Nothing, false) => kv.put(&key, value, on_written),
        (Expected::Nothing, true) if choice == 8 => kv.delete(&key, on_written),
        (Expected::Nothing, true) => kv.purge(&key, on_written),
    }
}
