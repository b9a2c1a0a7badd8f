//! What the MongoDB side does in a second, and what it costs: `mongobench WORKLOAD COUNT`, one line on stdout.
//!
//! `events` drains a change stream of COUNT inserted documents to a function that does nothing, and `driver`
//! has the driver drain the same by itself, as the measure. `latency` drains it while a timer of 1 ms runs on
//! the loop, and tells by how much that was late, beside an idle loop. `cursors` opens COUNT lists, whose
//! cursors stay in a bucket, and tells what memory the process has before, halfway, and behind.
//!
//! `cargo run --release --features mongodb --example mongobench -- events 100000`. It uses the servers that
//! `NATS_URL` and `MONGODB_URI` name, or else starts some for itself.

use evnats::kv::Config;
use evnats::mongo::bson::{Document, Timestamp, doc};
use evnats::mongo::mongodb::{Client, error::Result as DriverResult};
use evnats::mongo::{ChangeStream, KvCursorStorage, ListCursor, Mongo};
use evnats::{EventLoop, Result};
use evnats_harness::{mongo_url_or_replica_set, url_or_server};
use std::time::{Duration, Instant};

const DATABASE: &str = "evnats_bench";
const TICK: Duration = Duration::from_millis(1);

/// So many lists are under way at once.
const LISTS: u64 = 16;

#[derive(Default)]
struct Bench {
    count: u64,
    start: Option<Timestamp>,
    done: u64,
    asked: u64,
    last_tick: Option<Instant>,
    /// By how much each tick was late.
    late: Vec<Duration>,
    drained: Option<u64>,
    is_ready: bool,
}

type Loop = EventLoop<Bench>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workload, count] = &arguments[..] else {
        return Err(evnats::Error::other("usage: mongobench events|driver|latency|cursors COUNT"));
    };
    let count = count.parse().map_err(evnats::Error::other)?;
    let (mongo_url, _set) = mongo_url_or_replica_set().map_err(evnats::Error::other)?;
    let event_loop = Loop::new()?;
    let mongo = event_loop.connect_mongo(mongo_url)?;
    let mut bench = Bench { count, ..Bench::default() };
    match workload.as_str() {
        "events" => {
            fill(&event_loop, &mongo, &mut bench)?;
            tell_rate("events", drain(&event_loop, &mongo, &mut bench)?, count);
        }
        "driver" => {
            fill(&event_loop, &mongo, &mut bench)?;
            tell_rate("driver", drain_by_driver(&event_loop, &mongo, &mut bench)?, count);
        }
        "latency" => {
            fill(&event_loop, &mongo, &mut bench)?;
            tick(&mongo);
            turn_until(&event_loop, &mut bench, |bench| bench.late.len() >= 2_000)?;
            tell_late("idle", &mut bench.late);
            let took = drain(&event_loop, &mongo, &mut bench)?;
            tell_late("busy", &mut bench.late);
            tell_rate("events", took, count);
        }
        "cursors" => open_cursors(&event_loop, &mongo, &mut bench)?,
        other => return Err(evnats::Error::other(format!("no such workload: {other}"))),
    }
    clean_up(&event_loop, &mongo, &mut bench)
}

/// Leaves nothing on a server of the user's.
fn clean_up(event_loop: &Loop, mongo: &Mongo<Bench>, bench: &mut Bench) -> Result {
    bench.is_ready = false;
    let drop_all = async |client: Client| client.database(DATABASE).drop().await;
    mongo.call(drop_all, |bench: &mut Bench, _, dropped| {
        dropped?;
        bench.is_ready = true;
        Ok(())
    });
    turn_until(event_loop, bench, |bench| bench.is_ready)
}

fn turn_until(event_loop: &Loop, bench: &mut Bench, is_so: impl Fn(&Bench) -> bool) -> Result {
    while !is_so(bench) {
        event_loop.dispatch(bench, Some(Duration::from_millis(100)))?;
    }
    Ok(())
}

/// Inserts the documents, and notes the time before.
fn fill(event_loop: &Loop, mongo: &Mongo<Bench>, bench: &mut Bench) -> Result {
    let count = bench.count;
    let insert = async move |client: Client| -> DriverResult<Document> {
        let database = client.database(DATABASE);
        database.drop().await?;
        let reply = database.run_command(doc! { "ping": 1 }).await?;
        let rows = database.collection::<Document>("rows");
        for first in (0..count).step_by(10_000) {
            let numbers = first..(first + 10_000).min(count);
            let row = |number| doc! { "_id": number as i64, "filler": "x".repeat(128) };
            rows.insert_many(numbers.map(row)).await?;
        }
        Ok(reply)
    };
    mongo.call_within(Duration::from_secs(600), insert, |bench: &mut Bench, _, reply| {
        bench.start = reply?.get_timestamp("operationTime").ok();
        bench.is_ready = true;
        Ok(())
    });
    turn_until(event_loop, bench, |bench| bench.is_ready)
}

/// Inserts, since the time that was noted.
fn stream(bench: &Bench) -> ChangeStream {
    let inserts = doc! { "$match": { "operationType": "insert" } };
    let stream = ChangeStream::on(DATABASE, "rows").pipeline([inserts]);
    bench.start.into_iter().fold(stream, ChangeStream::start_at)
}

fn drain(event_loop: &Loop, mongo: &Mongo<Bench>, bench: &mut Bench) -> Result<Duration> {
    bench.done = 0;
    let start = Instant::now();
    let watcher = mongo.watch(stream(bench)).dispatch(|bench: &mut Bench, _, _, _| {
        bench.done += 1;
        Ok(())
    });
    let watcher = watcher.start(|_, _, _| {});
    turn_until(event_loop, bench, |bench| bench.done >= bench.count)?;
    let took = start.elapsed();
    watcher.stop();
    Ok(took)
}

fn drain_by_driver(event_loop: &Loop, mongo: &Mongo<Bench>, bench: &mut Bench) -> Result<Duration> {
    let (count, start) = (bench.count, bench.start);
    let began = Instant::now();
    let drain = async move |client: Client| -> DriverResult<u64> {
        let rows = client.database(DATABASE).collection::<Document>("rows");
        let inserts = doc! { "$match": { "operationType": "insert" } };
        let watch = rows.watch().pipeline([inserts]);
        let mut changes = match start {
            Some(start) => watch.start_at_operation_time(start).await?,
            None => watch.await?,
        };
        let mut done = 0;
        while done < count {
            done += u64::from(changes.next_if_any().await?.is_some());
        }
        Ok(done)
    };
    mongo.call_within(Duration::from_secs(600), drain, |bench: &mut Bench, _, drained| {
        bench.drained = Some(drained?);
        Ok(())
    });
    turn_until(event_loop, bench, |bench| bench.drained.is_some())?;
    Ok(began.elapsed())
}

/// Has a timer come again and again.
fn tick(mongo: &Mongo<Bench>) {
    mongo.set_timer(TICK, |bench: &mut Bench, mongo: &Mongo<Bench>| {
        let now = Instant::now();
        let late = bench.last_tick.map(|last| (now - last).saturating_sub(TICK));
        bench.late.extend(late);
        bench.last_tick = Some(now);
        tick(mongo);
    });
}

fn open_cursors(event_loop: &Loop, mongo: &Mongo<Bench>, bench: &mut Bench) -> Result {
    let (nats_url, _server) = url_or_server().map_err(evnats::Error::other)?;
    let nats = event_loop.connect(nats_url)?;
    let bucket = nats.jetstream().key_value("bench_cursors");
    bucket.create_or_update_bucket(Config::new(), |bench: &mut Bench, _, created| {
        created?;
        bench.is_ready = true;
        Ok(())
    });
    turn_until(event_loop, bench, |bench| bench.is_ready)?;
    let count = std::mem::replace(&mut bench.count, 1_000);
    fill(event_loop, mongo, bench)?;
    bench.count = count;
    let cursors = KvCursorStorage::new(&bucket);
    // what is made once is there
    open_lists(event_loop, mongo, &cursors, bench, count / 10)?;
    let before = memory();
    open_lists(event_loop, mongo, &cursors, bench, count / 2)?;
    let halfway = memory();
    let start = Instant::now();
    open_lists(event_loop, mongo, &cursors, bench, count - count / 2)?;
    let rate = (count - count / 2) as f64 / start.elapsed().as_secs_f64();
    println!(
        "cursors: {before:?} kB before, {halfway:?} halfway, {:?} behind {count}; {rate:.0}/s",
        memory()
    );
    Ok(())
}

fn open_lists(
    event_loop: &Loop,
    mongo: &Mongo<Bench>,
    cursors: &KvCursorStorage<Bench>,
    bench: &mut Bench,
    count: u64,
) -> Result {
    (bench.done, bench.asked) = (0, LISTS);
    for _ in 0..LISTS {
        open_list(mongo, cursors.clone(), count);
    }
    turn_until(event_loop, bench, |bench| bench.done >= count)
}

fn open_list(mongo: &Mongo<Bench>, cursors: KvCursorStorage<Bench>, count: u64) {
    let list = ListCursor::on(DATABASE, "rows").sort("-_id").limit(2).storage(&cursors);
    mongo.list_cursor(list, move |bench: &mut Bench, mongo, page| {
        page?;
        bench.done += 1;
        if bench.asked < count {
            bench.asked += 1;
            open_list(mongo, cursors, count);
        }
        Ok(())
    });
}

/// What the process has in memory, in kB, where the system tells it.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn tell_rate(workload: &str, took: Duration, count: u64) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{workload}: {count} in {took:.2?}, {rate:.0}/s");
}

fn tell_late(what: &str, late: &mut Vec<Duration>) {
    late.sort_unstable();
    let at = |part: f64| late.get((late.len() as f64 * part) as usize).or(late.last()).copied();
    println!(
        "{what}: {} ticks, late by {:?} (median), {:?} (p99), {:?} (most)",
        late.len(),
        at(0.5).unwrap_or_default(),
        at(0.99).unwrap_or_default(),
        late.last().copied().unwrap_or_default()
    );
    late.clear();
}
