//! A group of either kind, as its members see it.

use super::check::GroupError;
use super::config::{ElasticGroupConfig, StaticGroupConfig};
use super::partitions::Division;
use crate::jetstream::error::Error;

/// The configuration of a group, which is one that members can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    Static(StaticGroupConfig),
    Elastic(ElasticGroupConfig),
}

/// Why a group is over for a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupEnd {
    /// It was stopped.
    #[error("the member was stopped")]
    Stopped,
    /// The group was deleted.
    #[error("the group was deleted")]
    Deleted,
    /// What is stored is no configuration.
    #[error("the configuration of the group cannot be read: {0}")]
    Malformed(String),
    /// The configuration is one that no member can be made of.
    #[error("the configuration of the group is wrong: {0}")]
    Invalid(#[from] GroupError),
    /// Something was changed that may not change while there are members: all of a static group.
    #[error("the configuration of the group was changed: {0}")]
    Changed(&'static str),
    /// The server refuses the member's consumer, and asking again will not help.
    #[error("the member's consumer is refused: {0}")]
    Refused(#[source] Error),
}

impl Group {
    /// Reads another configuration of the same group, and checks that members can go on with it.
    pub(super) fn read_next(&self, body: &[u8]) -> Result<Self, GroupEnd> {
        let malformed = |error: serde_json::Error| GroupEnd::Malformed(error.to_string());
        let next = match self {
            Self::Static(_) => Self::Static(serde_json::from_slice(body).map_err(malformed)?),
            Self::Elastic(_) => Self::Elastic(serde_json::from_slice(body).map_err(malformed)?),
        };
        next.check()?;
        match self.changed_in(&next) {
            Some(member) => Err(GroupEnd::Changed(member)),
            None => Ok(next),
        }
    }

    fn check(&self) -> Result<(), GroupError> {
        match self {
            Self::Static(config) => config.check(),
            Self::Elastic(config) => config.check(),
        }
    }

    /// What is otherwise and may not be, by its name in JSON.
    fn changed_in(&self, next: &Self) -> Option<&'static str> {
        let changed = match (self, next) {
            (Self::Static(one), Self::Static(other)) => [
                ("max_members", one.max_members != other.max_members),
                ("filters", one.filters != other.filters),
                ("members", one.members != other.members),
                ("member_mappings", one.member_mappings != other.member_mappings),
            ],
            (Self::Elastic(one), Self::Elastic(other)) => [
                ("max_members", one.max_members != other.max_members),
                ("partitioning_filters", one.partitioning_filters != other.partitioning_filters),
                ("max_buffered_msg", one.max_buffered_messages != other.max_buffered_messages),
                ("max_buffered_bytes", one.max_buffered_bytes != other.max_buffered_bytes),
            ],
            _ => return Some("the kind of the group"),
        };
        changed.into_iter().find(|(_, is_otherwise)| *is_otherwise).map(|(member, _)| member)
    }

    /// The filters of a member's consumer. Empty: it has no partition.
    pub(super) fn filters_of(&self, member: &str) -> Vec<String> {
        match self {
            Self::Static(config) => {
                let division = Division {
                    partitions: config.max_members,
                    members: &config.members,
                    mappings: &config.member_mappings,
                };
                division.filters_of(member, config.filters.iter().map(String::as_str))
            }
            Self::Elastic(config) => {
                let division = Division {
                    partitions: config.max_members,
                    members: &config.members,
                    mappings: &config.member_mappings,
                };
                let filters = &config.partitioning_filters;
                division.filters_of(member, filters.iter().map(|filter| filter.filter.as_str()))
            }
        }
    }

    pub(super) fn is_static(&self) -> bool {
        matches!(self, Self::Static(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::PartitioningFilter;
    use super::*;

    fn next(group: &Group, config: &impl serde::Serialize) -> Result<Group, GroupEnd> {
        group.read_next(&serde_json::to_vec(config).expect("JSON"))
    }

    #[test]
    fn the_members_of_an_elastic_group_change_and_nothing_else() {
        let config = ElasticGroupConfig::new(4).members(["a"]);
        let group = Group::Elastic(config.clone());
        let changed = config.clone().members(["a", "b"]);
        assert_eq!(next(&group, &changed), Ok(Group::Elastic(changed)));
        for (changed, member) in [
            (ElasticGroupConfig::new(5).members(["a"]), "max_members"),
            (config.clone().max_buffered_messages(1), "max_buffered_msg"),
            (config.clone().max_buffered_bytes(1), "max_buffered_bytes"),
            (
                config.partitioning_filters([PartitioningFilter::new("a.*", [])]),
                "partitioning_filters",
            ),
        ] {
            assert_eq!(next(&group, &changed), Err(GroupEnd::Changed(member)));
        }
    }

    #[test]
    fn nothing_of_a_static_group_changes() {
        let config = StaticGroupConfig::new(4).members(["a"]);
        let group = Group::Static(config.clone());
        assert_eq!(next(&group, &config), Ok(group.clone()));
        let changed = config.clone().members(["a", "b"]);
        assert_eq!(next(&group, &changed), Err(GroupEnd::Changed("members")));
        let changed = config.filters(["x"]);
        assert_eq!(next(&group, &changed), Err(GroupEnd::Changed("filters")));
    }

    #[test]
    fn what_is_no_configuration_is_the_end() {
        let group = Group::Elastic(ElasticGroupConfig::new(4));
        assert!(matches!(group.read_next(b"{"), Err(GroupEnd::Malformed(_))));
        let invalid = next(&group, &ElasticGroupConfig::new(0));
        assert_eq!(invalid, Err(GroupEnd::Invalid(GroupError::NoPartitions)));
    }
}
