//! What servers tell of JetStream, as it is written.

use super::{Output, printable, seconds, write_json, write_line};
use evnats::jetstream::advisory::{Advisory, Delivery, Election, Event, QuorumLoss};
use serde_json::{Value, json};

impl Output {
    /// An event. For programs it is what the server has told, and the subject.
    pub(crate) fn advisory(self, advisory: &Advisory) {
        if self.json {
            let told = serde_json::from_slice(&advisory.body);
            // what is no JSON is shown as it is
            let told: Value = told.unwrap_or_else(|_| printable(&advisory.body).into());
            write_json(&json!({ "subject": advisory.subject, "event": told }));
        } else {
            let (kind, text) = described(&advisory.event);
            write_line(&format!("[{}] [{kind}] {text}", seconds(advisory.time)));
        }
    }
}

/// The kind of an event and what it tells, for people.
fn described(event: &Event) -> (&'static str, String) {
    match event {
        Event::StreamCreated(of) => ("Stream Created", of.stream.clone()),
        Event::StreamUpdated(of) => ("Stream Updated", of.stream.clone()),
        Event::StreamDeleted(of) => ("Stream Deleted", of.stream.clone()),
        Event::StreamLeaderElected(of) => ("Leader Elected", elected(of)),
        Event::StreamQuorumLost(of) => ("Quorum Lost", lost(of)),
        Event::BatchAbandoned(of) => {
            ("Batch Abandoned", format!("{} of {}: {}", of.batch, of.stream, of.reason))
        }
        Event::SnapshotStarted(of) => {
            ("Snapshot Started", format!("{}, {} messages", of.stream, of.state.messages))
        }
        Event::SnapshotCompleted(of) => ("Snapshot Completed", of.stream.clone()),
        Event::RestoreStarted(of) => ("Restore Started", of.stream.clone()),
        Event::RestoreCompleted(of) => {
            ("Restore Completed", format!("{}, {} bytes", of.stream, of.bytes))
        }
        Event::ConsumerCreated(of) => ("Consumer Created", pair(&of.stream, &of.consumer)),
        Event::ConsumerDeleted(of) => ("Consumer Deleted", pair(&of.stream, &of.consumer)),
        Event::ConsumerPauseChanged(of) if of.paused => {
            let until = seconds(of.until);
            ("Consumer Paused", format!("{} until {until}", pair(&of.stream, &of.consumer)))
        }
        Event::ConsumerPauseChanged(of) => ("Consumer Resumed", pair(&of.stream, &of.consumer)),
        Event::GroupPinned(of) => {
            let consumer = pair(&of.stream, &of.consumer);
            ("Pinned", format!("{consumer} group {}: {}", of.group, of.pin_id))
        }
        Event::GroupUnpinned(of) => {
            let consumer = pair(&of.stream, &of.consumer);
            ("Unpinned", format!("{consumer} group {}: {}", of.group, of.reason))
        }
        Event::ConsumerLeaderElected(of) => ("Leader Elected", elected(of)),
        Event::ConsumerQuorumLost(of) => ("Quorum Lost", lost(of)),
        Event::MaxDeliveries(of) => ("Max Deliveries", delivery(of)),
        Event::Naked(of) => ("Naked", delivery(of)),
        Event::Terminated(of) => {
            ("Terminated", format!("{} {}", delivery(&of.delivery), of.reason))
        }
        Event::Acknowledged(of) => {
            let after = of.after.unwrap_or_default();
            ("Acknowledged", format!("{} after {after:.3?}", delivery(&of.delivery)))
        }
        Event::ApiAudit(of) => ("API", of.subject.clone()),
        Event::ApiLimitReached(of) => {
            ("API Limit Reached", format!("{} dropped {} requests", of.server, of.dropped))
        }
        Event::DomainLeaderElected(of) => ("Domain Leader Elected", of.leader.clone()),
        Event::ServerOutOfStorage(of) => ("Out Of Storage", of.server.clone()),
        Event::ServerRemoved(of) => ("Server Removed", of.server.clone()),
        Event::MetaRescue(of) => {
            let (before, now) = (of.previous_quorum, of.new_quorum);
            ("Meta Rescue", format!("{}: a quorum of {now} instead of {before}", of.server))
        }
        Event::Unknown { of_type } => ("Unknown", of_type.clone()),
        _ => ("Unknown", String::new()),
    }
}

fn pair(stream: &str, consumer: &str) -> String {
    format!("{stream} > {consumer}")
}

fn delivery(of: &Delivery) -> String {
    let consumer = pair(&of.stream, &of.consumer);
    format!("{consumer} message {} after {} deliveries", of.stream_sequence, of.deliveries)
}

fn elected(of: &Election) -> String {
    format!("{} leads {}", of.leader, kept(&of.stream, of.consumer.as_deref()))
}

fn lost(of: &QuorumLoss) -> String {
    kept(&of.stream, of.consumer.as_deref())
}

fn kept(stream: &str, consumer: Option<&str>) -> String {
    consumer.map_or_else(|| stream.to_owned(), |consumer| pair(stream, consumer))
}
