//! Change streams by callback: a real replica set, and positions in a real bucket.

mod support;

use evnats::mongo::bson::{Bson, Document, doc};
use evnats::mongo::mongodb;
use evnats::mongo::{
    Ack, Backoff, BeforeChange, ChangeEvent, ChangeStream, ChangeStreamWatcher, Error,
    FullDocument, HistoryLost, KvResumeStore, Mongo, MongoResumeStore, ResumePoint, ResumeStore,
    ResumeToken, StopReason, WatchState,
};
use evnats::{Client, EventLoop, kv};
use evnats_harness::{FailTimes, ReplicaSet, mongo_database, replica_set};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::{server, unique};

const PATIENCE: Duration = Duration::from_secs(60);

type Watcher = ChangeStreamWatcher<()>;

/// What a watcher has told.
#[derive(Default)]
struct Told {
    events: RefCell<Vec<ChangeEvent>>,
    states: RefCell<Vec<WatchState>>,
    stopped: RefCell<Option<StopReason>>,
    /// Changes that wait for an answer.
    acks: RefCell<VecDeque<Ack>>,
}

impl Told {
    fn operations(&self) -> Vec<String> {
        self.events.borrow().iter().map(|event| event.operation_type().to_owned()).collect()
    }

    fn ids(&self) -> Vec<i32> {
        let id = |event: &ChangeEvent| event.document_id().and_then(|id| id.as_i32());
        self.events.borrow().iter().filter_map(id).collect()
    }

    fn has(&self, wanted: fn(&WatchState) -> bool) -> bool {
        self.states.borrow().iter().any(wanted)
    }

    fn is_live(&self) -> bool {
        self.has(|state| matches!(state, WatchState::Live))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }
}

/// A loop with MongoDB and a bucket.
struct World {
    event_loop: EventLoop<()>,
    client: Client<()>,
    mongo: Mongo<()>,
    positions: kv::KeyValue<()>,
    database: String,
}

impl World {
    fn new(uri: &str, database: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let client = event_loop.connect(server().url()).expect("a client");
        let mongo = event_loop.connect_mongo(uri).expect("MongoDB");
        let positions = client.jetstream().key_value(&unique("positions"));
        let world = Self { event_loop, client, mongo, positions, database: database.to_owned() };
        let is_made = Rc::new(Cell::new(false));
        let made = is_made.clone();
        world.positions.create_bucket(kv::Config::default(), move |(), _, created| {
            made.set(created.is_ok());
        });
        world.until("a bucket", || is_made.get());
        world
    }

    /// The same bucket and database, as another process would have them.
    fn again(&self, uri: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let client = event_loop.connect(server().url()).expect("a client");
        let mongo = event_loop.connect_mongo(uri).expect("MongoDB");
        let positions = client.jetstream().key_value(self.positions.bucket());
        Self { event_loop, client, mongo, positions, database: self.database.clone() }
    }

    #[track_caller]
    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited for {what}");
            let tick = Some(Duration::from_millis(20));
            self.event_loop.dispatch(&mut (), tick).expect("a turn");
        }
    }

    fn run<T: Send + 'static, F>(
        &self,
        operation: impl FnOnce(mongodb::Client) -> F + Send + 'static,
    ) -> T
    where
        F: Future<Output = mongodb::error::Result<T>> + Send + 'static,
    {
        let outcome = Rc::new(RefCell::new(None));
        let seen = outcome.clone();
        self.mongo.call(operation, move |(), _, result| drop(seen.replace(Some(result))));
        self.until("an outcome", || outcome.borrow().is_some());
        outcome.take().expect("an outcome").expect("a success")
    }

    fn insert(&self, ids: std::ops::Range<i32>) {
        let database = self.database.clone();
        self.run(async move |client| {
            let rows = ids.map(|id| doc! { "_id": id, "state": "open" });
            client.database(&database).collection::<Document>("orders").insert_many(rows).await
        });
    }

    fn command(&self, command: Document) {
        let database = self.database.clone();
        self.run(async move |client| client.database(&database).run_command(command).await);
    }

    fn stream(&self) -> ChangeStream {
        let pause =
            Backoff::new().first(Duration::from_millis(20)).longest(Duration::from_millis(200));
        let stream = ChangeStream::on(&self.database, "orders").backoff(pause);
        stream.max_await_time(Duration::from_millis(100))
    }

    fn store(&self) -> KvResumeStore<()> {
        KvResumeStore::new(&self.positions, "orders")
    }

    fn stored(&self) -> Option<ResumePoint> {
        let found = Rc::new(RefCell::new(None));
        let seen = found.clone();
        self.store().get(Box::new(move |(), stored| {
            drop(seen.replace(Some(stored)));
            Ok(())
        }));
        self.until("a position", || found.borrow().is_some());
        found.take()?.expect("a readable position").map(|stored| stored.point)
    }

    /// Watches, and answers at once.
    fn watch(&self, stream: ChangeStream, store: impl ResumeStore<()>) -> (Watcher, Rc<Told>) {
        let told = Rc::new(Told::default());
        let (events, states, stopped) = (told.clone(), told.clone(), told.clone());
        let watcher = self
            .mongo
            .watch(stream)
            .resume(store)
            .dispatch(move |(), _, event, _| {
                events.events.borrow_mut().push(event.clone());
                Ok(())
            })
            .on_state(move |(), _, state| states.states.borrow_mut().push(state))
            .start(move |(), _, reason| drop(stopped.stopped.replace(Some(reason))));
        (watcher, told)
    }

    /// Watches, and leaves the answers to the test.
    fn watch_slowly(&self, stream: ChangeStream) -> (Watcher, Rc<Told>) {
        let told = Rc::new(Told::default());
        let (events, states, stopped) = (told.clone(), told.clone(), told.clone());
        let watcher = self
            .mongo
            .watch(stream)
            .resume(self.store())
            .dispatch_later(move |(), _, ack: Ack| {
                events.events.borrow_mut().push(ack.event().clone());
                events.acks.borrow_mut().push_back(ack);
            })
            .on_state(move |(), _, state| states.states.borrow_mut().push(state))
            .start(move |(), _, reason| drop(stopped.stopped.replace(Some(reason))));
        (watcher, told)
    }

    #[track_caller]
    fn stop(&self, watcher: &Watcher, told: &Told) {
        watcher.stop();
        self.until("the end", || told.is_stopped());
        let stopped = told.stopped.borrow();
        assert!(matches!(*stopped, Some(StopReason::Stopped)), "{stopped:?}");
    }
}

#[test]
fn every_kind_of_change_comes_with_what_was_asked_for() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.command(doc! { "create": "orders", "changeStreamPreAndPostImages": { "enabled": true } });
    let stream = world
        .stream()
        .full_document(FullDocument::UpdateLookup)
        .full_document_before_change(BeforeChange::Required);
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    world.insert(1..2);
    world.command(doc! { "update": "orders", "updates": [
        { "q": { "_id": 1 }, "u": { "$set": { "state": "sent" } } },
    ] });
    world.command(doc! { "update": "orders", "updates": [
        { "q": { "_id": 1 }, "u": { "state": "back" } },
    ] });
    world.command(doc! { "delete": "orders", "deletes": [{ "q": { "_id": 1 }, "limit": 1 }] });
    world.until("four changes", || told.events.borrow().len() >= 4);
    assert_eq!(told.operations(), ["insert", "update", "replace", "delete"]);
    let events = told.events.borrow();
    let before = |index: usize| events[index].full_document_before_change();
    assert_eq!(before(3).and_then(|row| row.get_str("state").ok()), Some("back"));
    assert_eq!(before(1).and_then(|row| row.get_str("state").ok()), Some("open"));
    assert!(events[1].full_document().is_some(), "the update was looked up");
    assert_eq!(events[0].document_id(), Some(Bson::Int32(1)));
    assert_eq!(events[0].collection(), Some("orders"));
    drop(events);
    world.stop(&watcher, &told);
    assert_eq!(world.stored().and_then(|point| point.operation_type), Some("delete".to_owned()));
}

#[test]
fn a_stop_and_a_start_repeat_nothing_and_lose_nothing() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..500);
    world.until("the changes", || told.ids().len() >= 200);
    world.stop(&watcher, &told);
    world.insert(500..600);
    let other = world.again(database.uri());
    let (_, later) = other.watch(other.stream(), other.store());
    other.until("the rest", || told.ids().len() + later.ids().len() >= 600);
    let all: Vec<_> = told.ids().into_iter().chain(later.ids()).collect();
    assert_eq!(all, (0..600).collect::<Vec<_>>());
    drop(world.client);
    drop(other.client);
}

#[test]
fn only_what_is_done_in_a_row_is_saved() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(20));
    let (_, told) = world.watch_slowly(stream.clone());
    world.until("the stream", || told.is_live());
    world.insert(0..10);
    world.until("the changes", || told.acks.borrow().len() == 10);
    // 4 is done behind a gap; 0 to 2 are done in a row
    let mut acks: Vec<_> = told.acks.take().into_iter().map(Some).collect();
    for index in [4, 2, 1, 0] {
        acks[index].take().expect("an answer").ok();
    }
    let third = told.events.borrow()[2].token().clone();
    let is_third = |stored: Option<ResumePoint>| stored.is_some_and(|point| point.token == third);
    let deadline = Instant::now() + PATIENCE;
    while !is_third(world.stored()) {
        assert!(Instant::now() < deadline, "the third is saved");
    }
    // the process dies
    let other = world.again(database.uri());
    drop(world);
    let (_, later) = other.watch(stream, other.store());
    other.until("the rest", || later.ids().len() >= 7);
    assert_eq!(later.ids(), (3..10).collect::<Vec<_>>());
    drop(acks);
}

#[test]
fn an_error_in_the_chain_stays_and_stops_the_watcher_before_the_change() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let stopped = Rc::new(RefCell::new(None));
    let is_live = Rc::new(Cell::new(false));
    let (first, second, live, end) = (seen.clone(), seen.clone(), is_live.clone(), stopped.clone());
    world
        .mongo
        .watch(world.stream())
        .resume(world.store())
        .dispatch(move |(), _, event, before| {
            assert!(before.is_none());
            let id = event.document_id();
            first.borrow_mut().push(format!("first {id:?}"));
            match id {
                Some(Bson::Int32(2)) => Err(evnats::Error::other("two is no good")),
                _ => Ok(()),
            }
        })
        .dispatch(move |(), _, event, before| {
            let id = event.document_id();
            second.borrow_mut().push(format!("second {id:?} {before:?}"));
            Ok(())
        })
        .on_state(move |(), _, state| live.set(live.get() || matches!(state, WatchState::Live)))
        .start(move |(), _, reason| drop(end.replace(Some(reason))));
    world.until("the stream", || is_live.get());
    world.insert(1..4);
    world.until("the end", || stopped.borrow().is_some());
    assert!(
        matches!(&*stopped.borrow(), Some(StopReason::Dispatch(error)) if error.to_string() == "two is no good")
    );
    let expected = [
        "first Some(Int32(1))",
        "second Some(Int32(1)) None",
        "first Some(Int32(2))",
        "second Some(Int32(2)) Some(two is no good)",
    ];
    assert_eq!(*seen.borrow(), expected);
    let (_, later) = world.watch(world.stream(), world.store());
    world.until("the rest", || later.ids().len() >= 2);
    assert_eq!(later.ids(), [2, 3]);
}

#[test]
fn a_change_that_is_dropped_without_an_answer_has_failed() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.watch_slowly(world.stream());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.until("the change", || told.acks.borrow().len() == 1);
    told.acks.borrow_mut().clear();
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Dispatch(_))));
}

#[test]
fn a_change_that_failed_comes_again_if_that_is_wanted() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream().retry_dispatch());
    world.until("the stream", || told.is_live());
    world.insert(0..2);
    world.until("the changes", || told.acks.borrow().len() == 2);
    let first = told.acks.borrow_mut().pop_front().expect("an answer");
    first.fail(evnats::Error::other("not now"));
    world.until("both again", || told.acks.borrow().len() == 3);
    // the answer to what came before the failure is late
    told.acks.take().into_iter().for_each(Ack::ok);
    assert_eq!(told.ids(), [0, 1, 0, 1]);
    world.stop(&watcher, &told);
    let last = told.events.borrow()[3].token().clone();
    assert_eq!(world.stored().map(|point| point.token), Some(last));
}

#[test]
fn a_collection_that_is_dropped_and_made_again_is_watched_on() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..2);
    world.command(doc! { "drop": "orders" });
    world.insert(10..12);
    world.until("all", || told.ids().len() >= 4);
    assert_eq!(told.operations(), ["insert", "insert", "drop", "invalidate", "insert", "insert"]);
    assert!(told.has(|state| matches!(state, WatchState::Invalidated)));
    world.command(doc! { "drop": "orders" });
    world.command(doc! { "create": "orders" });
    world.command(doc! { "drop": "orders" });
    world.insert(20..21);
    world.until("what is behind two more", || told.ids().len() >= 5);
    assert_eq!(told.ids(), [0, 1, 10, 11, 20]);
    world.stop(&watcher, &told);
}

#[test]
fn an_invalidate_is_gone_on_from_also_by_another_process() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream());
    world.until("the stream", || told.is_live());
    world.insert(0..1);
    world.command(doc! { "drop": "orders" });
    world.until("the invalidate", || told.acks.borrow().len() == 3);
    watcher.stop();
    told.acks.take().into_iter().for_each(Ack::ok);
    world.until("the end", || told.is_stopped());
    let operation = world.stored().and_then(|point| point.operation_type);
    assert_eq!(operation, Some("invalidate".to_owned()));
    world.insert(5..6);
    let other = world.again(database.uri());
    let (_, later) = other.watch(other.stream(), other.store());
    other.until("the rest", || !later.ids().is_empty());
    assert_eq!(later.ids(), [5]);
}

#[test]
fn the_position_moves_on_though_nothing_happens_here() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(20));
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    let elsewhere = database.name().to_owned();
    let mut positions = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while positions.len() < 3 {
        assert!(Instant::now() < deadline, "{positions:?}");
        let name = elsewhere.clone();
        world.run(async move |client| {
            let others = client.database(&name).collection::<Document>("others");
            others.insert_one(doc! {}).await
        });
        positions.extend(world.stored().map(|point| point.token.data().map(str::to_owned)));
        positions.dedup();
    }
    assert_eq!(told.operations(), [] as [&str; 0]);
    world.stop(&watcher, &told);
}

#[test]
fn no_more_comes_than_there_is_credit_for() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = world.watch_slowly(world.stream().credit(10, 1 << 20));
    world.until("the stream", || told.is_live());
    world.insert(0..100);
    world.until("ten", || told.acks.borrow().len() >= 10);
    // the loop lives on: NATS answers meanwhile
    for _ in 0..20 {
        let is_done = Rc::new(Cell::new(false));
        let done = is_done.clone();
        world.client.flush(move |(), _, flushed| done.set(flushed.is_ok()));
        world.until("an answer", || is_done.get());
    }
    assert_eq!(told.acks.borrow().len(), 10);
    while told.ids().len() < 100 || !told.acks.borrow().is_empty() {
        told.acks.take().into_iter().for_each(Ack::ok);
        world.until("more", || !told.acks.borrow().is_empty() || told.ids().len() == 100);
    }
    assert_eq!(told.ids(), (0..100).collect::<Vec<_>>());
    world.stop(&watcher, &told);
}

#[test]
fn two_instances_with_one_position_do_not_overwrite_each_other() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().save_every(1, Duration::from_millis(20));
    let (_, one) = world.watch(stream.clone(), world.store());
    let (_, two) = world.watch(stream, world.store());
    world.until("both streams", || one.is_live() && two.is_live());
    world.insert(0..50);
    world.until("the end of one", || one.is_stopped() || two.is_stopped());
    let fenced = |told: &Told| matches!(*told.stopped.borrow(), Some(StopReason::Fenced));
    assert!(fenced(&one) || fenced(&two));
    assert!(!(one.is_stopped() && two.is_stopped()), "one goes on");
    let left = if one.is_stopped() { &two } else { &one };
    world.until("all", || left.ids().len() >= 50);
    assert_eq!(left.ids(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_position_in_a_collection_is_as_good() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let store = || MongoResumeStore::new(&world.mongo, database.name(), "positions", "orders");
    let (watcher, told) = world.watch(world.stream(), store());
    world.until("the stream", || told.is_live());
    world.insert(0..20);
    world.until("the changes", || told.ids().len() >= 20);
    world.stop(&watcher, &told);
    world.insert(20..30);
    let (watcher, later) = world.watch(world.stream(), store());
    world.until("the rest", || later.ids().len() >= 10);
    assert_eq!(later.ids(), (20..30).collect::<Vec<_>>());
    world.stop(&watcher, &later);

    let last = later.events.borrow().last().expect("an event").resume_point();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (time, old, own) = (seen.clone(), seen.clone(), seen.clone());
    store().get_time(Box::new(move |(), found| {
        time.borrow_mut().push(format!("{:?}", found.expect("a time")));
        Ok(())
    }));
    world.until("the time", || seen.borrow().len() == 1);
    // a position that is stored no more is left alone
    let first = told.events.borrow()[0].resume_point();
    store().delete(
        &first,
        Box::new(move |(), deleted| {
            old.borrow_mut().push(format!("{deleted:?}"));
            Ok(())
        }),
    );
    world.until("no deletion", || seen.borrow().len() == 2);
    store().save(
        &last,
        None,
        Box::new(move |(), saved| {
            own.borrow_mut().push(format!("{saved:?}"));
            Ok(())
        }),
    );
    world.until("a conflict", || seen.borrow().len() == 3);
    let expected = [format!("{:?}", last.timestamp), "Ok(())".to_owned(), "Err(Fenced)".to_owned()];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn a_position_that_is_none_stops_the_watcher_and_is_kept() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let broken = ResumePoint::new(ResumeToken::from_data("no token at all"));
    let is_saved = Rc::new(Cell::new(false));
    let saved = is_saved.clone();
    world.store().save(
        &broken,
        None,
        Box::new(move |(), outcome| {
            saved.set(outcome.is_ok());
            Ok(())
        }),
    );
    world.until("the broken one", || is_saved.get());
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the end", || told.is_stopped());
    assert!(
        matches!(&*told.stopped.borrow(), Some(StopReason::HistoryLost(Error::Server(_)))),
        "{:?}",
        told.stopped.borrow()
    );
    assert_eq!(world.stored(), Some(broken));
    // unless the program wants to go on with what happens from now on
    let (watcher, told) =
        world.watch(world.stream().history_lost(HistoryLost::ResetToNow), world.store());
    world.until("the stream", || told.is_live());
    assert!(told.has(|state| matches!(state, WatchState::Reset { from: Some(_), .. })));
    world.insert(0..1);
    world.until("the change", || told.ids() == [0]);
    world.stop(&watcher, &told);
}

#[test]
fn what_can_never_work_stops_the_watcher_at_once() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let stream = world.stream().pipeline([doc! { "$noSuchStage": {} }]);
    let (_, told) = world.watch(stream, world.store());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Failed(Error::Server(_)))), "{stopped:?}");
    assert!(!told.has(|state| matches!(state, WatchState::Waiting { .. })));
}

#[test]
fn a_watcher_with_a_wrong_password_stops_at_once() {
    let database = mongo_database!();
    let uri = database.uri().replace("://", "://nobody:hunter2@");
    let world = World::new(&uri, database.name());
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(
        matches!(&*stopped, Some(StopReason::Failed(Error::Authentication { .. }))),
        "{stopped:?}"
    );
    assert!(!told.has(|state| matches!(state, WatchState::Waiting { .. })));
}

/// A set of one node that can be made to fail.
fn failing() -> evnats_harness::ReplicaSetBuilder {
    ReplicaSet::builder()
}

#[test]
fn a_stream_goes_on_over_step_downs_and_the_death_of_the_server() {
    let mut set = replica_set!(failing());
    let world = World::new(&set.uri(), "shop");
    let (watcher, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    world.insert(0..50);
    world.until("the first", || told.ids().len() >= 50);
    set.step_down(1);
    set.wait_ready();
    world.insert(50..100);
    world.until("what is behind the step-down", || told.ids().len() >= 100);
    set.kill(0);
    world.until("a pause", || told.has(|state| matches!(state, WatchState::Waiting { .. })));
    set.restart(0);
    set.wait_ready();
    world.insert(100..150);
    world.until("what is behind the death", || told.ids().len() >= 150);
    assert_eq!(told.ids(), (0..150).collect::<Vec<_>>());
    world.stop(&watcher, &told);
}

#[test]
fn a_position_that_the_server_forgets_is_told_so() {
    let set = replica_set!(failing());
    let world = World::new(&set.uri(), "shop");
    let lost = doc! { "failCommands": ["getMore"], "errorCode": 286,
    "errorLabels": ["NonResumableChangeStreamError"] };
    let stream = world.stream().history_lost(HistoryLost::ResetToNow);
    let (watcher, told) = world.watch(stream, world.store());
    world.until("the stream", || told.is_live());
    let failing = set.fail_command(FailTimes::Times(1), lost.clone());
    failing.wait_entered(1);
    world.until("a reset", || told.has(|state| matches!(state, WatchState::Reset { .. })));
    drop(failing);
    let lives = || {
        let states = told.states.borrow();
        states.iter().filter(|state| matches!(state, WatchState::Live)).count()
    };
    world.until("the stream again", || lives() >= 2);
    world.insert(0..1);
    world.until("the change", || told.ids() == [0]);
    // what is lost again and again without a change between ends
    let failing = set.fail_command(FailTimes::Always, lost);
    world.until("the end", || told.is_stopped());
    drop(failing);
    let stopped = told.stopped.borrow();
    assert!(
        matches!(&*stopped, Some(StopReason::HistoryLost(Error::Server(error))) if error.code == 286),
        "{stopped:?}"
    );
    let resets = told.states.borrow();
    let resets = resets.iter().filter(|state| matches!(state, WatchState::Reset { .. })).count();
    assert_eq!(resets, 4, "one, and three in a row");
    drop(watcher);
}

#[test]
fn a_closed_connection_ends_a_watcher() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (_, told) = world.watch(world.stream(), world.store());
    world.until("the stream", || told.is_live());
    let is_closed = Rc::new(Cell::new(false));
    let closed = is_closed.clone();
    world.mongo.close(move |(), _, ()| closed.set(true));
    world.until("the end", || told.is_stopped() && is_closed.get());
    let stopped = told.stopped.borrow();
    assert!(matches!(&*stopped, Some(StopReason::Failed(Error::Closed))), "{stopped:?}");
}
