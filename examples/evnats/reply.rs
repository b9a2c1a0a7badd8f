//! `reply`: shows requests and replies to them, until it is stopped, has had enough, or its time
//! is over.

use crate::failure::Failure;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::{Client, HeaderMap, Message, OutgoingMessage, Subscription};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Subject to listen on.
    subject: String,
    /// What to reply. If it is absent, requests are sent back.
    #[arg(allow_negative_numbers = true)]
    body: Option<OsString>,
    /// Sends requests back, with their headers.
    #[arg(long, conflicts_with = "body")]
    echo: bool,
    /// Queue group: of its members, one gets each request.
    #[arg(short, long, value_name = "GROUP", default_value = "NATS-RPLY-22")]
    queue: String,
    /// Ends after this many requests.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let Arguments { subject, body, echo, queue, count } = arguments;
    let body = body.map(OsStringExt::into_vec);
    if body.is_none() && !echo {
        session.output().note("No body supplied, enabling echo mode");
    }
    session.living_on().run(|app, client| {
        let mut received = 0;
        let serve = move |app: &mut App, requests: &Subscription<App>, request: &Message| {
            let client = requests.client();
            received += 1;
            app.output.message(received, request, Style::Full);
            if let Err(error) = respond(client, request, body.as_deref()) {
                return app.fail(client, error);
            }
            if Some(received) == count {
                app.finish(client);
            }
        };
        let subscription = client.queue_subscribe(&subject, &queue, serve)?;
        if let Some(count) = count {
            // what comes beyond is for others of the group
            subscription.unsubscribe_after(count)?;
        }
        app.listen(client, format!("Listening on {subject:?} in group {queue:?}"));
        Ok(())
    })
}

/// Replies with the body, or else with what was asked.
fn respond(client: &Client<App>, request: &Message, body: Option<&[u8]>) -> evnats::Result<()> {
    if let Some(body) = body {
        return client.respond(request, body);
    }
    let Some(reply) = request.reply() else { return Ok(()) };
    let headers = request.headers().iter_bytes().fold(HeaderMap::new(), |map, (name, value)| {
        map.with(&String::from_utf8_lossy(name), value)
    });
    client.send(OutgoingMessage::new(&reply, request.payload()).headers(&headers))
}
