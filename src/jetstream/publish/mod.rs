//! Publishing to streams: every message is acknowledged, or there is an error that says why not.

mod batch;
mod counter;
mod diagnosis;
mod ingest;
mod integer;
mod observer;
mod one;
pub(super) mod option_error;
mod options;
pub(super) mod pub_ack;
mod schedule;
mod ttl;
mod window;

pub use batch::AtomicBatch;
pub(crate) use batch::BatchMessage;
pub use counter::Counter;
pub use diagnosis::Unanswered;
pub(crate) use ingest::Ingest;
pub use ingest::{FastIngest, IngestGap, IngestOptions, IngestRefusal, IngestReport};
pub use integer::Integer;
pub(crate) use observer::{Observer, observe};
pub(crate) use one::acknowledged_sequence;
pub use option_error::{OptionError, ScheduleError};
pub use options::PublishOptions;
pub(crate) use pub_ack::KnownAck;
pub use pub_ack::PubAck;
pub use schedule::{Schedule, Scheduled, Timing};
pub use ttl::Ttl;
pub(crate) use window::{Done, Window};
pub use window::{PublishFailure, PublishWindow, Stalled, WindowOptions, WindowReport};
