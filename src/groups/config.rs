//! The configurations of groups, as they are stored.
//!
//! The invariant: what orbit has written is read, its older versions included, and what is written reads
//! the same there. Members that this version does not know are kept. Nothing is validated here.

use crate::jetstream::wire::{Unknown, limit, null_as_default, setters};
use serde::{Deserialize, Serialize};

/// A member of a group, and the partitions that are its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct MemberMapping {
    /// The member.
    pub member: String,
    /// Its partitions, counted from 0.
    #[serde(deserialize_with = "null_as_default")]
    pub partitions: Vec<u32>,
}

/// Which messages an elastic group consumes, and what of their subjects makes the partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PartitioningFilter {
    /// The subject, with at least one `*`, or with `>` at its end.
    pub filter: String,
    /// Which of the wildcards `*`, counted from 1, make the partition. Empty: the whole subject does.
    #[serde(deserialize_with = "null_as_default")]
    pub partitioning_wildcards: Vec<u32>,
}

/// A static group, for a stream whose subjects begin with the number of the partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredStatic")]
#[non_exhaustive]
pub struct StaticGroupConfig {
    /// How many members the group has at most, which is how many partitions there are.
    pub max_members: u32,
    /// Which messages are consumed, by their subjects without the partition. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// The members, among which the partitions are divided evenly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Or the members with their partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub member_mappings: Vec<MemberMapping>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// An elastic group, whose members come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredElastic")]
#[non_exhaustive]
pub struct ElasticGroupConfig {
    /// How many members the group has at most, which is how many partitions there are.
    pub max_members: u32,
    /// Which messages are consumed, and what makes their partition. Empty: all of them, by the whole
    /// subject.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitioning_filters: Vec<PartitioningFilter>,
    /// How many messages the group's work queue holds at most. `None`: no limit.
    #[serde(rename = "max_buffered_msg", skip_serializing_if = "Option::is_none")]
    pub max_buffered_messages: Option<u64>,
    /// How many bytes the group's work queue holds at most. `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_buffered_bytes: Option<u64>,
    /// The members, among which the partitions are divided evenly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Or the members with their partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub member_mappings: Vec<MemberMapping>,
    #[serde(flatten)]
    unknown: Unknown,
}

impl MemberMapping {
    /// A member with its partitions.
    #[must_use]
    pub fn new(member: impl Into<String>, partitions: impl IntoIterator<Item = u32>) -> Self {
        Self { member: member.into(), partitions: partitions.into_iter().collect() }
    }
}

impl PartitioningFilter {
    /// A subject, and which of its wildcards make the partition.
    #[must_use]
    pub fn new(filter: impl Into<String>, wildcards: impl IntoIterator<Item = u32>) -> Self {
        let partitioning_wildcards = wildcards.into_iter().collect();
        Self { filter: filter.into(), partitioning_wildcards }
    }
}

impl StaticGroupConfig {
    /// A group with so many partitions.
    #[must_use]
    pub fn new(max_members: u32) -> Self {
        Self { max_members, ..Self::default() }
    }
}

impl ElasticGroupConfig {
    /// A group with so many partitions.
    #[must_use]
    pub fn new(max_members: u32) -> Self {
        Self { max_members, ..Self::default() }
    }
}

setters!(StaticGroupConfig {
    list filters: String,
    list members: String,
    list member_mappings: MemberMapping,
});

setters!(ElasticGroupConfig {
    list partitioning_filters: PartitioningFilter,
    some max_buffered_messages: u64,
    some max_buffered_bytes: u64,
    list members: String,
    list member_mappings: MemberMapping,
});

/// A static group as any version has stored it.
#[derive(Deserialize)]
struct StoredStatic {
    max_members: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    filters: Vec<String>,
    /// Before there could be several.
    #[serde(default, deserialize_with = "null_as_default")]
    filter: String,
    #[serde(default, deserialize_with = "null_as_default")]
    members: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    member_mappings: Vec<MemberMapping>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// An elastic group as any version has stored it.
#[derive(Deserialize)]
struct StoredElastic {
    max_members: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    partitioning_filters: Vec<PartitioningFilter>,
    /// Before there could be several.
    #[serde(default, deserialize_with = "null_as_default")]
    filter: String,
    #[serde(default, deserialize_with = "null_as_default")]
    partitioning_wildcards: Vec<u32>,
    #[serde(default, deserialize_with = "limit")]
    max_buffered_msg: Option<u64>,
    #[serde(default, deserialize_with = "limit")]
    max_buffered_bytes: Option<u64>,
    #[serde(default, deserialize_with = "null_as_default")]
    members: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    member_mappings: Vec<MemberMapping>,
    #[serde(flatten)]
    unknown: Unknown,
}

impl From<StoredStatic> for StaticGroupConfig {
    fn from(stored: StoredStatic) -> Self {
        let StoredStatic { max_members, mut filters, filter, members, member_mappings, unknown } =
            stored;
        if filters.is_empty() && !filter.is_empty() {
            filters.push(filter);
        }
        Self { max_members, filters, members, member_mappings, unknown }
    }
}

impl From<StoredElastic> for ElasticGroupConfig {
    fn from(stored: StoredElastic) -> Self {
        let mut partitioning_filters = stored.partitioning_filters;
        if partitioning_filters.is_empty() && !stored.filter.is_empty() {
            let partitioning_wildcards = stored.partitioning_wildcards;
            partitioning_filters
                .push(PartitioningFilter { filter: stored.filter, partitioning_wildcards });
        }
        Self {
            max_members: stored.max_members,
            partitioning_filters,
            max_buffered_messages: stored.max_buffered_msg,
            max_buffered_bytes: stored.max_buffered_bytes,
            members: stored.members,
            member_mappings: stored.member_mappings,
            unknown: stored.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    #[track_caller]
    fn read<T: DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).expect(text)
    }

    #[track_caller]
    fn written(config: &impl Serialize) -> String {
        serde_json::to_string(config).expect("JSON")
    }

    #[test]
    fn what_is_written_is_what_orbit_writes() {
        let config = StaticGroupConfig::new(3).filters(["a.>"]).members(["m1", "m2"]);
        let text = r#"{"max_members":3,"filters":["a.>"],"members":["m1","m2"]}"#;
        assert_eq!((written(&config).as_str(), read(text)), (text, config));

        let config = StaticGroupConfig::new(2).member_mappings([MemberMapping::new("m", [0, 1])]);
        let text = r#"{"max_members":2,"member_mappings":[{"member":"m","partitions":[0,1]}]}"#;
        assert_eq!((written(&config).as_str(), read(text)), (text, config));

        let config = ElasticGroupConfig::new(4)
            .partitioning_filters([PartitioningFilter::new("a.*.*", [2])])
            .max_buffered_messages(100)
            .max_buffered_bytes(5000)
            .members(["m1"]);
        let text = r#"{"max_members":4,"partitioning_filters":[{"filter":"a.*.*","partitioning_wildcards":[2]}],"max_buffered_msg":100,"max_buffered_bytes":5000,"members":["m1"]}"#;
        assert_eq!((written(&config).as_str(), read(text)), (text, config));

        let config =
            ElasticGroupConfig::new(1).partitioning_filters([PartitioningFilter::new("a.>", [])]);
        let text = r#"{"max_members":1,"partitioning_filters":[{"filter":"a.>","partitioning_wildcards":[]}]}"#;
        assert_eq!((written(&config).as_str(), read(text)), (text, config));
    }

    #[test]
    fn what_older_versions_have_written_is_read() {
        let text = r#"{"max_members":3,"filter":"a.>","members":["m"]}"#;
        let config = StaticGroupConfig::new(3).filters(["a.>"]).members(["m"]);
        assert_eq!(read::<StaticGroupConfig>(text), config);
        assert_eq!(read::<StaticGroupConfig>(r#"{"max_members":3,"filter":""}"#).filters, [""; 0]);

        let text = r#"{"max_members":3,"filter":"a.*","partitioning_wildcards":[1],"members":null,
            "max_buffered_msg":-1,"max_buffered_bytes":0}"#;
        let filters = [PartitioningFilter::new("a.*", [1])];
        let config = ElasticGroupConfig::new(3).partitioning_filters(filters);
        assert_eq!(read::<ElasticGroupConfig>(text), config);
        let nothing =
            read::<ElasticGroupConfig>(r#"{"max_members":3,"partitioning_filters":null}"#);
        assert_eq!(nothing, ElasticGroupConfig::new(3));
    }

    #[test]
    fn what_is_not_known_is_kept_and_what_is_no_configuration_is_none() {
        let text = r#"{"max_members":3,"members":["m"],"of_tomorrow":{"a":1}}"#;
        assert_eq!(written(&read::<ElasticGroupConfig>(text)), text);
        assert_eq!(written(&read::<StaticGroupConfig>(text)), text);
        for text in ["", "{", "[]", "{}", r#"{"max_members":-1}"#, r#"{"max_members":4294967296}"#]
        {
            assert!(serde_json::from_str::<ElasticGroupConfig>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<StaticGroupConfig>(text).is_err(), "{text}");
        }
    }
}
