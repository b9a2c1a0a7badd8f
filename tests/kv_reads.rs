//! What reads prove, on real servers.

mod support;

use evnats::jetstream::{self, JetStream, Source, Storage, StreamConfig};
use evnats::kv::{Config, Entry, Error, KeyValue, Reads, Update, WatchOptions};
use evnats_harness::{Server, requires};
use std::cell::RefCell;
use std::rc::Rc;
use support::asking::Asking;
use support::{server, unique, url_for};

type Kv = KeyValue<()>;

const KINDS: [Reads; 2] = [Reads::Verified, Reads::Linearizable];

fn in_memory() -> Config {
    Config::new().storage(Storage::Memory)
}

impl Asking {
    #[track_caller]
    fn create(&self, config: Config) -> Kv {
        let kv = self.nats.jetstream().key_value(&unique("bucket"));
        self.ask(|told| kv.create_bucket(config, told)).expect("a bucket");
        kv
    }

    #[track_caller]
    fn put(&self, kv: &Kv, key: &str, value: &'static str) -> u64 {
        self.ask(|told| kv.put(key, value, told)).expect("a revision")
    }

    #[track_caller]
    fn get(&self, kv: &Kv, reads: Reads, key: &str) -> Result<Option<String>, Error> {
        let found: Result<Option<Entry>, Error> =
            self.ask(|told| kv.with_reads(reads).get(key, told));
        found.map(|entry| entry.map(|entry| entry.text().into_owned()))
    }
}

#[test]
fn values_tombstones_and_absent_keys_are_read_with_a_proof() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory());
    for reads in KINDS {
        // a handle that has written nothing, and one that has
        assert_eq!(asking.get(&kv, reads, "absent"), Ok(None));
        asking.put(&kv, "k", "v");
        assert_eq!(asking.get(&kv, reads, "k"), Ok(Some("v".into())));
        assert_eq!(asking.get(&kv, reads, "absent"), Ok(None));
        asking.ask(|told| kv.delete("k", told)).expect("a tombstone");
        assert_eq!(asking.get(&kv, reads, "k"), Ok(None));
        let raw: Result<Option<Entry>, Error> =
            asking.ask(|told| kv.with_reads(reads).get_raw("k", told));
        assert!(raw.expect("an answer").expect("a tombstone").operation().is_tombstone());
    }
}

#[test]
fn entries_are_the_same_whatever_a_read_proves() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory());
    asking.put(&kv, "k", "v");
    let entry = |reads| -> Entry {
        let found: Result<Option<Entry>, Error> =
            asking.ask(|told| kv.with_reads(reads).get("k", told));
        found.expect("an answer").expect("an entry")
    };
    let leader = entry(Reads::Leader);
    for reads in [Reads::Replica, Reads::Verified, Reads::Linearizable] {
        assert_eq!(entry(reads), leader, "{reads:?}");
    }
}

/// The key that was asked for beside may be gone meanwhile, without a trace.
#[test]
fn absence_is_proven_when_the_known_key_has_gone() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory());
    asking.put(&kv, "known", "v");
    assert_eq!(asking.get(&kv, Reads::Verified, "known"), Ok(Some("v".into())));
    let js = asking.nats.jetstream();
    let stream = format!("KV_{}", kv.bucket());
    let all = jetstream::PurgeOptions::new();
    asking.ask::<JetStream<()>, _>(|told| js.purge_stream(&stream, &all, told)).expect("a purge");
    assert_eq!(asking.get(&kv, Reads::Verified, "known"), Ok(None), "behind a fence");
    assert_eq!(asking.get(&kv, Reads::Verified, "other"), Ok(None));
}

#[test]
fn a_bucket_that_was_made_anew_is_read_behind_a_fence() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory());
    for _ in 0..5 {
        asking.put(&kv, "k", "old");
    }
    let other = Asking::new();
    let same = other.nats.jetstream().key_value(kv.bucket());
    other.ask(|told| same.delete_bucket(told)).expect("deleted");
    other.ask(|told| same.create_bucket(in_memory(), told)).expect("a bucket");
    other.put(&same, "k", "new");
    assert_eq!(asking.get(&kv, Reads::Verified, "k"), Ok(Some("new".into())));
    assert_eq!(asking.put(&kv, "k", "newer"), 3, "after the fence");
    assert_eq!(asking.get(&kv, Reads::Verified, "k"), Ok(Some("newer".into())));
}

#[test]
fn the_fence_is_one_message_that_nobody_of_ours_sees() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory().history(5));
    asking.put(&kv, "k", "v");
    for _ in 0..3 {
        assert_eq!(asking.get(&kv, Reads::Linearizable, "k"), Ok(Some("v".into())));
    }
    let status = asking.ask(|told| kv.status(told)).expect("a status");
    assert_eq!((status.values(), status.stream().state.messages), (1, 2));
    assert_eq!(asking.ask(|told| kv.keys(told)).expect("keys"), ["k"]);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noting = seen.clone();
    kv.watch(">", WatchOptions::new().include_history(), move |(), _, update| {
        noting.borrow_mut().push(match update {
            Update::Entry(entry) => entry.key().into_owned(),
            other => format!("{other:?}"),
        });
    });
    asking.until("the signal", || seen.borrow().contains(&"Initialized".into()));
    // a live one
    assert_eq!(asking.get(&kv, Reads::Linearizable, "k"), Ok(Some("v".into())));
    asking.put(&kv, "k", "w");
    asking.until("the update", || seen.borrow().len() == 3);
    assert_eq!(*seen.borrow(), ["k", "Initialized", "k"]);
    let reserved: Result<Option<Entry>, Error> = asking.ask(|told| kv.get("_kv_fence", told));
    assert!(matches!(reserved, Err(Error::InvalidKey { .. })));
}

#[test]
fn many_linearizable_reads_at_once_share_their_fences() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory()).with_reads(Reads::Linearizable);
    asking.put(&kv, "k", "v");
    let read = Rc::new(RefCell::new(0));
    for _ in 0..500 {
        let read = read.clone();
        kv.get("k", move |(), _, found| {
            assert_eq!(found.expect("an answer").expect("an entry").text(), "v");
            *read.borrow_mut() += 1;
        });
    }
    asking.until("all answers", || *read.borrow() == 500);
    let last = asking.put(&kv, "k", "w");
    assert_eq!(last, 4, "one fence for the first, and one for the others");
}

#[test]
fn what_cannot_be_proven_is_refused_by_name() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    // no direct reads
    let bucket = unique("leader");
    let config = StreamConfig::new(format!("KV_{bucket}"))
        .subjects([format!("$KV.{bucket}.>")])
        .storage(Storage::Memory)
        .max_msgs_per_subject(1)
        .allow_rollup_hdrs(true);
    let js = asking.nats.jetstream();
    asking.ask::<JetStream<()>, _>(|told| js.create_stream(&config, told)).expect("a stream");
    let kv = js.key_value(&bucket);
    asking.put(&kv, "k", "v");
    for reads in KINDS {
        let refused = Err(Error::NoDirectReads { bucket: bucket.clone() });
        assert_eq!(asking.get(&kv, reads, "k"), refused, "{reads:?}");
        let missing = js.key_value("missing");
        let error = asking.get(&missing, reads, "k").expect_err("no bucket");
        assert!(error.is_bucket_not_found(), "{reads:?}: {error}");
    }
    // the fence is a write
    let kv = asking.create(in_memory());
    asking.put(&kv, "k", "v");
    let reader = kv.read_only();
    assert_eq!(asking.get(&reader, Reads::Verified, "k"), Ok(Some("v".into())));
    let error = asking.get(&reader, Reads::Linearizable, "k").expect_err("no fence");
    assert!(matches!(error, Error::NotLinearizable { .. }), "{error}");
    let mirror = js.key_value(&unique("mirror"));
    let config = in_memory().mirror(Source::new(kv.bucket()));
    let (mirror, made) = asking.ask_handle(|told| mirror.create_bucket(config, told));
    made.expect("a mirror");
    let error = asking.get(&mirror, Reads::Linearizable, "k").expect_err("no fence");
    assert!(matches!(error, Error::NotLinearizable { .. }), "{error}");
    let written = asking.put(&mirror, "k", "w");
    assert_eq!(written, 2);
    assert_eq!(asking.get(&mirror, Reads::Verified, "k"), Ok(Some("w".into())), "its own write");
}

#[test]
fn an_old_server_is_named_as_such() {
    let asking = Asking::new();
    if support::level() > 0 {
        return;
    }
    let kv = asking.create(in_memory());
    asking.put(&kv, "k", "v");
    for reads in KINDS {
        let error = asking.get(&kv, reads, "k").expect_err("a server of before 2.11");
        assert!(
            matches!(error, Error::JetStream(jetstream::Error::Unsupported { needs: 1, .. })),
            "{reads:?}: {error}"
        );
    }
}

/// Who may not write the fence is told at once by a linearizable read, and by a verified one only if
/// nothing else has proven it until the end.
#[test]
fn without_the_right_to_write_a_fence_a_verified_read_ends_unproven() {
    requires!(server(), 2, 11);
    let config = "accounts { A { jetstream: enabled, users: [\
        {user: all, password: p}, \
        {user: reader, password: p, permissions: {publish: {deny: \"$KV.>\"}}}] } }";
    let server = Server::builder().config(config).start().expect("a server");
    let writing = Asking::with(url_for(&server, "all"));
    let kv = writing.create(in_memory());
    writing.put(&kv, "k", "v");
    let asking = Asking::with(url_for(&server, "reader"));
    let js = asking.nats.jetstream().with_timeout(std::time::Duration::from_millis(500));
    let reader = js.key_value(kv.bucket());
    assert_eq!(asking.get(&reader, Reads::Verified, "k"), Ok(Some("v".into())));
    let denied = asking.get(&reader, Reads::Linearizable, "k").expect_err("no fence");
    assert!(denied.is_denied(), "{denied}");
    // everything goes without a trace, so that nothing proves that the key is gone
    let js = writing.nats.jetstream();
    let stream = format!("KV_{}", kv.bucket());
    let all = jetstream::PurgeOptions::new();
    writing.ask::<JetStream<()>, _>(|told| js.purge_stream(&stream, &all, told)).expect("a purge");
    assert_eq!(asking.get(&reader, Reads::Verified, "k"), Err(Error::Unproven { key: "k".into() }));
    assert_eq!(asking.get(&reader, Reads::Leader, "k"), Ok(None));
}

/// A server that is stopped in the middle answers nothing: the read ends at its deadline, and goes on to
/// work afterwards.
#[test]
fn a_proven_read_that_nobody_answers_ends_at_its_deadline() {
    requires!(server(), 2, 11);
    let server = Server::start();
    let asking = Asking::with(server.url().as_str());
    let kv = asking.create(in_memory());
    asking.put(&kv, "k", "v");
    assert_eq!(asking.get(&kv, Reads::Verified, "k"), Ok(Some("v".into())));
    let impatient = asking.nats.jetstream().with_timeout(std::time::Duration::from_millis(600));
    let impatient = impatient.key_value(kv.bucket());
    assert_eq!(asking.get(&impatient, Reads::Verified, "k"), Ok(Some("v".into())));
    server.pause();
    for reads in KINDS {
        let error = asking.get(&impatient, reads, "k").expect_err("nobody answers");
        assert!(error.is_timeout(), "{reads:?}: {error}");
    }
    server.resume();
    assert_eq!(asking.get(&kv, Reads::Linearizable, "k"), Ok(Some("v".into())));
}

/// What a listing is read up to is in the stream, also where it is not what is listed.
#[test]
fn listings_and_watches_are_read_up_to_a_fence() {
    requires!(server(), 2, 11);
    let asking = Asking::new();
    let kv = asking.create(in_memory().history(2));
    asking.put(&kv, "a.1", "v");
    asking.put(&kv, "b", "v");
    for (round, reads) in KINDS.into_iter().enumerate() {
        let handle = kv.with_reads(reads);
        assert_eq!(asking.ask(|told| handle.keys(told)).expect("keys"), ["a.1", "b"]);
        let matching = asking.ask(|told| handle.keys_matching(&["a.>"], told));
        assert_eq!(matching.expect("keys"), ["a.1"]);
        let history: Result<Vec<Entry>, Error> = asking.ask(|told| handle.history("b", told));
        assert_eq!(history.expect("a history").len(), 1);
        let none = asking.ask(|told| handle.keys_matching(&["none"], told));
        assert_eq!(none.expect("no keys"), Vec::<String>::new());
        let fences = 4 * (round as u64 + 1);
        let status = asking.ask(|told| kv.status(told)).expect("a status");
        assert_eq!(status.stream().state.last_sequence, 2 + fences, "each has written one");
        assert_eq!(status.values(), 2);
    }
    // where none can be written
    let reader = kv.read_only();
    let verified = reader.with_reads(Reads::Verified);
    assert_eq!(asking.ask(|told| verified.keys(told)).expect("keys"), ["a.1", "b"]);
    let refused = asking.ask(|told| reader.with_reads(Reads::Linearizable).keys(told));
    assert!(matches!(refused, Err(Error::NotLinearizable { .. })), "{refused:?}");
}
