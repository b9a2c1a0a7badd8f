//! Outages, lost acknowledgements and deaths: every change is in the stream once, in its order.

use crate::support::{assert_same, level, server, unique};
use crate::world::{Told, World, ids};
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{SinkMetrics, WatchState};
use evnats_harness::{
    Cluster, Direction, Fault, FaultProxy, ReplicaSet, Server, mongo_database, replica_set,
};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Names the servers, the database and the stream for a process that is to be killed.
const CHILD: &str = "EVNATS_SINK_CHILD";

/// How many changes may wait for the next process.
const MAX_LAG: i64 = 5_000;

#[test]
fn while_nats_is_down_changes_wait() {
    let database = mongo_database!();
    let mut server = Server::start();
    let world = World::on(&server.url(), database.uri(), database.name(), &unique("CHANGES"));
    world.create(|config| config);
    let (watcher, told) = world.publish_live(world.changes());
    world.insert(0..200);
    world.until_stored(100);
    server.kill9();
    // more than there is credit for
    for begin in (200..2_000).step_by(200) {
        world.insert(begin..begin + 200);
    }
    let begun = Instant::now();
    world.until("five seconds", || begun.elapsed() > Duration::from_secs(5));
    assert!(!told.is_stopped(), "{:?}", told.stopped.borrow());
    assert_eq!(news_of_sink(&told), ["away"]);
    server.start_again();
    world.until_stored(2_000);
    assert_eq!(news_of_sink(&told), ["away", "back"]);
    world.stop(&watcher, &told);
    assert_same(&ids(&world.stored()), &(0..2_000).collect::<Vec<_>>());
}

/// What was told of the sink's stream.
fn news_of_sink(told: &Told) -> Vec<&'static str> {
    let news = |state: &WatchState| match state {
        WatchState::SinkAway(_) => Some("away"),
        WatchState::SinkBack => Some("back"),
        _ => None,
    };
    told.states.borrow().iter().filter_map(news).collect()
}

/// Nothing is sent that could fail, and so nothing is told.
#[test]
fn while_nothing_changes_nobody_is_told_that_nats_is_down() {
    let database = mongo_database!();
    let mut server = Server::start();
    let world = World::on(&server.url(), database.uri(), database.name(), &unique("CHANGES"));
    world.create(|config| config);
    let (watcher, told) = world.publish_live(world.changes());
    world.insert(0..1);
    world.until_stored(1);
    server.restart();
    world.until("the server", || world.count() == 1);
    world.insert(1..2);
    world.until_stored(2);
    world.stop(&watcher, &told);
    assert_eq!(news_of_sink(&told), [""; 0]);
}

/// Each connection ends in the middle of acknowledgements.
#[test]
fn lost_acknowledgements_lose_and_repeat_nothing() {
    let database = mongo_database!();
    let proxy = FaultProxy::start(server().port(), |connection| {
        let at = 3_000 + 2_000 * u64::try_from(connection).expect("few");
        if connection == 0 || connection > 10 {
            return Vec::new();
        }
        vec![Fault::Cut { direction: Direction::ToClient, at }]
    });
    let uri = database.uri();
    let world = World::on(&proxy.url(), uri, database.name(), &unique("CHANGES"));
    world.create(|config| {
        config.duplicate_window(Duration::from_millis(100)).allow_atomic(level() >= 2)
    });
    world.command(doc! { "create": "orders" });
    let (watcher, told) = world.publish_live(world.changes());
    world.insert(0..100);
    world.until_stored(100);
    proxy.cut_all();
    for begin in (100..3_000).step_by(100) {
        match begin % 500 {
            0 => world.transact(begin..begin + 100),
            _ => world.insert(begin..begin + 100),
        }
    }
    world.until("all of them", || {
        assert!(!told.is_stopped(), "{:?}", told.stopped.borrow());
        proxy.connections() > 10
    });
    world.until_stored(3_000);
    world.stop(&watcher, &told);
    assert_same(&ids(&world.stored()), &(0..3_000).collect::<Vec<_>>());
}

/// What was sent comes to the server after the sink has given it up.
#[test]
fn messages_that_are_late_are_stored_once() {
    let database = mongo_database!();
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let uri = database.uri();
    let world = World::on(&proxy.url(), uri, database.name(), &unique("CHANGES"));
    world.create(|config| config.duplicate_window(Duration::from_millis(100)));
    let (watcher, told) = world.publish_live(world.changes());
    for round in 0..3 {
        world.insert(round * 400..round * 400 + 200);
        proxy.stall_all();
        world.insert(round * 400 + 200..round * 400 + 400);
        let begun = Instant::now();
        // longer than an acknowledgement is waited for
        world.until("timeouts", || begun.elapsed() > Duration::from_millis(2_500));
        proxy.resume_all();
        world.until_stored(u64::try_from(round * 400 + 400).expect("positive"));
    }
    world.stop(&watcher, &told);
    assert_same(&ids(&world.stored()), &(0..1_200).collect::<Vec<_>>());
}

/// The leader of a stream with three replicas dies, and another one takes over.
#[test]
fn a_stream_with_replicas_that_loses_its_leader_loses_and_repeats_nothing() {
    let database = mongo_database!();
    let mut cluster = Cluster::start();
    let urls = cluster.urls().join(",");
    let world = World::on(&urls, database.uri(), database.name(), &unique("CHANGES"));
    let info = world.create(|config| {
        config.num_replicas(3).duplicate_window(Duration::from_secs(2)).allow_atomic(level() >= 2)
    });
    let leader = info.cluster.and_then(|cluster| cluster.leader).expect("a leader");
    let leader = cluster.index_by_name(&leader).expect("a node");
    let (watcher, told) = world.publish_live(world.changes());
    for (round, begin) in (0..2_000).step_by(200).enumerate() {
        match round {
            3 => cluster.server_mut(leader).kill9(),
            7 => cluster.server_mut(leader).start_again(),
            _ => {}
        }
        match round % 2 {
            0 => world.insert(begin..begin + 200),
            _ => world.transact(begin..begin + 200),
        }
        assert!(!told.is_stopped(), "{:?}", told.stopped.borrow());
    }
    world.until_stored(2_000);
    world.stop(&watcher, &told);
    assert_same(&ids(&world.stored()), &(0..2_000).collect::<Vec<_>>());
}

#[test]
fn a_process_that_is_killed_loses_and_repeats_nothing() {
    let database = mongo_database!();
    kill(10, database.uri(), database.name());
}

#[test]
#[ignore = "some minutes"]
fn a_process_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    let database = mongo_database!();
    kill(120, database.uri(), database.name());
}

/// Kills a process that publishes, so many times.
fn kill(times: usize, uri: &str, database: &str) {
    let world = World::with(uri, database, |config| {
        config.duplicate_window(Duration::from_secs(2)).allow_atomic(level() >= 2)
    });
    // from here on there is a position
    let (watcher, told) = world.publish_live(world.changes());
    world.insert(0..1);
    world.until_stored(1);
    world.stop(&watcher, &told);
    let mut next = 1;
    let directory = tempfile::tempdir().expect("a directory");
    let report = directory.path().join("report");
    std::fs::write(&report, "").expect("an empty report");
    let mut known = Known::default();
    for round in 0..times {
        let before = world.count();
        let mut child = start_child(uri, &world, &report);
        // into the start, and into what is published
        let limit = Duration::from_millis(random(if round % 3 == 0 { 400 } else { 1_500 }));
        let begun = Instant::now();
        while begun.elapsed() < limit {
            // the server does not remember much
            if i64::from(next) - i64::try_from(world.count()).expect("few") > MAX_LAG {
                world.turn();
                continue;
            }
            let count = i32::try_from(1 + random(40)).expect("few");
            match random(4) {
                0 => world.transact(next..next + count),
                _ => world.insert(next..next + count),
            }
            next += count;
        }
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        known.add(&report);
        println!("{round}: {} more are stored after {limit:?}", world.count() - before);
        if round % 8 == 7 {
            world.forget_ids(Duration::from_secs(3));
        }
    }
    let mut child = start_child(uri, &world, &report);
    let total = u64::try_from(next).expect("positive");
    world.until_stored(total);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    known.add(&report);
    assert_same(&ids(&world.stored()), &(0..i64::from(next)).collect::<Vec<_>>());
    // the first one was published here
    let unknown = (total - 1).checked_sub(known.stored + known.deduplicated);
    println!(
        "{total} changes, {times} kills: lost 0, repeated 0; deduplicated: by the next process, which went \
         on behind them, up to {} that were stored without the one that was killed knowing; by reading \
         the tail while it lived, {}",
        unknown.expect("nobody knows more than there is"),
        known.deduplicated,
    );
}

/// What processes that were killed have known to be stored, as far as they had told.
#[derive(Default)]
struct Known {
    stored: u64,
    deduplicated: u64,
}

impl Known {
    /// Adds what a process has told, and clears it away.
    fn add(&mut self, report: &Path) {
        let told = std::fs::read_to_string(report).expect("the report");
        let mut numbers = told.split(' ').filter_map(|number| number.parse::<u64>().ok());
        self.stored += numbers.next().unwrap_or(0);
        self.deduplicated += numbers.next().unwrap_or(0);
        std::fs::write(report, "").expect("the report is cleared");
    }
}

/// Tells what a watcher's sink has counted. Whoever reads it finds it whole, whenever this is killed.
fn tell(metrics: SinkMetrics, report: &Path) {
    let draft = report.with_extension("draft");
    let told = format!("{} {}", metrics.stored, metrics.deduplicated);
    std::fs::write(&draft, told)
        .and_then(|()| std::fs::rename(&draft, report))
        .expect("it is told");
}

fn start_child(uri: &str, world: &World, report: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    let servers = format!(
        "{} {uri} {} {} {}",
        server().url(),
        world.database,
        world.stream,
        report.display()
    );
    Command::new(program)
        .args(["--exact", "faults::publish_until_killed", "--include-ignored", "--nocapture"])
        .env(CHILD, servers)
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs")
}

/// Is run in a process of its own by others.
#[test]
#[ignore = "does nothing by itself"]
fn publish_until_killed() {
    let Ok(servers) = std::env::var(CHILD) else { return };
    let parts: Vec<_> = servers.split(' ').collect();
    let [url, uri, database, stream, report] = parts[..] else { panic!("{servers}") };
    let world = World::on(url, uri, database, stream);
    let (watcher, told) = world.publish(world.changes());
    let mut last = SinkMetrics::default();
    while !told.is_stopped() {
        world.turn();
        let metrics = watcher.metrics().sink.expect("there is a sink");
        if std::mem::replace(&mut last, metrics) != metrics {
            tell(metrics, Path::new(report));
        }
    }
    panic!("{:?}", told.stopped.borrow());
}

#[test]
fn outages_of_both_sides_lose_and_repeat_nothing() {
    let set = replica_set!(ReplicaSet::builder());
    flap(Duration::from_secs(8), set);
}

#[test]
#[ignore = "a minute and more"]
fn a_minute_of_outages_of_both_sides_loses_and_repeats_nothing() {
    let set = replica_set!(ReplicaSet::builder());
    flap(Duration::from_secs(60), set);
}

/// Has both servers come and go for a while.
fn flap(time: Duration, mut set: ReplicaSet) {
    let mut server = Server::start();
    let uri = format!("{}&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000", set.uri());
    let world = World::on(&server.url(), &uri, "shop", &unique("CHANGES"));
    world.create(|config| config.duplicate_window(Duration::from_secs(2)));
    let (watcher, told) = world.start(world.mongo.watch(world.changes()).publish_to(world.sink()));
    world.until_live(&told);
    world.insert(0..1);
    world.until_stored(1);
    let is_over = AtomicBool::new(false);
    let (inserted, outages) = std::thread::scope(|scope| {
        let over = &is_over;
        let uri = uri.clone();
        let inserting = scope.spawn(move || insert_until(over, &uri));
        let (server, set) = (&mut server, &mut set);
        let flapping = scope.spawn(move || {
            let begun = Instant::now();
            let mut outages = 0;
            while begun.elapsed() < time {
                outages += 1;
                let pause = Duration::from_millis(random(800));
                match random(3) {
                    0 => {
                        server.kill9();
                        std::thread::sleep(pause);
                        server.start_again();
                    }
                    1 => {
                        set.kill(0);
                        std::thread::sleep(pause);
                        set.restart(0);
                    }
                    _ => {
                        server.pause();
                        std::thread::sleep(pause);
                        server.resume();
                    }
                }
                std::thread::sleep(Duration::from_millis(random(1_000)));
            }
            set.wait_ready();
            over.store(true, Ordering::SeqCst);
            outages
        });
        while !(inserting.is_finished() && flapping.is_finished()) {
            world.turn();
            assert!(!told.is_stopped(), "{:?}", told.stopped.borrow());
        }
        (inserting.join().expect("it inserts"), flapping.join().expect("it flaps"))
    });
    world.until_stored(inserted.len() as u64 + 1);
    world.stop(&watcher, &told);
    let expected: Vec<_> = std::iter::once(0).chain(inserted).collect();
    assert_same(&ids(&world.stored()), &expected);
    let states = told.states.borrow();
    let openings = states.iter().filter(|state| matches!(state, WatchState::Opening(_))).count();
    let metrics = watcher.metrics().sink.expect("there is a sink");
    println!(
        "{outages} outages, {} changes, opened {openings} times: lost 0, repeated 0; deduplicated by reading \
         the tail, {}, in {} readings; sent again, {}; told to be away {} times",
        expected.len(),
        metrics.deduplicated,
        metrics.recoveries,
        metrics.resent,
        news_of_sink(&told).iter().filter(|news| **news == "away").count(),
    );
    assert_eq!(metrics.stored + metrics.deduplicated, expected.len() as u64, "{metrics:?}");
}

/// Inserts documents one after the other in a loop of its own, and returns what is in the collection.
fn insert_until(is_over: &AtomicBool, uri: &str) -> Vec<i64> {
    let event_loop = evnats::EventLoop::<Option<bool>>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(uri).expect("MongoDB");
    let mut done = None;
    let mut next = 1_i32;
    while !is_over.load(Ordering::SeqCst) {
        let row = doc! { "_id": next };
        mongo.call(
            async move |client| {
                let orders = client.database("shop").collection::<Document>("orders");
                orders.insert_one(row).await
            },
            |done: &mut Option<bool>, _, inserted| *done = Some(inserted.is_ok()),
        );
        while done.is_none() {
            event_loop.dispatch(&mut done, Some(Duration::from_millis(20))).expect("a turn");
        }
        done = None;
        // what has failed may have been done
        next += 1;
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    mongo.call(
        async move |client| {
            let orders = client.database("shop").collection::<Document>("orders");
            let rows = doc! { "_id": { "$gte": 1 } };
            let mut rows = orders.find(rows).sort(doc! { "_id": 1 }).await?;
            let mut found = Vec::new();
            while rows.advance().await? {
                found.extend(rows.current().get_i32("_id").map(i64::from));
            }
            Ok(found)
        },
        move |done: &mut Option<bool>, _, found| {
            *done = Some(true);
            sender.send(found.expect("the documents")).expect("it is waited for");
        },
    );
    while done.is_none() {
        event_loop.dispatch(&mut done, Some(Duration::from_millis(20))).expect("a turn");
    }
    receiver.recv().expect("the documents")
}

/// A number below this one.
fn random(limit: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % limit
}
