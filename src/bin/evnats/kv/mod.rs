//! `kv`: the verbs of Key-Value buckets.

mod buckets;
mod purging;
mod reading;
mod watching;
mod writing;

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Subcommand;
use evnats::Client;
use evnats::kv::KeyValue;

/// A bucket, with the tool's state for its callbacks.
type Bucket = KeyValue<App>;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Adds a bucket.
    #[command(alias = "new")]
    Add(buckets::Add),
    /// Changes the configuration of a bucket.
    Edit(buckets::Edit),
    /// Puts a value into a key.
    Put(writing::Put),
    /// Gets a key's value.
    Get(reading::Get),
    /// Puts a value into a key if it has none.
    Create(writing::Put),
    /// Puts a value into a key if it is at a revision.
    Update(writing::Update),
    /// Deletes a key, keeping its history, or without a key the bucket.
    Del(writing::Delete),
    /// Deletes keys with their history.
    Purge(purging::Purge),
    /// Removes everything from a bucket, without a trace for those who watch it.
    Clear(purging::Clear),
    /// Removes what deleted keys have left behind.
    Compact(purging::Compact),
    /// Gives a key the value that it had at a revision.
    Revert(writing::Revert),
    /// Lists the keys of a bucket.
    #[command(alias = "list")]
    Ls(reading::List),
    /// Shows all revisions of a key that the bucket keeps.
    History(reading::History),
    /// Shows what there is, and then every change.
    Watch(watching::Watch),
    /// Shows a bucket's configuration and contents in numbers.
    #[command(alias = "status", alias = "view")]
    Info(buckets::Info),
    /// Deletes a bucket with all its values.
    Rm(buckets::Remove),
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Add(arguments) => buckets::add(arguments, session),
        Verb::Edit(arguments) => buckets::edit(arguments, session),
        Verb::Put(arguments) => writing::put(arguments, session),
        Verb::Get(arguments) => reading::get(arguments, session),
        Verb::Create(arguments) => writing::create(arguments, session),
        Verb::Update(arguments) => writing::update(arguments, session),
        Verb::Del(arguments) => writing::delete(arguments, session),
        Verb::Purge(arguments) => purging::purge(arguments, session),
        Verb::Clear(arguments) => purging::clear(arguments, session),
        Verb::Compact(arguments) => purging::compact(arguments, session),
        Verb::Revert(arguments) => writing::revert(arguments, session),
        Verb::Ls(arguments) => reading::list(arguments, session),
        Verb::History(arguments) => reading::history(arguments, session),
        Verb::Watch(arguments) => watching::watch(arguments, session),
        Verb::Info(arguments) => buckets::info(arguments, session),
        Verb::Rm(arguments) => buckets::remove(arguments, session),
    }
}

fn bucket(app: &App, client: &Client<App>, name: &str) -> Bucket {
    app.jetstream(client).key_value(name)
}

/// Runs a verb on the keys of a bucket, which may be a mirror: only then keys have the subjects of
/// another one. Who may not ask about the bucket has one with keys of its own.
fn on_bucket(
    session: Session,
    name: String,
    begin: impl FnOnce(&mut App, &Bucket) + 'static,
) -> Result<(), Failure> {
    session.run(|app, client| {
        bucket(app, client, &name).bind(|app: &mut App, kv, bound| match bound {
            Err(error) if !error.is_denied() => app.fail(kv.client(), error),
            _ => begin(app, kv),
        });
        Ok(())
    })
}
