//! Management: streams, their messages, and consumers, by requests to the API.

mod account;
mod account_info;
mod cluster_info;
mod consumer_config;
mod consumer_list;
mod consumers;
mod direct_read;
mod gate;
mod last_answer;
mod last_messages;
mod last_reads;
mod leader_read;
mod lister;
pub(in crate::jetstream) mod listing;
mod made;
mod members;
mod message_delete;
mod messages;
mod messages_query;
mod messages_read;
mod paging;
mod pause;
mod promote;
mod purge;
mod stored_message;
mod stream_config;
mod stream_details;
mod stream_info;
mod stream_list;
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
pub(crate) use consumers::OnConsumer;
pub(crate) use direct_read::{DirectReads, other_subject, read_headers};
pub(crate) use last_answer::{AwaitingLast, Gathering, LastMessages, Unasked};
pub(crate) use last_reads::LastReads;
pub(crate) use leader_read::LeaderReads;
pub use lister::ListEnd;
pub use listing::{Listed, Listing};
pub(crate) use listing::{Source as ListingSource, on_listed};
pub(super) use made::WantedStream;
pub use messages::{MessageQuery, ReadFrom};
pub use messages_query::{MessagesEnd, MessagesQuery};
pub use pause::ConsumerPause;
pub use purge::PurgeOptions;
pub use stored_message::StoredMessage;
pub(crate) use stored_message::StoredParts;
pub use stream_config::{
    Compression, ConsumerLimits, Discard, External, PersistMode, Placement, Republish, Retention,
    Source, SourceConsumer, Storage, StreamConfig, SubjectTransform,
};
pub use stream_details::StreamDetails;
pub use stream_info::{LostData, SourceInfo, StreamAlternate, StreamInfo, StreamState};
pub(crate) use streams::OnStream;
