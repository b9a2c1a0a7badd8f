//! Results as they are written: one JSON object a line with `--json`, else as the `nats` tool
//! shows them.
//!
//! Results go to the standard output, and so do errors with `--json`; what only tells a person how
//! things are going ([`Output::note`]) goes to the standard error.

mod advisories;
mod buckets;
mod codes;
mod consumers;
mod deliveries;
mod objects;
mod services;
mod streams;

use crate::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evnats::kv::{Entry, Operation, PurgedDeletes};
use evnats::{Headers, Message};
use serde_json::{Map, Value, json};
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, SystemTime};

/// Where and in which form results are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

/// How messages are shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Headers and payload under a heading.
    Full,
    /// Headers under a heading.
    HeadersOnly,
    /// The payload.
    Raw,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Tells a person how things are going.
    pub(crate) fn note(self, text: &str) {
        // whoever has closed the standard error does not want to know
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// An error, the last thing that is written.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            write_json(&failure.to_json());
        } else {
            self.note(&format!("error: {failure}"));
        }
    }

    /// Messages that the server has got.
    pub(crate) fn published(self, subject: &str, bytes: usize, count: u64) {
        if self.json {
            write_json(&json!({ "subject": subject, "bytes": bytes, "count": count }));
        } else if count == 1 {
            write_line(&format!("Published {bytes} bytes to {subject:?}"));
        } else {
            write_line(&format!("Published {count} messages of {bytes} bytes to {subject:?}"));
        }
    }

    /// The message with this number, counted from 1.
    pub(crate) fn message(self, number: u64, message: &Message, style: Style) {
        if self.json {
            return write_json(&message_json(message, style));
        }
        if style == Style::Raw {
            return write(&[message.payload(), b"\n"].concat());
        }
        let mut text = format!("[#{number}] Received on {:?}", message.subject());
        if let Some(reply) = message.reply() {
            text += &format!(" with reply {reply:?}");
        }
        text.push('\n');
        write(&[text.as_bytes(), &body_text(message.headers(), message.payload(), style)].concat());
    }

    /// The reply to a request. Raw, it is the payload and nothing else.
    pub(crate) fn reply(self, message: &Message, rtt: Duration, style: Style) {
        if self.json {
            let mut reply = message_json(message, style);
            reply["rtt_ns"] = nanos(rtt);
            write_json(&reply);
        } else if style == Style::Raw {
            write(message.payload());
        } else {
            self.note(&format!("Received with rtt {rtt:.3?}"));
            write(&body_text(message.headers(), message.payload(), style));
        }
    }

    /// Round trips to the server.
    pub(crate) fn rtt(self, server: &str, round_trips: &[Duration]) {
        let total: Duration = round_trips.iter().sum();
        let average = total / u32::try_from(round_trips.len()).unwrap_or(u32::MAX).max(1);
        if self.json {
            let least = round_trips.iter().min().copied().unwrap_or_default();
            let most = round_trips.iter().max().copied().unwrap_or_default();
            write_json(&json!({
                "server": server,
                "rtt_ns": nanos(average),
                "min_ns": nanos(least),
                "max_ns": nanos(most),
                "iterations": round_trips.len(),
            }));
        } else {
            write_line(&format!("{server}:\n\n   {server}: {average:.3?}\n"));
        }
    }

    /// A revision that was read.
    pub(crate) fn entry(self, entry: &Entry, style: Style) {
        if self.json {
            return write_json(&entry_json(entry));
        }
        if style == Style::Raw {
            return write(entry.value());
        }
        let value = printable(entry.value());
        let shown: String = value.chars().take(120).collect();
        let mut text = format!(
            "{} > {} revision: {} created @ {}\n\n",
            entry.bucket(),
            entry.key(),
            entry.revision(),
            seconds(entry.created()),
        );
        if shown.len() < value.len() {
            let length = value.len();
            text += &format!("Showing first 120 of {length} bytes, use --raw for full data\n\n");
        }
        write_line(&format!("{text}{shown}\n"));
    }

    /// A revision that a watch reports.
    pub(crate) fn change(self, entry: &Entry) {
        if self.json {
            return write_json(&entry_json(entry));
        }
        let created = seconds(entry.created());
        let mut text =
            format!("[{created}] {} {} > {}", entry.operation(), entry.bucket(), entry.key());
        if !entry.operation().is_tombstone() {
            text += &format!(": {}", printable(entry.value()));
        }
        write_line(&text);
    }

    /// A watch has reported all that there was. People see it by the pause.
    pub(crate) fn initialized(self) {
        if self.json {
            write_json(&json!({ "initialized": true }));
        }
    }

    /// The revisions of a key.
    pub(crate) fn history(self, bucket: &str, key: &str, entries: &[Entry]) {
        if self.json {
            return entries.iter().for_each(|entry| write_json(&entry_json(entry)));
        }
        let heading = ["Key", "Revision", "Op", "Created", "Length", "Value"].map(String::from);
        let rows = entries.iter().map(|entry| {
            [
                entry.key().into_owned(),
                entry.revision().to_string(),
                entry.operation().to_string(),
                seconds(entry.created()),
                entry.value().len().to_string(),
                shortened(&printable(entry.value())),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        write_line(&format!("History for {bucket} > {key}\n\n{}", table(&rows)));
    }

    /// A revision that was written. A person sees the value, as far as it was given on the
    /// command line.
    pub(crate) fn written(self, written: &Written<'_>) {
        if self.json {
            write_json(&json!({
                "bucket": written.bucket,
                "key": written.key,
                "revision": written.revision,
                "operation": written.operation.to_string(),
            }));
        } else if let Some(value) = written.shown {
            write(&[value, b"\n"].concat());
        }
    }

    /// The keys of a bucket.
    pub(crate) fn keys(self, bucket: &str, keys: &[String]) {
        for key in keys {
            if self.json {
                write_json(&json!({ "bucket": bucket, "key": key }));
            } else {
                write_line(key);
            }
        }
        if keys.is_empty() {
            self.note("No keys found in bucket");
        }
    }

    /// Keys that were purged.
    pub(crate) fn keys_purged(self, bucket: &str, count: u64) {
        match self.json {
            true => write_json(&json!({ "bucket": bucket, "purged": count })),
            false => write_line(&format!("{count} keys purged")),
        }
    }

    /// What was removed with deleted keys.
    pub(crate) fn deletes_purged(self, bucket: &str, removed: PurgedDeletes) {
        let PurgedDeletes { keys, messages, .. } = removed;
        match self.json {
            true => write_json(&json!({ "bucket": bucket, "keys": keys, "messages": messages })),
            false => write_line(&format!("{messages} messages of {keys} deleted keys removed")),
        }
    }

    /// A bucket that was emptied.
    pub(crate) fn bucket_cleared(self, bucket: &str) {
        if self.json {
            write_json(&json!({ "bucket": bucket, "cleared": true }));
        }
    }

    /// A bucket that was deleted.
    pub(crate) fn bucket_deleted(self, bucket: &str) {
        if self.json {
            write_json(&json!({ "bucket": bucket, "deleted": true }));
        }
    }
}

/// A revision that was written.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) revision: u64,
    pub(crate) operation: Operation,
    /// What a person sees of it.
    pub(crate) shown: Option<&'a [u8]>,
}

fn message_json(message: &Message, style: Style) -> Value {
    let mut object = json!({
        "subject": message.subject(),
        "reply": message.reply(),
        "headers": headers_json(message.headers()),
    });
    if style != Style::HeadersOnly {
        object["payload_base64"] = STANDARD.encode(message.payload()).into();
    }
    object
}

/// Each name with all its values: names may come more than once.
fn headers_json(headers: Headers<'_>) -> Value {
    let mut object = Map::new();
    for (name, value) in headers.iter() {
        let values = object.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    object.into()
}

fn entry_json(entry: &Entry) -> Value {
    let created = since_1970(entry.created()).map(humantime::format_rfc3339_nanos);
    json!({
        "bucket": entry.bucket(),
        "key": entry.key(),
        "revision": entry.revision(),
        "delta": entry.delta(),
        "operation": entry.operation().to_string(),
        "value_base64": STANDARD.encode(entry.value()),
        "created": created.map(|created| created.to_string()),
    })
}

/// Names and values under a heading. What has no value is left out.
fn sheet(heading: &str, rows: &[(&str, String)]) -> String {
    let mut text = format!("{heading}\n\n");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("{name:>22}: {value}\n");
    }
    text
}

/// Headers, a blank line, and the payload with a blank line after it.
fn body_text(headers: Headers<'_>, payload: &[u8], style: Style) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in headers.iter_bytes() {
        text.extend_from_slice(&[name, b": ", value, b"\n"].concat());
    }
    if !text.is_empty() {
        text.push(b'\n');
    }
    if style != Style::HeadersOnly {
        text.extend_from_slice(payload);
        text.push(b'\n');
        if !payload.ends_with(b"\n") {
            text.push(b'\n');
        }
    }
    text
}

/// A number of bytes for people: `512 B`, `1.5 KiB`.
fn size(bytes: u64) -> String {
    let mut units = ["KiB", "MiB", "GiB", "TiB"].iter();
    let (mut number, mut unit) = (bytes as f64, "B");
    while number >= 1024.0 {
        let Some(larger) = units.next() else { break };
        (number, unit) = (number / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}

/// Columns as wide as what is in them.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or_default();
            line += &format!("{cell:<width$}  ");
        }
        text += &format!("  {}\n", line.trim_end());
    }
    text
}

/// A value for people: text as it is, anything else in base64.
fn printable(value: &[u8]) -> String {
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    match std::str::from_utf8(value) {
        Ok(text) if text.chars().all(is_text) => text.to_owned(),
        _ => STANDARD.encode(value),
    }
}

/// The beginning and the end of a long value, on one line.
fn shortened(value: &str) -> String {
    let value: Vec<char> = value.escape_debug().collect();
    if value.len() <= 40 {
        return value.into_iter().collect();
    }
    let (first, last) = (&value[..15], &value[value.len() - 15..]);
    first.iter().chain(&['.', '.', '.']).chain(last).collect()
}

fn seconds(time: Option<SystemTime>) -> String {
    let time = since_1970(time).map(humantime::format_rfc3339_seconds);
    time.map_or("at an unknown time".into(), |time| time.to_string())
}

/// A time for programs.
fn time_json(time: Option<SystemTime>) -> Value {
    let time = since_1970(time).map(humantime::format_rfc3339_nanos);
    time.map_or(Value::Null, |time| time.to_string().into())
}

/// A time that can be written; a server may claim any.
fn since_1970(time: Option<SystemTime>) -> Option<SystemTime> {
    time.filter(|time| *time >= SystemTime::UNIX_EPOCH)
}

fn nanos(duration: Duration) -> Value {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).into()
}

fn write_json(object: &Value) {
    write_line(&object.to_string());
}

fn write_line(line: &str) {
    write(format!("{line}\n").as_bytes());
}

/// Writes a result. If nobody reads any more, there is nothing left to do.
fn write(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            let _ = writeln!(io::stderr(), "error: cannot write: {error}");
        }
        std::process::exit(1);
    }
}
