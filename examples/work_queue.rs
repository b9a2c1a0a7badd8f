//! A work queue: several workers in one loop, each with one job at a time. Jobs are messages of a stream
//! that removes them when they are acknowledged.
//!
//! A job takes its time, longer than the server waits for an answer: meanwhile the server is told that it
//! is being worked on, so that nobody else gets it, too. `cargo run --example work_queue` starts a server
//! of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    ConsumeOptions, Consumer, ConsumerConfig, Delivery, Messages, NextError, Retention,
    StreamConfig, WindowOptions,
};
use evnats::{EventLoop, Result};
use std::collections::BTreeMap;
use std::time::Duration;

const STREAM: &str = "EXAMPLE_JOBS";
const JOBS: usize = 12;
const WORKERS: usize = 3;
const PATIENCE: Duration = Duration::from_millis(500);

/// How often each job was done, and who works.
#[derive(Default)]
struct Office {
    done: BTreeMap<String, u32>,
    workers: Vec<Messages<Office>>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config =
        StreamConfig::new(STREAM).subjects(["example.jobs"]).retention(Retention::WorkQueue);
    js.create_stream(&config, |_: &mut Office, js, created| {
        created?;
        let window = js.publish_window(WindowOptions::new());
        for number in 1..=JOBS {
            window.enqueue("example.jobs", format!("job {number}"))?;
        }
        let config = ConsumerConfig::new("office").durable_name("office").ack_wait(PATIENCE);
        js.stream(STREAM).create_consumer(&config, |office, _, consumer| {
            hire(office, &consumer?);
            Ok(())
        });
        Ok(())
    });
    event_loop.run(&mut Office::default())?;
    Ok(())
}

fn hire(office: &mut Office, consumer: &Consumer<Office>) {
    for _ in 0..WORKERS {
        // one job is asked for when the last one is done
        let options = ConsumeOptions::new().max_messages(1).in_progress_every(PATIENCE / 4);
        let worker = consumer.messages(options);
        worker.next(work);
        office.workers.push(worker);
    }
}

/// Takes a job, and has it done in the course of time.
fn work(
    _: &mut Office,
    worker: &Messages<Office>,
    job: std::result::Result<Option<&Delivery<'_, Office>>, NextError>,
) -> Result {
    match job {
        Ok(Some(job)) => {
            let (name, acker) = (job.text().into_owned(), job.to_acker()?);
            // a real one would go on in a thread, and post its result
            let takes = if name == "job 5" { 3 * PATIENCE } else { Duration::from_millis(20) };
            worker.set_timer(takes, move |_, worker| {
                let worker = worker.clone();
                // it is done when the server knows
                acker.ack_confirmed(move |office: &mut Office, _, confirmed| {
                    confirmed?;
                    done(office, &worker, name);
                    Ok(())
                });
            });
        }
        // there are no jobs any more
        Ok(None) => {}
        Err(NextError::Failed(error)) => return Err(error.into()),
        // it is worth a word, and the next job may come all the same
        Err(error) => {
            println!("{error}");
            worker.next(work);
        }
    }
    Ok(())
}

/// Takes the next job, or sends the workers home.
fn done(office: &mut Office, worker: &Messages<Office>, job: String) {
    *office.done.entry(job).or_default() += 1;
    if office.done.len() < JOBS {
        return worker.next(work);
    }
    office.workers.drain(..).for_each(|worker| worker.stop());
    let once = office.done.values().filter(|times| **times == 1).count();
    worker.client().jetstream().stream_info(STREAM, move |_, js, info| {
        let left = info?.state.messages;
        println!("{JOBS} jobs, {once} of them done once by {WORKERS} workers, {left} left");
        js.delete_stream(STREAM, |_, js, deleted| {
            js.client().close();
            deleted.map_err(evnats::Error::from)
        });
        Ok(())
    });
}
