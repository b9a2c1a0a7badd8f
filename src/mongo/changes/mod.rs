//! Change streams: what happens in a collection, a database or a deployment, by callback.
//!
//! The driver's thread polls the stream and sends what it has, as far as there is credit. On the loop, each
//! change goes through the dispatch functions; the position behind those that are done in a row is saved by
//! compare-and-set. When the stream fails, is invalidated or falls silent, it is opened again behind the last
//! position, once everything that was given out is done, so that nothing comes twice while the watcher lives.

mod ack;
mod answering;
mod backoff;
mod builder;
mod candidature;
mod class;
mod cluster_time;
mod commit_mode;
mod delivering;
mod delivery;
mod destination;
mod event;
mod fragments;
mod handle;
mod in_flight;
mod leading;
mod lease;
mod loading;
mod losing;
mod lost;
mod metrics;
mod options;
mod point;
mod polling;
mod resnapshot;
mod running;
mod saving;
mod seed_order;
mod sequence;
mod sink_metrics;
mod state;
mod stopping;
mod store;
mod token;
mod watch;

pub use ack::Ack;
pub use backoff::Backoff;
pub use builder::WatchBuilder;
pub(in crate::mongo) use cluster_time::{behind, cluster_time};
pub use commit_mode::CommitMode;
pub(in crate::mongo) use destination::{Beginning, News};
pub use event::ChangeEvent;
pub use handle::ChangeStreamWatcher;
pub use metrics::WatchMetrics;
pub(in crate::mongo) use options::Scope;
pub use options::{BeforeChange, ChangeStream, FullDocument, HistoryLost};
pub use point::ResumePoint;
pub use resnapshot::Resnapshot;
pub use sink_metrics::SinkMetrics;
pub use state::{StopReason, WatchState};
pub use store::{KvResumeStore, MongoResumeStore, ResumeFunctions, ResumeStore, StoredPoint};
pub use token::ResumeToken;
pub(in crate::mongo) use watch::{Destination, Watch};
