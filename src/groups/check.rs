//! What can be wrong with the configuration of a group.
//!
//! As orbit, it is tolerant of members: they may be repeated, and more than there are partitions. What
//! would be more than a program can bear is refused, too: a configuration is what anybody has written.

use super::config::{ElasticGroupConfig, MemberMapping, PartitioningFilter, StaticGroupConfig};
use evnats_protocol::subject::{self, SubjectError};
use std::collections::BTreeSet;

/// So many filters all consumers of a group have at most, together.
const MAX_FILTERS: usize = 65_536;

/// What is wrong with the configuration of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// There are no partitions.
    #[error("max_members of 0 leaves no partition: set it to 1 or more")]
    NoPartitions,
    /// There are too many filters: for each partition, one for each subject.
    #[error("{partitions} partitions with {subjects} subjects each are too many")]
    TooManyFilters {
        /// How many partitions there are.
        partitions: u32,
        /// How many subjects each of them has.
        subjects: usize,
    },
    /// The members are named twice, in both ways.
    #[error("there are members and member_mappings: leave one of them out")]
    MembersAndMappings,
    /// There are more mappings than partitions.
    #[error("{mappings} member_mappings are more than the {partitions} partitions")]
    TooManyMappings {
        /// How many mappings there are.
        mappings: usize,
        /// How many partitions there are.
        partitions: u32,
    },
    /// A member has two mappings.
    #[error("the member {0:?} has two mappings: give it all of its partitions in one")]
    MemberTwice(String),
    /// A partition is mapped twice.
    #[error("the partition {0} is mapped twice")]
    PartitionTwice(u32),
    /// A partition is mapped that there is not.
    #[error("there is no partition {partition} of {partitions}, counted from 0")]
    NoSuchPartition {
        /// The partition.
        partition: u32,
        /// How many partitions there are.
        partitions: u32,
    },
    /// A partition is nobody's.
    #[error("the partition {0} is mapped to nobody")]
    PartitionOfNobody(u32),
    /// A filter that is no subject.
    #[error(transparent)]
    InvalidFilter(#[from] SubjectError),
    /// A filter for one subject only, whose messages are in one partition.
    #[error("the filter {0:?} has no wildcard that could make a partition")]
    NoWildcard(String),
    /// A wildcard that the filter does not have.
    #[error("the filter {filter:?} has no wildcard `*` number {wildcard}, counted from 1")]
    NoSuchWildcard {
        /// The filter.
        filter: String,
        /// The number of the wildcard.
        wildcard: u32,
    },
    /// A wildcard that is named twice.
    #[error("the wildcard number {wildcard} of the filter {filter:?} is named twice")]
    WildcardTwice {
        /// The filter.
        filter: String,
        /// The number of the wildcard.
        wildcard: u32,
    },
}

impl StaticGroupConfig {
    /// Checks that members can be made of it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), GroupError> {
        check_partitions(self.max_members, self.filters.len())?;
        self.filters.iter().try_for_each(|filter| subject::check_pattern(filter))?;
        check_members(self.max_members, &self.members, &self.member_mappings)
    }
}

impl ElasticGroupConfig {
    /// Checks that a work queue and members can be made of it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), GroupError> {
        check_partitions(self.max_members, self.partitioning_filters.len())?;
        self.partitioning_filters.iter().try_for_each(PartitioningFilter::check)?;
        check_members(self.max_members, &self.members, &self.member_mappings)
    }
}

impl PartitioningFilter {
    fn check(&self) -> Result<(), GroupError> {
        let filter = || self.filter.clone();
        subject::check_pattern(&self.filter)?;
        let wildcards = self.filter.split('.').filter(|token| *token == "*").count();
        if wildcards == 0 && self.filter != ">" && !self.filter.ends_with(".>") {
            return Err(GroupError::NoWildcard(filter()));
        }
        let mut named = BTreeSet::new();
        for &wildcard in &self.partitioning_wildcards {
            if wildcard == 0 || wildcard as usize > wildcards {
                return Err(GroupError::NoSuchWildcard { filter: filter(), wildcard });
            }
            if !named.insert(wildcard) {
                return Err(GroupError::WildcardTwice { filter: filter(), wildcard });
            }
        }
        Ok(())
    }
}

fn check_partitions(partitions: u32, subjects: usize) -> Result<(), GroupError> {
    if partitions == 0 {
        return Err(GroupError::NoPartitions);
    }
    let filters = (partitions as usize).saturating_mul(subjects.max(1));
    match filters > MAX_FILTERS {
        true => Err(GroupError::TooManyFilters { partitions, subjects }),
        false => Ok(()),
    }
}

fn check_members(
    partitions: u32,
    members: &[String],
    mappings: &[MemberMapping],
) -> Result<(), GroupError> {
    if mappings.is_empty() {
        return Ok(());
    }
    if !members.is_empty() {
        return Err(GroupError::MembersAndMappings);
    }
    if mappings.len() > partitions as usize {
        return Err(GroupError::TooManyMappings { mappings: mappings.len(), partitions });
    }
    let (mut named, mut mapped) = (BTreeSet::new(), BTreeSet::new());
    for mapping in mappings {
        if !named.insert(&mapping.member) {
            return Err(GroupError::MemberTwice(mapping.member.clone()));
        }
        for &partition in &mapping.partitions {
            if partition >= partitions {
                return Err(GroupError::NoSuchPartition { partition, partitions });
            }
            if !mapped.insert(partition) {
                return Err(GroupError::PartitionTwice(partition));
            }
        }
    }
    match (0..partitions).find(|partition| !mapped.contains(partition)) {
        Some(partition) => Err(GroupError::PartitionOfNobody(partition)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(partitions: u32, mappings: &[(&str, &[u32])]) -> Result<(), GroupError> {
        let mappings =
            mappings.iter().map(|(member, own)| MemberMapping::new(*member, own.iter().copied()));
        let config = StaticGroupConfig::new(partitions).member_mappings(mappings);
        let elastic = ElasticGroupConfig::new(partitions)
            .member_mappings(config.member_mappings.iter().cloned());
        assert_eq!(config.check(), elastic.check());
        config.check()
    }

    fn filtered(filter: &str, wildcards: &[u32]) -> Result<(), GroupError> {
        let filter = PartitioningFilter::new(filter, wildcards.iter().copied());
        ElasticGroupConfig::new(2).partitioning_filters([filter]).check()
    }

    #[test]
    fn partitions_are_some_and_not_too_many() {
        assert_eq!(StaticGroupConfig::new(0).check(), Err(GroupError::NoPartitions));
        assert_eq!(ElasticGroupConfig::new(0).check(), Err(GroupError::NoPartitions));
        assert_eq!(StaticGroupConfig::new(65_536).check(), Ok(()));
        let too_many = GroupError::TooManyFilters { partitions: u32::MAX, subjects: 0 };
        assert_eq!(ElasticGroupConfig::new(u32::MAX).check(), Err(too_many));
        let too_many = GroupError::TooManyFilters { partitions: 40_000, subjects: 2 };
        assert_eq!(StaticGroupConfig::new(40_000).filters(["a", "b"]).check(), Err(too_many));
    }

    #[test]
    fn members_may_be_too_many_and_the_same() {
        let members = ["a", "a", "b", "c"];
        assert_eq!(StaticGroupConfig::new(2).members(members).check(), Ok(()));
        assert_eq!(ElasticGroupConfig::new(2).members(members).check(), Ok(()));
        let both = StaticGroupConfig::new(1).members(members);
        let both = both.member_mappings([MemberMapping::new("a", [0])]);
        assert_eq!(both.check(), Err(GroupError::MembersAndMappings));
    }

    #[test]
    fn mappings_have_every_partition_once() {
        assert_eq!(mapped(3, &[("a", &[2, 0]), ("b", &[1])]), Ok(()));
        assert_eq!(mapped(2, &[("a", &[0, 1]), ("b", &[])]), Ok(()));
        assert_eq!(mapped(2, &[("a", &[0])]), Err(GroupError::PartitionOfNobody(1)));
        assert_eq!(mapped(2, &[("a", &[0]), ("b", &[0])]), Err(GroupError::PartitionTwice(0)));
        assert_eq!(
            mapped(2, &[("a", &[0]), ("a", &[1])]),
            Err(GroupError::MemberTwice("a".into()))
        );
        let no_such = GroupError::NoSuchPartition { partition: 2, partitions: 2 };
        assert_eq!(mapped(2, &[("a", &[0, 2])]), Err(no_such));
        let too_many = GroupError::TooManyMappings { mappings: 2, partitions: 1 };
        assert_eq!(mapped(1, &[("a", &[0]), ("b", &[])]), Err(too_many));
    }

    #[test]
    fn filters_have_wildcards_and_those_that_are_named() {
        for (filter, wildcards) in
            [("a.*", &[1][..]), ("a.*.b.*", &[2, 1]), ("a.*", &[]), ("a.>", &[]), (">", &[])]
        {
            assert_eq!(filtered(filter, wildcards), Ok(()), "{filter}");
        }
        assert_eq!(filtered("a.b", &[]), Err(GroupError::NoWildcard("a.b".into())));
        let no_such = |filter: &str, wildcard| {
            Err(GroupError::NoSuchWildcard { filter: filter.into(), wildcard })
        };
        assert_eq!(filtered("a.*", &[2]), no_such("a.*", 2));
        assert_eq!(filtered("a.*", &[0]), no_such("a.*", 0));
        // `>` is none that could be named
        assert_eq!(filtered("a.>", &[1]), no_such("a.>", 1));
        let twice = GroupError::WildcardTwice { filter: "a.*.*".into(), wildcard: 2 };
        assert_eq!(filtered("a.*.*", &[2, 2]), Err(twice));
        for filter in ["", "a..b", "a.>.b", "a b.*"] {
            assert!(matches!(filtered(filter, &[]), Err(GroupError::InvalidFilter(_))), "{filter}");
            let config = StaticGroupConfig::new(2).filters([filter]);
            assert!(matches!(config.check(), Err(GroupError::InvalidFilter(_))), "{filter}");
        }
    }
}
