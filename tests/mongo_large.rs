//! Events that are large, that were split, and that nobody knows: on a real replica set, and on a stand-in
//! for what a server of version 6.0.5 cannot do.

mod support;

use evnats::EventLoop;
use evnats::mongo::bson::{Bson, Document, doc};
use evnats::mongo::{
    Backoff, ChangeEvent, ChangeStream, ChangeStreamWatcher, Error, FullDocument, Mongo,
    StopReason, WatchState,
};
use evnats_harness::{MongoStandIn, Reply, mongo_database};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::turn_until;

/// What a watcher has told.
#[derive(Default)]
struct App {
    events: Vec<ChangeEvent>,
    states: Vec<WatchState>,
    stopped: Option<StopReason>,
    is_closed: bool,
}

impl App {
    fn is_live(&self) -> bool {
        self.states.iter().any(|state| matches!(state, WatchState::Live))
    }
}

fn watch(mongo: &Mongo<App>, stream: ChangeStream) -> ChangeStreamWatcher<App> {
    mongo
        .watch(stream.max_await_time(Duration::from_millis(100)))
        .dispatch(|app: &mut App, _, event, _| {
            app.events.push(event.clone());
            Ok(())
        })
        .on_state(|app, _, state| app.states.push(state))
        .start(|app: &mut App, _, reason| app.stopped = Some(reason))
}

fn stop(event_loop: &EventLoop<App>, app: &mut App, watcher: &ChangeStreamWatcher<App>) {
    watcher.stop();
    turn_until(event_loop, app, "the end", |app| app.stopped.is_some());
    watcher.mongo().close(|app, _, ()| app.is_closed = true);
    turn_until(event_loop, app, "the end of the connection", |app| app.is_closed);
}

/// A stream of the stand-in that gives these batches, one after the other, and then nothing.
fn scripted(mut batches: Vec<Vec<Document>>) -> MongoStandIn {
    batches.reverse();
    MongoStandIn::start(move |request| match request.command() {
        "getMore" => match batches.pop() {
            Some(batch) => Reply::next_batch(7, batch).resume_token("00"),
            None => Reply::Usual,
        },
        _ => Reply::Usual,
    })
}

fn fragment(token: &str, number: i32, of: i32) -> Document {
    doc! { "_id": { "_data": token }, "splitEvent": { "fragment": number, "of": of } }
}

fn with(mut event: Document, fields: Document) -> Document {
    event.extend(fields);
    event
}

#[test]
fn an_event_that_the_server_has_split_comes_whole() {
    let batches = vec![
        vec![
            with(fragment("A1", 1, 3), doc! { "operationType": "update", "ns": { "db": "shop" } }),
            with(fragment("A2", 2, 3), doc! { "fullDocumentBeforeChange": { "_id": 1, "old": 1 } }),
        ],
        // the server may have nothing more for a while
        vec![],
        vec![
            with(fragment("A3", 3, 3), doc! { "fullDocument": { "_id": 1, "new": 1 } }),
            doc! { "_id": { "_data": "B1" }, "operationType": "insert" },
        ],
    ];
    let stand_in = scripted(batches);
    let event_loop = EventLoop::<App>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(stand_in.uri()).expect("MongoDB");
    let mut app = App::default();
    let watcher = watch(&mongo, ChangeStream::on("shop", "orders").split_large_events());
    turn_until(&event_loop, &mut app, "two events", |app| app.events.len() >= 2);
    let [update, insert] = &app.events[..] else { panic!("{:?}", app.events) };
    assert_eq!((update.operation_type(), update.token().data()), ("update", Some("A3")));
    assert!(update.full_document().is_some() && update.full_document_before_change().is_some());
    assert_eq!((insert.operation_type(), insert.token().data()), ("insert", Some("B1")));
    stop(&event_loop, &mut app, &watcher);
}

/// A stream that fails with an error within an event, and what it is opened with.
struct Failing {
    stand_in: MongoStandIn,
    openings: Arc<Mutex<Vec<Document>>>,
}

impl Failing {
    /// `behind`: what comes when it is opened again.
    fn new(code: i32, behind: Vec<Document>) -> Self {
        let openings = Arc::new(Mutex::new(Vec::new()));
        let noted = openings.clone();
        let insert = doc! { "_id": { "_data": "A0" }, "operationType": "insert" };
        let mut replies = vec![
            Reply::next_batch(7, behind),
            Reply::error(code, "TheStreamHasFailed"),
            Reply::next_batch(7, vec![insert, fragment("A1", 1, 2)]),
        ];
        let stand_in = MongoStandIn::start(move |request| match request.command() {
            "aggregate" => {
                noted.lock().expect("no panic").extend(request.change_stream().cloned());
                Reply::first_batch(7, Vec::new())
            }
            "getMore" => replies.pop().unwrap_or(Reply::Usual),
            _ => Reply::Usual,
        });
        Self { stand_in, openings }
    }

    /// Watches until both events have come, and returns what the second opening had.
    fn second_opening(&self) -> Document {
        let event_loop = EventLoop::<App>::new().expect("an event loop");
        let mongo = event_loop.connect_mongo(self.stand_in.uri()).expect("MongoDB");
        let mut app = App::default();
        let pause = Backoff::new().first(Duration::from_millis(10));
        let stream = ChangeStream::on("shop", "orders").split_large_events().backoff(pause);
        let watcher = watch(&mongo, stream);
        turn_until(&event_loop, &mut app, "two events", |app| app.events.len() >= 2);
        let tokens: Vec<_> = app.events.iter().map(|event| event.token().data()).collect();
        assert_eq!(tokens, [Some("A0"), Some("A2")]);
        stop(&event_loop, &mut app, &watcher);
        let openings = self.openings.lock().expect("no panic");
        assert_eq!(openings.len(), 2, "{openings:?}");
        openings[1].clone()
    }
}

fn last_fragment() -> Document {
    with(fragment("A2", 2, 2), doc! { "operationType": "update" })
}

#[test]
fn a_stream_that_fails_within_an_event_begins_with_the_whole_event_again() {
    // ShutdownInProgress and CursorNotFound
    for code in [91, 43] {
        let failing = Failing::new(code, vec![fragment("A1", 1, 2), last_fragment()]);
        let opening = failing.second_opening();
        assert_eq!(opening.get_document("startAfter").ok(), Some(&doc! { "_data": "A0" }));
    }
}

#[test]
fn a_fragment_too_few_ends_the_watcher() {
    let stand_in = scripted(vec![vec![fragment("A1", 1, 3), fragment("A3", 3, 3)]]);
    let event_loop = EventLoop::<App>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(stand_in.uri()).expect("MongoDB");
    let mut app = App::default();
    let watcher = watch(&mongo, ChangeStream::on("shop", "orders").split_large_events());
    turn_until(&event_loop, &mut app, "the end", |app| app.stopped.is_some());
    let Some(StopReason::Failed(Error::MalformedEvent { reason })) = &app.stopped else {
        panic!("{:?}", app.stopped)
    };
    assert_eq!(reason, "it is fragment 3 of 3, and fragment 2 is due");
    watcher.mongo().close(|app, _, ()| app.is_closed = true);
    turn_until(&event_loop, &mut app, "the end of the connection", |app| app.is_closed);
}

#[test]
fn a_server_that_cannot_split_says_so() {
    let database = mongo_database!();
    let event_loop = EventLoop::<App>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(database.uri()).expect("MongoDB");
    let mut app = App::default();
    watch(&mongo, ChangeStream::on(database.name(), "orders").split_large_events());
    turn_until(&event_loop, &mut app, "the stream", |app| app.stopped.is_some() || app.is_live());
    // a newer one, of the program's own
    if app.is_live() {
        return;
    }
    let stopped = &app.stopped;
    assert!(
        matches!(stopped, Some(StopReason::Failed(Error::Server(error))) if error.code == 40_324),
        "{stopped:?}"
    );
}

#[test]
fn documents_larger_than_the_credit_come_one_by_one() {
    let database = mongo_database!();
    let event_loop = EventLoop::<App>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(database.uri()).expect("MongoDB");
    let mut app = App::default();
    let stream = ChangeStream::on(database.name(), "orders").credit(256, 1 << 20);
    let watcher = watch(&mongo, stream);
    turn_until(&event_loop, &mut app, "the stream", |app| app.is_live());
    const SIZES: [usize; 5] = [16_770_000, 100, 3 << 20, 15 << 20, 1 << 20];
    for (id, size) in (0..).zip(SIZES) {
        let row = doc! { "_id": id, "filler": "x".repeat(size) };
        let insert = doc! { "insert": "orders", "documents": [row] };
        let reply = database.run_command(insert).expect("inserted");
        assert!(!reply.contains_key("writeErrors"), "{reply}");
    }
    turn_until(&event_loop, &mut app, "all", |app| app.events.len() >= SIZES.len());
    let seen = app.events.iter().map(|event| {
        let filler = event.full_document().and_then(|row| row.get_str("filler").ok());
        (event.document_id(), filler.map(str::len))
    });
    let expected = (0..).zip(SIZES).map(|(id, size)| (Some(Bson::Int32(id)), Some(size)));
    assert_eq!(seen.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    stop(&event_loop, &mut app, &watcher);
}

#[test]
fn an_event_that_is_larger_than_a_document_may_be_ends_the_watcher_and_says_so() {
    let database = mongo_database!();
    let event_loop = EventLoop::<App>::new().expect("an event loop");
    let mongo = event_loop.connect_mongo(database.uri()).expect("MongoDB");
    let mut app = App::default();
    let row = doc! { "_id": 0, "filler": "x".repeat(9 << 20) };
    database.run_command(doc! { "insert": "orders", "documents": [row] }).expect("inserted");
    let stream = ChangeStream::on(database.name(), "orders");
    watch(&mongo, stream.full_document(FullDocument::UpdateLookup));
    turn_until(&event_loop, &mut app, "the stream", |app| app.is_live());
    // what was changed and the document itself are more than 16 MiB together
    let filler = doc! { "$set": { "filler": "y".repeat(9 << 20) } };
    let update = doc! { "update": "orders", "updates": [{ "q": { "_id": 0 }, "u": filler }] };
    database.run_command(update).expect("updated");
    turn_until(&event_loop, &mut app, "the end", |app| app.stopped.is_some());
    let stopped = &app.stopped;
    assert!(
        matches!(stopped, Some(StopReason::Failed(Error::Server(error))) if error.code == 10_334),
        "{stopped:?}"
    );
}
