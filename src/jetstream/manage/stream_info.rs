//! What the server tells about a stream: its configuration, its content, and who keeps it.
//!
//! The invariant: any object decodes. Servers leave members out by version and by role, write `null`
//! for empty lists and year 1 for "no time", so everything has a default. These types are only
//! read; they describe the moment of the reply.

use super::cluster_info::ClusterInfo;
use super::stream_config::{External, StreamConfig, SubjectTransform};
use crate::jetstream::api_error::ApiError;
use crate::jetstream::time::{elapsed_nanos, rfc3339};
use crate::jetstream::wire::{non_zero, null_as_default};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A stream at the moment of the reply.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The configuration in force, with the defaults that the server filled in.
    pub config: StreamConfig,
    /// When the stream was created.
    #[serde(with = "rfc3339")]
    pub created: Option<SystemTime>,
    /// The content.
    pub state: StreamState,
    /// The JetStream domain, if the server has one.
    pub domain: Option<String>,
    /// The servers that keep the stream. Present, with only a leader, on a single server too.
    pub cluster: Option<ClusterInfo>,
    /// How far this mirror is behind its origin.
    pub mirror: Option<SourceInfo>,
    /// How far this stream is behind each of its sources.
    #[serde(deserialize_with = "null_as_default")]
    pub sources: Vec<SourceInfo>,
    /// This stream and its mirrors, nearest first.
    #[serde(deserialize_with = "null_as_default")]
    pub alternates: Vec<StreamAlternate>,
    /// The server's clock at the reply (2.10).
    #[serde(rename = "ts", with = "rfc3339")]
    pub timestamp: Option<SystemTime>,
    /// How many subjects matched the request's `subjects_filter`, on all pages. 0 without one.
    #[serde(rename = "total")]
    pub subjects_total: u64,
}

/// The content of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamState {
    /// The number of messages.
    pub messages: u64,
    /// Their size in bytes, headers and bookkeeping included.
    pub bytes: u64,
    /// The sequence of the oldest message. In an emptied stream: the last sequence plus 1. In one
    /// that never had a message: 0.
    #[serde(rename = "first_seq")]
    pub first_sequence: u64,
    /// When the oldest message was stored.
    #[serde(rename = "first_ts", with = "rfc3339")]
    pub first_time: Option<SystemTime>,
    /// The highest sequence ever given out.
    #[serde(rename = "last_seq")]
    pub last_sequence: u64,
    /// When the newest message was stored.
    #[serde(rename = "last_ts", with = "rfc3339")]
    pub last_time: Option<SystemTime>,
    /// The number of distinct subjects.
    pub num_subjects: u64,
    /// Subjects and their number of messages, if a `subjects_filter` was asked for; one page.
    #[serde(deserialize_with = "null_as_default")]
    pub subjects: BTreeMap<String, u64>,
    /// The number of sequences between first and last that hold no message.
    pub num_deleted: u64,
    /// Those sequences, if `deleted_details` were asked for.
    #[serde(deserialize_with = "null_as_default")]
    pub deleted: Vec<u64>,
    /// What the server found damaged in its store.
    pub lost: Option<LostData>,
    /// The number of consumers.
    pub consumer_count: u64,
}

/// Messages that the server could not read back from its store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LostData {
    /// Their sequences.
    #[serde(rename = "msgs", deserialize_with = "null_as_default")]
    pub messages: Vec<u64>,
    /// Their size in bytes.
    pub bytes: u64,
}

/// How a mirror or source is getting on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The stream that is copied from.
    pub name: String,
    /// By how many messages this stream is behind.
    pub lag: u64,
    /// The last sequence copied (2.15).
    #[serde(rename = "seq", deserialize_with = "non_zero")]
    pub sequence: Option<u64>,
    /// How long ago it was heard of. `None`: never.
    #[serde(deserialize_with = "elapsed_nanos")]
    pub active: Option<Duration>,
    /// How it is reached, if in another account or domain.
    pub external: Option<External>,
    /// Why copying fails at present.
    pub error: Option<ApiError>,
    /// The filter in force.
    pub filter_subject: Option<String>,
    /// The transforms in force.
    #[serde(deserialize_with = "null_as_default")]
    pub subject_transforms: Vec<SubjectTransform>,
}

/// A stream that can be read instead: the stream itself, or a mirror of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamAlternate {
    /// The stream's name.
    pub name: String,
    /// Its domain.
    pub domain: Option<String>,
    /// Its cluster.
    pub cluster: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_object() {
        assert_eq!(serde_json::from_str::<StreamInfo>("{}").unwrap(), StreamInfo::default());
    }

    #[test]
    fn virgin_stream_on_a_single_server() {
        let json = r#"{"type":"io.nats.jetstream.api.v1.stream_create_response",
            "config":{"name":"T","subjects":["t.>"],"retention":"limits","max_consumers":-1,
            "max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,
            "discard":"old","storage":"file","num_replicas":1,"duplicate_window":120000000000,
            "compression":"none","allow_direct":false,"mirror_direct":false,"sealed":false,
            "deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,
            "consumer_limits":{},"metadata":{"_nats.level":"0"}},
            "created":"2024-02-29T12:34:56.123456789Z",
            "state":{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z",
            "last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0},
            "cluster":{"leader":"N1"},"ts":"2024-02-29T12:34:57Z","did_create":true}"#;
        let info: StreamInfo = serde_json::from_str(json).unwrap();
        assert_eq!(info.config.name, "T");
        assert_eq!(info.config.max_msgs, None);
        assert_eq!(info.config.duplicate_window, Some(Duration::from_secs(120)));
        assert_eq!(info.state, StreamState::default());
        assert!(info.created.is_some() && info.timestamp > info.created);
        assert_eq!(info.cluster.unwrap().leader.as_deref(), Some("N1"));
    }

    #[test]
    fn clustered_and_sourced_stream() {
        let json = r#"{"config":{"name":"T"},"state":{"messages":3,"bytes":100,"first_seq":2,
            "last_seq":9,"num_subjects":2,"subjects":{"a":1,"b":2},"num_deleted":5,
            "deleted":[3,4,5,6,7],"lost":{"msgs":[8],"bytes":10},"consumer_count":1},
            "domain":"hub","cluster":{"name":"C","raft_group":"S-R3F","leader":"N1",
            "leader_since":"2024-02-29T12:34:56Z","system_account":true,"traffic_account":"SYS",
            "replicas":[{"name":"N2","current":true,"active":1500000,"peer":"x"},
            {"name":"N3","current":false,"offline":true,"active":-1,"lag":7,"peer":"y"}]},
            "mirror":{"name":"O","lag":0,"active":-1,"error":{"code":404,"err_code":10059,
            "description":"stream not found"}},
            "sources":[{"name":"A","lag":1,"seq":4,"active":5,"external":{"api":"$JS.D.API"},
            "filter_subject":"f","subject_transforms":[{"src":"a","dest":"b"}]}],
            "alternates":[{"name":"T","domain":"hub","cluster":"C"}],"total":2,"limit":100000}"#;
        let info: StreamInfo = serde_json::from_str(json).unwrap();
        assert_eq!(info.state.subjects["b"], 2);
        assert_eq!(info.state.deleted, [3, 4, 5, 6, 7]);
        assert_eq!(info.state.lost.unwrap().messages, [8]);
        assert_eq!(info.subjects_total, 2);
        let replicas = info.cluster.unwrap().replicas;
        assert_eq!(replicas[0].active, Some(Duration::from_micros(1500)));
        assert_eq!(replicas[1].active, None);
        let mirror = info.mirror.unwrap();
        assert_eq!(mirror.active, None);
        assert!(mirror.error.unwrap().is_not_found());
        assert_eq!(info.sources[0].sequence, Some(4));
        assert_eq!(info.alternates[0].domain.as_deref(), Some("hub"));
    }

    #[test]
    fn null_for_empty() {
        let json = r#"{"config":{"name":"T"},"created":null,"sources":null,"alternates":null,
            "mirror":null,"cluster":{"leader":"","replicas":null},
            "state":{"subjects":null,"deleted":null,"lost":null,"first_ts":null}}"#;
        let info: StreamInfo = serde_json::from_str(json).unwrap();
        assert!(info.sources.is_empty() && info.cluster.unwrap().replicas.is_empty());
    }
}
