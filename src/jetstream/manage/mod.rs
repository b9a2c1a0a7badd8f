//! Management: streams, their messages, and consumers, by requests to the API.

mod account;
mod account_info;
mod cluster_info;
mod consumer_config;
mod consumers;
mod gate;
mod messages;
mod pause;
mod purge;
mod stream_config;
mod stream_details;
mod stream_info;
mod stream_names;
mod streams;
#[cfg(test)]
mod tests;

pub use account_info::{AccountInfo, AccountLimits, AccountTier, ApiStats};
pub use cluster_info::{
    ClusterInfo, Desired, DesiredOrigin, DesiredPeer, DesiredPhase, DesiredStatus, PeerInfo,
};
pub use consumer_config::{
    AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, PriorityGroupInfo, PriorityPolicy,
    ReplayPolicy, SequenceInfo,
};
pub use consumers::ConsumerReset;
pub(crate) use messages::{DirectReads, read_direct_headers};
pub use messages::{MessageQuery, ReadFrom, StoredMessage};
pub use pause::ConsumerPause;
pub use purge::PurgeOptions;
pub use stream_config::{
    Compression, ConsumerLimits, Discard, External, PersistMode, Placement, Republish, Retention,
    Source, SourceConsumer, Storage, StreamConfig, SubjectTransform,
};
pub use stream_details::StreamDetails;
pub use stream_info::{LostData, SourceInfo, StreamAlternate, StreamInfo, StreamState};
