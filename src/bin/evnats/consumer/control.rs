//! `consumer pause`, `resume`, `reset` and `unpin`: what a consumer does next.

use super::Which;
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::Args;
use evnats::jetstream::{Consumer, ConsumerPause, Error};
use std::time::SystemTime;

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    which: Which,
    /// Until when, as 2030-01-01T00:00:00Z, or for how long, as 1h.
    #[arg(value_parser = until)]
    until: SystemTime,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    which: Which,
    /// Sequence of the stream to go on with; if absent, the first one that was not acknowledged.
    #[arg(long, value_name = "SEQUENCE")]
    seq: Option<u64>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Unpin {
    #[command(flatten)]
    which: Which,
    /// The priority group.
    group: String,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

/// Reads a time, or how far ahead it is.
fn until(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let ahead = input::duration(text).map_err(|error| error.to_string())?;
    SystemTime::now().checked_add(ahead).ok_or_else(|| "too far ahead".into())
}

pub(crate) fn pause(arguments: Pause, session: Session) -> Result<(), Failure> {
    let Pause { which, until, force } = arguments;
    let question = format!("Pause consumer {} > {}?", which.stream, which.consumer);
    input::confirm_if_possible(&question, force)?;
    session.run(|app, client| {
        which.handle(app, client).pause(until, show_pause);
        Ok(())
    })
}

pub(crate) fn resume(which: Which, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        which.handle(app, client).resume(show_pause);
        Ok(())
    })
}

fn show_pause(app: &mut App, consumer: &Consumer<App>, pause: Result<ConsumerPause, Error>) {
    if let Some(pause) = app.check(consumer.client(), pause) {
        app.output.paused(consumer.stream().name(), consumer.name(), &pause);
        app.finish(consumer.client());
    }
}

pub(crate) fn reset(arguments: Reset, session: Session) -> Result<(), Failure> {
    let Reset { which, seq, force } = arguments;
    let question = format!("Reset consumer {} > {}?", which.stream, which.consumer);
    input::confirm_if_possible(&question, force)?;
    session.run(|app, client| {
        which.handle(app, client).reset(seq, |app: &mut App, consumer, reset| {
            if let Some(reset) = app.check(consumer.client(), reset) {
                app.output.consumer(&reset.info);
                app.finish(consumer.client());
            }
        });
        Ok(())
    })
}

pub(crate) fn unpin(arguments: Unpin, session: Session) -> Result<(), Failure> {
    let Unpin { which, group, force } = arguments;
    let question = format!("Unpin group {group} of {} > {}?", which.stream, which.consumer);
    input::confirm_if_possible(&question, force)?;
    session.run(|app, client| {
        let unpinned = |app: &mut App, consumer: &Consumer<App>, unpinned: Result<(), Error>| {
            if app.check(consumer.client(), unpinned).is_some() {
                app.output.consumer_done(consumer.stream().name(), consumer.name(), "unpinned");
                app.finish(consumer.client());
            }
        };
        which.handle(app, client).unpin(&group, unpinned);
        Ok(())
    })
}
