//! The life of buckets, their mirrors and sources, and those that others have made, on a real server.

mod support;

use evnats::jetstream::{
    External, JetStream, Listed, Source, Storage, StreamConfig, SubjectTransform,
};
use evnats::kv::{Config, Entry, Error, KeyValue, Reads, Status, Update, WatchOptions};
use evnats_harness::{ReservedPort, Server, requires};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::asking::Asking;
use support::{server, unique};

type Kv = KeyValue<()>;

fn in_memory() -> Config {
    Config::new().storage(Storage::Memory)
}

impl Asking {
    fn kv(&self, bucket: &str) -> Kv {
        self.nats.jetstream().key_value(bucket)
    }

    /// Creates a bucket, and returns the handle that came with it.
    #[track_caller]
    fn create(&self, config: Config) -> Kv {
        let kv = self.kv(&unique("bucket"));
        let (kv, created) = self.ask_handle(|told| kv.create_bucket(config, told));
        created.expect("a bucket");
        kv
    }

    #[track_caller]
    fn bind(&self, bucket: &str) -> (Kv, Status) {
        let (kv, status) = self.ask_handle(|told| self.kv(bucket).bind(told));
        (kv, status.expect("a bucket"))
    }

    #[track_caller]
    fn put(&self, kv: &Kv, key: &str, value: &'static str) -> Result<u64, Error> {
        self.ask(|told| kv.put(key, value, told))
    }

    #[track_caller]
    fn get(&self, kv: &Kv, key: &str) -> Option<String> {
        let found: Result<Option<Entry>, Error> = self.ask(|told| kv.get(key, told));
        found.expect("an answer").map(|entry| entry.text().into_owned())
    }

    /// Reads a key until it has a value: what is copied takes its time.
    #[track_caller]
    fn wait_for(&self, kv: &Kv, key: &str) -> String {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(value) = self.get(kv, key) {
                return value;
            }
            assert!(Instant::now() < limit, "{key} is not there");
        }
    }

    #[track_caller]
    fn keys(&self, kv: &Kv) -> Vec<String> {
        self.ask(|told| kv.keys(told)).expect("a list")
    }

    #[track_caller]
    fn stream(&self, config: &StreamConfig) {
        let js = self.nats.jetstream();
        self.ask::<JetStream<()>, _>(|told| js.create_stream(config, told)).expect("a stream");
    }
}

#[test]
fn an_update_changes_what_was_said_and_leaves_alone_what_was_not() {
    let asking = Asking::new();
    let bucket = unique("bucket");
    let config = StreamConfig::new(format!("KV_{bucket}"))
        .subjects([format!("$KV.{bucket}.>")])
        .storage(Storage::Memory)
        .max_msgs_per_subject(1)
        .max_msgs(1_000)
        .allow_rollup_hdrs(true)
        .allow_direct(true);
    asking.stream(&config);
    let (kv, status) = asking.bind(&bucket);
    assert_eq!((status.config().history, status.config().max_bytes), (1, None));
    let wanted = status.config().history(4).description("four").max_bytes(1_000_000_u64);
    let updated = asking.ask(|told| kv.update_bucket(wanted.clone(), told)).expect("an update");
    assert_eq!(updated.config(), wanted);
    let stream = &updated.stream().config;
    assert_eq!((stream.max_msgs, stream.deny_delete), (Some(1_000), false));
    let missing = asking.ask(|told| asking.kv("missing").update_bucket(in_memory(), told));
    assert!(missing.expect_err("no bucket").is_bucket_not_found());
}

#[test]
fn create_or_update_does_either() {
    let asking = Asking::new();
    let kv = asking.kv(&unique("bucket"));
    for history in [1, 5] {
        let config = in_memory().history(history);
        let made = asking.ask(|told| kv.create_or_update_bucket(config, told)).expect("a bucket");
        assert_eq!(made.history(), Some(history.into()));
    }
    let impossible = in_memory().history(65);
    let refused = asking.ask(|told| kv.create_or_update_bucket(impossible, told));
    assert!(matches!(refused, Err(Error::InvalidConfig(_))), "{refused:?}");
}

#[test]
fn buckets_with_settings_that_others_have_made_are_taken_as_they_are() {
    let asking = Asking::new();
    let bucket = unique("odd");
    let mut config = StreamConfig::new(format!("KV_{bucket}"))
        .subjects([format!("$KV.{bucket}.>")])
        .storage(Storage::Memory)
        .discard(evnats::jetstream::Discard::New)
        .max_msgs_per_subject(1)
        .allow_rollup_hdrs(true);
    if support::level() >= 4 {
        config = config.allow_msg_ttl(true).allow_batched(true);
    }
    asking.stream(&config);
    let kv = asking.kv(&bucket);
    let created = asking.ask(|told| kv.create_bucket(in_memory(), told)).expect("the same");
    assert!(!created.stream().config.allow_direct, "it is not changed");
    asking.put(&kv, "k", "v").expect("a revision");
    // there are no direct reads: the leader answers
    assert_eq!(asking.get(&kv.with_reads(Reads::Replica), "k"), Some("v".into()));
    let other = asking.ask(|told| kv.create_bucket(in_memory().history(2), told));
    assert!(matches!(other, Err(Error::BucketExists { .. })), "{other:?}");
}

#[test]
fn what_is_no_bucket_is_not_bound() {
    let asking = Asking::new();
    let bucket = unique("none");
    let name = format!("KV_{bucket}");
    asking.stream(&StreamConfig::new(&name).subjects([format!("$KV.{bucket}.>")]));
    let bound = asking.ask(|told| asking.kv(&bucket).bind(told));
    assert!(matches!(bound, Err(Error::NotABucket { .. })), "{bound:?}");
    let bound = asking.ask(|told| asking.kv("missing").bind(told));
    assert!(bound.expect_err("no bucket").is_bucket_not_found());
}

#[test]
fn a_mirror_is_read_near_and_written_at_its_origin() {
    let asking = Asking::new();
    let origin = asking.create(in_memory().history(3));
    let config = in_memory().history(3).mirror(Source::new(origin.bucket()));
    let mirror = asking.create(config.clone());
    assert_eq!(asking.put(&origin, "a", "1"), Ok(1));
    assert_eq!(asking.put(&mirror, "b", "2"), Ok(2));
    assert_eq!(asking.get(&origin, "b"), Some("2".into()), "it was written to the origin");
    assert_eq!(asking.wait_for(&mirror, "b"), "2");
    assert_eq!(asking.get(&mirror, "a"), Some("1".into()));
    assert_eq!(asking.get(&mirror.with_reads(Reads::Replica), "a"), Some("1".into()));
    assert_eq!(asking.keys(&mirror), ["a", "b"]);
    let history: Result<Vec<Entry>, Error> = asking.ask(|told| mirror.history("b", told));
    assert_eq!(history.expect("a history").len(), 1);
    // who binds it later reads the same
    let (bound, status) = asking.bind(mirror.bucket());
    assert_eq!(status.config(), config);
    assert_eq!(asking.get(&bound, "a"), Some("1".into()));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noting = seen.clone();
    bound.watch(">", WatchOptions::new(), move |(), _, update| match update {
        Update::Entry(entry) => noting.borrow_mut().push(entry.key().into_owned()),
        Update::Initialized => noting.borrow_mut().push("all".into()),
        other => panic!("{other:?}"),
    });
    asking.until("the signal", || seen.borrow().contains(&"all".into()));
    assert_eq!(*seen.borrow(), ["a", "b", "all"]);
    // one who does not know that it is a mirror is told
    let unbound = asking.kv(mirror.bucket());
    let found: Result<Option<Entry>, Error> = asking.ask(|told| unbound.get("a", told));
    assert!(matches!(found, Err(Error::Mirror { .. })), "{found:?}");
}

#[test]
fn a_mirror_of_a_bucket_in_another_domain_writes_through_its_api() {
    let port = ReservedPort::any().expect("a port").port();
    let domain = |name: &str, leafnodes: &str| {
        let config = format!(
            "jetstream {{ domain: {name}, store_dir: \"js\" }}\nleafnodes {{ {leafnodes} }}\n"
        );
        Server::builder().jetstream(false).config(config).start().expect("a server")
    };
    let hub = domain("hub", &format!("host: 127.0.0.1, port: {port}"));
    let remote = format!("remotes: [{{ url: \"nats-leaf://127.0.0.1:{port}\" }}]");
    let leaf = domain("leaf", &remote);
    let at_hub = Asking::with(hub.url().as_str());
    let origin = at_hub.create(in_memory());
    let asking = Asking::with(leaf.url().as_str());
    let source = Source::new(origin.bucket()).external(External::new("$JS.hub.API"));
    let mirror = asking.create(in_memory().mirror(source));
    assert_eq!(asking.put(&mirror, "k", "v"), Ok(1));
    assert_eq!(at_hub.get(&origin, "k"), Some("v".into()));
    assert_eq!(asking.wait_for(&mirror, "k"), "v");
}

#[test]
fn a_bucket_collects_the_keys_of_its_sources() {
    requires!(server(), 2, 10);
    let asking = Asking::new();
    let (one, two) = (asking.create(in_memory()), asking.create(in_memory()));
    asking.put(&one, "a", "1").expect("a revision");
    asking.put(&two, "b.c", "2").expect("a revision");
    let bucket = unique("all");
    let only = format!("$KV.{}.b.>", two.bucket());
    let only = SubjectTransform::new(only, format!("$KV.{bucket}.two.>"));
    let sources = [
        Source::new(one.bucket()),
        Source::new(format!("KV_{}", two.bucket())).subject_transforms([only]),
    ];
    let kv = asking.kv(&bucket);
    let config = in_memory().sources(sources);
    let made = asking.ask(|told| kv.create_bucket(config.clone(), told)).expect("a bucket");
    assert_eq!(made.config(), config);
    asking.put(&kv, "own", "3").expect("a revision");
    assert_eq!(asking.wait_for(&kv, "a"), "1");
    assert_eq!(asking.wait_for(&kv, "two.c"), "2");
    assert_eq!(asking.keys(&kv), ["a", "own", "two.c"]);
    let again = asking.ask(|told| kv.create_bucket(config, told));
    assert!(again.is_ok(), "it is the same: {again:?}");
}

#[test]
fn a_read_only_handle_reads_and_refuses_to_write() {
    let asking = Asking::new();
    let kv = asking.create(in_memory());
    asking.put(&kv, "k", "v").expect("a revision");
    let reader = kv.read_only();
    assert_eq!(asking.get(&reader, "k"), Some("v".into()));
    assert_eq!(asking.keys(&reader), ["k"]);
    let refused = Err(Error::ReadOnly { bucket: kv.bucket().to_owned() });
    assert_eq!(asking.put(&reader, "k", "w"), refused);
    assert_eq!(asking.ask(|told| reader.create("n", "w", told)), refused);
    assert_eq!(asking.ask(|told| reader.update("k", "w", 1, told)), refused);
    assert_eq!(asking.ask(|told| reader.delete("k", told)), refused);
    assert_eq!(asking.ask(|told| reader.purge("k", told)), refused);
    let bound = asking.ask_handle(|told| reader.bind(told)).0;
    assert_eq!(asking.put(&bound, "k", "w"), refused, "and stays so");
    assert_eq!(asking.get(&kv, "k"), Some("v".into()));
}

#[test]
fn buckets_are_listed_with_mirrors_and_without_other_streams() {
    let server = Server::start();
    let asking = Asking::with(server.url().as_str());
    let js = asking.nats.jetstream();
    let names = |asking: &Asking| -> Vec<String> {
        let js = asking.nats.jetstream();
        asking.ask::<JetStream<()>, _>(|told| js.key_value_names(told)).expect("names")
    };
    assert_eq!(names(&asking), Vec::<String>::new());
    let origin = asking.create(in_memory().history(2));
    let mirror = asking.create(in_memory().mirror(Source::new(origin.bucket())));
    asking.stream(&StreamConfig::new("OTHER").storage(Storage::Memory));
    let mut expected = [origin.bucket().to_owned(), mirror.bucket().to_owned()];
    expected.sort();
    let mut listed = names(&asking);
    listed.sort();
    assert_eq!(listed, expected);
    let seen = Rc::new(RefCell::new((Vec::new(), false)));
    let noting = seen.clone();
    js.list_key_values(move |(), _, listed| match listed {
        Listed::Item(status) => {
            noting.borrow_mut().0.push((status.bucket().to_owned(), status.history()));
        }
        Listed::Ended(ended) => {
            ended.expect("all of them");
            noting.borrow_mut().1 = true;
        }
    });
    asking.until("the end", || seen.borrow().1);
    assert!(seen.borrow().0.contains(&(origin.bucket().to_owned(), Some(2))));
    assert_eq!(seen.borrow().0.len(), 2);
}

#[test]
fn limits_that_a_bucket_has_are_shown_as_they_were_set() {
    let asking = Asking::new();
    let config = in_memory()
        .ttl(Duration::from_secs(60))
        .max_value_size(100_u64)
        .max_bytes(10_000_u64)
        .description("limits");
    let kv = asking.create(config.clone());
    assert_eq!(asking.ask(|told| kv.status(told)).expect("a status").config(), config);
}
