//! `kv put`, `create`, `update`, `del` and `purge`: writing, done when the bucket has stored it.

use super::{Bucket, bucket, buckets};
use crate::failure::Failure;
use crate::input;
use crate::output::Written;
use crate::session::{App, Session};
use clap::Args;
use evnats::kv::{Error, Operation};
use std::ffi::OsString;

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    /// The value; if absent, what the standard input has, unless it is a terminal.
    #[arg(allow_negative_numbers = true)]
    value: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    /// The value.
    #[arg(allow_negative_numbers = true)]
    value: OsString,
    /// The revision that the key must be at; 0 if it must never have been written.
    revision: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Name of the bucket.
    bucket: String,
    /// The key; if absent, the bucket is deleted.
    key: Option<String>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn put(arguments: Put, session: Session) -> Result<(), Failure> {
    let (value, report) = value_and_report(&arguments.key, arguments.value)?;
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).put(&arguments.key, &value, report.on_written());
        Ok(())
    })
}

pub(crate) fn create(arguments: Put, session: Session) -> Result<(), Failure> {
    let (value, report) = value_and_report(&arguments.key, arguments.value)?;
    session.run(|app, client| {
        bucket(app, client, &arguments.bucket).create(&arguments.key, &value, report.on_written());
        Ok(())
    })
}

pub(crate) fn update(arguments: Update, session: Session) -> Result<(), Failure> {
    let (value, report) = value_and_report(&arguments.key, Some(arguments.value))?;
    session.run(|app, client| {
        let kv = bucket(app, client, &arguments.bucket);
        kv.update(&arguments.key, &value, arguments.revision, report.on_written());
        Ok(())
    })
}

pub(crate) fn delete(arguments: Delete, session: Session) -> Result<(), Failure> {
    let Delete { bucket: name, key, force } = arguments;
    let Some(key) = key else {
        return buckets::remove(buckets::Remove::new(name, force), session);
    };
    // a single key is deleted without asking where nobody can be asked
    input::confirm_if_possible(&format!("Delete key {name} > {key}?"), force)?;
    let report = Report::tombstone(&key, Operation::Delete);
    session.run(|app, client| {
        bucket(app, client, &name).delete(&key, report.on_written());
        Ok(())
    })
}

pub(crate) fn purge(arguments: Purge, session: Session) -> Result<(), Failure> {
    let Purge { bucket: name, key, force } = arguments;
    input::confirm_if_possible(&format!("Purge key {name} > {key}?"), force)?;
    let report = Report::tombstone(&key, Operation::Purge);
    session.run(|app, client| {
        bucket(app, client, &name).purge(&key, report.on_written());
        Ok(())
    })
}

/// What a write is to report.
struct Report {
    key: String,
    operation: Operation,
    shown: Option<Vec<u8>>,
}

fn value_and_report(key: &str, value: Option<OsString>) -> Result<(Vec<u8>, Report), Failure> {
    let was_given = value.is_some();
    let value = input::body(value)?;
    let shown = was_given.then(|| value.clone());
    Ok((value, Report { key: key.into(), operation: Operation::Put, shown }))
}

impl Report {
    fn tombstone(key: &str, operation: Operation) -> Self {
        Self { key: key.into(), operation, shown: None }
    }

    /// Reports the revision, and ends the verb.
    fn on_written(self) -> impl FnOnce(&mut App, &Bucket, Result<u64, Error>) {
        move |app, kv, revision| {
            let Some(revision) = app.check(kv.client(), revision) else { return };
            app.output.written(&Written {
                bucket: kv.bucket(),
                key: &self.key,
                revision,
                operation: self.operation,
                shown: self.shown.as_deref(),
            });
            app.finish(kv.client());
        }
    }
}
