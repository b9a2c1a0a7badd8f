//! Stores that are slow, gone or closed to the watcher, and what is counted of it.

use super::world::{World, listen};
use crate::support::unique;
use evnats::kv;
use evnats::mongo::{
    Error, KvResumeStore, ResumeFunctions, ResumePoint, StopReason, StorageCallback, WatchState,
};
use evnats_harness::{Server, mongo_database};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Saves that are under way, and all that were begun.
#[derive(Default)]
struct Saves {
    held: RefCell<Vec<StorageCallback<(), ()>>>,
    begun: RefCell<Vec<ResumePoint>>,
    most_at_once: Cell<usize>,
}

impl Saves {
    fn finish(&self, outcome: impl Fn() -> Result<(), Error>) {
        for done in self.held.take() {
            done(&mut (), outcome()).expect("no error");
        }
    }
}

fn slow(world: &World) -> (ResumeFunctions<()>, Rc<Saves>) {
    let saves = Rc::new(Saves::default());
    let saving = saves.clone();
    let mongo = world.mongo.clone();
    let functions = ResumeFunctions::new(
        &world.mongo,
        move |point, done| {
            saving.begun.borrow_mut().push(point.clone());
            saving.held.borrow_mut().push(done);
            saving.most_at_once.set(saving.most_at_once.get().max(saving.held.borrow().len()));
        },
        move |_, done| {
            mongo.set_timer(Duration::ZERO, move |state: &mut (), _| done(state, Ok(())));
        },
    );
    (functions, saves)
}

#[test]
fn saves_are_one_at_a_time_and_for_many_changes_when_the_store_is_slow() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (functions, saves) = slow(&world);
    let stream = world.stream().save_every(1, Duration::from_millis(1));
    let (watcher, told) = listen(world.mongo.watch(stream).resume(functions));
    world.until("the stream", || told.is_live());
    world.until("a first save", || saves.begun.borrow().len() == 1);
    for batch in 0..10 {
        world.insert(batch * 50..batch * 50 + 50);
    }
    world.until("all changes", || told.ids().len() == 500);
    assert_eq!(saves.begun.borrow().len(), 1, "no other one is begun meanwhile");
    saves.finish(|| Ok(()));
    world.until("the next save", || saves.begun.borrow().len() == 2);
    let last = told.events.borrow().last().map(|event| event.token().clone());
    assert_eq!(saves.begun.borrow().last().map(|point| point.token.clone()), last);
    // one that fails is made up for
    saves.finish(|| Err(Error::Timeout { within: Duration::ZERO }));
    world.until("a third one", || saves.begun.borrow().len() >= 3);
    assert!(told.has(|state| matches!(state, WatchState::SaveFailed(_))));
    watcher.stop();
    world.until("the end", || {
        saves.finish(|| Ok(()));
        told.is_stopped()
    });
    assert_eq!(saves.most_at_once.get(), 1);
    let metrics = watcher.metrics();
    assert_eq!((metrics.changes, metrics.unknown, metrics.in_flight), (500, 0, 0));
    assert_eq!(metrics.failed_saves, 1);
    assert!(metrics.saves < 10, "{metrics:?}");
    assert!(metrics.lag.is_some_and(|lag| lag < Duration::from_secs(60)), "{metrics:?}");
}

#[test]
fn what_is_given_out_is_counted_until_it_is_done() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream());
    world.until("the stream", || told.is_live());
    assert_eq!(watcher.metrics().lag, None);
    world.insert(0..3);
    world.until("the changes", || told.acks.borrow().len() == 3);
    let before = watcher.metrics();
    assert_eq!((before.changes, before.in_flight, before.openings), (3, 3, 1));
    let second = told.acks.borrow_mut().remove(1).expect("an answer");
    second.ok();
    world.until("an answer", || watcher.metrics().in_flight == 2);
    assert!(watcher.metrics().in_flight_bytes < before.in_flight_bytes);
    told.acks.take().into_iter().for_each(evnats::mongo::Ack::ok);
    world.until("all answers", || watcher.metrics().in_flight == 0);
    assert_eq!(watcher.metrics().in_flight_bytes, 0);
    world.stop(&watcher, &told);
    let metrics = watcher.metrics();
    assert!((1..=2).contains(&metrics.saves), "the first one, and that of the stop: {metrics:?}");
}

#[test]
fn a_bucket_that_is_deleted_stops_the_watcher_with_the_reason() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(10));
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.until("a save", || watcher.metrics().saves >= 1);
    let is_deleted = Rc::new(Cell::new(false));
    let deleted = is_deleted.clone();
    world.positions.delete_bucket(move |(), _, done| deleted.set(done.is_ok()));
    world.until("no bucket", || is_deleted.get());
    world.insert(1..2);
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Store(Error::Kv(_)))), "{stopped:?}");
    // one may have been under way when the bucket went
    let failed = watcher.metrics().failed_saves;
    assert!((1..=2).contains(&failed), "{failed} times, and it was not to be tried again");
}

#[test]
fn who_may_not_save_stops_with_the_reason() {
    let database = mongo_database!();
    let bucket = unique("positions");
    let config = format!(
        "authorization {{ users: [ {{ user: admin, password: p }}, {{ user: reader, password: p, \
         permissions: {{ publish: {{ deny: \"$KV.{bucket}.>\" }} }} }} ] }}"
    );
    let nats = Server::builder().config(config).start().expect("a server");
    let mut world = World::new(database.uri(), database.name());
    let admin = nats.url().replace("://", "://admin:p@");
    let created = Rc::new(Cell::new(false));
    let is_created = created.clone();
    let client = world.event_loop.connect(admin).expect("a client");
    client
        .jetstream()
        .key_value(&bucket)
        .create_bucket(kv::Config::default(), move |(), _, made| is_created.set(made.is_ok()));
    world.until("a bucket", || created.get());
    let reader = nats.url().replace("://", "://reader:p@");
    let client = world.event_loop.connect(reader).expect("a client");
    world.positions = client.jetstream().key_value(&bucket);
    let stream = world.stream().save_every(1, Duration::from_millis(10));
    let store = KvResumeStore::new(&world.positions, "orders");
    let (watcher, told) = world.watch(stream, store);
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Store(Error::Kv(_)))), "{stopped:?}");
    assert_eq!(watcher.metrics().failed_saves, 1, "it was not tried again");
}
