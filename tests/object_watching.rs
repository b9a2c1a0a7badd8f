//! Watches of Object Store on a real server: what they show, what they survive, and how they end.

mod support;

use evnats::Options;
use evnats::jetstream::{JetStream, Source, StreamConfig};
use evnats::object_store::{
    Config, Error, ObjectMeta, ObjectStore, Update, WatchOptions, WatchState, Watcher,
};
use evnats_harness::{FaultProxy, Server};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use support::asking::{Asking, Told};
use support::metas::{JUNK, ODD, meta, shown, unreadable};
use support::objects::Objects;
use support::{server, unique};

type Js = JetStream<()>;

/// A watch, and what it has shown, a line each.
struct Seen {
    lines: Rc<RefCell<Vec<String>>>,
    watcher: Watcher<()>,
}

fn line(update: &Update) -> String {
    match update {
        Update::Object(info) => shown(info),
        Update::Unreadable(bad) => unreadable(bad),
        Update::Initialized => "initialized".into(),
        Update::Recreating { .. } => "recreating".into(),
        Update::Live => "live".into(),
        Update::Stalled(stall) => format!("stalled: {stall}"),
        Update::Resumed => "resumed".into(),
        Update::Ended(error) => format!("ended: {error}"),
        other => panic!("{other:?}"),
    }
}

impl Seen {
    fn of(store: &ObjectStore<()>, options: WatchOptions) -> Self {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let noted = lines.clone();
        let watcher = store.watch(options, move |(): &mut (), _, update| {
            noted.borrow_mut().push(line(&update));
        });
        Self { lines, watcher }
    }

    fn has(&self, line: &str) -> bool {
        self.lines.borrow().iter().any(|seen| seen == line)
    }

    /// Turns the loop until a line is there.
    #[track_caller]
    fn expect(&self, objects: &Objects, line: &str) {
        objects.until(line, || self.has(line));
    }

    fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The lines about objects.
    fn objects(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.contains('@'));
        lines
    }
}

fn name(text: &str) -> String {
    text.split('@').next().unwrap_or_default().to_owned()
}

#[test]
fn what_is_there_comes_and_the_signal_and_then_every_change() {
    let objects = Objects::new();
    let [a, b] = ["a", "b"].map(|name| objects.put(name, b"x").revision);
    objects.delete("a").expect("deleted");
    let gone = objects.info_of_stream().state.last_sequence;
    let seen = Seen::of(&objects.store, WatchOptions::new());
    assert!(matches!(seen.watcher.state(), WatchState::Recreating { .. }));
    seen.expect(&objects, "initialized");
    assert_eq!(seen.watcher.state(), WatchState::Live);
    let expected = [format!("b@{b}"), format!("a@{gone} deleted"), "initialized".into()];
    assert_eq!(seen.lines(), expected);
    let changed = objects.put("b", b"y").revision;
    let described = objects.wait(|store, done| {
        store.update_meta("b", ObjectMeta::new("b").description("d"), done);
    });
    described.expect("described");
    let described = objects.info("b").expect("known").revision;
    objects.delete("b").expect("deleted");
    let last = objects.info_of_stream().state.last_sequence;
    seen.expect(&objects, &format!("b@{last} deleted"));
    let news = [format!("b@{changed}"), format!("b@{described}"), format!("b@{last} deleted")];
    assert_eq!(seen.lines()[3..], news);
    assert!(a < b && b < gone && seen.watcher.is_active());
}

#[test]
fn an_empty_bucket_is_signaled_and_what_comes_then_is_shown() {
    let objects = Objects::new();
    for options in [
        WatchOptions::new(),
        WatchOptions::new().include_history(),
        WatchOptions::new().updates_only(),
        WatchOptions::new().ignore_deletes(),
    ] {
        let objects = Objects::new();
        let seen = Seen::of(&objects.store, options);
        seen.expect(&objects, "initialized");
        assert_eq!(seen.lines(), ["initialized"]);
        let revision = objects.put("a", b"x").revision;
        seen.expect(&objects, &format!("a@{revision}"));
        assert_eq!(seen.lines().len(), 2);
    }
    // one that was emptied, and has only chunks' places
    objects.put("a", b"x");
    objects.delete("a").expect("deleted");
    let seen = Seen::of(&objects.store, WatchOptions::new().ignore_deletes());
    seen.expect(&objects, "initialized");
    assert_eq!(seen.lines(), ["initialized"]);
}

#[test]
fn deletions_are_left_out_if_that_is_asked_for() {
    let objects = Objects::new();
    objects.put("a", b"x");
    objects.put("b", b"x");
    objects.delete("a").expect("deleted");
    let seen = Seen::of(&objects.store, WatchOptions::new().ignore_deletes());
    seen.expect(&objects, "initialized");
    objects.delete("b").expect("deleted");
    let again = objects.put("a", b"y").revision;
    seen.expect(&objects, &format!("a@{again}"));
    assert_eq!(seen.objects().iter().map(|line| name(line)).collect::<Vec<_>>(), ["b", "a"]);
    assert!(!seen.lines().iter().any(|line| line.contains("deleted")));
}

#[test]
fn only_changes_are_shown_if_that_is_asked_for() {
    let objects = Objects::new();
    objects.put("a", b"x");
    let seen = Seen::of(&objects.store, WatchOptions::new().updates_only());
    seen.expect(&objects, "initialized");
    let revision = objects.put("b", b"x").revision;
    seen.expect(&objects, &format!("b@{revision}"));
    assert_eq!(seen.lines(), ["initialized".into(), format!("b@{revision}")]);
}

#[test]
fn with_the_history_everything_comes_that_the_bucket_holds() {
    let objects = Objects::new();
    let subject = objects.meta_subject("7");
    // without a rollup, as some clients write it
    let [first, second] = [(); 2].map(|()| objects.store_raw(&subject, meta(7)));
    let history = Seen::of(&objects.store, WatchOptions::new().include_history());
    let last = Seen::of(&objects.store, WatchOptions::new());
    history.expect(&objects, "initialized");
    last.expect(&objects, "initialized");
    assert_eq!(history.objects(), [format!("7@{first}"), format!("7@{second}")]);
    assert_eq!(last.objects(), [format!("7@{second}")]);
}

#[test]
fn what_cannot_be_read_is_told_apart_and_keeps_nothing_back() {
    let objects = Objects::new();
    let mut expected = Vec::new();
    for (number, junk) in JUNK.iter().enumerate() {
        let bad = format!("bad {number}");
        let revision = objects.store_raw(&objects.meta_subject(&bad), junk);
        expected.push(format!("unreadable {bad}@{revision}"));
        let good = format!("good {number}");
        expected.push(format!("{good}@{}", objects.put(good.as_str(), b"x").revision));
    }
    let subject = format!("$O.{}.M.no-name-at-all", objects.store.bucket());
    let revision = objects.store_raw(&subject, "?");
    expected.push(format!("unreadable {subject}@{revision}"));
    for (number, odd) in ODD.iter().enumerate() {
        let revision = objects.store_raw(&objects.meta_subject(&format!("odd {number}")), odd);
        expected.push(format!("odd@{revision}"));
    }
    let seen = Seen::of(&objects.store, WatchOptions::new());
    seen.expect(&objects, "initialized");
    // and the same when it comes later
    let late = objects.store_raw(&objects.meta_subject("late"), "{");
    seen.expect(&objects, &format!("unreadable late@{late}"));
    expected.extend(["initialized".into(), format!("unreadable late@{late}")]);
    assert_eq!(seen.lines(), expected);
}

#[test]
fn a_reason_says_what_is_wrong_and_where() {
    let objects = Objects::new();
    let revision = objects.store_raw(&objects.meta_subject("a"), r#"{"name":7}"#);
    let told = Rc::new(RefCell::new(String::new()));
    let noted = told.clone();
    objects.store.watch(WatchOptions::new(), move |(): &mut (), _, update| {
        if let Update::Unreadable(bad) = update {
            noted.replace(bad.to_string());
        }
    });
    objects.until("what is wrong", || !told.borrow().is_empty());
    let start =
        format!("what is stored of object \"a\" at {revision} cannot be read: invalid type");
    assert!(told.borrow().starts_with(&start), "{}", told.borrow());
}

/// Every object comes once before the signal, in the order of the bucket, and of what is written beside
/// the watch everything that is not replaced before its turn.
#[test]
fn no_object_is_lost_and_none_comes_twice_beside_writes() {
    const OBJECTS: usize = 1_000;
    let objects = Objects::new();
    objects.fill(OBJECTS);
    let (last, revision, signals) =
        (Rc::new(RefCell::new(BTreeMap::new())), Cell::new(0), Rc::new(Cell::new(0)));
    let (noted, told) = (last.clone(), signals.clone());
    let options = WatchOptions::new();
    let watcher = objects.store.watch(options, move |(): &mut (), _, update| match update {
        Update::Object(info) => {
            assert!(info.revision > revision.replace(info.revision), "out of order");
            noted.borrow_mut().insert(info.name, info.revision);
        }
        Update::Initialized => {
            told.set(told.get() + 1);
            assert_eq!(noted.borrow().len(), OBJECTS);
        }
        other => panic!("{other:?}"),
    });
    for round in 0..20 {
        for number in (round..OBJECTS).step_by(20) {
            let subject = objects.meta_subject(&number.to_string());
            objects.nats.publish(&subject, meta(number)).expect("room");
        }
        objects.event_loop.dispatch(&mut (), Some(Duration::ZERO)).expect("a turn");
    }
    objects.until("the signal", || signals.get() > 0);
    objects.until("what was published", || {
        objects.info_of_stream().state.messages == 2 * OBJECTS as u64
    });
    let expected = objects.info_of_stream().state.last_sequence;
    objects.until("the last change", || last.borrow().values().any(|seen| *seen == expected));
    let listed = objects.wait(|store, done| store.list(done)).expect("objects").objects;
    let listed: BTreeMap<_, _> =
        listed.into_iter().map(|info| (info.name, info.revision)).collect();
    assert_eq!(*last.borrow(), listed);
    assert_eq!(signals.get(), 1);
    watcher.stop();
}

#[test]
fn a_watch_that_is_stopped_shows_nothing_more_and_leaves_no_consumer() {
    let objects = Objects::new();
    objects.fill(10);
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    let watcher = objects.store.watch(WatchOptions::new(), move |(): &mut (), watcher, _| {
        count.set(count.get() + 1);
        if count.get() == 3 {
            watcher.stop();
        }
    });
    objects.until("three objects", || seen.get() == 3);
    Seen::of(&objects.store, WatchOptions::new()).watcher.stop();
    objects.expect_consumers(0);
    assert_eq!((watcher.is_active(), watcher.state()), (false, WatchState::Ended));
    assert_eq!(seen.get(), 3);
}

#[test]
fn a_panic_in_the_callback_leaves_the_watch_where_it_was() {
    let objects = Objects::new();
    objects.fill(4);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    objects.store.watch(WatchOptions::new(), move |(): &mut (), _, update| {
        noted.borrow_mut().push(name(&line(&update)));
        // an object, and the signal, which was noted behind one
        assert!(![2, 5].contains(&noted.borrow().len()), "a bug in the application");
    });
    for expected in [2, 5] {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            objects.until("a panic", || seen.borrow().len() > expected);
        }));
        assert!(panicked.is_err());
        assert_eq!(seen.borrow().len(), expected);
    }
    objects.put("4", b"x");
    objects.until("the object", || seen.borrow().len() == 6);
    assert_eq!(*seen.borrow(), ["0", "1", "2", "3", "initialized", "4"]);
}

/// Puts objects, and has something happen in the middle. The watch shows each once, in order.
#[track_caller]
fn watch_through(objects: &Objects, watched: &ObjectStore<()>, mut happens: impl FnMut()) -> Seen {
    const OBJECTS: usize = 12;
    let seen = Seen::of(watched, WatchOptions::new());
    seen.expect(objects, "initialized");
    let mut expected = Vec::new();
    for number in 0..OBJECTS {
        let info = objects.put(number.to_string(), b"x");
        expected.push(shown(&info));
        if number % 5 == 4 {
            happens();
        }
    }
    let last = expected.last().expect("objects");
    seen.expect(objects, last);
    assert_eq!(seen.objects(), expected);
    assert_eq!(seen.lines().iter().filter(|line| *line == "initialized").count(), 1);
    seen
}

#[test]
fn a_watch_goes_on_when_the_server_is_started_again() {
    let mut server = Server::start();
    let options = Options::new(server.url())
        .reconnect_delay(Duration::from_millis(5))
        .max_reconnect_delay(Duration::from_millis(50));
    let objects = Objects::of(Asking::with(options), &unique("restarted"));
    objects.create(Config::new());
    let store = objects.store.clone();
    let seen = watch_through(&objects, &store, || server.restart());
    assert!(seen.has("recreating"));
    objects.until("a consumer", || seen.watcher.state() == WatchState::Live);
    objects.expect_consumers(1);
    seen.watcher.stop();
    drop(objects);
}

#[test]
fn a_watch_goes_on_when_its_connection_is_cut() {
    let objects = Objects::new();
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let options = Options::new(proxy.url())
        .reconnect_delay(Duration::from_millis(2))
        .max_reconnect_delay(Duration::from_millis(2));
    let nats = objects.event_loop.connect(options).expect("a client");
    let watched = nats.jetstream().object_store(objects.store.bucket());
    let reconnected = || nats.statistics().reconnects;
    let seen = watch_through(&objects, &watched, || {
        let before = reconnected();
        proxy.cut_all();
        objects.until("a reconnect", || reconnected() > before);
    });
    objects.until("a consumer", || seen.watcher.state() == WatchState::Live);
    assert!(seen.has("recreating") && seen.has("live"));
    objects.expect_consumers(1);
    nats.close();
}

#[test]
fn a_bucket_that_is_deleted_ends_its_watches() {
    let objects = Objects::new();
    objects.put("a", b"x");
    let seen = Seen::of(&objects.store, WatchOptions::new().heartbeat(Duration::from_millis(200)));
    seen.expect(&objects, "initialized");
    objects.wait(|store, done| store.delete_bucket(done)).expect("deleted");
    let ended = format!("ended: bucket {:?} not found", objects.store.bucket());
    seen.expect(&objects, &ended);
    assert_eq!(seen.lines().last(), Some(&ended));
    assert_eq!((seen.watcher.is_active(), seen.watcher.state()), (false, WatchState::Ended));
    // and one that begins then has no other end
    let late = Seen::of(&objects.store, WatchOptions::new());
    late.expect(&objects, &ended);
    assert_eq!(late.lines(), [ended]);
}

#[test]
fn a_bucket_that_is_created_anew_ends_its_watches() {
    let objects = Objects::new();
    objects.put("a", b"x");
    // long enough that the bucket is there again when the consumer is missed
    let seen = Seen::of(&objects.store, WatchOptions::new().heartbeat(Duration::from_secs(2)));
    seen.expect(&objects, "initialized");
    objects.wait(|store, done| store.delete_bucket(done)).expect("deleted");
    objects.create(Config::new());
    objects.until("the end", || !seen.watcher.is_active());
    let ended = "ended: the stream was created again while it was read";
    assert_eq!(seen.lines().last().map(String::as_str), Some(ended));
}

/// Turns the loop until a watch has ended, and returns why.
#[track_caller]
fn ended(objects: &Objects, store: &ObjectStore<()>) -> Error {
    let end = Rc::new(RefCell::new(None));
    let told = end.clone();
    store.watch(WatchOptions::new(), move |(): &mut (), _, update| match update {
        Update::Ended(error) => assert!(told.replace(Some(error)).is_none(), "two ends"),
        other => panic!("{other:?}"),
    });
    assert!(end.borrow().is_none(), "within the call");
    objects.until("the end", || end.borrow().is_some());
    end.take().expect("it is there")
}

#[test]
fn what_cannot_be_watched_is_an_end_with_the_reason() {
    let objects = Objects::new();
    let js = objects.nats.jetstream();
    let bad = ended(&objects, &js.object_store("a.b"));
    assert!(matches!(bad, Error::InvalidBucket { .. }), "{bad}");
    let missing = ended(&objects, &js.object_store(&unique("missing")));
    assert!(missing.is_bucket_not_found(), "{missing}");
    let other = unique("other");
    let config = StreamConfig::new(format!("OBJ_{other}")).subjects([format!("{other}.>")]);
    let created = objects.ask(|done: Told<Js, _>| js.create_stream(&config, done));
    created.expect("a stream");
    let other = ended(&objects, &js.object_store(&other));
    assert!(matches!(other, Error::NotABucket { .. }), "{other}");
    // its objects have the subjects of the bucket that it copies
    let mirror = unique("mirror");
    let config = StreamConfig::new(format!("OBJ_{mirror}")).mirror(Source::new(objects.stream()));
    let created = objects.ask(|done: Told<Js, _>| js.create_stream(&config, done));
    created.expect("a stream");
    let mirror = ended(&objects, &js.object_store(&mirror));
    assert!(mirror.to_string().contains("a mirror of another one"), "{mirror}");
}

#[test]
fn a_client_that_is_closed_ends_its_watches() {
    let objects = Objects::new();
    let nats = objects.event_loop.connect(server().url()).expect("a client");
    let seen =
        Seen::of(&nats.jetstream().object_store(objects.store.bucket()), WatchOptions::new());
    seen.expect(&objects, "initialized");
    nats.close();
    objects.until("the end", || !seen.watcher.is_active());
    let last = seen.lines().pop().expect("an end");
    assert!(last.starts_with("ended: the connection is closed"), "{last}");
}

#[test]
fn a_watch_of_objects_whose_replicas_lag_behind_says_so_and_that_it_is_over() {
    let objects = Objects::new();
    let revision = objects.put("a", b"x").revision;
    let is_lagging = Rc::new(Cell::new(true));
    let lags = is_lagging.clone();
    // the leader knows of a later revision than the stream that the consumers are made on
    let watched = objects.seen_through(move |_, reply| {
        if let Some(sequence) = reply.pointer_mut("/message/seq")
            && lags.get()
        {
            *sequence = (sequence.as_u64().expect("a number") + 1).into();
        }
    });
    let options = WatchOptions::new().heartbeat(Duration::from_millis(100));
    let seen = Seen::of(&watched, options);
    let stalled = "stalled: the replica that serves the watch lags behind the leader";
    seen.expect(&objects, stalled);
    assert!(!seen.has("initialized"));
    is_lagging.set(false);
    seen.expect(&objects, "initialized");
    assert!(seen.has("resumed"));
    assert_eq!(seen.objects(), [format!("a@{revision}")]);
    seen.watcher.stop();
}

#[test]
fn a_watch_whose_consumers_cannot_be_made_says_so_and_that_it_is_over() {
    let objects = Objects::new();
    let before = objects.put("a", b"x").revision;
    let is_refused = Rc::new(Cell::new(false));
    let refuses = is_refused.clone();
    let watched = objects.seen_through(move |operation, reply| {
        if operation.starts_with("CONSUMER.CREATE.") && refuses.get() {
            let error = json!({ "code": 503, "err_code": 10008, "description": "not now" });
            *reply = json!({ "type": reply["type"], "error": error });
        }
    });
    let options = WatchOptions::new().heartbeat(Duration::from_millis(100));
    let seen = Seen::of(&watched, options);
    seen.expect(&objects, "initialized");
    is_refused.set(true);
    let (js, stream) = (objects.nats.jetstream(), objects.stream());
    let consumers = objects.ask(|done: Told<Js, _>| js.consumer_names(&stream, done));
    for consumer in consumers.expect("names") {
        let deleted = objects.ask(|done: Told<Js, _>| js.delete_consumer(&stream, &consumer, done));
        deleted.expect("deleted");
    }
    let is_stalled = |line: &String| line.starts_with("stalled: the server makes no consumer");
    objects.until("a stall", || seen.lines().iter().any(is_stalled));
    let meanwhile = objects.put("b", b"x").revision;
    is_refused.set(false);
    seen.expect(&objects, "resumed");
    seen.expect(&objects, &format!("b@{meanwhile}"));
    assert_eq!(seen.objects(), [format!("a@{before}"), format!("b@{meanwhile}")]);
    seen.watcher.stop();
}
