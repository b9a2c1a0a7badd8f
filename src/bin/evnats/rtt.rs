//! `rtt`: measures round trips to the server, one after the other.

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Args;
use evnats::Client;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many round trips to measure; the result is their average.
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// The same as ITERATIONS.
    #[arg(long, conflicts_with = "iterations", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let iterations = arguments.count.unwrap_or(arguments.iterations) as usize;
    session.run(|app, _| {
        app.once_connected(move |_, client| measure(client, iterations, Vec::new()));
        Ok(())
    })
}

fn measure(client: &Client<App>, iterations: usize, mut round_trips: Vec<Duration>) {
    client.rtt(move |app, client, round_trip| {
        let Some(round_trip) = app.check(client, round_trip) else { return };
        round_trips.push(round_trip);
        if round_trips.len() < iterations {
            return measure(client, iterations, round_trips);
        }
        app.output.rtt(&app.server, &round_trips);
        app.finish(client);
    });
}
