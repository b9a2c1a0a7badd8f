//! `request`: sends a request and shows the reply, or the replies of several.

use crate::failure::Failure;
use crate::input::{MessageArguments, Rendered};
use crate::output::Style;
use crate::session::{App, Session};
use crate::template::Context;
use clap::Args;
use evnats::{Client, Message, RequestError};
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    message: MessageArguments,
    /// Shows nothing but the reply's payload, byte for byte.
    #[arg(short, long)]
    raw: bool,
    /// Waits for this many replies; 0 for all that come within the timeout.
    #[arg(long, default_value_t = 1)]
    replies: u64,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let request = Rc::new(Request {
        rendered: arguments.message.read()?.render(&Context::of(1)),
        style: if arguments.raw { Style::Raw } else { Style::Full },
        timeout: session.timeout(),
        replies: arguments.replies,
    });
    session.run(|app, _| {
        // sent when the connection stands, so that the time shown is that of the request
        app.once_connected(move |app, client| request.send(app, client));
        Ok(())
    })
}

struct Request {
    rendered: Rendered,
    style: Style,
    timeout: Duration,
    replies: u64,
}

impl Request {
    fn send(self: &Rc<Self>, app: &mut App, client: &Client<App>) {
        if self.style != Style::Raw {
            app.output.note(&format!("Sending request on {:?}", self.rendered.subject));
        }
        if self.replies == 1 {
            self.send_for_one(client);
        } else if let Err(error) = self.send_for_several(client) {
            app.fail(client, error);
        }
    }

    fn send_for_one(self: &Rc<Self>, client: &Client<App>) {
        let (sent, style) = (Instant::now(), self.style);
        let message = self.rendered.message();
        client.send_request(message, self.timeout, move |app, client, reply| {
            if let Some(reply) = app.check(client, reply) {
                app.output.reply(reply, sent.elapsed(), style);
                app.finish(client);
            }
        });
    }

    /// Replies come on a subject of this request's own until there are enough, or the time is over.
    fn send_for_several(self: &Rc<Self>, client: &Client<App>) -> evnats::Result {
        let (sent, inbox, request) = (Instant::now(), client.new_inbox(), self.clone());
        let mut received = 0;
        let replies =
            client.subscribe(&inbox, move |app: &mut App, replies, reply: &Message| {
                let client = replies.client();
                if reply.control_status() == Some(NO_RESPONDERS) {
                    return app.fail(client, RequestError::NoResponders { subject: None });
                }
                app.output.reply(reply, sent.elapsed(), request.style);
                received += 1;
                if received == request.replies {
                    app.finish(client);
                }
            })?;
        client.send(self.rendered.message().reply(&inbox))?;
        let request = self.clone();
        client.set_timer(self.timeout, move |app, client| {
            let received = replies.snapshot().map_or(0, |snapshot| snapshot.delivered);
            if received > 0 && request.replies == 0 {
                return app.finish(client);
            }
            let expected = request.replies.max(1);
            let text = format!("{received} of {expected} replies in {:?}", request.timeout);
            app.fail(client, Failure::new("timeout", text));
        });
        Ok(())
    }
}

/// The status with which a server says that nobody has subscribed to the request's subject.
const NO_RESPONDERS: u16 = 503;
