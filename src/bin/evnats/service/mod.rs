//! `service`: which services there are, what they have done, and requests to their endpoints.

mod asking;
mod requesting;

use crate::failure::Failure;
use crate::session::Session;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists services.
    #[command(alias = "list")]
    Ls(asking::Services),
    /// Shows what a service is, and its endpoints.
    #[command(alias = "i")]
    Info(asking::Instances),
    /// Shows what the endpoints of a service have done.
    #[command(alias = "stat")]
    Stats(asking::Instances),
    /// Shows which services reply, and how soon.
    Ping(asking::Services),
    /// Sends a request to an endpoint of a service, and shows the reply.
    #[command(alias = "request")]
    Req(requesting::Arguments),
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Ls(arguments) => asking::list(arguments, session),
        Verb::Info(arguments) => asking::info(arguments, session),
        Verb::Stats(arguments) => asking::stats(arguments, session),
        Verb::Ping(arguments) => asking::ping(arguments, session),
        Verb::Req(arguments) => requesting::run(arguments, session),
    }
}

/// There is nobody of that name, or not that instance.
fn not_found(name: &str, id: Option<&str>) -> Failure {
    let instance = id.map(|id| format!(" with the id {id}")).unwrap_or_default();
    let failure =
        Failure::new("service_not_found", format!("there is no service {name:?}{instance}"));
    let failure = failure.with("service", name);
    id.into_iter().fold(failure, |failure, id| failure.with("id", id))
}
