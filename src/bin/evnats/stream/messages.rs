//! `stream get` and `rmm`: single messages.

use crate::failure::Failure;
use crate::input;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::jetstream::{MessageQuery, ReadFrom, Stream};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Name of the stream.
    stream: String,
    /// Sequence of the message.
    #[arg(required_unless_present = "last_for")]
    sequence: Option<u64>,
    /// Shows the last message of a subject, which may have wildcards.
    #[arg(short = 'S', long, value_name = "SUBJECT", conflicts_with_all = ["sequence", "next_for"])]
    last_for: Option<String>,
    /// Shows the first message of a subject from the sequence on.
    #[arg(long, value_name = "SUBJECT")]
    next_for: Option<String>,
    /// Shows nothing but the payload, byte for byte.
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Name of the stream.
    stream: String,
    /// Sequence of the message.
    sequence: u64,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn get(arguments: Get, session: Session) -> Result<(), Failure> {
    let style = if arguments.raw { Style::Raw } else { Style::Full };
    session.run(|app, client| {
        let query = match (&arguments.last_for, &arguments.next_for, arguments.sequence) {
            (Some(subject), _, _) => MessageQuery::LastBySubject(subject),
            (None, Some(subject), from) => {
                MessageQuery::NextBySubject { subject, from: from.unwrap_or_default() }
            }
            (None, None, sequence) => MessageQuery::Sequence(sequence.unwrap_or_default()),
        };
        let stream = app.jetstream(client).stream(&arguments.stream);
        stream.stored_message(query, ReadFrom::Leader, move |app: &mut App, stream, read| {
            if let Some(message) = app.check(stream.client(), read) {
                app.output.stored(stream.name(), &message, style);
                app.finish(stream.client());
            }
        });
        Ok(())
    })
}

pub(crate) fn remove(arguments: Remove, session: Session) -> Result<(), Failure> {
    let Remove { stream, sequence, force } = arguments;
    input::confirm(&format!("Delete message {sequence} of stream {stream}?"), force)?;
    session.run(|app, client| {
        let stream = app.jetstream(client).stream(&stream);
        let deleted = move |app: &mut App, stream: &Stream<App>, deleted| {
            if app.check(stream.client(), deleted).is_some() {
                app.output.message_deleted(stream.name(), sequence);
                app.finish(stream.client());
            }
        };
        stream.secure_delete_message(sequence, deleted);
        Ok(())
    })
}
