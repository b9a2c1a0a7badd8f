//! `request`: sends a request and shows the reply.

use crate::failure::Failure;
use crate::input::{self, Header};
use crate::output::Style;
use crate::session::Session;
use clap::Args;
use evnats::OutgoingMessage;
use std::ffi::OsString;
use std::time::Instant;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Subject to send the request to.
    subject: String,
    /// The request; if absent, what the standard input has, unless it is a terminal.
    #[arg(allow_negative_numbers = true)]
    body: Option<OsString>,
    /// Adds a header; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = input::header)]
    headers: Vec<Header>,
    /// Shows nothing but the reply's payload, byte for byte.
    #[arg(short, long)]
    raw: bool,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let body = input::body(arguments.body)?;
    let headers = input::header_map(&arguments.headers);
    let style = if arguments.raw { Style::Raw } else { Style::Full };
    let timeout = session.timeout();
    session.run(|app, _| {
        // sent when the connection stands, so that the time shown is that of the request
        app.once_connected(move |app, client| {
            if style != Style::Raw {
                app.output.note(&format!("Sending request on {:?}", arguments.subject));
            }
            let sent = Instant::now();
            let request = OutgoingMessage::new(&arguments.subject, &body).headers(&headers);
            client.send_request(request, timeout, move |app, client, reply| {
                if let Some(reply) = app.check(client, reply) {
                    app.output.reply(&reply, sent.elapsed(), style);
                    app.finish(client);
                }
            });
        });
        Ok(())
    })
}
