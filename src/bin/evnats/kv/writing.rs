//! `kv put`, `create`, `update`, `revert` and `del`: writing, done when the bucket has stored it.

use super::{Bucket, buckets, on_bucket};
use crate::failure::Failure;
use crate::input;
use crate::output::Written;
use crate::session::{App, Session};
use clap::Args;
use evnats::kv::{Error, Operation, WriteOptions};
use std::ffi::OsString;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    /// The value; if absent, what the standard input has, unless it is a terminal.
    #[arg(allow_negative_numbers = true)]
    value: Option<OsString>,
    #[command(flatten)]
    life: Life,
}

/// How long a value lives.
#[derive(Debug, Args)]
struct Life {
    /// Removes the value after this time, as 90s or 1h; the bucket needs --per-key-ttl or --marker-ttl.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    ttl: Option<Duration>,
}

impl Life {
    fn options(&self) -> WriteOptions {
        self.ttl.into_iter().fold(WriteOptions::new(), WriteOptions::ttl)
    }
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
    #[command(flatten)]
    life: Life,
}

#[derive(Debug, Args)]
pub(crate) struct Revert {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    /// The revision whose value the key is to have again; the bucket must still keep it.
    revision: u64,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
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

pub(crate) fn put(arguments: Put, session: Session) -> Result<(), Failure> {
    let (value, report) = value_and_report(&arguments.key, arguments.value)?;
    let Put { bucket, key, life, .. } = arguments;
    on_bucket(session, bucket, move |_, kv| {
        kv.put_with(&key, &value, life.options(), report.on_written());
    })
}

pub(crate) fn create(arguments: Put, session: Session) -> Result<(), Failure> {
    let (value, report) = value_and_report(&arguments.key, arguments.value)?;
    let Put { bucket, key, life, .. } = arguments;
    on_bucket(session, bucket, move |_, kv| {
        kv.create_with(&key, &value, life.options(), report.on_written());
    })
}

pub(crate) fn update(arguments: Update, session: Session) -> Result<(), Failure> {
    let Update { bucket, key, value, revision, life } = arguments;
    let (value, report) = value_and_report(&key, Some(value))?;
    on_bucket(session, bucket, move |_, kv| {
        kv.update_with(&key, &value, revision, life.options(), report.on_written());
    })
}

/// Writes an old value over the last revision, whichever that is, if nobody writes meanwhile.
pub(crate) fn revert(arguments: Revert, session: Session) -> Result<(), Failure> {
    let Revert { bucket: name, key, revision, force } = arguments;
    input::confirm_if_possible(&format!("Revert key {name} > {key} to {revision}?"), force)?;
    on_bucket(session, name, move |_, kv| {
        let wanted = key.clone();
        kv.get_revision(&key, revision, move |app: &mut App, kv, found| {
            let Some(found) = app.check(kv.client(), found) else { return };
            let Some(old) = found else {
                let failure = Failure::key_not_found(kv.bucket(), &wanted, Some(revision));
                return app.fail(kv.client(), failure);
            };
            kv.get_raw(&wanted.clone(), move |app: &mut App, kv, last| {
                let Some(last) = app.check(kv.client(), last) else { return };
                let last = last.map_or(0, |last| last.revision());
                let (value, operation) = (old.value().to_vec(), Operation::Put);
                let shown = Some(value.clone());
                let report = Report { key: wanted.clone(), operation, shown };
                kv.update(&wanted, value, last, report.on_written());
            });
        });
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
    on_bucket(session, name, move |_, kv| kv.delete(&key, report.on_written()))
}

/// What a write is to report.
pub(super) struct Report {
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
    pub(super) fn tombstone(key: &str, operation: Operation) -> Self {
        Self { key: key.into(), operation, shown: None }
    }

    /// Reports the revision, and ends the verb.
    pub(super) fn on_written(self) -> impl FnOnce(&mut App, &Bucket, Result<u64, Error>) {
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
