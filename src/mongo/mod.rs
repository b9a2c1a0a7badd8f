//! MongoDB beside NATS: pages of long lists by cursors that are kept in a bucket, and change streams.
//!
//! The official driver runs in a thread of its own, which nobody sees: every result comes by a callback on
//! the loop, which need not be `Send`.

mod bridge;
mod changes;
mod cursor;
mod error;
mod handle;
mod listing;
mod options;
mod sink;
mod storage_callback;

pub use bson;
pub use changes::{
    Ack, Backoff, BeforeChange, ChangeEvent, ChangeStream, ChangeStreamWatcher, FullDocument,
    HistoryLost, KvResumeStore, MongoResumeStore, ResumePoint, ResumeStore, ResumeToken,
    StopReason, StoredPoint, WatchBuilder, WatchState,
};
pub use cursor::{
    ByteStore, CursorDoc, CursorError, CursorStorage, JsonStorage, KvBytes, KvCursorStorage,
    MemoryBytes, MemoryCursorStorage, Position, Towards,
};
pub use error::{Error, ServerError};
pub use handle::Mongo;
pub use listing::{KeyRing, ListCursor, ListEnd, ListError, Listing, Page, SortBy, Total};
pub use mongodb;
pub use options::Options;
pub use sink::{Body, JetStreamSink};
pub use storage_callback::StorageCallback;
