//! Key-Value: a time to live of single keys, on a real server.

mod support;

use evnats::jetstream::{self, MessageQuery, OptionError, ReadFrom, Source, StoredMessage, Ttl};
use evnats::kv::{Config, Error, Operation, PurgeOptions, Update, WatchOptions, WriteOptions};
use evnats_harness::requires;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::session::{Kv, Session};
use support::{level, server};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn lives(ttl: impl Into<Ttl>) -> WriteOptions {
    WriteOptions::new().ttl(ttl)
}

/// A bucket that takes a TTL and leaves markers.
fn with_markers(history: u8) -> Config {
    Config::new().history(history).limit_marker_ttl(HOUR)
}

/// What the last message of a key was stored with.
#[track_caller]
fn header(session: &Session, key: &str, name: &str) -> Option<String> {
    let subject = format!("$KV.{}.{key}", session.kv.bucket());
    let query = MessageQuery::LastBySubject(&subject);
    let stored: Result<StoredMessage, jetstream::Error> = session.ask(|done| {
        session.nats.jetstream().stored_message(&session.stream(), query, ReadFrom::Leader, done);
    });
    stored.expect("a message").headers().get(name).map(|value| value.into_owned())
}

#[test]
fn a_value_lives_for_its_time_and_leaves_a_marker_that_a_watch_shows() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(1));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    session.kv.watch(">", WatchOptions::new(), move |(), _, update| {
        if let Update::Entry(entry) = update {
            noted.borrow_mut().push((entry.key().into_owned(), entry.operation()));
        }
    });
    let created = session.wait(|kv, done| kv.create_with("a", "1", lives(SECOND), done));
    assert_eq!(created, Ok(1));
    let put = session.wait(|kv, done| kv.put_with("b", "1", lives(SECOND), done));
    assert_eq!(put, Ok(2));
    session.put("c", "1");
    let update = |kv: &Kv, done| kv.update_with("c", "2", 3, lives(SECOND), done);
    assert_eq!(session.wait(update), Ok(4));
    session.until("markers", || {
        let expired = |key: &str| seen.borrow().contains(&(key.to_owned(), Operation::Expire));
        expired("a") && expired("b") && expired("c")
    });
    for key in ["a", "b", "c"] {
        assert_eq!(session.get(key), None);
    }
}

#[test]
fn a_fraction_of_a_second_is_rounded_up_and_less_than_one_refused() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(1));
    let (longer, shorter) = (Duration::from_millis(1001), Duration::from_millis(999));
    session.wait(|kv, done| kv.put_with("k", "1", lives(longer), done)).expect("stored");
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("2"));
    let refused =
        Error::JetStream(jetstream::Error::InvalidOption(OptionError::TtlTooShort(shorter)));
    let put = session.wait(|kv, done| kv.put_with("k", "1", lives(shorter), done));
    assert_eq!(put, Err(refused.clone()));
    let touched = session.wait(|kv, done| kv.touch("k", shorter, done));
    assert_eq!(touched, Err(refused.clone()));
    let options = PurgeOptions::new().ttl(shorter);
    assert_eq!(session.wait(|kv, done| kv.purge_with("k", options, done)), Err(refused));
    assert_eq!(session.messages(), 1);
}

#[test]
fn a_creation_over_a_tombstone_or_a_marker_keeps_its_ttl() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(3));
    session.put("k", "1");
    session.delete("k");
    let create = |kv: &Kv, done| kv.create_with("k", "2", lives(HOUR), done);
    assert_eq!(session.wait(create), Ok(3));
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("3600"));
    session.wait(|kv, done| kv.purge("k", done)).expect("stored");
    assert_eq!(session.wait(create), Ok(5));
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("3600"));
    assert!(matches!(session.wait(create), Err(Error::KeyExists { revision: Some(5), .. })));
}

#[test]
fn where_more_than_one_value_is_kept_only_what_uncovers_none_has_a_ttl() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(3));
    session.put("k", "1");
    let refused = |outcome: Result<u64, Error>| {
        let bucket = session.kv.bucket().to_owned();
        assert_eq!(outcome, Err(Error::TtlNeedsHistoryOfOne { bucket, history: Some(3) }));
    };
    refused(session.wait(|kv, done| kv.put_with("k", "2", lives(HOUR), done)));
    refused(session.wait(|kv, done| kv.update_with("k", "2", 1, lives(HOUR), done)));
    refused(session.wait(|kv, done| kv.touch("k", HOUR, done)).map(|_| 0));
    assert_eq!(session.messages(), 1, "nothing was written");
    // nothing is behind these, or they never go
    for outcome in [
        session.wait(|kv, done| kv.create_with("new", "1", lives(HOUR), done)),
        session.wait(|kv, done| kv.update_with("other", "1", 0, lives(HOUR), done)),
        session.wait(|kv, done| kv.put_with("k", "2", lives(Ttl::Never), done)),
        session.wait(|kv, done| kv.purge_with("k", PurgeOptions::new().ttl(HOUR), done)),
    ] {
        outcome.expect("stored");
    }
}

#[test]
fn a_bucket_without_ttls_says_so_until_it_has_them() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    let disabled = Error::TtlDisabled { bucket: session.kv.bucket().to_owned() };
    let create = |kv: &Kv, done| kv.create_with("k", "1", lives(HOUR), done);
    assert_eq!(session.wait(create), Err(disabled.clone()));
    let touched = session.wait(|kv, done| kv.touch("k", HOUR, done));
    assert_eq!(touched, Err(disabled.clone()));
    let purge = |kv: &Kv, done| kv.purge_with("k", PurgeOptions::new().ttl(HOUR), done);
    assert_eq!(session.wait(purge), Err(disabled.clone()));
    assert_eq!(session.messages(), 0);
    assert!(disabled.to_string().contains("update it with per_key_ttl"), "{disabled}");
    // somebody else, who does that
    let other: Kv = session.nats.jetstream().key_value(session.kv.bucket());
    let config = session.wait(|kv, done| kv.status(done)).expect("a status").config();
    let updated = session.ask(|done| other.update_bucket(config.per_key_ttl(true), done));
    updated.expect("updated");
    assert_eq!(session.wait(create), Ok(1));
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("3600"));
}

#[test]
fn a_touch_renews_a_value_that_is_there() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(1));
    let touch = |kv: &Kv, done| kv.touch("k", HOUR, done);
    assert_eq!(session.wait(touch), Ok(None), "it was never written");
    session.put("k", "the value");
    assert_eq!(session.wait(touch), Ok(Some(2)));
    assert_eq!(session.get("k"), Some(("the value".into(), 2)));
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("3600"));
    session.wait(|kv, done| kv.touch("k", Ttl::Never, done)).expect("renewed");
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("never"));
    session.delete("k");
    assert_eq!(session.wait(touch), Ok(None), "it was deleted");
    assert_eq!(session.messages(), 1, "the tombstone");
}

#[test]
fn touches_that_meet_all_come_through_and_lose_no_value() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(1));
    session.put("k", "1");
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..3 {
        let noted = outcomes.clone();
        session.kv.touch("k", HOUR, move |(), _, touched| noted.borrow_mut().push(touched));
    }
    session.until("three outcomes", || outcomes.borrow().len() == 3);
    let mut revisions: Vec<_> =
        outcomes.borrow().iter().map(|touched| touched.clone().expect("renewed")).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [Some(2), Some(3), Some(4)]);
    assert_eq!(session.get("k"), Some(("1".into(), 4)));
}

#[test]
fn a_purge_has_a_revision_and_a_tombstone_with_a_ttl() {
    requires!(server(), 2, 11);
    let session = Session::new(with_markers(3));
    let revision = session.put("k", "1");
    let options = PurgeOptions::new().ttl(SECOND.saturating_mul(7200));
    let wrong = session.wait(|kv, done| kv.purge_with("k", options.at_revision(9), done));
    let expected = Error::WrongRevision { key: "k".into(), expected: 9, actual: Some(revision) };
    assert_eq!(wrong, Err(expected));
    let purged = session.wait(|kv, done| kv.purge_with("k", options.at_revision(revision), done));
    assert_eq!(purged, Ok(2));
    assert_eq!(header(&session, "k", "KV-Operation").as_deref(), Some("PURGE"));
    assert_eq!(header(&session, "k", "Nats-TTL").as_deref(), Some("7200"));
}

/// A handle of the bucket that knows what it is.
#[track_caller]
fn bound(session: &Session) -> Kv {
    let bound = Rc::new(RefCell::new(None));
    let given = bound.clone();
    session.kv.bind(move |(), kv, status| {
        status.expect("the bucket");
        *given.borrow_mut() = Some(kv.clone());
    });
    session.until("a handle", || bound.borrow().is_some());
    bound.take().expect("a handle")
}

#[test]
fn a_mirror_goes_by_what_its_origin_takes() {
    requires!(server(), 2, 11);
    let origin = Session::new(Config::new().per_key_ttl(true));
    let mirror = Session::new(Config::new().history(5).mirror(Source::new(origin.kv.bucket())));
    let kv = bound(&mirror);
    let put = mirror.ask(|done| kv.put_with("k", "1", lives(HOUR), done));
    assert_eq!(put, Ok(1));
    assert_eq!(header(&origin, "k", "Nats-TTL").as_deref(), Some("3600"));
    // the other way round
    let origin = Session::new(with_markers(3));
    let mirror =
        Session::new(Config::new().per_key_ttl(true).mirror(Source::new(origin.kv.bucket())));
    let kv = bound(&mirror);
    let put = mirror.ask(|done| kv.put_with("k", "1", lives(HOUR), done));
    assert!(matches!(put, Err(Error::TtlNeedsHistoryOfOne { history: Some(3), .. })), "{put:?}");
}

#[test]
fn a_server_without_ttls_is_not_sent_any() {
    if level() >= 1 {
        return;
    }
    let session = Session::new(Config::new());
    session.put("k", "1");
    let lacks = |outcome: Result<u64, Error>| match outcome {
        Err(Error::JetStream(jetstream::Error::Unsupported { needs: 1, has: 0, .. })) => {}
        outcome => panic!("{outcome:?}"),
    };
    lacks(session.wait(|kv, done| kv.put_with("k", "2", lives(HOUR), done)));
    lacks(session.wait(|kv, done| kv.create_with("new", "2", lives(HOUR), done)));
    lacks(session.wait(|kv, done| kv.touch("k", HOUR, done)).map(|_| 0));
    lacks(session.wait(|kv, done| kv.purge_with("k", PurgeOptions::new().ttl(HOUR), done)));
    assert_eq!(session.messages(), 1);
    // without a TTL, options need nothing
    let update = |kv: &Kv, done| kv.update_with("k", "2", 1, WriteOptions::new(), done);
    assert_eq!(session.wait(update), Ok(2));
}

#[test]
fn a_value_lives_on_as_long_as_it_is_read_and_is_seldom_written_for_that() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().history(1).per_key_ttl(true));
    let sliding = session.kv.sliding(2 * SECOND);
    let stored = session.ask(|done| sliding.put("k", "1", done));
    assert_eq!(stored, Ok(1));
    session.ask(|done| sliding.put("unread", "1", done)).expect("stored");
    let (mut reads, mut revisions) = (0, Vec::new());
    let begun = std::time::Instant::now();
    while begun.elapsed() < 5 * SECOND {
        let read = session.ask(|done| sliding.get("k", done)).expect("an answer");
        let read = read.expect("it lives on");
        assert_eq!(read.entry.text(), "1");
        reads += 1;
        revisions.push(read.revision);
    }
    revisions.dedup();
    assert!(reads > 100, "{reads}");
    // twice at first, when the server's clock is not known, and then each half of a second
    assert!((8..=14).contains(&revisions.len()), "{revisions:?} for {reads} reads");
    assert_eq!(session.get("unread"), None);
    assert_eq!(session.ask(|done| sliding.get("unread", done)), Ok(None));
    session.until("its end", || begun.elapsed() > 8 * SECOND);
    assert_eq!(session.ask(|done| sliding.get("k", done)), Ok(None), "nobody has read it");
}

#[test]
fn a_renewal_that_comes_second_is_no_error_of_the_read() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().history(1).per_key_ttl(true));
    // the answer to the second read may have waited for the renewal that the first one has brought about
    let came_second = (0..100).any(|round| {
        let key = format!("k{round}");
        let put = session.wait(|kv, done| kv.put(&key, "1", done)).expect("a revision");
        // it knows nothing of the server's clock yet, so both would renew the value
        let sliding = session.kv.sliding(HOUR);
        let both = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let both = both.clone();
            sliding.get(&key, move |(), _, read| {
                both.borrow_mut().push(read.expect("an answer").expect("a value").revision);
            });
        }
        session.until("both reads", || both.borrow().len() == 2);
        assert_eq!(header(&session, &key, "Nats-TTL").as_deref(), Some("3600"));
        let revisions = both.take();
        assert_eq!(revisions[0], put + 1, "the first one has renewed it");
        assert!((put..=put + 1).contains(&revisions[1]), "{put}: {revisions:?}");
        revisions[1] == put
    });
    assert!(came_second, "no two reads that were answered before one had renewed the value");
}

#[test]
fn a_bucket_that_keeps_a_history_takes_no_sliding_expiry() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().history(3).per_key_ttl(true));
    session.put("k", "1");
    let read = session.ask(|done| session.kv.sliding(HOUR).get("k", done));
    let bucket = session.kv.bucket().to_owned();
    assert_eq!(read, Err(Error::TtlNeedsHistoryOfOne { bucket, history: Some(3) }));
    let read = session.ask(|done| session.kv.sliding(SECOND / 2).get("k", done));
    assert!(matches!(read, Err(Error::JetStream(_))), "{read:?}");
    let read = session.ask(|done| session.kv.sliding(HOUR).get("a b", done));
    assert!(matches!(read, Err(Error::InvalidKey { .. })), "{read:?}");
    assert_eq!(session.messages(), 1);
}
