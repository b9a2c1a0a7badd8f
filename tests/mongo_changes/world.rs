//! A loop with MongoDB and a bucket, and watchers that write down what they are told.

#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::support::{server, unique};
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::mongodb;
use evnats::mongo::{
    Ack, Backoff, ChangeEvent, ChangeStream, ChangeStreamWatcher, KvResumeStore, Mongo, Options,
    ResumePoint, ResumeStore, StopReason, WatchBuilder, WatchState,
};
use evnats::{Client, EventLoop, kv};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Watcher = ChangeStreamWatcher<()>;

/// What a watcher has told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) events: RefCell<Vec<ChangeEvent>>,
    pub(crate) states: RefCell<Vec<WatchState>>,
    pub(crate) stopped: RefCell<Option<StopReason>>,
    /// Changes that wait for an answer.
    pub(crate) acks: RefCell<VecDeque<Ack>>,
}

impl Told {
    pub(crate) fn operations(&self) -> Vec<String> {
        self.events.borrow().iter().map(|event| event.operation_type().to_owned()).collect()
    }

    pub(crate) fn ids(&self) -> Vec<i32> {
        let id = |event: &ChangeEvent| event.document_id().and_then(|id| id.as_i32());
        self.events.borrow().iter().filter_map(id).collect()
    }

    pub(crate) fn has(&self, wanted: fn(&WatchState) -> bool) -> bool {
        self.states.borrow().iter().any(wanted)
    }

    /// How often it was told.
    pub(crate) fn count(&self, wanted: fn(&WatchState) -> bool) -> usize {
        self.states.borrow().iter().filter(|state| wanted(state)).count()
    }

    pub(crate) fn lives(&self) -> usize {
        self.count(|state| matches!(state, WatchState::Live))
    }

    pub(crate) fn is_live(&self) -> bool {
        self.has(|state| matches!(state, WatchState::Live))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }
}

/// A loop with MongoDB and a bucket.
pub(crate) struct World {
    pub(crate) event_loop: EventLoop<()>,
    pub(crate) client: Client<()>,
    pub(crate) mongo: Mongo<()>,
    pub(crate) positions: kv::KeyValue<()>,
    pub(crate) database: String,
}

impl World {
    pub(crate) fn new(options: impl Into<Options>, database: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let client = event_loop.connect(server().url()).expect("a client");
        let mongo = event_loop.connect_mongo(options).expect("MongoDB");
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
    pub(crate) fn again(&self, uri: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let client = event_loop.connect(server().url()).expect("a client");
        let mongo = event_loop.connect_mongo(uri).expect("MongoDB");
        let positions = client.jetstream().key_value(self.positions.bucket());
        Self { event_loop, client, mongo, positions, database: self.database.clone() }
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited for {what}");
            let tick = Some(Duration::from_millis(20));
            self.event_loop.dispatch(&mut (), tick).expect("a turn");
        }
    }

    pub(crate) fn run<T: Send + 'static, F>(
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

    pub(crate) fn insert(&self, ids: std::ops::Range<i32>) {
        let database = self.database.clone();
        self.run(async move |client| {
            let rows = ids.map(|id| doc! { "_id": id, "state": "open" });
            client.database(&database).collection::<Document>("orders").insert_many(rows).await
        });
    }

    pub(crate) fn command(&self, command: Document) {
        let database = self.database.clone();
        self.run(async move |client| client.database(&database).run_command(command).await);
    }

    pub(crate) fn stream(&self) -> ChangeStream {
        let pause =
            Backoff::new().first(Duration::from_millis(20)).longest(Duration::from_millis(200));
        let stream = ChangeStream::on(&self.database, "orders").backoff(pause);
        stream.max_await_time(Duration::from_millis(100))
    }

    pub(crate) fn store(&self) -> KvResumeStore<()> {
        KvResumeStore::new(&self.positions, "orders")
    }

    pub(crate) fn stored(&self) -> Option<ResumePoint> {
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
    pub(crate) fn watch(
        &self,
        stream: ChangeStream,
        store: impl ResumeStore<()>,
    ) -> (Watcher, Rc<Told>) {
        listen(self.mongo.watch(stream).resume(store))
    }

    /// Watches, and leaves the answers to the test.
    pub(crate) fn watch_slowly(&self, stream: ChangeStream) -> (Watcher, Rc<Told>) {
        listen_slowly(self.mongo.watch(stream).resume(self.store()))
    }

    #[track_caller]
    pub(crate) fn stop(&self, watcher: &Watcher, told: &Told) {
        watcher.stop();
        self.until("the end", || told.is_stopped());
        let stopped = told.stopped.borrow();
        assert!(matches!(*stopped, Some(StopReason::Stopped)), "{stopped:?}");
    }
}

/// Starts a watcher that answers at once.
pub(crate) fn listen(watch: WatchBuilder<()>) -> (Watcher, Rc<Told>) {
    let told = Rc::new(Told::default());
    let events = told.clone();
    let watch = watch.dispatch(move |(), _, event, _| {
        events.events.borrow_mut().push(event.clone());
        Ok(())
    });
    (write_down(watch, &told), told)
}

/// Starts a watcher whose changes wait for answers.
pub(crate) fn listen_slowly(watch: WatchBuilder<()>) -> (Watcher, Rc<Told>) {
    let told = Rc::new(Told::default());
    let events = told.clone();
    let watch = watch.dispatch_later(move |(), _, ack: Ack| {
        events.events.borrow_mut().push(ack.event().clone());
        events.acks.borrow_mut().push_back(ack);
    });
    (write_down(watch, &told), told)
}

fn write_down(watch: WatchBuilder<()>, told: &Rc<Told>) -> Watcher {
    let (states, stopped) = (told.clone(), told.clone());
    watch
        .on_state(move |(), _, state| states.states.borrow_mut().push(state))
        .start(move |(), _, reason| drop(stopped.stopped.replace(Some(reason))))
}
