//! What the things of a group are called.

/// The bucket with the configurations of static groups.
pub(super) const STATIC_BUCKET: &str = "static-consumer-groups";
/// The bucket with the configurations of elastic groups.
pub(super) const ELASTIC_BUCKET: &str = "elastic-consumer-groups";
/// The priority group of each member's consumer, which pins one of its instances.
pub(super) const PRIORITY_GROUP: &str = "PCG";

/// The key of a group's configuration.
pub(super) fn key(stream: &str, group: &str) -> String {
    format!("{stream}.{group}")
}

/// The work queue of an elastic group.
pub(super) fn work_queue(stream: &str, group: &str) -> String {
    format!("{stream}-{group}")
}

/// The consumer of a static group's member. An elastic group's is called like the member.
pub(super) fn static_consumer(group: &str, member: &str) -> String {
    format!("{group}-{member}")
}

/// The partition that a message is in, by its subject. `None`: the subject has none.
#[must_use]
pub fn partition(subject: &str) -> Option<u32> {
    subject.split('.').next()?.parse().ok()
}

/// A message's subject as it was before it had a partition.
#[must_use]
pub fn without_partition(subject: &str) -> &str {
    subject.split_once('.').map_or(subject, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_orbit() {
        assert_eq!(key("S", "g"), "S.g");
        assert_eq!(work_queue("S", "g"), "S-g");
        assert_eq!(static_consumer("g", "m"), "g-m");
        assert_eq!(without_partition("3.orders.new"), "orders.new");
        assert_eq!(without_partition("3"), "3");
        assert_eq!((partition("3.orders.new"), partition("orders.new")), (Some(3), None));
    }
}
