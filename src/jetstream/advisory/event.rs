//! An advisory, and how it is told apart from others: by the type in its body, and where one type
//! stands for several things, by the action.
//!
//! The invariant: whatever a server or another client sends becomes an event. What cannot be read is
//! [`Event::Unknown`].

use super::payload::{
    ApiAudit, ApiLimitReached, BatchAbandoned, ConsumerAcknowledged, ConsumerAction,
    ConsumerPauseChange, Delivery, DomainElection, Election, GroupPinned, GroupUnpinned,
    MetaRescue, QuorumLoss, RestoreCompleted, RestoreStarted, ServerOutOfStorage, ServerRemoved,
    SnapshotCompleted, SnapshotStarted, StreamAction, Termination,
};
use crate::jetstream::time::rfc3339;
use crate::jetstream::wire::null_as_default;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::SystemTime;

/// Something that a server tells of JetStream of its own accord.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Advisory {
    /// The subject that it came on.
    pub subject: String,
    /// The id, which no other advisory has. Empty if it cannot be read.
    pub id: String,
    /// When it happened.
    pub time: Option<SystemTime>,
    /// The domain of JetStream, if the server has one.
    pub domain: Option<String>,
    /// The account, of those events that have it.
    pub account: Option<String>,
    /// What has happened.
    pub event: Event,
    /// All of it in JSON, as it came.
    pub body: Bytes,
}

/// What every advisory has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    of_type: String,
    #[serde(deserialize_with = "null_as_default")]
    id: String,
    #[serde(with = "rfc3339")]
    timestamp: Option<SystemTime>,
    domain: Option<String>,
    account: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    action: String,
}

/// Declares the events, each with the end of its type, the action that tells it from others of the
/// same type, and what it tells.
macro_rules! events {
    ($($(#[$doc:meta])* $of_type:literal $($action:literal)? => $event:ident($told:ty),)*) => {
        /// What has happened.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$doc])* $event($told),)*
            /// Something that this version does not know, or cannot read.
            Unknown {
                /// What it says that it is, such as `io.nats.jetstream.advisory.v1.nak`. Empty if it
                /// does not say so.
                of_type: String,
            },
        }

        impl Event {
            /// Reads an event of a type that is known. `None`: it is not, or not such an event.
            fn parse(head: &Head, body: &[u8]) -> Option<Self> {
                let of_type = kind(&head.of_type)?;
                $(if of_type == $of_type $(&& head.action == $action)? {
                    return read(body).map(Self::$event);
                })*
                None
            }
        }
    };
}

events! {
    /// A stream was created.
    "stream_action" "create" => StreamCreated(StreamAction),
    /// A stream's configuration was changed.
    "stream_action" "modify" => StreamUpdated(StreamAction),
    /// A stream was deleted.
    "stream_action" "delete" => StreamDeleted(StreamAction),
    /// A stream has a new leader.
    "stream_leader_elected" => StreamLeaderElected(Election),
    /// A stream has lost its quorum.
    "stream_quorum_lost" => StreamQuorumLost(QuorumLoss),
    /// A stream has given up a batch (2.12).
    "stream_batch_abandoned" => BatchAbandoned(BatchAbandoned),
    /// A server begins to send a snapshot of a stream.
    "snapshot_create" => SnapshotStarted(SnapshotStarted),
    /// A server has sent a snapshot of a stream.
    "snapshot_complete" => SnapshotCompleted(SnapshotCompleted),
    /// A server begins to restore a stream.
    "restore_create" => RestoreStarted(RestoreStarted),
    /// A server has restored a stream, or given it up.
    "restore_complete" => RestoreCompleted(RestoreCompleted),
    /// A consumer was created.
    "consumer_action" "create" => ConsumerCreated(ConsumerAction),
    /// A consumer was deleted, or was not used for too long.
    "consumer_action" "delete" => ConsumerDeleted(ConsumerAction),
    /// A consumer was paused, or goes on (2.11).
    "consumer_pause" => ConsumerPauseChanged(ConsumerPauseChange),
    /// A priority group has pinned a client (2.11).
    "consumer_group_pinned" => GroupPinned(GroupPinned),
    /// A priority group has no client pinned any more (2.11).
    "consumer_group_unpinned" => GroupUnpinned(GroupUnpinned),
    /// A consumer has a new leader.
    "consumer_leader_elected" => ConsumerLeaderElected(Election),
    /// A consumer has lost its quorum.
    "consumer_quorum_lost" => ConsumerQuorumLost(QuorumLoss),
    /// A message was delivered as often as its consumer permits, and was not acknowledged.
    "max_deliver" => MaxDeliveries(Delivery),
    /// A delivery was answered with a request for another one.
    "nak" => Naked(Delivery),
    /// A delivery was answered with the request that there be no other one.
    "terminated" => Terminated(Termination),
    /// A message was acknowledged: a sample. It is a metric, and not an advisory.
    "consumer_ack" => Acknowledged(ConsumerAcknowledged),
    /// Somebody has used the API.
    "api_audit" => ApiAudit(ApiAudit),
    /// A server has dropped requests to its API.
    "api_limit_reached" => ApiLimitReached(ApiLimitReached),
    /// A domain has a new leader.
    "domain_leader_elected" => DomainLeaderElected(DomainElection),
    /// A server has no room.
    "server_out_of_space" => ServerOutOfStorage(ServerOutOfStorage),
    /// A server was removed.
    "server_removed" => ServerRemoved(ServerRemoved),
    /// A server goes on with fewer others than is safe (2.15).
    "meta_rescue" => MetaRescue(MetaRescue),
}

impl Advisory {
    pub(in crate::jetstream) fn read(subject: &str, body: Bytes) -> Self {
        let head: Head = read(&body).unwrap_or_default();
        let event = Event::parse(&head, &body)
            .unwrap_or_else(|| Event::Unknown { of_type: head.of_type.clone() });
        let Head { id, timestamp: time, domain, account, .. } = head;
        Self { subject: subject.to_owned(), id, time, domain, account, event, body }
    }
}

/// The end of a type of JetStream: `nak` of `io.nats.jetstream.advisory.v1.nak`.
fn kind(of_type: &str) -> Option<&str> {
    let behind = of_type.strip_prefix("io.nats.jetstream.")?;
    behind.strip_prefix("advisory.v1.").or_else(|| behind.strip_prefix("metric.v1."))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn read_type(of_type: &str, members: &str) -> Event {
        let body = format!(
            r#"{{"type":"io.nats.jetstream.{of_type}","id":"i","timestamp":"2026-01-02T03:04:05Z"{members}}}"#
        );
        let advisory = Advisory::read("s", body.into());
        assert_eq!((advisory.subject.as_str(), advisory.id.as_str()), ("s", "i"));
        assert!(advisory.time.is_some());
        advisory.event
    }

    #[test]
    fn what_no_single_server_tells() {
        let event = read_type(
            "advisory.v1.consumer_quorum_lost",
            r#","account":"A","stream":"S","consumer":"C","replicas":[{"name":"n","offline":true}]"#,
        );
        let Event::ConsumerQuorumLost(lost) = event else { panic!("{event:?}") };
        assert_eq!((lost.stream.as_str(), lost.consumer.as_deref()), ("S", Some("C")));
        assert!(lost.replicas[0].offline);

        let event = read_type(
            "advisory.v1.domain_leader_elected",
            r#","leader":"n","replicas":null,"cluster":"c","domain":"d""#,
        );
        let Event::DomainLeaderElected(elected) = event else { panic!("{event:?}") };
        assert_eq!((elected.leader.as_str(), elected.replicas.len()), ("n", 0));

        let event = read_type("advisory.v1.api_limit_reached", r#","server":"n","dropped":7"#);
        let Event::ApiLimitReached(reached) = event else { panic!("{event:?}") };
        assert_eq!(reached.dropped, 7);

        let event = read_type(
            "advisory.v1.server_out_of_space",
            r#","server":"n","server_id":"i","stream":"S","cluster":"c""#,
        );
        let Event::ServerOutOfStorage(full) = event else { panic!("{event:?}") };
        assert_eq!(full.stream.as_deref(), Some("S"));

        let event = read_type("advisory.v1.server_removed", r#","server":"n","server_id":"i""#);
        assert!(matches!(event, Event::ServerRemoved(removed) if removed.server == "n"));

        let event = read_type("advisory.v1.meta_rescue", r#","prev_quorum":2,"new_quorum":1"#);
        let Event::MetaRescue(rescue) = event else { panic!("{event:?}") };
        assert_eq!((rescue.previous_quorum, rescue.new_quorum), (2, 1));
    }

    #[test]
    fn a_metric_is_an_event_as_well() {
        let members = r#","stream":"S","consumer":"C","stream_seq":3,"consumer_seq":4,
            "deliveries":2,"ack_time":5000"#;
        let event = read_type("metric.v1.consumer_ack", members);
        let Event::Acknowledged(told) = event else { panic!("{event:?}") };
        assert_eq!(told.after, Some(Duration::from_micros(5)));
        let delivery = &told.delivery;
        assert_eq!((delivery.stream_sequence, delivery.consumer_sequence), (3, 4));
    }

    #[test]
    fn what_is_unknown_keeps_its_body() {
        let bodies = [
            r#"{"type":"io.nats.jetstream.advisory.v1.of_tomorrow","stream":"S"}"#,
            r#"{"type":"io.nats.jetstream.advisory.v1.stream_action","action":"sold"}"#,
            r#"{"type":"io.nats.jetstream.advisory.v1.nak","deliveries":"many"}"#,
            r#"{"type":"io.nats.server.advisory.v1.nak"}"#,
            "not JSON",
            "",
        ];
        for text in bodies {
            let Advisory { event, body, .. } = Advisory::read("s", text.into());
            let Event::Unknown { of_type } = event else { panic!("{event:?}") };
            assert_eq!(body, text);
            assert!(of_type.is_empty() || text.contains(&of_type), "{of_type}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_advisory(body in prop::collection::vec(any::<u8>(), 0..64)) {
            Advisory::read("s", body.into());
        }
    }
}
