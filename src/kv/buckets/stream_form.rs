//! The stream that a bucket's configuration makes, and the configuration that a stream shows (ADR-8).
//!
//! A stream may have settings that no configuration of a bucket has: other clients make them, and
//! newer servers know more. They are left alone, and make no difference when two are compared.

use crate::jetstream::{Compression, Discard, Source, StreamConfig, SubjectTransform};
use crate::kv::buckets::config::Config;
use crate::kv::error::Error;
use std::time::Duration;

/// What the names of buckets' streams begin with.
pub(in crate::kv) const STREAM_PREFIX: &str = "KV_";

/// The server's default; it must not be longer than the values live.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

impl Config {
    /// The stream of a bucket that is made so.
    pub(in crate::kv) fn to_stream(&self, bucket: &str) -> Result<StreamConfig, Error> {
        self.check()?;
        let allows_ttl = self.per_key_ttl || self.limit_marker_ttl.is_some();
        Ok(StreamConfig {
            name: format!("{STREAM_PREFIX}{bucket}"),
            subjects: match self.mirror {
                Some(_) => Vec::new(),
                None => vec![format!("$KV.{bucket}.>")],
            },
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
            duplicate_window: Some(self.duplicate_window()),
            subject_delete_marker_ttl: self.limit_marker_ttl,
            allow_msg_ttl: allows_ttl,
            allow_atomic: self.atomic_batches,
            allow_rollup_hdrs: true,
            allow_direct: true,
            deny_delete: true,
            mirror_direct: self.mirror.is_some(),
            mirror: self.mirror.clone().map(with_stream_name),
            sources: self.sources.iter().map(|source| to_source(source, bucket)).collect(),
            ..StreamConfig::default()
        })
    }

    fn check(&self) -> Result<(), Error> {
        let rules = [
            ((1..=64).contains(&self.history), "the history is 1 to 64 values"),
            ((1..=5).contains(&self.replicas), "there are 1 to 5 replicas"),
            (
                self.ttl.is_none_or(|ttl| ttl >= Duration::from_millis(100)),
                "the time to live is 100 ms at least",
            ),
            (
                self.limit_marker_ttl.is_none_or(|ttl| ttl >= Duration::from_secs(1)),
                "markers of expired values live for a second at least",
            ),
            (self.mirror.is_none() || self.sources.is_empty(), "a mirror has no other sources"),
        ];
        match rules.into_iter().find(|(is_kept, _)| !is_kept) {
            Some((_, rule)) => Err(Error::InvalidConfig(rule)),
            None => Ok(()),
        }
    }

    fn duplicate_window(&self) -> Duration {
        self.ttl.unwrap_or(DUPLICATE_WINDOW).min(DUPLICATE_WINDOW)
    }

    /// The configuration that a bucket's stream shows.
    pub(in crate::kv) fn of_stream(stream: &StreamConfig) -> Self {
        let mut metadata = stream.metadata.clone();
        // that is the server's own
        metadata.retain(|key, _| !key.starts_with("_nats"));
        let bucket = stream.name.strip_prefix(STREAM_PREFIX).unwrap_or(&stream.name);
        Self {
            description: stream.description.clone(),
            history: stream.max_msgs_per_subject.and_then(|n| n.try_into().ok()).unwrap_or(u8::MAX),
            ttl: stream.max_age,
            limit_marker_ttl: stream.subject_delete_marker_ttl,
            max_bytes: stream.max_bytes,
            max_value_size: stream.max_msg_size,
            storage: stream.storage.clone(),
            replicas: stream.num_replicas.max(1),
            placement: stream.placement.clone(),
            republish: stream.republish.clone(),
            compression: stream.compression == Compression::S2,
            metadata,
            per_key_ttl: stream.allow_msg_ttl && stream.subject_delete_marker_ttl.is_none(),
            atomic_batches: stream.allow_atomic,
            mirror: stream.mirror.clone().map(without_stream_name),
            sources: stream.sources.iter().map(|source| of_source(source, bucket)).collect(),
        }
    }

    /// Changes a bucket's stream to this configuration. What no configuration has stays as it is.
    pub(in crate::kv) fn apply_to(
        &self,
        found: StreamConfig,
        bucket: &str,
    ) -> Result<StreamConfig, Error> {
        let wanted = self.to_stream(bucket)?;
        // a mirror that is to be one no more becomes a bucket with keys of its own
        let subjects = match (&found.mirror, &wanted.mirror) {
            (Some(_), None) => wanted.subjects,
            _ => found.subjects,
        };
        let longest = wanted.max_age.unwrap_or(Duration::MAX);
        let mut metadata = wanted.metadata;
        let servers_own = found.metadata.into_iter().filter(|(key, _)| key.starts_with("_nats"));
        metadata.extend(servers_own);
        Ok(StreamConfig {
            subjects,
            metadata,
            description: wanted.description,
            max_msgs_per_subject: wanted.max_msgs_per_subject,
            max_age: wanted.max_age,
            max_bytes: wanted.max_bytes,
            max_msg_size: wanted.max_msg_size,
            storage: wanted.storage,
            num_replicas: wanted.num_replicas,
            placement: wanted.placement,
            republish: wanted.republish,
            compression: wanted.compression,
            duplicate_window: found.duplicate_window.map(|window| window.min(longest)),
            subject_delete_marker_ttl: wanted.subject_delete_marker_ttl,
            // the server does not take it back (10052)
            allow_msg_ttl: found.allow_msg_ttl || wanted.allow_msg_ttl,
            allow_atomic: wanted.allow_atomic,
            mirror: wanted.mirror,
            sources: wanted.sources,
            ..found
        })
    }
}

/// Whether a bucket that exists is what was wanted: the same in all that a configuration has, but for
/// permissions that it gives besides.
pub(in crate::kv) fn is_as_wanted(found: &StreamConfig, wanted: &StreamConfig) -> bool {
    let wanted = Config::of_stream(wanted);
    let mut found = Config::of_stream(found);
    found.per_key_ttl &= wanted.per_key_ttl;
    found.atomic_batches &= wanted.atomic_batches;
    found == wanted
}

/// Whether a bucket discards old values, as clients made them before server 2.7.2.
pub(in crate::kv) fn is_old(found: &StreamConfig) -> bool {
    found.discard == Discard::Old
}

/// Servers before 2.12 pass over what they do not know, without a word.
pub(in crate::kv) fn check_settings(
    made: &StreamConfig,
    wanted: &StreamConfig,
) -> Result<(), Error> {
    let is_missing = |is_wanted: bool, is_made: bool| is_wanted && !is_made;
    // the level that the server notes there may change with the settings
    let mut metadata = wanted.metadata.iter().filter(|(key, _)| !key.starts_with("_nats"));
    let metadata = metadata.any(|(key, value)| made.metadata.get(key) != Some(value));
    let missing = [
        (made.compression != wanted.compression, "compression"),
        (metadata, "metadata"),
        (
            made.subject_delete_marker_ttl != wanted.subject_delete_marker_ttl,
            "markers of expired values",
        ),
        (is_missing(wanted.allow_msg_ttl, made.allow_msg_ttl), "a time to live of single keys"),
        (is_missing(wanted.allow_atomic, made.allow_atomic), "atomic batches"),
    ];
    match missing.into_iter().find(|(is_missing, _)| *is_missing) {
        Some((_, setting)) => Err(Error::Unsupported { setting }),
        None => Ok(()),
    }
}

fn with_stream_name(mut source: Source) -> Source {
    if !source.name.starts_with(STREAM_PREFIX) {
        source.name.insert_str(0, STREAM_PREFIX);
    }
    source
}

fn without_stream_name(mut source: Source) -> Source {
    if let Some(bucket) = source.name.strip_prefix(STREAM_PREFIX) {
        source.name = bucket.to_owned();
    }
    source
}

/// A source as the server wants it: its keys get the subjects of the bucket that they are copied to.
fn to_source(source: &Source, bucket: &str) -> Source {
    if !source.subject_transforms.is_empty() {
        return source.clone();
    }
    let source = with_stream_name(source.clone());
    match transform(&source, bucket) {
        Some(transform) => source.subject_transforms([transform]),
        None => source,
    }
}

/// A source as a configuration has it.
fn of_source(source: &Source, bucket: &str) -> Source {
    let is_ours = match &*source.subject_transforms {
        [] => true,
        [found] => {
            let made = transform(source, bucket);
            made.is_some_and(|made| (&made.src, &made.dest) == (&found.src, &found.dest))
        }
        _ => false,
    };
    match is_ours {
        true => {
            let source = Source { subject_transforms: Vec::new(), ..source.clone() };
            without_stream_name(source)
        }
        false => source.clone(),
    }
}

/// The change of subjects that copies a bucket's keys to another bucket. `None`: they have the right
/// ones, as a bucket of the same name has in another domain.
fn transform(source: &Source, bucket: &str) -> Option<SubjectTransform> {
    let of = source.name.strip_prefix(STREAM_PREFIX).unwrap_or(&source.name);
    let is_the_same = of == bucket;
    (!is_the_same).then(|| SubjectTransform::new(format!("$KV.{of}.>"), format!("$KV.{bucket}.>")))
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
    fn what_others_allow_besides_makes_no_difference() {
        let wanted = Config::new().to_stream("b").unwrap();
        let generous = StreamConfig {
            allow_msg_ttl: true,
            allow_batched: true,
            allow_direct: false,
            deny_delete: false,
            ..wanted.clone()
        };
        assert!(is_as_wanted(&generous, &wanted));
        let stricter = Config::new().per_key_ttl(true).to_stream("b").unwrap();
        assert!(!is_as_wanted(&wanted, &stricter));
        let other = StreamConfig { max_msgs_per_subject: Some(3), ..wanted.clone() };
        assert!(!is_as_wanted(&other, &wanted));
    }

    #[test]
    fn a_configuration_survives_its_stream() {
        let config = Config::new()
            .description("d")
            .history(3)
            .ttl(Duration::from_secs(9))
            .limit_marker_ttl(Duration::from_secs(2))
            .max_bytes(4_u64)
            .compression(true)
            .metadata("a", "b")
            .atomic_batches(true)
            .sources([
                Source::new("other"),
                Source::new("T").subject_transforms([SubjectTransform::new("x.>", "$KV.b.>")]),
            ]);
        assert_eq!(Config::of_stream(&config.to_stream("b").unwrap()), config);
        let mirror = Config::new().mirror(Source::new("origin"));
        let stream = mirror.to_stream("b").unwrap();
        assert_eq!(stream.mirror.as_ref().map(|mirror| &*mirror.name), Some("KV_origin"));
        assert!(stream.subjects.is_empty() && stream.mirror_direct);
        assert_eq!(Config::of_stream(&stream), mirror);
    }

    #[test]
    fn an_update_leaves_alone_what_no_configuration_has() {
        let found = StreamConfig {
            allow_batched: true,
            deny_delete: false,
            allow_msg_ttl: true,
            max_msgs: Some(1_000),
            duplicate_window: Some(Duration::from_secs(60)),
            ..Config::new().to_stream("b").unwrap()
        };
        let updated = Config::new().history(7).apply_to(found.clone(), "b").unwrap();
        assert_eq!(updated, StreamConfig { max_msgs_per_subject: Some(7), ..found });
    }
}
