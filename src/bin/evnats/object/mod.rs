//! `object`: the verbs of buckets of objects.

mod buckets;
mod describing;
mod getting;
mod listing;
mod putting;

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Subcommand;
use evnats::Client;
use evnats::object_store::ObjectStore;

/// A bucket, with the tool's state for its callbacks.
type Bucket = ObjectStore<App>;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Adds a bucket.
    #[command(alias = "new")]
    Add(buckets::Add),
    /// Puts a file, or the standard input, into a bucket.
    Put(putting::Put),
    /// Gets an object into a file, or to the standard output.
    Get(getting::Get),
    /// Lists the objects of a bucket, or the buckets.
    #[command(alias = "list")]
    Ls(listing::List),
    /// Shows what is known of an object, or of a bucket.
    #[command(alias = "status", alias = "show")]
    Info(describing::Info),
    /// Deletes an object, or without a name the bucket.
    #[command(alias = "delete")]
    Del(describing::Delete),
    /// Shows what there is, and then every change.
    Watch(listing::Watch),
    /// Seals a bucket: nothing in it can be changed any more.
    Seal(buckets::Seal),
    /// Deletes a bucket with all its objects.
    Rm(buckets::Remove),
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Add(arguments) => buckets::add(arguments, session),
        Verb::Put(arguments) => putting::put(arguments, session),
        Verb::Get(arguments) => getting::get(arguments, session),
        Verb::Ls(arguments) => listing::list(arguments, session),
        Verb::Watch(arguments) => listing::watch(arguments, session),
        Verb::Info(arguments) => describing::info(arguments, session),
        Verb::Del(arguments) => describing::delete(arguments, session),
        Verb::Seal(arguments) => buckets::seal(arguments, session),
        Verb::Rm(arguments) => buckets::remove(arguments, session),
    }
}

fn bucket(app: &App, client: &Client<App>, name: &str) -> Bucket {
    app.jetstream(client).object_store(name)
}
