//! `object add`, `seal` and `rm`: buckets as a whole.

use super::{Bucket, bucket};
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::{Args, ValueEnum};
use evnats::jetstream::Storage;
use evnats::object_store::{Config, Error, Status};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the bucket.
    bucket: String,
    /// How long to keep objects, as 1h; for ever if not given.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// How many copies to store in a cluster, 1 to 5.
    #[arg(long, default_value_t = 1)]
    replicas: u32,
    /// Most bytes in all, as 10GB.
    #[arg(long, value_parser = input::size, value_name = "BYTES")]
    max_bucket_size: Option<u64>,
    /// Where to store objects.
    #[arg(long, value_enum, default_value_t = Place::File)]
    storage: Place,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    /// Metadata; may be repeated.
    #[arg(long, value_parser = input::pair, value_name = "KEY=VALUE")]
    metadata: Vec<input::Pair>,
    /// Compresses the objects.
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
pub(crate) struct Seal {
    /// Name of the bucket.
    bucket: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
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
    pub(super) fn new(bucket: String, force: bool) -> Self {
        Self { bucket, force }
    }
}

pub(crate) fn add(arguments: Add, session: Session) -> Result<(), Failure> {
    let mut config = Config::new()
        .ttl(arguments.ttl)
        .max_bytes(arguments.max_bucket_size)
        .storage(match arguments.storage {
            Place::File => Storage::File,
            Place::Memory => Storage::Memory,
        })
        .replicas(arguments.replicas)
        .compression(arguments.compress);
    config.description = arguments.description;
    config.metadata.extend(arguments.metadata.into_iter().map(input::Pair::into_parts));
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).create_bucket(config, show);
        Ok(())
    })
}

pub(crate) fn seal(arguments: Seal, session: Session) -> Result<(), Failure> {
    let Seal { bucket: name, force } = arguments;
    input::confirm(&format!("Seal bucket {name}? That cannot be taken back."), force)?;
    session.run(|app, client| {
        bucket(app, client, &name).seal_bucket(show);
        Ok(())
    })
}

pub(crate) fn remove(arguments: Remove, session: Session) -> Result<(), Failure> {
    input::confirm(&format!("Delete bucket {}?", arguments.bucket), arguments.force)?;
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).delete_bucket(|app, store, deleted| {
            if app.check(store.client(), deleted).is_some() {
                app.output.bucket_deleted(store.bucket());
                app.finish(store.client());
            }
        });
        Ok(())
    })
}

pub(super) fn show(app: &mut App, store: &Bucket, status: Result<Status, Error>) {
    if let Some(status) = app.check(store.client(), status) {
        app.output.object_bucket(&status);
        app.finish(store.client());
    }
}
