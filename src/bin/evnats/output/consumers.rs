//! Consumers as they are written.

use super::streams::{cluster_json, time, word};
use super::{Output, nanos, seconds, sheet, table, time_json, write_json, write_line};
use evnats::jetstream::{ConsumerInfo, ConsumerPause, DeliverPolicy, SequenceInfo};
use serde_json::{Value, json};

impl Output {
    /// A consumer's configuration and state.
    pub(crate) fn consumer(self, info: &ConsumerInfo) {
        if self.json {
            write_json(&consumer_json(info));
        } else {
            write_line(&consumer_text(info));
        }
    }

    pub(crate) fn consumers(self, consumers: &[ConsumerInfo]) {
        if self.json {
            return consumers.iter().for_each(|info| write_json(&consumer_json(info)));
        }
        let heading =
            ["Name", "Created", "Ack Pending", "Unprocessed", "Redelivered", "Last Delivery"];
        let rows = consumers.iter().map(|info| {
            [
                info.name.clone(),
                seconds(info.created),
                info.num_ack_pending.to_string(),
                info.num_pending.to_string(),
                info.num_redelivered.to_string(),
                time(info.delivered.last_active),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        match consumers.is_empty() {
            true => self.note("No Consumers defined"),
            false => write_line(&table(&rows)),
        }
    }

    /// Something that was done to a consumer. People know what they have asked for.
    pub(crate) fn consumer_done(self, stream: &str, consumer: &str, what: &str) {
        if self.json {
            write_json(&json!({ "stream": stream, "consumer": consumer, what: true }));
        }
    }

    /// Whether a consumer is paused.
    pub(crate) fn paused(self, stream: &str, consumer: &str, pause: &ConsumerPause) {
        if self.json {
            return write_json(&json!({
                "stream": stream,
                "consumer": consumer,
                "paused": pause.paused,
                "pause_until": time_json(pause.until),
                "pause_remaining_ns": pause.remaining.map(nanos),
            }));
        }
        write_line(&match pause.paused {
            true => format!("Paused {stream} > {consumer} until {}", seconds(pause.until)),
            false => format!("Consumer {stream} > {consumer} is not paused"),
        });
    }
}

fn consumer_json(info: &ConsumerInfo) -> Value {
    let sequence = |sequence: &SequenceInfo| {
        json!({
            "consumer_seq": sequence.consumer_sequence,
            "stream_seq": sequence.stream_sequence,
            "last_active": time_json(sequence.last_active),
        })
    };
    let groups = info
        .priority_groups
        .iter()
        .map(|group| json!({"group": group.group, "pinned_client_id": group.pinned_client_id}));
    json!({
        "stream": info.stream,
        "consumer": info.name,
        "config": info.config,
        "created": time_json(info.created),
        "delivered": sequence(&info.delivered),
        "ack_floor": sequence(&info.ack_floor),
        "num_ack_pending": info.num_ack_pending,
        "num_redelivered": info.num_redelivered,
        "num_waiting": info.num_waiting,
        "num_pending": info.num_pending,
        "paused": info.paused,
        "pause_remaining_ns": info.pause_remaining.map(nanos),
        "push_bound": info.push_bound,
        "priority_groups": groups.collect::<Vec<_>>(),
        "cluster": info.cluster.as_ref().map(cluster_json),
    })
}

fn consumer_text(info: &ConsumerInfo) -> String {
    let config = info.config.clone().unwrap_or_default();
    let duration =
        |time: Option<std::time::Duration>| time.map(|t| humantime::format_duration(t).to_string());
    let filters = config.filter_subject.iter().chain(&config.filter_subjects);
    let sequences = |of: &SequenceInfo| {
        let (consumer, stream) = (of.consumer_sequence, of.stream_sequence);
        format!("Consumer sequence: {consumer} Stream sequence: {stream}")
    };
    let rows = [
        ("Description", config.description.clone().unwrap_or_default()),
        ("Durable", config.durable_name.clone().unwrap_or_default()),
        ("Filter Subjects", filters.cloned().collect::<Vec<_>>().join(", ")),
        ("Deliver Policy", deliver(&config.deliver_policy)),
        ("Delivery Subject", config.deliver_subject.clone().unwrap_or_default()),
        ("Ack Policy", word(&config.ack_policy)),
        ("Ack Wait", duration(config.ack_wait).unwrap_or_default()),
        ("Replay Policy", word(&config.replay_policy)),
        ("Max Deliver", config.max_deliver.map_or("unlimited".into(), |most| most.to_string())),
        ("Max Ack Pending", config.max_ack_pending.map_or(String::new(), |most| most.to_string())),
        ("Inactive Threshold", duration(config.inactive_threshold).unwrap_or_default()),
        ("Priority Groups", config.priority_groups.join(", ")),
        ("Paused For", duration(info.pause_remaining).unwrap_or_default()),
        ("Last Delivered", sequences(&info.delivered)),
        ("Acknowledgment Floor", sequences(&info.ack_floor)),
        ("Outstanding Acks", info.num_ack_pending.to_string()),
        ("Redelivered Messages", info.num_redelivered.to_string()),
        ("Unprocessed Messages", info.num_pending.to_string()),
        ("Waiting Pulls", info.num_waiting.to_string()),
    ];
    let (stream, name, created) = (&info.stream, &info.name, seconds(info.created));
    sheet(&format!("Information for Consumer {stream} > {name} created {created}"), &rows)
}

fn deliver(policy: &DeliverPolicy) -> String {
    match policy {
        DeliverPolicy::All => "all".into(),
        DeliverPolicy::Last => "last".into(),
        DeliverPolicy::New => "new".into(),
        DeliverPolicy::LastPerSubject => "last of each subject".into(),
        DeliverPolicy::ByStartSequence(sequence) => format!("from sequence {sequence}"),
        DeliverPolicy::ByStartTime(time) => format!("from {}", seconds(Some(*time))),
        policy => word(policy),
    }
}
