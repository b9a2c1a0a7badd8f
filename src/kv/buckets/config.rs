//! How a bucket is configured.

use crate::jetstream::wire::setters;
use crate::jetstream::{Placement, Republish, Source, Storage};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a bucket stores its values: `Config::new().history(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// A description for people.
    pub description: Option<String>,
    /// How many values are kept for each key, 1 to 64. Default: 1.
    pub history: u8,
    /// How long values are kept. Default: for ever.
    pub ttl: Option<Duration>,
    /// Has the server leave a marker, for this long, where it removes the last value of a key because
    /// its time is over, so that watches show [`Operation::Expire`](crate::kv::Operation::Expire) (server
    /// 2.11). A second at least. Default: values vanish without a word.
    pub limit_marker_ttl: Option<Duration>,
    /// Most bytes in all; writes beyond are refused. Default: no limit.
    pub max_bytes: Option<u64>,
    /// Largest value in bytes, headers included. Default: what the server accepts.
    pub max_value_size: Option<u64>,
    /// Where values are stored. Default: in files.
    pub storage: Storage,
    /// Number of copies in a cluster, 1 to 5. Default: 1.
    pub replicas: u32,
    /// Where in a cluster it is placed. Default: anywhere.
    pub placement: Option<Placement>,
    /// Core subjects to which every write is published again. Default: none.
    pub republish: Option<Republish>,
    /// Whether values are compressed (server 2.10). Default: they are not.
    pub compression: bool,
    /// User-defined metadata (server 2.10).
    pub metadata: BTreeMap<String, String>,
    /// Whether single keys can have a time to live, also without markers (server 2.11). It cannot be
    /// taken back. Default: only if there is a `limit_marker_ttl`.
    pub per_key_ttl: bool,
    /// Whether several keys can be written as one (server 2.12). Default: they cannot.
    pub atomic_batches: bool,
    /// The bucket that this one is a copy of: a mirror is read near, and writes go to the origin
    /// ([`KeyValue::bind`](crate::kv::KeyValue::bind)). The name is that of the bucket, or of its stream.
    /// Default: none.
    pub mirror: Option<Source>,
    /// Buckets whose keys are copied into this one, which has its own besides. The keys are the same
    /// here; a source with [subject transforms](Source::subject_transforms) is taken as it is. Names
    /// as for `mirror`. Default: none.
    pub sources: Vec<Source>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            description: None,
            history: 1,
            ttl: None,
            limit_marker_ttl: None,
            max_bytes: None,
            max_value_size: None,
            storage: Storage::default(),
            replicas: 1,
            placement: None,
            republish: None,
            compression: false,
            metadata: BTreeMap::new(),
            per_key_ttl: false,
            atomic_batches: false,
            mirror: None,
            sources: Vec::new(),
        }
    }
}

setters!(Config {
    some_text description: String,
    value history: u8,
    some ttl: Duration,
    some limit_marker_ttl: Duration,
    some max_bytes: u64,
    some max_value_size: u64,
    value storage: Storage,
    value replicas: u32,
    some placement: Placement,
    some republish: Republish,
    value compression: bool,
    pair metadata: String,
    value per_key_ttl: bool,
    value atomic_batches: bool,
    some mirror: Source,
    list sources: Source,
});

impl Config {
    /// A bucket with a history of one value, in files, without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
