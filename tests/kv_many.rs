//! Key-Value: the values of many keys at one point in time, on a real server.

mod support;

use evnats::jetstream::{self, StreamConfig};
use evnats::kv::{Config, Error, Reads, Snapshot};
use evnats_harness::{Cluster, requires};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use support::session::{Kv, Session};
use support::{level, server, unique};

/// Reads keys, in a kind of read.
#[track_caller]
fn get(session: &Session, reads: Reads, keys: &[&str]) -> Snapshot {
    let kv = session.kv.with_reads(reads);
    session.ask(|done| kv.get_many(keys, done)).expect("a snapshot")
}

/// The keys, and what they had.
fn shown(snapshot: &Snapshot) -> Vec<String> {
    let show = |(key, entry): (&str, Option<&evnats::kv::Entry>)| match entry {
        Some(entry) => format!("{key}={}@{}", entry.text(), entry.revision()),
        None => format!("{key} has none"),
    };
    snapshot.iter().map(show).collect()
}

const KINDS: [Reads; 4] = [Reads::Leader, Reads::Verified, Reads::Linearizable, Reads::Replica];

#[test]
fn every_key_that_was_asked_for_appears_once_and_is_said_to_have_a_value_or_none() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().history(5));
    session.put("a", "1");
    session.put("b.c", "2");
    session.put("deleted", "3");
    session.delete("deleted");
    session.put("a", "4");
    for reads in KINDS {
        let snapshot = get(&session, reads, &["b.c", "never", "a", "deleted", "a"]);
        let expected = ["b.c=2@2", "never has none", "a=4@5", "deleted has none"];
        assert_eq!(shown(&snapshot), expected, "{reads:?}");
        assert_eq!((snapshot.len(), snapshot.is_empty()), (4, false));
        assert!(snapshot.up_to() >= Some(5), "{reads:?}: {:?}", snapshot.up_to());
        assert_eq!(snapshot.get("a").map(|entry| entry.text().into_owned()).as_deref(), Some("4"));
        assert_eq!(snapshot.get("never"), None);
        assert_eq!(snapshot.get("b"), None, "it was not asked for");
    }
}

#[test]
fn the_absence_of_every_key_is_proven_by_another_one() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    let revision = session.put("other", "1");
    for reads in KINDS {
        let snapshot = get(&session, reads, &["x", "y"]);
        assert_eq!(shown(&snapshot), ["x has none", "y has none"], "{reads:?}");
        match reads {
            Reads::Replica => assert_eq!(snapshot.up_to(), None),
            _ => assert!(snapshot.up_to() >= Some(revision), "{reads:?}"),
        }
    }
}

#[test]
fn a_bucket_without_anything_has_none_of_the_keys() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    for reads in KINDS {
        assert_eq!(shown(&get(&session, reads, &["x"])), ["x has none"], "{reads:?}");
        assert!(get(&session, reads, &[]).is_empty());
    }
}

#[test]
fn more_keys_than_one_question_can_have_are_brought_together() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    let stored = Rc::new(RefCell::new(0));
    let keys: Vec<String> = (0..3000).map(|n| format!("key.{n}")).collect();
    for key in keys.iter().step_by(2) {
        let stored = stored.clone();
        session.kv.put(key, &**key, move |(), _, put| {
            put.expect("stored");
            *stored.borrow_mut() += 1;
        });
    }
    session.until("values", || *stored.borrow() == 1500);
    for reads in KINDS {
        let kv = session.kv.with_reads(reads);
        let snapshot = session.ask(|done| kv.get_many(&keys, done)).expect("a snapshot");
        assert_eq!(snapshot.len(), 3000);
        for (n, (key, entry)) in snapshot.iter().enumerate() {
            assert_eq!(key, keys[n]);
            assert_eq!(
                entry.map(|entry| entry.text().into_owned()),
                (n % 2 == 0).then(|| key.into())
            );
        }
    }
}

/// A megabyte is more than what is taken for one page without another look.
#[test]
fn values_of_many_megabytes_come_whole() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    let stored = Rc::new(RefCell::new(0));
    for n in 0..30 {
        let stored = stored.clone();
        session.kv.put(&format!("k{n}"), vec![n; 500_000], move |(), _, put| {
            put.expect("stored");
            *stored.borrow_mut() += 1;
        });
    }
    session.until("values", || *stored.borrow() == 30);
    let keys: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    let snapshot = session.wait(|kv, done| kv.get_many(&keys, done)).expect("a snapshot");
    for n in 0..40_u8 {
        let value = snapshot.get(&format!("k{n}")).map(|entry| entry.value_to_bytes());
        assert_eq!(value, (n < 30).then(|| vec![n; 500_000].into()), "k{n}");
    }
}

/// Two keys that are always written one after the other, with the same value: at one point in time, the
/// first is as far as the second, or one ahead.
#[test]
fn what_is_read_while_others_write_was_so_at_one_time() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    /// Goes on until it has been told to stop, and says so when its last one is stored.
    fn write(kv: &Kv, n: u64, until: Rc<Cell<bool>>, has_ended: Rc<Cell<bool>>) {
        if until.get() {
            return has_ended.set(true);
        }
        kv.put("first", n.to_string(), move |(), kv, put| {
            put.expect("stored");
            kv.put("second", n.to_string(), move |(), kv, put| {
                put.expect("stored");
                write(kv, n + 1, until, has_ended);
            });
        });
    }
    let is_over = Rc::new(Cell::new(false));
    let has_ended = Rc::new(Cell::new(false));
    session.put("first", "0");
    session.put("second", "0");
    write(&session.kv, 1, is_over.clone(), has_ended.clone());
    // far apart, so that they are in different questions
    let mut keys = vec!["first".to_owned()];
    keys.extend((0..1500).map(|n| format!("none.{n}")));
    keys.push("second".to_owned());
    let mut last = 0;
    for reads in [Reads::Verified, Reads::Replica] {
        let kv = session.kv.with_reads(reads);
        for _ in 0..20 {
            let snapshot = session.ask(|done| kv.get_many(&keys, done)).expect("a snapshot");
            let value = |key| snapshot.get(key).expect("a value").text().parse::<u64>().expect("n");
            let (first, second) = (value("first"), value("second"));
            assert!(first == second || first == second + 1, "{first} and {second}");
            assert!(first >= last, "{first} after {last}");
            last = first;
        }
    }
    is_over.set(true);
    session.until("the last one", || has_ended.get());
}

/// Any replica answers, and many of them are behind what was just written.
#[test]
fn replicas_that_lag_behind_do_not_make_a_snapshot_old() {
    requires!(server(), 2, 11);
    let cluster = Cluster::start();
    let name = unique("replicated");
    let writer = Session::unmade(&cluster.server(0).url(), &name);
    let config = Config::new().replicas(3);
    while let Err(error) = writer.wait(|kv, done| kv.create_bucket(config.clone(), done)) {
        // the cluster may not have a leader yet
        assert!(error.is_temporary() || error.is_no_responders(), "{error}");
    }
    let reader = Session::unmade(&cluster.server(1).url(), &name);
    let others = reader.kv.with_reads(Reads::Linearizable);
    let mut keys = vec!["first".to_owned()];
    keys.extend((0..1500).map(|n| format!("none.{n}")));
    keys.push("last".to_owned());
    for n in 0..100 {
        let value = n.to_string();
        writer.put("first", &value);
        writer.put("last", &value);
        let own = writer.wait(|kv, done| kv.get_many(&keys, done));
        let others = reader.ask(|done| others.get_many(&keys, done));
        for snapshot in [own, others] {
            let snapshot: Snapshot = snapshot.expect("a snapshot");
            for key in ["first", "last"] {
                let entry = snapshot.get(key).expect("a value");
                assert_eq!(entry.text(), value, "{key} at {:?}", snapshot.up_to());
            }
            assert_eq!(snapshot.iter().filter(|(_, entry)| entry.is_some()).count(), 2);
        }
    }
}

#[test]
fn what_cannot_be_asked_is_told() {
    let session = Session::new(Config::new());
    session.put("a", "1");
    let invalid = session.wait(|kv, done| kv.get_many(["a", "b c"], done));
    assert!(matches!(invalid, Err(Error::InvalidKey { .. })), "{invalid:?}");
    if level() < 1 {
        let old = session.wait(|kv, done| kv.get_many(["a"], done));
        let is_lacking = |error: &Error| {
            matches!(error, Error::JetStream(jetstream::Error::Unsupported { needs: 1, .. }))
        };
        assert!(old.as_ref().is_err_and(is_lacking), "{old:?}");
        return;
    }
    let missing = session.nats.jetstream().key_value("missing");
    let outcome = session.ask(|done| missing.get_many(["a"], done));
    assert_eq!(outcome, Err(Error::BucketNotFound { bucket: "missing".into() }));
    let read_only = session.kv.read_only().with_reads(Reads::Linearizable);
    let outcome = session.ask(|done| read_only.get_many(["a"], done));
    assert!(matches!(outcome, Err(Error::NotLinearizable { .. })), "{outcome:?}");
    // whoever may not write proves absence by another key
    let read_only = session.kv.read_only();
    let outcome = session.ask(|done| read_only.get_many(["x"], done));
    assert_eq!(shown(&outcome.expect("a snapshot")), ["x has none"]);
    let status = session.wait(|kv, done| kv.status(done)).expect("a status");
    let config: StreamConfig = status.stream().config.clone().allow_direct(false);
    session.ask(|done| session.nats.jetstream().update_stream(&config, done)).expect("updated");
    let outcome = session.wait(|kv, done| kv.get_many(["a"], done));
    assert!(matches!(outcome, Err(Error::NoDirectReads { .. })), "{outcome:?}");
}
