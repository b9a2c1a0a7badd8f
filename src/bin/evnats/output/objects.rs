//! Objects and their buckets, as they are written.

use super::streams::time;
use super::{Output, nanos, seconds, sheet, since_1970, size, table, write_json, write_line};
use evnats::object_store::{Got, ObjectInfo, Status};
use serde_json::{Value, json};
use std::path::Path;

impl Output {
    /// What is known of an object.
    pub(crate) fn object(self, info: &ObjectInfo) {
        match self.json {
            true => write_json(&object_json(info)),
            false => write_line(&object_text(info)),
        }
    }

    /// The objects of a bucket.
    pub(crate) fn objects(self, bucket: &str, objects: &[ObjectInfo]) {
        if self.json {
            return objects.iter().for_each(|info| write_json(&object_json(info)));
        }
        let heading = ["Name", "Size", "Time"].map(String::from);
        let rows = objects.iter().map(|info| [info.name.clone(), shown_size(info), modified(info)]);
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        match objects.is_empty() {
            true => self.note(&format!("No objects found in bucket {bucket}")),
            false => write_line(&table(&rows)),
        }
    }

    /// What a watch has reported of an object.
    pub(crate) fn object_changed(self, info: &ObjectInfo) {
        if self.json {
            return write_json(&object_json(info));
        }
        let (operation, shown) = match info.deleted {
            true => ("DEL", String::new()),
            false => ("PUT", format!(": {}", shown_size(info))),
        };
        write_line(&format!(
            "[{}] {operation} {} > {}{shown}",
            modified(info),
            info.bucket,
            info.name
        ));
    }

    /// An object that was written to a file.
    pub(crate) fn object_got(self, got: &Got, file: &Path) {
        let bytes = got.range.end - got.range.start;
        if self.json {
            let mut json = object_json(&got.info);
            json["file"] = file.display().to_string().into();
            json["bytes"] = bytes.into();
            json["verified"] = got.is_verified.into();
            return write_json(&json);
        }
        let checked = if got.is_verified { "verified" } else { "not verified" };
        write_line(&format!("Wrote {} to {}, {checked}", size(bytes), file.display()));
    }

    /// An object that was deleted.
    pub(crate) fn object_deleted(self, bucket: &str, name: &str) {
        match self.json {
            true => write_json(&json!({ "bucket": bucket, "name": name, "deleted": true })),
            false => write_line(&format!("Deleted {bucket} > {name}")),
        }
    }

    /// A bucket's configuration and contents.
    pub(crate) fn object_bucket(self, status: &Status) {
        match self.json {
            true => write_json(&bucket_json(status)),
            false => write_line(&bucket_text(status)),
        }
    }

    /// The buckets of an account.
    pub(crate) fn object_buckets(self, buckets: &[Status]) {
        if self.json {
            return buckets.iter().for_each(|status| write_json(&bucket_json(status)));
        }
        let heading = ["Bucket", "Description", "Created", "Size", "Last Update"];
        let rows = buckets.iter().map(|status| {
            let stream = status.stream();
            [
                status.bucket().to_owned(),
                stream.config.description.clone().unwrap_or_default(),
                seconds(stream.created),
                size(status.bytes()),
                time(stream.state.last_time),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading.map(String::from)).chain(rows).collect();
        match buckets.is_empty() {
            true => self.note("No buckets of objects found"),
            false => write_line(&table(&rows)),
        }
    }
}

fn modified(info: &ObjectInfo) -> String {
    info.modified.map(|modified| seconds(Some(modified))).unwrap_or_default()
}

/// The size, or where a link leads.
fn shown_size(info: &ObjectInfo) -> String {
    match &info.link {
        None => size(info.size),
        Some(link) => match &link.name {
            Some(name) => format!("link to {} > {name}", link.bucket),
            None => format!("link to bucket {}", link.bucket),
        },
    }
}

fn object_json(info: &ObjectInfo) -> Value {
    let modified = since_1970(info.modified).map(humantime::format_rfc3339_nanos);
    json!({
        "bucket": info.bucket,
        "name": info.name,
        "description": info.description,
        "headers": info.headers,
        "metadata": info.metadata,
        "link": info.link,
        "chunk_size": info.chunk_size,
        "nuid": info.nuid,
        "size": info.size,
        "chunks": info.chunks,
        "digest": info.digest,
        "deleted": info.deleted,
        "revision": info.revision,
        "modified": modified.map(|modified| modified.to_string()),
    })
}

fn object_text(info: &ObjectInfo) -> String {
    let mut rows = vec![
        ("Description", info.description.clone().unwrap_or_default()),
        ("Size", shown_size(info)),
        ("Chunks", info.chunks.to_string()),
        ("Digest", info.digest.clone().unwrap_or_default()),
        ("Revision", info.revision.to_string()),
        ("Modified", modified(info)),
        ("Identity", info.nuid.clone()),
    ];
    for (name, values) in &info.headers {
        rows.extend(values.iter().map(|value| ("Header", format!("{name}: {value}"))));
    }
    rows.extend(info.metadata.iter().map(|(key, value)| ("Metadata", format!("{key}: {value}"))));
    rows.retain(|(_, value)| !value.is_empty());
    sheet(&format!("Object information for {} > {}", info.bucket, info.name), &rows)
}

fn bucket_json(status: &Status) -> Value {
    let stream = status.stream();
    let created = since_1970(stream.created).map(humantime::format_rfc3339_nanos);
    json!({
        "bucket": status.bucket(),
        "bytes": status.bytes(),
        "sealed": status.is_sealed(),
        "ttl_ns": stream.config.max_age.map(nanos),
        "max_bucket_size": stream.config.max_bytes,
        "replicas": status.replicas(),
        "storage": stream.config.storage,
        "compressed": status.config().compression,
        "description": stream.config.description,
        "metadata": status.config().metadata,
        "stream": stream.config.name,
        "created": created.map(|created| created.to_string()),
    })
}

fn bucket_text(status: &Status) -> String {
    let (stream, config) = (status.stream(), status.config());
    let ttl = config.ttl.map(|ttl| humantime::format_duration(ttl).to_string());
    let rows = [
        ("Bucket Name", status.bucket().to_owned()),
        ("Description", config.description.unwrap_or_default()),
        ("Bucket Size", size(status.bytes())),
        ("Maximum Bucket Size", config.max_bytes.map_or("unlimited".into(), size)),
        ("Maximum Age", ttl.unwrap_or("unlimited".into())),
        ("Sealed", status.is_sealed().to_string()),
        ("Compressed", config.compression.to_string()),
        ("JetStream Stream", stream.config.name.clone()),
        ("Storage", format!("{:?}", stream.config.storage)),
        ("Replicas", status.replicas().to_string()),
    ];
    let (bucket, created) = (status.bucket(), seconds(stream.created));
    sheet(&format!("Information for Object Store Bucket {bucket} created {created}"), &rows)
}
