//! `stream add`, `edit`, `purge` and `rm`: streams as a whole.

use super::config::Flags;
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::Args;
use evnats::jetstream::{Error, JetStream, PurgeOptions, Stream, StreamInfo};

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the stream, if it is not in the file with the configuration.
    stream: Option<String>,
    #[command(flatten)]
    flags: Box<Flags>,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// Name of the stream.
    stream: String,
    #[command(flatten)]
    flags: Box<Flags>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Name of the stream.
    stream: String,
    /// Removes messages of this subject only, which may have wildcards.
    #[arg(long)]
    subject: Option<String>,
    /// Removes messages before this sequence.
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "keep")]
    seq: Option<u64>,
    /// Keeps this many messages.
    #[arg(long, value_name = "COUNT")]
    keep: Option<u64>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Name of the stream.
    stream: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn add(arguments: Add, session: Session) -> Result<(), Failure> {
    let config = arguments.flags.new_stream(arguments.stream)?;
    session.run(|app, client| {
        app.jetstream(client).create_stream(&config, show);
        Ok(())
    })
}

pub(crate) fn edit(arguments: Edit, session: Session) -> Result<(), Failure> {
    let Edit { stream, flags, force } = arguments;
    input::confirm_if_possible(&format!("Change stream {stream}?"), force)?;
    session.run(|app, client| {
        app.jetstream(client).stream_info(&stream, move |app: &mut App, js, info| {
            let Some(info) = app.check(js.client(), info) else { return };
            let changed = flags.changed(info.config);
            if let Some(config) = app.check(js.client(), changed) {
                js.update_stream(&config, show);
            }
        });
        Ok(())
    })
}

pub(crate) fn purge(arguments: Purge, session: Session) -> Result<(), Failure> {
    input::confirm(&format!("Purge stream {}?", arguments.stream), arguments.force)?;
    let mut options = PurgeOptions::new();
    options.subject = arguments.subject;
    options.before = arguments.seq;
    options.keep = arguments.keep;
    session.run(|app, client| {
        let stream = app.jetstream(client).stream(&arguments.stream);
        stream.purge(&options, |app: &mut App, stream: &Stream<App>, purged| {
            if let Some(purged) = app.check(stream.client(), purged) {
                app.output.stream_purged(stream.name(), purged);
                app.finish(stream.client());
            }
        });
        Ok(())
    })
}

pub(crate) fn remove(arguments: Remove, session: Session) -> Result<(), Failure> {
    input::confirm(&format!("Delete stream {}?", arguments.stream), arguments.force)?;
    session.run(|app, client| {
        let stream = app.jetstream(client).stream(&arguments.stream);
        stream.delete(|app: &mut App, stream: &Stream<App>, deleted| {
            if app.check(stream.client(), deleted).is_some() {
                app.output.stream_done(stream.name(), "deleted");
                app.finish(stream.client());
            }
        });
        Ok(())
    })
}

pub(super) fn show(app: &mut App, js: &JetStream<App>, info: Result<StreamInfo, Error>) {
    if let Some(info) = app.check(js.client(), info) {
        app.output.stream(&info);
        app.finish(js.client());
    }
}
