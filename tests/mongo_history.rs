//! What is left of the past when a change stream is opened again: cut connections lose nothing, a server
//! that has dropped its oplog says so, and a watcher that saves while nothing happens is not struck by it.

mod support;

use evnats::kv::{Config, KeyValue};
use evnats::mongo::bson::{Bson, doc};
use evnats::mongo::{
    Backoff, ChangeEvent, ChangeStream, Error, HistoryLost, KvResumeStore, Mongo, ResumePoint,
    StopReason, WatchState,
};
use evnats::{Client, EventLoop};
use evnats_harness::{FaultProxy, ReplicaSet, replica_set};
use std::time::Duration;
use support::{server, turn_until, unique};

/// What a watcher has told.
#[derive(Default)]
struct App {
    events: Vec<ChangeEvent>,
    states: Vec<WatchState>,
    stopped: Option<StopReason>,
    has_bucket: bool,
}

impl App {
    fn ids(&self) -> Vec<i32> {
        let id = |event: &ChangeEvent| event.document_id().and_then(|id| Bson::as_i32(&id));
        self.events.iter().filter_map(id).collect()
    }

    fn count(&self, wanted: fn(&WatchState) -> bool) -> usize {
        self.states.iter().filter(|state| wanted(state)).count()
    }

    fn is_live(&self) -> bool {
        self.count(|state| matches!(state, WatchState::Live)) > 0
    }

    fn resets(&self) -> usize {
        self.count(|state| matches!(state, WatchState::Reset { .. }))
    }

    #[track_caller]
    fn history_lost(&self) -> i32 {
        match &self.stopped {
            Some(StopReason::HistoryLost(Error::Server(error))) => error.code,
            other => panic!("{other:?}"),
        }
    }
}

/// A loop with MongoDB and a bucket for positions.
struct World {
    event_loop: EventLoop<App>,
    mongo: Mongo<App>,
    positions: KeyValue<App>,
    _client: Client<App>,
}

impl World {
    fn new(uri: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let mongo = event_loop.connect_mongo(uri).expect("MongoDB");
        let client = event_loop.connect(server().url()).expect("a client");
        let positions = client.jetstream().key_value(&unique("history"));
        positions.create_bucket(Config::default(), |app: &mut App, _, created| {
            app.has_bucket = created.is_ok();
        });
        let world = Self { event_loop, mongo, positions, _client: client };
        world.until(&mut App::default(), "a bucket", |app| app.has_bucket);
        world
    }

    #[track_caller]
    fn until(&self, app: &mut App, what: &str, is_so: impl FnMut(&mut App) -> bool) {
        turn_until(&self.event_loop, app, what, is_so);
    }

    fn watch(&self, stream: ChangeStream) -> evnats::mongo::ChangeStreamWatcher<App> {
        self.mongo
            .watch(stream)
            .resume(KvResumeStore::new(&self.positions, "orders"))
            .dispatch(|app: &mut App, _, event, _| {
                app.events.push(event.clone());
                Ok(())
            })
            .on_state(|app, _, state| app.states.push(state))
            .start(|app: &mut App, _, reason| app.stopped = Some(reason))
    }

    /// Watches until all of these have come, and stops.
    fn watch_until(&self, stream: ChangeStream, set: &ReplicaSet, ids: &[i32]) -> App {
        let mut app = App::default();
        let watcher = self.watch(stream);
        self.until(&mut app, "the stream", |app| app.is_live());
        ids.iter().for_each(|id| insert(set, *id));
        self.until(&mut app, "the changes", |app| app.events.len() >= ids.len());
        watcher.stop();
        self.until(&mut app, "the end", |app| app.stopped.is_some());
        assert_eq!(app.ids(), ids);
        app
    }

    /// Watches from what is stored, until the watcher has stopped by itself.
    fn watch_in_vain(&self, stream: ChangeStream) -> App {
        let mut app = App::default();
        self.watch(stream);
        self.until(&mut app, "the end", |app| app.stopped.is_some());
        app
    }
}

fn orders() -> ChangeStream {
    let pause = Backoff::new().first(Duration::from_millis(20)).longest(Duration::from_millis(200));
    ChangeStream::on("shop", "orders").max_await_time(Duration::from_millis(50)).backoff(pause)
}

#[track_caller]
fn insert(set: &ReplicaSet, id: i32) {
    let insert = doc! { "insert": "orders", "documents": [{ "_id": id }] };
    let reply = set.run_command("shop", insert).expect("inserted");
    assert!(!reply.contains_key("writeErrors"), "{reply}");
}

#[test]
fn a_position_that_the_oplog_no_longer_has_is_told_and_kept() {
    let set = replica_set!(ReplicaSet::builder().trimmable_oplog());
    let world = World::new(&set.uri());
    let seen = world.watch_until(orders(), &set, &[1, 2]);
    let last: ResumePoint = seen.events[1].resume_point();
    insert(&set, 3);
    set.trim_oplog();

    // twice: it is kept
    for _ in 0..2 {
        let app = world.watch_in_vain(orders());
        assert_eq!(app.history_lost(), 286);
        assert!(app.ids().is_empty());
    }
    // the program has asked for it itself
    let app = world.watch_in_vain(orders().start_after(last.clone()));
    assert_eq!(app.history_lost(), 286);

    // what has happened meanwhile is lost, and that is told once
    let app = world.watch_until(orders().history_lost(HistoryLost::ResetToNow), &set, &[4]);
    assert_eq!(app.resets(), 1);
    let from = app.states.iter().find_map(|state| match state {
        WatchState::Reset { from, .. } => from.clone(),
        _ => None,
    });
    assert_eq!(from.map(|point| point.token), Some(last.token));
    let app = world.watch_until(orders(), &set, &[5]);
    assert_eq!(app.resets(), 0, "the new position is saved");
}

#[test]
fn a_watcher_of_a_quiet_collection_outlives_the_oplog() {
    let set = replica_set!(ReplicaSet::builder().trimmable_oplog());
    let world = World::new(&set.uri());
    let mut app = App::default();
    let stream = orders().save_every(1, Duration::from_millis(20));
    let watcher = world.watch(stream);
    world.until(&mut app, "the stream", |app| app.is_live());
    insert(&set, 1);
    world.until(&mut app, "the change", |app| app.ids() == [1]);
    let event = app.events[0].resume_point();
    set.trim_oplog();
    // one more position, of what was written elsewhere since
    let behind = watcher.position();
    let elsewhere = doc! { "insert": "others", "documents": [{}] };
    set.run_command("shop", elsewhere).expect("inserted");
    world.until(&mut app, "a position", |_| watcher.position() != behind);
    watcher.stop();
    world.until(&mut app, "the end", |app| app.stopped.is_some());

    insert(&set, 2);
    let mut app = App::default();
    let watcher = world.watch(orders());
    world.until(&mut app, "what has happened meanwhile", |app| app.ids() == [2]);
    assert_eq!(app.resets(), 0);
    watcher.stop();
    world.until(&mut app, "the end", |app| app.stopped.is_some());

    // without the positions in between it would have been lost
    let app = world.watch_in_vain(orders().start_after(event));
    assert_eq!(app.history_lost(), 286);
}

#[test]
fn a_stream_goes_on_over_cut_and_reset_connections() {
    let set = replica_set!(ReplicaSet::builder());
    let proxy = FaultProxy::start(set.port(0), |_| Vec::new());
    let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", proxy.port());
    let world = World::new(&uri);
    let mut app = App::default();
    let watcher = world.watch(orders());
    world.until(&mut app, "the stream", |app| app.is_live());
    for round in 0..20 {
        // before, while and after the connections end
        insert(&set, 3 * round);
        let connections = proxy.connections();
        match round % 2 {
            0 => proxy.cut_all(),
            _ => proxy.reset_all(),
        }
        insert(&set, 3 * round + 1);
        world.until(&mut app, "a new connection", |_| proxy.connections() > connections);
        insert(&set, 3 * round + 2);
    }
    world.until(&mut app, "all", |app| app.events.len() >= 60);
    assert_eq!(app.ids(), (0..60).collect::<Vec<_>>());
    watcher.stop();
    world.until(&mut app, "the end", |app| app.stopped.is_some());
    assert!(matches!(app.stopped, Some(StopReason::Stopped)), "{:?}", app.stopped);
}
