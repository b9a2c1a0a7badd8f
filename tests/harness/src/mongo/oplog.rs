//! Making a server forget, so that who wants to resume a change stream is told so by a real 286
//! (ChangeStreamHistoryLost).
//!
//! A server keeps at least ten pieces of 16 MB of its oplog, however small it is to be, and only drops
//! what a checkpoint has made unnecessary. So much is written here, while the checkpoints come.

use super::{MongoError, ReplicaSet, connection::Connection};
use bson::{Bson, Document, Timestamp, doc};
use std::time::{Duration, Instant};

/// The database that is filled for it, and dropped afterwards.
const DATABASE: &str = "evnats-trim";

/// One write: 14 documents of 1 MB.
const DOCUMENTS: usize = 14;
const DOCUMENT_BYTES: usize = 1 << 20;

/// How much is written without a look at whether it was enough.
const WRITES_AT_ONCE: usize = 4;

/// How long it may take. Some three seconds are usual.
const PATIENCE: Duration = Duration::from_secs(90);

impl ReplicaSet {
    /// Writes until the primary's oplog has lost all that it has now, some 200 MB, within a database
    /// that is dropped afterwards. Change streams that are open elsewhere see nothing of it, but cannot
    /// be resumed from where they are. For sets that are started with
    /// [`ReplicaSetBuilder::trimmable_oplog`](crate::ReplicaSetBuilder::trimmable_oplog).
    ///
    /// # Panics
    ///
    /// When the primary does not write, or still has it all after a minute and a half.
    #[track_caller]
    pub fn trim_oplog(&self) {
        self.try_trim_oplog().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_trim_oplog(&self) -> Result<(), MongoError> {
        let deadline = Instant::now() + PATIENCE;
        let mut connection = self.connect_to_primary()?;
        let newest = entry(&mut connection, Order::NewestFirst)?;
        while entry(&mut connection, Order::OldestFirst)? <= newest {
            assert!(Instant::now() < deadline, "the oplog still begins before {newest:?}");
            for _ in 0..WRITES_AT_ONCE {
                connection.run(DATABASE, insert())?;
            }
        }
        connection.run(DATABASE, doc! { "dropDatabase": 1 }).map(drop)
    }
}

fn insert() -> Document {
    let row = doc! { "filler": "x".repeat(DOCUMENT_BYTES) };
    doc! { "insert": "filler", "documents": vec![Bson::from(row); DOCUMENTS] }
}

/// The side of the oplog that is looked at.
#[derive(Clone, Copy)]
enum Order {
    OldestFirst = 1,
    NewestFirst = -1,
}

/// The time of the first entry.
fn entry(connection: &mut Connection, order: Order) -> Result<Timestamp, MongoError> {
    let find = doc! {
        "find": "oplog.rs",
        "sort": { "$natural": order as i32 },
        "limit": 1,
        "projection": { "ts": 1 },
    };
    let reply = connection.run("local", find)?;
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let first = batch.ok().and_then(|batch| batch.first()?.as_document()?.get_timestamp("ts").ok());
    Ok(first.unwrap_or(Timestamp { time: 0, increment: 0 }))
}
