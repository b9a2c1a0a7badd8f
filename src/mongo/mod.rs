//! MongoDB beside NATS: pages of long lists by cursors that are kept in a bucket, and change streams.
//!
//! The official driver runs in a thread of its own, which nobody sees: every result comes by a callback on
//! the loop, which need not be `Send`.
//!
//! # What a watcher of a change stream guarantees
//!
//! Every change is given out at least once, in the order of the stream, as long as the server knows the
//! position. What comes again depends on the [`CommitMode`]:
//!
//! | what happens | comes again in [`AfterAck`] | in [`SeedOrder`] |
//! |---|---|---|
//! | a stream fails, and is opened again ([`Waiting`]) | nothing | nothing |
//! | a stop, when all is answered, and a start | nothing | the last change |
//! | the process dies | what was not done, or not saved yet | the last change |
//! | a dispatch function fails | the change, and what was behind it | the change |
//! | what is watched is dropped ([`Invalidated`]) | nothing | nothing |
//! | the lead is lost ([`Standby`]) | what was not done, or not saved yet | the last change |
//!
//! In both, nothing is lost by that. What else there is:
//!
//! | what happens | what follows |
//! |---|---|
//! | the position is lost, [`HistoryLost::Stop`] | the watcher stops, and the position is kept |
//! | the same, [`HistoryLost::ResetToNow`] | there is a gap, which is told ([`WatchState::Reset`]) |
//! | the same, [`HistoryLost::Resnapshot`] | no gap; what was read anew may come again |
//! | another instance has saved a position | nothing is saved over it ([`StopReason::Fenced`]) |
//! | the position cannot be saved at the moment | it is told ([`SaveFailed`]), and tried again |
//! | the same, in [`SeedOrder`] | the change is not given out before |
//! | there was never a position | the stream begins with what happens from then on |
//! | nothing happens for a long time | the server's position is saved |
//! | the same, in [`SeedOrder`] | nothing is saved: the position may be lost |
//!
//! [`AfterAck`]: CommitMode::AfterAck
//! [`SeedOrder`]: CommitMode::SeedOrder
//! [`Waiting`]: WatchState::Waiting
//! [`Invalidated`]: WatchState::Invalidated
//! [`Standby`]: WatchState::Standby
//! [`SaveFailed`]: WatchState::SaveFailed

mod bridge;
mod changes;
mod cursor;
mod error;
mod handle;
mod listing;
mod options;
mod pre_images;
mod processing;
mod sink;
mod storage_callback;

pub use bson;
pub use changes::{
    Ack, Backoff, BeforeChange, ChangeEvent, ChangeStream, ChangeStreamWatcher, CommitMode,
    FullDocument, HistoryLost, KvResumeStore, MongoResumeStore, Resnapshot, ResumeFunctions,
    ResumePoint, ResumeStore, ResumeToken, SinkMetrics, StopReason, StoredPoint, WatchBuilder,
    WatchMetrics, WatchState,
};
pub use cursor::{
    ByteStore, CursorDoc, CursorError, CursorStorage, JsonStorage, KvBytes, KvCursorStorage,
    MemoryBytes, MemoryCursorStorage, Position, Towards,
};
pub use error::{Error, ServerError};
pub use handle::Mongo;
pub use listing::{
    Connection, ConnectionArguments, Edge, KeyRing, ListCursor, ListEnd, ListError, Listing, Page,
    PageInfo, SortBy, Total,
};
pub use mongodb;
pub use options::Options;
pub use processing::{CollectionWatcher, DocumentProcessor, ProcessorBuilder, StartError};
pub use sink::{Body, JetStreamSink};
pub use storage_callback::StorageCallback;
