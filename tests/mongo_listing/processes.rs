//! Tokens in the hands of other processes than the one that has made them.

use super::process::Running;
use super::support::server;
use super::*;
use std::process::Command;

/// What a reader in a process of its own is told: where everything is, divided by spaces.
const READER: &str = "EVNATS_TEST_LIST_READER";

fn list(database: &str, cursors: &KvCursorStorage<()>) -> ListCursor<()> {
    ListCursor::on(database, "orders").sort("-of").limit(10).storage(cursors)
}

fn ids(page: &Page) -> Vec<i32> {
    let rows = page.rows::<Document>().expect("rows");
    rows.iter().map(|row| row.get_i32("_id").expect("an id")).collect()
}

/// A reader of one page, in its own process.
#[test]
#[ignore = "started by other tests"]
fn reader() {
    let Ok(told) = std::env::var(READER) else { return };
    let [uri, nats, bucket, database, token] =
        told.split(' ').collect::<Vec<_>>().try_into().expect("five words");
    let event_loop = EventLoop::new().expect("a loop");
    let mongo = event_loop.connect_mongo(uri).expect("a handle");
    let kv = event_loop.connect(nats).expect("a client").jetstream().key_value(bucket);
    let list = list(database, &KvCursorStorage::new(&kv));
    let page = page(&event_loop, &mongo, list.token(Some(token.to_owned())));
    println!("page {:?}", ids(&page.expect("a page")));
}

#[test]
fn a_token_leads_on_in_other_processes_at_once() {
    let database = mongo_database!();
    let session = Session::new(Config::new().ttl(Duration::from_secs(3600)));
    let bench = Bench::new(&session.event_loop, &database);
    bench.fill("orders", numbered(30));
    let list = list(database.name(), &KvCursorStorage::new(&session.kv));
    let first = bench.page(list.clone()).expect("a page");
    let token = first.next.expect("a token");
    let start = || {
        let (uri, nats, name) = (database.uri(), server().url(), database.name());
        let told = format!("{uri} {nats} {} {name} {token}", session.kv.bucket());
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "processes::reader", "--ignored", "--nocapture"]);
        command.env(READER, told);
        Running::start(command, b"")
    };
    let readers = [start(), start()];
    let second = bench.page(list.token(Some(token.clone()))).expect("the second page");
    let expected = format!("page {:?}", ids(&second));
    for reader in readers {
        let read = reader.finish();
        assert!(read.text().contains(&expected), "{read:?}");
    }
}
