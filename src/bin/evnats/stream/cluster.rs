//! `stream cluster`: the servers that keep a stream.

use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::{Args, Subcommand};
use evnats::jetstream::{Error, Stream};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Has the leader give up its place.
    #[command(alias = "down", alias = "stepdown")]
    StepDown(StepDown),
    /// Has a server not keep the stream any more.
    #[command(alias = "pr")]
    PeerRemove(PeerRemove),
}

#[derive(Debug, Args)]
pub(crate) struct StepDown {
    /// Name of the stream.
    stream: String,
    /// Name of the server that is to lead.
    #[arg(long, value_name = "SERVER")]
    preferred: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PeerRemove {
    /// Name of the stream.
    stream: String,
    /// Name of the server.
    peer: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::StepDown(arguments) => session.run(|app, client| {
            let stream = app.jetstream(client).stream(&arguments.stream);
            stream.step_down(arguments.preferred.as_deref(), done("stepped_down"));
            Ok(())
        }),
        Verb::PeerRemove(PeerRemove { stream, peer, force }) => {
            input::confirm(&format!("Remove {peer} from stream {stream}?"), force)?;
            session.run(|app, client| {
                let stream = app.jetstream(client).stream(&stream);
                stream.remove_peer(&peer, done("peer_removed"));
                Ok(())
            })
        }
    }
}

fn done(what: &'static str) -> impl FnOnce(&mut App, &Stream<App>, Result<(), Error>) {
    move |app, stream, done| {
        if app.check(stream.client(), done).is_some() {
            app.output.stream_done(stream.name(), what);
            app.finish(stream.client());
        }
    }
}
