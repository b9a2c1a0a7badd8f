//! Imports measurements into a stream as fast as it stores them, and no faster: a window of messages
//! is on its way at any time, and when it is full the rest waits.
//!
//! Each record has an id, so that a run that was cut off can simply be repeated: the second import here
//! stores nothing twice. `cargo run --example publish_window` starts a server of its own; with
//! `NATS_URL` it uses that one.

use evnats::jetstream::{
    Error, JetStream, PublishOptions, PublishWindow, StreamConfig, WindowOptions, WindowReport,
};
use evnats::{Client, EventLoop};
use std::time::Duration;

const RECORDS: u64 = 20_000;

/// The state of the program: how far the import is, and how often it has been made.
#[derive(Default)]
struct Import {
    next: u64,
    runs: u32,
}

type Window = PublishWindow<Import>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<Import>::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new("MEASUREMENTS").subjects(["measured.>"]);
    js.create_stream(&config, |import, js, created| {
        created?;
        begin(import, js)
    });
    event_loop.run(&mut Import::default())?;
    Ok(())
}

fn begin(import: &mut Import, js: &JetStream<Import>) -> evnats::Result {
    // what is safe to be sent twice is sent again for ten seconds, also after a lost connection
    let options = WindowOptions::new()
        .max_outstanding(1000)
        .retry_for(Duration::from_secs(10))
        .resend_unknown(true);
    let window = js.publish_window(options);
    window.on_ready(import_more);
    window.on_stalled(|_, _, stalled| println!("nothing is stored: {:?}", stalled.reason));
    window.on_failed(|_, _, failure| println!("record {}: {}", failure.number, failure.error));
    import_more(import, &window)
}

/// Publishes until the window is full; it calls again when there is room.
fn import_more(import: &mut Import, window: &Window) -> evnats::Result {
    while import.next < RECORDS {
        let (sensor, value) = (import.next % 8, import.next / 8);
        let once = PublishOptions::new().message_id(&format!("record-{}", import.next));
        let subject = format!("measured.{sensor}");
        match window.enqueue_with(&subject, value.to_string(), &once) {
            Ok(_) => import.next += 1,
            Err(Error::WindowFull { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    window.finish(finished);
    Ok(())
}

fn finished(import: &mut Import, window: &Window, report: WindowReport) -> evnats::Result {
    println!(
        "{} records: {} stored, {} of them were there already, {} failed",
        report.published,
        report.stored,
        report.duplicates,
        report.not_stored + report.unknown
    );
    import.runs += 1;
    let nats: Client<Import> = window.client();
    match import.runs {
        1 => {
            import.next = 0;
            begin(import, &nats.jetstream())
        }
        _ => {
            nats.jetstream().delete_stream("MEASUREMENTS", |_, js, deleted| {
                js.client().drain();
                deleted.map_err(evnats::Error::from)
            });
            Ok(())
        }
    }
}
