//! Messages that a stream publishes by itself: a reminder at a time, a report again and again, and a
//! schedule that is looked at, replaced and cancelled. Needs server 2.14.
//!
//! `cargo run --example schedule` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::jetstream::{
    Error, JetStream, PublishOptions, Republish, Schedule, Scheduled, StreamConfig,
};
use evnats::{EventLoop, Message, Subscription};
use std::time::{Duration, SystemTime};

/// How many reports have come.
#[derive(Default)]
struct Reports(u32);

type Js = JetStream<Reports>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<Reports>::new()?;
    let nats = event_loop.connect(url)?;
    // what the stream stores is republished, so that a subscription sees it
    nats.subscribe("due.>", on_due)?;
    let config = StreamConfig::new("PLANNED")
        .subjects(["planned.>"])
        .allow_msg_schedules(true)
        .republish(Republish::new("due.{{wildcard(1)}}").src("planned.now.*"));
    nats.jetstream().create_stream(&config, |_, js, created| {
        match created {
            Ok(_) => plan(js),
            Err(Error::Unsupported { .. }) => {
                println!("this server is too old for schedules");
                js.client().close();
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    });
    event_loop.run(&mut Reports::default())?;
    Ok(())
}

fn plan(js: &Js) {
    let soon = SystemTime::now() + Duration::from_millis(500);
    let reminder = Schedule::at(soon, "planned.now.reminder");
    put(js, "planned.schedules.reminder", "water the plants", &reminder, |_| {});

    let report = Schedule::every(Duration::from_secs(1), "planned.now.report");
    put(js, "planned.schedules.report", "all is well", &report, |_| {});

    let nightly = Schedule::cron("0 30 3 * * *", "planned.now.backup").time_zone("Europe/Vienna");
    put(js, "planned.schedules.backup", "back up", &nightly, look_and_cancel);
}

/// Stores a schedule on a subject, and goes on when it is stored.
fn put(js: &Js, on: &str, text: &str, schedule: &Schedule, then: impl FnOnce(&Js) + 'static) {
    let options = PublishOptions::new().schedule(schedule);
    js.publish_with(on, text, &options, |_, js, stored| {
        stored?;
        then(js);
        Ok(())
    });
}

fn look_and_cancel(js: &Js) {
    js.schedule("PLANNED", "planned.schedules.backup", |_, js, scheduled| {
        let Scheduled { schedule, .. } = scheduled?;
        println!("a backup is planned at {:?}", schedule.timing.to_string());
        js.cancel_schedule("PLANNED", "planned.schedules.backup", |_, _, was_planned| {
            println!("cancelled: {}", was_planned?);
            Ok(())
        });
        Ok(())
    });
}

fn on_due(reports: &mut Reports, due: &Subscription<Reports>, message: &Message) {
    println!("{}: {}", message.subject(), String::from_utf8_lossy(message.payload()));
    reports.0 += u32::from(message.subject() == "due.report");
    if reports.0 == 2 {
        due.client().jetstream().delete_stream("PLANNED", |_, js, deleted| {
            js.client().drain();
            deleted.map_err(evnats::Error::from)
        });
    }
}
