//! A bucket in numbers.

use crate::jetstream::{Source, StreamConfig, StreamInfo};
use crate::object_store::buckets::config::Config;
use crate::object_store::error::Error;
use std::sync::Arc;

/// A bucket's configuration and contents, as of the time of asking.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    bucket: Arc<str>,
    info: StreamInfo,
}

impl Status {
    pub(in crate::object_store) fn new(bucket: &Arc<str>, info: StreamInfo) -> Self {
        Self { bucket: bucket.clone(), info }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The configuration, to look at or to change and give to
    /// [`update_bucket`](crate::object_store::ObjectStore::update_bucket).
    #[must_use]
    pub fn config(&self) -> Config {
        Config::of_stream(&self.info.config)
    }

    /// Bytes that the objects take, and what is known of them, the stream's own bookkeeping included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.info.state.bytes
    }

    /// Whether the bucket is sealed: nothing in it changes any more.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.info.config.sealed
    }

    /// Number of copies in a cluster.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.info.config.num_replicas
    }

    /// The stream under the bucket, with everything that the server says of it.
    #[must_use]
    pub fn stream(&self) -> &StreamInfo {
        &self.info
    }
}

/// Checks whether a stream is one that objects can be in.
pub(in crate::object_store) fn check_stream(
    bucket: &str,
    stream: &StreamConfig,
) -> Result<(), Error> {
    let all = [format!("$O.{bucket}.>"), "$O.>".into(), ">".into()];
    let takes = |subject: String| {
        stream.subjects.iter().any(|taken| *taken == subject || all.contains(taken))
    };
    let has_subjects = takes(format!("$O.{bucket}.C.>")) && takes(format!("$O.{bucket}.M.>"));
    let reason = match &stream.mirror {
        Some(mirror) if !has_subjects_of(bucket, stream, mirror) => {
            "it is a mirror of another one, whose subjects its objects have"
        }
        None if !has_subjects => "it does not take the subjects of objects",
        _ => return Ok(()),
    };
    Err(Error::NotABucket { bucket: bucket.to_owned(), reason })
}

/// Whether what a mirror copies has the subjects of its own bucket.
fn has_subjects_of(bucket: &str, stream: &StreamConfig, mirror: &Source) -> bool {
    let own = format!("$O.{bucket}.");
    let mut transforms = mirror.subject_transforms.iter();
    mirror.name == stream.name || transforms.any(|transform| transform.dest.starts_with(&own))
}
