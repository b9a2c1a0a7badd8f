//! `consumer add`, `ls`, `info`, `edit` and `rm`: consumers as a whole.

use super::Which;
use super::config::Flags;
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use crate::stream::{collect, note_end};
use clap::Args;
use evnats::jetstream::{Consumer, ConsumerInfo, Error, JetStream};

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the stream.
    stream: String,
    /// Name of the consumer; if absent, it gets one and is ephemeral.
    consumer: Option<String>,
    /// Has the consumer end when nobody uses it.
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    flags: Box<Flags>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Name of the stream.
    stream: String,
    /// Shows names only.
    #[arg(short, long)]
    names: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    flags: Box<Flags>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    which: Which,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn add(arguments: Add, session: Session) -> Result<(), Failure> {
    let Add { stream, consumer, ephemeral, flags } = arguments;
    let config = flags.new_consumer(consumer, ephemeral)?;
    session.run(|app, client| {
        app.jetstream(client).create_consumer(&stream, &config, show);
        Ok(())
    })
}

pub(crate) fn list(arguments: List, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let js = app.jetstream(client);
        if arguments.names {
            let mut names = Vec::new();
            js.list_consumer_names(&arguments.stream, move |app: &mut App, listing, listed| {
                if let Some(end) = collect(app, listing, listed, &mut names) {
                    app.output.names("consumer", &names);
                    note_end(app, listing, &end);
                }
            });
        } else {
            let mut consumers: Vec<ConsumerInfo> = Vec::new();
            js.list_consumers(&arguments.stream, move |app: &mut App, listing, listed| {
                if let Some(end) = collect(app, listing, listed, &mut consumers) {
                    app.output.consumers(&consumers);
                    note_end(app, listing, &end);
                }
            });
        }
        Ok(())
    })
}

pub(crate) fn info(which: Which, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        app.jetstream(client).consumer_info(&which.stream, &which.consumer, show);
        Ok(())
    })
}

pub(crate) fn edit(arguments: Edit, session: Session) -> Result<(), Failure> {
    let Edit { which: Which { stream, consumer }, flags, force } = arguments;
    input::confirm_if_possible(&format!("Change consumer {stream} > {consumer}?"), force)?;
    session.run(|app, client| {
        let js = app.jetstream(client);
        let name = stream.clone();
        js.consumer_info(&stream, &consumer, move |app: &mut App, js, info| {
            let Some(info) = app.check(js.client(), info) else { return };
            let mut config = info.config.unwrap_or_default();
            // older servers do not repeat it
            config.name.get_or_insert(info.name);
            let changed = flags.changed(config);
            if let Some(config) = app.check(js.client(), changed) {
                js.update_consumer(&name, &config, show);
            }
        });
        Ok(())
    })
}

pub(crate) fn remove(arguments: Remove, session: Session) -> Result<(), Failure> {
    let Remove { which, force } = arguments;
    input::confirm(&format!("Delete consumer {} > {}?", which.stream, which.consumer), force)?;
    session.run(|app, client| {
        which.handle(app, client).delete(|app: &mut App, consumer: &Consumer<App>, deleted| {
            if app.check(consumer.client(), deleted).is_some() {
                let stream = consumer.stream().name().to_owned();
                app.output.consumer_done(&stream, consumer.name(), "deleted");
                app.finish(consumer.client());
            }
        });
        Ok(())
    })
}

fn show(app: &mut App, js: &JetStream<App>, info: Result<ConsumerInfo, Error>) {
    if let Some(info) = app.check(js.client(), info) {
        app.output.consumer(&info);
        app.finish(js.client());
    }
}
