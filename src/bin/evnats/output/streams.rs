//! Streams, their messages and the account, as they are written.

use super::{
    Output, Style, body_text, headers_json, nanos, seconds, sheet, size, table, time_json, write,
    write_json, write_line,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evnats::jetstream::{
    AccountInfo, AccountTier, ClusterInfo, Integer, StoredMessage, StreamBackup, StreamInfo,
    StreamState, WindowReport,
};
use serde_json::{Value, json};
use std::path::Path;

impl Output {
    /// A stream's configuration and state.
    pub(crate) fn stream(self, info: &StreamInfo) {
        if self.json {
            write_json(&stream_json(info));
        } else {
            write_line(&stream_text(info));
        }
    }

    pub(crate) fn streams(self, streams: &[StreamInfo]) {
        if self.json {
            return streams.iter().for_each(|info| write_json(&stream_json(info)));
        }
        let heading = ["Name", "Description", "Created", "Messages", "Size", "Last Message"];
        let rows = streams.iter().map(|info| {
            [
                info.config.name.clone(),
                info.config.description.clone().unwrap_or_default(),
                seconds(info.created),
                info.state.messages.to_string(),
                size(info.state.bytes),
                time(info.state.last_time),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        match streams.is_empty() {
            true => self.note("No Streams defined"),
            false => write_line(&table(&rows)),
        }
    }

    /// The names of streams or of consumers.
    pub(crate) fn names(self, of: &str, names: &[String]) {
        for name in names {
            match self.json {
                true => write_json(&json!({ of: name })),
                false => write_line(name),
            }
        }
    }

    /// The subjects of a stream, with their number of messages.
    pub(crate) fn subjects(self, info: &StreamInfo) {
        for (subject, messages) in &info.state.subjects {
            if self.json {
                let stream = &info.config.name;
                write_json(&json!({"stream": stream, "subject": subject, "messages": messages}));
            } else {
                write_line(&format!("{subject}: {messages}"));
            }
        }
        if info.state.subjects.is_empty() {
            self.note("No subjects found");
        }
    }

    /// A message that is stored.
    pub(crate) fn stored(self, stream: &str, message: &StoredMessage, style: Style) {
        if self.json {
            let mut object = json!({
                "stream": stream,
                "subject": message.subject(),
                "sequence": message.sequence(),
                "time": time_json(message.time()),
                "headers": headers_json(message.headers()),
            });
            if style != Style::HeadersOnly {
                object["payload_base64"] = STANDARD.encode(message.payload()).into();
            }
            return write_json(&object);
        }
        if style == Style::Raw {
            return write(message.payload());
        }
        let (sequence, subject) = (message.sequence(), message.subject());
        let received = seconds(message.time());
        let heading =
            format!("Item: {stream}#{sequence} received {received} on Subject {subject}\n\n");
        let body = body_text(message.headers(), message.payload(), style);
        write(&[heading.as_bytes(), &body].concat());
    }

    /// One of many stored messages. Raw, it is a line.
    pub(crate) fn viewed(self, stream: &str, message: &StoredMessage, style: Style) {
        if style == Style::Raw && !self.json {
            return write(&[message.payload(), b"\n"].concat());
        }
        self.stored(stream, message, style);
    }

    /// Something that was done to a stream. People know what they have asked for.
    pub(crate) fn stream_done(self, stream: &str, what: &str) {
        if self.json {
            write_json(&json!({ "stream": stream, what: true }));
        }
    }

    pub(crate) fn stream_purged(self, stream: &str, purged: u64) {
        match self.json {
            true => write_json(&json!({ "stream": stream, "purged": purged })),
            false => write_line(&format!("Purged {purged} messages from Stream {stream}")),
        }
    }

    pub(crate) fn message_deleted(self, stream: &str, sequence: u64) {
        if self.json {
            write_json(&json!({ "stream": stream, "sequence": sequence, "deleted": true }));
        }
    }

    /// Messages that streams have acknowledged.
    pub(crate) fn stored_messages(self, subject: &str, bytes: usize, report: &WindowReport) {
        let (count, sequence) = (report.stored, report.last_sequence);
        if self.json {
            write_json(&json!({
                "subject": subject,
                "bytes": bytes,
                "count": count,
                "duplicates": report.duplicates,
                "last_sequence": sequence,
            }));
        } else {
            let messages = if count == 1 { "message" } else { "messages" };
            write_line(&format!(
                "Stored {count} {messages} of {bytes} bytes on {subject:?}, last sequence: {sequence}"
            ));
        }
    }

    /// A backup that was written.
    pub(crate) fn backed_up(self, backup: &StreamBackup, folder: &Path, bytes: u64) {
        let stream = &backup.config().name;
        if self.json {
            write_json(&json!({
                "stream": stream,
                "folder": folder.to_string_lossy(),
                "bytes": bytes,
                "state": state_json(backup.state()),
            }));
        } else {
            write_line(&format!(
                "Backed up {} messages of Stream {stream} to {}: {}",
                backup.state().messages,
                folder.display(),
                size(bytes),
            ));
        }
    }

    /// The value of a counter.
    pub(crate) fn counter(self, subject: &str, value: &Integer) {
        match self.json {
            // it may be larger than any number that programs read
            true => write_json(&json!({ "subject": subject, "value": value.to_string() })),
            false => write_line(&value.to_string()),
        }
    }

    /// What the account uses of JetStream.
    pub(crate) fn account(self, info: &AccountInfo) {
        if self.json {
            let tiers = info.tiers.iter().map(|(name, tier)| (name.clone(), tier_json(tier)));
            let mut object = tier_json(&info.usage);
            object["domain"] = info.domain.clone().into();
            object["tiers"] = Value::Object(tiers.collect());
            object["api"] = json!({
                "level": info.api.level,
                "total": info.api.total,
                "errors": info.api.errors,
            });
            return write_json(&object);
        }
        let mut rows = tier_rows("", &info.usage);
        for (name, tier) in &info.tiers {
            rows.extend(tier_rows(&format!("{name} "), tier));
        }
        rows.push(("Domain".into(), info.domain.clone().unwrap_or_default()));
        rows.push(("API Level".into(), info.api.level.to_string()));
        rows.push(("API Requests".into(), info.api.total.to_string()));
        rows.push(("API Errors".into(), info.api.errors.to_string()));
        let rows: Vec<_> =
            rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        write_line(&sheet("JetStream Account Information", &rows));
    }
}

fn tier_json(tier: &AccountTier) -> Value {
    json!({
        "memory": tier.memory,
        "storage": tier.storage,
        "streams": tier.streams,
        "consumers": tier.consumers,
        "limits": {
            "max_memory": tier.limits.max_memory,
            "max_storage": tier.limits.max_storage,
            "max_streams": tier.limits.max_streams,
            "max_consumers": tier.limits.max_consumers,
        },
    })
}

fn tier_rows(prefix: &str, tier: &AccountTier) -> Vec<(String, String)> {
    let bytes = |used, most: Option<u64>| {
        format!("{} of {}", size(used), most.map_or("unlimited".into(), size))
    };
    let count = |used: u64, most: Option<u64>| {
        format!("{used} of {}", most.map_or("unlimited".into(), |most| most.to_string()))
    };
    [
        ("Memory", bytes(tier.memory, tier.limits.max_memory)),
        ("Storage", bytes(tier.storage, tier.limits.max_storage)),
        ("Streams", count(tier.streams, tier.limits.max_streams)),
        ("Consumers", count(tier.consumers, tier.limits.max_consumers)),
    ]
    .map(|(name, value)| (format!("{prefix}{name}"), value))
    .into()
}

fn stream_json(info: &StreamInfo) -> Value {
    let source = |source: &evnats::jetstream::SourceInfo| {
        json!({
            "name": source.name,
            "lag": source.lag,
            "active_ns": source.active.map(nanos),
            "error": source.error.as_ref().map(ToString::to_string),
        })
    };
    json!({
        "config": info.config,
        "created": time_json(info.created),
        "state": state_json(&info.state),
        "domain": info.domain,
        "cluster": info.cluster.as_ref().map(cluster_json),
        "mirror": info.mirror.as_ref().map(source),
        "sources": info.sources.iter().map(source).collect::<Vec<_>>(),
    })
}

fn state_json(state: &StreamState) -> Value {
    json!({
        "messages": state.messages,
        "bytes": state.bytes,
        "first_seq": state.first_sequence,
        "first_ts": time_json(state.first_time),
        "last_seq": state.last_sequence,
        "last_ts": time_json(state.last_time),
        "num_subjects": state.num_subjects,
        "num_deleted": state.num_deleted,
        "consumer_count": state.consumer_count,
    })
}

pub(super) fn cluster_json(cluster: &ClusterInfo) -> Value {
    let replicas = cluster.replicas.iter().map(|peer| {
        json!({
            "name": peer.name,
            "current": peer.current,
            "offline": peer.offline,
            "lag": peer.lag,
            "active_ns": peer.active.map(nanos),
        })
    });
    json!({
        "name": cluster.name,
        "leader": cluster.leader,
        "replicas": replicas.collect::<Vec<_>>(),
    })
}

fn stream_text(info: &StreamInfo) -> String {
    let (config, state) = (&info.config, &info.state);
    let limit = |limit: Option<u64>| limit.map_or("unlimited".into(), |limit| limit.to_string());
    let bytes = |limit: Option<u64>| limit.map_or("unlimited".into(), size);
    let age = config.max_age.map(|age| humantime::format_duration(age).to_string());
    let of = |first: u64, time: String| match time.is_empty() {
        true => first.to_string(),
        false => format!("{first} @ {time}"),
    };
    let replicas = |cluster: &ClusterInfo| {
        let names = cluster.replicas.iter().map(|peer| match (peer.offline, peer.current) {
            (true, _) => format!("{} (offline)", peer.name),
            (false, true) => peer.name.clone(),
            (false, false) => format!("{} ({} behind)", peer.name, peer.lag),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let cluster = info.cluster.as_ref();
    let rows = [
        ("Description", config.description.clone().unwrap_or_default()),
        ("Subjects", config.subjects.join(", ")),
        ("Mirror", config.mirror.as_ref().map_or(String::new(), |mirror| mirror.name.clone())),
        ("Sources", config.sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")),
        ("Replicas", config.num_replicas.to_string()),
        ("Storage", word(&config.storage)),
        ("Retention", word(&config.retention)),
        ("Discard Policy", word(&config.discard)),
        ("Compression", word(&config.compression)),
        ("Maximum Messages", limit(config.max_msgs)),
        ("Maximum Per Subject", limit(config.max_msgs_per_subject)),
        ("Maximum Bytes", bytes(config.max_bytes)),
        ("Maximum Age", age.unwrap_or("unlimited".into())),
        ("Maximum Message Size", bytes(config.max_msg_size)),
        ("Maximum Consumers", limit(config.max_consumers)),
        ("Leader", cluster.and_then(|cluster| cluster.leader.clone()).unwrap_or_default()),
        ("Followers", cluster.map(replicas).unwrap_or_default()),
        ("Messages", state.messages.to_string()),
        ("Bytes", size(state.bytes)),
        ("First Sequence", of(state.first_sequence, time(state.first_time))),
        ("Last Sequence", of(state.last_sequence, time(state.last_time))),
        ("Deleted Messages", state.num_deleted.to_string()),
        ("Active Consumers", state.consumer_count.to_string()),
        ("Number of Subjects", state.num_subjects.to_string()),
    ];
    let heading =
        format!("Information for Stream {} created {}", config.name, seconds(info.created));
    sheet(&heading, &rows)
}

/// A time for people, and nothing if there is none.
pub(super) fn time(time: Option<std::time::SystemTime>) -> String {
    if time.is_some() { seconds(time) } else { String::new() }
}

/// A word as it is in JSON.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}
