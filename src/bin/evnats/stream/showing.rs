//! `stream ls`, `info` and `subjects`: what there is.

use super::making::show;
use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Args;
use evnats::jetstream::{ListEnd, Listed, Listing, StreamDetails, StreamInfo};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Shows names only.
    #[arg(short, long)]
    names: bool,
    /// Shows only streams that store this subject, or some of its subjects if it has wildcards.
    #[arg(long)]
    subject: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Name of the stream.
    stream: String,
}

#[derive(Debug, Args)]
pub(crate) struct Subjects {
    /// Name of the stream.
    stream: String,
    /// Which subjects, with wildcards.
    #[arg(default_value = ">")]
    filter: String,
}

pub(crate) fn list(arguments: List, session: Session) -> Result<(), Failure> {
    let subject = arguments.subject;
    session.run(|app, client| {
        let js = app.jetstream(client);
        if arguments.names {
            let mut names = Vec::new();
            js.list_stream_names(subject.as_deref(), move |app: &mut App, listing, listed| {
                if let Some(end) = collect(app, listing, listed, &mut names) {
                    app.output.names("stream", &names);
                    note_end(app, listing, &end);
                }
            });
        } else {
            let mut streams: Vec<StreamInfo> = Vec::new();
            js.list_streams(subject.as_deref(), move |app: &mut App, listing, listed| {
                if let Some(end) = collect(app, listing, listed, &mut streams) {
                    app.output.streams(&streams);
                    note_end(app, listing, &end);
                }
            });
        }
        Ok(())
    })
}

/// Keeps what is listed, and returns the end.
pub(crate) fn collect<T>(
    app: &mut App,
    listing: &Listing<App>,
    listed: Listed<T, ListEnd>,
    all: &mut Vec<T>,
) -> Option<ListEnd> {
    match listed {
        Listed::Item(item) => {
            all.push(item);
            None
        }
        Listed::Ended(end) => app.check(listing.jetstream().client(), end),
    }
}

/// Says of what nothing could be told, and ends the verb.
pub(crate) fn note_end(app: &mut App, listing: &Listing<App>, end: &ListEnd) {
    for name in &end.missing {
        app.output.note(&format!("Nobody tells anything about {name}"));
    }
    for (name, reason) in &end.offline {
        app.output.note(&format!("{name} is offline: {reason}"));
    }
    app.finish(listing.jetstream().client());
}

pub(crate) fn info(arguments: Info, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        app.jetstream(client).stream_info(&arguments.stream, show);
        Ok(())
    })
}

pub(crate) fn subjects(arguments: Subjects, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let details = StreamDetails::new().subjects_filter(arguments.filter);
        let show = |app: &mut App, js: &evnats::jetstream::JetStream<App>, info| {
            if let Some(info) = app.check(js.client(), info) {
                app.output.subjects(&info);
                app.finish(js.client());
            }
        };
        app.jetstream(client).stream_info_with(&arguments.stream, &details, show);
        Ok(())
    })
}
