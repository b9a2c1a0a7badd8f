//! `sub`: shows messages until it is stopped, has had enough, or its time is over.

use crate::failure::Failure;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::{Message, Subscription};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Subject to subscribe to; `*` stands for a token, `>` for the last ones.
    subject: String,
    /// Subscribes as a member of a queue group.
    #[arg(long, value_name = "GROUP")]
    queue: Option<String>,
    /// Ends after this many messages.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Leaves the payloads out.
    #[arg(long, conflicts_with = "raw")]
    headers_only: bool,
    /// Shows nothing but the payloads, one a line.
    #[arg(short, long)]
    raw: bool,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let style = match (arguments.raw, arguments.headers_only) {
        (true, _) => Style::Raw,
        (_, true) => Style::HeadersOnly,
        _ => Style::Full,
    };
    let Arguments { subject, queue, count, .. } = arguments;
    session.living_on().run(|app, client| {
        let mut received = 0;
        let show = move |app: &mut App, subscription: &Subscription<App>, message: &Message| {
            received += 1;
            app.output.message(received, message, style);
            if Some(received) == count {
                app.finish(subscription.client());
            }
        };
        let subscription = match &queue {
            Some(queue) => client.queue_subscribe(&subject, queue, show)?,
            None => client.subscribe(&subject, show)?,
        };
        if let Some(count) = count {
            // what comes beyond is for others
            subscription.unsubscribe_after(count)?;
        }
        app.listen(client, format!("Subscribing on {subject}"));
        Ok(())
    })
}
