//! Loads a day of readings into a stream as fast as the server takes them: one long batch, of which the
//! server acknowledges many messages at once. On a server or to a stream without fast ingest (before
//! 2.14, or without `allow_batched`) the same calls go through a window of single acknowledgements.
//!
//! `cargo run --example fast_ingest` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::EventLoop;
use evnats::jetstream::{
    Error, FastIngest, IngestOptions, IngestReport, JetStream, StreamConfig, StreamInfo,
};

/// One reading each second.
const READINGS: u32 = 24 * 60 * 60;

/// The state of the program: the second of the day that is next.
#[derive(Default)]
struct Day {
    second: u32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<Day>::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new("READINGS").subjects(["readings.*"]);
    js.create_stream(&config.clone().allow_batched(true), move |day, js, created| match created {
        // an older server is told nothing of what it does not know
        Err(Error::Unsupported { .. }) => {
            js.create_stream(&config, load);
            Ok(())
        }
        created => load(day, js, created),
    });
    event_loop.run(&mut Day::default())?;
    Ok(())
}

fn load(day: &mut Day, js: &JetStream<Day>, created: Result<StreamInfo, Error>) -> evnats::Result {
    created?;
    let ingest = js.fast_ingest(IngestOptions::new());
    ingest.on_ready(add_more);
    ingest.on_ended(|_, ingest, error| {
        println!("{error}");
        ingest.client().close();
    });
    add_more(day, &ingest)
}

/// Adds readings until the server has to acknowledge some; it calls again when it has.
fn add_more(day: &mut Day, ingest: &FastIngest<Day>) -> evnats::Result {
    while day.second < READINGS {
        let temperature = 15.0 - 8.0 * (f64::from(day.second) / 13_750.0).cos();
        match ingest.add("readings.roof", format!("{temperature:.2}")) {
            Ok(_) => day.second += 1,
            Err(Error::WindowFull { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    ingest.finish(loaded);
    Ok(())
}

fn loaded(
    _: &mut Day,
    ingest: &FastIngest<Day>,
    outcome: Result<IngestReport, Error>,
) -> evnats::Result {
    let report = outcome?;
    println!("{} readings, {} of them stored", report.published, report.stored);
    println!("fast: {}", report.is_fast);
    let js = ingest.client().jetstream();
    js.delete_stream("READINGS", |_, js, deleted| {
        js.client().drain();
        deleted.map_err(evnats::Error::from)
    });
    Ok(())
}
