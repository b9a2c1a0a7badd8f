//! How a bucket is configured.

use crate::jetstream::wire::setters;
use crate::jetstream::{Placement, Storage};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a bucket stores its objects: `Config::new().max_bytes(1 << 30)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// A description for people.
    pub description: Option<String>,
    /// How long objects are kept. Default: for ever.
    pub ttl: Option<Duration>,
    /// Most bytes in all; what is put beyond is refused. Default: no limit.
    pub max_bytes: Option<u64>,
    /// Where objects are stored. Default: in files.
    pub storage: Storage,
    /// Number of copies in a cluster, 1 to 5. Default: 1.
    pub replicas: u32,
    /// Where in a cluster it is placed. Default: anywhere.
    pub placement: Option<Placement>,
    /// Whether objects are compressed (server 2.10). Default: they are not.
    pub compression: bool,
    /// User-defined metadata (server 2.10).
    pub metadata: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            description: None,
            ttl: None,
            max_bytes: None,
            storage: Storage::default(),
            replicas: 1,
            placement: None,
            compression: false,
            metadata: BTreeMap::new(),
        }
    }
}

setters!(Config {
    some_text description: String,
    some ttl: Duration,
    some max_bytes: u64,
    value storage: Storage,
    value replicas: u32,
    some placement: Placement,
    value compression: bool,
    pair metadata: String,
});

impl Config {
    /// A bucket in files, without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
