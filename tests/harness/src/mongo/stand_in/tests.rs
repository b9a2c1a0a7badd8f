use super::*;
use crate::{MongoError, mongo::connection::Connection, mongo::primary::is_primary};
use bson::{Document, doc};

/// Long enough for an answer, and short enough for a silence.
const SOON: Duration = Duration::from_millis(300);

fn connect(stand_in: &MongoStandIn) -> Connection {
    Connection::open_within(&format!("127.0.0.1:{}", stand_in.port()), SOON).unwrap()
}

fn run(connection: &mut Connection, command: Document) -> Result<Document, MongoError> {
    connection.run("shop", command)
}

/// The batch of a reply, and the cursor's number.
fn batch(reply: &Document, field: &str) -> (i64, Vec<Document>) {
    let cursor = reply.get_document("cursor").unwrap();
    let documents = cursor.get_array(field).unwrap().iter();
    let documents = documents.map(|document| document.as_document().unwrap().clone()).collect();
    (cursor.get_i64("id").unwrap(), documents)
}

#[test]
fn it_looks_like_a_primary_without_data() {
    let stand_in = MongoStandIn::start(|_| Reply::Usual);
    assert!(stand_in.uri().contains(&format!(":{}/", stand_in.port())));
    let mut peer = connect(&stand_in);
    assert!(is_primary(&peer.hello().unwrap()));
    run(&mut peer, doc! { "ping": 1 }).unwrap();
    let inserted = run(&mut peer, doc! { "insert": "c", "documents": [{}, {}] }).unwrap();
    assert_eq!(inserted.get_i32("n").unwrap(), 2);
    assert_eq!(batch(&run(&mut peer, doc! { "find": "c" }).unwrap(), "firstBatch"), (0, vec![]));
    let watch = doc! { "aggregate": "c", "pipeline": [{ "$changeStream": {} }], "cursor": {} };
    let opened = run(&mut peer, watch).unwrap();
    assert_eq!(opened.get_document("cursor").unwrap().get_str("ns").unwrap(), "shop.c");
    let (cursor, events) = batch(&opened, "firstBatch");
    assert!(cursor != 0 && events.is_empty());

    let started = Instant::now();
    let more = doc! { "getMore": cursor, "collection": "c", "maxTimeMS": 50 };
    let more = run(&mut peer, more).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(batch(&more, "nextBatch"), (cursor, vec![]));
    assert_eq!(run(&mut peer, doc! { "dance": 1 }).unwrap_err().code(), Some(59));
    assert_eq!((stand_in.seen("getMore"), stand_in.seen("update")), (1, 0));
}

#[test]
fn it_gives_the_batches_and_errors_of_the_test() {
    let stand_in = MongoStandIn::start(|request| match request.command() {
        "aggregate" => {
            let after = request.change_stream().unwrap().get_document("startAfter").unwrap();
            Reply::first_batch(9, vec![doc! { "from": after.clone() }]).resume_token("8201")
        }
        "getMore" => Reply::next_batch(0, vec![doc! { "splitEvent": { "fragment": 1, "of": 2 } }]),
        _ => Reply::error_with_labels(286, "ChangeStreamHistoryLost", &["Label"]),
    });
    let mut peer = connect(&stand_in);
    let stage = doc! { "$changeStream": { "startAfter": { "_data": "82" } } };
    let opened = run(&mut peer, doc! { "aggregate": "c", "pipeline": [stage] }).unwrap();
    let (cursor, events) = batch(&opened, "firstBatch");
    assert_eq!((cursor, &events[0]), (9, &doc! { "from": { "_data": "82" } }));
    let token = opened.get_document("cursor").unwrap().get_document("postBatchResumeToken");
    assert_eq!(token.unwrap(), &doc! { "_data": "8201" });
    let more = run(&mut peer, doc! { "getMore": cursor, "collection": "c" }).unwrap();
    assert_eq!(batch(&more, "nextBatch").1.len(), 1);

    let MongoError::Command { code, code_name, reply, .. } = peer.hello().unwrap_err() else {
        panic!("no error of the server");
    };
    assert_eq!((code, code_name.as_str()), (286, "ChangeStreamHistoryLost"));
    assert_eq!(reply.get_array("errorLabels").unwrap().len(), 1);
}

#[test]
fn it_falls_silent_with_its_connection_open() {
    let stand_in = MongoStandIn::start(|request| match request.connection() {
        0 => Reply::Silence,
        _ => Reply::Usual,
    });
    let mut first = connect(&stand_in);
    let MongoError::Io { source, .. } = first.hello().unwrap_err() else { panic!("no silence") };
    assert_eq!(source.kind(), std::io::ErrorKind::WouldBlock, "{source}");
    stand_in.wait_seen("hello", 1);
    connect(&stand_in).hello().unwrap();
    assert_eq!(stand_in.connections(), 2);
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while stand_in.active() > 0 {
        assert!(Instant::now() < deadline, "a closed connection is forgotten");
        std::thread::yield_now();
    }
}

#[test]
fn it_closes_and_sends_what_nobody_can_read() {
    let stand_in = MongoStandIn::start(|request| match request.command() {
        "hello" => Reply::Raw(vec![5, 0, 0, 0, 1]),
        _ => Reply::Close,
    });
    for command in ["hello", "ping"] {
        let error = run(&mut connect(&stand_in), doc! { command: 1 }).unwrap_err();
        assert!(matches!(error, MongoError::Io { .. }), "{command}: {error}");
    }
}

#[test]
fn a_panic_of_the_handler_is_that_of_the_test() {
    let stand_in = MongoStandIn::start(|_| panic!("as a failed assertion does"));
    connect(&stand_in).hello().unwrap_err();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(stand_in)));
    assert!(dropped.is_err());
}
