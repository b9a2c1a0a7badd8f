//! `counter`: numbers that a stream adds to.

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::{Args, Subcommand};
use evnats::jetstream::{Integer, JetStream, ReadFrom};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Adds to a counter, and shows its new value.
    #[command(alias = "incr")]
    Add(Add),
    /// Shows the value of a counter.
    #[command(alias = "view")]
    Get(Get),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Subject of the counter.
    subject: String,
    /// What to add; may be negative.
    #[arg(allow_negative_numbers = true, default_value = "1")]
    by: String,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Subject of the counter.
    subject: String,
    /// Name of its stream; if absent, it is looked for.
    #[arg(long)]
    stream: Option<String>,
}

pub(crate) fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Add(arguments) => add(arguments, session),
        Verb::Get(arguments) => get(arguments, session),
    }
}

fn add(arguments: Add, session: Session) -> Result<(), Failure> {
    let by: Integer = arguments.by.parse()?;
    session.run(|app, client| {
        let subject = arguments.subject.clone();
        app.jetstream(client).counter_add(
            &arguments.subject,
            by,
            move |app: &mut App, js, value| {
                if let Some(value) = app.check(js.client(), value) {
                    app.output.counter(&subject, &value);
                    app.finish(js.client());
                }
            },
        );
        Ok(())
    })
}

fn get(arguments: Get, session: Session) -> Result<(), Failure> {
    let Get { subject, stream } = arguments;
    session.run(|app, client| {
        let js = app.jetstream(client);
        if let Some(stream) = stream {
            show(&js, &stream, subject);
            return Ok(());
        }
        js.stream_by_subject(&subject.clone(), move |app: &mut App, js, found| {
            match app.check(js.client(), found) {
                Some(Some(stream)) => show(js, stream.name(), subject),
                Some(None) => app.fail(js.client(), not_found(&subject)),
                None => {}
            }
        });
        Ok(())
    })
}

fn show(js: &JetStream<App>, stream: &str, subject: String) {
    js.counter_get(
        stream,
        &subject.clone(),
        ReadFrom::Leader,
        move |app: &mut App, js, counter| match app.check(js.client(), counter) {
            Some(Some(counter)) => {
                app.output.counter(&subject, &counter.value);
                app.finish(js.client());
            }
            Some(None) => app.fail(js.client(), not_found(&subject)),
            None => {}
        },
    );
}

fn not_found(subject: &str) -> Failure {
    let failure = Failure::new("counter_not_found", format!("there is no counter {subject:?}"));
    failure.with("subject", subject)
}
