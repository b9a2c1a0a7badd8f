//! The configuration of a consumer, what the server tells about one, and the request that creates it.
//!
//! The invariants are those of stream configurations: only what was set is sent, and whatever a
//! server writes can be read. A deliver policy and its start position are one value, so that they
//! cannot contradict each other. Nothing is validated against a server version here: what servers drop
//! silently, as 2.9 does with `filter_subjects`, shows when it is compared with what they return.

use super::cluster_info::ClusterInfo;
use crate::jetstream::level::Requirement;
use crate::jetstream::time::{nanos, nanos_list, rfc3339};
use crate::jetstream::wire::{
    Unknown, is_default, limit, non_zero, null_as_default, remove_server_metadata, setters,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// How a consumer delivers a stream: `ConsumerConfig::new("worker").filter_subject("orders.new")`.
///
/// An unset option leaves the choice to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerConfig {
    /// The name of a consumer that outlives inactivity; equal to `name` if both are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable_name: Option<String>,
    /// The name. `None`: that of a durable consumer, or else one is made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where in the stream delivery starts.
    #[serde(flatten)]
    pub deliver_policy: DeliverPolicy,
    /// What has to be acknowledged.
    #[serde(default = "AckPolicy::if_absent")]
    pub ack_policy: AckPolicy,
    /// How long an acknowledgement may take before the message is delivered again. `None`: 30 s.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub ack_wait: Option<Duration>,
    /// The most deliveries of one message. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_deliver: Option<u64>,
    /// The waits before each redelivery; the first one replaces `ack_wait`. At most `max_deliver`.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "nanos_list")]
    pub backoff: Vec<Duration>,
    /// Deliver only what matches this subject. Excludes `filter_subjects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_subject: Option<String>,
    /// Deliver only what matches one of these subjects, which must not overlap (2.10).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub filter_subjects: Vec<String>,
    /// How fast stored messages are delivered.
    pub replay_policy: ReplayPolicy,
    /// The share of acknowledgements to report, as in `50%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_freq: Option<String>,
    /// The most pull requests waiting. `None`: 512.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_waiting: Option<u64>,
    /// The most unacknowledged messages; −1 for no limit. `None`: 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ack_pending: Option<i64>,
    /// Deliver headers without payload, whose length is then in `Nats-Msg-Size`.
    #[serde(skip_serializing_if = "is_default")]
    pub headers_only: bool,
    /// The most messages of one pull request. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_batch: Option<u64>,
    /// The longest wait of one pull request. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub max_expires: Option<Duration>,
    /// The most bytes of one pull request. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "limit")]
    pub max_bytes: Option<u64>,
    /// How long the consumer lives without anybody using it. `None`: 5 s without a durable name,
    /// else for ever.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub inactive_threshold: Option<Duration>,
    /// The number of copies of the consumer's state. 0: as many as the stream has.
    #[serde(skip_serializing_if = "is_default")]
    pub num_replicas: u32,
    /// Keep the consumer's state in memory even if the stream is on disk.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_storage: bool,
    /// Free key-value pairs (2.10). Keys with the prefix `_nats` are the server's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub metadata: BTreeMap<String, String>,
    /// Deliver nothing before this time (2.11).
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    pub pause_until: Option<SystemTime>,
    /// The groups that pull requests may name (2.11).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub priority_groups: Vec<String>,
    /// Who of a group is served (2.11).
    #[serde(skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    /// How long a pinned client may be silent (2.11). `None`: 2 min.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub priority_timeout: Option<Duration>,
    /// Push consumers: where to deliver. `None`: this is a pull consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_subject: Option<String>,
    /// Push consumers: the queue group that shares the deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_group: Option<String>,
    /// Push consumers: send a status after this long without a message.
    #[serde(skip_serializing_if = "Option::is_none", with = "nanos")]
    pub idle_heartbeat: Option<Duration>,
    /// Push consumers: pause until the receiver keeps up. Needs `idle_heartbeat`.
    #[serde(skip_serializing_if = "is_default")]
    pub flow_control: bool,
    /// Push consumers: the most bits per second. `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "non_zero")]
    pub rate_limit_bps: Option<u64>,
    /// Whether a server made it to copy a stream. Internal to servers: do not set it.
    #[serde(skip_serializing_if = "is_default")]
    pub direct: bool,
    /// Whether a server made it to copy a stream (2.14). Internal to servers: do not set it.
    #[serde(skip_serializing_if = "is_default")]
    pub sourcing: bool,
    #[serde(flatten)]
    pub(crate) unknown: Unknown,
}

setters!(ConsumerConfig {
    some_text durable_name: String,
    some_text name: String,
    some_text description: String,
    value deliver_policy: DeliverPolicy,
    value ack_policy: AckPolicy,
    some ack_wait: Duration,
    some max_deliver: u64,
    list backoff: Duration,
    some_text filter_subject: String,
    list filter_subjects: String,
    value replay_policy: ReplayPolicy,
    some_text sample_freq: String,
    some max_waiting: u64,
    some max_ack_pending: i64,
    value headers_only: bool,
    some max_batch: u64,
    some max_expires: Duration,
    some max_bytes: u64,
    some inactive_threshold: Duration,
    value num_replicas: u32,
    value mem_storage: bool,
    pair metadata: String,
    some pause_until: SystemTime,
    list priority_groups: String,
    value priority_policy: PriorityPolicy,
    some priority_timeout: Duration,
    some_text deliver_subject: String,
    some_text deliver_group: String,
    some idle_heartbeat: Duration,
    value flow_control: bool,
    some rate_limit_bps: u64,
});

impl ConsumerConfig {
    /// A consumer of this name, with the server's defaults. One that is to outlive inactivity has
    /// the same [`durable_name`](Self::durable_name).
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Returns the highest API level that a member needs, and the member. `None` if every server
    /// since 2.10 knows all that is set.
    ///
    /// Members that this version does not know count for nothing.
    #[must_use]
    pub fn required_level(&self) -> Option<Requirement> {
        let prioritized = self.priority_policy == PriorityPolicy::Prioritized;
        Requirement::highest([
            (self.pause_until.is_some(), 1, "pause_until"),
            (!self.priority_groups.is_empty(), 1, "priority_groups"),
            (!is_default(&self.priority_policy), 1, "priority_policy"),
            (self.priority_timeout.is_some(), 1, "priority_timeout"),
            // the server's own list of what needs a level has it with the other policies
            (prioritized, 2, "priority_policy prioritized"),
            (self.ack_policy == AckPolicy::FlowControl, 4, "ack_policy flow_control"),
            (self.sourcing, 4, "sourcing"),
        ])
    }

    /// Returns it without the members that this version does not know: they are for the server that
    /// has sent them.
    pub(super) fn only_known(&self) -> Self {
        Self { unknown: Unknown::new(), ..self.clone() }
    }

    /// Removes the metadata that the server added (`_nats…`), which must not be sent back and would
    /// make equal configurations differ.
    pub fn remove_server_metadata(&mut self) {
        remove_server_metadata(&mut self.metadata);
    }
}

/// Where in the stream a consumer starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Start", into = "Start")]
#[non_exhaustive]
pub enum DeliverPolicy {
    /// At the oldest message.
    #[default]
    All,
    /// At the newest message that matches.
    Last,
    /// Behind the newest message.
    New,
    /// At this sequence, or the next one there is.
    ByStartSequence(u64),
    /// At the first message not older than this time.
    ByStartTime(SystemTime),
    /// The newest message of each subject, then everything new. Needs a filter; `>` will do.
    LastPerSubject,
    /// A value this version does not know, with the position that may belong to it.
    Other {
        /// The value.
        policy: String,
        /// The sequence to start from.
        sequence: Option<u64>,
        /// The time to start from.
        time: Option<SystemTime>,
    },
}

/// What has to be acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AckPolicy {
    /// Each message. The default of this library; the server's is [`None`](Self::None).
    #[default]
    Explicit,
    /// Nothing: a delivered message counts as done.
    None,
    /// An acknowledgement covers every earlier message too.
    All,
    /// Flow control acknowledges (2.14). Internal to servers.
    FlowControl,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl AckPolicy {
    /// What servers understand by a configuration that does not name one.
    fn if_absent() -> Self {
        Self::None
    }
}

/// How fast stored messages are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayPolicy {
    /// As fast as possible.
    #[default]
    Instant,
    /// At the pace in which they were stored.
    Original,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// Which clients of a priority group are served (2.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PriorityPolicy {
    /// There are no groups.
    #[default]
    None,
    /// Those whose request states that enough is pending.
    Overflow,
    /// One, until it goes silent.
    PinnedClient,
    /// Those with the lowest number first (2.12).
    Prioritized,
    /// A value this version does not know.
    #[serde(untagged)]
    Other(String),
}

/// A consumer at the moment of the reply.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// The stream it reads.
    #[serde(rename = "stream_name")]
    pub stream: String,
    /// Its name. Older servers do not repeat it in `config`.
    pub name: String,
    /// When it was created.
    #[serde(with = "rfc3339")]
    pub created: Option<SystemTime>,
    /// The configuration in force, if the server tells it.
    pub config: Option<ConsumerConfig>,
    /// The last delivery.
    pub delivered: SequenceInfo,
    /// The last delivery up to which everything is acknowledged.
    pub ack_floor: SequenceInfo,
    /// Deliveries that wait for an acknowledgement.
    pub num_ack_pending: u64,
    /// Messages that were delivered more than once.
    pub num_redelivered: u64,
    /// Pull requests that wait for messages.
    pub num_waiting: u64,
    /// Matching messages not yet delivered.
    pub num_pending: u64,
    /// The servers that keep the consumer.
    pub cluster: Option<ClusterInfo>,
    /// Push consumers: whether there is a subscription to the deliver subject.
    pub push_bound: bool,
    /// Whether delivery is paused (2.11).
    pub paused: bool,
    /// For how much longer it is paused (2.11).
    #[serde(with = "nanos")]
    pub pause_remaining: Option<Duration>,
    /// The server's clock at the reply (2.10).
    #[serde(rename = "ts", with = "rfc3339")]
    pub timestamp: Option<SystemTime>,
    /// Who is pinned in which group (2.11).
    #[serde(deserialize_with = "null_as_default")]
    pub priority_groups: Vec<PriorityGroupInfo>,
}

/// A pair of sequences, the consumer's and the stream's, of one delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SequenceInfo {
    /// The consumer's own sequence, from 1.
    #[serde(rename = "consumer_seq")]
    pub consumer_sequence: u64,
    /// The message's sequence in the stream. In a consumer that has delivered nothing: the sequence
    /// before the one it starts at.
    #[serde(rename = "stream_seq")]
    pub stream_sequence: u64,
    /// When it happened.
    #[serde(with = "rfc3339")]
    pub last_active: Option<SystemTime>,
}

/// One priority group of a consumer (2.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PriorityGroupInfo {
    /// The group.
    pub group: String,
    /// The id of the client that is pinned.
    pub pinned_client_id: Option<String>,
    /// Since when it is pinned.
    #[serde(rename = "pinned_ts", with = "rfc3339")]
    pub pinned_at: Option<SystemTime>,
}

/// The body of a request to create or update a consumer.
#[derive(Debug, Serialize)]
pub(crate) struct CreateConsumer<'a> {
    /// The stream, which is in the subject too.
    pub(crate) stream_name: &'a str,
    /// The configuration.
    pub(crate) config: &'a ConsumerConfig,
    /// What may happen. Servers before 2.10 ignore it.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) action: CreateAction,
}

impl CreateConsumer<'_> {
    /// The subject of the request, without the API prefix.
    ///
    /// The server lets the name and filter in the subject win over, or conflict with, those in the
    /// body, so the subject is made from the same configuration: a single `filter_subject` is part
    /// of it, `filter_subjects` never (error 10137). Without a name this is the endpoint of
    /// nameless consumers.
    pub(crate) fn operation(&self) -> String {
        let stream = self.stream_name;
        let name = self.config.name.as_ref().or(self.config.durable_name.as_ref());
        match (name, &self.config.filter_subject) {
            (None, _) => format!("CONSUMER.CREATE.{stream}"),
            (Some(name), None) => format!("CONSUMER.CREATE.{stream}.{name}"),
            (Some(name), Some(filter)) => format!("CONSUMER.CREATE.{stream}.{name}.{filter}"),
        }
    }
}

/// What a create request may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CreateAction {
    /// Create or update, whichever fits.
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    /// Fail (10148) if it exists with another configuration.
    Create,
    /// Fail (10149) if it does not exist.
    Update,
}

/// A deliver policy as the wire has it: three members.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Start {
    #[serde(skip_serializing_if = "String::is_empty")]
    deliver_policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_start_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    opt_start_time: Option<SystemTime>,
}

impl From<Start> for DeliverPolicy {
    fn from(start: Start) -> Self {
        match (start.deliver_policy.as_str(), start.opt_start_seq, start.opt_start_time) {
            ("all" | "", ..) => Self::All,
            ("last", ..) => Self::Last,
            ("new", ..) => Self::New,
            ("last_per_subject", ..) => Self::LastPerSubject,
            ("by_start_sequence", Some(sequence), _) => Self::ByStartSequence(sequence),
            ("by_start_time", _, Some(time)) => Self::ByStartTime(time),
            (_, sequence, time) => Self::Other { policy: start.deliver_policy, sequence, time },
        }
    }
}

impl From<DeliverPolicy> for Start {
    fn from(policy: DeliverPolicy) -> Self {
        let word = |word: &str| Self { deliver_policy: word.to_owned(), ..Self::default() };
        match policy {
            DeliverPolicy::All => word("all"),
            DeliverPolicy::Last => word("last"),
            DeliverPolicy::New => word("new"),
            DeliverPolicy::LastPerSubject => word("last_per_subject"),
            DeliverPolicy::ByStartSequence(sequence) => {
                Self { opt_start_seq: Some(sequence), ..word("by_start_sequence") }
            }
            DeliverPolicy::ByStartTime(time) => {
                Self { opt_start_time: Some(time), ..word("by_start_time") }
            }
            DeliverPolicy::Other { policy, sequence, time } => {
                Self { deliver_policy: policy, opt_start_seq: sequence, opt_start_time: time }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(value: serde_json::Value) -> ConsumerConfig {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    #[test]
    fn only_what_is_set_is_sent() {
        assert_eq!(
            serde_json::to_value(ConsumerConfig::default()).unwrap(),
            json!({"deliver_policy": "all", "ack_policy": "explicit", "replay_policy": "instant"})
        );
    }

    #[test]
    fn every_member_round_trips() {
        let json = json!({
            "durable_name": "C", "name": "C", "description": "d",
            "deliver_policy": "by_start_sequence", "opt_start_seq": 7, "ack_policy": "all",
            "ack_wait": 1, "max_deliver": 2, "backoff": [3, 4], "filter_subject": "f",
            "filter_subjects": ["a", "b"], "replay_policy": "original", "sample_freq": "50%",
            "max_waiting": 5, "max_ack_pending": -1, "headers_only": true, "max_batch": 6,
            "max_expires": 7, "max_bytes": 8, "inactive_threshold": 9, "num_replicas": 1,
            "mem_storage": true, "metadata": {"k": "v"}, "pause_until": "2024-01-02T03:04:05Z",
            "priority_groups": ["g"], "priority_policy": "pinned_client", "priority_timeout": 10,
            "deliver_subject": "i", "deliver_group": "q", "idle_heartbeat": 11,
            "flow_control": true, "rate_limit_bps": 12,
        });
        let config = decode(json.clone());
        assert_eq!(config.deliver_policy, DeliverPolicy::ByStartSequence(7));
        assert_eq!(config.priority_policy, PriorityPolicy::PinnedClient);
        assert_eq!(serde_json::to_value(&config).unwrap(), json);
    }

    #[test]
    fn deliver_policies() {
        let other = |policy: &str, sequence| DeliverPolicy::Other {
            policy: policy.to_owned(),
            sequence,
            time: None,
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for (policy, json) in [
            (DeliverPolicy::All, json!({"deliver_policy": "all"})),
            (DeliverPolicy::Last, json!({"deliver_policy": "last"})),
            (DeliverPolicy::New, json!({"deliver_policy": "new"})),
            (DeliverPolicy::LastPerSubject, json!({"deliver_policy": "last_per_subject"})),
            (
                DeliverPolicy::ByStartSequence(0),
                json!({"deliver_policy": "by_start_sequence", "opt_start_seq": 0}),
            ),
            (
                DeliverPolicy::ByStartTime(time),
                json!({"deliver_policy": "by_start_time",
                    "opt_start_time": "1970-01-01T00:00:01Z"}),
            ),
            (other("by_mood", None), json!({"deliver_policy": "by_mood"})),
            (other("by_mood", Some(7)), json!({"deliver_policy": "by_mood", "opt_start_seq": 7})),
        ] {
            assert_eq!(serde_json::to_value(&policy).unwrap(), json);
            assert_eq!(decode(json).deliver_policy, policy);
        }
        assert_eq!(decode(json!({})).deliver_policy, DeliverPolicy::All);
        // a policy without its position cannot be acted on, but can be shown
        let without = decode(json!({"deliver_policy": "by_start_time"})).deliver_policy;
        assert_eq!(without, other("by_start_time", None));
    }

    #[test]
    fn what_a_newer_server_has_set_survives_a_change() {
        let newer = json!({"deliver_policy": "by_start_sequence", "opt_start_seq": 7,
            "ack_policy": "explicit", "replay_policy": "instant", "future": [1, {"a": 2}]});
        let changed = decode(newer.clone()).description("changed");
        let mut expected = newer;
        expected["description"] = json!("changed");
        assert_eq!(serde_json::to_value(changed).unwrap(), expected);
    }

    #[test]
    fn null_unknown_and_unlimited() {
        let config = decode(json!({"deliver_policy": "all", "ack_policy": "explicit",
            "replay_policy": "instant", "filter_subjects": null, "backoff": null,
            "metadata": null, "priority_groups": null, "max_deliver": -1, "max_waiting": 0,
            "num_replicas": 0}));
        assert_eq!(config, ConsumerConfig::default());
        let config = decode(json!({"ack_policy": "maybe", "replay_policy": "backwards",
            "priority_policy": "loudest"}));
        assert_eq!(config.ack_policy, AckPolicy::Other("maybe".into()));
        assert_eq!(config.replay_policy, ReplayPolicy::Other("backwards".into()));
        assert_eq!(config.priority_policy, PriorityPolicy::Other("loudest".into()));
    }

    #[test]
    fn info() {
        let json = r#"{"type":"io.nats.jetstream.api.v1.consumer_create_response",
            "stream_name":"S","name":"C","created":"2024-02-29T12:34:56.1Z",
            "config":{"name":"C","deliver_policy":"last_per_subject","ack_policy":"none",
            "max_deliver":-1,"filter_subject":">","replay_policy":"instant","num_replicas":1},
            "delivered":{"consumer_seq":2,"stream_seq":9,"last_active":"2024-02-29T12:34:56.1Z"},
            "ack_floor":{"consumer_seq":0,"stream_seq":0},"num_ack_pending":0,
            "num_redelivered":0,"num_waiting":0,"num_pending":5,"push_bound":true,"paused":false,
            "cluster":{"leader":"N1"},"ts":"2024-02-29T12:34:57Z",
            "priority_groups":[{"group":"g","pinned_client_id":"id",
            "pinned_ts":"2024-02-29T12:34:56Z"}]}"#;
        let info: ConsumerInfo = serde_json::from_str(json).unwrap();
        assert_eq!((info.stream.as_str(), info.name.as_str()), ("S", "C"));
        assert_eq!((info.delivered.consumer_sequence, info.delivered.stream_sequence), (2, 9));
        assert_eq!(info.num_pending, 5);
        assert_eq!(info.config.unwrap().deliver_policy, DeliverPolicy::LastPerSubject);
        assert_eq!(info.priority_groups[0].pinned_client_id.as_deref(), Some("id"));

        let bare: ConsumerInfo = serde_json::from_str("{}").unwrap();
        assert_eq!(bare, ConsumerInfo::default());
    }

    #[test]
    fn request() {
        let mut config = ConsumerConfig { name: Some("C".into()), ..ConsumerConfig::default() };
        let create =
            CreateConsumer { stream_name: "S", config: &config, action: CreateAction::Create };
        assert_eq!(
            serde_json::to_value(&create).unwrap(),
            json!({"stream_name": "S", "action": "create", "config": {"name": "C",
                "deliver_policy": "all", "ack_policy": "explicit", "replay_policy": "instant"}})
        );
        assert_eq!(create.operation(), "CONSUMER.CREATE.S.C");

        config.filter_subjects = vec!["a".into()];
        let action = CreateAction::default();
        let create = CreateConsumer { stream_name: "S", config: &config, action };
        assert_eq!(create.operation(), "CONSUMER.CREATE.S.C");
        assert!(!serde_json::to_string(&create).unwrap().contains("action"));

        config.filter_subjects.clear();
        config.filter_subject = Some("a.*".into());
        let create = CreateConsumer { stream_name: "S", config: &config, action };
        assert_eq!(create.operation(), "CONSUMER.CREATE.S.C.a.*");

        config.name = None;
        let create = CreateConsumer { stream_name: "S", config: &config, action };
        assert_eq!(create.operation(), "CONSUMER.CREATE.S");
    }
}
