//! `kv purge`, `clear` and `compact`: removing keys with their history, everything, and what deleted
//! keys have left behind.

use super::writing::Report;
use super::{Bucket, bucket, on_bucket};
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::Args;
use evnats::kv::{Error, Operation, PurgeDeletes, PurgedDeletes};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Name of the bucket.
    bucket: String,
    /// The key; or several, or patterns with `*` for a token and `>` for the last ones, of which those are
    /// purged that have a value.
    #[arg(required = true)]
    keys: Vec<String>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Name of the bucket.
    bucket: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// Name of the bucket.
    bucket: String,
    /// Keeps the tombstones that are younger, as 10m, and removes no more than their history.
    #[arg(long, value_parser = input::duration, value_name = "DURATION", default_value = "30m")]
    older_than: Duration,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn purge(arguments: Purge, session: Session) -> Result<(), Failure> {
    let Purge { bucket: name, keys, force } = arguments;
    match &keys[..] {
        [key] if !key.contains(['*', '>']) => purge_key(name, key.clone(), force, session),
        _ => purge_keys(name, keys, force, session),
    }
}

fn purge_key(name: String, key: String, force: bool, session: Session) -> Result<(), Failure> {
    input::confirm_if_possible(&format!("Purge key {name} > {key}?"), force)?;
    let report = Report::tombstone(&key, Operation::Purge);
    on_bucket(session, name, move |_, kv| kv.purge(&key, report.on_written()))
}

fn purge_keys(
    name: String,
    patterns: Vec<String>,
    force: bool,
    session: Session,
) -> Result<(), Failure> {
    let shown = patterns.join(" ");
    input::confirm(&format!("Purge all keys of {name} that match {shown}?"), force)?;
    on_bucket(session, name, move |_, kv| {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        kv.purge_keys(&patterns, |app: &mut App, kv, purged| {
            if let Some(purged) = app.check(kv.client(), purged) {
                app.output.keys_purged(kv.bucket(), purged);
                app.finish(kv.client());
            }
        });
    })
}

pub(crate) fn clear(arguments: Clear, session: Session) -> Result<(), Failure> {
    let Clear { bucket: name, force } = arguments;
    input::confirm(&format!("Remove everything from {name}, untold to who watches it?"), force)?;
    session.run(|app, client| {
        bucket(app, client, &name).clear(|app: &mut App, kv, cleared| {
            if app.check(kv.client(), cleared).is_some() {
                app.output.bucket_cleared(kv.bucket());
                app.finish(kv.client());
            }
        });
        Ok(())
    })
}

pub(crate) fn compact(arguments: Compact, session: Session) -> Result<(), Failure> {
    let Compact { bucket: name, older_than, force } = arguments;
    input::confirm(&format!("Remove what deleted keys have left behind in {name}?"), force)?;
    session.run(|app, client| {
        let options = PurgeDeletes::new().older_than(older_than);
        bucket(app, client, &name).purge_deletes(options, show_removed);
        Ok(())
    })
}

fn show_removed(app: &mut App, kv: &Bucket, removed: Result<PurgedDeletes, Error>) {
    if let Some(removed) = app.check(kv.client(), removed) {
        app.output.deletes_purged(kv.bucket(), removed);
        app.finish(kv.client());
    }
}
