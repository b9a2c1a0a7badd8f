//! What an account uses of JetStream, and how much it may use.
//!
//! As with everything that is only read, any object decodes; see `stream_info`.

use crate::jetstream::api::json_replies;
use crate::jetstream::wire::{account_limit, null_as_default};
use serde::Deserialize;
use std::collections::BTreeMap;

json_replies!(AccountInfo);

/// An account's JetStream at the moment of the reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AccountInfo {
    /// What is used and permitted in all. Where there are [`tiers`](Self::tiers), the limits are
    /// theirs, and those in here are 0.
    #[serde(flatten)]
    pub usage: AccountTier,
    /// The JetStream domain, if the server has one.
    pub domain: Option<String>,
    /// The API's counters, and its level.
    #[serde(deserialize_with = "null_as_default")]
    pub api: ApiStats,
    /// What is used and permitted for each number of replicas: `R1`, `R3`. Empty if the account has
    /// one limit for all.
    #[serde(deserialize_with = "null_as_default")]
    pub tiers: BTreeMap<String, AccountTier>,
}

/// What of JetStream is used, and how much may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AccountTier {
    /// The memory in use, in bytes.
    pub memory: u64,
    /// The file storage in use, in bytes.
    pub storage: u64,
    /// The memory that streams with `max_bytes` have reserved, in bytes (2.10).
    pub reserved_memory: u64,
    /// The file storage that streams with `max_bytes` have reserved, in bytes (2.10).
    pub reserved_storage: u64,
    /// The number of streams.
    pub streams: u64,
    /// The number of consumers.
    pub consumers: u64,
    /// The limits.
    #[serde(deserialize_with = "null_as_default")]
    pub limits: AccountLimits,
}

/// How much of JetStream an account may use. `None`: unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AccountLimits {
    /// The most memory, in bytes.
    #[serde(deserialize_with = "account_limit")]
    pub max_memory: Option<u64>,
    /// The most file storage, in bytes.
    #[serde(deserialize_with = "account_limit")]
    pub max_storage: Option<u64>,
    /// The most streams.
    #[serde(deserialize_with = "account_limit")]
    pub max_streams: Option<u64>,
    /// The most consumers.
    #[serde(deserialize_with = "account_limit")]
    pub max_consumers: Option<u64>,
    /// The most unacknowledged messages of one consumer.
    #[serde(deserialize_with = "account_limit")]
    pub max_ack_pending: Option<u64>,
    /// The largest stream in memory, in bytes. Servers say 0 as well if there is no limit.
    #[serde(deserialize_with = "account_limit")]
    pub memory_max_stream_bytes: Option<u64>,
    /// The largest stream on disk, in bytes. Servers say 0 as well if there is no limit.
    #[serde(deserialize_with = "account_limit")]
    pub storage_max_stream_bytes: Option<u64>,
    /// Whether each stream has to have `max_bytes`: without them it is refused (10113).
    pub max_bytes_required: bool,
}

/// The counters of the JetStream API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ApiStats {
    /// What the server can do: 0 up to 2.10, 1 is 2.11, 2 is 2.12, 3 is 2.12.5, 4 is 2.14, 5 is
    /// 2.15. Levels only grow: compare with `>=`.
    pub level: u32,
    /// Requests in all.
    pub total: u64,
    /// Requests that were refused.
    pub errors: u64,
    /// Requests that are being worked on.
    pub inflight: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_with_the_tiers_if_there_are_any() {
        let json = r#"{"memory":0,"storage":10,"streams":1,"consumers":0,
            "limits":{"max_memory":0,"max_storage":0,"max_streams":0,"max_consumers":0},
            "tiers":{"R1":{"storage":10,"streams":1,"limits":{"max_memory":-1,"max_storage":1024,
            "max_streams":-1,"max_consumers":-1}}},"api":{"level":1,"total":2,"errors":0}}"#;
        let info: AccountInfo = serde_json::from_str(json).unwrap();
        assert_eq!((info.usage.storage, info.usage.limits.max_storage), (10, Some(0)));
        let limits = &info.tiers["R1"].limits;
        assert_eq!((limits.max_memory, limits.max_storage), (None, Some(1024)));
        assert_eq!(info.api.level, 1);
    }

    #[test]
    fn null_and_absence() {
        let json = r#"{"tiers":null,"limits":null,"api":null,"domain":null}"#;
        assert_eq!(serde_json::from_str::<AccountInfo>(json).unwrap(), AccountInfo::default());
    }
}
