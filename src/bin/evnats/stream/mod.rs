//! `stream`: the verbs of streams.

mod backup;
mod cluster;
mod config;
mod making;
mod messages;
mod showing;
mod view;

use crate::failure::Failure;
pub(crate) use showing::{collect, note_end};

use crate::session::Session;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Adds a stream.
    #[command(alias = "new", alias = "create")]
    Add(making::Add),
    /// Lists the streams.
    #[command(alias = "list")]
    Ls(showing::List),
    /// Shows a stream's configuration and state.
    #[command(alias = "state")]
    Info(showing::Info),
    /// Changes a stream's configuration: what is not given stays as it is.
    #[command(alias = "update")]
    Edit(making::Edit),
    /// Removes messages from a stream.
    Purge(making::Purge),
    /// Deletes a stream with all that it stores.
    #[command(alias = "del", alias = "delete")]
    Rm(making::Remove),
    /// Shows a stored message.
    Get(messages::Get),
    /// Shows the stored messages, page by page on a terminal.
    View(view::View),
    /// Deletes a stored message, and overwrites what it held.
    Rmm(messages::Remove),
    /// Lists the subjects that have messages, with their number.
    #[command(alias = "subs")]
    Subjects(showing::Subjects),
    /// Tells the servers of a cluster that keep a stream what to do.
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Writes a stream and its consumers into a folder.
    Backup(backup::Backup),
    /// Makes a stream of what is in a folder.
    Restore(backup::Restore),
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Add(arguments) => making::add(arguments, session),
        Verb::Ls(arguments) => showing::list(arguments, session),
        Verb::Info(arguments) => showing::info(arguments, session),
        Verb::Edit(arguments) => making::edit(arguments, session),
        Verb::Purge(arguments) => making::purge(arguments, session),
        Verb::Rm(arguments) => making::remove(arguments, session),
        Verb::Get(arguments) => messages::get(arguments, session),
        Verb::View(arguments) => view::view(arguments, session),
        Verb::Rmm(arguments) => messages::remove(arguments, session),
        Verb::Subjects(arguments) => showing::subjects(arguments, session),
        Verb::Cluster(verb) => cluster::run(verb, session),
        Verb::Backup(arguments) => backup::backup(arguments, session),
        Verb::Restore(arguments) => backup::restore(arguments, session),
    }
}
