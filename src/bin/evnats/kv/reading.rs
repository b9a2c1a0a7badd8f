//! `kv get`, `history` and `ls`: reading what is there.

use super::{Bucket, on_bucket};
use crate::failure::Failure;
use crate::output::Style;
use crate::session::{App, Session};
use crate::stream::{collect, note_end};
use clap::{Args, ValueEnum};
use evnats::kv::{Entry, Error, Reads};

/// What a read has to prove.
#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// Who answers, and what the answer proves.
    #[arg(long, value_enum, default_value_t = Kind::Leader, value_name = "KIND")]
    read: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// The leader: every complete write, while leadership is stable.
    Leader,
    /// Any replica, no older than what was seen.
    Verified,
    /// Any replica, behind a fence: every complete write, always.
    Linearizable,
    /// Any replica, as it comes.
    Replica,
}

impl Proof {
    /// A bucket that is read so.
    pub(super) fn apply(&self, kv: &Bucket) -> Bucket {
        kv.with_reads(match self.read {
            Kind::Leader => Reads::Leader,
            Kind::Verified => Reads::Verified,
            Kind::Linearizable => Reads::Linearizable,
            Kind::Replica => Reads::Replica,
        })
    }
}

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
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Name of the bucket.
    bucket: String,
    /// The key.
    key: String,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Name of the bucket; without it, the buckets are listed.
    bucket: Option<String>,
    /// Shows nothing but the names of the buckets.
    #[arg(long, short, conflicts_with = "bucket")]
    names: bool,
    #[command(flatten)]
    proof: Proof,
}

pub(crate) fn get(arguments: Get, session: Session) -> Result<(), Failure> {
    let Get { bucket: name, key, revision, raw, proof } = arguments;
    let style = if raw { Style::Raw } else { Style::Full };
    on_bucket(session, name, move |_, kv| {
        let kv = proof.apply(kv);
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
    })
}

pub(crate) fn history(arguments: History, session: Session) -> Result<(), Failure> {
    let History { bucket: name, key, proof } = arguments;
    on_bucket(session, name, move |_, kv| {
        let wanted = key.clone();
        proof.apply(kv).history(&key, move |app, kv, entries| {
            let Some(entries) = app.check(kv.client(), entries) else { return };
            if entries.is_empty() {
                let failure = Failure::key_not_found(kv.bucket(), &wanted, None);
                return app.fail(kv.client(), failure);
            }
            app.output.history(kv.bucket(), &wanted, &entries);
            app.finish(kv.client());
        });
    })
}

pub(crate) fn list(arguments: List, session: Session) -> Result<(), Failure> {
    let List { bucket: name, names, proof } = arguments;
    let Some(name) = name else { return list_buckets(names, session) };
    on_bucket(session, name, move |_, kv| {
        proof.apply(kv).keys(|app, kv, keys| {
            if let Some(keys) = app.check(kv.client(), keys) {
                app.output.keys(kv.bucket(), &keys);
                app.finish(kv.client());
            }
        });
    })
}

fn list_buckets(names_only: bool, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let js = app.jetstream(client);
        if names_only {
            js.key_value_names(|app: &mut App, js, names| {
                if let Some(names) = app.check(js.client(), names) {
                    app.output.names("bucket", &names);
                    app.finish(js.client());
                }
            });
            return Ok(());
        }
        let mut buckets = Vec::new();
        js.list_key_values(move |app: &mut App, listing, listed| {
            if let Some(end) = collect(app, listing, listed, &mut buckets) {
                app.output.buckets(&buckets);
                note_end(app, listing, &end);
            }
        });
        Ok(())
    })
}
