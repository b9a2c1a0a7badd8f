//! `kv add`, `edit`, `info` and `rm`: buckets as a whole.

use super::{Bucket, bucket};
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::{Args, ValueEnum};
use evnats::jetstream::Storage;
use evnats::kv::{Config, Error, Status};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the bucket.
    bucket: String,
    /// How many values to keep for each key, 1 to 64.
    #[arg(long, default_value_t = 1)]
    history: u8,
    /// How long to keep values, as 1h; for ever if not given.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// How many copies to store in a cluster, 1 to 5.
    #[arg(long, default_value_t = 1)]
    replicas: u32,
    /// Largest value, as 100 or 64KB.
    #[arg(long, value_parser = input::size, value_name = "BYTES")]
    max_value_size: Option<u64>,
    /// Most bytes in all, as 10MB.
    #[arg(long, value_parser = input::size, value_name = "BYTES")]
    max_bucket_size: Option<u64>,
    /// Where to store values.
    #[arg(long, value_enum, default_value_t = Place::File)]
    storage: Place,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    /// Compresses the values.
    #[arg(long)]
    compress: bool,
    #[command(flatten)]
    abilities: Abilities,
}

/// What a bucket allows.
#[derive(Debug, Args)]
struct Abilities {
    /// Leaves a marker for this long where a value's time is over, as 1h; implies --per-key-ttl.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    marker_ttl: Option<Duration>,
    /// Lets single keys have a time to live.
    #[arg(long)]
    per_key_ttl: bool,
    /// Lets several keys be written as one.
    #[arg(long)]
    atomic_batches: bool,
}

impl Abilities {
    /// Adds them to what a bucket has.
    fn add_to(&self, config: Config) -> Config {
        let mut config = config;
        config.limit_marker_ttl = self.marker_ttl.or(config.limit_marker_ttl);
        config.per_key_ttl |= self.per_key_ttl;
        config.atomic_batches |= self.atomic_batches;
        config
    }
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// Name of the bucket.
    bucket: String,
    /// How many values to keep for each key, 1 to 64.
    #[arg(long)]
    history: Option<u8>,
    /// How long to keep values, as 1h; 0s for ever.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// How many copies to store in a cluster, 1 to 5.
    #[arg(long)]
    replicas: Option<u32>,
    /// Largest value, as 100 or 64KB; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "BYTES", allow_negative_numbers = true)]
    max_value_size: Option<input::Limit>,
    /// Most bytes in all, as 10MB; -1 for no limit.
    #[arg(long, value_parser = input::limit, value_name = "BYTES", allow_negative_numbers = true)]
    max_bucket_size: Option<input::Limit>,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    /// Compresses the values, or no longer does.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    compress: Option<bool>,
    #[command(flatten)]
    abilities: Abilities,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    #[value(alias = "f")]
    File,
    #[value(alias = "m")]
    Memory,
}

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Name of the bucket.
    bucket: String,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Name of the bucket.
    bucket: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

impl Remove {
    pub(crate) fn new(bucket: String, force: bool) -> Self {
        Self { bucket, force }
    }
}

pub(crate) fn add(arguments: Add, session: Session) -> Result<(), Failure> {
    let mut config = Config::new()
        .history(arguments.history)
        .ttl(arguments.ttl)
        .max_bytes(arguments.max_bucket_size)
        .max_value_size(arguments.max_value_size)
        .storage(match arguments.storage {
            Place::File => Storage::File,
            Place::Memory => Storage::Memory,
        })
        .replicas(arguments.replicas)
        .compression(arguments.compress);
    config.description = arguments.description;
    let config = arguments.abilities.add_to(config);
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).create_bucket(config, show);
        Ok(())
    })
}

/// Changes what is given, and leaves the rest as it is.
pub(crate) fn edit(arguments: Edit, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let kv = bucket(app, client, &arguments.bucket);
        kv.status(move |app: &mut App, kv, status| {
            if let Some(status) = app.check(kv.client(), status) {
                kv.update_bucket(arguments.apply_to(status.config()), show);
            }
        });
        Ok(())
    })
}

impl Edit {
    fn apply_to(self, mut config: Config) -> Config {
        input::set(&mut config.history, self.history);
        input::set(&mut config.ttl, self.ttl.map(input::non_zero));
        input::set(&mut config.replicas, self.replicas);
        input::set(&mut config.max_value_size, self.max_value_size.map(input::Limit::or_none));
        input::set(&mut config.max_bytes, self.max_bucket_size.map(input::Limit::or_none));
        input::set(&mut config.compression, self.compress);
        config.description = self.description.or(config.description);
        self.abilities.add_to(config)
    }
}

pub(crate) fn info(arguments: Info, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).status(show);
        Ok(())
    })
}

pub(crate) fn remove(arguments: Remove, session: Session) -> Result<(), Failure> {
    input::confirm(&format!("Delete bucket {}?", arguments.bucket), arguments.force)?;
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).delete_bucket(|app, kv, deleted| {
            if app.check(kv.client(), deleted).is_some() {
                app.output.bucket_deleted(kv.bucket());
                app.finish(kv.client());
            }
        });
        Ok(())
    })
}

fn show(app: &mut App, kv: &Bucket, status: Result<Status, Error>) {
    if let Some(status) = app.check(kv.client(), status) {
        app.output.bucket(&status);
        app.finish(kv.client());
    }
}
