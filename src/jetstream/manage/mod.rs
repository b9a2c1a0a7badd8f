//! Management: streams, their messages, and consumers, by requests to the API.

mod consumer_config;
mod consumers;
mod direct_read;
mod leader_read;
mod messages;
mod stored_message;
mod stream_config;
mod stream_info;
mod streams;

pub use consumer_config::{
    AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, PriorityGroupInfo, PriorityPolicy,
    ReplayPolicy, SequenceInfo,
};
pub use consumers::ConsumerReset;
pub(crate) use direct_read::{DirectReads, read_headers};
pub(crate) use leader_read::LeaderReads;
pub use messages::{MessageQuery, ReadFrom};
pub use stored_message::StoredMessage;
pub(crate) use stored_message::StoredParts;
pub use stream_config::{
    Compression, ConsumerLimits, Discard, External, PersistMode, Placement, Republish, Retention,
    Source, SourceConsumer, Storage, StreamConfig, SubjectTransform,
};
pub use stream_info::{
    ClusterInfo, LostData, PeerInfo, SourceInfo, StreamAlternate, StreamInfo, StreamState,
};
