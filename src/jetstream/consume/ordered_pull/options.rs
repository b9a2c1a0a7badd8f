//! What an ordered consumer reads, from where, and how it copes with losses.

use super::option_error::OrderedOptionError;
use crate::jetstream::consume::filters;
use crate::jetstream::consume::pull::{FIRST_PAUSE, LAST_PAUSE};
use crate::jetstream::error::Error;
use crate::jetstream::manage::{AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy};
use crate::jetstream::name::check_name;
use crate::jetstream::wire::setters;
use std::collections::BTreeMap;
use std::time::Duration;

/// The server's own five seconds would end the consumer of a program that pauses.
const DEFAULT_INACTIVE_THRESHOLD: Duration = Duration::from_secs(5 * 60);
/// The longest prefix: a name has 255 bytes at most, and a number follows.
const MAX_PREFIX: usize = 200;

/// What an ordered consumer reads of a stream, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderedOptions {
    /// The subjects to read, which must not overlap. More than one needs server 2.10. Default: all.
    pub filter_subjects: Vec<String>,
    /// Where to start. Default: at the oldest message.
    pub deliver_policy: DeliverPolicy,
    /// Whether stored messages come at once (the default) or at the pace they were stored in.
    pub replay_policy: ReplayPolicy,
    /// Reads headers only. Default: payloads too.
    pub headers_only: bool,
    /// What the names of the server-side consumers begin with, which are called `<prefix>_1` and so
    /// on. It has to be unique in the stream. Default: random.
    pub name_prefix: Option<String>,
    /// How long the server keeps a consumer that is asked for nothing, should its deletion be lost.
    /// Default: 5 minutes.
    pub inactive_threshold: Duration,
    /// Ends with [`TooManyResets`](crate::jetstream::OrderedError::TooManyResets) when so many resets
    /// in a row brought neither a message nor the report that there is none. Those after the loss of
    /// the connection do not count. Default: never.
    pub max_resets: Option<u32>,
    /// The pause before the second reset in a row; each further one doubles it. Default: 250 ms.
    pub min_backoff: Duration,
    /// The longest pause between two resets. Default: 10 s.
    pub max_backoff: Duration,
    /// What the server-side consumers have for metadata. (Server 2.10)
    pub metadata: BTreeMap<String, String>,
}

impl OrderedOptions {
    /// All messages, from the oldest one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what is wrong with the options.
    pub(crate) fn check(&self) -> Result<(), OrderedOptionError> {
        if let Some(prefix) = &self.name_prefix {
            let reason = match check_name(prefix) {
                Err(Error::InvalidName { reason, .. }) => Some(reason),
                _ => (prefix.len() > MAX_PREFIX).then_some("it is longer than 200 bytes"),
            };
            if let Some(reason) = reason {
                return Err(OrderedOptionError::NamePrefix { prefix: prefix.clone(), reason });
            }
        }
        if let Some(filter) = self.filter_subjects.iter().find(|filter| !is_subject(filter)) {
            return Err(OrderedOptionError::FilterSubject(filter.clone()));
        }
        let (min, max) = (self.min_backoff, self.max_backoff);
        match () {
            () if self.inactive_threshold.is_zero() => Err(OrderedOptionError::NoInactiveThreshold),
            () if self.max_resets == Some(0) => Err(OrderedOptionError::NoResets),
            () if min.is_zero() => Err(OrderedOptionError::NoBackoff),
            () if min > max => Err(OrderedOptionError::Backoff { min, max }),
            () => Ok(()),
        }
    }

    /// The configuration of a server-side consumer that starts there.
    pub(super) fn config(&self, name: &str, deliver_policy: DeliverPolicy) -> ConsumerConfig {
        let (filter_subject, filter_subjects) =
            filters::configured(&self.filter_subjects, &deliver_policy);
        ConsumerConfig {
            name: Some(name.to_owned()),
            deliver_policy,
            filter_subject,
            filter_subjects,
            replay_policy: self.replay_policy.clone(),
            headers_only: self.headers_only,
            ack_policy: AckPolicy::None,
            num_replicas: 1,
            mem_storage: true,
            inactive_threshold: Some(self.inactive_threshold),
            metadata: self.metadata.clone(),
            ..ConsumerConfig::default()
        }
    }
}

impl Default for OrderedOptions {
    fn default() -> Self {
        Self {
            filter_subjects: Vec::new(),
            deliver_policy: DeliverPolicy::default(),
            replay_policy: ReplayPolicy::default(),
            headers_only: false,
            name_prefix: None,
            inactive_threshold: DEFAULT_INACTIVE_THRESHOLD,
            max_resets: None,
            min_backoff: FIRST_PAUSE,
            max_backoff: LAST_PAUSE,
            metadata: BTreeMap::new(),
        }
    }
}

setters!(OrderedOptions {
    list filter_subjects: String,
    value deliver_policy: DeliverPolicy,
    value replay_policy: ReplayPolicy,
    value headers_only: bool,
    some_text name_prefix: String,
    value inactive_threshold: Duration,
    some max_resets: u32,
    value min_backoff: Duration,
    value max_backoff: Duration,
    pair metadata: String,
});

/// Whether it has tokens, and none of them is empty or has a space.
fn is_subject(subject: &str) -> bool {
    let is_token = |token: &str| !token.is_empty() && !token.contains([' ', '\t', '\r', '\n']);
    subject.split('.').all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use OrderedOptionError::*;

    #[test]
    fn a_consumer_leaves_no_trace_and_is_kept_for_a_program_that_pauses() {
        let config = OrderedOptions::new().metadata("a", "b").config("p_1", DeliverPolicy::All);
        let expected = ConsumerConfig {
            name: Some("p_1".into()),
            ack_policy: AckPolicy::None,
            num_replicas: 1,
            mem_storage: true,
            inactive_threshold: Some(Duration::from_secs(300)),
            metadata: [("a".into(), "b".into())].into(),
            ..ConsumerConfig::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn filters_are_written_as_servers_want_them() {
        let filters = |policy, filters: &[&str]| {
            let options = OrderedOptions::new().filter_subjects(filters.iter().copied());
            let config = options.config("p_1", policy);
            (config.filter_subject, config.filter_subjects)
        };
        assert_eq!(filters(DeliverPolicy::All, &[]), (None, vec![]));
        assert_eq!(filters(DeliverPolicy::LastPerSubject, &[]), (Some(">".into()), vec![]));
        assert_eq!(filters(DeliverPolicy::LastPerSubject, &["a"]), (Some("a".into()), vec![]));
        let two = (None, vec!["a".into(), "b.*".into()]);
        assert_eq!(filters(DeliverPolicy::LastPerSubject, &["a", "b.*"]), two);
    }

    #[test]
    fn what_is_not_possible_is_named() {
        let new = OrderedOptions::new;
        let (second, long) = (Duration::from_secs(1), "x".repeat(201));
        let reason = "it has a space, a dot, a wildcard or a slash";
        for (options, expected) in [
            (new(), Ok(())),
            (new().name_prefix("x".repeat(200)).filter_subjects(["a.*", ">"]), Ok(())),
            (new().name_prefix("a.b"), Err(NamePrefix { prefix: "a.b".into(), reason })),
            (
                new().name_prefix(long.clone()),
                Err(NamePrefix { prefix: long, reason: "it is longer than 200 bytes" }),
            ),
            (new().filter_subjects(["a", ""]), Err(FilterSubject(String::new()))),
            (new().filter_subjects(["a b"]), Err(FilterSubject("a b".into()))),
            (new().filter_subjects(["a..b"]), Err(FilterSubject("a..b".into()))),
            (new().inactive_threshold(Duration::ZERO), Err(NoInactiveThreshold)),
            (new().max_resets(0), Err(NoResets)),
            (new().min_backoff(Duration::ZERO), Err(NoBackoff)),
            (
                new().min_backoff(2 * second).max_backoff(second),
                Err(Backoff { min: 2 * second, max: second }),
            ),
        ] {
            assert_eq!(options.check(), expected, "{options:?}");
        }
    }
}
