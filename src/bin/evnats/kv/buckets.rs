//! `kv add`, `info` and `rm`: buckets as a whole.

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
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).create_bucket(config, show);
        Ok(())
    })
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
