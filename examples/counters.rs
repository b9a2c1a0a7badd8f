//! Counters: two regions count the views of a page, each in a stream of its own, and a third stream has
//! the sum of both, by itself.
//!
//! `cargo run --example counters` starts a server of its own; with `NATS_URL` it uses that one, which
//! has to be 2.12 or later.

use evnats::EventLoop;
use evnats::jetstream::{
    Counter, Error, Integer, JetStream, ReadFrom, Source, StreamConfig, SubjectTransform,
};
use std::time::Duration;

const REGIONS: [&str; 2] = ["EXAMPLE_EU", "EXAMPLE_US"];
const SUM: &str = "EXAMPLE_WORLD";

type Js = JetStream<()>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<()>::new()?;
    let js = event_loop.connect(url)?.jetstream();
    create_streams(&js, vec![sums(), counters(REGIONS[1]), counters(REGIONS[0])]);
    event_loop.run(&mut ())?;
    Ok(())
}

fn counters(stream: &str) -> StreamConfig {
    StreamConfig::new(stream).subjects([format!("{stream}.>")]).allow_msg_counter(true)
}

/// A stream that has the counters of the others, behind its own name.
fn sums() -> StreamConfig {
    let source = |region| {
        let renamed = SubjectTransform::new(format!("{region}.>"), format!("{SUM}.>"));
        Source::new(region).subject_transforms([renamed])
    };
    counters(SUM).sources(REGIONS.map(source))
}

/// One after the other, the last one first.
fn create_streams(js: &Js, mut streams: Vec<StreamConfig>) {
    let Some(config) = streams.pop() else { return };
    js.create_stream(&config, move |_, js, created| {
        println!("{} counts", created?.config.name);
        if streams.is_empty() {
            return count(js);
        }
        create_streams(js, streams);
        Ok(())
    });
}

fn count(js: &Js) -> evnats::Result {
    let [eu, us] = REGIONS.map(|region| format!("{region}.views.home"));
    js.counter_add(&eu, 3, |_, _, value| {
        println!("eu: {}", value?);
        Ok(())
    });
    // after a timeout it could be repeated: the stream knows the id
    js.counter_add_once(&eu, 4, "view-8812", |_, _, value| {
        println!("eu: {:?}", value?.and_then(|value| value.to_i128()));
        Ok(())
    });
    js.counter_add_once(&eu, 4, "view-8812", move |_, js, value| {
        println!("eu, once more: {:?}", value?);
        count_robots(js, &us)
    });
    Ok(())
}

fn count_robots(js: &Js, us: &str) -> evnats::Result {
    js.counter_add(us, -2, |_, _, value| {
        println!("us, corrected: {}", value?);
        Ok(())
    });
    // more than any machine word holds
    let robots: Integer = "1000000000000000000000000000000000000000000".parse()?;
    js.counter_add(us, robots, |_, js, value| {
        let value = value?;
        println!("us: {value}, as an i128: {:?}", value.to_i128());
        show_sum(js);
        Ok(())
    });
    Ok(())
}

/// What the regions count arrives in the sum a moment later.
fn show_sum(js: &Js) {
    js.counter_get(SUM, &format!("{SUM}.views.home"), ReadFrom::Leader, read_sum);
}

fn read_sum(_: &mut (), js: &Js, read: Result<Option<Counter>, Error>) -> evnats::Result {
    let all: Integer = "1000000000000000000000000000000000000000005".parse()?;
    match read? {
        Some(counter) if counter.value == all => {
            println!("world: {}", counter.value);
            for (stream, totals) in &counter.sources {
                totals
                    .iter()
                    .for_each(|(subject, total)| println!("  {stream} {subject}: {total}"));
            }
            delete_streams(js);
        }
        _ => {
            js.set_timer(Duration::from_millis(20), |_, js| show_sum(js));
        }
    }
    Ok(())
}

fn delete_streams(js: &Js) {
    for stream in [SUM, REGIONS[0], REGIONS[1]] {
        js.delete_stream(stream, |_, _, deleted| deleted.map_err(Into::into));
    }
    js.client().drain();
}
