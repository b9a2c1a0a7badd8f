//! The consumer of a member.

use super::group::Kind;
use super::names::{PRIORITY_GROUP, static_consumer};
use crate::jetstream::Error;
use crate::jetstream::check_name;
use crate::jetstream::{AckPolicy, ConsumerConfig, PriorityPolicy};
use std::time::Duration;

/// How long a message may be worked on, if nothing is said.
const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(5);
/// No pin and no request lives shorter.
const SHORTEST: Duration = Duration::from_secs(1);

/// A member of a group: its place in names, and what a user says of its consumer.
#[derive(Debug, Clone)]
pub(super) struct MemberConsumer {
    name: String,
    ack_wait: Duration,
    config: ConsumerConfig,
}

impl MemberConsumer {
    /// The name and the filters are the group's, and so is who of several instances is served; all else is
    /// as `config` says.
    ///
    /// # Errors
    /// [`Error::InvalidName`]: the member or the group cannot be part of a consumer's name.
    pub(super) fn new(
        kind: Kind,
        group_name: &str,
        member: &str,
        config: &ConsumerConfig,
    ) -> Result<Self, Error> {
        check_name(group_name).and_then(|()| check_name(member))?;
        let ack_wait = config.ack_wait.filter(|wait| !wait.is_zero()).unwrap_or(DEFAULT_ACK_WAIT);
        let config = config
            .clone()
            .ack_wait(ack_wait)
            .priority_groups([PRIORITY_GROUP])
            .priority_policy(PriorityPolicy::PinnedClient)
            .priority_timeout(ack_wait.max(SHORTEST));
        let name = consumer_name(kind, group_name, member);
        check_name(&name)?;
        let mut config = config.name(name.as_str());
        config.filter_subject = None;
        config.durable_name = (kind == Kind::Static).then(|| name.clone());
        if kind == Kind::Elastic {
            // whoever is gone does not keep others from the partitions
            config.inactive_threshold = Some(ack_wait);
            config.ack_policy = AckPolicy::Explicit;
        }
        Ok(Self { name, ack_wait, config })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How long a message may be worked on.
    pub(super) fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    /// How long a request for messages waits at the server.
    pub(super) fn pull_expires(&self) -> Duration {
        (self.ack_wait / 2).max(SHORTEST)
    }

    pub(super) fn config(&self, filters: &[String]) -> ConsumerConfig {
        self.config.clone().filter_subjects(filters)
    }
}

/// What the consumer of a member is called.
pub(super) fn consumer_name(kind: Kind, group: &str, member: &str) -> String {
    match kind {
        Kind::Static => static_consumer(group, member),
        Kind::Elastic => member.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elastic_groups_consumer_is_the_members_and_goes_with_it() {
        let wanted = ConsumerConfig::new("mine").durable_name("mine").max_ack_pending(1);
        let wanted = wanted.filter_subject("x").ack_wait(Duration::from_secs(8));
        let consumer = MemberConsumer::new(Kind::Elastic, "g", "m", &wanted).expect("a consumer");
        let config = consumer.config(&["0.>".into(), "1.>".into()]);
        assert_eq!((config.name.as_deref(), &config.durable_name), (Some("m"), &None));
        assert_eq!(
            (config.filter_subject, config.filter_subjects),
            (None, vec!["0.>".into(), "1.>".into()])
        );
        assert_eq!(config.inactive_threshold, Some(Duration::from_secs(8)));
        assert_eq!(config.priority_timeout, Some(Duration::from_secs(8)));
        assert_eq!((config.priority_groups, config.max_ack_pending), (vec!["PCG".into()], Some(1)));
        assert_eq!(config.priority_policy, PriorityPolicy::PinnedClient);
        assert_eq!(consumer.pull_expires(), Duration::from_secs(4));
    }

    #[test]
    fn a_static_groups_consumer_stays() {
        let wanted = ConsumerConfig::default().ack_wait(Duration::from_millis(500));
        let consumer = MemberConsumer::new(Kind::Static, "g", "m", &wanted).expect("a consumer");
        assert_eq!(consumer.name(), "g-m");
        let config = consumer.config(&["0.>".into()]);
        assert_eq!(config.durable_name.as_deref(), Some("g-m"));
        assert_eq!((config.inactive_threshold, config.priority_timeout), (None, Some(SHORTEST)));
        assert_eq!((consumer.pull_expires(), config.ack_wait), (SHORTEST, wanted.ack_wait));
        let consumer = MemberConsumer::new(Kind::Static, "g", "m", &ConsumerConfig::default());
        assert_eq!(consumer.map(|consumer| consumer.ack_wait()), Ok(DEFAULT_ACK_WAIT));
    }

    #[test]
    fn names_that_no_consumer_may_have_are_refused() {
        let long = "x".repeat(200);
        for (name, member) in [("g", "a.b"), ("g", ""), ("", "m"), (long.as_str(), long.as_str())] {
            let refused =
                MemberConsumer::new(Kind::Static, name, member, &ConsumerConfig::default());
            assert!(matches!(refused, Err(Error::InvalidName { .. })), "{name} {member}");
        }
    }
}
