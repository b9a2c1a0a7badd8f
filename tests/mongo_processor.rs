//! Documents of a collection, as they change, for a type of the program's own: a real replica set.

mod support;
#[path = "mongo_changes/world.rs"]
mod world;

use evnats::mongo::bson::doc;
use evnats::mongo::{
    Ack, Backoff, BeforeChange, ChangeStream, CollectionWatcher, DocumentProcessor, Error,
    StartError, StopReason,
};
use evnats_harness::{FailTimes, ReplicaSet, mongo_database, replica_set};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use world::World;

/// What a processor has told.
#[derive(Default)]
struct Told {
    documents: RefCell<Vec<(&'static str, Value)>>,
    errors: RefCell<Vec<StartError>>,
    stopped: RefCell<Option<StopReason>>,
}

impl Told {
    fn methods(&self) -> Vec<&'static str> {
        self.documents.borrow().iter().map(|(method, _)| *method).collect()
    }

    fn ids(&self) -> Vec<i64> {
        self.documents.borrow().iter().filter_map(|(_, row)| row["_id"].as_i64()).collect()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }

    /// The pauses so far, in ms.
    fn pauses(&self) -> Vec<u128> {
        let pause = |error: &StartError| match error {
            StartError::Failed { pause, .. } => Some(pause.as_millis()),
            _ => None,
        };
        self.errors.borrow().iter().filter_map(pause).collect()
    }
}

/// Writes down what comes, and fails as often as it is to.
struct Orders {
    told: Rc<Told>,
    failures: Rc<RefCell<Vec<i64>>>,
}

impl Orders {
    fn take(&self, method: &'static str, json: &[u8], ack: Ack) {
        let row: Value = serde_json::from_slice(json).expect("JSON");
        let mut failures = self.failures.borrow_mut();
        if let Some(index) = failures.iter().position(|id| row["_id"].as_i64() == Some(*id)) {
            failures.remove(index);
            return ack.fail(evnats::Error::other("no good"));
        }
        self.told.documents.borrow_mut().push((method, row));
        ack.ok();
    }
}

impl CollectionWatcher<()> for Orders {
    fn insert(&mut self, (): &mut (), json: &[u8], ack: Ack) {
        self.take("insert", json, ack);
    }

    fn update(&mut self, (): &mut (), json: &[u8], ack: Ack) {
        self.take("update", json, ack);
    }

    fn delete(&mut self, (): &mut (), json: &[u8], ack: Ack) {
        self.take("delete", json, ack);
    }
}

/// One that has a method of its own for replacements.
struct Replacing(Orders);

impl CollectionWatcher<()> for Replacing {
    fn insert(&mut self, state: &mut (), json: &[u8], ack: Ack) {
        self.0.insert(state, json, ack);
    }

    fn update(&mut self, state: &mut (), json: &[u8], ack: Ack) {
        self.0.update(state, json, ack);
    }

    fn replace(&mut self, (): &mut (), json: &[u8], ack: Ack) {
        self.0.take("replace", json, ack);
    }

    fn delete(&mut self, state: &mut (), json: &[u8], ack: Ack) {
        self.0.delete(state, json, ack);
    }
}

fn orders(failures: &[i64]) -> (Orders, Rc<Told>) {
    let told = Rc::new(Told::default());
    let failures = Rc::new(RefCell::new(failures.to_vec()));
    (Orders { told: told.clone(), failures }, told)
}

/// Starts a processor: again and again if there is a backoff.
fn start(
    world: &World,
    stream: ChangeStream,
    watcher: impl CollectionWatcher<()>,
    told: &Rc<Told>,
    backoff: Option<Backoff>,
) -> DocumentProcessor<()> {
    let (errors, stopped) = (told.clone(), told.clone());
    let builder = world.mongo.process(stream, watcher).resume(world.store());
    let builder = builder.on_start_err(move |(), _: &DocumentProcessor<()>, error| {
        errors.errors.borrow_mut().push(error);
    });
    let end = move |(): &mut (), _: &DocumentProcessor<()>, reason| {
        drop(stopped.stopped.replace(Some(reason)));
    };
    match backoff {
        Some(backoff) => builder.start_with_retry(backoff, end),
        None => builder.start(end),
    }
}

/// Pauses of 20, 40, 80 ms and so on.
fn backoff() -> Backoff {
    Backoff::new().first(Duration::from_millis(20)).longest(Duration::from_secs(60)).jitter(0.0)
}

/// Waits until the stream has a position of its own, and so is open.
fn until_open(world: &World, processor: &DocumentProcessor<()>) {
    world.until("the stream", || processor.watcher().position().is_some());
}

fn stop(world: &World, processor: &DocumentProcessor<()>, told: &Told) {
    processor.stop();
    world.until("the end", || told.is_stopped());
    let stopped = told.stopped.borrow();
    assert!(matches!(*stopped, Some(StopReason::Stopped)), "{stopped:?}");
}

fn change_one(world: &World) {
    world.insert(1..2);
    for update in [doc! { "$set": { "state": "sent" } }, doc! { "state": "back" }] {
        let update = doc! { "q": { "_id": 1 }, "u": update };
        world.command(doc! { "update": "orders", "updates": [update] });
    }
    world.command(doc! { "delete": "orders", "deletes": [{ "q": { "_id": 1 }, "limit": 1 }] });
}

#[test]
fn every_change_goes_to_its_method_with_the_document() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.command(doc! { "create": "orders", "changeStreamPreAndPostImages": { "enabled": true } });
    let (watcher, told) = orders(&[]);
    let stream = world.stream().full_document_before_change(BeforeChange::WhenAvailable);
    let stream = stream.full_document(evnats::mongo::FullDocument::Required);
    let processor = start(&world, stream, Replacing(watcher), &told, None);
    until_open(&world, &processor);
    change_one(&world);
    world.until("four changes", || told.methods().len() == 4);
    let expected = [
        ("insert", json!({ "_id": 1, "state": "open" })),
        ("update", json!({ "_id": 1, "state": "sent" })),
        ("replace", json!({ "_id": 1, "state": "back" })),
        ("delete", json!({ "_id": 1, "state": "back" })),
    ];
    assert_eq!(*told.documents.borrow(), expected);
    stop(&world, &processor, &told);
}

#[test]
fn without_images_a_deletion_has_the_key_and_a_replacement_is_an_update() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[]);
    let processor = start(&world, world.stream(), watcher, &told, None);
    until_open(&world, &processor);
    change_one(&world);
    world.until("four changes", || told.methods().len() == 4);
    assert_eq!(told.methods(), ["insert", "update", "update", "delete"]);
    assert_eq!(told.documents.borrow()[2].1, json!({ "_id": 1, "state": "back" }));
    assert_eq!(told.documents.borrow()[3].1, json!({ "_id": 1 }));
    // the update was looked up when the row was changed again, or gone
    let looked_up = told.documents.borrow()[1].1.clone();
    assert!(looked_up["_id"] == 1 || looked_up.is_null(), "{looked_up}");
    stop(&world, &processor, &told);
}

#[test]
fn changes_of_other_types_are_counted_and_their_positions_saved() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    world.insert(0..1);
    let (watcher, told) = orders(&[]);
    let processor = start(&world, world.stream().show_expanded_events(), watcher, &told, None);
    until_open(&world, &processor);
    world.command(doc! { "createIndexes": "orders", "indexes": [
        { "key": { "state": 1 }, "name": "state" },
    ] });
    world.until("a change", || processor.skipped() == 1);
    stop(&world, &processor, &told);
    assert_eq!(told.methods(), [] as [&str; 0]);
    let operation = world.stored().and_then(|point| point.operation_type);
    assert_eq!(operation, Some("createIndexes".to_owned()));
    assert_eq!(processor.metrics().changes, 1);
}

#[test]
fn an_invalidate_ends_a_start_and_the_next_one_goes_on_behind_it() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[]);
    let processor = start(&world, world.stream(), watcher, &told, None);
    until_open(&world, &processor);
    world.insert(0..1);
    world.command(doc! { "drop": "orders" });
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Invalidated)));
    assert!(matches!(told.errors.borrow()[..], [StartError::Invalidated]), "{:?}", told.errors);
    assert_eq!(processor.skipped(), 2, "drop and invalidate");
    world.insert(1..2);
    let (watcher, told) = orders(&[]);
    let processor = start(&world, world.stream(), watcher, &told, None);
    world.until("the row", || told.ids() == [1]);
    stop(&world, &processor, &told);
}

#[test]
fn a_start_with_retry_goes_on_behind_each_invalidate() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[]);
    let processor = start(&world, world.stream(), watcher, &told, Some(backoff()));
    until_open(&world, &processor);
    for id in 0..3 {
        world.insert(id..id + 1);
        world.command(doc! { "drop": "orders" });
    }
    world.insert(3..4);
    world.until("all rows", || told.ids() == [0, 1, 2, 3]);
    let errors = told.errors.borrow();
    let invalidates = errors.iter().filter(|error| matches!(error, StartError::Invalidated));
    assert_eq!(invalidates.count(), 3, "{errors:?}");
    drop(errors);
    stop(&world, &processor, &told);
}

#[test]
fn pauses_grow_until_there_is_progress() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[1, 1, 1, 2, 2]);
    let stream = world.stream().credit(1, 1 << 20);
    let processor = start(&world, stream, watcher, &told, Some(backoff()));
    until_open(&world, &processor);
    world.insert(0..4);
    world.until("all rows", || told.ids().len() == 4);
    assert_eq!(told.ids(), [0, 1, 2, 3], "one that fails comes again, and none is left out");
    assert_eq!(told.pauses(), [20, 40, 80, 20, 40]);
    stop(&world, &processor, &told);
    assert_eq!(told.errors.borrow().len(), 5);
}

#[test]
fn one_that_fails_too_often_ends() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[0, 0, 0, 0]);
    let backoff = backoff().attempts(2);
    let processor = start(&world, world.stream(), watcher, &told, Some(backoff));
    until_open(&world, &processor);
    world.insert(0..1);
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Dispatch(_))));
    assert_eq!(told.pauses(), [20, 40]);
    let last = told.errors.borrow().last().cloned();
    assert!(matches!(last, Some(StartError::Ended(StopReason::Dispatch(_)))), "{last:?}");
}

#[test]
fn a_failure_ends_a_start_and_its_position_is_before_the_change() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[1]);
    let processor = start(&world, world.stream(), watcher, &told, None);
    until_open(&world, &processor);
    world.insert(0..2);
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Dispatch(_))));
    assert_eq!(told.pauses(), [] as [u128; 0]);
    let (watcher, told) = orders(&[]);
    let processor = start(&world, world.stream(), watcher, &told, None);
    world.until("the row", || told.ids() == [1]);
    stop(&world, &processor, &told);
}

#[test]
fn what_can_never_work_is_not_tried_again() {
    let database = mongo_database!();
    let world = World::new(database.uri(), database.name());
    let (watcher, told) = orders(&[]);
    let stream = world.stream().pipeline([doc! { "$noSuchStage": {} }]);
    start(&world, stream, watcher, &told, Some(backoff()));
    world.until("the end", || told.is_stopped());
    assert!(matches!(*told.stopped.borrow(), Some(StopReason::Failed(Error::Server(_)))));
    let errors = told.errors.borrow();
    assert!(matches!(errors[..], [StartError::Ended(StopReason::Failed(_))]), "{errors:?}");
}

#[test]
fn pauses_are_those_of_the_backoff_and_a_stop_ends_one_at_once() {
    let set = replica_set!(ReplicaSet::builder());
    let world = World::new(set.uri(), "shop");
    let failing = doc! { "failCommands": ["aggregate"], "errorCode": 91 };
    let failing = set.fail_command(FailTimes::Always, failing);
    let (watcher, told) = orders(&[]);
    // the third pause is one of two minutes
    let backoff = backoff().factor(100.0).longest(Duration::from_secs(120));
    let processor = start(&world, world.stream(), watcher, &told, Some(backoff));
    world.until("a long pause", || told.pauses().len() == 3);
    drop(failing);
    assert_eq!(told.pauses(), [20, 2_000, 120_000]);
    let started = Instant::now();
    stop(&world, &processor, &told);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(told.errors.borrow().len(), 3, "a stop is no error");
}
