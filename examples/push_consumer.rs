//! Mails that a server pushes to whoever can send them: two mailers share the messages of one push
//! consumer, each mail goes to one of them, and what one cannot send is handed to the other.
//!
//! `cargo run --example push_consumer` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    Consumer, ConsumerConfig, Consumption, Delivery, JetStream, PurgeOptions, PushOptions,
    StreamConfig,
};
use evnats::{EventLoop, Result};
use std::time::Duration;

const STREAM: &str = "EXAMPLE_MAILS";
const MAILS: [&str; 6] = ["ada", "bob", "carol", "dave", "eve", "frank"];

/// What became of the mails.
#[derive(Default)]
struct Office {
    sent: Vec<String>,
    bounced: usize,
    mailers: Vec<Consumption<Office>>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<Office>::new()?;
    let js = event_loop.connect(url)?.jetstream();
    let config = StreamConfig::new(STREAM).subjects(["mails.*"]);
    js.create_or_update_stream(&config, |_, js, created| {
        created?;
        js.purge_stream(STREAM, &PurgeOptions::new(), |_, js, purged| {
            purged?;
            open(js);
            Ok(())
        });
        Ok(())
    });
    let mut office = Office::default();
    event_loop.run(&mut office)?;
    office.sent.sort();
    println!("sent to {}; {} bounced", office.sent.join(", "), office.bounced);
    Ok(())
}

/// Has the server push to the mailers, and writes the mails.
fn open(js: &JetStream<Office>) {
    let config = ConsumerConfig::new("mailer")
        .durable_name("mailer")
        .deliver_subject("mailers")
        .deliver_group("mailers")
        .idle_heartbeat(Duration::from_secs(5));
    js.stream(STREAM).create_or_update_consumer(&config, |office: &mut Office, stream, mailer| {
        let mailer = mailer?;
        // the second one cannot reach eve
        office.mailers = vec![begin(&mailer, "north", ""), begin(&mailer, "south", "eve")];
        for name in MAILS {
            stream.jetstream().publish(&format!("mails.{name}"), "Hello!", |_, _, stored| {
                stored?;
                Ok(())
            });
        }
        Ok(())
    });
}

fn begin(
    consumer: &Consumer<Office>,
    mailer: &'static str,
    unreachable: &'static str,
) -> Consumption<Office> {
    let mails = consumer.subscribe(PushOptions::new(), move |office, mails, mail| {
        send(office, mails, mail, mailer, unreachable)
    });
    mails.on_event(move |_, _, event| println!("{mailer}: {event}"));
    mails.on_end(move |_, _, end| println!("{mailer}: {end:?}"));
    mails
}

fn send(
    office: &mut Office,
    mails: &Consumption<Office>,
    mail: &Delivery<'_, Office>,
    mailer: &str,
    unreachable: &str,
) -> Result {
    let subject = mail.subject();
    let name = subject.trim_start_matches("mails.");
    if name == unreachable {
        println!("{mailer}: {name} cannot be reached");
        office.bounced += 1;
        // after a while: to whichever of them
        return Ok(mail.nak_after(Duration::from_millis(50))?);
    }
    mail.ack()?;
    office.sent.push(name.to_owned());
    if office.sent.len() == MAILS.len() {
        office.mailers.drain(..).for_each(|mails| mails.drain());
        mails.client().drain();
    }
    Ok(())
}
