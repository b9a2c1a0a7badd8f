//! Buckets as a whole, and batches of their keys, as they are written.

use super::streams::time;
use super::{
    Output, entry_json, nanos, seconds, sheet, since_1970, size, table, write_json, write_line,
};
use evnats::kv::{Entry, Status};
use serde_json::{Value, json};

impl Output {
    /// A bucket's configuration and contents.
    pub(crate) fn bucket(self, status: &Status) {
        if self.json {
            write_json(&bucket_json(status));
        } else {
            write_line(&bucket_text(status));
        }
    }

    /// The buckets of an account.
    pub(crate) fn buckets(self, buckets: &[Status]) {
        if self.json {
            return buckets.iter().for_each(|status| write_json(&bucket_json(status)));
        }
        let heading = ["Bucket", "Description", "Created", "Size", "Values", "Last Update"];
        let rows = buckets.iter().map(|status| {
            let stream = status.stream();
            [
                status.bucket().to_owned(),
                stream.config.description.clone().unwrap_or_default(),
                seconds(stream.created),
                size(status.bytes()),
                status.values().to_string(),
                time(stream.state.last_time),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        match buckets.is_empty() {
            true => self.note("No Key-Value buckets found"),
            false => write_line(&table(&rows)),
        }
    }

    /// Entries that were written as one.
    pub(crate) fn batch(self, entries: &[Entry]) {
        if self.json {
            let entries: Vec<Value> = entries.iter().map(entry_json).collect();
            return write_json(&json!({ "batch": entries }));
        }
        write_line(&format!("{} entries of one batch:", entries.len()));
        entries.iter().for_each(|entry| self.change(entry));
    }
}

fn bucket_json(status: &Status) -> Value {
    let stream = status.stream();
    let created = since_1970(stream.created).map(humantime::format_rfc3339_nanos);
    json!({
        "bucket": status.bucket(),
        "values": status.values(),
        "bytes": status.bytes(),
        "history": status.history(),
        "ttl_ns": status.ttl().map(nanos),
        "max_bucket_size": stream.config.max_bytes,
        "max_value_size": stream.config.max_msg_size,
        "replicas": status.replicas(),
        "storage": stream.config.storage,
        "compressed": status.is_compressed(),
        "description": stream.config.description,
        "stream": stream.config.name,
        "last_revision": stream.state.last_sequence,
        "created": created.map(|created| created.to_string()),
    })
}

fn bucket_text(status: &Status) -> String {
    let stream = status.stream();
    let limit = |limit: Option<u64>| limit.map_or("unlimited".into(), size);
    let history = status.history().map_or("unlimited".into(), |history| history.to_string());
    let ttl = status.ttl().map(|ttl| humantime::format_duration(ttl).to_string());
    let rows = [
        ("Bucket Name", status.bucket().to_owned()),
        ("History Kept", history),
        ("Values Stored", status.values().to_string()),
        ("Compressed", status.is_compressed().to_string()),
        ("Description", stream.config.description.clone().unwrap_or_default()),
        ("Bucket Size", size(status.bytes())),
        ("Maximum Bucket Size", limit(stream.config.max_bytes)),
        ("Maximum Value Size", limit(stream.config.max_msg_size)),
        ("Maximum Age", ttl.unwrap_or("unlimited".into())),
        ("JetStream Stream", stream.config.name.clone()),
        ("Storage", format!("{:?}", stream.config.storage)),
        ("Replicas", status.replicas().to_string()),
    ];
    let created = seconds(stream.created);
    let bucket = status.bucket();
    sheet(&format!("Information for Key-Value Store Bucket {bucket} created {created}"), &rows)
}
