//! `pub`: publishes messages, and is done when the server has them.

use crate::failure::Failure;
use crate::input::{self, Header};
use crate::session::{App, Session};
use clap::Args;
use evnats::{Client, CommandError, Error, FlushError, HeaderMap, OutgoingMessage};
use std::cell::Cell;
use std::ffi::OsString;
use std::rc::Rc;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Subject to publish to.
    subject: String,
    /// The message; if absent, what the standard input has, unless it is a terminal.
    #[arg(allow_negative_numbers = true)]
    body: Option<OsString>,
    /// Adds a header; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = input::header)]
    headers: Vec<Header>,
    /// Subject to which receivers are to reply.
    #[arg(long, value_name = "SUBJECT")]
    reply: Option<String>,
    /// Publishes the message this many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let batch = Rc::new(Batch {
        body: input::body(arguments.body)?,
        headers: input::header_map(&arguments.headers),
        subject: arguments.subject,
        reply: arguments.reply,
        count: arguments.count,
        unsent: Cell::new(arguments.count),
    });
    session.run(|app, client| {
        let rest = batch.clone();
        client.on_writable(move |app, client| rest.send(app, client));
        batch.send(app, client);
        Ok(())
    })
}

/// The messages to publish.
struct Batch {
    subject: String,
    reply: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
    count: u64,
    unsent: Cell<u64>,
}

impl Batch {
    /// Publishes what the outgoing buffer takes. The rest follows when it is writable again.
    fn send(&self, app: &mut App, client: &Client<App>) {
        while self.unsent.get() > 0 {
            match client.send(self.message()) {
                Ok(()) => self.unsent.set(self.unsent.get() - 1),
                Err(Error::Command(CommandError::BufferFull { .. })) => return,
                Err(error) => return app.fail(client, error),
            }
        }
        let (subject, bytes, count) = (self.subject.clone(), self.body.len(), self.count);
        client.flush(move |app, client, flushed| {
            let flushed = flushed.map_err(|error| match error {
                // the server may have some or all of them
                FlushError::Disconnected => Failure::outcome_unknown(error),
                error => error.into(),
            });
            if app.check(client, flushed).is_some() {
                app.output.published(&subject, bytes, count);
                app.finish(client);
            }
        });
    }

    fn message(&self) -> OutgoingMessage<'_> {
        let message = OutgoingMessage::new(&self.subject, &self.body).headers(&self.headers);
        match &self.reply {
            Some(reply) => message.reply(reply),
            None => message,
        }
    }
}
