//! Cursors of MongoDB's lists, stored in a bucket of a real server and in memory.

#[path = "support/storage.rs"]
mod storage;
mod support;

use evnats::jetstream::Storage;
use evnats::kv::{self, Config};
use evnats::mongo::bson::{Bson, DateTime, doc, oid::ObjectId};
use evnats::mongo::{
    ByteStore, CursorDoc, CursorError, CursorStorage, Error, JsonStorage, KvCursorStorage,
    MemoryCursorStorage, Position, StorageCallback, Towards,
};
use evnats::{Bytes, Client, EventLoop, jetstream};
use evnats_harness::{Server, requires};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use storage::wait;
use support::asking::Asking;
use support::session::Session;
use support::{run_with, server, turn_until, unique};

const HOUR: Duration = Duration::from_secs(3600);
const MISSING: Error = Error::Cursor(CursorError::NotFound);

fn cursor(name: &str) -> CursorDoc {
    let values = vec![Bson::String(name.into()), Bson::Null, Bson::ObjectId(ObjectId::new())];
    let position = Position { values, towards: Towards::Previous };
    let sort = doc! { "name": 1, "at": -1, "_id": 1 };
    CursorDoc::new(position, sort, "_id", [7; 32], DateTime::from_millis(1_700_000_000_000))
}

/// Turns the loop until a cursor is not found any more.
fn wait_for_end(event_loop: &EventLoop<()>, storage: &impl CursorStorage<()>, key: &str) {
    loop {
        match wait(event_loop, |told| storage.load(key, told)) {
            Ok(_) => wait_for_timer(event_loop),
            Err(error) => return assert_eq!(error, MISSING),
        }
    }
}

fn wait_for_timer(event_loop: &EventLoop<()>) {
    let has_run = Rc::new(RefCell::new(false));
    let note = has_run.clone();
    event_loop.handle().set_timer(Duration::from_millis(50), move |(), _| {
        note.replace(true);
    });
    turn_until(event_loop, &mut (), "a timer", |()| *has_run.borrow());
}

/// What every storage does.
fn check_the_contract(event_loop: &EventLoop<()>, storage: &impl CursorStorage<()>) {
    let (one, other) = (cursor("one").subject("alice".to_owned()), cursor("other"));
    assert_eq!(wait(event_loop, |told| storage.ping(told)), Ok(()));
    assert_eq!(wait(event_loop, |told| storage.load("a", told)), Err(MISSING));
    let revision = wait(event_loop, |told| storage.store("a", &one, told)).expect("stored");
    let found = wait(event_loop, |told| storage.load("a", told));
    assert_eq!(found, Ok((one.clone(), revision)));

    let again = wait(event_loop, |told| storage.store("a", &other, told));
    assert_eq!(again, Err(CursorError::Exists.into()), "nothing is written over");
    let found = wait(event_loop, |told| storage.load("a", told));
    assert_eq!(found, Ok((one.clone(), revision)));

    let touched = wait(event_loop, |told| storage.touch("a", revision, told)).expect("touched");
    assert!(touched > revision);
    let late = wait(event_loop, |told| storage.touch("a", revision, told));
    assert_eq!(late, Err(CursorError::Changed { expected: revision }.into()));
    assert_eq!(wait(event_loop, |told| storage.load("a", told)), Ok((one, touched)));

    for _ in 0..2 {
        assert_eq!(wait(event_loop, |told| storage.delete("a", told)), Ok(()));
        assert_eq!(wait(event_loop, |told| storage.load("a", told)), Err(MISSING));
    }
    assert_eq!(wait(event_loop, |told| storage.touch("a", touched, told)), Err(MISSING));
    assert_eq!(wait(event_loop, |told| storage.delete("never", told)), Ok(()));
    wait(event_loop, |told| storage.store("a", &other, told)).expect("the key is free again");
    assert_eq!(
        wait(event_loop, |told| storage.load("a", told)).map(|(cursor, _)| cursor),
        Ok(other)
    );
}

#[test]
fn a_bucket_keeps_cursors() {
    let session = Session::new(Config::new().ttl(HOUR));
    check_the_contract(&session.event_loop, &KvCursorStorage::new(&session.kv));
}

#[test]
fn a_ping_tells_whether_the_bucket_and_its_server_are_there() {
    let mut server = Server::start();
    let session = Session::unmade(server.url().as_str(), &unique("bucket"));
    let storage = KvCursorStorage::new(&session.kv);
    let missing = wait(&session.event_loop, |told| storage.ping(told));
    assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
    session.wait(|kv, done| kv.create_bucket(Config::new(), done)).expect("a bucket");
    assert_eq!(wait(&session.event_loop, |told| storage.ping(told)), Ok(()));
    server.stop();
    let away = wait(&session.event_loop, |told| storage.ping(told));
    assert!(away.as_ref().is_err_and(Error::is_temporary), "{away:?}");
    server.start_again();
    while wait(&session.event_loop, |told| storage.ping(told)).is_err() {}
}

#[test]
fn a_bucket_keeps_cursors_under_their_tokens_if_it_is_told_to() {
    let session = Session::new(Config::new());
    let storage = KvCursorStorage::new(&session.kv).hash_keys(false);
    check_the_contract(&session.event_loop, &storage);
    assert!(session.get("a").is_some());
    assert_eq!(storage.bucket().bucket(), session.kv.bucket());
}

#[test]
fn memory_keeps_cursors() {
    let event_loop = EventLoop::new().expect("a loop");
    check_the_contract(&event_loop, &MemoryCursorStorage::new(event_loop.handle()));
}

#[test]
fn who_reads_the_bucket_finds_no_token_in_it() {
    let session = Session::new(Config::new());
    let (storage, token) = (KvCursorStorage::new(&session.kv), "Zm9yIG5vYm9keSBlbHNl");
    wait(&session.event_loop, |told| storage.store(token, &cursor("c"), told)).expect("stored");
    let keys: Result<Vec<String>, kv::Error> = session.wait(|kv, done| kv.keys(done));
    let keys = keys.expect("keys");
    assert_eq!(keys.len(), 1);
    assert_ne!(keys[0], token);
    let (value, _) = session.get(&keys[0]).expect("a value");
    assert!(!value.contains(token), "{value}");
    let replayed = wait(&session.event_loop, |told| storage.load(&keys[0], told));
    assert_eq!(replayed, Err(MISSING), "what is read in the bucket is no token");
}

#[test]
fn the_time_of_a_bucket_ends_cursors_and_a_touch_begins_it_anew() {
    let session = Session::new(Config::new().ttl(Duration::from_secs(3)));
    let storage = KvCursorStorage::new(&session.kv);
    let event_loop = &session.event_loop;
    let mut revision =
        wait(event_loop, |told| storage.store("kept", &cursor("k"), told)).expect("stored");
    wait(event_loop, |told| storage.store("left", &cursor("l"), told)).expect("stored");
    while wait(event_loop, |told| storage.load("left", told)) != Err(MISSING) {
        wait_for_timer(event_loop);
        revision = wait(event_loop, |told| storage.touch("kept", revision, told)).expect("touched");
    }
    let kept = wait(event_loop, |told| storage.load("kept", told)).expect("it is there");
    assert_eq!(kept.1, revision);
    wait_for_end(event_loop, &storage, "kept");
}

#[test]
fn memory_ends_cursors_after_their_time() {
    let event_loop = EventLoop::new().expect("a loop");
    let storage = MemoryCursorStorage::new(event_loop.handle()).ttl(Duration::from_millis(300));
    wait(&event_loop, |told| storage.store("a", &cursor("a"), told)).expect("stored");
    assert_eq!(storage.len(), 1);
    wait_for_end(&event_loop, &storage, "a");
    assert!(storage.is_empty());
}

#[test]
fn memory_takes_no_more_cursors_than_it_may() {
    let event_loop = EventLoop::new().expect("a loop");
    let storage = MemoryCursorStorage::new(event_loop.handle()).capacity(1);
    wait(&event_loop, |told| storage.store("a", &cursor("a"), told)).expect("stored");
    let refused = wait(&event_loop, |told| storage.store("b", &cursor("b"), told));
    let refused = refused.expect_err("it is full");
    assert_eq!(refused, CursorError::Full { limit: 1 }.into());
    assert!(refused.is_temporary());
}

#[test]
fn a_cursor_has_a_time_of_its_own_where_the_server_knows_that() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().ttl(HOUR).per_key_ttl(true));
    let event_loop = &session.event_loop;
    let long = KvCursorStorage::new(&session.kv);
    let short = long.clone().ttl(Duration::from_secs(1));
    wait(event_loop, |told| short.store("short", &cursor("s"), told)).expect("stored");
    wait(event_loop, |told| long.store("long", &cursor("l"), told)).expect("stored");
    wait_for_end(event_loop, &short, "short");
    wait(event_loop, |told| long.load("long", told)).expect("it is there");
    // what is left of a deleted one goes as well
    wait(event_loop, |told| short.store("gone", &cursor("g"), told)).expect("stored");
    wait(event_loop, |told| short.delete("gone", told)).expect("deleted");
    while session.messages() != 1 {
        wait_for_timer(event_loop);
    }
}

#[test]
fn a_bucket_that_takes_no_times_of_cursors_says_so() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().ttl(HOUR));
    let storage = KvCursorStorage::new(&session.kv).ttl(Duration::from_secs(60));
    let refused = wait(&session.event_loop, |told| storage.store("a", &cursor("a"), told));
    let disabled = kv::Error::TtlDisabled { bucket: session.kv.bucket().to_owned() };
    assert_eq!(refused, Err(Error::Kv(disabled)));
    assert_eq!(session.messages(), 0);
}

#[test]
fn a_server_that_knows_no_times_of_cursors_is_said_to_be_too_old() {
    // newer ones know them, and have tests of their own
    if server().version() >= evnats_harness::Version::new(2, 11, 0) {
        return;
    }
    let session = Session::new(Config::new().ttl(HOUR));
    let storage = KvCursorStorage::new(&session.kv).ttl(Duration::from_secs(60));
    let refused = wait(&session.event_loop, |told| storage.store("a", &cursor("a"), told));
    let Err(Error::Kv(kv::Error::JetStream(jetstream::Error::Unsupported { .. }))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(session.messages(), 0);
}

#[test]
fn what_is_no_cursor_is_not_taken_for_one() {
    let session = Session::new(Config::new());
    let storage = KvCursorStorage::new(&session.kv).hash_keys(false);
    session.put("broken", "{\"v\": 1}");
    let read = wait(&session.event_loop, |told| storage.load("broken", told));
    let Err(Error::Cursor(CursorError::Unreadable { reason })) = read else { panic!("{read:?}") };
    assert!(reason.contains("missing field"), "{reason}");
    let refused = wait(&session.event_loop, |told| storage.load("no key", told));
    let Err(Error::Kv(kv::Error::InvalidKey { .. })) = refused else { panic!("{refused:?}") };
}

#[test]
fn what_one_client_stores_another_one_loads_and_both_at_once() {
    let session = Session::new(Config::new().ttl(HOUR));
    let minting = KvCursorStorage::new(&session.kv);
    let shared = cursor("shared");
    wait(&session.event_loop, |told| minting.store("t", &shared, told)).expect("stored");
    let others: Vec<_> =
        (0..2).map(|_| Session::unmade(server().url().as_str(), session.kv.bucket())).collect();
    let loaded = Rc::new(RefCell::new(Vec::new()));
    for other in &others {
        let noted = loaded.clone();
        KvCursorStorage::new(&other.kv).load(
            "t",
            Box::new(move |(), found| {
                noted.borrow_mut().push(found.expect("found").0);
                Ok(())
            }),
        );
    }
    for (count, other) in others.iter().enumerate() {
        other.until("a cursor", || loaded.borrow().len() > count);
    }
    assert_eq!(*loaded.borrow(), [shared.clone(), shared]);
}

/// A bucket on a server of its own, which is started again.
fn after_a_restart(stored: Storage) -> Result<CursorDoc, Error> {
    let mut server = Server::start();
    let bucket = unique("bucket");
    let config = Config::new().ttl(HOUR).storage(stored);
    let (name, created) = (bucket.clone(), config.clone());
    run_with(server.url().as_str(), move |nats: &Client<()>| {
        nats.jetstream().key_value(&name).create_bucket(created, |(), kv, created| {
            created.expect("a bucket");
            let bucket = kv.clone();
            let on_stored = move |(): &mut (), stored: Result<u64, Error>| {
                stored.expect("stored");
                bucket.client().close();
                Ok(())
            };
            KvCursorStorage::new(kv).store("t", &cursor("t"), Box::new(on_stored));
        });
    });
    server.restart();
    let asking = Asking::with(server.url().as_str());
    let kv = asking.nats.jetstream().key_value(&bucket);
    // a stream in memory is there again, and empty
    let made = asking.ask(|done| kv.create_or_update_bucket(config, done));
    made.expect("a bucket");
    let storage = KvCursorStorage::new(&kv);
    wait(&asking.event_loop, |told| storage.load("t", told)).map(|(cursor, _)| cursor)
}

#[test]
fn a_bucket_in_files_outlives_its_server_and_one_in_memory_does_not() {
    let kept = after_a_restart(Storage::File).expect("it is there");
    assert_eq!(kept.position.values[0], Bson::String("t".into()));
    assert_eq!(after_a_restart(Storage::Memory), Err(MISSING));
}

#[test]
fn a_server_that_is_away_is_an_error_in_time_and_nothing_afterwards() {
    let mut server = Server::start();
    let session = Session::unmade(server.url().as_str(), &unique("bucket"));
    session.wait(|kv, done| kv.create_bucket(Config::new(), done)).expect("a bucket");
    let storage = KvCursorStorage::new(&session.kv);
    server.stop();
    let failed = wait(&session.event_loop, |told| storage.store("a", &cursor("a"), told));
    assert!(failed.expect_err("nobody is there").is_temporary());
    server.start_again();
    let mut stored = Err(MISSING);
    while stored.is_err() {
        stored = wait(&session.event_loop, |told| storage.store("b", &cursor("b"), told));
    }
    wait(&session.event_loop, |told| storage.load("b", told)).expect("it is there");
}

/// A store of bytes that always fails.
struct Broken(MemoryCursorStorage<()>);

impl Broken {
    fn fail<T: 'static>(&self, callback: StorageCallback<(), T>) {
        self.0.ping(Box::new(move |state, _| callback(state, Err(Error::Closed))));
    }
}

impl ByteStore<()> for Broken {
    fn create(&self, _: &str, _: Bytes, callback: StorageCallback<(), u64>) {
        self.fail(callback);
    }
    fn read(&self, _: &str, callback: StorageCallback<(), Option<(Bytes, u64)>>) {
        self.fail(callback);
    }
    fn replace(&self, _: &str, _: Bytes, _: u64, callback: StorageCallback<(), u64>) {
        self.fail(callback);
    }
    fn remove(&self, _: &str, callback: StorageCallback<(), ()>) {
        self.fail(callback);
    }
    fn ping(&self, callback: StorageCallback<(), ()>) {
        self.fail(callback);
    }
}

#[test]
fn what_a_store_of_bytes_says_is_passed_on() {
    let event_loop = EventLoop::new().expect("a loop");
    let storage = JsonStorage::over(Broken(MemoryCursorStorage::new(event_loop.handle())));
    assert_eq!(
        wait(&event_loop, |told| storage.store("a", &cursor("a"), told)),
        Err(Error::Closed)
    );
    assert_eq!(wait(&event_loop, |told| storage.load("a", told)), Err(Error::Closed));
    assert_eq!(wait(&event_loop, |told| storage.touch("a", 1, told)), Err(Error::Closed));
    assert_eq!(wait(&event_loop, |told| storage.delete("a", told)), Err(Error::Closed));
    assert_eq!(wait(&event_loop, |told| storage.ping(told)), Err(Error::Closed));
}

#[test]
fn an_error_of_a_callback_leaves_the_loop() {
    let event_loop = EventLoop::<()>::new().expect("a loop");
    let storage = MemoryCursorStorage::new(event_loop.handle());
    storage.ping(Box::new(|(), _| Err(evnats::Error::other("a bug in the application"))));
    let left = event_loop.run(&mut ()).expect_err("the callback's error");
    assert_eq!(left.to_string(), "a bug in the application");
}
