//! A bucket in numbers.

use crate::jetstream::{Compression, StreamInfo};
use crate::kv::buckets::config::Config;
use crate::kv::name::FENCE_KEY;
use std::sync::Arc;
use std::time::Duration;

/// A bucket's configuration and contents, as of the time of asking.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    bucket: Arc<str>,
    info: StreamInfo,
}

impl Status {
    pub(in crate::kv) fn new(bucket: &Arc<str>, info: StreamInfo) -> Self {
        Self { bucket: bucket.clone(), info }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The configuration, to look at or to change and give to
    /// [`update_bucket`](crate::kv::KeyValue::update_bucket).
    #[must_use]
    pub fn config(&self) -> Config {
        Config::of_stream(&self.info.config)
    }

    /// Number of values, older ones of the history and tombstones included. The one of the fence that
    /// [linearizable reads](crate::kv::Reads::Linearizable) leave is not, except for buckets that were listed
    /// ([`list_key_values`](crate::jetstream::JetStream::list_key_values)), of which that is not known.
    #[must_use]
    pub fn values(&self) -> u64 {
        let is_fence = |subject: &&String| subject.rsplit('.').next() == Some(FENCE_KEY);
        let fences = self.info.state.subjects.keys().filter(is_fence).count() as u64;
        self.info.state.messages.saturating_sub(fences)
    }

    /// Bytes that they take, the stream's own bookkeeping included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.info.state.bytes
    }

    /// How many values are kept for each key. `None`: a stream that limits nothing.
    #[must_use]
    pub fn history(&self) -> Option<u64> {
        self.info.config.max_msgs_per_subject
    }

    /// How long values are kept. `None`: for ever.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.info.config.max_age
    }

    /// How long markers of expired values are kept. `None`: values expire without one.
    #[must_use]
    pub fn limit_marker_ttl(&self) -> Option<Duration> {
        self.info.config.subject_delete_marker_ttl
    }

    /// Number of copies in a cluster.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.info.config.num_replicas
    }

    /// Whether values are compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.info.config.compression == Compression::S2
    }

    /// The stream under the bucket, with everything that the server says of it.
    #[must_use]
    pub fn stream(&self) -> &StreamInfo {
        &self.info
    }
}
