//! A program's settings follow a bucket: what is set there is in force at once, what is deleted is the
//! default again, and what makes no sense is reported and changes nothing. Settings that belong together
//! are written in one atomic batch, and are never seen in parts.
//!
//! `cargo run --example config_watcher` starts a server of its own; with `NATS_URL` it uses that one. Needs
//! server 2.12.

use evnats::jetstream::{PublishOptions, StreamConfig};
use evnats::kv::{Entry, KeyValue, Update, WatchOptions, Watcher};
use evnats::{EventLoop, kv};

const BUCKET: &str = "example_settings";

/// What the program goes by.
#[derive(Debug)]
struct Settings {
    workers: u32,
    host: String,
    port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { workers: 4, host: "localhost".into(), port: 80 }
    }
}

#[derive(Default)]
struct App {
    settings: Settings,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    let settings = event_loop.connect(url)?.jetstream().key_value(BUCKET);
    settings.create_bucket(kv::Config::new(), |_, settings, created| {
        created?;
        settings.put("app.workers", "8", |_, settings, stored| {
            stored?;
            allow_batches(settings);
            Ok(())
        });
        Ok(())
    });
    event_loop.run(&mut App::default())?;
    Ok(())
}

/// A bucket takes atomic batches when its stream does.
fn allow_batches(settings: &KeyValue<App>) {
    let stream = settings.jetstream().stream(&format!("KV_{BUCKET}"));
    let settings = settings.clone();
    stream.info(move |_, stream, info| {
        let config: StreamConfig = info?.config.allow_atomic(true);
        stream.jetstream().update_stream(&config, move |_, _, updated| {
            updated?;
            settings.watch("app.>", WatchOptions::new().whole_batches(), changed);
            Ok(())
        });
        Ok(())
    });
}

fn changed(app: &mut App, watch: &Watcher<App>, update: Update) -> evnats::Result {
    match update {
        Update::Entry(entry) => {
            let is_sound = app.take(&entry);
            println!("{:?}", app.settings);
            match (is_sound, entry.operation()) {
                (false, _) => watch.bucket().delete(&entry.key(), |_, _, _| {}),
                (true, kv::Operation::Delete) => stop(watch),
                _ => {}
            }
        }
        Update::Batch(entries) => {
            let are_sound = entries.iter().filter(|entry| app.take(entry)).count();
            println!("{are_sound} at once: {:?}", app.settings);
        }
        Update::Initialized => {
            println!("these are the settings to begin with");
            change(watch.bucket())?;
        }
        Update::Recreating { .. } => println!("goes on with the settings that it has"),
        Update::Ended(error) => return Err(error.into()),
        _ => {}
    }
    Ok(())
}

fn stop(watch: &Watcher<App>) {
    watch.stop();
    println!("the default is in force again");
    watch.bucket().delete_bucket(|_, settings, deleted| {
        deleted?;
        settings.client().drain();
        Ok(())
    });
}

/// What an operator does, from elsewhere.
fn change(settings: &KeyValue<App>) -> evnats::Result {
    let subject = |setting: &str| format!("$KV.{BUCKET}.app.{setting}");
    let batch = settings.jetstream().atomic_batch();
    batch.add(&subject("host"), "example.org", &PublishOptions::new())?;
    let settings = settings.clone();
    batch.commit(&subject("port"), "8080", &PublishOptions::new(), move |_, _, stored| {
        stored?;
        settings.put("app.workers", "many", |_, _, _| {});
        Ok(())
    });
    Ok(())
}

impl App {
    /// Takes a setting. Returns whether it makes sense.
    fn take(&mut self, entry: &Entry) -> bool {
        let (key, default) = (entry.key(), Settings::default());
        let text = (!entry.operation().is_tombstone()).then(|| entry.text());
        let settings = &mut self.settings;
        let is_sound = match (key.as_ref(), text.as_deref()) {
            ("app.workers", None) => set(&mut settings.workers, Some(default.workers)),
            ("app.workers", Some(text)) => set(&mut settings.workers, text.parse().ok()),
            ("app.host", None) => set(&mut settings.host, Some(default.host)),
            ("app.host", Some(text)) => set(&mut settings.host, text.parse().ok()),
            ("app.port", None) => set(&mut settings.port, Some(default.port)),
            ("app.port", Some(text)) => set(&mut settings.port, text.parse().ok()),
            _ => false,
        };
        if !is_sound {
            println!("{key} cannot be {:?}", entry.text());
        }
        is_sound
    }
}

/// Returns whether the new value is one.
fn set<T>(setting: &mut T, value: Option<T>) -> bool {
    value.map(|value| *setting = value).is_some()
}
