//! MongoDB beside NATS: pages of long lists by cursors that are kept in a bucket, and change streams.
//!
//! The official driver runs in a thread of its own, which nobody sees: every result comes by a callback on
//! the loop, which need not be `Send`.
//!
//! # What a watcher of a change stream guarantees
//!
//! Every change is given out at least once, in the order of the stream, as long as the server knows the
//! position. What comes again, and when the position counts, depends on the [`CommitMode`]:
//!
//! | what happens | [`AfterAck`](CommitMode::AfterAck) | [`SeedOrder`](CommitMode::SeedOrder) |
//! |---|---|---|
//! | a stream fails and is opened again ([`Waiting`](WatchState::Waiting)) | nothing comes twice | nothing comes twice |
//! | [stopped](ChangeStreamWatcher::stop) and started again | nothing comes twice, if all was answered | the last change comes again |
//! | the process dies | what was not done, and what was done since the last save, comes again | the last change comes again |
//! | a dispatch function fails | the position is before the change; what was given out behind it comes again | the position is the change's own: it comes again |
//! | [`Invalidated`](WatchState::Invalidated) | the stream goes on behind it | the same; it does not come again |
//! | nothing happens | the server's position is saved | the position stays: after a long time it may be lost |
//! | the position is lost ([`HistoryLost`]) | `Stop`: it is kept; `ResetToNow`: a gap, which is told; `Resnapshot`: no gap, what was read anew may come again | the same |
//! | the lead is lost ([`Standby`](WatchState::Standby)) | nothing more is given out or saved; whoever leads next begins at the saved position | the same |
//! | another instance has saved a position | [`Fenced`](StopReason::Fenced): nothing is saved over it | the same |
//! | the position cannot be saved, and may be later ([`SaveFailed`](WatchState::SaveFailed)) | changes come meanwhile | no change comes meanwhile |

mod bridge;
mod changes;
mod cursor;
mod error;
mod handle;
mod listing;
mod options;
mod pre_images;
mod processing;
mod storage_callback;

pub use bson;
pub use changes::{
    Ack, Backoff, BeforeChange, ChangeEvent, ChangeStream, ChangeStreamWatcher, CommitMode,
    FullDocument, HistoryLost, KvResumeStore, MongoResumeStore, Resnapshot, ResumeFunctions,
    ResumePoint, ResumeStore, ResumeToken, StopReason, StoredPoint, WatchBuilder, WatchMetrics,
    WatchState,
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
pub use processing::{CollectionWatcher, DocumentProcessor, ProcessorBuilder, StartError};
pub use storage_callback::StorageCallback;
