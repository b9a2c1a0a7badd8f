//! What a primary without data answers.

use super::{Reply, Request};
use bson::{Bson, DateTime, Document, doc};
use std::time::Duration;

/// The cursor of every change stream.
const CURSOR: i64 = 7;

/// How long a `getMore` waits that was not told how long.
const AWAIT: Duration = Duration::from_secs(1);

/// The usual answer.
pub(super) fn reply(request: &Request) -> Reply {
    match request.command() {
        "hello" | "isMaster" | "ismaster" => Reply::Document(hello(request)),
        "aggregate" if request.change_stream().is_some() => {
            Reply::first_batch(CURSOR, Vec::new()).resume_token("00")
        }
        "aggregate" | "find" => Reply::first_batch(0, Vec::new()),
        "getMore" => Reply::next_batch(CURSOR, Vec::new()).resume_token("00"),
        "insert" => Reply::Document(doc! { "n": count(request, "documents") }),
        "update" => Reply::Document(doc! { "n": 0, "nModified": 0 }),
        "delete" => Reply::Document(doc! { "n": 0 }),
        "killCursors" => Reply::Document(doc! { "cursorsKilled": cursors(request) }),
        "ping" | "endSessions" => Reply::Document(doc! {}),
        _ => Reply::error(59, "CommandNotFound"),
    }
}

/// How long the usual answer takes.
pub(super) fn pause(request: &Request) -> Duration {
    match request.command() {
        "getMore" => {
            let wanted = request.body().get("maxTimeMS").and_then(|wanted| {
                wanted.as_i64().or_else(|| wanted.as_i32().map(i64::from))?.try_into().ok()
            });
            wanted.map_or(AWAIT, Duration::from_millis)
        }
        _ => Duration::ZERO,
    }
}

/// What the primary of a replica set of one server 6.0 says of itself. Without `topologyVersion`, so
/// that it is asked again and again, and not once with a wait.
fn hello(request: &Request) -> Document {
    let address = format!("127.0.0.1:{}", request.port);
    doc! {
        "helloOk": true,
        "ismaster": true,
        "isWritablePrimary": true,
        "secondary": false,
        "setName": "rs0",
        "setVersion": 1,
        "hosts": [&address],
        "primary": &address,
        "me": &address,
        "maxBsonObjectSize": 16 * 1024 * 1024,
        "maxMessageSizeBytes": 48_000_000,
        "maxWriteBatchSize": 100_000,
        "localTime": DateTime::now(),
        "logicalSessionTimeoutMinutes": 30,
        "connectionId": i32::try_from(request.connection()).unwrap_or(i32::MAX),
        "minWireVersion": 0,
        "maxWireVersion": 17,
        "readOnly": false,
    }
}

fn count(request: &Request, field: &str) -> i32 {
    let count = request.body().get_array(field).map_or(0, Vec::len);
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn cursors(request: &Request) -> Vec<Bson> {
    request.body().get_array("cursors").cloned().unwrap_or_default()
}
