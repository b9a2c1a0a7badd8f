//! A stream's configuration on the command line: what is not given is left as it is.

use crate::failure::Failure;
use crate::input::{self, Limit, Pair, set};
use clap::Args;
use evnats::jetstream::{Republish, Source, StreamConfig, SubjectTransform};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// File with a configuration in JSON, which the other options change.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Subjects that are stored; several have commas between them. If none is given, the name.
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    /// Where to store messages.
    #[arg(long, value_parser = ["file", "memory"])]
    storage: Option<String>,
    /// How many copies to store in a cluster, 1 to 5.
    #[arg(long)]
    replicas: Option<u32>,
    /// When messages are removed.
    #[arg(long, value_parser = ["limits", "interest", "workqueue"])]
    retention: Option<String>,
    /// What happens at a limit: the oldest messages go, or new ones are refused.
    #[arg(long, value_parser = ["old", "new"])]
    discard: Option<String>,
    /// Refuses new messages also at the limit of a subject.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    discard_per_subject: Option<bool>,
    /// Most messages; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "COUNT", allow_negative_numbers = true)]
    max_msgs: Option<Limit>,
    /// Most messages of each subject; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "COUNT", allow_negative_numbers = true)]
    max_msgs_per_subject: Option<Limit>,
    /// Most bytes, as 10GB; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "BYTES", allow_negative_numbers = true)]
    max_bytes: Option<Limit>,
    /// Largest message, as 1MB; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "BYTES", allow_negative_numbers = true)]
    max_msg_size: Option<Limit>,
    /// Most consumers; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "COUNT", allow_negative_numbers = true)]
    max_consumers: Option<Limit>,
    /// How long to keep messages, as 7days; 0s for ever.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    max_age: Option<Duration>,
    /// For how long a message id is remembered.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    dupe_window: Option<Duration>,
    /// Compresses what is stored.
    #[arg(long, value_parser = ["none", "s2"])]
    compression: Option<String>,
    /// Whether publishers get acknowledgements.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    ack: Option<bool>,
    /// Lets replicas answer reads.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_direct: Option<bool>,
    /// Lets messages replace all others of their subject.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_rollup: Option<bool>,
    /// Lets messages have a lifetime of their own.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_msg_ttl: Option<bool>,
    /// Has subjects be counters.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_counter: Option<bool>,
    /// Lets messages be stored together or not at all.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_atomic: Option<bool>,
    /// Lets messages be published in long batches.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_batch: Option<bool>,
    /// Lets messages be scheduled.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    allow_schedules: Option<bool>,
    /// Refuses to delete messages.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    deny_delete: Option<bool>,
    /// Refuses to purge.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    deny_purge: Option<bool>,
    /// How long the marker of a subject lives whose last message has expired.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    subject_del_markers_ttl: Option<Duration>,
    /// Sequence of the first message.
    #[arg(long, value_name = "SEQUENCE")]
    first_sequence: Option<u64>,
    /// Copies another stream.
    #[arg(long, value_name = "STREAM")]
    mirror: Option<String>,
    /// Adds what another stream stores; may be repeated.
    #[arg(long, value_name = "STREAM")]
    source: Vec<String>,
    /// Stores messages under another subject: which ones.
    #[arg(long, value_name = "SUBJECT", requires = "transform_destination")]
    transform_source: Option<String>,
    /// Stores messages under another subject: under which one.
    #[arg(long, value_name = "SUBJECT", requires = "transform_source")]
    transform_destination: Option<String>,
    /// Publishes what was stored: of which subjects.
    #[arg(long, value_name = "SUBJECT", requires = "republish_destination")]
    republish_source: Option<String>,
    /// Publishes what was stored: to which subject.
    #[arg(long, value_name = "SUBJECT")]
    republish_destination: Option<String>,
    /// Publishes what was stored without payloads.
    #[arg(long, requires = "republish_destination")]
    republish_headers: bool,
    /// Keeps it in a cluster.
    #[arg(long)]
    cluster: Option<String>,
    /// Keeps it on servers with a tag; may be repeated.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Adds metadata; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<Pair>,
}

impl Flags {
    /// Returns the configuration of a stream that is to be made.
    pub(super) fn new_stream(&self, name: Option<String>) -> Result<StreamConfig, Failure> {
        let config = match &self.config {
            Some(file) => input::json_file(file)?,
            None => StreamConfig::new(""),
        };
        let config = self.apply(config)?;
        Ok(match name {
            Some(name) => config.name(name),
            None => config,
        })
    }

    /// Returns the configuration of a stream that is there.
    pub(super) fn changed(&self, mut config: StreamConfig) -> Result<StreamConfig, Failure> {
        if let Some(file) = &self.config {
            let name = config.name;
            config = input::json_file::<StreamConfig>(file)?.name(name);
        }
        config.remove_server_metadata();
        self.apply(config)
    }

    fn apply(&self, mut config: StreamConfig) -> Result<StreamConfig, Failure> {
        set(&mut config.discard_new_per_subject, self.discard_per_subject);
        set(&mut config.num_replicas, self.replicas);
        set(&mut config.no_ack, self.ack.map(|ack| !ack));
        set(&mut config.allow_direct, self.allow_direct);
        set(&mut config.allow_rollup_hdrs, self.allow_rollup);
        set(&mut config.allow_msg_ttl, self.allow_msg_ttl);
        set(&mut config.allow_msg_counter, self.allow_counter);
        set(&mut config.allow_atomic, self.allow_atomic);
        set(&mut config.allow_batched, self.allow_batch);
        set(&mut config.allow_msg_schedules, self.allow_schedules);
        set(&mut config.deny_delete, self.deny_delete);
        set(&mut config.deny_purge, self.deny_purge);
        set(&mut config.max_msgs, self.max_msgs.map(Limit::or_none));
        set(&mut config.max_msgs_per_subject, self.max_msgs_per_subject.map(Limit::or_none));
        set(&mut config.max_bytes, self.max_bytes.map(Limit::or_none));
        set(&mut config.max_msg_size, self.max_msg_size.map(Limit::or_none));
        set(&mut config.max_consumers, self.max_consumers.map(Limit::or_none));
        set(&mut config.description, self.description.clone().map(Some));
        set(&mut config.max_age, self.max_age.map(input::non_zero));
        set(&mut config.duplicate_window, self.dupe_window.map(Some));
        set(&mut config.subject_delete_marker_ttl, self.subject_del_markers_ttl.map(Some));
        set(&mut config.first_seq, self.first_sequence.map(Some));
        set(&mut config.storage, input::word(self.storage.as_deref())?);
        set(&mut config.retention, input::word(self.retention.as_deref())?);
        set(&mut config.discard, input::word(self.discard.as_deref())?);
        set(&mut config.compression, input::word(self.compression.as_deref())?);
        set(&mut config.mirror, self.mirror.clone().map(|name| Some(Source::new(name))));
        let subjects = Some(&self.subjects).filter(|subjects| !subjects.is_empty());
        set(&mut config.subjects, subjects.cloned());
        config.sources.extend(self.source.iter().map(Source::new));
        config.metadata.extend(self.metadata.iter().cloned().map(Pair::into_parts));
        if let (Some(from), Some(to)) = (&self.transform_source, &self.transform_destination) {
            config.subject_transform = Some(SubjectTransform::new(from, to));
        }
        if let Some(to) = &self.republish_destination {
            let mut republish = Republish::new(to).headers_only(self.republish_headers);
            republish.src = self.republish_source.clone();
            config.republish = Some(republish);
        }
        Ok(placed(config, self.cluster.as_deref(), &self.tag))
    }
}

/// Returns the configuration of a stream that is kept elsewhere, if it is to be.
pub(super) fn placed(
    mut config: StreamConfig,
    cluster: Option<&str>,
    tags: &[String],
) -> StreamConfig {
    if cluster.is_some() || !tags.is_empty() {
        let mut placement = config.placement.take().unwrap_or_default();
        placement.cluster = cluster.map(str::to_owned).or(placement.cluster);
        placement.tags.extend_from_slice(tags);
        config.placement = Some(placement);
    }
    config
}
