//! `account`: what the account uses of JetStream.

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows what the account uses of JetStream, and how much it may use.
    #[command(alias = "nfo")]
    Info,
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Info => session.run(|app, client| {
            app.jetstream(client).account_info(|app: &mut App, js, info| {
                if let Some(info) = app.check(js.client(), info) {
                    app.output.account(&info);
                    app.finish(js.client());
                }
            });
            Ok(())
        }),
    }
}
