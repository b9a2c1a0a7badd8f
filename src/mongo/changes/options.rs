//! What is watched, and how.

use crate::mongo::bridge::StreamLimits;
use crate::mongo::changes::backoff::Backoff;
use crate::mongo::changes::commit_mode::CommitMode;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::token::ResumeToken;
use bson::{Document, Timestamp};
use std::time::Duration;

/// A change stream: what is watched, what of it is wanted, and what is done when it cannot go on.
///
/// ```
/// use evnats::mongo::{ChangeStream, FullDocument, HistoryLost};
/// use evnats::mongo::bson::doc;
///
/// let orders = ChangeStream::on("shop", "orders")
///     .pipeline([doc! { "$match": { "operationType": "insert" } }])
///     .full_document(FullDocument::UpdateLookup)
///     .history_lost(HistoryLost::ResetToNow);
/// # let _ = orders;
/// ```
#[derive(Debug, Clone)]
pub struct ChangeStream {
    pub(in crate::mongo) scope: Scope,
    pub(super) pipeline: Vec<Document>,
    pub(super) full_document: FullDocument,
    pub(super) before_change: BeforeChange,
    pub(super) batch_size: Option<u32>,
    pub(super) max_await: Duration,
    pub(super) shows_expanded_events: bool,
    pub(super) splits_large_events: bool,
    pub(in crate::mongo) start: Option<Start>,
    pub(in crate::mongo) limits: StreamLimits,
    pub(super) save_every: u64,
    pub(super) save_interval: Duration,
    pub(super) history_lost: HistoryLost,
    pub(in crate::mongo) backoff: Backoff,
    pub(super) retries_dispatch: bool,
    pub(super) commit: CommitMode,
    pub(super) stops_at_invalidate: bool,
}

/// Whose changes are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mongo) enum Scope {
    Collection { database: String, collection: String },
    Database { database: String },
    Deployment,
}

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mongo) enum Start {
    Now,
    /// Behind a position; also behind an invalidate.
    After(ResumeToken),
    /// At a time, inclusive.
    At(Timestamp),
}

/// Whether an update comes with the whole document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FullDocument {
    /// Only inserts and replacements do.
    #[default]
    Default,
    /// As the document is when the server looks it up, which may be after further changes.
    UpdateLookup,
    /// As it was right after the change, if the collection keeps that (servers from 6.0 on).
    WhenAvailable,
    /// The same; without it the stream fails.
    Required,
}

/// Whether a change comes with the document as it was before (servers from 6.0 on, for collections with
/// `changeStreamPreAndPostImages`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BeforeChange {
    /// It does not.
    #[default]
    Off,
    /// If the collection keeps it.
    WhenAvailable,
    /// Without it the stream fails.
    Required,
}

/// What is done when the server does not know the position any more, or when what is stored cannot be read,
/// so that changes are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HistoryLost {
    /// The watcher stops, and the position is kept as it is.
    #[default]
    Stop,
    /// The watcher goes on with what happens from now on, and says so:
    /// [`WatchState::Reset`](super::WatchState::Reset). After three times without a change between them it
    /// stops.
    ResetToNow,
    /// The program is asked to read its data anew, and the stream goes on from where it began to:
    /// [`WatchBuilder::on_history_lost`](super::WatchBuilder::on_history_lost), without which this is as
    /// [`Stop`](Self::Stop). After three times without a change between them the watcher stops.
    Resnapshot,
}

impl ChangeStream {
    /// The changes of a collection. It need not exist.
    pub fn on(database: impl Into<String>, collection: impl Into<String>) -> Self {
        Self::of(Scope::Collection { database: database.into(), collection: collection.into() })
    }

    /// The changes of all collections of a database.
    pub fn on_database(database: impl Into<String>) -> Self {
        Self::of(Scope::Database { database: database.into() })
    }

    /// The changes of all databases but `admin`, `config` and `local`.
    #[must_use]
    pub fn on_deployment() -> Self {
        Self::of(Scope::Deployment)
    }

    fn of(scope: Scope) -> Self {
        Self {
            scope,
            pipeline: Vec::new(),
            full_document: FullDocument::default(),
            before_change: BeforeChange::default(),
            batch_size: None,
            max_await: Duration::from_millis(500),
            shows_expanded_events: false,
            splits_large_events: false,
            start: None,
            limits: StreamLimits { items: 256, bytes: 4 << 20 },
            save_every: 1_000,
            save_interval: Duration::from_secs(1),
            history_lost: HistoryLost::default(),
            backoff: Backoff::default(),
            retries_dispatch: false,
            commit: CommitMode::default(),
            stops_at_invalidate: false,
        }
    }

    /// Stages that the server applies to the events, such as a `$match`. They must leave `_id` and
    /// `operationType` as they are. A `$match` that hides `invalidate` hides the end of the stream, too.
    #[must_use]
    pub fn pipeline(mut self, stages: impl IntoIterator<Item = Document>) -> Self {
        self.pipeline = stages.into_iter().collect();
        self
    }

    /// Whether updates come with the whole document.
    #[must_use]
    pub fn full_document(mut self, mode: FullDocument) -> Self {
        self.full_document = mode;
        self
    }

    /// Whether changes come with the document as it was before.
    #[must_use]
    pub fn full_document_before_change(mut self, mode: BeforeChange) -> Self {
        self.before_change = mode;
        self
    }

    /// How many events the server sends at once at most. The server's default is as many as there are.
    #[must_use]
    pub fn batch_size(mut self, size: u32) -> Self {
        self.batch_size = Some(size);
        self
    }

    /// For how long the server waits for an event before it says that there is none. A stop takes this
    /// long, too. 500 ms by default.
    #[must_use]
    pub fn max_await_time(mut self, time: Duration) -> Self {
        self.max_await = time;
        self
    }

    /// Has events of indexes, of sharding and of created collections come, too (servers from 6.0 on).
    #[must_use]
    pub fn show_expanded_events(mut self) -> Self {
        self.shows_expanded_events = true;
        self
    }

    /// Has the server split events that are larger than the 16 MiB of a document, and puts them together
    /// again (servers from 6.0.9 and 7.0 on; others refuse the stream). Without, such an event ends the
    /// watcher, with the server's error 10334: a position behind it can be had only by its time.
    #[must_use]
    pub fn split_large_events(mut self) -> Self {
        self.splits_large_events = true;
        self
    }

    /// Begins behind a position, instead of the one that the store has.
    #[must_use]
    pub fn start_after(mut self, point: ResumePoint) -> Self {
        self.start = Some(Start::After(point.token));
        self
    }

    /// Begins at a time of the cluster's clock, inclusive, instead of the position that the store has.
    #[must_use]
    pub fn start_at(mut self, time: Timestamp) -> Self {
        self.start = Some(Start::At(time));
        self
    }

    /// How many changes, and how many bytes of them, may be given out and not be done. One that is larger
    /// comes alone. 256 and 4 MiB by default.
    #[must_use]
    pub fn credit(mut self, changes: usize, bytes: usize) -> Self {
        self.limits = StreamLimits { items: changes.max(1), bytes };
        self
    }

    /// After how many changes that are done, and after what time, the position is saved;
    /// also when nothing was changed and only the server's position has moved. 1,000
    /// and 1 s by default. The first position that a store has is saved at once.
    #[must_use]
    pub fn save_every(mut self, changes: u64, interval: Duration) -> Self {
        (self.save_every, self.save_interval) = (changes.max(1), interval);
        self
    }

    /// What is done when the server does not know the position any more.
    #[must_use]
    pub fn history_lost(mut self, policy: HistoryLost) -> Self {
        self.history_lost = policy;
        self
    }

    /// How the stream is opened again after failures that may pass. See [`Backoff::default`].
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Has a change whose dispatch has failed come again after a pause, as if the stream had failed; without,
    /// the watcher stops. Pauses grow until a change is done.
    #[must_use]
    pub fn retry_dispatch(mut self) -> Self {
        self.retries_dispatch = true;
        self
    }

    /// When the position of a change is saved. [`AfterAck`](CommitMode::AfterAck) by default.
    #[must_use]
    pub fn commit(mut self, mode: CommitMode) -> Self {
        self.commit = mode;
        self
    }

    /// Has the watcher stop behind an invalidate, with
    /// [`StopReason::Invalidated`](super::StopReason::Invalidated); without, it goes on should what it
    /// watches be created again.
    #[must_use]
    pub fn stop_at_invalidate(mut self) -> Self {
        self.stops_at_invalidate = true;
        self
    }

    /// Has updates come with the whole document, unless something else was asked for.
    pub(in crate::mongo) fn looking_up(self) -> Self {
        match self.full_document {
            FullDocument::Default => self.full_document(FullDocument::UpdateLookup),
            _ => self,
        }
    }

    /// For how long an answer of the server may take at all.
    pub(in crate::mongo) fn silence(&self, stall_timeout: Duration) -> Duration {
        self.max_await + stall_timeout
    }
}
