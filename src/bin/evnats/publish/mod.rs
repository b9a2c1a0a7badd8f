//! `pub`: publishes messages, and is done when the server has them, or the streams that store them.

mod stored;

use crate::failure::Failure;
use crate::input::{self, MessageArguments, MessageTemplate};
use crate::session::{App, Session};
use crate::template::Context;
use clap::Args;
use evnats::{Client, CommandError, Error, FlushError};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    message: MessageArguments,
    /// Subject to which receivers are to reply.
    #[arg(long, value_name = "SUBJECT")]
    reply: Option<String>,
    /// Waits for the acknowledgements of the streams that store the messages.
    #[arg(short = 'J', long, alias = "js", conflicts_with = "reply")]
    jetstream: bool,
    /// Shows no progress.
    #[arg(long)]
    no_progress: bool,
    /// Publishes the message this many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Waits between messages, as 1s or 10ms.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    sleep: Option<Duration>,
    /// Shows nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let batch = Rc::new(Batch {
        subject_as_given: arguments.message.subject.clone(),
        message: arguments.message.read()?,
        reply: arguments.reply,
        count: arguments.count,
        sleep: arguments.sleep,
        is_quiet: arguments.quiet,
        sent: Cell::new(0),
        bytes: Cell::new(0),
    });
    if arguments.jetstream {
        let progress = session.progress_of_messages(!arguments.no_progress && !batch.is_quiet);
        return session.run(|app, client| {
            stored::begin(app, client, &batch, progress);
            Ok(())
        });
    }
    session.run(|app, client| {
        let rest = batch.clone();
        client.on_writable(move |app, client| rest.send(app, client));
        batch.send(app, client);
        Ok(())
    })
}

/// The messages to publish.
struct Batch {
    message: MessageTemplate,
    subject_as_given: String,
    reply: Option<String>,
    count: u64,
    sleep: Option<Duration>,
    is_quiet: bool,
    sent: Cell<u64>,
    /// Size of the last body.
    bytes: Cell<usize>,
}

impl Batch {
    /// Publishes what the outgoing buffer takes. The rest follows when it is writable again, or
    /// after the pause.
    fn send(self: &Rc<Self>, app: &mut App, client: &Client<App>) {
        while self.sent.get() < self.count {
            match self.send_one(client) {
                Ok(()) => self.sent.set(self.sent.get() + 1),
                Err(Error::Command(CommandError::BufferFull { .. })) => return,
                Err(error) => return app.fail(client, error),
            }
            if let Some(sleep) = self.sleep.filter(|_| self.sent.get() < self.count) {
                let rest = self.clone();
                client.set_timer(sleep, move |app, client| rest.send(app, client));
                return;
            }
        }
        let batch = self.clone();
        client.flush(move |app, client, flushed| {
            let flushed = flushed.map_err(|error| match error {
                // the server may have some or all of them
                FlushError::Disconnected => Failure::outcome_unknown(error),
                error => error.into(),
            });
            if app.check(client, flushed).is_some() {
                batch.report(app);
                app.finish(client);
            }
        });
    }

    fn send_one(&self, client: &Client<App>) -> evnats::Result {
        let rendered = self.message.render(&Context::of(self.sent.get() + 1));
        self.bytes.set(rendered.body.len());
        let message = rendered.message();
        client.send(match &self.reply {
            Some(reply) => message.reply(reply),
            None => message,
        })
    }

    fn report(&self, app: &App) {
        if !self.is_quiet {
            app.output.published(&self.subject_as_given, self.bytes.get(), self.count);
        }
    }
}
