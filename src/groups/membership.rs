//! How the members of an elastic group come and go: what is written for it in place of the configuration
//! that was read.

use super::check::GroupError;
use super::config::{ElasticGroupConfig, MemberMapping};

impl ElasticGroupConfig {
    /// Whether somebody is a member. Members beyond the partitions are some, too.
    #[must_use]
    pub fn has_member(&self, name: &str) -> bool {
        self.members.iter().any(|member| member == name)
            || self.member_mappings.iter().any(|mapping| mapping.member == name)
    }

    /// Adds members. Those that are some already stay, and a name that is empty is none.
    ///
    /// # Errors
    /// [`GroupError::MembersAndMappings`]: its members have their partitions by mappings.
    pub fn add_members<T: Into<String>>(
        &mut self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<(), GroupError> {
        self.check_unmapped()?;
        for name in names.into_iter().map(Into::into) {
            if !name.is_empty() && !self.members.contains(&name) {
                self.members.push(name);
            }
        }
        Ok(())
    }

    /// Removes members. Those that are none are passed over.
    ///
    /// # Errors
    /// [`GroupError::MembersAndMappings`]: its members have their partitions by mappings.
    pub fn remove_members<T: AsRef<str>>(
        &mut self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<(), GroupError> {
        self.check_unmapped()?;
        for name in names {
            self.members.retain(|member| member != name.as_ref());
        }
        Ok(())
    }

    /// Gives members their partitions by mappings, in the place of those that it has. Without any, the
    /// group has no members.
    ///
    /// # Errors
    /// What is wrong with the mappings; then nothing is changed.
    pub fn map_members(
        &mut self,
        mappings: impl IntoIterator<Item = MemberMapping>,
    ) -> Result<(), GroupError> {
        let mapped = self.clone().members([""; 0]).member_mappings(mappings);
        mapped.check()?;
        *self = mapped;
        Ok(())
    }

    /// Takes the mappings away. If it had some, it has no members then.
    pub fn unmap_members(&mut self) {
        self.member_mappings.clear();
    }

    fn check_unmapped(&self) -> Result<(), GroupError> {
        match self.member_mappings.is_empty() {
            true => Ok(()),
            false => Err(GroupError::MembersAndMappings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_and_go() {
        let mut config = ElasticGroupConfig::new(2).members(["b"]);
        config.add_members(["a", "b", "", "c"]).expect("added");
        assert_eq!(config.members, ["b", "a", "c"]);
        assert!(config.has_member("c") && !config.has_member("d"));
        config.remove_members(["b", "d"]).expect("removed");
        assert_eq!(config.members, ["a", "c"]);
    }

    #[test]
    fn mappings_take_the_place_of_members_and_the_other_way_around() {
        let mut config = ElasticGroupConfig::new(2).members(["b"]);
        let before = config.clone();
        let wrong = config.map_members([MemberMapping::new("a", [0])]);
        assert_eq!((wrong, &config), (Err(GroupError::PartitionOfNobody(1)), &before));
        config.map_members([MemberMapping::new("a", [0, 1])]).expect("mapped");
        assert!(config.has_member("a") && config.members.is_empty());
        assert_eq!(config.add_members(["b"]), Err(GroupError::MembersAndMappings));
        assert_eq!(config.remove_members(["a"]), Err(GroupError::MembersAndMappings));
        config.unmap_members();
        config.add_members(["b"]).expect("added");
        assert_eq!(config, before);
    }
}
