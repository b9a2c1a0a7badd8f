//! A loop with MongoDB and a stream, and what is in the stream.

use crate::support::{server, unique};
use evnats::jetstream::{
    JetStream, MessageQuery, ReadFrom, StoredMessage, StreamConfig, StreamInfo,
};
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{
    Backoff, ChangeStream, ChangeStreamWatcher, JetStreamSink, Mongo, StopReason, WatchBuilder,
    WatchState, mongodb,
};
use evnats::{EventLoop, Options};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Watcher = ChangeStreamWatcher<()>;

/// What a watcher has told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) states: RefCell<Vec<WatchState>>,
    pub(crate) stopped: RefCell<Option<StopReason>>,
}

impl Told {
    pub(crate) fn is_live(&self) -> bool {
        self.states.borrow().iter().any(|state| matches!(state, WatchState::Live))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }
}

pub(crate) struct World {
    pub(crate) event_loop: EventLoop<()>,
    pub(crate) js: JetStream<()>,
    pub(crate) mongo: Mongo<()>,
    pub(crate) database: String,
    pub(crate) stream: String,
}

/// A client that does not give up.
pub(crate) fn persistent(url: &str) -> Options {
    Options::new(url)
        .max_reconnects(100_000)
        .reconnect_delay(Duration::from_millis(50))
        .max_reconnect_delay(Duration::from_millis(200))
}

impl World {
    /// With a fresh stream on the binary's server.
    pub(crate) fn new(uri: &str, database: &str) -> Self {
        Self::with(uri, database, |config| config)
    }

    /// The same, with the stream as it has to be.
    pub(crate) fn with(
        uri: &str,
        database: &str,
        adjust: impl FnOnce(StreamConfig) -> StreamConfig,
    ) -> Self {
        let world = Self::on(&server().url(), uri, database, &unique("CHANGES"));
        world.create(adjust);
        world
    }

    pub(crate) fn on(url: &str, uri: &str, database: &str, stream: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let client = event_loop.connect(persistent(url)).expect("a client");
        client.on_error(|(), _, _| {});
        let mongo = event_loop.connect_mongo(uri).expect("MongoDB");
        let js = client.jetstream().with_timeout(Duration::from_secs(2));
        let (database, stream) = (database.to_owned(), stream.to_owned());
        Self { event_loop, js, mongo, database, stream }
    }

    /// The same stream and database, as another process would have them.
    pub(crate) fn again(&self, uri: &str) -> Self {
        Self::on(&server().url(), uri, &self.database, &self.stream)
    }

    pub(crate) fn create(&self, adjust: impl FnOnce(StreamConfig) -> StreamConfig) -> StreamInfo {
        let prefix = format!("{}.>", self.stream);
        let config = adjust(StreamConfig::new(&self.stream).subjects([prefix]));
        self.ask(|done| {
            self.js.create_stream(&config, move |(), _, created| done(created));
        })
        .expect("a stream")
    }

    /// Runs a call to its outcome.
    pub(crate) fn ask<T: 'static>(&self, call: impl FnOnce(Box<dyn FnOnce(T)>)) -> T {
        let outcome = Rc::new(RefCell::new(None));
        let seen = outcome.clone();
        call(Box::new(move |result| drop(seen.replace(Some(result)))));
        self.until("an outcome", || outcome.borrow().is_some());
        outcome.take().expect("an outcome")
    }

    pub(crate) fn turn(&self) {
        let tick = Some(Duration::from_millis(20));
        self.event_loop.dispatch(&mut (), tick).expect("a turn");
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "waited for {what}");
            self.turn();
        }
    }

    pub(crate) fn run<T: Send + 'static, F>(
        &self,
        operation: impl FnOnce(mongodb::Client) -> F + Send + 'static,
    ) -> T
    where
        F: Future<Output = mongodb::error::Result<T>> + Send + 'static,
    {
        self.ask(|done| self.mongo.call(operation, move |(), _, result| done(result)))
            .expect("a success")
    }

    pub(crate) fn insert(&self, ids: std::ops::Range<i32>) {
        self.insert_into("orders", ids);
    }

    pub(crate) fn insert_into(&self, collection: &str, ids: std::ops::Range<i32>) {
        let (database, collection) = (self.database.clone(), collection.to_owned());
        self.run(async move |client| {
            let rows = ids.map(|id| doc! { "_id": id, "state": "open" });
            client.database(&database).collection::<Document>(&collection).insert_many(rows).await
        });
    }

    pub(crate) fn command(&self, command: Document) {
        let database = self.database.clone();
        self.run(async move |client| client.database(&database).run_command(command).await);
    }

    /// Inserts in one transaction.
    pub(crate) fn transact(&self, ids: std::ops::Range<i32>) {
        let database = self.database.clone();
        self.run(async move |client| {
            let orders = client.database(&database).collection::<Document>("orders");
            let mut session = client.start_session().await?;
            session.start_transaction().await?;
            for ids in ids.collect::<Vec<_>>().chunks(500) {
                let rows = ids.iter().map(|id| doc! { "_id": id });
                orders.insert_many(rows).session(&mut session).await?;
            }
            session.commit_transaction().await
        });
    }

    pub(crate) fn changes(&self) -> ChangeStream {
        quick(ChangeStream::on(&self.database, "orders"))
    }

    pub(crate) fn sink(&self) -> JetStreamSink<()> {
        JetStreamSink::new(&self.js, &self.stream).prefix(&self.stream)
    }

    pub(crate) fn publish(&self, changes: ChangeStream) -> (Watcher, Rc<Told>) {
        self.start(self.mongo.watch(changes).publish_to(self.sink()))
    }

    pub(crate) fn start(&self, builder: WatchBuilder<()>) -> (Watcher, Rc<Told>) {
        let told = Rc::new(Told::default());
        let (states, stopped) = (told.clone(), told.clone());
        let watcher = builder
            .on_state(move |(), _, state| states.states.borrow_mut().push(state))
            .start(move |(), _, reason| drop(stopped.stopped.replace(Some(reason))));
        (watcher, told)
    }

    /// Publishes, and waits until the stream of changes is open.
    #[track_caller]
    pub(crate) fn publish_live(&self, changes: ChangeStream) -> (Watcher, Rc<Told>) {
        let (watcher, told) = self.publish(changes);
        self.until_live(&told);
        (watcher, told)
    }

    #[track_caller]
    pub(crate) fn until_live(&self, told: &Told) {
        self.until("the changes", || told.is_live() || told.is_stopped());
        assert!(told.is_live(), "{:?}", told.stopped.borrow());
    }

    #[track_caller]
    pub(crate) fn stop(&self, watcher: &Watcher, told: &Told) {
        watcher.stop();
        self.until("the end", || told.is_stopped());
        let stopped = told.stopped.borrow();
        assert!(matches!(*stopped, Some(StopReason::Stopped)), "{stopped:?}");
    }

    /// What the stream has.
    pub(crate) fn stored(&self) -> Vec<StoredMessage> {
        let stream = self.stream.clone();
        let info = self
            .ask(|done| self.js.stream_info(&stream, move |(), _, info| done(info)))
            .expect("the stream");
        let read = Rc::new(RefCell::new(Vec::new()));
        let mut begin = info.state.first_sequence.max(1);
        let end = info.state.last_sequence;
        while begin <= end {
            let next = (begin + 500).min(end + 1);
            let left = Rc::new(RefCell::new(next - begin));
            for sequence in begin..next {
                let (read, left) = (read.clone(), left.clone());
                let query = MessageQuery::Sequence(sequence);
                self.js.stored_message(&stream, query, ReadFrom::Leader, move |(), _, message| {
                    *left.borrow_mut() -= 1;
                    read.borrow_mut().extend(message);
                });
            }
            self.until("messages", || *left.borrow() == 0);
            begin = next;
        }
        let mut read = read.take();
        read.sort_by_key(StoredMessage::sequence);
        read
    }

    /// Turns until the server has forgotten the ids of what it has stored.
    pub(crate) fn forget_ids(&self, time: Duration) {
        let begun = Instant::now();
        self.until("the ids to be forgotten", || begun.elapsed() > time);
    }

    pub(crate) fn count(&self) -> u64 {
        let stream = self.stream.clone();
        let info = self.ask(|done| self.js.stream_info(&stream, move |(), _, info| done(info)));
        info.map_or(0, |info| info.state.messages)
    }

    #[track_caller]
    pub(crate) fn until_stored(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.count() < count {
            assert!(Instant::now() < deadline, "{} of {count} are stored", self.count());
            self.turn();
        }
    }
}

pub(crate) fn quick(changes: ChangeStream) -> ChangeStream {
    let pause = Backoff::new().first(Duration::from_millis(20)).longest(Duration::from_millis(200));
    changes.backoff(pause).max_await_time(Duration::from_millis(100))
}

/// A stream that takes messages by fast ingest.
pub(crate) fn batched(config: StreamConfig) -> StreamConfig {
    config.allow_batched(true)
}

pub(crate) fn header(message: &StoredMessage, name: &str) -> String {
    message.headers().last(name).unwrap_or_default().into_owned()
}

/// The ids of the documents, in the order of the stream.
pub(crate) fn ids(messages: &[StoredMessage]) -> Vec<i64> {
    let id = |message: &StoredMessage| {
        let json: serde_json::Value = serde_json::from_slice(message.payload()).ok()?;
        json["documentKey"]["_id"].as_i64()
    };
    messages.iter().filter_map(id).collect()
}
