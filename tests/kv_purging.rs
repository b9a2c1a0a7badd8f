//! Key-Value: purging many keys, emptying buckets, and removing what deletions leave behind, on a real
//! server.

mod support;

use evnats::jetstream::{self, MessageQuery, ReadFrom, StoredMessage};
use evnats::kv::{
    Config, Entry, Error, KeyValue, Operation, PurgeDeletes, PurgeProgress, PurgedDeletes, Update,
    WatchOptions,
};
use evnats_harness::requires;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use support::server;
use support::session::{Kv, Session};

fn history(count: u8) -> Config {
    Config::new().history(count)
}

/// Everything that a watch of the bucket shows, a line each.
fn watched(kv: &Kv) -> Rc<RefCell<Vec<String>>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    kv.watch(">", WatchOptions::new(), move |(), _, update| {
        noted.borrow_mut().push(match update {
            Update::Entry(entry) => format!("{} {}", entry.operation(), entry.key()),
            Update::Initialized => "initialized".into(),
            Update::Cleared => "cleared".into(),
            other => format!("{other:?}"),
        });
    });
    seen
}

/// Every message of a key that the stream has.
#[track_caller]
fn kept(session: &Session, key: &str) -> Vec<(Operation, u64)> {
    let history: Result<Vec<Entry>, Error> = session.wait(|kv, done| kv.history(key, done));
    let history = history.expect("a history");
    history.iter().map(|entry| (entry.operation(), entry.revision())).collect()
}

/// Purges tombstones of this age, in seconds.
#[track_caller]
fn purge_deletes(session: &Session, seconds: u64) -> PurgedDeletes {
    let options = PurgeDeletes::new().older_than(Duration::from_secs(seconds));
    session.wait(|kv, done| drop(kv.purge_deletes(options, done))).expect("purged")
}

fn purged(keys: u64, messages: u64) -> String {
    let mut expected = PurgedDeletes::default();
    (expected.keys, expected.messages) = (keys, messages);
    format!("{expected:?}")
}

#[test]
fn purged_keys_leave_a_tombstone_each_that_watches_see() {
    // 2.9 skips what it has not delivered yet when a key is purged meanwhile
    requires!(server(), 2, 10);
    let session = Session::new(history(5));
    for n in 0..150 {
        session.kv.put(&format!("a.{n}"), "1", |(), _, stored| assert!(stored.is_ok()));
    }
    session.put("a.7", "2");
    session.put("b", "1");
    session.delete("a.3");
    let seen = watched(&session.kv);
    session.until("the signal", || seen.borrow().iter().any(|line| line == "initialized"));
    let count = session.wait(|kv, done| kv.purge_keys(&["a.>"], done));
    assert_eq!(count, Ok(149), "all but the one that had no value");
    let is_purge = |line: &&String| line.starts_with("PURGE a.");
    session.until("149 purges", || seen.borrow().iter().filter(is_purge).count() == 149);
    assert_eq!(session.wait(|kv, done| kv.keys(done)), Ok(vec!["b".to_owned()]));
    assert_eq!(kept(&session, "a.7").len(), 1, "the history is gone, too");
    assert_eq!(session.wait(|kv, done| kv.purge_keys(&[">"], done)), Ok(1));
    assert_eq!(session.wait(|kv, done| kv.purge_keys(&[">"], done)), Ok(0));
    assert_eq!(session.wait(|kv, done| kv.purge_keys(&[], done)), Err(Error::NoPatterns));
}

#[test]
fn a_purge_of_many_that_fails_on_the_way_says_how_far_it_came() {
    // a watch on 2.9 may miss purges
    requires!(server(), 2, 10);
    let session = Session::new(history(1));
    let stored = Rc::new(Cell::new(0));
    for n in 0..1000 {
        let count = stored.clone();
        session.kv.put(&format!("k{n}"), "1", move |(), _, put| {
            assert!(put.is_ok());
            count.set(count.get() + 1);
        });
    }
    session.until("the keys", || stored.get() == 1000);
    // the connection is closed by one of the first tombstones
    let (mut tombstones, is_watching) = (0, Rc::new(RefCell::new(false)));
    let noted = is_watching.clone();
    session.kv.watch(">", WatchOptions::new(), move |(), watcher, update| match update {
        Update::Initialized => *noted.borrow_mut() = true,
        Update::Entry(entry) if entry.operation() == Operation::Purge => {
            tombstones += 1;
            if tombstones == 10 {
                watcher.bucket().client().close();
            }
        }
        _ => {}
    });
    session.until("the signal", || *is_watching.borrow());
    let outcome = session.wait(|kv, done| kv.purge_keys(&[">"], done));
    let Err(error) = outcome else { panic!("{outcome:?}") };
    let Error::Incomplete { done, of: 1000, ref cause } = error else { panic!("{error:?}") };
    assert!((1..1000).contains(&done), "{done}");
    assert_eq!(error.is_closed(), cause.is_closed());
    assert_eq!(error.is_timeout(), cause.is_timeout());
}

#[test]
fn a_bucket_that_was_emptied_is_empty_and_this_client_s_watches_are_told() {
    let session = Session::new(history(5));
    session.put("a", "1");
    session.put("a", "2");
    session.delete("b");
    // a handle of its own, of the same client
    let other: KeyValue<()> = session.nats.jetstream().key_value(session.kv.bucket());
    let seen = watched(&other);
    session.until("the signal", || seen.borrow().iter().any(|line| line == "initialized"));
    assert_eq!(session.wait(|kv, done| kv.clear(done)), Ok(()));
    session.until("the word", || seen.borrow().iter().any(|line| line == "cleared"));
    assert_eq!(session.messages(), 0);
    assert_eq!(session.get("a"), None);
    assert_eq!(session.put("a", "3"), 4, "revisions go on");
    session.until("the next value", || seen.borrow().last().is_some_and(|line| line == "PUT a"));
    let told = seen.borrow().iter().filter(|line| *line == "cleared").count();
    assert_eq!(told, 1);
}

#[test]
fn a_watch_that_was_stopped_is_told_nothing() {
    let session = Session::new(history(1));
    let seen = Rc::new(RefCell::new(0));
    let noted = seen.clone();
    let watcher = session.kv.watch(">", WatchOptions::new(), move |(), _, update| {
        if matches!(update, Update::Initialized | Update::Cleared) {
            *noted.borrow_mut() += 1;
        }
    });
    session.until("the signal", || *seen.borrow() == 1);
    session.wait(|kv, done| kv.clear(done)).expect("cleared");
    watcher.stop();
    session.wait(|kv, done| kv.clear(done)).expect("cleared");
    support::flush(&session.event_loop, &mut (), &session.nats);
    assert_eq!(*seen.borrow(), 1);
}

#[test]
fn old_tombstones_go_and_young_ones_lose_their_history_alone() {
    requires!(server(), 2, 10);
    let session = Session::new(history(5));
    session.put("deleted", "1");
    session.put("deleted", "2");
    session.delete("deleted");
    session.put("purged", "1");
    session.wait(|kv, done| kv.purge("purged", done)).expect("purged");
    session.put("live", "1");
    session.put("live", "2");
    assert_eq!(format!("{:?}", purge_deletes(&session, 3600)), purged(1, 2));
    assert_eq!(kept(&session, "deleted"), [(Operation::Delete, 3)]);
    assert_eq!(kept(&session, "purged"), [(Operation::Purge, 5)]);
    assert_eq!(kept(&session, "live").len(), 2);
    assert_eq!(format!("{:?}", purge_deletes(&session, 0)), purged(2, 2));
    assert_eq!(kept(&session, "deleted"), []);
    assert_eq!(kept(&session, "purged"), []);
    assert_eq!(kept(&session, "live").len(), 2);
    assert_eq!(format!("{:?}", purge_deletes(&session, 0)), purged(0, 0));
}

#[test]
fn markers_of_the_server_go_too() {
    requires!(server(), 2, 11);
    let second = Duration::from_secs(1);
    let session = Session::new(history(1).limit_marker_ttl(Duration::from_secs(3600)));
    let seen = watched(&session.kv);
    let options = evnats::kv::WriteOptions::new().ttl(second);
    session.wait(|kv, done| kv.create_with("k", "1", options, done)).expect("created");
    session.until("a marker", || seen.borrow().last().is_some_and(|line| line == "EXPIRE k"));
    assert_eq!(session.messages(), 1);
    assert_eq!(format!("{:?}", purge_deletes(&session, 0)), purged(1, 1));
    assert_eq!(session.messages(), 0);
}

/// The race that a purge by key loses: the value is written after the tombstone was seen, and before
/// it is removed.
#[test]
fn a_value_that_is_written_meanwhile_survives() {
    requires!(server(), 2, 10);
    let session = Session::new(history(5));
    let count = 100;
    for n in 0..count {
        session.delete(&format!("k{n}"));
    }
    let outcome = Rc::new(RefCell::new(None));
    let given = outcome.clone();
    let options = PurgeDeletes::new().older_than(Duration::ZERO);
    let purging = session.kv.purge_deletes(options, move |(), _, purged| {
        *given.borrow_mut() = Some(purged);
    });
    // what is behind the first window of requests gets its value before its tombstone is removed
    let (mut has_written, stored) = (false, Rc::new(Cell::new(0)));
    let counting = stored.clone();
    purging.on_progress(move |(), kv, _| {
        if !std::mem::replace(&mut has_written, true) {
            for n in 0..count {
                let counting = counting.clone();
                kv.put(&format!("k{n}"), "1", move |(), _, put| {
                    assert!(put.is_ok());
                    counting.set(counting.get() + 1);
                });
            }
        }
    });
    session.until("the end", || outcome.borrow().is_some());
    session.until("the values", || stored.get() == count);
    let removed = outcome.take().expect("an outcome").expect("purged");
    assert_eq!(removed.keys, count);
    let keys = session.wait(|kv, done| kv.keys(done)).expect("the keys");
    assert_eq!(keys.len() as u64, count, "none has lost its value");
}

#[test]
fn the_progress_is_told_key_by_key() {
    requires!(server(), 2, 10);
    let session = Session::new(history(1));
    for n in 0..130 {
        session.delete(&format!("k{n}"));
    }
    let told = Rc::new(RefCell::new(Vec::new()));
    let noted = told.clone();
    let options = PurgeDeletes::new().older_than(Duration::ZERO);
    let done = session.wait(|kv, done| {
        let purging = kv.purge_deletes(options, done);
        purging.on_progress(move |(), _, progress: PurgeProgress| {
            noted.borrow_mut().push((progress.done, progress.of));
        });
    });
    assert_eq!(format!("{:?}", done.expect("purged")), purged(130, 130));
    let expected: Vec<_> = (1..=130).map(|done| (done, 130)).collect();
    assert_eq!(*told.borrow(), expected);
}

#[test]
fn a_progress_that_panics_does_not_keep_the_outcome_away() {
    requires!(server(), 2, 10);
    let session = Session::new(history(1));
    session.delete("k");
    let outcome = Rc::new(RefCell::new(None));
    let given = outcome.clone();
    let options = PurgeDeletes::new().older_than(Duration::ZERO);
    let purging = session.kv.purge_deletes(options, move |(), _, purged| {
        *given.borrow_mut() = Some(purged);
    });
    purging.on_progress(|(), _, _| support::fail("a bug in the application"));
    let mut panics = 0;
    while outcome.borrow().is_none() {
        let turn = || session.event_loop.dispatch(&mut (), Some(Duration::from_secs(1)));
        panics += u32::from(catch_unwind(AssertUnwindSafe(turn)).is_err());
    }
    assert_eq!(panics, 1);
    assert_eq!(outcome.take().expect("an outcome").map(|purged| purged.keys), Ok(1));
}

/// The reserved key is written as it is for reads that need a fence.
#[test]
fn the_fence_is_neither_purged_nor_counted() {
    requires!(server(), 2, 10);
    let session = Session::new(history(1));
    let fence = format!("$KV.{}._kv_fence", session.kv.bucket());
    let headers = jetstream::PublishOptions::new().header("KV-Operation", "PURGE").rollup_subject();
    session
        .ask(|done| session.nats.jetstream().publish_with(&fence, "", &headers, done))
        .expect("stored");
    session.delete("k");
    session.put("live", "1");
    assert_eq!(session.wait(|kv, done| kv.purge_keys(&[">"], done)), Ok(1));
    assert_eq!(format!("{:?}", purge_deletes(&session, 0)), purged(2, 2));
    let query = MessageQuery::LastBySubject(&fence);
    let stored: Result<StoredMessage, jetstream::Error> = session.ask(|done| {
        session.nats.jetstream().stored_message(&session.stream(), query, ReadFrom::Leader, done);
    });
    assert_eq!(stored.expect("the fence").sequence(), 1);
}

#[test]
fn a_bucket_that_is_not_there_is_the_reason() {
    let session = Session::new(history(1));
    let missing = session.nats.jetstream().key_value("missing");
    let not_found = Err(Error::BucketNotFound { bucket: "missing".into() });
    assert_eq!(session.ask(|done| missing.clear(done)), not_found);
    let keys = session.ask(|done| missing.purge_keys(&[">"], done)).map(drop);
    assert_eq!(keys, not_found);
    let deletes = session.ask(|done| drop(missing.purge_deletes(PurgeDeletes::new(), done)));
    assert_eq!(deletes.map(|_: PurgedDeletes| ()), not_found);
    let denied = session.wait(|kv, done| kv.status(done)).expect("a status");
    let config = denied.stream().config.clone().deny_purge(true).allow_rollup_hdrs(false);
    session.ask(|done| session.nats.jetstream().update_stream(&config, done)).expect("updated");
    let refused = session.wait(|kv, done| kv.clear(done)).expect_err("a refusal");
    assert!(!refused.is_temporary(), "{refused}");
}
