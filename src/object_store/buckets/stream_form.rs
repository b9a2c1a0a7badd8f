//! The stream that a bucket's configuration makes, and the configuration that a stream shows (ADR-20).
//!
//! A stream may have settings that no configuration of a bucket has. They are left alone, and make no
//! difference when two are compared.

use crate::jetstream::{Compression, Discard, StreamConfig};
use crate::object_store::buckets::config::Config;
use crate::object_store::error::Error;
use crate::object_store::name::STREAM_PREFIX;
use std::time::Duration;

/// The API level of servers that take fast ingest (2.14).
const BATCHED_LEVEL: u32 = 4;

/// The server's default; it must not be longer than the objects live.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

impl Config {
    /// The stream of a bucket that is made so, on a server of this level, as far as it is known. Where
    /// the server has fast ingest, chunks may come by it.
    pub(in crate::object_store) fn to_stream(
        &self,
        bucket: &str,
        level: Option<u32>,
    ) -> Result<StreamConfig, Error> {
        self.check()?;
        Ok(StreamConfig {
            name: format!("{STREAM_PREFIX}{bucket}"),
            subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
            description: self.description.clone(),
            max_age: self.ttl,
            max_bytes: self.max_bytes,
            storage: self.storage.clone(),
            num_replicas: self.replicas,
            placement: self.placement.clone(),
            compression: if self.compression { Compression::S2 } else { Compression::default() },
            metadata: self.metadata.clone(),
            discard: Discard::New,
            duplicate_window: self.ttl.map(|ttl| ttl.min(DUPLICATE_WINDOW)),
            allow_rollup_hdrs: true,
            allow_direct: true,
            allow_batched: level.is_some_and(|level| level >= BATCHED_LEVEL),
            ..StreamConfig::default()
        })
    }

    fn check(&self) -> Result<(), Error> {
        let rules = [
            ((1..=5).contains(&self.replicas), "there are 1 to 5 replicas"),
            (
                self.ttl.is_none_or(|ttl| ttl >= Duration::from_millis(100)),
                "the time to live is 100 ms at least",
            ),
        ];
        match rules.into_iter().find(|(is_kept, _)| !is_kept) {
            Some((_, rule)) => Err(Error::InvalidConfig(rule)),
            None => Ok(()),
        }
    }

    /// The configuration that a bucket's stream shows.
    pub(in crate::object_store) fn of_stream(stream: &StreamConfig) -> Self {
        let mut metadata = stream.metadata.clone();
        // that is the server's own
        metadata.retain(|key, _| !key.starts_with("_nats"));
        Self {
            description: stream.description.clone(),
            ttl: stream.max_age,
            max_bytes: stream.max_bytes,
            storage: stream.storage.clone(),
            replicas: stream.num_replicas.max(1),
            placement: stream.placement.clone(),
            compression: stream.compression == Compression::S2,
            metadata,
        }
    }

    /// Changes a bucket's stream to this configuration. What no configuration has stays as it is.
    pub(in crate::object_store) fn apply_to(
        &self,
        found: StreamConfig,
        bucket: &str,
    ) -> Result<StreamConfig, Error> {
        let wanted = self.to_stream(bucket, None)?;
        let longest = wanted.max_age.unwrap_or(Duration::MAX);
        let mut metadata = wanted.metadata;
        let servers_own = found.metadata.into_iter().filter(|(key, _)| key.starts_with("_nats"));
        metadata.extend(servers_own);
        Ok(StreamConfig {
            metadata,
            description: wanted.description,
            max_age: wanted.max_age,
            max_bytes: wanted.max_bytes,
            storage: wanted.storage,
            num_replicas: wanted.num_replicas,
            placement: wanted.placement,
            compression: wanted.compression,
            duplicate_window: found.duplicate_window.map(|window| window.min(longest)),
            ..found
        })
    }
}

/// Whether a bucket that exists is what was wanted: the same in all that a configuration has.
pub(in crate::object_store) fn is_as_wanted(found: &StreamConfig, wanted: &StreamConfig) -> bool {
    Config::of_stream(found) == Config::of_stream(wanted)
}

/// Servers before 2.12 pass over what they do not know, without a word.
pub(in crate::object_store) fn check_settings(
    made: &StreamConfig,
    wanted: &StreamConfig,
) -> Result<(), Error> {
    // the level that the server notes there may change with the settings
    let mut metadata = wanted.metadata.iter().filter(|(key, _)| !key.starts_with("_nats"));
    let missing = [
        (made.compression != wanted.compression, "compression"),
        (metadata.any(|(key, value)| made.metadata.get(key) != Some(value)), "metadata"),
    ];
    match missing.into_iter().find(|(is_missing, _)| *is_missing) {
        Some((_, setting)) => Err(Error::Unsupported { setting }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_its_stream() {
        let config = Config::new()
            .description("d")
            .ttl(Duration::from_secs(9))
            .max_bytes(4_u64)
            .replicas(3)
            .compression(true)
            .metadata("a", "b");
        let stream = config.to_stream("b", Some(BATCHED_LEVEL)).unwrap();
        assert_eq!(stream.subjects, ["$O.b.C.>", "$O.b.M.>"]);
        assert_eq!(stream.duplicate_window, Some(Duration::from_secs(9)));
        assert!(stream.allow_batched && stream.allow_direct && stream.allow_rollup_hdrs);
        assert_eq!(Config::of_stream(&stream), config);
        for level in [None, Some(3)] {
            assert!(!config.to_stream("b", level).unwrap().allow_batched, "{level:?}");
        }
    }

    #[test]
    fn impossible_configurations_are_refused() {
        for config in [Config::new().replicas(0), Config::new().ttl(Duration::from_millis(1))] {
            assert!(matches!(config.to_stream("b", None), Err(Error::InvalidConfig(_))));
        }
    }

    #[test]
    fn an_update_leaves_alone_what_no_configuration_has() {
        let found = StreamConfig {
            allow_batched: true,
            allow_direct: false,
            max_msgs: Some(1_000),
            duplicate_window: Some(Duration::from_secs(60)),
            ..Config::new().to_stream("b", None).unwrap()
        };
        let updated = Config::new().max_bytes(7_u64).apply_to(found.clone(), "b").unwrap();
        assert_eq!(updated, StreamConfig { max_bytes: Some(7), ..found.clone() });
        assert!(is_as_wanted(&found, &Config::new().to_stream("b", Some(9)).unwrap()));
    }
}
