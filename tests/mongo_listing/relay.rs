//! Lists as connections, against the whole sorted list: from both ends, between cursors, with pages.

use super::{Bench, arrange, bytes, keys, numbered, row, sort_keys};
use evnats::EventLoop;
use evnats::mongo::bson::{Document, doc};
use evnats::mongo::{
    Connection, ConnectionArguments, CursorError, Error, ListCursor, ListError, MemoryCursorStorage,
};
use evnats_harness::mongo_database;
use proptest::prelude::*;
use proptest::test_runner::{Config as TestConfig, TestRunner};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

fn arguments() -> ConnectionArguments {
    ConnectionArguments::new()
}

impl Bench<'_> {
    #[track_caller]
    fn connect(
        &self,
        list: ListCursor<()>,
        of: ConnectionArguments,
    ) -> Result<Connection<Document>, Error> {
        let outcome = Rc::new(RefCell::new(None));
        let given = outcome.clone();
        self.mongo.list_connection(list, of, move |(), _, connection| {
            assert!(given.replace(Some(connection)).is_none(), "told twice");
        });
        assert!(outcome.borrow().is_none(), "told within the call");
        super::turn_until(self.event_loop, &mut (), "a connection", |()| {
            outcome.borrow().is_some()
        });
        outcome.take().expect("told").and_then(Connection::typed)
    }
}

fn nodes(connection: &Connection<Document>) -> Vec<Document> {
    connection.edges.iter().map(|edge| edge.node.clone()).collect()
}

fn ids(connection: &Connection<Document>) -> Vec<i32> {
    connection.edges.iter().map(|edge| edge.node.get_i32("_id").expect("a number")).collect()
}

/// Whether there are pages before and behind.
fn around(connection: &Connection<Document>) -> (bool, bool) {
    (connection.page_info.has_previous_page, connection.page_info.has_next_page)
}

/// What has to be in every connection.
fn check_ends(connection: &Connection<Document>) {
    let cursors: Vec<_> = connection.edges.iter().map(|edge| &edge.cursor).collect();
    assert_eq!(connection.page_info.start_cursor.as_ref(), cursors.first().copied());
    assert_eq!(connection.page_info.end_cursor.as_ref(), cursors.last().copied());
}

/// All cursors of a list, got by ever so many rows at a time, forward or backward; and the list.
fn walk(
    bench: &Bench<'_>,
    list: &ListCursor<()>,
    rows: i64,
    is_backward: bool,
) -> (Vec<Document>, Vec<String>) {
    let (mut found, mut cursors) = (Vec::new(), Vec::new());
    let mut cursor = None;
    loop {
        let of = match is_backward {
            true => arguments().last(rows).before(cursor.clone()),
            false => arguments().first(rows).after(cursor.clone()),
        };
        let part = bench.connect(list.clone(), of).expect("a connection");
        check_ends(&part);
        let at = if is_backward { 0 } else { found.len() };
        found.splice(at..at, nodes(&part));
        cursors.splice(at..at, part.edges.iter().map(|edge| edge.cursor.clone()));
        let info = &part.page_info;
        let (more, behind, next) = match is_backward {
            true => (info.has_previous_page, info.has_next_page, &info.start_cursor),
            false => (info.has_next_page, info.has_previous_page, &info.end_cursor),
        };
        assert_eq!(behind, cursor.is_some(), "where it comes from");
        if !more {
            return (found, cursors);
        }
        cursor.clone_from(next);
        assert!(cursor.is_some() && found.len() < 1_000, "without end");
    }
}

/// What the specification says of a list of so many rows, as a range of it and what is around it.
fn specified(
    count: usize,
    after: Option<usize>,
    before: Option<usize>,
    rows: usize,
    is_backward: bool,
) -> (std::ops::Range<usize>, (bool, bool)) {
    let start = after.map_or(0, |after| after + 1);
    let end = before.unwrap_or(count).max(start);
    let has_more = end - start > rows;
    match is_backward {
        true => (end - (end - start).min(rows)..end, (has_more, before.is_some())),
        false => (start..start + (end - start).min(rows), (after.is_some(), has_more)),
    }
}

#[derive(Debug, Clone)]
struct Part {
    after: Option<prop::sample::Index>,
    before: Option<prop::sample::Index>,
    rows: i64,
    is_backward: bool,
}

fn part() -> impl Strategy<Value = Part> {
    let index = || prop::option::of(any::<prop::sample::Index>());
    (index(), index(), 1..8_i64, any::<bool>())
        .prop_map(|(after, before, rows, is_backward)| Part { after, before, rows, is_backward })
}

#[test]
fn connections_of_whatever_values_are_what_the_specification_makes_of_the_sorted_list() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    let parts = prop::collection::vec(part(), 6);
    let cases = (prop::collection::vec(row(), 1..24), sort_keys(), 1..8_i64, parts);
    let config = TestConfig {
        cases: 40,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..TestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&cases, |(rows, sort, limit, parts)| {
        let (list, expected) = arrange(&bench, "connected", rows, &sort);
        let list = list.signed(&keys());
        let (forward, cursors) = walk(&bench, &list, limit, false);
        assert_eq!(bytes(&forward), bytes(&expected), "forward by {sort:?}");
        let (backward, _) = walk(&bench, &list, limit, true);
        assert_eq!(bytes(&backward), bytes(&expected), "backward by {sort:?}");
        for part in parts {
            let index = |of: Option<prop::sample::Index>| of.map(|of| of.index(cursors.len()));
            let (after, before) = (index(part.after), index(part.before));
            let cursor = |of: Option<usize>| of.map(|index| cursors[index].clone());
            let of = arguments().after(cursor(after)).before(cursor(before));
            let of = if part.is_backward { of.last(part.rows) } else { of.first(part.rows) };
            let found = bench.connect(list.clone(), of).expect("a connection");
            check_ends(&found);
            let rows = usize::try_from(part.rows).expect("few");
            let (range, beside) = specified(expected.len(), after, before, rows, part.is_backward);
            assert_eq!(bytes(&nodes(&found)), bytes(&expected[range]), "{part:?} by {sort:?}");
            assert_eq!(around(&found), beside, "{part:?} by {sort:?}");
        }
        Ok(())
    });
    outcome.expect("every connection");
}

#[test]
fn the_cursor_of_any_row_leads_on_and_back_also_when_its_row_is_gone() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(9));
    let list = bench.list("rows").sort("-_id").signed(&keys());
    let connect = |of| bench.connect(list.clone(), of).expect("a connection");
    let first = connect(arguments().first(5));
    assert_eq!((ids(&first), around(&first)), (vec![8, 7, 6, 5, 4], (false, true)));
    let middle = first.edges[2].cursor.clone();
    for is_there in [true, false] {
        let next = connect(arguments().first(4).after(middle.clone()));
        assert_eq!((ids(&next), around(&next)), (vec![5, 4, 3, 2], (true, true)), "{is_there}");
        let back = connect(arguments().last(1).before(middle.clone()));
        assert_eq!((ids(&back), around(&back)), (vec![7], (true, true)), "{is_there}");
        let delete = doc! { "delete": "rows", "deletes": [{ "q": { "_id": 6 }, "limit": 1 }] };
        database.run_command(delete).expect("deleted");
    }
    // what is told of the side behind is true now, and not only when the cursor was made
    let delete =
        doc! { "delete": "rows", "deletes": [{ "q": { "_id": { "$gt": 6 } }, "limit": 0 }] };
    database.run_command(delete).expect("deleted");
    let next = connect(arguments().first(2).after(middle.clone()));
    assert_eq!((ids(&next), around(&next)), (vec![5, 4], (false, true)));
    let delete =
        doc! { "delete": "rows", "deletes": [{ "q": { "_id": { "$lt": 5 } }, "limit": 0 }] };
    database.run_command(delete).expect("deleted");
    let last = connect(arguments().first(2).after(middle));
    assert_eq!((ids(&last), around(&last)), (vec![5], (false, false)));
}

#[test]
fn a_side_that_is_not_to_be_asked_about_is_not_told_of() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(5));
    let list = bench.list("rows").signed(&keys());
    let after = bench.connect(list.clone(), arguments().first(2)).expect("a connection");
    let after = arguments().first(2).after(after.page_info.end_cursor);
    let found = bench.connect(list.clone(), after.clone()).expect("a connection");
    assert_eq!((ids(&found), around(&found)), (vec![2, 3], (true, true)));
    let found = bench.connect(list.previous(false), after).expect("a connection");
    assert_eq!((ids(&found), around(&found)), (vec![2, 3], (false, true)));
}

#[test]
fn pages_and_connections_go_on_with_one_another() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(12));
    let list = bench.list("rows").limit(4).subject("alice".to_owned()).signed(&keys());
    let first = bench.page(list.clone()).expect("a page");
    let of = arguments().after(first.next);
    let second = bench.connect(list.clone(), of).expect("a connection");
    assert_eq!(ids(&second), [4, 5, 6, 7], "by the list's limit");
    let third = bench.page(list.clone().token(second.page_info.end_cursor)).expect("a page");
    let id = |row: &Document| row.get_i32("_id").expect("a number");
    assert_eq!(third.rows().expect("rows").iter().map(id).collect::<Vec<_>>(), [8, 9, 10, 11]);
    assert!(!third.has_next && third.next.is_none());
    let of = arguments().last(3).before(third.previous);
    assert_eq!(ids(&bench.connect(list, of).expect("a connection")), [5, 6, 7]);
}

#[test]
fn a_connection_serializes_under_the_names_of_the_specification() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(3));
    let list = bench.list("rows").signed(&keys());
    let few = list.clone().projection(doc! { "of": 1 }).total(2);
    let found = bench.connect(few, arguments().first(1)).expect("a connection");
    let cursor = &found.edges[0].cursor;
    let expected = json!({
        "edges": [{ "node": { "_id": 0, "of": 0 }, "cursor": cursor }],
        "pageInfo": {
            "startCursor": cursor,
            "endCursor": cursor,
            "hasNextPage": true,
            "hasPreviousPage": false,
        },
        "total": { "count": 2, "isCapped": true },
    });
    assert_eq!(serde_json::to_value(&found).expect("JSON"), expected);

    let nothing = list.filter(doc! { "of": 9 });
    for of in [arguments(), arguments().first(3), arguments().last(3)] {
        let found = bench.connect(nothing.clone(), of).expect("a connection");
        let expected = json!({
            "edges": [],
            "pageInfo": {
                "startCursor": null,
                "endCursor": null,
                "hasNextPage": false,
                "hasPreviousPage": false,
            },
        });
        assert_eq!(serde_json::to_value(&found).expect("JSON"), expected);
    }
}

#[test]
fn nodes_as_they_came_are_extended_json() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    let id = evnats::mongo::bson::oid::ObjectId::from_bytes([1; 12]);
    bench.fill("rows", vec![doc! { "_id": id }]);
    let list = bench.list("rows").signed(&keys());
    let shown = Rc::new(RefCell::new(None));
    let told = shown.clone();
    bench.mongo.list_connection(list, arguments(), move |(), _, connection| {
        let connection = connection.expect("a connection");
        told.replace(Some(serde_json::to_value(&connection).expect("JSON")));
    });
    super::turn_until(&event_loop, &mut (), "a connection", |()| shown.borrow().is_some());
    let shown = shown.take().expect("shown");
    assert_eq!(shown["edges"][0]["node"], json!({ "_id": { "$oid": id.to_hex() } }));
}

#[test]
fn what_no_connection_can_be_made_of_is_refused() {
    let database = mongo_database!();
    let event_loop = EventLoop::new().expect("a loop");
    let bench = Bench::new(&event_loop, &database);
    bench.fill("rows", numbered(5));
    let list = || bench.list("rows").sort("of").subject("alice".to_owned());
    let signed = || list().signed(&keys());
    let refused = |list, of| bench.connect(list, of).expect_err("refused");
    let cursors = MemoryCursorStorage::new(event_loop.handle());
    let stored = refused(list().storage(&cursors), arguments().first(1));
    assert_eq!(stored, ListError::StoredRowCursors.into());
    assert_eq!(refused(list(), arguments().first(1)), ListError::UnsignedRowCursors.into());
    let both = refused(signed(), arguments().first(1).last(1));
    assert_eq!(both, ListError::FirstAndLast.into());
    for limit in [0, -1, 1_001] {
        for of in [arguments().first(limit), arguments().last(limit)] {
            let expected = ListError::InvalidLimit { limit, max: 1_000 };
            assert_eq!(refused(signed(), of), expected.into());
        }
    }
    let found = bench.connect(signed(), arguments().first(2)).expect("a connection");
    let cursor = found.page_info.end_cursor.expect("a cursor");
    let token = refused(signed().token(cursor.clone()), arguments());
    assert_eq!(token, ListError::TokenOfConnection.into());
    for of in [arguments().after(cursor.clone()), arguments().before(cursor.clone())] {
        assert!(bench.connect(signed(), of.clone()).is_ok());
        let other = [
            (signed().sort("-of"), CursorError::QueryChanged),
            (signed().filter(doc! { "of": 1 }), CursorError::QueryChanged),
            (signed().subject("bob".to_owned()), CursorError::OtherSubject),
            (signed().subject(None), CursorError::OtherSubject),
        ];
        for (list, expected) in other {
            assert_eq!(refused(list, of.clone()), expected.into());
        }
    }
    let short = keys().ttl(Duration::ZERO);
    let expired = bench.connect(list().signed(&short), arguments().first(1)).expect("a connection");
    let of = arguments().after(expired.page_info.end_cursor);
    assert_eq!(refused(list().signed(&short), of), CursorError::NotFound.into());
    let of = arguments().before(format!("{cursor}A"));
    assert!(matches!(refused(signed(), of), Error::Cursor(CursorError::InvalidToken { .. })));
    // the cursor of a row cannot be made
    bench.fill("long", vec![doc! { "_id": "x".repeat(4_000) }]);
    let long = refused(bench.list("long").signed(&keys()), arguments().first(1));
    assert!(matches!(long, Error::Cursor(CursorError::TokenTooLong { .. })), "{long}");
}
