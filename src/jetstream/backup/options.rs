//! How a snapshot is made.

use crate::jetstream::wire::setters;
use serde::Serialize;

/// Newer servers take less for this, and older ones at its word: a million chunks of ten bytes.
const LEAST_CHUNK: u32 = 1024;
/// Newer servers take more for this.
const LARGEST_CHUNK: u32 = 1024 * 1024;

/// What is to be in a snapshot, and how it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotOptions {
    /// Whether the stream's consumers are in it, with what they have delivered and what was
    /// acknowledged. Default: yes.
    pub consumers: bool,
    /// How large chunks are, in bytes, from 1 KiB to 1 MiB; the last one may be smaller. Server
    /// 2.10 sends many smaller ones. Default: what the server chooses, which is 128 KiB.
    pub chunk_size: Option<u32>,
    /// How many bytes the server sends ahead of their being received. Older servers do not look at it.
    /// Default: what the server chooses, which is 8 MiB.
    pub window_size: Option<u32>,
    /// Whether the server reads all messages and checks them before it begins. Default: no.
    pub check: bool,
}

/// The body of the request.
#[derive(Serialize)]
pub(super) struct SnapshotRequest<'a> {
    deliver_subject: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_consumers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_size: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    jsck: bool,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { consumers: true, chunk_size: None, window_size: None, check: false }
    }
}

impl SnapshotOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The body of the request for a snapshot that comes to a subject.
    pub(super) fn request<'a>(&self, deliver_subject: &'a str) -> SnapshotRequest<'a> {
        SnapshotRequest {
            deliver_subject,
            no_consumers: !self.consumers,
            chunk_size: self.chunk_size.map(|size| size.clamp(LEAST_CHUNK, LARGEST_CHUNK)),
            window_size: self.window_size,
            jsck: self.check,
        }
    }
}

setters!(SnapshotOptions {
    value consumers: bool,
    some chunk_size: u32,
    some window_size: u32,
    value check: bool,
});

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_asked_for_is_sent() {
        let body = |options: SnapshotOptions| serde_json::to_value(options.request("d")).unwrap();
        assert_eq!(body(SnapshotOptions::new()), json!({"deliver_subject": "d"}));
        let all = SnapshotOptions::new().consumers(false).chunk_size(10).window_size(7).check(true);
        let expected = json!({"deliver_subject": "d", "no_consumers": true, "chunk_size": 1024,
            "window_size": 7, "jsck": true});
        assert_eq!(body(all), expected);
        let large = SnapshotOptions::new().chunk_size(u32::MAX);
        assert_eq!(body(large)["chunk_size"], 1024 * 1024);
    }
}
