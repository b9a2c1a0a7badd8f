//! The configuration of a stream, as sent in create and update requests and returned by the server.
//!
//! The invariant: encoding writes only what was set, because servers from 2.12 on reject members
//! they do not know (older ones drop them silently), and decoding accepts what any server writes:
//! absent members, `null`, limits of −1 or 0, and words for enumerations that this version does not
//! know, which are kept. Nothing is validated here; the server's rules differ by version.

use crate::jetstream::level::Requirement;
use crate::jetstream::time::{nanos, rfc3339};
use crate::jetstream::wire::{
    Unknown, is_default, limit, non_zero, null_as_default, remove_server_metadata, setters,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// How a stream stores its messages: `StreamConfig::new("ORDERS").subjects(["orders.>"])`.
///
/// An unset option leaves the choice to the server. To change a stream, start from the
/// configuration that the server returned: an update replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamConfig {
    /// The name: required, without spaces, dots, wildcards and slashes.
    pub name: String,
    /// A description for people, at most 4096 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The subjects that are stored, wildcards allowed. Empty: the stream's name, except for
    /// mirrors, which have no subjects.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub subjects: Vec<String>,
    /// When messages are removed.
    pub retention: Retention,
    /// The most consumers at one time. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_consumers: Option<u64>,
    /// The most messages. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_msgs: Option<u64>,
    /// The most bytes, headers and bookkeeping included. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_bytes: Option<u64>,
    /// The most messages kept for each subject. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_msgs_per_subject: Option<u64>,
    /// The largest message in bytes, headers included. `None`: whatever the server accepts.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_msg_size: Option<u64>,
    /// How long messages are kept, at least 100 ms. `None`: for ever.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub max_age: Option<Duration>,
    /// What happens at a limit: the oldest messages go, or new ones are refused.
    pub discard: Discard,
    /// Apply [`Discard::New`] also at `max_msgs_per_subject`, which must be set.
    #[serde(skip_serializing_if = "is_default")]
    pub discard_new_per_subject: bool,
    /// Where messages are stored.
    pub storage: Storage,
    /// The number of copies in a cluster, 1 to 5. Default 1.
    pub num_replicas: u32,
    /// Store without acknowledging publishes.
    #[serde(skip_serializing_if = "is_default")]
    pub no_ack: bool,
    /// How long message ids are remembered. `None`: 2 min, or `max_age` if that is less.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub duplicate_window: Option<Duration>,
    /// Where in the cluster the stream may live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The stream that this one is a copy of. Excludes `subjects`, `sources` and `first_seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Source>,
    /// Streams whose messages are copied into this one.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub sources: Vec<Source>,
    /// Compression of the store (2.10).
    #[serde(skip_serializing_if = "is_default")]
    pub compression: Compression,
    /// The sequence of the first message, if not 1 (2.10).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "non_zero")]
    pub first_seq: Option<u64>,
    /// Changes subjects before storing (2.10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    /// Publishes every stored message again, as an ordinary message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub republish: Option<Republish>,
    /// Let any replica answer reads, which may then be stale.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_direct: bool,
    /// Let this mirror answer direct reads of its origin.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror_direct: bool,
    /// Refuse every change from now on. Only through an update, and for good.
    #[serde(skip_serializing_if = "is_default")]
    pub sealed: bool,
    /// Refuse deleting single messages. Cannot be taken back.
    #[serde(skip_serializing_if = "is_default")]
    pub deny_delete: bool,
    /// Refuse purging. Cannot be taken back.
    #[serde(skip_serializing_if = "is_default")]
    pub deny_purge: bool,
    /// Let a publish with `Nats-Rollup` replace earlier messages.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_rollup_hdrs: bool,
    /// Defaults and limits for consumers of this stream (2.10).
    #[serde(skip_serializing_if = "is_default", deserialize_with = "null_as_default")]
    pub consumer_limits: ConsumerLimits,
    /// Free key-value pairs, at most 128 KiB (2.10). Keys with the prefix `_nats` are the server's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub metadata: BTreeMap<String, String>,
    /// Allow a `Nats-TTL` on messages (2.11). Cannot be taken back.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_ttl: bool,
    /// Leave a marker, for this long, when the last message of a subject expires: at least 1 s
    /// (2.11). Implies `allow_msg_ttl` and `allow_rollup_hdrs`.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub subject_delete_marker_ttl: Option<Duration>,
    /// Make every subject a counter (2.12). Only when the stream is created.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_counter: bool,
    /// Allow atomic batches (2.12).
    #[serde(skip_serializing_if = "is_default")]
    pub allow_atomic: bool,
    /// Allow scheduled messages (2.12). Not with [`Discard::New`].
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_schedules: bool,
    /// Whether publishes are acknowledged before they are on disk (2.12).
    #[serde(skip_serializing_if = "is_default")]
    pub persist_mode: PersistMode,
    /// Allow fast-ingest batches (2.14).
    #[serde(skip_serializing_if = "is_default")]
    pub allow_batched: bool,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl StreamConfig {
    /// A stream of this name, with the server's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Returns the highest API level that a member needs, and the member. `None` if every server
    /// since 2.10 knows all that is set.
    ///
    /// Members that this version does not know count for nothing.
    #[must_use]
    pub fn required_level(&self) -> Option<Requirement> {
        let mut sources = self.mirror.iter().chain(&self.sources);
        let placement = self.placement.as_ref();
        Requirement::highest([
            (placement.is_some_and(|placement| placement.preferred.is_some()), 1, "preferred"),
            (self.allow_msg_ttl, 1, "allow_msg_ttl"),
            (self.subject_delete_marker_ttl.is_some(), 1, "subject_delete_marker_ttl"),
            (self.allow_msg_counter, 2, "allow_msg_counter"),
            (self.allow_atomic, 2, "allow_atomic"),
            (self.allow_msg_schedules, 2, "allow_msg_schedules"),
            (!is_default(&self.persist_mode), 2, "persist_mode"),
            (self.allow_batched, 4, "allow_batched"),
            // the server's own list of what needs a level does not have it
            (sources.any(|source| source.consumer.is_some()), 4, "consumer"),
        ])
    }

    /// Returns it without the members that this version does not know: they are for the server that
    /// has sent them.
    pub(super) fn only_known(&self) -> Self {
        let mut known = self.clone();
        known.unknown.clear();
        known.consumer_limits.unknown.clear();
        if let Some(placement) = &mut known.placement {
            placement.unknown.clear();
        }
        if let Some(republish) = &mut known.republish {
            republish.unknown.clear();
        }
        known.subject_transform.iter_mut().for_each(|transform| transform.unknown.clear());
        known.mirror.iter_mut().chain(&mut known.sources).for_each(Source::forget_unknown);
        known
    }

    /// Removes the metadata that the server added (`_nats…`), which must not be sent back and would
    /// make equal configurations differ.
    pub fn remove_server_metadata(&mut self) {
        remove_server_metadata(&mut self.metadata);
    }
}

setters!(StreamConfig {
    text name: String,
    some_text description: String,
    list subjects: String,
    value retention: Retention,
    some max_consumers: u64,
    some max_msgs: u64,
    some max_bytes: u64,
    some max_msgs_per_subject: u64,
    some max_msg_size: u64,
    some max_age: Duration,
    value discard: Discard,
    value discard_new_per_subject: bool,
    value storage: Storage,
    value num_replicas: u32,
    value no_ack: bool,
    some duplicate_window: Duration,
    some placement: Placement,
    some mirror: Source,
    list sources: Source,
    value compression: Compression,
    some first_seq: u64,
    some subject_transform: SubjectTransform,
    some republish: Republish,
    value allow_direct: bool,
    value mirror_direct: bool,
    value sealed: bool,
    value deny_delete: bool,
    value deny_purge: bool,
    value allow_rollup_hdrs: bool,
    value consumer_limits: ConsumerLimits,
    pair metadata: String,
    value allow_msg_ttl: bool,
    some subject_delete_marker_ttl: Duration,
    value allow_msg_counter: bool,
    value allow_atomic: bool,
    value allow_msg_schedules: bool,
    value persist_mode: PersistMode,
    value allow_batched: bool,
});

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: None,
            subjects: Vec::new(),
            retention: Retention::default(),
            max_consumers: None,
            max_msgs: None,
            max_bytes: None,
            max_msgs_per_subject: None,
            max_msg_size: None,
            max_age: None,
            discard: Discard::default(),
            discard_new_per_subject: false,
            storage: Storage::default(),
            num_replicas: 1,
            no_ack: false,
            duplicate_window: None,
            placement: None,
            mirror: None,
            sources: Vec::new(),
            compression: Compression::default(),
            first_seq: None,
            subject_transform: None,
            republish: None,
            allow_direct: false,
            mirror_direct: false,
            sealed: false,
            deny_delete: false,
            deny_purge: false,
            allow_rollup_hdrs: false,
            consumer_limits: ConsumerLimits::default(),
            metadata: BTreeMap::new(),
            allow_msg_ttl: false,
            subject_delete_marker_ttl: None,
            allow_msg_counter: false,
            allow_atomic: false,
            allow_msg_schedules: false,
            persist_mode: PersistMode::default(),
            allow_batched: false,
            unknown: Unknown::new(),
        }
    }
}

/// When a stream removes messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Retention {
    /// At a limit of number, size or age.
    #[default]
    Limits,
    /// As well, once all consumers have acknowledged.
    Interest,
    /// As well, once one consumer has acknowledged; consumers must not overlap.
    WorkQueue,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// What gives way at a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Discard {
    /// The oldest messages.
    #[default]
    Old,
    /// The new message: its publish fails.
    New,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// Where a stream stores its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Storage {
    /// On disk.
    #[default]
    File,
    /// In memory.
    Memory,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// How a stream's store is compressed (2.10).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With S2, a variant of Snappy.
    S2,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// When a stored message is written through to disk (2.12).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PersistMode {
    /// Before the publish is acknowledged.
    #[default]
    Default,
    /// Later: a crash may lose acknowledged messages. Only with one replica and file storage.
    Async,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// Where in a cluster a stream may live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Placement {
    /// The name of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Tags that each server must have.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub tags: Vec<String>,
    /// The server that should lead. Servers refuse it in a configuration (10052): it is for the moment,
    /// as with [`step_down_stream`](crate::jetstream::JetStream::step_down_stream).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred: Option<String>,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl Placement {
    /// Anywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(Placement {
    some_text cluster: String,
    list tags: String,
    some_text preferred: String,
});

/// A stream to copy messages from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Source {
    /// The name of the stream.
    pub name: String,
    /// The sequence to start from.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "non_zero")]
    pub opt_start_seq: Option<u64>,
    /// The time to start from.
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    pub opt_start_time: Option<SystemTime>,
    /// Copy only what matches this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_subject: Option<String>,
    /// Filters that also change subjects; instead of `filter_subject` (2.10).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub subject_transforms: Vec<SubjectTransform>,
    /// How to reach a stream in another account or domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// A durable consumer to copy through (2.14).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<SourceConsumer>,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl Source {
    /// All of the stream of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn forget_unknown(&mut self) {
        self.unknown.clear();
        self.subject_transforms.iter_mut().for_each(|transform| transform.unknown.clear());
        if let Some(external) = &mut self.external {
            external.unknown.clear();
        }
        if let Some(consumer) = &mut self.consumer {
            consumer.unknown.clear();
        }
    }
}

setters!(Source {
    text name: String,
    some opt_start_seq: u64,
    some opt_start_time: SystemTime,
    some_text filter_subject: String,
    list subject_transforms: SubjectTransform,
    some external: External,
    some consumer: SourceConsumer,
});

/// The way to a stream in another account or domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct External {
    /// The prefix of its JetStream API, as `$JS.D.API` for the domain `D`.
    pub api: String,
    /// The prefix of the subjects it delivers to. May be empty.
    pub deliver: String,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl External {
    /// The stream's API has this prefix.
    #[must_use]
    pub fn new(api: impl Into<String>) -> Self {
        Self { api: api.into(), ..Self::default() }
    }
}

setters!(External {
    text api: String,
    text deliver: String,
});

/// The durable consumer that a source copies through (2.14).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SourceConsumer {
    /// The consumer's name.
    pub name: String,
    /// The subject it delivers to.
    pub deliver_subject: String,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl SourceConsumer {
    /// The consumer of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

setters!(SourceConsumer {
    text name: String,
    text deliver_subject: String,
});

/// A change of subjects by pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SubjectTransform {
    /// The pattern to match.
    pub src: String,
    /// What to make of it; `{{wildcard(1)}}` and the like are replaced.
    pub dest: String,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl SubjectTransform {
    /// From a pattern to what is made of it.
    #[must_use]
    pub fn new(src: impl Into<String>, dest: impl Into<String>) -> Self {
        Self { src: src.into(), dest: dest.into(), ..Self::default() }
    }
}

setters!(SubjectTransform {
    text src: String,
    text dest: String,
});

/// Publishing stored messages again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Republish {
    /// The pattern to match. `None`: all subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Where to publish.
    pub dest: String,
    /// Leave out the payload.
    #[serde(skip_serializing_if = "is_default")]
    pub headers_only: bool,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl Republish {
    /// Everything, to this subject.
    #[must_use]
    pub fn new(dest: impl Into<String>) -> Self {
        Self { dest: dest.into(), ..Self::default() }
    }
}

setters!(Republish {
    some_text src: String,
    text dest: String,
    value headers_only: bool,
});

/// Defaults and limits for the consumers of a stream (2.10).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerLimits {
    /// The longest inactivity before a consumer is removed.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub inactive_threshold: Option<Duration>,
    /// The most unacknowledged messages of a consumer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_ack_pending: Option<u64>,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

impl ConsumerLimits {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(ConsumerLimits {
    some inactive_threshold: Duration,
    some max_ack_pending: u64,
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(value: serde_json::Value) -> StreamConfig {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let config = StreamConfig { name: "S".into(), ..StreamConfig::default() };
        assert_eq!(
            serde_json::to_value(&config).unwrap(),
            json!({"name": "S", "retention": "limits", "discard": "old", "storage": "file",
                "num_replicas": 1})
        );
    }

    /// Every member of the table in ADR-2's schema and the servers' up to 2.14, as they write it.
    #[test]
    fn every_member_round_trips() {
        let json = json!({
            "name": "S", "description": "d", "subjects": ["a", "b.>"], "retention": "workqueue",
            "max_consumers": 1, "max_msgs": 2, "max_bytes": 3, "max_msgs_per_subject": 4,
            "max_msg_size": 5, "max_age": 6_000_000_000_u64, "discard": "new",
            "discard_new_per_subject": true, "storage": "memory", "num_replicas": 3, "no_ack": true,
            "duplicate_window": 7, "placement": {"cluster": "c", "tags": ["t"], "preferred": "p"},
            "mirror": {"name": "M", "opt_start_seq": 8, "opt_start_time": "2024-01-02T03:04:05Z",
                "filter_subject": "f", "subject_transforms": [{"src": "x", "dest": "y"}],
                "external": {"api": "$JS.D.API", "deliver": ""},
                "consumer": {"name": "C", "deliver_subject": "i"}},
            "sources": [{"name": "A"}], "compression": "s2", "first_seq": u64::MAX,
            "subject_transform": {"src": "x", "dest": "y"},
            "republish": {"src": "x", "dest": "y", "headers_only": true},
            "allow_direct": true, "mirror_direct": true, "sealed": true, "deny_delete": true,
            "deny_purge": true, "allow_rollup_hdrs": true,
            "consumer_limits": {"inactive_threshold": 9, "max_ack_pending": 10},
            "metadata": {"k": "v"}, "allow_msg_ttl": true, "subject_delete_marker_ttl": 11,
            "allow_msg_counter": true, "allow_atomic": true, "allow_msg_schedules": true,
            "persist_mode": "async", "allow_batched": true,
        });
        let config = decode(json.clone());
        assert_eq!(config.retention, Retention::WorkQueue);
        assert_eq!(config.max_age, Some(Duration::from_secs(6)));
        assert_eq!(config.persist_mode, PersistMode::Async);
        assert_eq!(config.compression, Compression::S2);
        assert_eq!(serde_json::to_value(&config).unwrap(), json);
    }

    #[test]
    fn unlimited_in_every_spelling() {
        let config = decode(json!({"name": "S", "max_consumers": -1, "max_msgs": 0,
            "max_bytes": null, "max_msg_size": -1, "max_age": 0, "duplicate_window": -1,
            "first_seq": 0, "num_replicas": 1, "consumer_limits": {}}));
        assert_eq!(config, StreamConfig { name: "S".into(), ..StreamConfig::default() });
    }

    #[test]
    fn null_members() {
        let config = decode(json!({"name": "S", "subjects": null, "sources": null, "mirror": null,
            "metadata": null, "placement": null}));
        assert_eq!(config, StreamConfig { name: "S".into(), ..StreamConfig::default() });
    }

    #[test]
    fn what_a_newer_server_has_set_survives_a_change() {
        let newer = json!({"name": "S", "retention": "limits", "discard": "old",
            "storage": "file", "num_replicas": 1, "future": {"a": [1]},
            "placement": {"cluster": "c", "planet": "mars"},
            "sources": [{"name": "T", "speed": 9.5}]});
        let changed = decode(newer.clone()).max_msgs(10);
        let mut expected = newer;
        expected["max_msgs"] = json!(10);
        assert_eq!(serde_json::to_value(changed).unwrap(), expected);
    }

    #[test]
    fn what_this_version_does_not_know_is_for_whoever_has_sent_it() {
        let transform = json!({"src": "a", "dest": "b", "future": 1});
        let source = json!({"name": "O", "subject_transforms": [transform], "future": 1,
            "external": {"api": "x", "deliver": "", "future": 1},
            "consumer": {"name": "C", "deliver_subject": "d", "future": 1}});
        let config =
            decode(json!({"name": "S", "future": 1, "mirror": source, "sources": [source],
            "placement": {"cluster": "c", "future": 1}, "republish": {"dest": "d", "future": 1},
            "subject_transform": transform, "consumer_limits": {"future": 1}}));
        let known = serde_json::to_string(&config.only_known()).unwrap();
        assert!(!known.contains("future"), "{known}");
        assert!(known.contains("\"mirror\"") && known.contains("\"consumer\""), "{known}");
    }

    #[test]
    fn unknown_words_are_kept() {
        let json = json!({"name": "S", "retention": "moon", "discard": "half", "storage": "tape",
            "num_replicas": 1, "compression": "zstd", "persist_mode": "never"});
        let config = decode(json.clone());
        assert_eq!(config.retention, Retention::Other("moon".into()));
        assert_eq!(config.storage, Storage::Other("tape".into()));
        assert_eq!(serde_json::to_value(&config).unwrap(), json);
    }

    #[test]
    fn server_metadata_is_removed() {
        let mut config = decode(json!({"name": "S", "metadata": {"_nats.level": "1", "k": "v"}}));
        config.remove_server_metadata();
        assert_eq!(config.metadata, BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    }
}
