//! A consumer's configuration on the command line: what is not given is left as it is.

use crate::failure::Failure;
use crate::input::{self, Limit, Pair, set};
use clap::Args;
use evnats::jetstream::{ConsumerConfig, DeliverPolicy};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// File with a configuration in JSON, which the other options change.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Delivers messages of this subject only; may be repeated.
    #[arg(long, value_name = "SUBJECT")]
    filter: Vec<String>,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    /// What has to be acknowledged.
    #[arg(long, value_parser = ["explicit", "none", "all"])]
    ack: Option<String>,
    /// Where to start: all, last, new, subject (the last message of each), a sequence, or how long
    /// ago, as 1h.
    #[arg(long, value_parser = deliver_policy, value_name = "WHERE")]
    deliver: Option<DeliverPolicy>,
    /// How fast stored messages are delivered.
    #[arg(long, value_parser = ["instant", "original"])]
    replay: Option<String>,
    /// How long to wait for an acknowledgement.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    wait: Option<Duration>,
    /// How often a message is delivered; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "COUNT", allow_negative_numbers = true)]
    max_deliver: Option<Limit>,
    /// Most messages that are not acknowledged yet.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    max_pending: Option<i64>,
    /// Most requests that wait for messages.
    #[arg(long, value_name = "COUNT")]
    max_waiting: Option<u64>,
    /// Most messages of a request.
    #[arg(long, value_name = "COUNT")]
    max_pull_batch: Option<u64>,
    /// Longest time that a request waits.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    max_pull_expire: Option<Duration>,
    /// Most bytes of a request.
    #[arg(long, value_parser = input::size, value_name = "BYTES")]
    max_pull_bytes: Option<u64>,
    /// Waits between deliveries of a message; several have commas between them.
    #[arg(long, value_delimiter = ',', value_parser = input::duration, value_name = "DURATION")]
    backoff: Vec<Duration>,
    /// How many acknowledgements are reported, as 50%.
    #[arg(long, value_name = "PERCENT")]
    sample: Option<String>,
    /// Delivers headers without payloads.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    headers_only: Option<bool>,
    /// Subject that messages are pushed to.
    #[arg(long, value_name = "SUBJECT")]
    target: Option<String>,
    /// Queue group of those who are pushed to.
    #[arg(long, value_name = "GROUP")]
    deliver_group: Option<String>,
    /// Time between heartbeats when nothing is pushed.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    heartbeat: Option<Duration>,
    /// Has the server wait for those who are pushed to.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    flow_control: Option<bool>,
    /// Deletes the consumer when it was not used for so long.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    inactive_threshold: Option<Duration>,
    /// How many copies of its state to store in a cluster; 0 for as many as of the stream.
    #[arg(long)]
    replicas: Option<u32>,
    /// Keeps its state in memory.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    memory: Option<bool>,
    /// Priority groups; several have commas between them.
    #[arg(long, value_delimiter = ',', value_name = "GROUP", requires = "priority")]
    groups: Vec<String>,
    /// Which clients of a priority group are served.
    #[arg(long, value_parser = ["overflow", "pinned", "prioritized"], requires = "groups")]
    priority: Option<String>,
    /// How long a client stays pinned that asks for nothing.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    pinned_ttl: Option<Duration>,
    /// Adds metadata; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<Pair>,
}

/// Reads where a consumer starts.
fn deliver_policy(text: &str) -> Result<DeliverPolicy, String> {
    match text {
        "all" => Ok(DeliverPolicy::All),
        "last" => Ok(DeliverPolicy::Last),
        "new" => Ok(DeliverPolicy::New),
        "subject" => Ok(DeliverPolicy::LastPerSubject),
        text => match text.parse() {
            Ok(sequence) => Ok(DeliverPolicy::ByStartSequence(sequence)),
            Err(_) => {
                let ago = input::duration(text).map_err(|error| error.to_string())?;
                let time = SystemTime::now().checked_sub(ago).ok_or("too long ago")?;
                Ok(DeliverPolicy::ByStartTime(time))
            }
        },
    }
}

impl Flags {
    /// Returns the configuration of a consumer that is to be made. It is durable unless it is to be
    /// ephemeral.
    pub(super) fn new_consumer(
        &self,
        name: Option<String>,
        is_ephemeral: bool,
    ) -> Result<ConsumerConfig, Failure> {
        let mut config = match &self.config {
            Some(file) => input::json_file(file)?,
            None => ConsumerConfig::default(),
        };
        if let Some(name) = name {
            config.durable_name = (!is_ephemeral).then(|| name.clone());
            config.name = Some(name);
        }
        self.apply(config)
    }

    /// Returns the configuration of a consumer that is there.
    pub(super) fn changed(&self, mut config: ConsumerConfig) -> Result<ConsumerConfig, Failure> {
        if let Some(file) = &self.config {
            let (name, durable_name) = (config.name, config.durable_name);
            config = input::json_file(file)?;
            (config.name, config.durable_name) = (name, durable_name);
        }
        config.remove_server_metadata();
        self.apply(config)
    }

    fn apply(&self, mut config: ConsumerConfig) -> Result<ConsumerConfig, Failure> {
        let priority = self.priority.as_deref().map(|priority| match priority {
            "pinned" => "pinned_client",
            priority => priority,
        });
        set(&mut config.priority_policy, input::word(priority)?);
        set(&mut config.priority_groups, priority.map(|_| self.groups.clone()));
        match &self.filter[..] {
            [] => {}
            [one] => {
                config.filter_subjects.clear();
                config.filter_subject = Some(one.clone());
            }
            several => {
                config.filter_subject = None;
                config.filter_subjects = several.to_vec();
            }
        }
        set(&mut config.deliver_policy, self.deliver.clone());
        set(&mut config.ack_policy, input::word(self.ack.as_deref())?);
        set(&mut config.replay_policy, input::word(self.replay.as_deref())?);
        let backoff = Some(&self.backoff).filter(|backoff| !backoff.is_empty());
        set(&mut config.backoff, backoff.cloned());
        set(&mut config.description, self.description.clone().map(Some));
        set(&mut config.ack_wait, self.wait.map(Some));
        set(&mut config.max_deliver, self.max_deliver.map(Limit::or_none));
        set(&mut config.max_ack_pending, self.max_pending.map(Some));
        set(&mut config.max_waiting, self.max_waiting.map(Some));
        set(&mut config.max_batch, self.max_pull_batch.map(Some));
        set(&mut config.max_expires, self.max_pull_expire.map(Some));
        set(&mut config.max_bytes, self.max_pull_bytes.map(Some));
        set(&mut config.sample_freq, self.sample.clone().map(Some));
        set(&mut config.headers_only, self.headers_only);
        set(&mut config.deliver_subject, self.target.clone().map(Some));
        set(&mut config.deliver_group, self.deliver_group.clone().map(Some));
        set(&mut config.idle_heartbeat, self.heartbeat.map(Some));
        set(&mut config.flow_control, self.flow_control);
        set(&mut config.inactive_threshold, self.inactive_threshold.map(Some));
        set(&mut config.num_replicas, self.replicas);
        set(&mut config.mem_storage, self.memory);
        set(&mut config.priority_timeout, self.pinned_ttl.map(Some));
        config.metadata.extend(self.metadata.iter().cloned().map(Pair::into_parts));
        Ok(config)
    }
}
