//! `consumer`: the verbs of consumers.

mod config;
mod control;
mod making;
mod reading;

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::{Args, Subcommand};
use evnats::Client;
use evnats::jetstream::Consumer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Adds a consumer.
    #[command(alias = "new", alias = "create")]
    Add(making::Add),
    /// Lists the consumers of a stream.
    #[command(alias = "list")]
    Ls(making::List),
    /// Shows a consumer's configuration and state.
    #[command(alias = "nfo")]
    Info(Which),
    /// Changes a consumer's configuration: what is not given stays as it is.
    #[command(alias = "update")]
    Edit(making::Edit),
    /// Deletes a consumer.
    #[command(alias = "del", alias = "delete")]
    Rm(making::Remove),
    /// Has a consumer deliver nothing for a time.
    Pause(control::Pause),
    /// Has a paused consumer go on.
    Resume(Which),
    /// Sets a consumer back, to deliver again.
    Reset(control::Reset),
    /// Takes the pin of a priority group from the client that has it.
    Unpin(control::Unpin),
    /// Takes the next messages of a consumer.
    Next(reading::Next),
    /// Shows the messages of a consumer as they come, or all of a stream.
    #[command(alias = "consume")]
    Sub(reading::Subscribe),
}

/// Which consumer is meant.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Name of the stream.
    stream: String,
    /// Name of the consumer.
    consumer: String,
}

impl Which {
    fn handle(&self, app: &App, client: &Client<App>) -> Consumer<App> {
        app.jetstream(client).stream(&self.stream).consumer(&self.consumer)
    }
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Add(arguments) => making::add(arguments, session),
        Verb::Ls(arguments) => making::list(arguments, session),
        Verb::Info(which) => making::info(which, session),
        Verb::Edit(arguments) => making::edit(arguments, session),
        Verb::Rm(arguments) => making::remove(arguments, session),
        Verb::Pause(arguments) => control::pause(arguments, session),
        Verb::Resume(which) => control::resume(which, session),
        Verb::Reset(arguments) => control::reset(arguments, session),
        Verb::Unpin(arguments) => control::unpin(arguments, session),
        Verb::Next(arguments) => reading::next(arguments, session),
        Verb::Sub(arguments) => reading::subscribe(arguments, session),
    }
}
