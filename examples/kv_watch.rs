//! Watching a bucket: what is there, the signal that it was all, and then every change, until the
//! watch is stopped.
//!
//! `cargo run --example kv_watch` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::{EventLoop, kv};

#[derive(Default)]
struct App {
    live: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    let rooms = event_loop.connect(url)?.jetstream().key_value("example_rooms");
    // a watch sees every change that the history still holds: with the default of one value, a
    // change that is followed at once by another may go unseen
    rooms.create_bucket(kv::Config::new().history(5), |_, rooms, created| {
        created?;
        rooms.put("floor1.kitchen", "19 degrees", |_, _, _| {});
        rooms.put("floor2.attic", "not watched", |_, _, _| {});
        rooms.put("floor1.bath", "23 degrees", |_, rooms, stored| {
            stored?;
            rooms.watch("floor1.*", kv::WatchOptions::new(), changed);
            Ok(())
        });
        Ok(())
    });
    event_loop.run(&mut App::default())?;
    Ok(())
}

fn changed(app: &mut App, watch: &kv::Watcher<App>, update: kv::Update) -> evnats::Result {
    let rooms = watch.bucket();
    match update {
        kv::Update::Entry(entry) => {
            let when = if app.live { "now" } else { "initially" };
            match entry.operation() {
                kv::Operation::Put => println!("{when} PUT {} = {}", entry.key(), entry.text()),
                kv::Operation::Delete => println!("{when} DEL {}", entry.key()),
                kv::Operation::Purge => println!("{when} PURGE {}", entry.key()),
                // the server has removed it because its time was over
                operation => println!("{when} {operation} {}", entry.key()),
            }
            match entry.operation() {
                // once the others are seen: a purge makes server 2.9 skip what is on its way
                kv::Operation::Delete => rooms.purge("floor1.bath", |_, _, _| {}),
                kv::Operation::Purge => stop(watch),
                _ => {}
            }
        }
        kv::Update::Initialized => {
            println!("that is all there was");
            app.live = true;
            rooms.put("floor1.kitchen", "20 degrees", |_, _, _| {});
            rooms.delete("floor1.kitchen", |_, _, _| {});
        }
        kv::Update::Ended(error) => return Err(error.into()),
        other => println!("{other:?}"),
    }
    Ok(())
}

fn stop(watch: &kv::Watcher<App>) {
    watch.stop();
    let rooms = watch.bucket();
    println!("watch stopped");
    rooms.put("floor1.kitchen", "nobody sees this", |_, rooms, stored| {
        println!("stored, unseen: {}", stored.is_ok());
        rooms.delete_bucket(|_, rooms, deleted| {
            deleted?;
            rooms.client().drain();
            Ok(())
        });
    });
}
