//! What the server is asked to do about a list: under which order texts are compared, by which index it
//! reads, and for how long.

use super::{Bench, keys};
use evnats::EventLoop;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::mongodb::options::{Collation, Hint};
use evnats::mongo::{Error, ListCursor, Mongo};
use evnats_harness::{FailTimes, ReplicaSet, mongo_database, replica_set};
use std::time::Duration;

/// Lower and upper case, and accents, are the same.
fn letters() -> Collation {
    Collation::builder().locale("en".to_owned()).strength(Some(1.try_into().expect("one"))).build()
}

#[test]
fn pages_follow_the_order_of_a_collation() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    let names = ["b", "A", "é", "a", "B", "e", "E", "c", "Á", "_", "Z", "z"];
    let rows = names.iter().zip(0..).map(|(name, id)| doc! { "_id": id, "name": name });
    bench.fill("people", rows.collect());
    let find = doc! {
        "find": "people",
        "sort": { "name": -1, "_id": -1 },
        "collation": { "locale": "en", "strength": 1 },
    };
    let reply = database.run_command(find).expect("found");
    let cursor = reply.get_document("cursor").expect("a cursor");
    let expected: Vec<Document> = cursor
        .get_array("firstBatch")
        .expect("a batch")
        .iter()
        .map(|row| row.as_document().expect("a row").clone())
        .collect();
    for limit in [1, 2, 5] {
        let list = bench.list("people").sort("-name").limit(limit).signed(&keys());
        let (pages, last) = bench.all(&list.clone().collation(letters()));
        assert_eq!(pages.concat(), expected, "by {limit}");
        // and back, from the last page
        let mut previous = last.previous;
        for page in pages.iter().rev().skip(1) {
            let list = list.clone().collation(letters()).token(previous);
            let found = bench.page(list).expect("a page");
            assert_eq!(&found.rows::<Document>().expect("rows"), page);
            previous = found.previous;
        }
        assert!(previous.is_none());
    }
}

#[test]
fn a_list_is_read_by_the_index_that_it_names() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", (0..20).map(|id| doc! { "_id": id, "of": id % 3 }).collect());
    let list = bench.list("rows").sort("of").limit(7).signed(&keys());
    let by_name = |name: &str| list.clone().hint(Hint::Name(name.to_owned()));
    let refused = bench.page(by_name("of_1")).expect_err("there is no such index");
    assert!(matches!(&refused, Error::Server(error) if error.code == 2), "{refused:?}");
    let index = doc! { "key": { "of": 1 }, "name": "of_1", "sparse": true };
    let create = doc! { "createIndexes": "rows", "indexes": [index] };
    database.run_command(create).expect("an index");
    // what a sparse index does not have is not there
    let other = doc! { "insert": "rows", "documents": [{ "_id": 99 }] };
    database.run_command(other).expect("inserted");
    let (pages, _) = bench.all(&by_name("of_1"));
    let all = pages.concat();
    assert_eq!(all.len(), 20);
    assert!(all.iter().all(|row| row.get_i32("_id").ok() != Some(99)));
}

#[test]
fn a_server_that_takes_longer_than_a_list_may_says_so() {
    let set = replica_set!(ReplicaSet::builder());
    let rows = vec![doc! { "_id": 1 }];
    set.run_command("db", doc! { "insert": "rows", "documents": rows }).expect("inserted");
    let event_loop = EventLoop::new().expect("a loop");
    let mongo: Mongo<()> = event_loop.connect_mongo(set.uri()).expect("a handle");
    let list = ListCursor::on("db", "rows").signed(&keys());
    let ask = |list| super::page(&event_loop, &mongo, list);
    let failing = set.fail_point(0, "maxTimeAlwaysTimeOut", FailTimes::Always, doc! {});
    let late = ask(list.clone().max_time(Duration::from_secs(5))).expect_err("always late");
    assert!(matches!(&late, Error::Server(error) if error.code == 50), "{late:?}");
    // the fail point strikes only what has a limit
    assert_eq!(ask(list.clone()).expect("a page").raw_rows.len(), 1);
    drop(failing);
    let page = ask(list.max_time(Duration::from_secs(5))).expect("a page");
    assert_eq!(page.raw_rows.len(), 1);
}
