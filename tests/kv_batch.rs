//! Key-Value: writes to several keys that are stored together or not at all, on a real server.

mod support;

use evnats::jetstream::{self, BatchError, Ttl};
use evnats::kv::{Batch, Committed, Config, Error, Operation, PurgeOptions, WriteOptions};
use evnats_harness::requires;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::session::{Kv, Session};
use support::{level, server};

const HOUR: Duration = Duration::from_secs(3600);

fn batches() -> Config {
    Config::new().atomic_batches(true)
}

/// Commits a batch.
#[track_caller]
fn commit(
    session: &Session,
    fill: impl FnOnce(Batch<()>) -> Batch<()>,
) -> Result<Committed, Error> {
    session.wait(|kv: &Kv, done| fill(kv.batch()).commit(done))
}

/// The keys and their revisions.
fn written(committed: &Committed) -> Vec<(&str, u64)> {
    committed.iter().collect()
}

#[test]
fn every_kind_of_write_is_stored_with_the_others_and_has_its_revision() {
    requires!(server(), 2, 12);
    let session = Session::new(batches().history(5));
    session.put("changed", "1");
    session.put("deleted", "1");
    session.put("gone", "1");
    session.put("purged", "1");
    session.put("purged", "2");
    session.put("cleared", "1");
    let committed = commit(&session, |batch| {
        assert!(batch.is_empty());
        let batch = batch.put("put", "p").create("created", "c").update("changed", "u", 1);
        let batch = batch.delete("deleted").delete_at("gone", 3).purge("purged");
        let batch = batch.purge_with("cleared", PurgeOptions::new().at_revision(6));
        assert_eq!(batch.len(), 7);
        batch
    });
    let committed = committed.expect("stored");
    let expected = [
        ("put", 7),
        ("created", 8),
        ("changed", 9),
        ("deleted", 10),
        ("gone", 11),
        ("purged", 12),
        ("cleared", 13),
    ];
    assert_eq!(written(&committed), expected);
    assert_eq!((committed.first(), committed.last()), (7, 13));
    assert_eq!((committed.revision("gone"), committed.revision("other")), (Some(11), None));
    for (key, value) in [("put", "p"), ("created", "c"), ("changed", "u")] {
        let revision = committed.revision(key).expect("a revision");
        assert_eq!(session.get(key), Some((value.into(), revision)));
    }
    for (key, messages, operation) in [
        ("deleted", 2, Operation::Delete),
        ("gone", 2, Operation::Delete),
        ("purged", 1, Operation::Purge),
        ("cleared", 1, Operation::Purge),
    ] {
        let history = session.wait(|kv, done| kv.history(key, done)).expect("a history");
        assert_eq!(history.len(), messages, "{key}");
        assert_eq!(history.last().map(evnats::kv::Entry::operation), Some(operation));
    }
}

#[test]
fn one_expectation_that_does_not_hold_keeps_everything_from_being_stored_and_is_named() {
    requires!(server(), 2, 12);
    let session = Session::new(batches());
    session.put("a", "1");
    session.put("b", "1");
    type Fill = fn(Batch<()>) -> Batch<()>;
    let cases: [(Fill, Error); 4] = [
        (
            |batch| batch.put("new", "1").update("a", "2", 1).update("b", "2", 7),
            Error::WrongRevision { key: "b".into(), expected: 7, actual: Some(2) },
        ),
        (
            |batch| batch.create("new", "1").create("a", "2"),
            Error::KeyExists { key: "a".into(), revision: Some(1) },
        ),
        (
            |batch| batch.delete_at("a", 2).put("new", "1"),
            Error::WrongRevision { key: "a".into(), expected: 2, actual: Some(1) },
        ),
        (
            |batch| batch.purge_with("never", PurgeOptions::new().at_revision(4)).put("new", "1"),
            Error::WrongRevision { key: "never".into(), expected: 4, actual: Some(0) },
        ),
    ];
    for (fill, expected) in cases {
        let error = commit(&session, fill).expect_err("a conflict");
        assert!(error.is_conflict());
        assert_eq!(error, expected);
    }
    assert_eq!(session.messages(), 2);
    assert_eq!(session.get("new"), None);
}

#[test]
fn creations_are_over_tombstones_and_keep_their_ttl() {
    requires!(server(), 2, 12);
    let session = Session::new(batches().history(3).per_key_ttl(true));
    session.put("a", "1");
    session.delete("a");
    session.wait(|kv, done| kv.purge("b", done)).expect("purged");
    let committed = commit(&session, |batch| {
        let batch = batch.create_with("a", "2", WriteOptions::new().ttl(HOUR));
        batch.create("b", "2").create("c", "2")
    });
    assert_eq!(written(&committed.expect("stored")), [("a", 4), ("b", 5), ("c", 6)]);
    let query = jetstream::MessageQuery::Sequence(4);
    let stored: Result<jetstream::StoredMessage, _> = session.ask(|done| {
        let (js, from) = (session.nats.jetstream(), jetstream::ReadFrom::Leader);
        js.stored_message(&session.stream(), query, from, done);
    });
    let ttl = stored.expect("a message").headers().get("Nats-TTL").map(|ttl| ttl.into_owned());
    assert_eq!(ttl.as_deref(), Some("3600"));
}

#[test]
fn a_ttl_is_refused_where_it_is_of_a_single_write() {
    requires!(server(), 2, 12);
    let session = Session::new(batches().history(3).per_key_ttl(true));
    let options = WriteOptions::new().ttl(HOUR);
    let refused = commit(&session, |batch| {
        batch.create_with("a", "1", options).put_with("b", "1", options).put("c", "1")
    });
    assert!(matches!(refused, Err(Error::TtlNeedsHistoryOfOne { .. })), "{refused:?}");
    let never = WriteOptions::new().ttl(Ttl::Never);
    let committed = commit(&session, |batch| {
        batch.create_with("a", "1", options).put_with("b", "1", never).put("c", "1")
    });
    committed.expect("stored");
    let short = WriteOptions::new().ttl(Duration::from_millis(1));
    let refused = commit(&session, |batch| batch.create_with("d", "1", short));
    let is_option =
        |error: &Error| matches!(error, Error::JetStream(jetstream::Error::InvalidOption(_)));
    assert!(refused.as_ref().is_err_and(is_option), "{refused:?}");
    assert_eq!(session.messages(), 3);
}

#[test]
fn what_cannot_be_a_batch_is_told_before_it_is_sent() {
    let session = Session::new(Config::new());
    let twice = commit(&session, |batch| batch.put("a", "1").put("b", "1").delete("a"));
    assert_eq!(twice, Err(Error::KeyTwiceInBatch { key: "a".into() }));
    let invalid = commit(&session, |batch| batch.put("a", "1").put("b c", "1"));
    assert!(matches!(invalid, Err(Error::InvalidKey { .. })), "{invalid:?}");
    let reserved = commit(&session, |batch| batch.put("_kv_fence", "1"));
    assert!(matches!(reserved, Err(Error::InvalidKey { .. })), "{reserved:?}");
    let empty = commit(&session, |batch| batch);
    assert_eq!(empty, Err(Error::JetStream(BatchError::Empty.into())));
    let read_only = session.kv.read_only();
    let refused = session.ask(|done| read_only.batch().put("a", "1").commit(done));
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    assert_eq!(session.messages(), 0);
    if level() < 2 {
        let old = commit(&session, |batch| batch.put("a", "1").put("b", "1"));
        let is_lacking = |error: &Error| {
            matches!(error, Error::JetStream(jetstream::Error::Unsupported { needs: 2, .. }))
        };
        assert!(old.as_ref().is_err_and(is_lacking), "{old:?}");
        assert_eq!(session.messages(), 0);
    }
}

#[test]
fn a_bucket_without_batches_says_so_until_it_has_them() {
    requires!(server(), 2, 12);
    let session = Session::new(Config::new());
    let refused = commit(&session, |batch| batch.put("a", "1").put("b", "1"));
    let disabled = Error::BatchesDisabled { bucket: session.kv.bucket().into() };
    assert_eq!(refused, Err(disabled.clone()));
    assert!(disabled.to_string().contains("update it with atomic_batches"));
    let config = session.wait(|kv, done| kv.status(done)).expect("a status").config();
    let update = |kv: &Kv, done| kv.update_bucket(config.atomic_batches(true), done);
    session.wait(update).expect("updated");
    commit(&session, |batch| batch.put("a", "1").put("b", "1")).expect("stored");
}

#[test]
fn a_bucket_that_is_not_there_has_stored_nothing() {
    requires!(server(), 2, 12);
    let session = Session::new(batches());
    let missing = session.nats.jetstream().key_value("missing");
    let outcome = session.ask(|done| missing.batch().put("a", "1").put("b", "1").commit(done));
    assert_eq!(outcome, Err(Error::BucketNotFound { bucket: "missing".into() }));
}

#[test]
fn what_the_server_limits_is_told() {
    requires!(server(), 2, 12);
    let session = Session::new(batches().max_value_size(500));
    let large = commit(&session, |batch| batch.put("a", "1").put("b", vec![0; 1000]));
    assert!(matches!(large, Err(Error::ValueTooLarge { .. })), "{large:?}");
    let many = commit(&session, |batch| {
        (0..1001).fold(batch, |batch, n| batch.put(&format!("k{n}"), "1"))
    });
    let is_too_large = |error: &Error| {
        let Error::JetStream(jetstream::Error::Batch(error)) = error else { return false };
        matches!(error, BatchError::TooLarge { limit: Some(1000), .. })
    };
    assert!(many.as_ref().is_err_and(is_too_large), "{many:?}");
    assert_eq!(session.messages(), 0);
    let most = commit(&session, |batch| {
        (0..1000).fold(batch, |batch, n| batch.put(&format!("k{n}"), "1"))
    });
    assert_eq!(most.expect("stored").last(), 1000);
}

/// What a bucket has to allow for a value counts its headers, and a batch has some.
#[test]
fn the_headers_of_a_batch_count_for_the_largest_value() {
    requires!(server(), 2, 12);
    let session = Session::new(batches().max_value_size(100));
    session.put("a", &"x".repeat(50));
    let large = commit(&session, |batch| batch.put("a", vec![0; 50]).put("b", "1"));
    assert!(matches!(large, Err(Error::ValueTooLarge { .. })), "{large:?}");
}

/// Money is moved between accounts by several at once; nobody ever sees a sum that is not right.
#[test]
fn reads_see_all_of_a_batch_or_nothing() {
    requires!(server(), 2, 12);
    let session = Session::new(batches());
    session.put("alice", "500");
    session.put("bob", "500");
    let conflicts = Rc::new(RefCell::new(0));
    fn transfer(kv: &Kv, left: u32, conflicts: Rc<RefCell<u32>>) {
        if left == 0 {
            return;
        }
        kv.get_many(["alice", "bob"], move |(), kv, accounts| {
            let accounts = accounts.expect("a snapshot");
            let account = |key: &str| {
                let entry = accounts.get(key).expect("an account");
                (entry.text().parse::<i64>().expect("a number"), entry.revision())
            };
            let ((alice, at), (bob, bob_at)) = (account("alice"), account("bob"));
            assert_eq!(alice + bob, 1000);
            let batch = kv.batch().update("alice", (alice - 1).to_string(), at);
            let batch = batch.update("bob", (bob + 1).to_string(), bob_at);
            batch.commit(move |(), kv, committed| match committed {
                Ok(_) => transfer(kv, left - 1, conflicts),
                Err(error) => {
                    assert!(error.is_conflict(), "{error}");
                    *conflicts.borrow_mut() += 1;
                    transfer(kv, left, conflicts);
                }
            });
        });
    }
    for _ in 0..3 {
        transfer(&session.kv, 20, conflicts.clone());
    }
    session.until("60 transfers", || session_sum(&session) == Some((440, 560)));
    assert!(*conflicts.borrow() > 0, "they have met");
}

/// What the accounts have.
fn session_sum(session: &Session) -> Option<(i64, i64)> {
    let number = |key| session.get(key)?.0.parse().ok();
    Some((number("alice")?, number("bob")?))
}
