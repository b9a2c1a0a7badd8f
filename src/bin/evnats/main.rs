//! A command-line tool in the manner of `nats`: `cargo run --features cli -- --help`.
//!
//! Each verb is a module: its arguments, and what it asks of the client. [`session`] runs the loop
//! around it, [`output`] is the only place that writes results, [`failure`] the only one that
//! names errors. The exit status is 0 or, with an error, 1.

mod account;
mod consumer;
mod counter;
mod encryption;
mod errors;
mod events;
mod failure;
mod identity;
mod input;
mod interrupt;
mod kv;
mod object;
mod output;
mod progress;
mod publish;
mod reply;
mod request;
mod rtt;
mod service;
mod session;
mod stream;
mod subscribe;
mod template;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use output::Output;
use session::{Global, Session};
use std::process::ExitCode;

/// Talks to NATS: publish, subscribe, request, reply, streams, consumers, buckets of keys and of objects,
/// and services.
///
/// What listens (sub, reply, events, consumer sub, kv watch, object watch) lives through the loss of its connection, and says so on the
/// standard error. Everything else fails then, with the reason.
#[derive(Debug, Parser)]
#[command(name = "evnats", version)]
struct Arguments {
    #[command(flatten, next_help_heading = "Global options")]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Publishes messages.
    #[command(alias = "publish")]
    Pub(publish::Arguments),
    /// Shows the messages on a subject.
    #[command(alias = "subscribe")]
    Sub(subscribe::Arguments),
    /// Sends a request and shows the reply.
    #[command(alias = "req")]
    Request(request::Arguments),
    /// Replies to requests.
    Reply(reply::Arguments),
    /// Measures the time to the server and back.
    Rtt(rtt::Arguments),
    /// Works with Key-Value buckets.
    #[command(subcommand)]
    Kv(kv::Verb),
    /// Works with buckets of objects.
    #[command(subcommand, alias = "obj")]
    Object(object::Verb),
    /// Works with streams.
    #[command(subcommand, alias = "str")]
    Stream(stream::Verb),
    /// Works with consumers.
    #[command(subcommand, alias = "con")]
    Consumer(consumer::Verb),
    /// Finds services, and sends requests to them.
    #[command(subcommand, alias = "micro")]
    Service(service::Verb),
    /// Works with counters.
    #[command(subcommand)]
    Counter(counter::Verb),
    /// Shows what servers tell of JetStream of their own accord.
    Events(events::Arguments),
    /// Shows what the account uses and may use.
    #[command(subcommand, alias = "a")]
    Account(account::Verb),
    /// Says what the codes of JetStream mean.
    #[command(subcommand, alias = "error")]
    Errors(errors::Verb),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse().and_then(resolve) {
        Ok(arguments) => arguments,
        Err(refusal) => return refuse(&refusal),
    };
    let output = Output::new(arguments.global.json);
    let session = Session::new(arguments.global);
    match run(arguments.verb, session) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb, session: Session) -> Result<(), Failure> {
    match verb {
        Verb::Pub(arguments) => publish::run(arguments, session),
        Verb::Sub(arguments) => subscribe::run(arguments, session),
        Verb::Request(arguments) => request::run(arguments, session),
        Verb::Reply(arguments) => reply::run(arguments, session),
        Verb::Rtt(arguments) => rtt::run(arguments, session),
        Verb::Kv(verb) => kv::run(verb, session),
        Verb::Object(verb) => object::run(verb, session),
        Verb::Stream(verb) => stream::run(verb, session),
        Verb::Consumer(verb) => consumer::run(verb, session),
        Verb::Service(verb) => service::run(verb, session),
        Verb::Counter(verb) => counter::run(verb, session),
        Verb::Events(arguments) => events::run(arguments, session),
        Verb::Account(verb) => account::run(verb, session),
        Verb::Errors(verb) => errors::run(verb, session),
    }
}

/// Adds the environment, and looks at what clap cannot see: options before the verb together with
/// those behind it.
fn resolve(arguments: Arguments) -> Result<Arguments, clap::Error> {
    let Arguments { global, verb } = arguments;
    match global.resolve() {
        Ok(global) => Ok(Arguments { global, verb }),
        Err(text) => Err(Arguments::command().error(ErrorKind::ArgumentConflict, text)),
    }
}

/// Arguments that make no command: an error like others, unless help was asked for.
fn refuse(refusal: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if refusal.use_stderr() && json {
        let text = refusal.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Output::new(true).failure(&Failure::new("usage", text.trim_end()));
        return ExitCode::FAILURE;
    }
    // nothing is left to do if it cannot be shown
    let _ = refusal.print();
    if refusal.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
