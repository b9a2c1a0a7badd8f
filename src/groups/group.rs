//! A group of either kind, as its members see it.

use super::check::GroupError;
use super::config::{ElasticGroupConfig, StaticGroupConfig};
use super::error::Error;
use super::partitions::Division;
use crate::error::layer_error;
use crate::jetstream;
use evnats_protocol::RequestError;

/// The two kinds of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Static,
    Elastic,
}

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
    /// Something was changed that may not change while there are members: all of a static group.
    #[error("the configuration of the group was changed: {0}")]
    Changed(&'static str),
    /// The server refuses the member's consumer, and asking again will not help.
    #[error("the member's consumer is refused: {0}")]
    Refused(#[source] jetstream::Error),
    /// There is no such group.
    #[error("there is no such group")]
    NotFound,
    /// The group is static, and does not have the member.
    #[error("the group does not have the member, and never will")]
    NotMember,
    /// The member cannot be one of that name, the group's configuration cannot be watched, or the client
    /// is over.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl GroupEnd {
    /// Whether it is nothing that a program has to be concerned about: it was stopped, or the group was
    /// deleted.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Stopped | Self::Deleted)
    }
}

impl Group {
    /// Reads a configuration, and checks that members can be made of it.
    pub(super) fn read(kind: Kind, body: &[u8]) -> Result<Self, Error> {
        let malformed = |error: serde_json::Error| Error::Malformed(error.to_string());
        let group = match kind {
            Kind::Static => Self::Static(serde_json::from_slice(body).map_err(malformed)?),
            Kind::Elastic => Self::Elastic(serde_json::from_slice(body).map_err(malformed)?),
        };
        group.check()?;
        Ok(group)
    }

    /// The configuration as it is stored.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, Error> {
        let json = match self {
            Self::Static(config) => serde_json::to_vec(config),
            Self::Elastic(config) => serde_json::to_vec(config),
        };
        json.map_err(|error| Error::Malformed(error.to_string()))
    }

    /// Reads another configuration of the same group, and checks that members can go on with it.
    pub(super) fn read_next(&self, body: &[u8]) -> Result<Self, GroupEnd> {
        let next = Self::read(self.kind(), body)?;
        match self.changed_in(&next) {
            Some(member) => Err(GroupEnd::Changed(member)),
            None => Ok(next),
        }
    }

    pub(super) fn check(&self) -> Result<(), GroupError> {
        match self {
            Self::Static(config) => config.check(),
            Self::Elastic(config) => config.check(),
        }
    }

    /// What is otherwise and may not be, by its name in JSON.
    pub(super) fn changed_in(&self, next: &Self) -> Option<&'static str> {
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

    /// The members, in no order, some perhaps more than once.
    pub(super) fn members(&self) -> Vec<String> {
        let (members, mappings) = match self {
            Self::Static(config) => (&config.members, &config.member_mappings),
            Self::Elastic(config) => (&config.members, &config.member_mappings),
        };
        let mapped = mappings.iter().map(|mapping| &mapping.member);
        members.iter().chain(mapped).cloned().collect()
    }

    /// The configuration of a group that is known to be static.
    pub(super) fn into_static(self) -> StaticGroupConfig {
        match self {
            Self::Static(config) => config,
            Self::Elastic(_) => StaticGroupConfig::default(),
        }
    }

    /// The configuration of a group that is known to be elastic.
    pub(super) fn into_elastic(self) -> ElasticGroupConfig {
        match self {
            Self::Elastic(config) => config,
            Self::Static(_) => ElasticGroupConfig::default(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Static(_) => Kind::Static,
            Self::Elastic(_) => Kind::Elastic,
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.kind() == Kind::Static
    }
}

impl GroupEnd {
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::Deleted | Self::NotFound => true,
            Self::Refused(error) => error.is_not_found(),
            Self::Failed(error) => error.is_not_found(),
            _ => false,
        }
    }

    pub(crate) fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Refused(error) => error.request_error(),
            Self::Failed(error) => error.request_error(),
            _ => None,
        }
    }

    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_temporary())
    }
}

layer_error!(GroupEnd);

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
        let malformed = group.read_next(b"{");
        assert!(matches!(malformed, Err(GroupEnd::Failed(Error::Malformed(_)))));
        let invalid = next(&group, &ElasticGroupConfig::new(0));
        let expected = GroupEnd::Failed(Error::InvalidConfig(GroupError::NoPartitions));
        assert_eq!(invalid, Err(expected));
    }
}
