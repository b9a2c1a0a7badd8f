//! Lists of MongoDB, page by page, on a real mongod and a real nats-server.

#[path = "support/bson_order.rs"]
mod bson_order;
#[path = "mongo_listing/options.rs"]
mod options;
#[path = "process/mod.rs"]
mod process;
#[path = "mongo_listing/processes.rs"]
mod processes;
#[path = "mongo_listing/relay.rs"]
mod relay;
mod support;

use bson_order::compare_rows;
use evnats::kv::Config;
use evnats::mongo::bson::spec::BinarySubtype;
use evnats::mongo::bson::{
    Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp,
    doc, oid::ObjectId,
};
use evnats::mongo::{
    CursorError, Error, KeyRing, KvCursorStorage, ListCursor, ListEnd, ListError,
    MemoryCursorStorage, Mongo, Options, Page,
};
use evnats::{EventLoop, Handle};
use evnats_harness::{MongoDatabase, Server, mongo_database, replica_set};
use proptest::prelude::*;
use proptest::test_runner::{Config as TestConfig, TestRunner};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::session::Session;
use support::turn_until;

struct Bench<'d> {
    event_loop: &'d EventLoop<()>,
    mongo: Mongo<()>,
    database: &'d MongoDatabase,
}

impl<'d> Bench<'d> {
    fn new(event_loop: &'d EventLoop<()>, database: &'d MongoDatabase) -> Self {
        let mongo = event_loop.handle().connect_mongo(database.uri()).expect("a handle");
        Self { event_loop, mongo, database }
    }

    #[track_caller]
    fn fill(&self, collection: &str, rows: Vec<Document>) {
        let _ = self.database.run_command(doc! { "drop": collection });
        let insert = doc! { "insert": collection, "documents": rows };
        let reply = self.database.run_command(insert).expect("inserted");
        assert!(!reply.contains_key("writeErrors"), "{reply}");
    }

    fn list(&self, collection: &str) -> ListCursor<()> {
        ListCursor::on(self.database.name(), collection)
    }

    #[track_caller]
    fn page(&self, list: ListCursor<()>) -> Result<Page, Error> {
        page(self.event_loop, &self.mongo, list)
    }

    /// All pages after this one, and the last of them.
    #[track_caller]
    fn all(&self, list: &ListCursor<()>) -> (Vec<Vec<Document>>, Page) {
        let mut pages = Vec::new();
        let mut token = None;
        loop {
            let page = self.page(list.clone().token(token)).expect("a page");
            pages.push(page.rows().expect("rows"));
            token = page.next.clone();
            assert_eq!(token.is_some(), page.has_next);
            assert!(pages.len() < 1_000, "without end");
            if token.is_none() {
                return (pages, page);
            }
        }
    }
}

#[track_caller]
fn page(
    event_loop: &EventLoop<()>,
    mongo: &Mongo<()>,
    list: ListCursor<()>,
) -> Result<Page, Error> {
    let outcome = Rc::new(RefCell::new(None));
    let given = outcome.clone();
    mongo.list_cursor(list, move |(), _, page| {
        assert!(given.replace(Some(page)).is_none(), "told twice");
    });
    assert!(outcome.borrow().is_none(), "told within the call");
    turn_until(event_loop, &mut (), "a page", |()| outcome.borrow().is_some());
    outcome.take().expect("a page")
}

fn memory(handle: &Handle<()>) -> MemoryCursorStorage<()> {
    MemoryCursorStorage::new(handle)
}

fn keys() -> KeyRing {
    KeyRing::new(1, [7; 32]).expect("a ring")
}

fn numbered(count: i32) -> Vec<Document> {
    (0..count).map(|number| doc! { "_id": number, "of": number % 3 }).collect()
}

#[test]
fn a_list_comes_in_pages_of_which_the_last_has_no_token() {
    let database = mongo_database!();
    let session = Session::new(Config::new().ttl(Duration::from_secs(3600)));
    let bench = Bench::new(&session.event_loop, &database);
    bench.fill("orders", numbered(137));
    let cursors = KvCursorStorage::new(&session.kv);
    let list = bench.list("orders").sort("-of").limit(50).total(100).storage(&cursors);
    let first = bench.page(list.clone()).expect("a page");
    let total = first.total.expect("counted");
    assert_eq!((total.count, total.is_capped), (100, true));
    assert!(!first.has_previous && first.previous.is_none());
    let (pages, last) = bench.all(&list);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 37]);
    assert!(last.next.is_none() && last.previous.is_some());

    // another process goes on, twice at once, and back
    let other = Session::unmade(support::server().url().as_str(), session.kv.bucket());
    let elsewhere = Bench::new(&other.event_loop, &database);
    let list = elsewhere.list("orders").sort("-of").storage(&KvCursorStorage::new(&other.kv));
    for _ in 0..2 {
        let page =
            elsewhere.page(list.clone().limit(50).token(first.next.clone())).expect("a page");
        assert_eq!(page.rows::<Document>().expect("rows"), pages[1]);
        let back = elsewhere.page(list.clone().limit(50).token(page.previous)).expect("a page");
        assert_eq!(back.rows::<Document>().expect("rows"), pages[0]);
        assert!(!back.has_previous && back.has_next);
    }
    let larger = elsewhere.page(list.limit(60).token(first.next)).expect("the limit may change");
    assert_eq!(larger.raw_rows.len(), 60);
}

fn value() -> impl Strategy<Value = Bson> {
    let decimal = |text: &str| Bson::Decimal128(text.parse().expect("a decimal"));
    let scope = JavaScriptCodeWithScope { code: "c".into(), scope: doc! {} };
    let regex = |pattern: &str| {
        Bson::RegularExpression(Regex {
            pattern: pattern.try_into().expect("text"),
            options: "".try_into().expect("text"),
        })
    };
    let others = vec![
        Bson::Null,
        Bson::Undefined,
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Double(f64::NEG_INFINITY),
        Bson::Double(1.5),
        Bson::Double(-0.0),
        Bson::Int64(2),
        decimal("1.5"),
        decimal("NaN"),
        decimal("-Infinity"),
        decimal("3"),
        Bson::Boolean(true),
        Bson::Boolean(false),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::DateTime(DateTime::from_millis(5)),
        Bson::Timestamp(Timestamp { time: 1, increment: 2 }),
        Bson::Timestamp(Timestamp { time: 2, increment: 1 }),
        Bson::ObjectId(ObjectId::from_bytes([1; 12])),
        Bson::ObjectId(ObjectId::from_bytes([200; 12])),
        Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![9] }),
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: vec![3; 16] }),
        Bson::Document(doc! {}),
        Bson::Document(doc! { "x": 1 }),
        Bson::Document(doc! { "x": "1", "y": null }),
        Bson::Symbol("b".into()),
        regex("a"),
        regex("b"),
        Bson::JavaScriptCode("a".into()),
        Bson::JavaScriptCode("b".into()),
        Bson::JavaScriptCodeWithScope(scope),
    ];
    prop_oneof![
        2 => (-2..3).prop_map(Bson::Int32),
        2 => "[ab]{0,2}".prop_map(Bson::String),
        4 => prop::sample::select(others),
    ]
}

fn row() -> impl Strategy<Value = Document> {
    let field = || prop::option::weighted(0.8, value());
    (field(), field(), field()).prop_map(|(a, b, nested)| {
        let mut row = Document::new();
        [("a", a), ("b", b)].into_iter().for_each(|(name, value)| {
            if let Some(value) = value {
                row.insert(name, value);
            }
        });
        if let Some(nested) = nested {
            row.insert("n", doc! { "c": nested });
        }
        row
    })
}

/// Bytes, because a NaN is not equal to itself.
fn bytes(rows: &[Document]) -> Vec<Vec<u8>> {
    rows.iter().map(|row| row.to_vec().expect("BSON")).collect()
}

/// Fills a collection, and returns the list of it, and its rows as the oracle and the server have sorted them.
fn arrange(
    bench: &Bench<'_>,
    collection: &str,
    rows: Vec<Document>,
    sort: &[(String, bool)],
) -> (ListCursor<()>, Vec<Document>) {
    let rows: Vec<_> = (0..)
        .zip(rows)
        .map(|(id, row): (i32, Document)| {
            let mut with_id = doc! { "_id": id };
            with_id.extend(row);
            with_id
        })
        .collect();
    bench.fill(collection, rows.clone());
    let text: Vec<_> =
        sort.iter().map(|(path, down)| format!("{}{path}", if *down { "-" } else { "" })).collect();
    let mut complete = sort.to_vec();
    complete.push(("_id".into(), sort[0].1));
    let mut expected = rows;
    expected.sort_by(|one, other| compare_rows(one, other, &complete));
    let order: Document = complete
        .iter()
        .map(|(path, down)| (path.clone(), Bson::Int32(if *down { -1 } else { 1 })))
        .collect();
    let find = doc! { "find": collection, "sort": order, "batchSize": 1000 };
    let reply = bench.database.run_command(find).expect("sorted");
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let sorted: Vec<_> =
        batch.expect("rows").iter().map(|row| row.as_document().expect("a row").clone()).collect();
    assert_eq!(bytes(&sorted), bytes(&expected), "the oracle, by {text:?}");
    (bench.list(collection).sort(text.join(",")), expected)
}

/// One to three keys, upward and downward.
fn sort_keys() -> impl Strategy<Value = Vec<(String, bool)>> {
    let keys = Just(vec!["a".to_owned(), "b".to_owned(), "n.c".to_owned()]).prop_shuffle();
    (keys, 1..4_usize, any::<[bool; 3]>())
        .prop_map(|(keys, count, down)| keys.into_iter().zip(down).take(count).collect())
}

fn check_pages(bench: &Bench<'_>, rows: Vec<Document>, sort: &[(String, bool)], limit: i64) {
    let (list, expected) = arrange(bench, "mixed", rows, sort);
    let list = list.limit(limit).signed(&keys());
    let (pages, mut last) = bench.all(&list);
    assert_eq!(bytes(&pages.concat()), bytes(&expected), "forward by {sort:?}");
    let mut back = last.rows::<Document>().expect("rows");
    while let Some(token) = last.previous.take() {
        last = bench.page(list.clone().token(token)).expect("a page");
        back.splice(0..0, last.rows::<Document>().expect("rows"));
    }
    assert_eq!(bytes(&back), bytes(&expected), "backward by {sort:?}");
}

#[test]
fn pages_of_whatever_values_make_up_the_sorted_list_forward_and_back() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    let cases = (prop::collection::vec(row(), 1..24), sort_keys(), 1..8_i64);
    let config = TestConfig {
        cases: 60,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..TestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&cases, |(rows, sort, limit)| {
        check_pages(&bench, rows, &sort, limit);
        Ok(())
    });
    outcome.expect("every list");
}

#[test]
fn ids_may_be_of_any_type() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    let uuid = Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: vec![3; 16] });
    let ids = vec![
        Bson::Null,
        1.into(),
        2.5.into(),
        "x".into(),
        doc! { "k": 1 }.into(),
        uuid,
        ObjectId::from_bytes([4; 12]).into(),
    ];
    bench.fill("ids", ids.iter().map(|id| doc! { "_id": id.clone(), "same": 1 }).collect());
    let cursors = memory(event_loop.handle());
    let list = bench.list("ids").sort("same").limit(1).projection(doc! { "_id": 1 });
    let (pages, _) = bench.all(&list.storage(&cursors));
    let found: Vec<_> = pages.concat().iter().map(|row| row["_id"].clone()).collect();
    assert_eq!(found, ids);
}

#[test]
fn rows_that_come_and_go_do_not_disturb_the_others() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("live", (0..30).map(|number| doc! { "_id": number * 10 }).collect());
    let list = bench.list("live").limit(7).signed(&keys());
    let (mut seen, mut token) = (Vec::new(), None);
    for round in 0.. {
        let page = bench.page(list.clone().token(token)).expect("a page");
        seen.extend(
            page.rows::<Document>()
                .expect("rows")
                .iter()
                .map(|row| row.get_i32("_id").expect("a number")),
        );
        token = page.next;
        let Some(last) = token.as_ref().and_then(|_| seen.last()) else { break };
        // before the place, and the row at it
        let insert = doc! { "insert": "live", "documents": [{ "_id": last - 5 - round }] };
        bench.database.run_command(insert).expect("inserted");
        let delete = doc! { "delete": "live", "deletes": [{ "q": { "_id": last }, "limit": 1 }] };
        bench.database.run_command(delete).expect("deleted");
    }
    assert_eq!(seen, (0..30).map(|number| number * 10).collect::<Vec<_>>());
}

#[test]
fn a_token_is_of_use_for_its_query_and_its_subject_only() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(9));
    let cursors = memory(event_loop.handle());
    let alice = Some("alice".to_owned());
    let base = || {
        bench
            .list("rows")
            .filter(doc! { "of": { "$lt": 2 } })
            .sort("of")
            .limit(2)
            .subject(alice.clone())
    };
    for signs in [false, true] {
        let with = |list: ListCursor<()>| {
            if signs { list.signed(&keys()) } else { list.storage(&cursors) }
        };
        let token = bench.page(with(base())).expect("a page").next.expect("a token");
        let ask = |list: ListCursor<()>| {
            bench.page(with(list).token(token.clone())).map(|page| page.raw_rows.len())
        };
        assert_eq!(ask(base().limit(3)), Ok(3));
        let changed = Err(Error::from(CursorError::QueryChanged));
        assert_eq!(ask(base().filter(doc! {})), changed);
        assert_eq!(ask(base().sort("-of")), changed);
        assert_eq!(
            ask(ListCursor::on(database.name(), "others")
                .filter(doc! { "of": { "$lt": 2 } })
                .sort("of")
                .subject(alice.clone())),
            changed
        );
        let german = evnats::mongo::mongodb::options::Collation::builder().locale("de").build();
        assert_eq!(ask(base().collation(german)), changed);
        let foreign = Err(Error::from(CursorError::OtherSubject));
        assert_eq!(ask(base().subject(Some("bob".to_owned()))), foreign);
        assert_eq!(ask(base().subject(None)), foreign);
        let no_tokens = bench.page(base().token(token.clone()));
        assert_eq!(no_tokens, Err(ListError::NoTokens.into()));
        // neither form is taken where the other one is configured
        let other = if signs { base().storage(&cursors) } else { base().signed(&keys()) };
        let refused = bench.page(other.token(token.clone())).expect_err("another form");
        assert!(matches!(refused, Error::Cursor(CursorError::InvalidToken { .. })), "{refused}");
    }
    let unknown = bench.page(base().storage(&cursors).token("A".repeat(22)));
    assert_eq!(unknown, Err(CursorError::NotFound.into()));
    let short = keys().ttl(Duration::ZERO);
    let expired = bench.page(base().signed(&short)).expect("a page").next;
    assert_eq!(bench.page(base().signed(&short).token(expired)), Err(CursorError::NotFound.into()));
    let mut ring = keys();
    let old = bench.page(base().signed(&ring)).expect("a page").next;
    ring.rotate(2, [8; 32]).expect("rotated");
    assert!(bench.page(base().signed(&ring).token(old.clone())).is_ok());
    ring.retire(1);
    assert_eq!(
        bench.page(base().signed(&ring).token(old)),
        Err(CursorError::UnknownKey { key: 1 }.into())
    );
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    for limit in [0, -1, 1_001] {
        let refused = bench.page(bench.list("rows").limit(limit));
        assert_eq!(refused, Err(ListError::InvalidLimit { limit, max: 1_000 }.into()));
    }
    let code = bench.page(bench.list("rows").filter(doc! { "$where": "true" }));
    assert!(matches!(code, Err(Error::List(ListError::RefusedOperator { .. }))));
    let code = bench.page(bench.list("rows").projection(doc! { "a": { "$function": {} } }));
    assert!(matches!(code, Err(Error::List(ListError::RefusedOperator { .. }))));
    let sort = bench.page(bench.list("rows").sort("$where"));
    assert!(matches!(sort, Err(Error::List(ListError::InvalidSort { .. }))));
    let sort = bench.page(bench.list("rows").sort("b").allow_sort(["a"]));
    assert_eq!(sort, Err(ListError::SortNotAllowed { key: "b".into() }.into()));
    bench.fill("arrays", vec![doc! { "_id": 7, "a": [1, 2] }]);
    let array = bench.page(bench.list("arrays").sort("a"));
    assert_eq!(
        array,
        Err(ListError::ArrayInSortKey { key: "a".into(), row: "_id: 7".into() }.into())
    );
    let server = bench.page(bench.list("rows").filter(doc! { "a": { "$nonsense": 1 } }));
    assert!(matches!(server, Err(Error::Server(_))), "{server:?}");
}

#[test]
fn a_page_may_have_more_bytes_than_a_document() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    let _ = database.run_command(doc! { "drop": "large" });
    for id in 0..24 {
        let row = doc! { "_id": id, "text": "x".repeat(1 << 20) };
        database.run_command(doc! { "insert": "large", "documents": [row] }).expect("inserted");
    }
    let list = bench.list("large").signed(&keys());
    let page = bench.page(list.clone()).expect("a page");
    assert_eq!((page.raw_rows.len(), page.has_next), (24, false));
    let cut = list.max_bytes(5 << 20);
    let (pages, _) = bench.all(&cut);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 5, 4]);
}

#[test]
fn a_projection_need_not_show_what_is_sorted_by() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill(
        "rows",
        (0..5).map(|n| doc! { "_id": n, "a": { "b": -n }, "c": n, "d": 0 }).collect(),
    );
    for (projection, shown) in [
        (doc! { "c": 1, "_id": 0 }, doc! { "c": 4 }),
        (doc! { "_id": 0, "a": 0, "d": 0 }, doc! { "c": 4 }),
        (doc! { "_id": 1 }, doc! { "_id": 4 }),
    ] {
        let list = bench.list("rows").sort("a.b").limit(2).projection(projection).signed(&keys());
        let (pages, _) = bench.all(&list);
        assert_eq!(pages.concat().len(), 5);
        assert_eq!(pages[0][0], shown);
    }
}

#[test]
fn a_whole_list_comes_row_by_row_and_can_be_paused_and_stopped() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(600));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let end: Rc<RefCell<Option<Result<ListEnd, Error>>>> = Rc::default();
    let (noted, told, timers) = (seen.clone(), end.clone(), bench.mongo.clone());
    let id = |row: &RawDocumentBuf| row.get_i32("_id").expect("a number");
    bench.mongo.list_cursor_each(
        bench.list("rows").limit(100),
        move |(), listing, row| {
            noted.borrow_mut().push(id(&row));
            if noted.borrow().len() % 150 == 0 {
                listing.pause();
                let (listing, noted, count) =
                    (listing.clone(), noted.clone(), noted.borrow().len());
                timers.set_timer(Duration::from_millis(30), move |(), _| {
                    assert_eq!(noted.borrow().len(), count, "it is paused");
                    listing.resume();
                });
            }
        },
        move |(), _, ended| drop(told.replace(Some(ended))),
    );
    turn_until(&event_loop, &mut (), "the end", |()| end.borrow().is_some());
    assert_eq!(*seen.borrow(), (0..600).collect::<Vec<_>>());
    let ended = end.take().expect("told").expect("read");
    assert_eq!((ended.rows, ended.is_stopped), (600, false));

    let told = end.clone();
    bench.mongo.list_cursor_each(
        bench.list("rows").limit(10),
        |(), listing, row| {
            if row.get_i32("_id").expect("a number") == 14 {
                listing.stop();
            }
        },
        move |(), _, ended| drop(told.replace(Some(ended))),
    );
    turn_until(&event_loop, &mut (), "the end", |()| end.borrow().is_some());
    let ended = end.take().expect("told").expect("read");
    assert_eq!((ended.rows, ended.is_stopped), (15, true));
}

#[test]
fn a_whole_list_that_is_paused_ends_with_the_connection_and_is_dropped_with_the_loop() {
    let database = mongo_database!();
    for closes in [true, false] {
        let event_loop = EventLoop::new().expect("a loop");
        let bench = Bench::new(&event_loop, &database);
        bench.fill("rows", numbered(10));
        let end: Rc<RefCell<Option<Result<ListEnd, Error>>>> = Rc::default();
        let (rows, told) = (Rc::new(RefCell::new(0)), end.clone());
        let seen = rows.clone();
        bench.mongo.list_cursor_each(
            bench.list("rows"),
            move |(), listing, _| {
                *seen.borrow_mut() += 1;
                listing.pause();
            },
            move |(), _, ended| {
                assert!(told.replace(Some(ended)).is_none(), "told twice");
            },
        );
        turn_until(&event_loop, &mut (), "a row", |()| *rows.borrow() == 1);
        if closes {
            bench.mongo.close(|(), _, ()| {});
            turn_until(&event_loop, &mut (), "the end", |()| end.borrow().is_some());
            assert_eq!(end.take(), Some(Err(Error::Closed)));
        }
        let mongo = bench.mongo.clone();
        drop(bench);
        drop(event_loop);
        assert!(mongo.is_closed());
        assert_eq!(Rc::strong_count(&rows), 1, "its callbacks are dropped");
        assert_eq!(*rows.borrow(), 1);
    }
}

#[test]
fn what_is_away_is_an_error_in_time_and_the_same_token_is_good_afterwards() {
    let mut set = replica_set!();
    let mut server = Server::start();
    let rows: Vec<_> = numbered(5);
    set.run_command("db", doc! { "insert": "rows", "documents": rows }).expect("inserted");
    let session = Session::unmade(server.url().as_str(), "cursors");
    session.wait(|kv, done| kv.create_bucket(Config::new(), done)).expect("a bucket");
    let options = Options::new(set.uri())
        .timeout(Duration::from_secs(3))
        .server_selection_timeout(Duration::from_secs(2));
    let mongo = session.event_loop.handle().connect_mongo(options).expect("a handle");
    let list = || ListCursor::on("db", "rows").limit(2).storage(&KvCursorStorage::new(&session.kv));
    let ask = |list| page(&session.event_loop, &mongo, list);
    let token = ask(list()).expect("a page").next;

    server.stop();
    let asked = Instant::now();
    let failed = ask(list()).expect_err("no page without its token");
    assert!(matches!(failed, Error::Kv(_)) && failed.is_temporary(), "{failed}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    server.start_again();
    while ask(list().token(token.clone())).is_err() {}

    set.kill(0);
    let asked = Instant::now();
    let failed = ask(list().token(token.clone())).expect_err("nobody answers");
    assert!(failed.is_temporary(), "{failed:?}");
    // the timeout of the options, and a busy machine
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    set.restart(0);
    while ask(list().token(token.clone())).is_err() {}
}
