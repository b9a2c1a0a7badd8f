//! Which partitions are whose.
//!
//! The invariant: every member that has the same configuration comes to the same division, without a word
//! to the others. With members, each partition is exactly one's. With mappings, it is as these say, which
//! are checked elsewhere.

use super::config::MemberMapping;

/// The members of a group, and how many partitions there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Division<'a> {
    pub(super) partitions: u32,
    /// If there are any, mappings do not count.
    pub(super) members: &'a [String],
    pub(super) mappings: &'a [MemberMapping],
}

impl Division<'_> {
    /// The partitions of a member, in their order. Empty: it has none, or is no member.
    ///
    /// Members are in the order of their names, and there are no more than partitions. Each has as many
    /// partitions in a row as there are for all, and the first ones have one of the rest.
    pub(super) fn partitions_of(&self, member: &str) -> Vec<u32> {
        if self.members.is_empty() {
            let own = self.mappings.iter().filter(|mapping| mapping.member == member);
            return own.flat_map(|mapping| &mapping.partitions).copied().collect();
        }
        let mut members: Vec<&str> = self.members.iter().map(String::as_str).collect();
        members.sort_unstable();
        members.dedup();
        members.truncate(self.partitions as usize);
        let Ok(place) = members.binary_search(&member) else { return Vec::new() };
        // neither is above the number of partitions
        let (place, count) = (place as u32, members.len() as u32);
        let each = self.partitions / count;
        let rest = self.partitions % count;
        let row = place * each..(place + 1) * each;
        let one_of_the_rest = (place < rest).then_some(count * each + place);
        row.chain(one_of_the_rest).collect()
    }

    /// The filters of a member's consumer: one for each of its partitions and each of the subjects. With
    /// mappings they are for all subjects of the partitions, as in orbit.
    pub(super) fn filters_of<'f>(
        &self,
        member: &str,
        subjects: impl IntoIterator<Item = &'f str>,
    ) -> Vec<String> {
        let partitions = self.partitions_of(member);
        let of = |subject| partitions.iter().map(move |partition| format!("{partition}.{subject}"));
        let mut subjects = subjects.into_iter().peekable();
        if self.members.is_empty() || subjects.peek().is_none() {
            return of(">").collect();
        }
        subjects.flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: u32) -> Vec<String> {
        (0..count).map(|place| format!("m{place:03}")).collect()
    }

    fn division(partitions: u32, members: &[String]) -> Division<'_> {
        Division { partitions, members, mappings: &[] }
    }

    /// Whose each partition is, as orbit goes through them.
    fn owners(partitions: u32, members: u32) -> Vec<u32> {
        let members = members.min(partitions);
        let each = partitions / members;
        let in_rows = members * each;
        let owner = |partition| match partition < in_rows {
            true => partition / each % members,
            false => (partition - in_rows) % members,
        };
        (0..partitions).map(owner).collect()
    }

    #[test]
    fn every_partition_is_exactly_one_members_and_nobody_has_two_more_than_others() {
        for partitions in 1..=40 {
            for count in 1..=45 {
                let members = names(count);
                let division = division(partitions, &members);
                let owners = owners(partitions, count);
                let mut all = Vec::new();
                let (mut least, mut most) = (u32::MAX, 0);
                for (place, member) in (0..).zip(&members) {
                    let own = division.partitions_of(member);
                    let as_orbit: Vec<_> = (0..partitions)
                        .filter(|partition| owners[*partition as usize] == place)
                        .collect();
                    assert_eq!(own, as_orbit, "{member} of {count} with {partitions}");
                    if place < partitions {
                        least = least.min(own.len() as u32);
                        most = most.max(own.len() as u32);
                    }
                    all.extend(own);
                }
                all.sort_unstable();
                assert_eq!(all, (0..partitions).collect::<Vec<_>>(), "{count} members");
                assert!(least >= 1 && most - least <= 1, "{count} with {partitions}");
            }
        }
    }

    #[test]
    fn the_examples_of_orbit() {
        let members = ["m3", "m1", "m2", "m1"].map(String::from);
        let of = |partitions, member| division(partitions, &members).partitions_of(member);
        assert_eq!((of(6, "m1"), of(6, "m2"), of(6, "m3")), (vec![0, 1], vec![2, 3], vec![4, 5]));
        assert_eq!(
            (of(7, "m1"), of(7, "m2"), of(7, "m3")),
            (vec![0, 1, 6], vec![2, 3], vec![4, 5])
        );
        // who is beyond the partitions has none
        assert_eq!((of(2, "m1"), of(2, "m2"), of(2, "m3")), (vec![0], vec![1], vec![]));
        assert!(of(6, "somebody").is_empty());
        assert!(division(6, &[]).partitions_of("m1").is_empty());
        let mappings = [MemberMapping::new("a", [0, 2]), MemberMapping::new("b", [1])];
        let division = Division { partitions: 3, members: &[], mappings: &mappings };
        assert_eq!(division.partitions_of("a"), [0, 2]);
        assert!(division.partitions_of("c").is_empty());
    }

    /// As few as by orbit's rule, which are not always the fewest: where the rows become shorter, nearly all
    /// of them move.
    #[test]
    fn so_many_of_twelve_partitions_move_when_another_member_comes() {
        let moved = |count| {
            let (few, many) = (names(count), names(count + 1));
            let (before, after) = (division(12, &few), division(12, &many));
            let kept = few.iter().map(|member| {
                let after = after.partitions_of(member);
                before.partitions_of(member).iter().filter(|own| after.contains(own)).count()
            });
            12 - kept.sum::<usize>()
        };
        let table: Vec<_> = (1..13).map(moved).collect();
        assert_eq!(table, [6, 6, 6, 9, 2, 11, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn filters_are_for_each_partition_and_subject() {
        let members = ["a", "b"].map(String::from);
        let division = division(3, &members);
        assert_eq!(division.filters_of("a", []), ["0.>", "2.>"]);
        assert_eq!(division.filters_of("a", ["x.*", "y.>"]), ["0.x.*", "2.x.*", "0.y.>", "2.y.>"]);
        assert_eq!(division.filters_of("c", ["x.*"]), [""; 0]);
        let mappings = [MemberMapping::new("a", [2, 0])];
        let division = Division { partitions: 3, members: &[], mappings: &mappings };
        // a filter twice would be refused
        assert_eq!(division.filters_of("a", ["x.*", "y.>"]), ["2.>", "0.>"]);
    }

    proptest! {
        #[test]
        fn the_order_of_members_and_their_repetition_mean_nothing(
            partitions in 1..200_u32,
            members in prop::collection::vec("[a-d]{1,2}", 1..12),
            again in any::<prop::sample::Index>(),
        ) {
            let mut others = members.clone();
            others.push(members[again.index(members.len())].clone());
            others.reverse();
            let mut all = Vec::new();
            let mut distinct = members.clone();
            distinct.sort();
            distinct.dedup();
            for member in &distinct {
                let own = division(partitions, &members).partitions_of(member);
                prop_assert_eq!(&own, &division(partitions, &others).partitions_of(member));
                all.extend(own);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..partitions).collect::<Vec<_>>());
        }
    }
}
