//! `kv get`, `history` and `ls`: reading what is there.

use super::{Bucket, bucket};
use crate::failure::Failure;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::kv::{Entry, Error};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    /// Gets an older revision, which the bucket must still keep.
    #[arg(long)]
    revision: Option<u64>,
    /// Shows nothing but the value, byte for byte.
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Name of the bucket.
    bucket: Option<String>,
}

pub(crate) fn get(arguments: Get, session: Session) -> Result<(), Failure> {
    let Get { bucket: name, key, revision, raw } = arguments;
    let style = if raw { Style::Raw } else { Style::Full };
    session.run(|app, client| {
        let kv = bucket(app, client, &name);
        let wanted = key.clone();
        let show = move |app: &mut App, kv: &Bucket, found: Result<Option<Entry>, Error>| {
            let Some(found) = app.check(kv.client(), found) else { return };
            let Some(entry) = found else {
                let failure = Failure::key_not_found(kv.bucket(), &wanted, revision);
                return app.fail(kv.client(), failure);
            };
            app.output.entry(&entry, style);
            app.finish(kv.client());
        };
        match revision {
            Some(revision) => kv.get_revision(&key, revision, show),
            None => kv.get(&key, show),
        }
        Ok(())
    })
}

pub(crate) fn history(arguments: History, session: Session) -> Result<(), Failure> {
    let History { bucket: name, key } = arguments;
    session.run(|app, client| {
        let wanted = key.clone();
        bucket(app, client, &name).history(&key, move |app, kv, entries| {
            let Some(entries) = app.check(kv.client(), entries) else { return };
            if entries.is_empty() {
                let failure = Failure::key_not_found(kv.bucket(), &wanted, None);
                return app.fail(kv.client(), failure);
            }
            app.output.history(kv.bucket(), &wanted, &entries);
            app.finish(kv.client());
        });
        Ok(())
    })
}

pub(crate) fn list(arguments: List, session: Session) -> Result<(), Failure> {
    let Some(name) = arguments.bucket else {
        let message = "this version cannot list buckets yet: name one to list its keys";
        return Err(Failure::new("unsupported", message));
    };
    session.run(|app, client| {
        bucket(app, client, &name).keys(|app, kv, keys| {
            if let Some(keys) = app.check(kv.client(), keys) {
                app.output.keys(kv.bucket(), &keys);
                app.finish(kv.client());
            }
        });
        Ok(())
    })
}
