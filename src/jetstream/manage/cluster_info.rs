//! Which servers keep a stream or a consumer, and which ones are to keep it.
//!
//! As with everything that is only read, any object decodes; see `stream_info`.

use super::stream_config::{Placement, Retention};
use crate::jetstream::time::{elapsed_nanos, rfc3339};
use crate::jetstream::wire::null_as_default;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// The servers that keep a stream or consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The cluster's name.
    pub name: Option<String>,
    /// The name of the Raft group.
    pub raft_group: Option<String>,
    /// The server that leads. `None` during an election.
    pub leader: Option<String>,
    /// Since when it leads.
    #[serde(with = "rfc3339")]
    pub leader_since: Option<SystemTime>,
    /// Whether replication traffic runs in the system account.
    pub system_account: bool,
    /// The account that replication traffic runs in.
    pub traffic_account: Option<String>,
    /// The other servers.
    #[serde(deserialize_with = "null_as_default")]
    pub replicas: Vec<PeerInfo>,
    /// Where a move, or a change of replicas or retention, that is under way leads (2.15).
    pub desired: Option<Desired>,
}

/// One follower.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The server's name.
    pub name: String,
    /// Whether it has everything the leader has.
    pub current: bool,
    /// Whether it is considered gone.
    pub offline: bool,
    /// How long ago it was heard of. `None`: never.
    #[serde(deserialize_with = "elapsed_nanos")]
    pub active: Option<Duration>,
    /// By how many operations it is behind.
    pub lag: u64,
    /// Its id in the cluster.
    pub peer: String,
    /// Whether it is about to join the Raft group, or to leave it (2.15).
    pub pending: bool,
}

/// Where a change of servers or of retention leads that is under way (2.15).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Desired {
    /// When it was asked for.
    #[serde(with = "rfc3339")]
    pub created: Option<SystemTime>,
    /// The cluster that it leads to.
    pub name: Option<String>,
    /// The servers that it leads to.
    #[serde(deserialize_with = "null_as_default")]
    pub replicas: Vec<DesiredPeer>,
    /// What cancelling it goes back to.
    pub origin: Option<DesiredOrigin>,
    /// What it waits for.
    pub status: Option<DesiredStatus>,
}

/// What a stream was like before a change that is under way (2.15).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DesiredOrigin {
    /// The number of copies.
    pub replicas: u32,
    /// Where it was to live.
    pub placement: Option<Placement>,
    /// When messages were removed, if that changes.
    pub retention: Option<Retention>,
}

/// A server that is to keep a stream or consumer (2.15).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DesiredPeer {
    /// The server's name.
    pub name: String,
    /// Whether it is considered gone.
    pub offline: bool,
    /// Its id in the cluster.
    pub peer: String,
}

/// How far a change is that is under way (2.15).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DesiredStatus {
    /// The server's words for it, short and stable.
    pub description: String,
    /// What it waits for.
    #[serde(rename = "type")]
    pub phase: DesiredPhase,
    /// Why it does not get on.
    #[serde(rename = "err")]
    pub error: Option<String>,
}

/// What a change that is under way waits for (2.15).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DesiredPhase {
    /// The leader of JetStream as a whole.
    #[default]
    Meta,
    /// Servers that join or leave the Raft group.
    Membership,
    /// A snapshot.
    Snapshot,
    /// New servers that do not have everything yet.
    Catchup,
    /// A majority of the servers.
    Quorum,
    /// Something that keeps it from getting on.
    Blocked,
    /// Servers that are away.
    Unavailable,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}
