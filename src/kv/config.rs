//! How a bucket is configured, and the stream that this makes.

use super::error::Error;
use crate::jetstream::wire::setters;
use crate::jetstream::{Compression, Discard, Placement, Republish, Storage, StreamConfig};
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
    /// its time is over, so that watches show [`Operation::Expire`](super::Operation::Expire) (server
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
});

/// The server's default; it must not be longer than the values live.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

impl Config {
    /// A bucket with a history of one value, in files, without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn to_stream(&self, bucket: &str) -> Result<StreamConfig, Error> {
        if !(1..=64).contains(&self.history) {
            return Err(Error::InvalidConfig("the history is 1 to 64 values"));
        }
        if !(1..=5).contains(&self.replicas) {
            return Err(Error::InvalidConfig("there are 1 to 5 replicas"));
        }
        if self.ttl.is_some_and(|ttl| ttl < Duration::from_millis(100)) {
            return Err(Error::InvalidConfig("the time to live is 100 ms at least"));
        }
        if self.limit_marker_ttl.is_some_and(|ttl| ttl < Duration::from_secs(1)) {
            return Err(Error::InvalidConfig(
                "markers of expired values live for a second at least",
            ));
        }
        Ok(StreamConfig {
            name: format!("KV_{bucket}"),
            subjects: vec![format!("$KV.{bucket}.>")],
            description: self.description.clone(),
            max_msgs_per_subject: Some(self.history.into()),
            max_age: self.ttl,
            max_bytes: self.max_bytes,
            max_msg_size: self.max_value_size,
            storage: self.storage.clone(),
            num_replicas: self.replicas,
            placement: self.placement.clone(),
            republish: self.republish.clone(),
            compression: if self.compression { Compression::S2 } else { Compression::default() },
            metadata: self.metadata.clone(),
            discard: Discard::New,
            duplicate_window: Some(self.ttl.unwrap_or(DUPLICATE_WINDOW).min(DUPLICATE_WINDOW)),
            subject_delete_marker_ttl: self.limit_marker_ttl,
            allow_msg_ttl: self.limit_marker_ttl.is_some(),
            allow_rollup_hdrs: true,
            allow_direct: true,
            deny_delete: true,
            ..StreamConfig::default()
        })
    }
}

/// Servers before 2.12 pass over what they do not know, without a word.
pub(super) fn check_settings(made: &StreamConfig, wanted: &StreamConfig) -> Result<(), Error> {
    if made.compression != wanted.compression {
        return Err(Error::Unsupported { setting: "compression" });
    }
    if wanted.metadata.iter().any(|(key, value)| made.metadata.get(key) != Some(value)) {
        return Err(Error::Unsupported { setting: "metadata" });
    }
    if made.subject_delete_marker_ttl != wanted.subject_delete_marker_ttl {
        return Err(Error::Unsupported { setting: "markers of expired values" });
    }
    Ok(())
}

/// Whether a bucket that exists differs from the wanted one only in what clients set differently
/// before server 2.9.
pub(super) fn differs_by_age_only(found: &StreamConfig, wanted: &StreamConfig) -> bool {
    let mut found = found.clone();
    found.remove_server_metadata();
    found.unknown.clear();
    let updated = StreamConfig {
        discard: wanted.discard.clone(),
        allow_direct: wanted.allow_direct,
        ..found.clone()
    };
    updated == *wanted && found != *wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_ttl_shortens_the_duplicate_window() {
        let with_ttl = |ttl| Config { ttl, ..Config::default() }.to_stream("b").unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(with_ttl(None).duplicate_window, seconds(120));
        assert_eq!(with_ttl(seconds(5)).duplicate_window, seconds(5));
        assert_eq!(with_ttl(seconds(500)).duplicate_window, seconds(120));
    }

    #[test]
    fn impossible_configurations_are_refused() {
        for history in [0, 65] {
            assert!(Config { history, ..Config::default() }.to_stream("b").is_err());
        }
        for replicas in [0, 6] {
            assert!(Config { replicas, ..Config::default() }.to_stream("b").is_err());
        }
    }

    #[test]
    fn only_differences_of_age_are_repaired() {
        let wanted = Config::default().to_stream("b").unwrap();
        let old = StreamConfig { discard: Discard::Old, allow_direct: false, ..wanted.clone() };
        assert!(differs_by_age_only(&old, &wanted));
        let other = StreamConfig { max_msgs_per_subject: Some(3), ..old };
        assert!(!differs_by_age_only(&other, &wanted));
        assert!(!differs_by_age_only(&wanted, &wanted));
    }
}
