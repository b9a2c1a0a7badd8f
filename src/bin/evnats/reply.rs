//! `reply`: shows requests and replies to them, until it is stopped, has had enough, or its time
//! is over.

use crate::failure::Failure;
use crate::input::{self, Templates};
use crate::output::Style;
use crate::session::{App, Session};
use crate::template::{Context, Template};
use clap::Args;
use evnats::{Client, HeaderMap, Message, OutgoingMessage, Subscription};
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

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
    /// Waits before each reply, as 1s or 10ms.
    #[arg(long, value_parser = input::duration, value_name = "DURATION")]
    sleep: Option<Duration>,
    #[command(flatten)]
    templates: Templates,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let Arguments { subject, body, echo, queue, count, sleep, templates } = arguments;
    let body = body.map(|body| templates.read(&input::bytes(body))).transpose()?;
    if body.is_none() && !echo {
        session.output().note("No body supplied, enabling echo mode");
    }
    session.living_on().run(|app, client| {
        let mut received = 0;
        let serve = move |app: &mut App, requests: &Subscription<App>, request: &Message| {
            received += 1;
            app.output.message(received, request, Style::Full);
            let answer = Answer::to(request, body.as_ref(), received);
            let is_last = Some(received) == count;
            let send = move |app: &mut App, client: &Client<App>| match answer.send(client) {
                Ok(()) if is_last => app.finish(client),
                Ok(()) => {}
                Err(error) => app.fail(client, error),
            };
            match sleep {
                Some(sleep) => drop(requests.client().set_timer(sleep, send)),
                None => send(app, requests.client()),
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

/// What is sent back: the body, or else what was asked.
struct Answer {
    reply: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn to(request: &Message, body: Option<&Template>, count: u64) -> Self {
        let reply = request.reply().map(|reply| reply.into_owned());
        let Some(body) = body else {
            let headers = request.headers().into();
            return Self { reply, headers, body: request.payload().to_vec() };
        };
        let context = Context { count, now: SystemTime::now(), request: request.payload() };
        Self { reply, headers: HeaderMap::new(), body: body.render(&context) }
    }

    fn send(&self, client: &Client<App>) -> evnats::Result {
        match &self.reply {
            Some(reply) => {
                client.send(OutgoingMessage::new(reply, &self.body).headers(&self.headers))
            }
            None => Ok(()),
        }
    }
}
