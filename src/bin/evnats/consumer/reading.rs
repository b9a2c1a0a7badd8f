//! `consumer next` and `consumer sub`: the messages of a consumer, so many of them or without end.
//!
//! A message is answered when it has been shown. What has come and was not shown, because the verb was
//! interrupted, is handed back to the server.

use super::Which;
use crate::failure::Failure;
use crate::input;
use crate::interrupt::on_interrupt;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::Client;
use evnats::jetstream::{
    ConsumeEnd, ConsumeOptions, Consumer, ConsumerConfig, ConsumerInfo, Consumption, Delivery,
    Error, FetchEnd, FetchOptions, OrderedOptions, PushOptions,
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Next {
    #[command(flatten)]
    which: Which,
    /// How many messages to wait for.
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// How long to wait for them.
    #[arg(long, value_parser = input::duration, value_name = "DURATION", default_value = "5s")]
    wait: Duration,
    /// Has the messages delivered again.
    #[arg(long, conflicts_with_all = ["term", "ack", "no_ack"])]
    nak: bool,
    /// Has the messages never delivered again.
    #[arg(long, conflicts_with_all = ["ack", "no_ack"])]
    term: bool,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    /// Name of the stream.
    stream: String,
    /// Name of the consumer; if absent, all messages of the stream are shown, in order and without
    /// answers.
    consumer: Option<String>,
    /// Ends after this many messages.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    reading: Reading,
}

/// How messages are shown and answered.
#[derive(Debug, Args)]
struct Reading {
    /// Acknowledges the messages, which is the default.
    #[arg(long, overrides_with = "no_ack")]
    ack: bool,
    /// Leaves the messages unanswered, so that they are delivered again when their time is over.
    #[arg(long)]
    no_ack: bool,
    /// The priority group to belong to, if the consumer has some.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Leaves the payloads out.
    #[arg(long, conflicts_with = "raw")]
    headers_only: bool,
    /// Shows nothing but the payloads, one a line.
    #[arg(short, long)]
    raw: bool,
}

/// What is answered when a message has been shown.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Acknowledge,
    Again,
    Terminate,
    Nothing,
}

impl Reading {
    fn style(&self) -> Style {
        match (self.raw, self.headers_only) {
            (true, _) => Style::Raw,
            (_, true) => Style::HeadersOnly,
            _ => Style::Full,
        }
    }

    fn answer(&self) -> Answer {
        match self.no_ack {
            true => Answer::Nothing,
            false => Answer::Acknowledge,
        }
    }
}

impl Next {
    fn answer(&self) -> Answer {
        match (self.nak, self.term) {
            (true, _) => Answer::Again,
            (_, true) => Answer::Terminate,
            _ => self.reading.answer(),
        }
    }
}

pub(crate) fn next(arguments: Next, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let consumer = arguments.which.handle(app, client);
        consumer.info(move |app: &mut App, consumer: &Consumer<App>, info| {
            if is_pulled(app, consumer, info) {
                fetch(consumer, arguments);
            }
        });
        Ok(())
    })
}

fn fetch(consumer: &Consumer<App>, arguments: Next) {
    let (style, answer) = (arguments.reading.style(), arguments.answer());
    let Next { count, wait, reading, .. } = arguments;
    let mut options = FetchOptions::messages(count).expires(wait);
    options.group = reading.group;
    let received = Rc::new(Cell::new(0));
    let counted = received.clone();
    consumer.fetch(
        options,
        move |app: &mut App, consumer: &Consumer<App>, delivery: &Delivery<'_, App>| {
            counted.set(counted.get() + 1);
            show(app, consumer.client(), delivery, style, answer);
        },
        move |app: &mut App, consumer: &Consumer<App>, end: Result<FetchEnd, Error>| {
            let Some(end) = app.check(consumer.client(), end) else { return };
            match (end, received.get()) {
                (FetchEnd::Complete, _) => {}
                (_, 0) => {
                    let text = format!("no message has come in {wait:?}");
                    return app.fail(consumer.client(), Failure::new("timeout", text));
                }
                (_, received) => {
                    app.output.note(&format!("{received} of {count} messages have come"));
                }
            }
            app.finish(consumer.client());
        },
    );
}

pub(crate) fn subscribe(arguments: Subscribe, session: Session) -> Result<(), Failure> {
    session.living_on().run(|app, client| {
        let stream = app.jetstream(client).stream(&arguments.stream);
        let note = match &arguments.consumer {
            Some(name) => format!("Reading consumer {name} of stream {}", arguments.stream),
            None => format!("Reading stream {}", arguments.stream),
        };
        match &arguments.consumer {
            Some(name) => {
                stream.consumer(name).info(move |app: &mut App, consumer: &Consumer<App>, info| {
                    let info = app.check(consumer.client(), info);
                    if let Some(config) = info.and_then(|info| info.config) {
                        let consumption = arguments.read(consumer, &config);
                        see_through(app, consumption);
                    }
                });
            }
            None => {
                let ordered = stream.ordered_consumer(OrderedOptions::new());
                let shown = arguments.shown(Answer::Nothing);
                see_through(app, ordered.consume(arguments.options(), shown));
            }
        }
        app.listen(client, note);
        Ok(())
    })
}

impl Subscribe {
    /// Reads a consumer in the way that it is made for.
    fn read(&self, consumer: &Consumer<App>, config: &ConsumerConfig) -> Consumption<App> {
        let shown = self.shown(self.reading.answer());
        if config.deliver_subject.is_none() {
            return consumer.consume(self.options(), shown);
        }
        let mut options = PushOptions::new();
        options.stop_after = self.count;
        consumer.subscribe(options, shown)
    }

    fn options(&self) -> ConsumeOptions {
        let mut options = ConsumeOptions::new();
        (options.stop_after, options.group) = (self.count, self.reading.group.clone());
        options
    }

    /// Shows a message and answers it.
    fn shown(
        &self,
        answer: Answer,
    ) -> impl FnMut(&mut App, &Consumption<App>, &Delivery<'_, App>) + 'static {
        let style = self.reading.style();
        move |app, consumption, delivery| {
            show(app, &consumption.client(), delivery, style, answer);
        }
    }
}

/// Reads until the end, or until the verb is interrupted.
fn see_through(app: &mut App, consumption: Consumption<App>) {
    consumption.on_event(|app: &mut App, _, event| app.output.consume_event(event));
    consumption.on_end(|app: &mut App, consumption, end| match end {
        ConsumeEnd::Failed(error) => app.fail(&consumption.client(), error),
        _ => app.finish(&consumption.client()),
    });
    let (client, interrupted) = (consumption.client(), consumption.clone());
    // what has come and was not shown is handed back before the end is told
    let stopped = on_interrupt(&client, move |_| interrupted.stop());
    if app.check(&client, stopped).is_some() {
        app.stop_at_the_end(move || consumption.stop());
    }
}

/// Returns whether messages can be asked for; if not, the verb fails.
fn is_pulled(app: &mut App, consumer: &Consumer<App>, info: Result<ConsumerInfo, Error>) -> bool {
    let Some(info) = app.check(consumer.client(), info) else { return false };
    let Some(target) = info.config.and_then(|config| config.deliver_subject) else { return true };
    let text = format!(
        "consumer {} pushes its messages to {target}: they cannot be asked for, only subscribed to (sub)",
        consumer.name()
    );
    app.fail(consumer.client(), Failure::new("push_consumer", text));
    false
}

/// Shows a message and answers it.
fn show(
    app: &mut App,
    client: &Client<App>,
    delivery: &Delivery<'_, App>,
    style: Style,
    answer: Answer,
) {
    app.output.delivery(delivery, style);
    let answered = match answer {
        Answer::Acknowledge => delivery.ack(),
        Answer::Again => delivery.nak(),
        Answer::Terminate => delivery.terminate(),
        Answer::Nothing => Ok(()),
    };
    app.check(client, answered);
}
