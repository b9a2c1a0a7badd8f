//! Ten thousand open cursors cost the process nothing, and the loop goes on while lists are read.

mod support;

use evnats::kv::Config;
use evnats::mongo::bson::doc;
use evnats::mongo::{KvCursorStorage, ListCursor, Mongo};
use evnats_harness::mongo_database;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::session::Session;
use support::turn_until;

/// So many lists are under way at once.
const LISTS: u32 = 16;

/// How much memory the second half of the cursors may take: none, but for what an allocator does.
const GROWTH_KB: u64 = 2_048;

/// For how long one turn of the loop may hold the others up, in 99 of 100 turns.
const TURN: Duration = Duration::from_millis(100);

/// What lists have told.
#[derive(Clone, Default)]
struct Lists {
    asked: Rc<Cell<u32>>,
    done: Rc<Cell<u32>>,
}

impl Lists {
    /// Opens one after the other, until there are so many, and leaves their cursors where they are.
    fn open(&self, mongo: &Mongo<()>, list: &ListCursor<()>, count: u32) {
        self.asked.set(self.asked.get() + 1);
        let (lists, again) = (self.clone(), list.clone());
        mongo.list_cursor(list.clone(), move |(), mongo, page| {
            assert!(page.expect("a page").next.is_some());
            lists.done.set(lists.done.get() + 1);
            if lists.asked.get() < count {
                lists.open(mongo, &again, count);
            }
        });
    }
}

/// What the process has in memory.
#[cfg(target_os = "linux")]
fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The system does not tell it as a file.
#[cfg(not(target_os = "linux"))]
fn memory_kb() -> u64 {
    0
}

fn open_cursors(count: u32) {
    let database = mongo_database!();
    let session = Session::new(Config::new().ttl(Duration::from_secs(3600)));
    let rows: Vec<_> = (0..100).map(|id| doc! { "_id": id, "filler": "x".repeat(100) }).collect();
    database.run_command(doc! { "insert": "rows", "documents": rows }).expect("inserted");
    let mongo = session.event_loop.handle().connect_mongo(database.uri()).expect("a handle");
    let cursors = KvCursorStorage::new(&session.kv);
    let list = ListCursor::on(database.name(), "rows").sort("-_id").limit(2).storage(&cursors);
    let lists = Lists::default();
    let mut turns = Vec::new();
    (0..LISTS).for_each(|_| lists.open(&mongo, &list, count));
    let mut until = |wanted: u32| {
        turn_until(&session.event_loop, &mut (), "lists", |()| {
            let start = Instant::now();
            session.event_loop.dispatch(&mut (), Some(Duration::ZERO)).expect("a turn");
            turns.push(start.elapsed());
            lists.done.get() >= wanted
        });
    };
    until(count / 2);
    let halfway = memory_kb();
    until(count);
    let grown = memory_kb().saturating_sub(halfway);
    assert!(grown < GROWTH_KB, "{grown} kB for {} cursors", count / 2);
    turns.sort_unstable();
    let p99 = turns[turns.len() * 99 / 100];
    println!("{count} cursors: {grown} kB for the second half; turns of {p99:?} (p99)");
    assert!(p99 < TURN, "{p99:?}");
    assert_eq!(session.messages(), u64::from(count));
}

#[test]
fn open_cursors_take_no_memory_and_leave_the_loop_free() {
    open_cursors(1_000);
}

#[test]
#[ignore = "takes a minute: run by `cargo test -- --ignored`"]
fn ten_thousand_open_cursors_take_no_memory_and_leave_the_loop_free() {
    open_cursors(10_000);
}
