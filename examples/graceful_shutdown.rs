//! Graceful shutdown: a worker that finishes what it has on SIGINT (Ctrl-C) and SIGTERM, and leaves.
//!
//! `cargo run --example graceful_shutdown` starts a server of its own; with `NATS_URL` it uses that
//! one. With `--terminate` it sends the signal to itself after the tenth job, as CI does. A signal
//! handler may do next to nothing, so it writes to a pipe, and the pipe is a source of the loop.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use evnats::EventLoop;
    use mio::Interest;
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::low_level::{pipe, raise};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[derive(Default)]
    struct App {
        asked: u64,
        done: u64,
        is_stopping: bool,
    }

    let terminates = std::env::args().any(|argument| argument == "--terminate");
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    let nats = event_loop.connect(url)?;

    let (wakes, woken) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, wakes.try_clone()?)?;
    }
    woken.set_nonblocking(true)?;
    let worker = nats.clone();
    let woken = mio::net::UnixStream::from_std(woken);
    event_loop.add_source(woken, Interest::READABLE, move |app: &mut App, signals, _| {
        println!("stopping after {} of {} jobs", app.done, app.asked);
        signals.remove();
        // no new jobs, which could still be published, but nobody would take them any more; those
        // that are here are done and answered, and then `run` returns
        app.is_stopping = true;
        worker.drain();
    })?;

    nats.queue_subscribe("jobs", "workers", |app, jobs, job| {
        app.done += 1;
        jobs.client().respond(job, "done")
    })?;
    nats.set_interval(Duration::from_millis(1), move |app, nats| {
        if app.is_stopping {
            nats.cancel_current_timer();
            return Ok(());
        }
        app.asked += 1;
        if app.asked == 10 && terminates {
            raise(SIGTERM)?;
        }
        nats.publish("jobs", app.asked.to_string())
    });

    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("stopped with {} of {} jobs done", app.done, app.asked);
    match app.done == app.asked {
        true => Ok(()),
        false => Err("jobs were lost".into()),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("this example is about Unix signals");
}
