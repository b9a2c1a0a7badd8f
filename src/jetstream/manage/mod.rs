//! Management: streams, their messages, and consumers, by requests to the API.

mod consumer_config;
mod consumers;
mod messages;
mod stream_config;
mod stream_info;
mod streams;

pub use consumer_config::{
    AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, PriorityGroupInfo, PriorityPolicy,
    ReplayPolicy, SequenceInfo,
};
pub use consumers::ConsumerReset;
pub(crate) use messages::{DirectReads, read_direct_headers};
pub use messages::{MessageQuery, ReadFrom, StoredMessage};
pub use stream_config::{
    Compression, ConsumerLimits, Discard, External, PersistMode, Placement, Republish, Retention,
    Source, SourceConsumer, Storage, StreamConfig, SubjectTransform,
};
pub use stream_info::{
    ClusterInfo, LostData, PeerInfo, SourceInfo, StreamAlternate, StreamInfo, StreamState,
};
