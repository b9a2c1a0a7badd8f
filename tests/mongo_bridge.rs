//! The bridge to the driver of MongoDB: results, errors, deadlines, silence, the end. On real servers, and
//! on a stand-in for what those cannot be made to do.

#[path = "mongo_bridge/beside_nats.rs"]
mod beside_nats;
#[path = "mongo_bridge/calls.rs"]
mod calls;
#[path = "mongo_bridge/closing.rs"]
mod closing;
#[path = "mongo_bridge/closing_watchers.rs"]
mod closing_watchers;
#[path = "mongo_bridge/outages.rs"]
mod outages;
#[path = "mongo_bridge/panics.rs"]
mod panics;
#[path = "mongo_bridge/silence.rs"]
mod silence;
mod support;

use evnats::EventLoop;
use evnats::mongo::{Error, Mongo, Options};
use evnats_harness::MongoStandIn;
use std::future::pending;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use support::Log;

/// Those that count the threads of the process are alone in it; the others are together.
static COMPANY: RwLock<()> = RwLock::new(());

fn together() -> RwLockReadGuard<'static, ()> {
    COMPANY.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    let company = COMPANY.write().unwrap_or_else(PoisonError::into_inner);
    wait_for_threads(0);
    company
}

/// A loop with MongoDB, and what callbacks have told.
struct World {
    event_loop: EventLoop<Log>,
    mongo: Mongo<Log>,
    log: Log,
}

impl World {
    fn new(options: impl Into<Options>) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let mongo = event_loop.connect_mongo(options).expect("MongoDB");
        Self { event_loop, mongo, log: Log::new() }
    }

    /// Turns until so much was told.
    #[track_caller]
    fn until_told(&mut self, count: usize) {
        let limit = Instant::now() + Duration::from_secs(60);
        while self.log.len() < count {
            self.turn();
            assert!(Instant::now() < limit, "{count} outcomes: {:?}", self.log);
        }
    }

    fn turn(&mut self) {
        let tick = Some(Duration::from_millis(20));
        self.event_loop.dispatch(&mut self.log, tick).expect("a turn");
    }

    /// Turns until nothing is left to do.
    #[track_caller]
    fn finish(&mut self) {
        support::finish_with(&self.event_loop, &mut self.log);
    }

    /// Asks, and turns until the answer has come.
    #[track_caller]
    fn ping(&mut self) -> String {
        let told = self.log.len();
        self.mongo.ping(note("ping"));
        self.until_told(told + 1);
        self.log.pop().expect("an answer")
    }
}

/// A callback that writes down the outcome.
fn note<T>(name: &str) -> impl FnOnce(&mut Log, &Mongo<Log>, Result<T, Error>) + 'static {
    let name = name.to_owned();
    move |log, _, result| log.push(format!("{name}: {}", outcome(result)))
}

/// An outcome in a word or two.
fn outcome<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(Error::Server(error)) => format!("server {}", error.code),
        Err(Error::Driver { is_network: true, .. }) => "network".into(),
        Err(Error::Driver { .. }) => "driver".into(),
        Err(Error::Timeout { .. }) => "timeout".into(),
        Err(Error::Busy { .. }) => "busy".into(),
        Err(Error::Closed) => "closed".into(),
        Err(Error::Panicked) => "panicked".into(),
        Err(error) => format!("{error:?}"),
    }
}

/// An operation that has no end.
async fn endless(_: evnats::mongo::mongodb::Client) -> evnats::mongo::mongodb::error::Result<()> {
    pending().await
}

/// How long calls of [`impatient`] may take: long enough for an answer on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Options for a stand-in, with a short timeout.
fn impatient(stand_in: &MongoStandIn) -> Options {
    Options::new(stand_in.uri()).timeout(TIMEOUT)
}

/// How many threads of the bridge this process has. 0 where that cannot be known.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("evnats-mongo") || name.starts_with("tokio")).count()
}

/// Waits until the process has so many threads of the bridge. One that was waited for is still listed for a
/// moment, and a new one has no name yet.
#[track_caller]
fn wait_for_threads(wanted: usize) {
    let limit = Instant::now() + Duration::from_secs(5);
    while cfg!(target_os = "linux") && threads() != wanted {
        assert!(Instant::now() < limit, "{} threads in place of {wanted}", threads());
        std::thread::yield_now();
    }
}

/// How many descriptors this process has open. 0 where that cannot be known.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Turns until the process has no more threads of the bridge, and no more descriptors, than this.
#[track_caller]
fn until_no_more_than(world: &mut World, wanted_threads: usize, wanted_descriptors: usize) {
    let limit = Instant::now() + Duration::from_secs(10);
    while threads() > wanted_threads || descriptors() > wanted_descriptors {
        world.turn();
        assert!(
            Instant::now() < limit,
            "{} threads in place of {wanted_threads}, {} descriptors in place of {wanted_descriptors}",
            threads(),
            descriptors(),
        );
    }
}
