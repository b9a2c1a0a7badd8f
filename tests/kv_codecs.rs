//! Key-Value: keys and values in another form in the bucket than in the program, on a real server.

mod support;

use evnats::jetstream::{self, Ttl};
use evnats::kv::{
    Base64Keys, Base64Values, CodecError, CodecStep, Codecs, CodedKey, CodedKeyValue, CodedUpdate,
    Config, Decoded, Entry, Error, KeyChain, KeyCodec, Operation, PathKeys, PurgeOptions, Reads,
    Undecodable, Update, ValueChain, ValueCodec, WatchOptions, WriteOptions,
};
use evnats_harness::requires;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use support::asking::Told;
use support::server;
use support::session::Session;

type Coded = CodedKeyValue<()>;

const HOUR: Duration = Duration::from_secs(3600);

/// Paths of any characters, and values of printable ones.
fn files() -> Codecs {
    let keys = KeyChain::new().then(PathKeys).then(Base64Keys);
    Codecs::new().keys(keys).values(Base64Values)
}

/// Makes a call of a handle with codecs, and returns its outcome.
#[track_caller]
fn wait<T: 'static>(
    session: &Session,
    coded: &Coded,
    call: impl FnOnce(&Coded, Told<Coded, T>),
) -> T {
    session.ask(|done| call(coded, done))
}

/// The key, the value as text, and the revision.
fn parts(entry: &Entry) -> (String, String, u64) {
    (entry.key().into_owned(), entry.text().into_owned(), entry.revision())
}

#[track_caller]
fn get(session: &Session, coded: &Coded, key: &str) -> Option<(String, String, u64)> {
    let found = wait(session, coded, |kv, done| kv.get(key, done)).expect("an answer");
    found.as_ref().map(parts)
}

fn codec_error(step: CodecStep, key: &str, reason: &str) -> Error {
    Error::Codec { step, key: key.into(), cause: CodecError::new(reason) }
}

/// Refuses everything but lower-case letters, and takes no wildcards.
struct Picky;

impl KeyCodec for Picky {
    fn encode(&self, key: &str) -> Result<String, CodecError> {
        match key.bytes().all(|byte| byte.is_ascii_lowercase()) {
            true => Ok(key.to_ascii_uppercase()),
            false => Err(CodecError::new("only letters")),
        }
    }

    fn decode(&self, key: &str) -> Result<String, CodecError> {
        match key.bytes().all(|byte| byte.is_ascii_uppercase()) {
            true => Ok(key.to_ascii_lowercase()),
            false => Err(CodecError::new("only capital letters")),
        }
    }
}

/// Values with an exclamation mark behind them, which none has before.
struct Exclaimed;

impl ValueCodec for Exclaimed {
    fn encode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        match value.contains(&b'!') {
            true => Err(CodecError::new("it has one already")),
            false => Ok([value, b"!"].concat()),
        }
    }

    fn decode(&self, value: &[u8]) -> Result<Vec<u8>, CodecError> {
        let rest = value.strip_suffix(b"!").map(<[u8]>::to_vec);
        rest.ok_or_else(|| CodecError::new("it has none"))
    }
}

#[test]
fn what_is_written_is_encoded_in_the_bucket_and_decoded_when_it_is_read() {
    let session = Session::new(Config::new().history(5));
    let coded = session.kv.with_codecs(files());
    let key = "/my home/a*b";
    assert_eq!(wait(&session, &coded, |kv, done| kv.put(key, "1 ü", done)), Ok(1));
    assert_eq!(session.get("X3Jvb3Rf.bXkgaG9tZQ.YSpi"), Some(("MSDDvA".into(), 1)));
    for reads in [Reads::Leader, Reads::Replica] {
        let coded = coded.with_reads(reads);
        assert_eq!(get(&session, &coded, key), Some((key.into(), "1 ü".into(), 1)));
    }
    let plain = session.wait(|kv, done| kv.get("X3Jvb3Rf.bXkgaG9tZQ.YSpi", done));
    let plain = plain.expect("an answer").expect("a value");
    let found = wait(&session, &coded, |kv, done| kv.get(key, done));
    let found = found.expect("an answer").expect("a value");
    assert_eq!((found.created(), found.bucket()), (plain.created(), plain.bucket()));
    assert!(found.created().is_some());
    assert_eq!(found.operation(), Operation::Put);
    assert_eq!(get(&session, &coded, "/my home/other"), None);

    assert_eq!(wait(&session, &coded, |kv, done| kv.update(key, "2", 1, done)), Ok(2));
    let read = wait(&session, &coded, |kv, done| kv.get_revision(key, 1, done));
    assert_eq!(read.expect("an answer").as_ref().map(parts), Some((key.into(), "1 ü".into(), 1)));
    assert_eq!(wait(&session, &coded, |kv, done| kv.delete_at(key, 2, done)), Ok(3));
    let raw = wait(&session, &coded, |kv, done| kv.get_raw(key, done));
    let raw = raw.expect("an answer").expect("a tombstone");
    assert_eq!((parts(&raw), raw.operation()), ((key.into(), "".into(), 3), Operation::Delete));
    assert_eq!(get(&session, &coded, key), None);
    assert_eq!(wait(&session, &coded, |kv, done| kv.create(key, "3", done)), Ok(4));

    let history = wait(&session, &coded, |kv, done| kv.history(key, done)).expect("a history");
    let values: Vec<_> = history.items.iter().map(|entry| entry.text().into_owned()).collect();
    assert_eq!(values, ["1 ü", "2", "", "3"]);
    assert_eq!(history.undecodable, []);

    assert_eq!(wait(&session, &coded, |kv, done| kv.delete(key, done)), Ok(5));
    assert_eq!(wait(&session, &coded, |kv, done| kv.purge_at(key, 5, done)), Ok(6));
    assert_eq!(wait(&session, &coded, |kv, done| kv.purge(key, done)), Ok(7));
    let options = PurgeOptions::new().at_revision(7);
    assert_eq!(wait(&session, &coded, |kv, done| kv.purge_with(key, options, done)), Ok(8));
    assert_eq!(session.messages(), 1);
}

#[test]
fn what_has_a_time_to_live_is_encoded_like_the_rest() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new().limit_marker_ttl(HOUR));
    let coded = session.kv.with_codecs(files());
    let lives = || WriteOptions::new().ttl(HOUR);
    let created = wait(&session, &coded, |kv, done| kv.create_with("/a b", "1", lives(), done));
    assert_eq!(created, Ok(1));
    let put = wait(&session, &coded, |kv, done| kv.put_with("/a b", "2", lives(), done));
    assert_eq!(put, Ok(2));
    let updated = wait(&session, &coded, |kv, done| kv.update_with("/a b", "3", 2, lives(), done));
    assert_eq!(updated, Ok(3));
    let touched = wait(&session, &coded, |kv, done| kv.touch("/a b", Ttl::Never, done));
    assert_eq!(touched, Ok(Some(4)));
    assert_eq!(get(&session, &coded, "/a b"), Some(("/a b".into(), "3".into(), 4)));
    let touched = wait(&session, &coded, |kv, done| kv.touch("/c", HOUR, done));
    assert_eq!(touched, Ok(None));
}

#[test]
fn errors_are_about_the_key_as_the_program_knows_it() {
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(files());
    wait(&session, &coded, |kv, done| kv.put("/a b", "1", done)).expect("stored");
    let created = wait(&session, &coded, |kv, done| kv.create("/a b", "2", done));
    assert_eq!(created, Err(Error::KeyExists { key: "/a b".into(), revision: Some(1) }));
    let updated = wait(&session, &coded, |kv, done| kv.update("/a b", "2", 7, done));
    match updated {
        Err(Error::WrongRevision { key, expected: 7, .. }) => assert_eq!(key, "/a b"),
        other => panic!("{other:?}"),
    }
    // what cannot be a key in the bucket is told as it would have been there
    let put = wait(&session, &coded, |kv, done| kv.put("/a//b", "2", done));
    match put {
        Err(Error::InvalidKey { key, .. }) => assert_eq!(key, "X3Jvb3Rf.YQ..Yg"),
        other => panic!("{other:?}"),
    }
    assert_eq!(session.messages(), 1);
}

#[test]
fn a_codec_that_refuses_a_key_or_a_value_keeps_it_from_being_sent_and_the_callback_tells() {
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky).values(Exclaimed));
    let key_refused = codec_error(CodecStep::EncodeKey, "A", "only letters");
    let put = wait(&session, &coded, |kv, done| kv.put("A", "x", done));
    assert_eq!(put, Err(key_refused.clone()));
    assert_eq!(key_refused.to_string(), "cannot encode the key \"A\": only letters");
    assert_eq!(wait(&session, &coded, |kv, done| kv.get("A", done)), Err(key_refused.clone()));
    assert_eq!(wait(&session, &coded, |kv, done| kv.get_raw("A", done)), Err(key_refused.clone()));
    let read = wait(&session, &coded, |kv, done| kv.get_revision("A", 1, done));
    assert_eq!(read, Err(key_refused.clone()));
    assert_eq!(wait(&session, &coded, |kv, done| kv.delete("A", done)), Err(key_refused.clone()));
    assert_eq!(wait(&session, &coded, |kv, done| kv.purge("A", done)), Err(key_refused.clone()));
    let touched = wait(&session, &coded, |kv, done| kv.touch("A", HOUR, done));
    assert_eq!(touched, Err(key_refused.clone()));
    assert_eq!(wait(&session, &coded, |kv, done| kv.history("A", done)), Err(key_refused));

    let value_refused = codec_error(CodecStep::EncodeValue, "a", "it has one already");
    let put = wait(&session, &coded, |kv, done| kv.put("a", "x!", done));
    assert_eq!(put, Err(value_refused.clone()));
    let created = wait(&session, &coded, |kv, done| kv.create("a", "x!", done));
    assert_eq!(created, Err(value_refused));

    let pattern_refused =
        codec_error(CodecStep::EncodePattern, "a*", "the codec of the keys takes no wildcards");
    let keys = wait(&session, &coded, |kv, done| kv.keys_matching(&["a", "a*"], done));
    assert_eq!(keys, Err(pattern_refused));
    let keys = wait(&session, &coded, |kv, done| kv.keys_matching(&[], done));
    assert_eq!(keys, Err(Error::NoPatterns));
    assert_eq!(session.messages(), 0);
}

#[test]
fn what_another_client_wrote_undecoded_is_an_error_of_its_read_and_told_apart_in_lists() {
    let session = Session::new(Config::new().history(5));
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky).values(Exclaimed));
    wait(&session, &coded, |kv, done| kv.put("b", "1", done)).expect("stored");
    session.put("B", "bare");
    wait(&session, &coded, |kv, done| kv.put("b", "3", done)).expect("stored");
    session.put("small", "4!");
    session.put("A", "bare");

    let value_error = |key: &str| codec_error(CodecStep::DecodeValue, key, "it has none");
    let key_error = codec_error(CodecStep::DecodeKey, "small", "only capital letters");
    assert_eq!(wait(&session, &coded, |kv, done| kv.get("a", done)), Err(value_error("a")));
    assert_eq!(get(&session, &coded, "b"), Some(("b".into(), "3".into(), 3)));

    let Decoded { items, undecodable, .. } =
        wait(&session, &coded, |kv, done| kv.keys(done)).expect("keys");
    assert_eq!(items, ["a", "b"]);
    let told = |one: &Undecodable| (one.key.clone(), one.revision, one.error.clone());
    let told = |list: &[Undecodable]| list.iter().map(told).collect::<Vec<_>>();
    assert_eq!(told(&undecodable), [("small".into(), None, key_error)]);

    let history = wait(&session, &coded, |kv, done| kv.history("b", done)).expect("a history");
    let values: Vec<_> = history.items.iter().map(parts).collect();
    assert_eq!(values, [("b".into(), "1".into(), 1), ("b".into(), "3".into(), 3)]);
    assert_eq!(told(&history.undecodable), [("B".into(), Some(2), value_error("b"))]);
}

/// What a watch has shown.
fn shown(update: CodedUpdate) -> String {
    let entry = |entry: &Entry| {
        format!("{}={}@{} {}", entry.key(), entry.text(), entry.revision(), entry.operation())
    };
    match update {
        CodedUpdate::Entry(one) => entry(&one),
        CodedUpdate::Undecodable(one) => format!("{}@{:?}: {}", one.key, one.revision, one.error),
        CodedUpdate::Batch(batch) => {
            let items: Vec<_> = batch.items.iter().map(entry).collect();
            let bad = batch.undecodable.iter().map(|one| format!("({})", one.key));
            items.into_iter().chain(bad).collect::<Vec<_>>().join(" + ")
        }
        CodedUpdate::Initialized => "initialized".into(),
        CodedUpdate::Ended(error) => format!("ended: {error}"),
        other => format!("{other:?}"),
    }
}

/// Watches, and writes down what is shown.
fn watch(coded: &Coded, patterns: &[&str], options: WatchOptions) -> Rc<RefCell<Vec<String>>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    coded.watch_many(patterns, options, move |(), watcher, update| {
        assert_eq!(watcher.is_active(), !matches!(update, CodedUpdate::Ended(_)));
        noted.borrow_mut().push(shown(update));
    });
    assert!(seen.borrow().is_empty(), "the callback has run within the call");
    seen
}

#[test]
fn a_watch_tells_what_cannot_be_decoded_and_goes_on() {
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky).values(Exclaimed));
    wait(&session, &coded, |kv, done| kv.put("a", "1", done)).expect("stored");
    session.put("small", "2!");
    session.put("B", "bare");
    let seen = watch(&coded, &[">"], WatchOptions::new());
    session.until("the signal", || seen.borrow().iter().any(|line| line == "initialized"));
    session.put("A", "bare");
    wait(&session, &coded, |kv, done| kv.delete("b", done)).expect("stored");
    wait(&session, &coded, |kv, done| kv.put("a", "6", done)).expect("stored");
    session.until("the last entry", || seen.borrow().len() == 7);
    let expected = [
        "a=1@1 PUT",
        "small@Some(2): cannot decode the key \"small\": only capital letters",
        "B@Some(3): cannot decode the value of key \"b\": it has none",
        "initialized",
        "A@Some(4): cannot decode the value of key \"a\": it has none",
        "b=@5 DEL",
        "a=6@6 PUT",
    ];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn a_watch_without_values_decodes_none() {
    requires!(server(), 2, 10);
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky).values(Exclaimed));
    wait(&session, &coded, |kv, done| kv.put("a", "1", done)).expect("stored");
    // a key is watched also where the codec takes no wildcards
    let seen = watch(&coded, &["a", "b"], WatchOptions::new().meta_only());
    session.until("the signal", || seen.borrow().len() == 2);
    assert_eq!(*seen.borrow(), ["a=@1 PUT", "initialized"]);
}

#[test]
fn a_watch_whose_pattern_cannot_be_encoded_ends_in_the_next_turn() {
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky));
    for pattern in ["a.*", "B"] {
        let seen = watch(&coded, &[pattern], WatchOptions::new());
        session.until("the end", || !seen.borrow().is_empty());
        let what = if pattern == "B" { "key" } else { "pattern" };
        let start = format!("ended: cannot encode the {what} {pattern:?}: ");
        assert!(seen.borrow()[0].starts_with(&start), "{:?}", seen.borrow());
        assert_eq!(seen.borrow().len(), 1);
    }
}

#[test]
fn a_watch_that_is_stopped_inside_its_callback_shows_no_more() {
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(files());
    for key in ["/a", "/b"] {
        wait(&session, &coded, |kv, done| kv.put(key, "1", done)).expect("stored");
    }
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    let watcher = coded.watch("/*", WatchOptions::new(), move |(), watcher, _| {
        counted.set(counted.get() + 1);
        watcher.stop();
        assert_eq!(watcher.bucket().bucket(), watcher.bucket().plain().bucket());
    });
    session.until("the first entry", || count.get() == 1);
    wait(&session, &coded, |kv, done| kv.put("/c", "1", done)).expect("stored");
    assert_eq!((count.get(), watcher.is_active()), (1, false));
}

#[test]
fn patterns_go_through_all_codecs_of_a_chain() {
    requires!(server(), 2, 10);
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(files());
    for key in ["/a b/1", "/a b/2/x", "/c/1", "rel/1", "/"] {
        wait(&session, &coded, |kv, done| kv.put(key, key, done)).expect("stored");
    }
    for (patterns, expected) in [
        (&["/a b/*"] as &[_], &["/a b/1"] as &[_]),
        (&["/a b/>"], &["/a b/1", "/a b/2/x"]),
        (&["/*/1", "rel/*"], &["/a b/1", "/c/1", "rel/1"]),
        (&["/"], &["/"]),
        (&["/c/1"], &["/c/1"]),
        (&[">"], &["/", "/a b/1", "/a b/2/x", "/c/1", "rel/1"]),
    ] {
        let keys = wait(&session, &coded, |kv, done| kv.keys_matching(patterns, done));
        assert_eq!(keys.expect("keys").items, expected, "{patterns:?}");
        let seen = watch(&coded, patterns, WatchOptions::new());
        session.until("the signal", || seen.borrow().last().is_some_and(|at| at == "initialized"));
        let mut keys: Vec<_> = seen.borrow().clone();
        keys.pop();
        keys.sort_unstable();
        let keys: Vec<_> = keys.iter().filter_map(|line| line.split('=').next()).collect();
        assert_eq!(keys, expected, "{patterns:?}");
    }
}

#[test]
fn a_batch_that_is_reported_whole_has_what_could_not_be_decoded_in_it() {
    requires!(server(), 2, 12);
    let session = Session::new(Config::new().atomic_batches(true));
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky).values(Exclaimed));
    let seen = watch(&coded, &[">"], WatchOptions::new().whole_batches());
    session.until("the signal", || seen.borrow().len() == 1);
    let batch = session.kv.batch().put("A", "1!").put("small", "2!").put("B", "3!");
    session.wait(|_, done| batch.commit(done)).expect("stored");
    session.until("the batch", || seen.borrow().len() == 2);
    assert_eq!(seen.borrow()[1], "a=1@1 PUT + b=3@3 PUT + (small)");
}

#[test]
fn several_codecs_of_values_are_undone_in_reverse() {
    let session = Session::new(Config::new());
    let values = ValueChain::new().then(Exclaimed).then(Base64Values);
    let coded = session.kv.with_codecs(Codecs::new().values(values));
    wait(&session, &coded, |kv, done| kv.put("a.b", "hi", done)).expect("stored");
    assert_eq!(session.get("a.b"), Some(("aGkh".into(), 1)));
    assert_eq!(get(&session, &coded, "a.b"), Some(("a.b".into(), "hi".into(), 1)));
}

#[test]
fn a_handle_with_codecs_reports_what_the_plain_one_would() {
    let session = Session::new(Config::new());
    let lost = session.nats.jetstream().key_value("no_such_bucket").with_codecs(files());
    let put = wait(&session, &lost, |kv, done| kv.put("/a", "1", done));
    assert!(put.is_err_and(|error| error.is_bucket_not_found()));
    let read_only = session.kv.read_only().with_codecs(files());
    let put = wait(&session, &read_only, |kv, done| kv.put("/a", "1", done));
    assert_eq!(put, Err(Error::ReadOnly { bucket: session.kv.bucket().into() }));
    let closed = session.nats.jetstream().key_value("a.b").with_codecs(files());
    let got = wait(&session, &closed, |kv, done| kv.get("/a", done));
    assert!(matches!(got, Err(Error::InvalidBucket { .. })), "{got:?}");
    assert!(!matches!(got, Err(Error::JetStream(jetstream::Error::Closed))));
}

#[test]
fn a_snapshot_has_the_keys_as_they_were_given() {
    requires!(server(), 2, 11);
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(files());
    wait(&session, &coded, |kv, done| kv.put("/a b", "1", done)).expect("stored");
    wait(&session, &coded, |kv, done| kv.put("c", "2", done)).expect("stored");
    // with the slash at the end, it is the same key in the bucket
    let keys = ["/a b/", "/never", "c", "/a b", "c"];
    let snapshot = wait(&session, &coded, |kv, done| kv.get_many(keys, done)).expect("a snapshot");
    let entry = |entry: &Entry| (entry.text().into_owned(), entry.revision());
    let shown: Vec<_> = snapshot.iter().map(|(key, found)| (key, found.map(entry))).collect();
    let (first, second) = (Some(("1".into(), 1)), Some(("2".into(), 2)));
    let expected = [("/a b/", first.clone()), ("/never", None), ("c", second), ("/a b", first)];
    assert_eq!(shown, expected);
    assert_eq!(snapshot.get("/a b").map(|entry| entry.key().into_owned()), Some("/a b".into()));

    let picky = session.kv.with_codecs(Codecs::new().keys(Picky).values(Exclaimed));
    let refused = wait(&session, &picky, |kv, done| kv.get_many(["a", "B"], done));
    assert_eq!(refused, Err(codec_error(CodecStep::EncodeKey, "B", "only letters")));
    session.put("A", "bare");
    let undecodable = wait(&session, &picky, |kv, done| kv.get_many(["b", "a"], done));
    assert_eq!(undecodable, Err(codec_error(CodecStep::DecodeValue, "a", "it has none")));
}

/// Lists keys, and writes down what is reported.
fn list(session: &Session, coded: &Coded, patterns: &[&str]) -> Vec<String> {
    let (seen, is_over) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(false)));
    let (noted, over) = (seen.clone(), is_over.clone());
    let listing = coded.list_keys(patterns, move |(), listing, listed| {
        noted.borrow_mut().push(match listed {
            CodedKey::Key(key) => key,
            CodedKey::Undecodable(one) => format!("({})", one.key),
            CodedKey::Ended(end) => {
                assert!(!over.replace(true) && !listing.is_active());
                end.map_or_else(|error| error.to_string(), |()| "end".into())
            }
            other => format!("{other:?}"),
        });
    });
    assert!(seen.borrow().is_empty() && listing.is_active(), "it has run within the call");
    session.until("the end of the listing", || is_over.get());
    seen.take()
}

#[test]
fn keys_that_are_listed_as_they_come_are_decoded_and_told_apart_if_they_cannot_be() {
    requires!(server(), 2, 10);
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(Codecs::new().keys(Picky));
    wait(&session, &coded, |kv, done| kv.put("a", "1", done)).expect("stored");
    session.put("small", "2");
    wait(&session, &coded, |kv, done| kv.put("b", "3", done)).expect("stored");
    assert_eq!(list(&session, &coded, &[">"]), ["a", "(small)", "b", "end"]);
    assert_eq!(list(&session, &coded, &["b", "c"]), ["b", "end"]);
    let refused = "cannot encode the pattern \"a*\": the codec of the keys takes no wildcards";
    assert_eq!(list(&session, &coded, &["b", "a*"]), [refused]);
    assert_eq!(list(&session, &coded, &[]), [Error::NoPatterns.to_string()]);
    let files = session.kv.with_codecs(files());
    wait(&session, &files, |kv, done| kv.put("/a b/c", "1", done)).expect("stored");
    assert_eq!(list(&session, &files, &["/*/c"]), ["/a b/c", "end"]);
}

#[test]
fn entries_of_a_watch_say_what_the_plain_ones_say_besides() {
    let session = Session::new(Config::new());
    let coded = session.kv.with_codecs(files());
    for key in ["/a", "/b", "/c"] {
        wait(&session, &coded, |kv, done| kv.put(key, "1", done)).expect("stored");
    }
    let told = |entry: &Entry| {
        (entry.revision(), entry.delta(), entry.operation(), entry.created(), entry.bucket().len())
    };
    let (plain, decoded) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let (noted_plain, noted_decoded) = (plain.clone(), decoded.clone());
    session.kv.watch(">", WatchOptions::new(), move |(), _, update| {
        if let Update::Entry(entry) = update {
            noted_plain.borrow_mut().push(told(&entry));
        }
    });
    coded.watch("/*", WatchOptions::new(), move |(), _, update| {
        if let CodedUpdate::Entry(entry) = update {
            noted_decoded.borrow_mut().push(told(&entry));
        }
    });
    session.until("the entries", || plain.borrow().len() == 3 && decoded.borrow().len() == 3);
    assert_eq!(plain, decoded);
    assert_eq!(plain.borrow().iter().map(|told| told.1).collect::<Vec<_>>(), [2, 1, 0]);
}
